//! The index on the position: chunks are found by it. It makes writes dearer, so it is there only while rows move.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::types::Type;

use super::connection::Connection;
use super::run_state::RunState;
use crate::error::Result;
use crate::model::names::ShardName;
use crate::pg::net::session::{Parameter, only};
use crate::pg::net::sqlstate;
use crate::threads;

/// Its name.
const NAME: &str = "ringshard_position";
/// How often it is looked whether the build is done.
const SLICE: Duration = Duration::from_millis(2);
/// How often it is looked what keeps it waiting.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Whether it is there, and whole.
fn is_valid(link: &mut Connection) -> Result<Option<bool>, postgres::Error> {
    let sql = "SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass('public.ringshard_position')";
    Ok(link.session().query(sql, &[])?.first().map(|row| row.get(0)))
}

/// Builds it on all these shards at once: those that are to give something.
pub(crate) fn build_all(run: &RunState<'_>, shards: BTreeSet<&ShardName>) -> Result<()> {
    run.is_at("building an index on the position".into());
    let built = threads::at_once(shards, |shard| build_watched(run, shard));
    run.waits(None);
    if run.is_stopped() {
        return Err(run.stopped());
    }
    built.into_iter().collect()
}

/// Builds it, and looks over another connection what keeps it waiting; ends the build when all are to stop.
fn build_watched(run: &RunState<'_>, shard: &ShardName) -> Result<()> {
    let fail = |cause: postgres::Error| sqlstate::doing("watch the index being built", shard, &cause);
    let mut link = Connection::open(run.cluster, shard)?;
    let rows = link.session().query("SELECT pg_catalog.pg_backend_pid()", &[]).map_err(fail)?;
    let pid: i32 = only(rows, "watch the index being built", shard)?.get(0);
    thread::scope(|scope| {
        let build = scope.spawn(move || build(&mut link, shard));
        let (mut watcher, mut looked) = (None, Instant::now());
        while !build.is_finished() {
            thread::sleep(SLICE);
            if looked.elapsed() < LOOK_INTERVAL {
                continue;
            }
            looked = Instant::now();
            let watcher = match &mut watcher {
                Some(watcher) => watcher,
                none => none.insert(Connection::open(run.cluster, shard)?),
            };
            let own: &[Parameter<'_>] = &[(&pid, Type::INT4)];
            if run.is_stopped() {
                watcher.session().query("SELECT pg_catalog.pg_cancel_backend($1)", own).map_err(fail)?;
                continue;
            }
            let sql = "SELECT current_locker_pid::bigint FROM pg_catalog.pg_stat_progress_create_index \
                       WHERE pid = $1 AND current_locker_pid <> 0";
            let rows = watcher.session().query(sql, own).map_err(fail)?;
            if let Some(row) = rows.first() {
                let locker: i64 = row.get(0);
                run.waits(Some(format!("session {locker} on shard `{shard}` is in an older transaction")));
            }
        }
        threads::join(build)
    })
}

/// Builds it, unless it is there. Writers go on meanwhile; a transaction that is open keeps it waiting.
fn build(link: &mut Connection, shard: &ShardName) -> Result<()> {
    let fail = |cause: postgres::Error| {
        let error = sqlstate::doing("build the index on the position", shard, &cause);
        error.hint("ringshard rebalance begins again; a long transaction on that shard keeps it waiting")
    };
    match is_valid(link).map_err(fail)? {
        Some(true) => return Ok(()),
        // Of a build that was ended.
        Some(false) => drop_it(link, shard)?,
        None => {}
    }
    let sql = format!(
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS {NAME} ON public.users ((pg_catalog.md5(user_id::text)::uuid))"
    );
    link.session().client().batch_execute(&sql).map_err(fail)
}

/// Drops it, if it is there. Nobody is kept waiting; if others keep this one waiting for long, it stays.
pub(crate) fn drop_it(link: &mut Connection, shard: &ShardName) -> Result<()> {
    let fail = |cause: postgres::Error| sqlstate::doing("drop the index on the position", shard, &cause);
    if is_valid(link).map_err(fail)?.is_none() {
        return Ok(());
    }
    let patience = Duration::from_secs(5).as_millis();
    let client = link.session().client();
    client.batch_execute(&format!("SET lock_timeout = {patience}")).map_err(fail)?;
    let dropped = client.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS public.{NAME}"));
    client.batch_execute("RESET lock_timeout").map_err(fail)?;
    match dropped {
        Err(cause) if cause.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            log::warn!("The index {NAME} of shard {shard} is in use and stays: the next rebalance drops it");
            Ok(())
        }
        dropped => dropped.map_err(fail),
    }
}
