//! What the router has to know of a row: its key, and the statements that read and write it.

use super::statements::{self, Expected, ReplyResult, RowOperation, UserChange};
use crate::model::ring::key::Key;
use crate::model::ring::position::Position;
use crate::model::user::User;
use crate::pg::net::session::Session;

/// A row that is read by its key.
pub(crate) trait Keyed {
    /// The row as it is stored.
    type Row;

    /// The text of the key.
    fn key(&self) -> String;

    /// The position of the key.
    fn position(&self) -> Position;

    /// Reads the row from one shard.
    fn read(&self, session: &mut Session, expected: Expected<'_>) -> ReplyResult<Self::Row>;
}

/// A write of such a row.
pub(crate) trait Change {
    /// The row.
    type Of: Keyed;

    fn of(&self) -> &Self::Of;

    fn operation(&self) -> RowOperation;

    /// Writes the row on one shard, if that owns the key.
    fn write(&self, session: &mut Session, expected: Expected<'_>) -> ReplyResult<Stored<Self>>;

    /// Whether the row that was found, if there is one, is what this write makes.
    fn is_done(&self, found: Option<&Stored<Self>>) -> bool;

    /// The flags of `create-user` that were given, with a blank before each.
    fn flags(&self) -> String;
}

/// What a change returns.
pub(crate) type Stored<C> = <<C as Change>::Of as Keyed>::Row;

impl Keyed for Key {
    type Row = User;

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn position(&self) -> Position {
        self.position
    }

    fn read(&self, session: &mut Session, expected: Expected<'_>) -> ReplyResult<User> {
        statements::get(session, expected, *self)
    }
}

/// A write of a user of the Python prototype's table.
pub(super) struct UserWrite<'a> {
    pub(super) key: Key,
    pub(super) change: UserChange<'a>,
}

impl Change for UserWrite<'_> {
    type Of = Key;

    fn of(&self) -> &Key {
        &self.key
    }

    fn operation(&self) -> RowOperation {
        self.change.operation()
    }

    fn write(&self, session: &mut Session, expected: Expected<'_>) -> ReplyResult<User> {
        statements::write(session, expected, self.change)
    }

    fn is_done(&self, found: Option<&User>) -> bool {
        match self.change {
            UserChange::Create(user) => found == Some(user),
            UserChange::Update(_, patch) => found.is_some_and(|user| patch.holds_for(user)),
            UserChange::Delete(_) => found.is_none(),
        }
    }

    fn flags(&self) -> String {
        if let UserChange::Create(user) = self.change { user.flags() } else { String::new() }
    }
}
