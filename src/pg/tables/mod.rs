//! The tables of a cluster: adds tables to it, and removes them.
//!
//! The topology lists the tables, so a table is added as a shard is: by a change that is announced to all shards and finished on
//! all of them, in a new epoch. No arc moves in it (`ringshard.fence` sees to it). Before it is announced each shard gets the
//! guard, and then each row of the table must be on an arc of its shard: from then on the guard keeps it so, and the ring cannot
//! change, as the desired topology is taken. So nothing stops writers for longer than it takes to create four triggers, and an
//! interrupted run leaves a guard that refuses nothing but misplaced rows.

mod describe;
mod reference;

use std::thread;
use std::time::Duration;

use postgres::Transaction;
use postgres::error::SqlState;
use postgres::types::Type;

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::Direction;
use crate::model::ring::topology::Topology;
use crate::model::table::{Table, TableName};
use crate::pg::catalog::triggers;
use crate::pg::cluster::Cluster;
use crate::pg::net::sqlstate;
use crate::pg::rebalance::{self, RebalanceOptions, Topologies};
use crate::pg::requests::connection::Connection;
use crate::threads;

pub(crate) use describe::{TableFault, fault};
pub use describe::{TableSize, sizes};

/// How often creating the triggers is tried, as a long transaction may be in the way.
const TRIES_MAX: u32 = 30;
/// How long one try waits: other writers queue behind it.
const LOCK_TIMEOUT: &str = "1s";
/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Finds a table by the name that a user gave, and by the column that is to be its key; without one it is a reference table. Fails
/// with `NotFound` without such a table, and with `Configuration` if it cannot be sharded like this.
pub fn find(
    cluster: &Cluster,
    name: &str,
    key: Option<&str>,
    unchecked_unique: Vec<String>,
) -> Result<Table> {
    describe::find(cluster, name, key, unchecked_unique)
}

/// Adds a table to the cluster. Returns what would keep its rows from moving, such as a foreign key of another table. Fails with
/// `Conflict` if it has the table, and with `Failed` if a row is on a shard that does not own it.
pub fn add(cluster: &Cluster, table: &Table) -> Result<Vec<String>> {
    let topologies = rebalance::topologies(cluster)?;
    let before = &topologies.membership.topology;
    let known = before.tables().get(&table.name);
    // The table of the Python prototype becomes one of any columns.
    let is_extended = known.is_some_and(|known| known.is_prototype && known.key == table.key)
        && describe::has_other_columns(cluster, before)?;
    if let Some(known) = known.filter(|_| !is_extended) {
        // Its removal is planned only.
        if known == table && topologies.target().tables().get(&table.name).is_none() {
            rebalance::set_desired_topology(cluster, &topologies, before)?;
            return describe::side_effects(cluster);
        }
        let how = match &known.key {
            Some(key) => format!("is sharded by `{}` already", key.column),
            None => "is a reference table already".into(),
        };
        return Err(Error::new(Kind::Conflict, format!("the table `{}` {how}", table.name))
            .hint("ringshard table list shows the tables"));
    }
    let after = before.clone().with_tables(before.tables().with(table.clone()));
    require_no_other_change(&topologies, &after)?;
    for shard in before.names() {
        describe::check(cluster, shard, table)?;
    }
    if table.key.is_none() {
        reference::check(cluster, before, &table.name)?;
    }
    rebalance::set_desired_topology(cluster, &topologies, &after)?;
    if let Err(error) = prepare(cluster, before, &after) {
        // It was this run that asked for it.
        let taken_back = rebalance::topologies(cluster)
            .and_then(|topologies| rebalance::set_desired_topology(cluster, &topologies, before));
        let drop_guards = || {
            if is_extended { Ok(()) } else { drop_guards(cluster, before, &table.name) }
        };
        return Err(match taken_back.and_then(|()| drop_guards()) {
            Ok(()) => error,
            Err(cause) => error.adding(&format!("; and it could not be undone: {cause}")),
        });
    }
    carry_out(cluster)?;
    describe::side_effects(cluster)
}

/// An error for each reference table whose rows are not the same on all shards of a topology.
pub fn differing_references(cluster: &Cluster, topology: &Topology) -> Result<Vec<Error>> {
    reference::differing(cluster, topology)
}

/// Warnings about the columns of a table whose unique values each shard makes for itself.
pub fn collisions(cluster: &Cluster, table: &Table) -> Result<Vec<Error>> {
    describe::collisions(cluster, table)
}

/// The tables that [`remove`] can remove: those of the cluster, and those whose addition is planned only.
pub fn removable(cluster: &Cluster) -> Result<Vec<Table>> {
    let topologies = rebalance::topologies(cluster)?;
    let tables = topologies.membership.topology.tables();
    let planned = topologies.target().tables().missing_in(tables);
    Ok(tables.all().iter().chain(planned).cloned().collect())
}

/// The table of this name, if a removal that was interrupted has left the guard on it.
pub fn left_guarded(cluster: &Cluster, name: &str) -> Result<Option<TableName>> {
    describe::left_guarded(cluster, name)
}

/// Removes a table from the cluster; its rows stay where they are. If its addition is planned only, it is taken back; of another
/// table the guard is dropped.
pub fn remove(cluster: &Cluster, name: &TableName) -> Result<()> {
    let topologies = rebalance::topologies(cluster)?;
    let before = &topologies.membership.topology;
    if before.tables().get(name).is_none() {
        if topologies.target().tables().get(name).is_some() {
            rebalance::set_desired_topology(cluster, &topologies, before)?;
        }
        return drop_guards(cluster, before, name);
    }
    let after = before.clone().with_tables(before.tables().without(name));
    require_no_other_change(&topologies, &after)?;
    rebalance::set_desired_topology(cluster, &topologies, &after)?;
    carry_out(cluster)?;
    drop_guards(cluster, before, name)
}

/// Prepares all shards for the tables that `after` has and `before` lacks: each gets the guard, then its rows are checked. Does
/// nothing if there are none.
pub fn prepare(cluster: &Cluster, before: &Topology, after: &Topology) -> Result<()> {
    for table in after.tables().missing_in(before.tables()) {
        let prepared = threads::at_once(before.names(), |shard| prepare_on(cluster, shard, table));
        prepared.into_iter().collect::<Result<()>>()?;
    }
    Ok(())
}

fn prepare_on(cluster: &Cluster, shard: &ShardName, table: &Table) -> Result<()> {
    let Some(key) = &table.key else { return Ok(()) };
    let fail = |cause: postgres::Error| {
        sqlstate::doing(&format!("prepare the table `{}`", table.name), shard, &cause)
    };
    let mut connection = Connection::open(cluster, shard)?;
    let client = connection.session().client();
    let is_missing = "SELECT pg_catalog.to_regclass($1) IS NULL";
    let row = client.query_typed_one(is_missing, &[(&table.name.as_sql(), Type::TEXT)]).map_err(fail)?;
    if row.get(0) {
        let message = format!("shard `{shard}` has no table `{}`", table.name);
        let hint =
            format!("create it there; or ringshard table remove {} takes its addition back", table.name);
        return Err(Error::new(Kind::NotFound, message).hint(hint).on_shard(shard));
    }
    with_short_locks(&mut connection, "prepare", &table.name, |transaction| {
        triggers::install(transaction, &table.name, key).map(drop)
    })?;
    let client = connection.session().client();
    // Each row that was there before the guard was is seen by this statement.
    let sql = "SELECT pg_catalog.count(*), pg_catalog.min(key) FROM ringshard.misplaced_keys($1::text::regclass, $2) \
               WHERE NOT EXISTS (SELECT FROM ringshard.arc \
                                 WHERE first = '00000000-0000-0000-0000-000000000000' AND last = 'ffffffff-ffff-ffff-ffff-ffffffffffff')";
    let row = client
        .query_typed_one(sql, &[(&table.name.as_sql(), Type::TEXT), (&key.column, Type::TEXT)])
        .map_err(fail)?;
    let misplaced: i64 = row.get(0);
    if misplaced == 0 {
        return Ok(());
    }
    let message = format!(
        "{misplaced} rows of `{}` on shard `{shard}` belong to other shards, such as the one with `{}` {}",
        table.name,
        key.column,
        row.get::<_, &str>(1)
    );
    Err(Error::new(Kind::Failed, message)
        .hint("move them to their owners (ringshard ring locate KEY names the owner of a key), then run this again")
        .on_shard(shard))
}

/// Fails with `Locked` if another change is planned.
fn require_no_other_change(topologies: &Topologies, after: &Topology) -> Result<()> {
    match &topologies.desired_topology {
        Some(desired) if desired != after => {
            Err(Error::new(Kind::Locked, "another change of the cluster is planned already")
                .hint("ringshard rebalance carries it out; then run this again"))
        }
        _ => Ok(()),
    }
}

/// Drops the guards of the tables that `before` has and `after` lacks, once they are removed.
pub fn drop_guards_of_removed(cluster: &Cluster, before: &Topology, after: &Topology) -> Result<()> {
    let is_removed = |table: &&Table| after.tables().get(&table.name).is_none();
    before
        .tables()
        .all()
        .iter()
        .filter(is_removed)
        .try_for_each(|table| drop_guards(cluster, after, &table.name))
}

fn carry_out(cluster: &Cluster) -> Result<()> {
    // No row moves, so none is counted.
    if let Some(planned) = rebalance::plan::plan(cluster, false)? {
        rebalance::carry_out(cluster, &planned, Direction::Forward, RebalanceOptions::default(), |_| true)?;
    }
    cluster.refresh().map(drop)
}

fn drop_guards(cluster: &Cluster, topology: &Topology, table: &TableName) -> Result<()> {
    let dropped = threads::at_once(topology.names(), |shard| {
        let mut connection = Connection::open(cluster, shard)?;
        with_short_locks(&mut connection, "drop the guard of", table, |transaction| {
            triggers::drop_all(transaction, table)
        })
    });
    dropped.into_iter().collect()
}

/// Runs `work` in a transaction that waits for a lock only for a moment, as writers queue behind it; if another transaction has the
/// table for longer, it is tried again.
fn with_short_locks(
    connection: &mut Connection,
    what: &str,
    table: &TableName,
    work: impl Fn(&mut Transaction<'_>) -> Result<(), postgres::Error>,
) -> Result<()> {
    let shard = connection.shard().clone();
    let client = connection.session().client();
    let mut attempt = || {
        let mut transaction = client.transaction()?;
        transaction.batch_execute(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))?;
        work(&mut transaction)?;
        transaction.commit()
    };
    for _ in 0..TRIES_MAX {
        match attempt() {
            Err(cause) if cause.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                log::info!("Another transaction has the table {table} of shard {shard}: trying again");
                thread::sleep(PAUSE);
            }
            done => {
                return done.map_err(|cause| {
                    sqlstate::doing(&format!("{what} the table `{table}`"), &shard, &cause)
                });
            }
        }
    }
    let message = format!("cannot {what} the table `{table}` on shard `{shard}`: another transaction has it");
    Err(Error::new(Kind::Locked, message)
        .hint("ringshard doctor names open transactions; end it, then run this again")
        .on_shard(&shard))
}
