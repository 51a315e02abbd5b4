//! The schema of the cluster's tables: applies a change on all shards, says which shard has which change, and how the schemas of
//! shards differ.
//!
//! A change is recorded on each shard in the transaction that applies it. So an interrupted run goes on where it was, and a shard
//! that has the change is skipped. The run holds the run lock, as a rebalance does: rows move only between tables that are alike.

mod alone;
mod apply;
mod compare;
mod record;
mod safety;

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::arbiter;
use crate::model::rebalance::plan::Load;
use crate::model::schema::SchemaChange;
use crate::model::table::Tables;
use crate::pg::cluster::Cluster;
use crate::pg::rebalance::run_lock::RunLock;
use crate::pg::rebalance::run_state::RunState;
use crate::pg::rebalance::{self, RebalanceOptions, Topologies};
use crate::threads;

pub use compare::{definitions, differences};
pub use record::{ChangeState, Recorded, SchemaStatus, status};

/// Where a change is already.
#[derive(Debug, Clone)]
pub struct SchemaPlan {
    /// The change.
    pub change: SchemaChange,
    /// All shards, the canary first, each with what it has recorded.
    pub shards: Vec<(ShardName, Option<Recorded>)>,
    /// Other changes that are not on all shards, by name.
    pub unfinished: Vec<String>,
}

impl SchemaPlan {
    /// The shards that do not have the change.
    pub fn missing(&self) -> impl Iterator<Item = &ShardName> {
        let lacks = |recorded: &Option<Recorded>| {
            recorded.as_ref().is_none_or(|recorded| recorded.state != ChangeState::Applied)
        };
        self.shards.iter().filter(move |(_, recorded)| lacks(recorded)).map(|(shard, _)| shard)
    }
}

/// Reads from all shards where a change is already. Fails with `Locked` while a change of the ring is under way or planned, and
/// with `Conflict` if another text was applied under its name.
pub fn plan(cluster: &Cluster, change: SchemaChange) -> Result<SchemaPlan> {
    let topologies = rebalance::topologies(cluster)?;
    require_stable(&topologies)?;
    let names: Vec<ShardName> = topologies.membership.topology.names().cloned().collect();
    let mut shards = Vec::new();
    let mut others: Vec<(Recorded, usize)> = Vec::new();
    for (shard, recorded) in cluster.shards().on_each(&names, |shard, session| record::read(session, shard)) {
        let (own, rest): (Vec<Recorded>, Vec<Recorded>) =
            recorded?.into_iter().partition(|recorded| recorded.id == change.id);
        if change.is_named && rest.iter().any(|other| other.name == change.name) {
            let message = format!("another text was applied as `{}` on shard `{shard}`", change.name);
            return Err(Error::new(Kind::Conflict, message)
                .hint("ringshard schema status shows where; a changed text needs another name: --name NAME")
                .on_shard(&shard));
        }
        for other in rest {
            let is_applied = usize::from(other.state == ChangeState::Applied);
            match others.iter_mut().find(|(known, _)| known.id == other.id) {
                Some((_, count)) => *count += is_applied,
                None => others.push((other, is_applied)),
            }
        }
        shards.push((shard, own.into_iter().next()));
    }
    others.retain(|(_, count)| *count < shards.len());
    Ok(SchemaPlan { change, shards, unfinished: others.into_iter().map(|(other, _)| other.name).collect() })
}

/// Applies a change on the shards that do not have it: on the first one alone, if none has it, then on the others at once.
/// Fails with `Partial` if some shard has it then, and with the reason otherwise; then nothing was changed.
pub fn apply(cluster: &Cluster, plan: &SchemaPlan) -> Result<()> {
    let topologies = rebalance::topologies(cluster)?;
    let topology = &topologies.membership.topology;
    let run_state = RunState::new(cluster, RebalanceOptions::default());
    let mut lock = RunLock::take(&run_state, arbiter(topology))?;
    lock.begin(Load::default());
    lock.set_phase("changing the schema");
    // A change of the ring may have begun while the user was asked.
    require_stable(&rebalance::topologies(cluster)?)?;
    let change = &plan.change;
    let mut missing: Vec<&ShardName> = plan.missing().collect();
    let mut have: Vec<&ShardName> =
        plan.shards.iter().map(|(shard, _)| shard).filter(|shard| !missing.contains(shard)).collect();
    let tables = topology.tables();
    if have.is_empty() && !missing.is_empty() {
        let canary = missing.remove(0);
        apply_on(cluster, canary, change, tables).map_err(|error| {
            // The outcome on a shard that was lost is not known.
            if error.kind() == Kind::Unreachable { error } else { error.adding("; nothing was changed") }
        })?;
        log::info!("Applied {} on shard {canary}, the first", change.name);
        have.push(canary);
    }
    let applied = threads::at_once(missing, |shard| (shard, apply_on(cluster, shard, change, tables)));
    let mut failed = None;
    for (shard, result) in applied {
        match result {
            Ok(()) => have.push(shard),
            Err(error) => failed = failed.or(Some((shard, error))),
        }
    }
    let Some((shard, error)) = failed else { return Ok(()) };
    let have: Vec<String> = have.iter().map(|shard| format!("`{shard}`")).collect();
    let message = format!("`{}` is on {} and not on all shards yet: {error}", change.name, have.join(", "));
    Err(Error::new(Kind::Partial, message)
        .hint("remove the reason, then run the same command again: shards that have the change are skipped")
        .on_shard(shard))
}

/// Applies a change on a shard, unless the shard has it.
fn apply_on(cluster: &Cluster, shard: &ShardName, change: &SchemaChange, tables: &Tables) -> Result<()> {
    let mut connection = apply::open(cluster, shard)?;
    match change.alone() {
        Some(statement) => alone::apply(&mut connection, change, statement, tables),
        None => apply::in_transaction(&mut connection, change, tables),
    }
}

/// Fails with `Locked` if a change of the ring is planned.
fn require_stable(topologies: &Topologies) -> Result<()> {
    let now = &topologies.membership.topology;
    let Some(desired) = topologies.desired_topology.as_ref().filter(|desired| *desired != now) else {
        return Ok(());
    };
    let undo = rebalance::undo_commands(now, desired).join("; ");
    let undo = if undo.is_empty() { undo } else { format!(", or {undo} takes it back") };
    let message = "a change of the cluster is planned, and the schema must not change meanwhile";
    Err(Error::new(Kind::Locked, message)
        .hint(format!("ringshard rebalance carries it out{undo}; then run this again")))
}
