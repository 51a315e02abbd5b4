//! A statement about keys of one shard: it runs there, in a transaction in which the shard proves that it owns them.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use postgres::types::Type;
use serde_json::Value;
use sqlparser::ast::Statement;

use super::answer::{
    Answer, BEGIN_TO_WRITE, Table, begins_as_query, check_changes_rows, command_tag, executed, in_memory,
    steps, writes,
};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::Cell;
use crate::model::ring::position::Position;
use crate::model::ring::topology::Epoch;
use crate::model::table::KeyType;
use crate::pg::cluster::Cluster;
use crate::pg::net::session::{OneLine, Session};
use crate::pg::net::sqlstate;
use crate::pg::pool::PooledSession;
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::rows::Router;
use crate::pg::rows::keyed::Keyed;
use crate::pg::rows::router::FENCE_PATIENCE;
use crate::pg::rows::statements::{Expected, ReplyResult, ReplyStatus, RowReply, read_by_arcs};
use crate::pg::scan::sql::{Ending, columns_of, for_each_row, refused, types_of};
use crate::pg::two_phase::roll_back;

/// The proof of a read: as `sql/queries/get_user.sql`, without a row.
const PROVE: &str = include_str!("../../../sql/queries/prove_key.sql");
/// The pause before a statement about a key that is on its way is sent again.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);
/// How often a shard is asked again because of a conflict.
const CONFLICTS_MAX: u32 = 3;

/// Runs a statement on the owner of these keys.
pub(super) fn run(
    cluster: &Cluster,
    sql: &str,
    statement: Option<&Statement>,
    keys: &[String],
) -> Result<Answer> {
    let sql = sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    let reads = statement.map_or_else(|| begins_as_query(sql), |statement| !writes(statement));
    if let ([key], true) = (keys, reads) {
        let (columns, rows) = read(cluster, key, |session| answer_of(session, sql))?;
        return Ok(in_memory(columns, rows, None));
    }
    check_changes_rows(sql, statement)?;
    write(cluster, sql, keys)
}

/// Runs a statement that reads rows of a key on its owner, in one snapshot with the proof; while the key moves, on either side.
/// `statement` may be called again.
pub(crate) fn read<T>(
    cluster: &Cluster,
    key: &str,
    statement: impl Fn(&mut Session) -> Result<T, Ending>,
) -> Result<T> {
    let read = Read { key, position: Position::of_key(key), statement };
    let (answer, shard) = Router(cluster).read(ReadIntent::AllowReplica, "run the statement", &read)?;
    match answer {
        Some(answer) => answer.map_err(|ending| ending.error(&shard)),
        None => {
            Err(Error::new(Kind::Failed, "the statement was not run").hint("run this again").on_shard(&shard))
        }
    }
}

/// The plan of the owner of a key.
pub(super) fn explain(cluster: &Cluster, sql: &str, inner: &Statement, keys: &[String]) -> Result<Answer> {
    let shard = owner(cluster, keys, &BTreeMap::new())?.to_string();
    let answer = run(cluster, sql, Some(inner), keys)?;
    let route = format!("the owner of the key `{}`", keys.join("`, `"));
    let mut rows = vec![["route".to_owned(), shard.clone(), route]];
    for row in answer.rows {
        let line = row?.1.into_iter().next().unwrap_or(Cell::Null);
        if let Cell::Text(line) = line {
            rows.push(["part".to_owned(), shard.clone(), line]);
        }
    }
    Ok(steps(rows))
}

/// A statement that reads rows of one key.
struct Read<'a, F> {
    key: &'a str,
    position: Position,
    statement: F,
}

impl<T, F: Fn(&mut Session) -> Result<T, Ending>> Keyed for Read<'_, F> {
    type Row = Result<T, Ending>;

    fn key(&self) -> String {
        self.key.to_owned()
    }

    fn position(&self) -> Position {
        self.position
    }

    fn read(&self, session: &mut Session, expected: Expected<'_>) -> ReplyResult<Self::Row> {
        // One snapshot for the proof and the statement.
        session
            .client()
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL row_security = off")?;
        session.set_in_transaction(true);
        let answer = self.read_in_transaction(session, expected);
        // It has only read.
        roll_back(session);
        answer
    }
}

impl<T, F: Fn(&mut Session) -> Result<T, Ending>> Read<'_, F> {
    fn read_in_transaction(
        &self,
        session: &mut Session,
        expected: Expected<'_>,
    ) -> ReplyResult<Result<T, Ending>> {
        let reply = read_by_arcs(session, expected, self.position, PROVE, &[], |_| Ok(Some(())))?;
        // What a fenced arc has counts if its target does not own it yet.
        if !matches!(reply.status, ReplyStatus::Done | ReplyStatus::Fenced(_)) {
            let RowReply { status, epoch, arc_epoch, .. } = reply;
            return Ok(RowReply { status, epoch, arc_epoch, row: None });
        }
        // An error of the statement itself is no reason to ask another shard.
        let row = match (self.statement)(session) {
            Err(Ending::Refused(cause))
                if sqlstate::is_lost(&cause) || sqlstate::is_worth_repeating(&cause) =>
            {
                return Err(cause);
            }
            answer => answer,
        };
        Ok(RowReply { status: reply.status, epoch: reply.epoch, arc_epoch: reply.arc_epoch, row: Some(row) })
    }
}

/// The answer of a statement that reads.
fn answer_of(session: &mut Session, sql: &str) -> Result<Table, Ending> {
    log::debug!("Executing: {}", OneLine(sql));
    let statement = session.prepare(sql)?;
    let mut rows = Vec::new();
    for_each_row(session.client(), &types_of(&statement), sql, &mut |row| {
        rows.push(row);
        true
    })?;
    Ok((columns_of(&statement), rows))
}

/// A transaction on the owner of its keys, open behind its first statement.
pub(super) struct Opened {
    pub(super) shard: ShardName,
    pub(super) session: PooledSession,
    /// What the statement returned, and the number of rows of its command tag.
    pub(super) table: Table,
    pub(super) count: u64,
}

/// What an attempt to open a transaction came to.
enum Attempt {
    Opened(Box<Opened>),
    /// A key is elsewhere, or on its way; with its owner as far as that shard knows.
    Moved(Option<(String, ShardName)>),
    Conflict(Error),
}

fn write(cluster: &Cluster, sql: &str, keys: &[String]) -> Result<Answer> {
    let Opened { shard, mut session, table: (columns, rows), count } =
        open(cluster, BEGIN_TO_WRITE, sql, keys)?;
    commit(&mut session, "the statement", &shard)?;
    log::info!("Committed a statement to shard {shard}");
    let done = format!("{} on shard {shard}", command_tag(sql, count));
    Ok(in_memory(columns, rows, Some(done)))
}

/// Commits. If the answer is lost, the outcome is unknown. `what` completes "cannot commit …".
pub(crate) fn commit(session: &mut Session, what: &str, shard: &ShardName) -> Result<()> {
    let committed = session.client().batch_execute("COMMIT");
    session.set_in_transaction(false);
    let Err(cause) = committed else { return Ok(()) };
    session.spoil();
    let error = sqlstate::doing(&format!("commit {what}"), shard, &cause);
    Err(if sqlstate::is_lost(&cause) || cause.code().is_none() {
        error.adding("; the outcome is unknown").hint("read the rows before this is run again")
    } else {
        error
    })
}

/// Begins a transaction on the owner of these keys, which proves it, and runs a statement there. Until that is done, nothing is lost by
/// beginning again: so it waits for a key that is being moved, and follows it.
pub(super) fn open(cluster: &Cluster, begin: &str, sql: &str, keys: &[String]) -> Result<Opened> {
    let begun = Instant::now();
    let mut conflicts = 0;
    let mut moved = BTreeMap::new();
    let tables = cluster.view().topology.tables().clone();
    loop {
        if *cluster.view().topology.tables() != tables {
            // What was read as the key may be none.
            return Err(Error::new(Kind::Locked, "the tables of the cluster have changed meanwhile")
                .hint("ringshard table list shows them; then run this again"));
        }
        let shard = owner(cluster, keys, &moved)?;
        match attempt(cluster, &shard, begin, sql, keys)? {
            Attempt::Opened(opened) => return Ok(*opened),
            Attempt::Moved(_) if begun.elapsed() > FENCE_PATIENCE => {
                let message = format!("the key `{}` is being moved, and does not arrive", keys[0]);
                return Err(Error::new(Kind::Locked, message)
                    .hint("ringshard status shows the progress; then run this again"));
            }
            Attempt::Moved(to) => {
                cluster.shards().active_sessions().check()?;
                thread::sleep(PAUSE);
                cluster.refresh()?;
                // It may go back in the meantime.
                moved =
                    to.into_iter().filter(|(_, shard)| cluster.shards().names().contains(shard)).collect();
            }
            Attempt::Conflict(error) => {
                conflicts += 1;
                if conflicts > CONFLICTS_MAX {
                    return Err(error);
                }
                thread::sleep(PAUSE);
            }
        }
    }
}

/// The shard of all these keys. An error if there are two.
fn owner(cluster: &Cluster, keys: &[String], moved: &BTreeMap<String, ShardName>) -> Result<ShardName> {
    let view = cluster.view();
    let place = |key: &String| moved.get(key).unwrap_or_else(|| view.owner(Position::of_key(key))).clone();
    let first = place(&keys[0]);
    match keys[1..].iter().map(|key| (key, place(key))).find(|(_, shard)| *shard != first) {
        None => Ok(first),
        Some((key, other)) => {
            let message = format!(
                "the statement writes rows of two shards: the key `{}` is on `{first}`, and `{key}` on `{other}`",
                keys[0]
            );
            Err(Error::new(Kind::Usage, message)
                .hint("write one statement for the keys of each shard; ringshard ring locate KEY shows it"))
        }
    }
}

fn attempt(cluster: &Cluster, shard: &ShardName, begin: &str, sql: &str, keys: &[String]) -> Result<Attempt> {
    let mut session = cluster.reach(ReadIntent::Primary, shard)?;
    match in_transaction(&mut session, begin, sql, keys, cluster.view().epoch) {
        // This process does not know the newest topology, and so perhaps not the tables.
        Ok(None) => {
            roll_back(&mut session);
            Ok(Attempt::Moved(None))
        }
        Ok(Some((table, count))) => {
            Ok(Attempt::Opened(Box::new(Opened { shard: shard.clone(), session, table, count })))
        }
        Err(cause) => {
            roll_back(&mut session);
            match Refusal::of(&cause) {
                Some(refusal) if refusal.is_about(|key| keys.contains(key)) => {
                    Ok(Attempt::Moved(refusal.key.zip(refusal.owner)))
                }
                _ if sqlstate::is_lost(&cause) || sqlstate::is_worth_repeating(&cause) => {
                    Ok(Attempt::Conflict(sqlstate::doing("run the statement", shard, &cause)))
                }
                _ => Err(refused(shard, &cause)),
            }
        }
    }
}

/// How a shard refuses a key: the errors of `require_owner` and of the guard (docs/routing.md).
pub(crate) struct Refusal {
    /// Whether the key is being moved.
    pub(crate) is_moving: bool,
    /// As far as the error tells.
    pub(crate) key: Option<String>,
    pub(crate) owner: Option<ShardName>,
    /// Of the shard that refuses.
    pub(crate) epoch: Epoch,
}

impl Refusal {
    pub(crate) fn of(cause: &postgres::Error) -> Option<Self> {
        let error = cause.as_db_error()?;
        let code = error.code().code();
        let detail: Value =
            error.detail().and_then(|detail| serde_json::from_str(detail).ok()).unwrap_or_default();
        ["RS001", "RS002", "RS013", "RS014"].contains(&code).then(|| Self {
            is_moving: code == "RS002",
            key: detail["key"].as_str().map(ToOwned::to_owned),
            owner: detail["owner"].as_str().and_then(|owner| owner.parse().ok()),
            epoch: Epoch::new(detail["epoch"].as_i64().unwrap_or_default()),
        })
    }

    /// Whether it is about one of our keys. Another one is that of a row that the statement would store.
    pub(crate) fn is_about(&self, is_ours: impl Fn(&String) -> bool) -> bool {
        self.key.as_ref().is_none_or(is_ours)
    }
}

/// The statement that lets a shard prove that it owns a key. Its text decides about its position, whatever its type.
pub(crate) fn proof(key: &str) -> String {
    let is = |of: KeyType| of.canonical(key).is_ok_and(|text| text == key);
    let cast = if is(KeyType::Bigint) {
        "::bigint"
    } else if is(KeyType::Uuid) {
        "::uuid"
    } else {
        ""
    };
    format!("SELECT ringshard.require_owner($1::text{cast}, $2)")
}

/// Lets the shard prove that it owns these keys, until the transaction ends.
pub(super) fn prove(
    session: &mut Session,
    keys: &[String],
    known_epoch: Epoch,
) -> Result<(), postgres::Error> {
    for key in keys {
        session
            .client()
            .query_typed(&proof(key), &[(key, Type::TEXT), (&known_epoch.number(), Type::INT8)])?;
    }
    Ok(())
}

fn in_transaction(
    session: &mut Session,
    begin: &str,
    sql: &str,
    keys: &[String],
    known_epoch: Epoch,
) -> Result<Option<(Table, u64)>, postgres::Error> {
    session.client().batch_execute(begin)?;
    session.set_in_transaction(true);
    prove(session, keys, known_epoch)?;
    // A newer topology may have other tables.
    let rows = session.client().query_typed("SELECT epoch FROM ringshard.meta", &[])?;
    if rows.first().is_none_or(|row| row.get::<_, i64>(0) > known_epoch.number()) {
        return Ok(None);
    }
    executed(session, sql).map(Some)
}
