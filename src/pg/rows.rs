//! One user on one shard: `sql/get_user.sql` and `ringshard.write_user`, each one round trip.
//!
//! A shard answers for itself, with its epoch; what to do with an answer is the cluster's business.

use postgres::Row;
use postgres::types::Type;

use super::catalog::CATALOG_VERSION;
use super::session::Session;
use super::uuid::Uuid;
use crate::model::names::{ClusterId, ShardName};
use crate::model::position::Position;
use crate::model::topology::Epoch;
use crate::model::user::{Limited, User, UserId, UserPatch};

/// Whom a statement expects to talk to. A cluster that is not known yet is not compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) cluster: Option<&'a ClusterId>,
    pub(super) shard: &'a ShardName,
}

impl Expected<'_> {
    fn cluster(&self) -> Option<&str> {
        self.cluster.map(ClusterId::as_str)
    }

    fn shard(&self) -> &str {
        self.shard.as_str()
    }
}

/// What a shard said about a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The shard owns the key: a read counts, a write is done.
    Done,
    /// It owns the key, and the user was there already.
    Exists,
    /// It owns the key, and there is no such user.
    NotFound,
    /// The key is on its way to another shard.
    Fenced(Option<ShardName>),
    /// The shard does not own the key.
    NotHere,
    /// This database belongs to another shard or cluster, or its catalog is newer than this program.
    Stranger,
}

/// A shard's answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    pub(super) epoch: Epoch,
    /// The epoch of the arc that a read met.
    pub(super) arc_epoch: Option<Epoch>,
    /// The row, where the statement returns it and there is one.
    pub(super) user: Option<User>,
}

/// The read of a user. `$1` is its position, `$2` its id.
pub(super) const GET: &str = include_str!("../../sql/get_user.sql");
/// A write of a user.
pub(super) const WRITE: &str = "SELECT answer, epoch, peer, user_id, name, region, email \
     FROM ringshard.write_user($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

type Answered = Result<Answer, postgres::Error>;

/// Reads a user. The one place that says what the columns of `sql/get_user.sql` mean.
pub(super) fn get(session: &mut Session, expected: Expected<'_>, id: UserId) -> Answered {
    let position = Position::of_user(id);
    let rows = session.query(GET, &[(&Uuid::from(position), Type::UUID), (&id.number(), Type::INT8)])?;
    // No row: `meta` is empty, so this database belongs to no shard.
    let stranger = Answer { verdict: Verdict::Stranger, epoch: Epoch::GUESSED, arc_epoch: None, user: None };
    let Some(row) = rows.first() else { return Ok(stranger) };
    let is_ours = expected.shard() == row.get::<_, &str>(0)
        && expected.cluster().is_none_or(|cluster| cluster == row.get::<_, Uuid>(1).text());
    // A newer catalog may mean something else by the same columns.
    if !is_ours || row.get::<_, i32>(10) > CATALOG_VERSION {
        return Ok(stranger);
    }
    let epoch = Epoch::new(row.get(2));
    // The arc ends at or behind the position; it holds it if it begins at or before it.
    let holds = row.get::<_, Option<Uuid>>(3).is_some_and(|first| first.position() <= position);
    let verdict = match row.get::<_, Option<&str>>(4).filter(|_| holds) {
        Some("owned") => Verdict::Done,
        Some(_) => Verdict::Fenced(row.get::<_, Option<&str>>(5).and_then(|peer| peer.parse().ok())),
        None => Verdict::NotHere,
    };
    let arc_epoch = row.get::<_, Option<i64>>(11).map(Epoch::new);
    Ok(Answer { verdict, epoch, arc_epoch, user: user_of(row, 6)? })
}

/// What a write does to a row.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// Stores a new user.
    Create(&'a User),
    /// Changes fields of a user.
    Update(UserId, &'a UserPatch),
    /// Deletes a user.
    Delete(UserId),
}

/// Whether a field is to be set, and to what.
pub(super) type Field<'a> = (bool, Option<&'a str>);

/// The arguments of `ringshard.write_user` behind the cluster and the shard.
pub(super) struct Arguments<'a> {
    pub(super) operation: &'static str,
    pub(super) id: UserId,
    pub(super) name: Field<'a>,
    pub(super) region: Field<'a>,
    pub(super) email: Field<'a>,
}

impl<'a> Change<'a> {
    /// Whose row it is.
    pub(super) fn id(&self) -> UserId {
        match self {
            Self::Create(user) => user.user_id,
            Self::Update(id, _) | Self::Delete(id) => *id,
        }
    }

    /// What is sent.
    pub(super) fn arguments(&self) -> Arguments<'a> {
        fn patched<const MAX: usize>(field: Option<&Option<Limited<MAX>>>) -> Field<'_> {
            (field.is_some(), field.and_then(Option::as_ref).map(Limited::as_str))
        }
        let nothing: Field<'a> = (false, None);
        let id = self.id();
        match *self {
            Self::Create(user) => Arguments {
                operation: "create",
                id,
                name: (true, user.name.as_deref()),
                region: (true, user.region.as_deref()),
                email: (true, user.email.as_deref()),
            },
            Self::Update(_, patch) => Arguments {
                operation: "update",
                id,
                name: (patch.name.is_some(), patch.name.as_ref().map(Limited::as_str)),
                region: patched(patch.region.as_ref()),
                email: patched(patch.email.as_ref()),
            },
            Self::Delete(_) => {
                Arguments { operation: "delete", id, name: nothing, region: nothing, email: nothing }
            }
        }
    }
}

/// Writes a row, if the shard owns it.
pub(super) fn write(session: &mut Session, expected: Expected<'_>, change: Change<'_>) -> Answered {
    let Arguments { operation, id, name, region, email } = change.arguments();
    let rows = session.query(
        WRITE,
        &[
            (&expected.cluster(), Type::TEXT),
            (&expected.shard(), Type::TEXT),
            (&operation, Type::TEXT),
            (&id.number(), Type::INT8),
            (&name.0, Type::BOOL),
            (&name.1, Type::TEXT),
            (&region.0, Type::BOOL),
            (&region.1, Type::TEXT),
            (&email.0, Type::BOOL),
            (&email.1, Type::TEXT),
        ],
    )?;
    let mut answer = answer_of(&rows);
    if let Some(row) = rows.first() {
        answer.user = user_of(row, 3)?;
    }
    Ok(answer)
}

fn answer_of(rows: &[Row]) -> Answer {
    // No row: `meta` is empty, so this database belongs to no shard.
    let Some(row) = rows.first() else {
        return Answer { verdict: Verdict::Stranger, epoch: Epoch::GUESSED, arc_epoch: None, user: None };
    };
    let verdict = match row.get::<_, Option<&str>>(0) {
        Some("done") => Verdict::Done,
        Some("exists") => Verdict::Exists,
        Some("not_found") => Verdict::NotFound,
        Some("fenced") => Verdict::Fenced(row.get::<_, Option<&str>>(2).and_then(|peer| peer.parse().ok())),
        Some("not_here") => Verdict::NotHere,
        _ => Verdict::Stranger,
    };
    let epoch = row.get::<_, Option<i64>>(1).map_or(Epoch::GUESSED, Epoch::new);
    Answer { verdict, epoch, arc_epoch: None, user: None }
}

/// The row in the four columns from `at` on, if there is one.
fn user_of(row: &Row, at: usize) -> Result<Option<User>, postgres::Error> {
    let Some(id) = row.try_get::<_, Option<i64>>(at)? else { return Ok(None) };
    Ok(Some(User {
        user_id: UserId::new(id),
        name: row.try_get(at + 1)?,
        region: row.try_get(at + 2)?,
        email: row.try_get(at + 3)?,
    }))
}
