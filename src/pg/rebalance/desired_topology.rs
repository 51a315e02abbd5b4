//! The wish: which topology the ring is to have. It moves nothing.

use super::connection::Connection;
use super::plan::ObservedShards;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::{Situation, arbiter};
use crate::model::ring::topology::{Epoch, Membership, ShardSpec, Topology, Weight};
use crate::pg::cluster::Cluster;
use crate::pg::net::sqlstate;
use crate::pg::net::sqlstate::ShardError;
use crate::pg::rebalance::plan;

/// What a wish changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DesiredChange {
    /// The shard is to join.
    Joins,
    /// The shard, which was to leave, stays.
    Stays,
    /// The shard's weight is to be another one.
    Weighs,
    /// The shard is to leave.
    Leaves,
    /// The shard, which was to join, is forgotten.
    Forgotten,
}

/// Where the topology stands, for who wants it changed.
#[derive(Debug, Clone)]
pub struct Topologies {
    /// The cluster and the topology in force.
    pub membership: Membership,
    /// The topology that is wished for, if it is another one.
    pub desired_topology: Option<Topology>,
}

impl Topologies {
    /// What is wished for now, or is in force.
    pub fn goal(&self) -> &Topology {
        self.desired_topology.as_ref().unwrap_or(&self.membership.topology)
    }

    /// What adding a shard, or giving it a weight, makes of the wish.
    pub fn with(&self, name: &ShardName, weight: Option<Weight>) -> Result<(Topology, DesiredChange)> {
        let (now, goal) = (self.membership.topology.shard(name), self.goal().shard(name));
        let wished = match (now, goal) {
            (Some(_), None) => DesiredChange::Stays,
            (_, Some(goal)) if weight.is_some_and(|weight| weight != goal.weight) => DesiredChange::Weighs,
            (_, Some(goal)) => {
                let state = if now.is_some() { "is a shard of the cluster" } else { "is joining" };
                let message = format!("shard `{name}` {state} already, with weight {}", goal.weight.number());
                return Err(Error::new(Kind::Conflict, message)
                    .hint("ringshard shards lists them; --weight gives it another weight"));
            }
            (None, None) => DesiredChange::Joins,
        };
        let known = goal.or(now).map_or(Weight::ONE, |spec| spec.weight);
        let spec = ShardSpec { name: name.clone(), weight: weight.unwrap_or(known) };
        let topology = self.goal().with(spec).map_err(|why| Error::new(Kind::Usage, why))?;
        Ok((topology, wished))
    }

    /// What taking a shard out makes of the wish.
    pub fn without(&self, name: &ShardName) -> Result<(Topology, DesiredChange)> {
        let (now, goal) = (self.membership.topology.shard(name), self.goal().shard(name));
        let wished = match (now, goal) {
            (Some(_), Some(_)) => DesiredChange::Leaves,
            (None, Some(_)) => DesiredChange::Forgotten,
            (Some(_), None) => {
                return Err(Error::new(Kind::Conflict, format!("shard `{name}` is leaving already")).hint(
                    format!("ringshard rebalance carries it out; ringshard add-shard {name} keeps it"),
                ));
            }
            (None, None) => {
                return Err(Error::new(Kind::NotFound, format!("no shard is called `{name}`"))
                    .hint("ringshard shards lists them"));
            }
        };
        let topology = self.goal().without(name).map_err(|_| {
            Error::new(
                Kind::Conflict,
                format!("shard `{name}` is the last one: its users would have no place"),
            )
            .hint("ringshard add-shard NAME adds another one first")
        })?;
        Ok((topology, wished))
    }
}

/// Where the topology stands, by the word of all shards. Fails while a change is under way.
pub fn topologies(cluster: &Cluster) -> Result<Topologies> {
    let ObservedShards { situation, .. } = plan::collect_states(cluster, false)?;
    let cluster = cluster.id().ok_or_else(|| {
        Error::new(Kind::Failed, "the shards answered and named no cluster").hint("run this again")
    })?;
    match situation {
        Situation::Idle { epoch, topology, desired_topology } => {
            Ok(Topologies { membership: Membership { cluster, epoch, topology }, desired_topology })
        }
        Situation::Changing { epoch, .. } => {
            Err(Error::new(Kind::Locked, format!("a change of the ring is under way (epoch {epoch})"))
                .hint("ringshard rebalance brings it to its end, ringshard rebalance cancel takes it back"))
        }
    }
}

/// Wishes for a topology, if all is still as it was seen. The one in force is no wish.
pub fn set_desired_topology(cluster: &Cluster, seen: &Topologies, desired_topology: &Topology) -> Result<()> {
    let Membership { epoch, topology, .. } = &seen.membership;
    let first = arbiter(topology);
    let desired_topology = Some(desired_topology).filter(|desired_topology| *desired_topology != topology);
    let done = wish_on(cluster, first, *epoch, seen.desired_topology.as_ref(), desired_topology).map_err(
        |trouble| match trouble {
            ShardError::Server(cause) => sqlstate::doing("write down the wish", first, &cause),
            ShardError::Ours(error) => error,
        },
    )?;
    if done {
        return Ok(());
    }
    let message = "somebody else changed the ring, or the wish for it, at the same time; this wish was not written down";
    Err(Error::new(Kind::Locked, message)
        .hint("ringshard shards shows how it stands; then run this again")
        .on_shard(first))
}

fn wish_on(
    cluster: &Cluster,
    shard: &ShardName,
    epoch: Epoch,
    before: Option<&Topology>,
    desired_topology: Option<&Topology>,
) -> Result<bool, ShardError> {
    Connection::open(cluster, shard)?.wish(epoch, before, desired_topology)
}
