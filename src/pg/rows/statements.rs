//! One user on one shard, in one round trip.
//!
//! A shard answers for itself, with its epoch; what to do with an answer is the cluster's business.
//!
//! While the ring is at rest a shard owns what the ring gives it. So a client that found the owner by that ring need only
//! learn that the shard has the arcs of just this ring: `sql/queries/fast_path/`, which is less work. If it has not, nothing was
//! done, and the arcs are looked at: `sql/queries/get_user.sql` and `ringshard.write_user`.

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

/// Whom a statement expects to talk to. A cluster that is not known yet is not compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) shard: &'a ShardName,
    /// The ring by which this shard owns the key, if nothing is known to be under way.
    pub(crate) stable_ring: Option<StableRing>,
}

impl Expected<'_> {
    fn shard(&self) -> &str {
        self.shard.as_str()
    }
}

/// What a shard said about a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReplyStatus {
    /// The shard owns the key: a read counts, a write is done.
    Done,
    /// It owns the key, and the user was there already.
    Exists,
    /// It owns the key, and there is no such user.
    NotFound,
    /// The key is on its way to another shard.
    Fenced(Option<ShardName>),
    /// The shard does not own the key.
    NotOwner,
    /// This database belongs to another shard or cluster, or its catalog is newer than this program.
    WrongShard,
}

/// A shard's answer.
#[derive(Debug, Clone)]
pub(crate) struct RowReply {
    pub(crate) verdict: ReplyStatus,
    pub(crate) epoch: Epoch,
    /// The epoch of the arc that a read met.
    pub(crate) arc_epoch: Option<Epoch>,
    /// The row, where the statement returns it and there is one.
    pub(crate) user: Option<User>,
}

/// The read of a user. `$1` is its position, `$2` its id.
pub(crate) const GET: &str = include_str!("../../../sql/queries/get_user.sql");
/// A write of a user.
pub(crate) const WRITE: &str = "SELECT answer, epoch, transfer_to, user_id, name, region, email \
     FROM ringshard.write_user($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
/// The same while the ring is at rest.
pub(crate) const GET_FAST_PATH: &str = include_str!("../../../sql/queries/fast_path/get.sql");
pub(crate) const CREATE_FAST_PATH: &str = include_str!("../../../sql/queries/fast_path/create.sql");
pub(crate) const UPDATE_FAST_PATH: &str = include_str!("../../../sql/queries/fast_path/update.sql");
pub(crate) const DELETE_FAST_PATH: &str = include_str!("../../../sql/queries/fast_path/delete.sql");

type ReplyResult = Result<RowReply, postgres::Error>;

/// Who is expected to be at rest, as the statements of `sql/queries/fast_path/` take it.
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

    /// Runs one of the statements. The row it returned, if the shard is at rest: for a read one of NULLs if there is no
    /// such user, for a write none if nothing was done.
    fn query(
        &self,
        session: &mut Session,
        sql: &'static str,
        of_the_user: &[Parameter<'_>],
    ) -> Result<Option<Row>, postgres::Error> {
        let (ring, epoch) = (self.stable_ring.ring.0, self.stable_ring.epoch.number());
        let rest: [Parameter<'_>; 5] = [
            (&ring, Type::UUID),
            (&epoch, Type::INT8),
            (&self.shard, Type::TEXT),
            (&self.cluster, Type::UUID),
            (&CATALOG_VERSION, Type::INT4),
        ];
        let rows = session.query(sql, &[of_the_user, &rest].concat())?;
        Ok(rows.into_iter().next())
    }

    /// What was asked in vain was done by the arcs. If that was in the same epoch, it will be so again: the shard does not
    /// say which ring's arcs it has, or its settings do not allow a write at rest.
    fn note(&self, session: &mut Session, by_arcs: &RowReply) {
        if by_arcs.verdict == ReplyStatus::Done && by_arcs.epoch == self.stable_ring.epoch {
            session.skip_fast_path();
        }
    }

    fn answer(&self, user: Option<User>) -> RowReply {
        RowReply { verdict: ReplyStatus::Done, epoch: self.stable_ring.epoch, arc_epoch: None, user }
    }
}

/// Reads a user.
pub(crate) fn get(session: &mut Session, expected: Expected<'_>, key: Key) -> ReplyResult {
    let Some(rest) = FastPath::of(expected).filter(|_| session.tries_fast_path()) else {
        return get_by_arcs(session, expected, key);
    };
    if let Some(row) = rest.query(session, GET_FAST_PATH, &[(&key.id.number(), Type::INT8)])? {
        return Ok(rest.answer(user_of(&row, 0)?));
    }
    let answer = get_by_arcs(session, expected, key)?;
    rest.note(session, &answer);
    Ok(answer)
}

/// The one place that says what the columns of `sql/queries/get_user.sql` mean.
fn get_by_arcs(session: &mut Session, expected: Expected<'_>, key: Key) -> ReplyResult {
    let Key { id, position } = key;
    let rows = session.query(GET, &[(&Uuid::from(position), Type::UUID), (&id.number(), Type::INT8)])?;
    // No row: `meta` is empty, so this database belongs to no shard.
    let stranger =
        RowReply { verdict: ReplyStatus::WrongShard, epoch: Epoch::GUESSED, arc_epoch: None, user: None };
    let Some(row) = rows.first() else { return Ok(stranger) };
    let is_ours = expected.shard() == row.get::<_, &str>(0)
        && expected.cluster.is_none_or(|cluster| cluster == row.get::<_, ClusterId>(1));
    // A newer catalog may mean something else by the same columns.
    if !is_ours || row.get::<_, i32>(10) > CATALOG_VERSION {
        return Ok(stranger);
    }
    let epoch = Epoch::new(row.get(2));
    // The arc ends at or behind the position; it holds it if it begins at or before it.
    let holds = row.get::<_, Option<Uuid>>(3).is_some_and(|first| Position::from(first) <= position);
    let verdict = match row.get::<_, Option<&str>>(4).filter(|_| holds) {
        Some("owned") => ReplyStatus::Done,
        Some(_) => ReplyStatus::Fenced(row.get::<_, Option<&str>>(5).and_then(|peer| peer.parse().ok())),
        None => ReplyStatus::NotOwner,
    };
    let arc_epoch = row.get::<_, Option<i64>>(11).map(Epoch::new);
    Ok(RowReply { verdict, epoch, arc_epoch, user: user_of(row, 6)? })
}

/// What a write does to a row.
#[derive(Debug, Clone, Copy)]
pub enum RowChange<'a> {
    /// Stores a new user.
    Create(&'a User),
    /// Changes fields of a user.
    Update(UserId, &'a UserPatch),
    /// Deletes a user.
    Delete(UserId),
}

/// Whether a field is to be set, and to what.
pub(crate) type Field<'a> = (bool, Option<&'a str>);

/// What is done to a row, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowOperation {
    Create,
    Update,
    Delete,
}

impl RowOperation {
    /// As `ringshard.write_user` has it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// The arguments of `ringshard.write_user` behind the cluster and the shard.
pub(crate) struct Arguments<'a> {
    pub(crate) operation: RowOperation,
    pub(crate) id: UserId,
    pub(crate) name: Field<'a>,
    pub(crate) region: Field<'a>,
    pub(crate) email: Field<'a>,
}

impl Arguments<'_> {
    /// Whether each field is set, and to what.
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

impl<'a> RowChange<'a> {
    /// Whose row it is.
    pub(crate) fn id(&self) -> UserId {
        match self {
            Self::Create(user) => user.user_id,
            Self::Update(id, _) | Self::Delete(id) => *id,
        }
    }

    /// What is sent.
    pub(crate) fn arguments(&self) -> Arguments<'a> {
        fn patched<const MAX: usize>(field: Option<&Option<Limited<MAX>>>) -> Field<'_> {
            (field.is_some(), field.and_then(Option::as_ref).map(Limited::as_str))
        }
        let nothing: Field<'a> = (false, None);
        let id = self.id();
        match *self {
            Self::Create(user) => Arguments {
                operation: RowOperation::Create,
                id,
                name: (true, user.name.as_deref()),
                region: (true, user.region.as_deref()),
                email: (true, user.email.as_deref()),
            },
            Self::Update(_, patch) => Arguments {
                operation: RowOperation::Update,
                id,
                name: (patch.name.is_some(), patch.name.as_ref().map(Limited::as_str)),
                region: patched(patch.region.as_ref()),
                email: patched(patch.email.as_ref()),
            },
            Self::Delete(_) => Arguments {
                operation: RowOperation::Delete,
                id,
                name: nothing,
                region: nothing,
                email: nothing,
            },
        }
    }
}

/// Writes a row, if the shard owns it.
pub(crate) fn write(session: &mut Session, expected: Expected<'_>, change: RowChange<'_>) -> ReplyResult {
    let arguments = change.arguments();
    let Some(rest) = FastPath::of(expected).filter(|_| session.tries_fast_path()) else {
        return write_by_arcs(session, expected, &arguments);
    };
    match write_fast_path(session, &rest, &arguments) {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => {
            let answer = write_by_arcs(session, expected, &arguments)?;
            rest.note(session, &answer);
            Ok(answer)
        }
        // The role may write users, and may not lock `fast_path_lock`.
        Err(cause) if cause.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            session.skip_fast_path();
            write_by_arcs(session, expected, &arguments)
        }
        Err(cause) => Err(cause),
    }
}

fn write_fast_path(
    session: &mut Session,
    rest: &FastPath<'_>,
    arguments: &Arguments<'_>,
) -> Result<Option<RowReply>, postgres::Error> {
    let Arguments { operation, id, name, region, email } = arguments;
    let id = id.number();
    let of_the_id: Parameter<'_> = (&id, Type::INT8);
    let row = match operation {
        RowOperation::Create => {
            let user = [of_the_id, (&name.1, Type::TEXT), (&region.1, Type::TEXT), (&email.1, Type::TEXT)];
            let stored = rest.query(session, CREATE_FAST_PATH, &user)?;
            return Ok(stored.map(|_| rest.answer(None)));
        }
        RowOperation::Update => {
            let patch = [&[of_the_id][..], &arguments.patch()].concat();
            rest.query(session, UPDATE_FAST_PATH, &patch)?
        }
        RowOperation::Delete => rest.query(session, DELETE_FAST_PATH, &[of_the_id])?,
    };
    row.map(|row| Ok(rest.answer(user_of(&row, 0)?))).transpose()
}

fn write_by_arcs(session: &mut Session, expected: Expected<'_>, arguments: &Arguments<'_>) -> ReplyResult {
    let (operation, id) = (arguments.operation.word(), arguments.id.number());
    let whom: [Parameter<'_>; 4] = [
        (&expected.cluster.map(|id| id.to_string()), Type::TEXT),
        (&expected.shard(), Type::TEXT),
        (&operation, Type::TEXT),
        (&id, Type::INT8),
    ];
    let rows = session.query(WRITE, &[&whom[..], &arguments.patch()].concat())?;
    let mut answer = answer_of(&rows);
    if let Some(row) = rows.first() {
        answer.user = user_of(row, 3)?;
    }
    Ok(answer)
}

fn answer_of(rows: &[Row]) -> RowReply {
    // No row: `meta` is empty, so this database belongs to no shard.
    let Some(row) = rows.first() else {
        return RowReply {
            verdict: ReplyStatus::WrongShard,
            epoch: Epoch::GUESSED,
            arc_epoch: None,
            user: None,
        };
    };
    let verdict = match row.get::<_, Option<&str>>(0) {
        Some("done") => ReplyStatus::Done,
        Some("exists") => ReplyStatus::Exists,
        Some("not_found") => ReplyStatus::NotFound,
        Some("fenced") => {
            ReplyStatus::Fenced(row.get::<_, Option<&str>>(2).and_then(|peer| peer.parse().ok()))
        }
        Some("not_owner") => ReplyStatus::NotOwner,
        _ => ReplyStatus::WrongShard,
    };
    let epoch = row.get::<_, Option<i64>>(1).map_or(Epoch::GUESSED, Epoch::new);
    RowReply { verdict, epoch, arc_epoch: None, user: None }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a statement proves before it writes, its parameters without their numbers.
    fn proof(statement: &str) -> String {
        let begin = statement.find("meta.topology_md5 = ").expect("it compares the ring");
        let last = "'checked', true)) IS NOT NULL";
        let end = statement.find(last).expect("it passes by the guard") + last.len();
        statement[begin..end].chars().filter(|c| !c.is_ascii_digit()).collect()
    }

    #[test]
    fn the_three_writes_at_rest_prove_the_same() {
        let [create, update, delete] = [CREATE_FAST_PATH, UPDATE_FAST_PATH, DELETE_FAST_PATH].map(proof);
        assert!(create.contains("ringshard.fast_path_lock FOR KEY SHARE"));
        assert_eq!(create, update);
        assert_eq!(create, delete);
    }
}
