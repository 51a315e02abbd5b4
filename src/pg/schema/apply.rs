//! Applies a change on one shard in a transaction.

use std::thread;
use std::time::Duration;

use postgres::error::SqlState;
use postgres::types::Type;
use postgres::{IsolationLevel, Transaction};

use super::{record, safety};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::schema::statement::Statement;
use crate::model::schema::{SchemaChange, shortened};
use crate::model::table::Tables;
use crate::pg::catalog::triggers;
use crate::pg::cluster::Cluster;
use crate::pg::net::sqlstate;
use crate::pg::requests::confirm;
use crate::pg::requests::connection::Connection;

/// How long one try waits for a lock: other sessions queue behind it.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '500ms'";
/// How often a lock is tried.
pub(super) const TRIES_MAX: u32 = 30;
/// The pause between two tries, for the sessions that queued.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// The settings of the session. The guard checks what the statements write.
const PRELUDE: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
                       SET standard_conforming_strings = on; SET client_min_messages = warning";

/// Why a transaction was rolled back.
enum RolledBack<'a> {
    /// A statement failed; `None` if it was one of ringshard's own.
    Failed(Option<&'a Statement>, postgres::Error),
    Refused(Error),
}

impl From<postgres::Error> for RolledBack<'_> {
    fn from(cause: postgres::Error) -> Self {
        Self::Failed(None, cause)
    }
}

/// A session of its own, with the settings that an application has.
pub(super) fn open(cluster: &Cluster, shard: &ShardName) -> Result<Connection> {
    let mut connection = Connection::over(shard, cluster.shards().connect_direct(shard)?, false)?;
    if !connection.is_confirmed(cluster)? {
        confirm::confirm(cluster, shard)?;
    }
    let prepared = connection.session().client().batch_execute(PRELUDE);
    prepared.map_err(|cause| sqlstate::doing("prepare a connection", shard, &cause))?;
    Ok(connection)
}

/// Applies a change in one transaction, unless the shard has it.
pub(super) fn in_transaction(
    connection: &mut Connection,
    change: &SchemaChange,
    tables: &Tables,
) -> Result<()> {
    let shard = connection.shard().clone();
    for tries in 0.. {
        let client = connection.session().client();
        let begin = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
        let done = begin.start().map_err(RolledBack::from).and_then(|mut transaction| {
            run(&mut transaction, &shard, change, tables)?;
            Ok(transaction.commit()?)
        });
        match done {
            Ok(()) => break,
            Err(RolledBack::Refused(error)) => return Err(error),
            Err(RolledBack::Failed(_, cause)) if tries < TRIES_MAX && is_worth_another_try(&cause) => {
                log::info!("Another session holds a lock on shard {shard}: trying again");
                thread::sleep(PAUSE);
            }
            Err(RolledBack::Failed(statement, cause)) => {
                return Err(failure(change, statement, &shard, &cause));
            }
        }
    }
    Ok(())
}

/// Whether a transaction, which was rolled back, may succeed a little later.
pub(super) fn is_worth_another_try(cause: &postgres::Error) -> bool {
    cause.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) || sqlstate::is_worth_repeating(cause)
}

/// The statements of a change with its record, up to the commit.
fn run<'a>(
    transaction: &mut Transaction<'_>,
    shard: &ShardName,
    change: &'a SchemaChange,
    tables: &Tables,
) -> Result<(), RolledBack<'a>> {
    transaction.batch_execute(LOCK_TIMEOUT)?;
    // Until the commit no change of the ring begins on this shard.
    let stable = "SELECT FROM ringshard.meta WHERE status = 'done' AND desired_topology IS NULL FOR SHARE";
    if transaction.query_typed(stable, &[])?.is_empty() {
        return Err(RolledBack::Refused(not_stable(shard)));
    }
    let recorded = transaction.execute_typed(
        record::INSERT,
        &[
            (&change.id, Type::UUID),
            (&change.name, Type::TEXT),
            (&change.text, Type::TEXT),
            (&record::ChangeState::Applied.as_str(), Type::TEXT),
        ],
    )?;
    if recorded == 0 {
        return Ok(());
    }
    let before = safety::faults(transaction, tables)?;
    for statement in &change.statements {
        // A statement before it may have set another one.
        transaction.batch_execute(LOCK_TIMEOUT)?;
        transaction
            .batch_execute(&statement.text)
            .map_err(|cause| RolledBack::Failed(Some(statement), cause))?;
    }
    // Whatever role the statements have set.
    transaction.batch_execute("SET LOCAL ROLE NONE; SET LOCAL search_path = pg_catalog, public")?;
    for (table, key) in tables.sharded() {
        triggers::guard_partitions(transaction, table, key)?;
    }
    let after = safety::faults(transaction, tables)?;
    match safety::refusal(change, shard, &before, &after) {
        Some(error) => Err(RolledBack::Refused(error)),
        None => Ok(()),
    }
}

/// The error if a change of the ring has begun.
pub(super) fn not_stable(shard: &ShardName) -> Error {
    Error::new(Kind::Locked, format!("a change of the ring has begun on shard `{shard}`"))
        .hint("ringshard rebalance completes it; then run this again")
        .on_shard(shard)
}

/// The error for a change that failed.
pub(super) fn failure(
    change: &SchemaChange,
    statement: Option<&Statement>,
    shard: &ShardName,
    cause: &postgres::Error,
) -> Error {
    let what = match statement {
        Some(Statement { text, line, .. }) => {
            // The name of a change without one is its text.
            let of = if change.is_named { format!(" of `{}`", change.name) } else { String::new() };
            format!("run `{}` (line {line}{of})", shortened(text))
        }
        None => format!("apply `{}`", change.name),
    };
    let own = [
        &SqlState::LOCK_NOT_AVAILABLE,
        &SqlState::INSUFFICIENT_PRIVILEGE,
        &SqlState::READ_ONLY_SQL_TRANSACTION,
        &SqlState::DISK_FULL,
        &SqlState::OUT_OF_MEMORY,
        &SqlState::ADMIN_SHUTDOWN,
        &SqlState::CRASH_SHUTDOWN,
        &SqlState::CANNOT_CONNECT_NOW,
    ];
    let error = match cause.code() {
        // What these mean for a catalog or a user's row, they do not mean for a statement of the user's own.
        Some(code) if !own.contains(&code) => {
            let message = format!("cannot {what} on shard `{shard}`: {}", sqlstate::message_of(cause));
            let hint = match code {
                &SqlState::ACTIVE_SQL_TRANSACTION => {
                    "it cannot run in a transaction: run it on each shard with psql"
                }
                _ => "correct it, or what it finds on that shard; then run this again",
            };
            return Error::new(Kind::Failed, message).hint(hint).on_shard(shard);
        }
        _ => sqlstate::doing(&what, shard, cause),
    };
    if error.kind() == Kind::Locked {
        return error.hint(
            "ringshard doctor names open transactions: end the one that holds the table, then run this again",
        );
    }
    error
}
