//! The desired topology: reads and writes it. It moves nothing.

use super::plan::ObservedShards;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::{Situation, arbiter};
use crate::model::ring::topology::{Membership, ShardNumber, ShardSpec, Topology, Weight};
use crate::pg::cluster::Cluster;
use crate::pg::net::session::only;
use crate::pg::net::sqlstate::{self, on_shard};
use crate::pg::pool::Shards;
use crate::pg::rebalance::plan;
use crate::pg::requests::connection::Connection;

/// What a command changed in the desired topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DesiredChange {
    /// The shard will join.
    Joins,
    /// The shard was to leave, and stays.
    Stays,
    /// The shard will have another weight.
    Weighs,
    /// The shard will leave.
    Leaves,
    /// The shard was to join, and will not.
    Forgotten,
}

/// The topology in force and the desired one, for a command that changes it.
#[derive(Debug, Clone)]
pub struct Topologies {
    /// The cluster and the topology in force.
    pub membership: Membership,
    /// The desired topology, if it differs.
    pub desired_topology: Option<Topology>,
    /// The highest number that any shard of the cluster has had.
    pub highest_number: ShardNumber,
}

impl Topologies {
    /// The desired topology, or the one in force.
    pub fn target(&self) -> &Topology {
        self.desired_topology.as_ref().unwrap_or(&self.membership.topology)
    }

    /// Fails with `Locked` while a table is added or removed: no arc may move then.
    fn require_same_tables(&self) -> Result<()> {
        if self.target().tables() == self.membership.topology.tables() {
            return Ok(());
        }
        Err(Error::new(Kind::Locked, "a table is being added to the cluster, or removed from it")
            .hint("ringshard rebalance completes that; then run this again"))
    }

    /// The desired topology after a shard is added, or gets another weight. Fails with `Conflict` if nothing changes.
    pub fn with(&self, name: &ShardName, weight: Option<Weight>) -> Result<(Topology, DesiredChange)> {
        self.require_same_tables()?;
        let (now, target) = (self.membership.topology.shard(name), self.target().shard(name));
        let change = match (now, target) {
            (Some(_), None) => DesiredChange::Stays,
            (_, Some(target)) if weight.is_some_and(|weight| weight != target.weight) => {
                DesiredChange::Weighs
            }
            (_, Some(target)) => {
                let state = if now.is_some() { "is a shard of the cluster" } else { "is joining" };
                let message =
                    format!("shard `{name}` {state} already, with weight {}", target.weight.number());
                return Err(Error::new(Kind::Conflict, message)
                    .hint("ringshard shards lists the shards; --weight sets another weight"));
            }
            (None, None) => DesiredChange::Joins,
        };
        let known = target.or(now).map_or(Weight::ONE, |spec| spec.weight);
        let spec = ShardSpec { name: name.clone(), weight: weight.unwrap_or(known) };
        let known = self.membership.topology.number(name).or(self.target().number(name));
        let number = known.unwrap_or(self.highest_number.max(self.target().highest_number()) + 1);
        let topology = self.target().with_number(spec, number).map_err(|why| Error::new(Kind::Usage, why))?;
        Ok((topology, change))
    }

    /// The desired topology after a shard is removed. Fails with `Conflict` if it is leaving or the last one, and with `NotFound`.
    pub fn without(&self, name: &ShardName) -> Result<(Topology, DesiredChange)> {
        self.require_same_tables()?;
        let (now, target) = (self.membership.topology.shard(name), self.target().shard(name));
        let change = match (now, target) {
            (Some(_), Some(_)) => DesiredChange::Leaves,
            (None, Some(_)) => DesiredChange::Forgotten,
            (Some(_), None) => {
                return Err(Error::new(Kind::Conflict, format!("shard `{name}` is leaving already"))
                    .hint(format!("ringshard rebalance removes it; ringshard add-shard {name} keeps it")));
            }
            (None, None) => {
                return Err(Error::new(Kind::NotFound, format!("no shard is called `{name}`"))
                    .hint("ringshard shards lists them"));
            }
        };
        let topology = self.target().without(name).map_err(|_| {
            Error::new(Kind::Conflict, format!("shard `{name}` is the last one, and its users need a shard"))
                .hint("ringshard add-shard NAME adds another one first")
        })?;
        Ok((topology, change))
    }
}

/// Reads the topologies from all shards. Fails with `Locked` while a change is under way.
pub fn topologies(cluster: &Cluster) -> Result<Topologies> {
    let ObservedShards { situation, .. } = plan::collect_states(cluster, false)?;
    let shards = cluster.shards();
    let cluster = cluster.id().ok_or_else(|| {
        Error::new(Kind::Failed, "the shards answered, but named no cluster").hint("run this again")
    })?;
    match situation {
        Situation::Idle { epoch, topology, desired_topology } => {
            let highest_number = highest_number(shards, &topology)?;
            let membership = Membership { cluster, epoch, topology };
            Ok(Topologies { membership, desired_topology, highest_number })
        }
        Situation::Changing { epoch, .. } => {
            Err(Error::new(Kind::Locked, format!("a change of the ring is under way (epoch {epoch})"))
                .hint("ringshard rebalance completes it, ringshard rebalance cancel goes back"))
        }
    }
}

/// The highest number that any shard of the cluster has had. A number counts once its shard is part of an announced change, as it
/// makes no id before.
fn highest_number(shards: &Shards, topology: &Topology) -> Result<ShardNumber> {
    let names: Vec<ShardName> = topology.names().cloned().collect();
    let what = "read the numbers of shards";
    let numbers = shards.on_each(&names, |name, session| {
        let rows = session.query("SELECT highest_number FROM ringshard.meta", &[]);
        let rows = rows.map_err(|cause| sqlstate::doing(what, name, &cause))?;
        Ok(only(rows, what, name)?.get::<_, ShardNumber>(0))
    });
    numbers.into_iter().try_fold(0, |highest, (_, number)| Ok(number?.max(highest)))
}

/// Sets the desired topology, if the topologies still are as they were read (`seen`); the topology in force sets none. Fails
/// with `Locked` if another client was faster.
pub fn set_desired_topology(cluster: &Cluster, seen: &Topologies, desired_topology: &Topology) -> Result<()> {
    let Membership { epoch, topology, .. } = &seen.membership;
    let first = arbiter(topology);
    let desired_topology = Some(desired_topology).filter(|desired| *desired != topology);
    let before = seen.desired_topology.as_ref();
    let set = Connection::open(cluster, first)?.set_desired_topology(*epoch, before, desired_topology);
    let done = set.map_err(on_shard("set the desired topology", first))?;
    if done {
        return Ok(());
    }
    let message = "another client changed the topology at the same time; nothing was changed";
    Err(Error::new(Kind::Locked, message)
        .hint("ringshard shards shows the new state; then run this again")
        .on_shard(first))
}

/// The commands that take a planned change back; none if it adds or removes a table.
pub fn undo_commands(before: &Topology, after: &Topology) -> Vec<String> {
    let joining = after.names().filter(|name| before.shard(name).is_none());
    let joining = joining.map(|name| format!("ringshard remove-shard {name}"));
    let others = before.shards().iter().filter(|spec| after.shard(&spec.name) != Some(*spec));
    let others =
        others.map(|spec| format!("ringshard add-shard {} --weight {}", spec.name, spec.weight.number()));
    joining.chain(others).collect()
}
