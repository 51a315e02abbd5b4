//! Removes a dead shard from the ring: other shards, the recipients, get its arcs, with the rows of a replica or a backup if
//! there is one.
//!
//! `model/failover_plan/` decides which recipient gets what. Each recipient gets its rows, its arcs and the topology without
//! the shard in one transaction, in a new epoch. No other shard owns these arcs, so the recipients need not wait for each
//! other; after an interruption the next run updates those that are left.

use crate::pg::failover::{promote, survivors};
use std::collections::BTreeMap;

use postgres::IsolationLevel;
use postgres::types::Type;

use super::survivors::Survivors;
use crate::error::{Error, Kind, Result};
use crate::model::failover_plan::{Reassignment, reassign};
use crate::model::names::ShardName;
use crate::model::rebalance::{Reply, RingState, ShardState};
use crate::model::ring::arc::{Arc, merged};
use crate::model::ring::position::Position;
use crate::model::ring::topology::Epoch;
use crate::model::table::{ShardingKey, TableName};
use crate::pg::catalog::{self, quoted};
use crate::pg::cluster::{Cluster, prototype_log};
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::net::session::{Parameter, Session, only};
use crate::pg::net::sqlstate::{self, on_shard};
use crate::pg::requests::connection::{Connection, ROW_TEXT};
use crate::pg::scan::snapshot::held_of;
use crate::pg::two_phase;

/// How many rows one fetch returns, and one statement stores.
const ROWS_PER_FETCH: i32 = 2_000;

/// The plan of a removal.
pub struct RemovalPlan {
    dead: ShardName,
    survivors: Survivors,
    reassignment: Reassignment,
    /// The address of the shard.
    pub url: String,
    /// Whether a desired topology is dropped with it.
    pub has_desired_topology: bool,
    /// Whether it continues an interrupted run.
    pub is_begun: bool,
}

/// What one recipient gets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reassigned {
    /// The number of arcs.
    pub arcs: u64,
    /// Their share of the ring, 0 to 1.
    pub share: f64,
    /// The number of recovered users.
    pub rows: u64,
}

/// The result of a removal.
#[derive(Debug, Clone, PartialEq)]
pub struct Removed {
    /// The new epoch of all shards.
    pub epoch: Epoch,
    /// What each recipient got.
    pub recipients: BTreeMap<ShardName, Reassigned>,
    /// Users of the backup on arcs that are not reassigned; they were ignored.
    pub ignored: u64,
    /// Transactions on several shards that were prepared, and that the lost shard had to decide about: they were rolled back.
    pub undecided: usize,
    /// Whether a change is still under way.
    pub is_changing: bool,
}

/// The database that the rows are recovered from: a replica, or a restored backup.
pub struct Recovery {
    session: Session,
    /// The arcs that it owns; empty if it has no catalog.
    owns: Vec<Arc>,
    url: String,
}

impl RemovalPlan {
    /// What each recipient will get, without rows.
    pub fn recipients(&self) -> BTreeMap<ShardName, Reassigned> {
        let recipients = self.reassignment.recipients.iter();
        let reassigned = |arcs: &[Arc]| Reassigned {
            arcs: arcs.len() as u64,
            share: arcs.iter().map(|arc| arc.share()).sum(),
            rows: 0,
        };
        recipients.map(|(shard, recipient)| (shard.clone(), reassigned(&recipient.gains))).collect()
    }
}

/// Plans the removal of a dead shard. Fails with `Conflict` if the shard answers or cannot be removed.
pub fn plan_removal(cluster: &Cluster, dead: &ShardName, recovery: Option<&Recovery>) -> Result<RemovalPlan> {
    promote::refresh_survivors(cluster, dead)?;
    survivors::must_not_answer(cluster, dead)?;
    let survivors = survivors::read(cluster, dead)?;
    let url = cluster.shards().address(dead)?.shown().to_owned();
    let backup = recovery.map_or(&[][..], |recovery| &recovery.owns);
    let reassignment = reassign(&survivors.states(), dead, backup).map_err(|why| {
        Error::new(Kind::Conflict, format!("shard `{dead}` cannot be removed: {why}"))
            .hint(format!("ringshard promote {dead} makes a replica the primary, if there is one"))
            .on_shard(dead)
    })?;
    if reassignment.recipients.is_empty() {
        let message = format!("shard `{dead}` is not part of the ring any more");
        return Err(Error::new(Kind::NotFound, message)
            .hint(format!("ringshard remove-shard {dead} removes it from the configuration")));
    }
    let has_desired_topology =
        survivors.observed.iter().any(|(_, observed)| observed.state.ring.desired_topology.is_some());
    let is_begun = reassignment.recipients.len() < survivors.observed.len();
    Ok(RemovalPlan { dead: dead.clone(), survivors, reassignment, url, has_desired_topology, is_begun })
}

/// Opens the database to recover rows from. Fails with `Configuration` if it has a catalog of another shard or cluster.
pub fn open_recovery(cluster: &Cluster, dead: &ShardName, url: &ConnectionString) -> Result<Recovery> {
    let address = cluster.shards().resolve(dead, url)?;
    let mut session = Session::connect(dead, &address)?;
    let sql = "SELECT pg_catalog.to_regclass('ringshard.meta') IS NOT NULL, \
                      EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
                              WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema'))";
    let doing = |cause: postgres::Error| sqlstate::doing("read the backup", dead, &cause);
    let rows = session.query(sql, &[]).map_err(doing)?;
    let (has_catalog, has_tables) = rows.first().map_or((false, false), |row| (row.get(0), row.get(1)));
    if !has_tables {
        let message = format!("the database at {} has no table", address.shown());
        return Err(Error::new(Kind::Configuration, message)
            .hint("use the URL of the replica or of the restored backup"));
    }
    // A dump of the table alone has no catalog.
    let mut owns = Vec::new();
    if has_catalog {
        let rows = session.query(include_str!("../../../sql/queries/snapshot.sql"), &[]).map_err(doing)?;
        let held = held_of(&only(rows, "read the backup", dead)?, dead)?.arcs;
        owns =
            merged(held.into_iter().filter(crate::model::ring::arc::ShardArc::is_owned).map(|held| held.arc));
        let description = catalog::describe(&mut session, dead)?;
        let (shard, of) = description.identity();
        let is_stale = shard.starts_with(&format!("{dead}_retired_"));
        let shard = if is_stale { dead.as_str() } else { shard };
        catalog::check_identity(dead, &address, cluster.id(), (shard, of))?;
    }
    Ok(Recovery { session, owns, url: address.shown().to_owned() })
}

/// Carries out a planned removal. `progress` gets the number of recovered rows. Fails with `Locked` if something changed
/// since the plan was made.
pub fn remove_dead_shard(
    cluster: &Cluster,
    plan: &RemovalPlan,
    recovery: Option<Recovery>,
    progress: impl Fn(u64),
) -> Result<Removed> {
    let dead = &plan.dead;
    let _lock = survivors::lock_changes(cluster, &plan.survivors)?;
    let survivors = survivors::read(cluster, dead)?;
    if survivors.states() != plan.survivors.states() {
        let message = "the ring was changed in the meantime; nothing was done";
        return Err(Error::new(Kind::Locked, message)
            .hint(format!("ringshard remove-shard {dead} --dead"))
            .on_shard(dead));
    }
    survivors::must_not_answer(cluster, dead)?;
    // They hold the barrier, and nobody else can decide about them.
    let undecided = two_phase::roll_back_undecided(cluster, dead)?;
    let mut recipients = plan.recipients();
    let mut connections: BTreeMap<&ShardName, Connection> = BTreeMap::new();
    for shard in plan.reassignment.recipients.keys() {
        let mut connection = Connection::open_unconfirmed(cluster, shard)?;
        let begun = connection.session().client().batch_execute("BEGIN");
        begun.map_err(|cause| sqlstate::doing("begin the transaction", shard, &cause))?;
        connections.insert(shard, connection);
    }
    let ignored = match recovery {
        Some(recovery) => recover_rows(plan, recovery, &mut connections, &mut recipients, progress)?,
        None => 0,
    };
    let Reassignment { epoch, topology, change, .. } = &plan.reassignment;
    for (shard, recipient) in &plan.reassignment.recipients {
        let connection = connections.get_mut(shard).expect("each recipient has a connection");
        let (epoch, topology, change) = (*epoch, topology.clone(), change.clone());
        let ring = RingState { epoch, topology, change, desired_topology: None };
        let forced = ShardState { ring, arcs: recipient.arcs.clone() };
        let again = format!("ringshard remove-shard {dead} --dead continues");
        let reply = connection.overwrite_state(&recipient.seen, &forced, Some((dead, &plan.url)));
        let reply =
            reply.map_err(on_shard("reassign arcs", shard)).map_err(|error| error.hint(again.clone()))?;
        if matches!(reply, Reply::Stale) {
            let message = format!("shard `{shard}` was changed in the meantime, and has no new arcs yet");
            return Err(Error::new(Kind::Locked, message).hint(again).on_shard(shard));
        }
        let committed = connection.session().client().batch_execute("COMMIT");
        committed.map_err(|cause| sqlstate::doing("reassign arcs", shard, &cause).hint(again))?;
        for arc in &recipient.gains {
            log::info!("Arc {arc} reassigned to {shard}");
        }
    }
    cluster.shards().remove(dead);
    cluster.refresh()?;
    Ok(Removed { epoch: *epoch, recipients, ignored, undecided, is_changing: change.is_some() })
}

/// Rows of one table for one recipient: their keys, and they as texts.
#[derive(Default)]
struct RecipientRows<'a>(Vec<&'a str>, Vec<&'a str>);

impl RecipientRows<'_> {
    /// Stores them in the open transaction. Earlier rows of these keys are on no arc of this shard, and go to the quarantine.
    fn store(
        &self,
        connection: &mut Connection,
        (table, key): (&TableName, &ShardingKey),
        dead: &ShardName,
    ) -> Result<()> {
        let shard = connection.shard().clone();
        let reason = format!("in conflict with rows recovered from {dead}");
        let doing = |cause: postgres::Error| sqlstate::doing("store recovered rows", &shard, &cause);
        let session = connection.session();
        // Inserts and deletes.
        session.query("SELECT ringshard.forbid_side_effects(4 + 8)", &[]).map_err(doing)?;
        let aside = format!(
            "WITH conflicting AS (DELETE FROM {} AS t \
                                  WHERE t.{} = ANY ($1::{}[]) AND t.xmin <> pg_catalog.pg_current_xact_id()::xid \
                                  RETURNING t.*::text AS contents) \
             INSERT INTO ringshard.quarantine (reason, table_name, contents) SELECT $2, $3, contents FROM conflicting",
            table.as_sql(),
            quoted(&key.column),
            key.of,
        );
        let parameters: &[Parameter<'_>] =
            &[(&self.0, Type::TEXT_ARRAY), (&reason, Type::TEXT), (&table.as_sql(), Type::TEXT)];
        session.client().query_typed(&aside, parameters).map_err(doing)?;
        let parameters: &[Parameter<'_>] =
            &[(&table.as_sql(), Type::TEXT), (&self.1, Type::TEXT_ARRAY), (&reason, Type::TEXT)];
        let stored = session
            .query("SELECT row_count FROM ringshard.store_rows($1, $2, $3)", parameters)
            .map_err(doing)?;
        let stored: i64 = only(stored, "store recovered rows", &shard)?.get(0);
        if usize::try_from(stored).ok() == Some(self.1.len()) {
            return Ok(());
        }
        let message = format!("of {} recovered rows of {table} only {stored} can be stored", self.1.len());
        Err(Error::new(Kind::Failed, message)
            .hint("rows with the same primary key and another sharding key are there: delete those of the backup")
            .on_shard(&shard))
    }
}

/// Stores the rows of a backup on the recipients, in their open transactions; returns how many were ignored.
fn recover_rows(
    plan: &RemovalPlan,
    mut recovery: Recovery,
    connections: &mut BTreeMap<&ShardName, Connection>,
    recipients: &mut BTreeMap<ShardName, Reassigned>,
    progress: impl Fn(u64),
) -> Result<u64> {
    let dead = &plan.dead;
    let doing = |cause: postgres::Error| {
        let error = sqlstate::doing("read the backup", dead, &cause);
        error.hint(format!("nothing was changed; check {}", recovery.url))
    };
    let pieces = plan.reassignment.pieces();
    let recipient_of = |position: Position| {
        let at = pieces.partition_point(|(arc, _)| arc.last() < position);
        pieces.get(at).filter(|(arc, _)| arc.contains(position)).map(|(_, shard)| *shard)
    };
    let begin = recovery.session.client().build_transaction();
    let mut snapshot =
        begin.isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().map_err(doing)?;
    snapshot.batch_execute(ROW_TEXT).map_err(doing)?;
    let (mut ignored, mut recovered) = (0, 0);
    let first = connections.values_mut().next();
    let tables = first.map(columns_in_order).transpose()?.unwrap_or_default();
    for (name, columns) in tables {
        let table = plan.reassignment.topology.tables().sharded().find(|(table, _)| table.as_sql() == name);
        let Some((table, key)) = table else { continue };
        let sql = format!(
            "SELECT t.{}::text, t.*::text FROM (SELECT {columns} FROM {name}) AS t",
            quoted(&key.column)
        );
        let statement = snapshot.prepare(&sql).map_err(doing)?;
        let portal = snapshot.bind(&statement, &[]).map_err(doing)?;
        loop {
            let rows = snapshot.query_portal(&portal, ROWS_PER_FETCH).map_err(doing)?;
            let mut batches: BTreeMap<&ShardName, RecipientRows<'_>> = BTreeMap::new();
            for row in &rows {
                let key: &str = row.try_get(0).map_err(doing)?;
                let Some(shard) = recipient_of(Position::of_key(key)) else {
                    ignored += 1;
                    continue;
                };
                prototype_log::key_reassigned(key, shard);
                let batch = batches.entry(shard).or_default();
                batch.0.push(key);
                batch.1.push(row.try_get(1).map_err(doing)?);
            }
            for (shard, batch) in batches {
                let connection = connections.get_mut(shard).expect("each recipient has a connection");
                batch.store(connection, (table, key), dead)?;
                let count = batch.0.len() as u64;
                recipients.get_mut(shard).expect("each recipient is one").rows += count;
                recovered += count;
            }
            progress(recovered);
            if rows.len() < usize::try_from(ROWS_PER_FETCH).unwrap_or(usize::MAX) {
                break;
            }
        }
    }
    Ok(ignored)
}

/// The sharded tables in the order in which rows are stored, each with its columns, quoted.
fn columns_in_order(connection: &mut Connection) -> Result<Vec<(String, String)>> {
    let shard = connection.shard().clone();
    let sql = "SELECT sharded.* FROM ringshard.tables_in_order() AS tables \
               CROSS JOIN ROWS FROM (pg_catalog.unnest(tables.names), pg_catalog.unnest(tables.columns)) \
                          AS sharded (name, columns)";
    let rows = connection.session().query(sql, &[]);
    let rows = rows.map_err(|cause| sqlstate::doing("read the sharded tables", &shard, &cause))?;
    Ok(rows.iter().map(|row| (row.get("name"), row.get("columns"))).collect())
}
