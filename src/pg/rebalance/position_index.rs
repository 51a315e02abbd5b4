//! The index on the position of each sharded table, by which chunks are found. It slows writes down, so it exists only during a
//! rebalance.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use postgres::Row;
use postgres::error::SqlState;
use postgres::types::Type;

use super::run_state::RunState;
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::table::TableName;
use crate::pg::catalog::position_index;
use crate::pg::net::session::{Parameter, only};
use crate::pg::net::sqlstate;
use crate::pg::requests::connection::Connection;
use crate::threads;

/// How often to check whether the build is done.
const SLICE: Duration = Duration::from_millis(2);
/// How often to check what the build waits for.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// A sharded table of a shard, or a partition of one, which has rows of its own, and its index on the position.
struct Indexed {
    /// Its name and its key, quoted.
    table: String,
    key: String,
    /// The name of its index, without the schema.
    index: String,
    /// The index, if it exists: its quoted name, and whether it is valid.
    found: Option<(String, bool)>,
}

/// The sharded tables of a shard that exist, and the partitions in place of partitioned ones: no index on a partitioned table can
/// be built concurrently, and none is needed.
fn look(connection: &mut Connection) -> Result<Vec<Indexed>, postgres::Error> {
    let tables = connection.session().query(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.quote_ident(sharded.key_column) \
         FROM ringshard.sharded_parts() AS sharded \
         JOIN pg_catalog.pg_class AS c ON c.oid = sharded.part AND c.relkind = 'r' \
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace",
        &[],
    )?;
    let look_at = |row: &Row| {
        let (table, key): (String, String) = (row.get(0), row.get(1));
        let index = position_index(&TableName::new(&table));
        let found = connection.session().query(
            "SELECT i.indexrelid::regclass::text, i.indisvalid \
             FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid \
             WHERE i.indrelid = pg_catalog.to_regclass($1) AND c.relname = $2",
            &[(&table, Type::TEXT), (&index, Type::TEXT)],
        )?;
        let found = found.first().map(|row| (row.get(0), row.get(1)));
        Ok(Indexed { table, key, index, found })
    };
    tables.iter().map(look_at).collect()
}

/// Builds the indexes on these shards, the sources, in parallel.
pub(crate) fn build_all(run_state: &RunState<'_>, shards: BTreeSet<&ShardName>) -> Result<()> {
    run_state.set_current("building an index on the position".into());
    let built = threads::at_once(shards, |shard| build_watched(run_state, shard));
    run_state.set_waiting(None);
    if run_state.is_stopped() {
        return Err(run_state.stopped());
    }
    built.into_iter().collect()
}

/// Builds the indexes on one shard. Over another connection it checks what the build waits for, and cancels it when the run is
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

/// Builds the indexes that do not exist, one after the other. Writers continue; a build waits for older transactions.
fn build(connection: &mut Connection, shard: &ShardName) -> Result<()> {
    let fail = |cause: postgres::Error| {
        let error = sqlstate::doing("build the index on the position", shard, &cause);
        error.hint("run ringshard rebalance again; the build waits for long transactions on that shard")
    };
    for Indexed { table, key, index, found } in look(connection).map_err(fail)? {
        match found {
            Some((_, true)) => continue,
            // From an interrupted build.
            Some((name, false)) => drop_one(connection, shard, &name)?,
            None => {}
        }
        let sql = format!(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS {index} ON {table} ((pg_catalog.md5({key}::text)::uuid))"
        );
        connection.session().client().batch_execute(&sql).map_err(fail)?;
    }
    Ok(())
}

/// Drops the indexes that exist, without blocking writers. If a drop has to wait for long, the index stays.
pub(crate) fn drop_all(connection: &mut Connection, shard: &ShardName) -> Result<()> {
    let fail = |cause: postgres::Error| sqlstate::doing("drop the index on the position", shard, &cause);
    for (name, _) in look(connection).map_err(fail)?.into_iter().filter_map(|indexed| indexed.found) {
        drop_one(connection, shard, &name)?;
    }
    Ok(())
}

fn drop_one(connection: &mut Connection, shard: &ShardName, name: &str) -> Result<()> {
    let fail = |cause: postgres::Error| sqlstate::doing("drop the index on the position", shard, &cause);
    let patience = Duration::from_secs(5).as_millis();
    let client = connection.session().client();
    client.batch_execute(&format!("SET lock_timeout = {patience}")).map_err(fail)?;
    let dropped = client.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"));
    client.batch_execute("RESET lock_timeout").map_err(fail)?;
    match dropped {
        Err(cause) if cause.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            log::warn!("The index {name} of shard {shard} is in use and stays: the next rebalance drops it");
            Ok(())
        }
        dropped => dropped.map_err(fail),
    }
}
