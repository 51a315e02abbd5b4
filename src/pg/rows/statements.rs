//! The statements about one user on one shard, each in one round trip. `router` decides what follows from an answer.
//!
//! On a stable ring a shard owns exactly its arcs of the ring. So a client that routed by that ring only has to check that
//! the shard has the arcs of the same topology: this is the fast path (`sql/queries/fast_path/`). If the check fails,
//! nothing was done, and a second statement checks the arcs: `sql/queries/get_user.sql` or `ringshard.write_user`.

use postgres::Row;
use postgres::error::SqlState;
use postgres::types::Type;
use uuid::Uuid;

use crate::model::names::{ClusterId, ShardName};
use crate::model::ring::key::Key;
use crate::model::ring::position::Position;
use crate::model::ring::topology::Epoch;
use crate::model::user::{Limited, User, UserId, UserPatch};
use crate::pg::catalog::CATALOG_VERSION;
use crate::pg::cluster::view::StableRing;
use crate::pg::net::session::{Parameter, Session};

/// The shard that a statement expects. An unknown cluster is not compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) shard: &'a ShardName,
    /// A write is not done in an earlier epoch.
    pub(crate) least_epoch: Epoch,
    /// The stable ring by which this shard owns the key; `None` if a change is known to be under way.
    pub(crate) stable_ring: Option<StableRing>,
}

impl Expected<'_> {
    fn shard(&self) -> &str {
        self.shard.as_str()
    }
}

/// The status of a shard's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReplyStatus {
    /// The shard owns the key: the read is valid, or the write is done.
    Done,
    /// The shard owns the key, and the user exists.
    Exists,
    /// The shard owns the key, and there is no such user.
    NotFound,
    /// The key is being moved to another shard.
    Fenced(Option<ShardName>),
    /// The shard does not own the key.
    NotOwner,
    /// The shard is in an earlier epoch than the client knows of, so the write was not done: it may be a stale primary.
    Late,
    /// Another server became the primary of the shard, and was not compared with the other shards yet.
    Unconfirmed,
    /// This database belongs to another shard or cluster, or its catalog has another version than this program.
    WrongShard,
    /// `users` is not the table of the Python prototype.
    OtherColumns,
}

/// The answer of a shard.
#[derive(Debug, Clone)]
pub(crate) struct RowReply<R> {
    pub(crate) status: ReplyStatus,
    pub(crate) epoch: Epoch,
    /// The epoch of the arc, for a read.
    pub(crate) arc_epoch: Option<Epoch>,
    /// The row, if the statement returned one.
    pub(crate) row: Option<R>,
}

impl<R> RowReply<R> {
    /// Without a row.
    fn of(status: ReplyStatus, epoch: Epoch) -> Self {
        Self { status, epoch, arc_epoch: None, row: None }
    }
}

/// The name of a file of the write-ahead log begins with so many digits of the timeline.
const TIMELINE_DIGITS: usize = 8;

/// The read of a user. `$1` is its position, `$2` its id.
pub(crate) const GET: &str = include_str!("../../../sql/queries/get_user.sql");
/// A write of a user.
pub(crate) const WRITE: &str = "SELECT answer, epoch, transfer_to, user_id, name, region, email \
     FROM ringshard.write_user($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
/// The statements of the fast path.
pub(crate) const GET_FAST_PATH: &str = include_str!("../../../sql/queries/fast_path/get.sql");
/// [`GET_FAST_PATH`] on a session that has proved itself.
const GET_AGAIN: &str = include_str!("../../../sql/queries/fast_path/get_again.sql");
pub(crate) const CREATE_FAST_PATH: &str = include_str!("../../../sql/queries/fast_path/create.sql");
pub(crate) const UPDATE_FAST_PATH: &str = include_str!("../../../sql/queries/fast_path/update.sql");
pub(crate) const DELETE_FAST_PATH: &str = include_str!("../../../sql/queries/fast_path/delete.sql");

pub(crate) type ReplyResult<R> = Result<RowReply<R>, postgres::Error>;

/// What a statement of the fast path requires of the shard.
struct FastPath<'a> {
    stable_ring: StableRing,
    shard: &'a str,
    cluster: ClusterId,
}

impl<'a> FastPath<'a> {
    fn of(expected: Expected<'a>) -> Option<Self> {
        let (stable_ring, cluster) = expected.stable_ring.zip(expected.cluster)?;
        Some(Self { stable_ring, shard: expected.shard.as_str(), cluster })
    }

    /// Runs a statement of the fast path and returns its row. A read returns a row of NULLs if there is no such user; `None`
    /// means that the check failed, or for a write that nothing was done.
    fn query(
        &self,
        session: &mut Session,
        sql: &'static str,
        of_user: &[Parameter<'_>],
    ) -> Result<Option<Row>, postgres::Error> {
        let (ring, epoch) = (self.stable_ring.ring.0, self.stable_ring.epoch.number());
        let of_shard: [Parameter<'_>; 5] = [
            (&ring, Type::UUID),
            (&epoch, Type::INT8),
            (&self.shard, Type::TEXT),
            (&self.cluster, Type::UUID),
            (&CATALOG_VERSION, Type::INT4),
        ];
        let rows = session.query(sql, &[of_user, &of_shard].concat())?;
        Ok(rows.into_iter().next())
    }

    /// Handles a fast path that failed. If the second statement succeeded in the same epoch, the fast path would fail again, as
    /// the shard has no `topology_md5`, or its settings do not allow it: so it is skipped for a while.
    fn note_failure(&self, session: &mut Session, by_arcs: &RowReply<User>) {
        if by_arcs.status == ReplyStatus::Done && by_arcs.epoch == self.stable_ring.epoch {
            session.skip_fast_path();
        }
    }

    fn answer(&self, row: Option<User>) -> RowReply<User> {
        RowReply { row, ..RowReply::of(ReplyStatus::Done, self.stable_ring.epoch) }
    }
}

/// Reads a user.
pub(crate) fn get(session: &mut Session, expected: Expected<'_>, key: Key) -> ReplyResult<User> {
    let Some(fast_path) = FastPath::of(expected).filter(|_| session.tries_fast_path()) else {
        return get_by_arcs(session, expected, key);
    };
    let id = key.id.number();
    let of_user: [Parameter<'_>; 1] = [(&id, Type::INT8)];
    if session.is_proved() {
        if let Some(row) = fast_path.query(session, GET_AGAIN, &of_user)? {
            return Ok(fast_path.answer(user_of(&row, 0)?));
        }
    } else if let Some(row) = fast_path.query(session, GET_FAST_PATH, &of_user)?
        && !row.get::<_, bool>(4)
    {
        if !row.get::<_, bool>(5) {
            session.note_proof();
        }
        return Ok(fast_path.answer(user_of(&row, 0)?));
    }
    let answer = get_by_arcs(session, expected, key)?;
    fast_path.note_failure(session, &answer);
    Ok(answer)
}

/// Reads a user with a check of the arcs.
fn get_by_arcs(session: &mut Session, expected: Expected<'_>, key: Key) -> ReplyResult<User> {
    let id = key.id.number();
    read_by_arcs(session, expected, key.position, GET, &[(&id, Type::INT8)], |row| user_of(row, 6))
}

/// Reads a row with a check of the arcs, by a statement with the columns of `sql/queries/get_user.sql`: the only place that
/// evaluates them.
pub(crate) fn read_by_arcs<R>(
    session: &mut Session,
    expected: Expected<'_>,
    position: Position,
    sql: &'static str,
    of_row: &[Parameter<'_>],
    parse: impl FnOnce(&Row) -> Result<Option<R>, postgres::Error>,
) -> ReplyResult<R> {
    let position_parameter = Uuid::from(position);
    let parameters = [&[(&position_parameter as _, Type::UUID)], of_row].concat();
    let rows = query_unhidden(session, sql, &parameters, |row| row.get::<_, &str>(12) != "off")?;
    let wrong_shard = Ok(RowReply::of(ReplyStatus::WrongShard, Epoch::GUESSED));
    // No row: `meta` is empty, so this database is no shard.
    let Some(row) = rows.first() else { return wrong_shard };
    let is_ours = expected.shard() == row.get::<_, &str>(0)
        && expected.cluster.is_none_or(|cluster| cluster == row.get::<_, ClusterId>(1));
    // In a catalog of another version the same columns may mean something else.
    if !is_ours || row.get::<_, i32>(10) != CATALOG_VERSION {
        return wrong_shard;
    }
    let epoch = Epoch::new(row.get(2));
    // A standby has no current file.
    let (timeline, wal_file) = (row.get::<_, &str>(13), row.get::<_, Option<&str>>(14));
    if wal_file.is_some_and(|name| name.get(..TIMELINE_DIGITS) != Some(timeline)) {
        return Ok(RowReply::of(ReplyStatus::Unconfirmed, epoch));
    }
    // The arc ends at or after the position, and contains it if it begins at or before it.
    let contains = row.get::<_, Option<Uuid>>(3).is_some_and(|first| Position::from(first) <= position);
    let status = match row.get::<_, Option<&str>>(4).filter(|_| contains) {
        _ if !row.get::<_, bool>(15) => ReplyStatus::OtherColumns,
        Some("owned") => ReplyStatus::Done,
        Some(_) => ReplyStatus::Fenced(row.get::<_, Option<&str>>(5).and_then(|target| target.parse().ok())),
        None => ReplyStatus::NotOwner,
    };
    let arc_epoch = row.get::<_, Option<i64>>(11).map(Epoch::new);
    Ok(RowReply { status, epoch, arc_epoch, row: parse(row)? })
}

/// Sends a statement; again, in a transaction with `row_security = off`, if its answer shows that a pooler dropped that setting.
fn query_unhidden(
    session: &mut Session,
    sql: &'static str,
    parameters: &[Parameter<'_>],
    may_hide_rows: impl Fn(&Row) -> bool,
) -> Result<Vec<Row>, postgres::Error> {
    let rows = session.query(sql, parameters)?;
    if !rows.first().is_some_and(may_hide_rows) {
        return Ok(rows);
    }
    session.note_pooler();
    session.query(sql, parameters)
}

/// A write of one user.
#[derive(Debug, Clone, Copy)]
pub enum UserChange<'a> {
    /// Stores a new user.
    Create(&'a User),
    /// Changes fields of a user.
    Update(UserId, &'a UserPatch),
    /// Deletes a user.
    Delete(UserId),
}

/// Whether to set a field, and its value.
pub(crate) type Field<'a> = (bool, Option<&'a str>);

/// The kind of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOperation {
    /// Stores a new row.
    Create,
    /// Changes columns of a row.
    Update,
    /// Deletes a row.
    Delete,
}

impl RowOperation {
    /// Its name in `ringshard.write_user`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// The arguments of `ringshard.write_user` after cluster and shard.
pub(crate) struct Arguments<'a> {
    pub(crate) operation: RowOperation,
    pub(crate) id: UserId,
    pub(crate) name: Field<'a>,
    pub(crate) region: Field<'a>,
    pub(crate) email: Field<'a>,
}

impl Arguments<'_> {
    /// For each field whether to set it, and the value.
    fn patch(&self) -> [Parameter<'_>; 6] {
        [
            (&self.name.0, Type::BOOL),
            (&self.name.1, Type::TEXT),
            (&self.region.0, Type::BOOL),
            (&self.region.1, Type::TEXT),
            (&self.email.0, Type::BOOL),
            (&self.email.1, Type::TEXT),
        ]
    }
}

impl<'a> UserChange<'a> {
    /// The id of the user.
    pub(crate) fn id(&self) -> UserId {
        match self {
            Self::Create(user) => user.user_id,
            Self::Update(id, _) | Self::Delete(id) => *id,
        }
    }

    /// What it does.
    pub(crate) fn operation(&self) -> RowOperation {
        match self {
            Self::Create(_) => RowOperation::Create,
            Self::Update(..) => RowOperation::Update,
            Self::Delete(_) => RowOperation::Delete,
        }
    }

    /// The arguments that are sent.
    pub(crate) fn arguments(&self) -> Arguments<'a> {
        fn patched<const MAX: usize>(field: Option<&Option<Limited<MAX>>>) -> Field<'_> {
            (field.is_some(), field.and_then(Option::as_ref).map(Limited::as_str))
        }
        let nothing: Field<'a> = (false, None);
        let (operation, id) = (self.operation(), self.id());
        match *self {
            Self::Create(user) => Arguments {
                operation,
                id,
                name: (true, user.name.as_deref()),
                region: (true, user.region.as_deref()),
                email: (true, user.email.as_deref()),
            },
            Self::Update(_, patch) => Arguments {
                operation,
                id,
                name: (patch.name.is_some(), patch.name.as_ref().map(Limited::as_str)),
                region: patched(patch.region.as_ref()),
                email: patched(patch.email.as_ref()),
            },
            Self::Delete(_) => Arguments { operation, id, name: nothing, region: nothing, email: nothing },
        }
    }
}

/// Writes a row, if the shard owns the key.
pub(crate) fn write(
    session: &mut Session,
    expected: Expected<'_>,
    change: UserChange<'_>,
) -> ReplyResult<User> {
    let arguments = change.arguments();
    let Some(fast_path) = FastPath::of(expected).filter(|_| session.tries_fast_path()) else {
        return write_by_arcs(session, expected, &arguments);
    };
    match write_fast_path(session, &fast_path, &arguments) {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => {
            let answer = write_by_arcs(session, expected, &arguments)?;
            fast_path.note_failure(session, &answer);
            Ok(answer)
        }
        // The role may write users, but not lock `fast_path_lock`.
        Err(cause) if cause.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            session.skip_fast_path();
            write_by_arcs(session, expected, &arguments)
        }
        Err(cause) => Err(cause),
    }
}

fn write_fast_path(
    session: &mut Session,
    fast_path: &FastPath<'_>,
    arguments: &Arguments<'_>,
) -> Result<Option<RowReply<User>>, postgres::Error> {
    let Arguments { operation, id, name, region, email } = arguments;
    let id = id.number();
    let id_parameter: Parameter<'_> = (&id, Type::INT8);
    let row = match operation {
        RowOperation::Create => {
            let user = [id_parameter, (&name.1, Type::TEXT), (&region.1, Type::TEXT), (&email.1, Type::TEXT)];
            fast_path.query(session, CREATE_FAST_PATH, &user)?
        }
        RowOperation::Update => {
            let patch = [&[id_parameter][..], &arguments.patch()].concat();
            fast_path.query(session, UPDATE_FAST_PATH, &patch)?
        }
        RowOperation::Delete => fast_path.query(session, DELETE_FAST_PATH, &[id_parameter])?,
    };
    row.map(|row| Ok(fast_path.answer(user_of(&row, 0)?))).transpose()
}

fn write_by_arcs(
    session: &mut Session,
    expected: Expected<'_>,
    arguments: &Arguments<'_>,
) -> ReplyResult<User> {
    let id = arguments.id.number();
    let of_user = [&[(&id as _, Type::INT8)], &arguments.patch()[..]].concat();
    write_by_proof(session, expected, arguments.operation, WRITE, &of_user, |row| user_of(row, 3))
}

/// Writes a row by a function whose arguments and answers begin as those of `ringshard.write_user`.
pub(super) fn write_by_proof<R>(
    session: &mut Session,
    expected: Expected<'_>,
    operation: RowOperation,
    sql: &'static str,
    of_row: &[Parameter<'_>],
    parse: impl FnOnce(&Row) -> Result<Option<R>, postgres::Error>,
) -> ReplyResult<R> {
    let first_parameters: [Parameter<'_>; 5] = [
        (&expected.cluster.map(|id| id.to_string()), Type::TEXT),
        (&expected.shard(), Type::TEXT),
        (&CATALOG_VERSION, Type::INT4),
        (&expected.least_epoch.number(), Type::INT8),
        (&operation.name(), Type::TEXT),
    ];
    let parameters = [&first_parameters[..], of_row].concat();
    let is_policy = |row: &Row| row.get::<_, Option<&str>>(0) == Some("policy");
    let rows = query_unhidden(session, sql, &parameters, is_policy)?;
    let mut answer = answer_of(&rows);
    if let Some(row) = rows.first() {
        answer.row = parse(row)?;
    }
    Ok(answer)
}

fn answer_of<R>(rows: &[Row]) -> RowReply<R> {
    let Some(row) = rows.first() else { return RowReply::of(ReplyStatus::WrongShard, Epoch::GUESSED) };
    let status = match row.get::<_, Option<&str>>(0) {
        Some("done") => ReplyStatus::Done,
        Some("exists") => ReplyStatus::Exists,
        Some("not_found") => ReplyStatus::NotFound,
        Some("fenced") => {
            ReplyStatus::Fenced(row.get::<_, Option<&str>>(2).and_then(|target| target.parse().ok()))
        }
        Some("not_owner") => ReplyStatus::NotOwner,
        Some("late") => ReplyStatus::Late,
        Some("unconfirmed") => ReplyStatus::Unconfirmed,
        Some("other_columns") => ReplyStatus::OtherColumns,
        _ => ReplyStatus::WrongShard,
    };
    RowReply::of(status, row.get::<_, Option<i64>>(1).map_or(Epoch::GUESSED, Epoch::new))
}

/// The row in the four columns from `at`, if there is one.
fn user_of(row: &Row, at: usize) -> Result<Option<User>, postgres::Error> {
    let Some(id) = row.try_get::<_, Option<i64>>(at)? else { return Ok(None) };
    Ok(Some(User {
        user_id: UserId::new(id),
        name: row.try_get(at + 1)?,
        region: row.try_get(at + 2)?,
        email: row.try_get(at + 3)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checks of a statement before it writes, without the numbers of parameters.
    fn proof(statement: &str) -> String {
        let begin = statement.find("meta.topology_md5 = ").expect("it compares the ring");
        let last = "'checked', true)) IS NOT NULL";
        let end = statement.find(last).expect("it bypasses the guard") + last.len();
        statement[begin..end].chars().filter(|c| !c.is_ascii_digit()).collect()
    }

    #[test]
    fn the_three_writes_of_the_fast_path_have_the_same_checks() {
        let [create, update, delete] = [CREATE_FAST_PATH, UPDATE_FAST_PATH, DELETE_FAST_PATH].map(proof);
        assert!(create.contains("ringshard.fast_path_lock FOR KEY SHARE"));
        assert_eq!(create, update);
        assert_eq!(create, delete);
    }
}
