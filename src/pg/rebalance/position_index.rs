//! The index on the position, by which chunks are found. It slows writes down, so it exists only during a rebalance.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::types::Type;

use super::run_state::RunState;
use crate::error::Result;
use crate::model::names::ShardName;
use crate::pg::catalog::POSITION_INDEX;
use crate::pg::net::session::{Parameter, only};
use crate::pg::net::sqlstate;
use crate::pg::requests::connection::Connection;
use crate::threads;

/// How often to check whether the build is done.
const SLICE: Duration = Duration::from_millis(2);
/// How often to check what the build waits for.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Whether the index is valid; `None` if it does not exist.
fn is_valid(connection: &mut Connection) -> Result<Option<bool>, postgres::Error> {
    let sql = "SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass('public.ringshard_position')";
    Ok(connection.session().query(sql, &[])?.first().map(|row| row.get(0)))
}

/// Builds the index on these shards, the sources, in parallel.
pub(crate) fn build_all(run_state: &RunState<'_>, shards: BTreeSet<&ShardName>) -> Result<()> {
    run_state.set_current("building an index on the position".into());
    let built = threads::at_once(shards, |shard| build_watched(run_state, shard));
    run_state.set_waiting(None);
    if run_state.is_stopped() {
        return Err(run_state.stopped());
    }
    built.into_iter().collect()
}

/// Builds the index on one shard. Over another connection it checks what the build waits for, and cancels it when the run is
/// to stop.
fn build_watched(run_state: &RunState<'_>, shard: &ShardName) -> Result<()> {
    let fail = |cause: postgres::Error| sqlstate::doing("watch the build of the index", shard, &cause);
    let mut connection = Connection::open(run_state.cluster, shard)?;
    let rows = connection.session().query("SELECT pg_catalog.pg_backend_pid()", &[]).map_err(fail)?;
    let pid: i32 = only(rows, "watch the build of the index", shard)?.get(0);
    thread::scope(|scope| {
        let build = threads::start_in(scope, move || build(&mut connection, shard))?;
        let (mut watcher, mut looked) = (None, Instant::now());
        while !build.is_finished() {
            thread::sleep(SLICE);
            if looked.elapsed() < LOOK_INTERVAL {
                continue;
            }
            looked = Instant::now();
            let watcher = match &mut watcher {
                Some(watcher) => watcher,
                none => none.insert(Connection::open(run_state.cluster, shard)?),
            };
            let own: &[Parameter<'_>] = &[(&pid, Type::INT4)];
            if run_state.is_stopped() {
                watcher.session().query("SELECT pg_catalog.pg_cancel_backend($1)", own).map_err(fail)?;
                continue;
            }
            let sql = "SELECT current_locker_pid::bigint FROM pg_catalog.pg_stat_progress_create_index \
                       WHERE pid = $1 AND current_locker_pid <> 0";
            let rows = watcher.session().query(sql, own).map_err(fail)?;
            if let Some(row) = rows.first() {
                let locker: i64 = row.get(0);
                run_state.set_waiting(Some(format!(
                    "session {locker} on shard `{shard}` has an older transaction"
                )));
            }
        }
        threads::join(build)
    })
}

/// Builds the index unless it exists. Writers continue; the build waits for older transactions.
fn build(connection: &mut Connection, shard: &ShardName) -> Result<()> {
    let fail = |cause: postgres::Error| {
        let error = sqlstate::doing("build the index on the position", shard, &cause);
        error.hint("run ringshard rebalance again; the build waits for long transactions on that shard")
    };
    match is_valid(connection).map_err(fail)? {
        Some(true) => return Ok(()),
        // From an interrupted build.
        Some(false) => drop_it(connection, shard)?,
        None => {}
    }
    let sql = format!(
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS {POSITION_INDEX} ON public.users ((pg_catalog.md5(user_id::text)::uuid))"
    );
    connection.session().client().batch_execute(&sql).map_err(fail)
}

/// Drops the index if it exists, without blocking writers. If the drop has to wait for long, the index stays.
pub(crate) fn drop_it(connection: &mut Connection, shard: &ShardName) -> Result<()> {
    let fail = |cause: postgres::Error| sqlstate::doing("drop the index on the position", shard, &cause);
    if is_valid(connection).map_err(fail)?.is_none() {
        return Ok(());
    }
    let patience = Duration::from_secs(5).as_millis();
    let client = connection.session().client();
    client.batch_execute(&format!("SET lock_timeout = {patience}")).map_err(fail)?;
    let dropped = client.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS public.{POSITION_INDEX}"));
    client.batch_execute("RESET lock_timeout").map_err(fail)?;
    match dropped {
        Err(cause) if cause.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            log::warn!(
                "The index {POSITION_INDEX} of shard {shard} is in use and stays: the next rebalance drops it"
            );
            Ok(())
        }
        dropped => dropped.map_err(fail),
    }
}
