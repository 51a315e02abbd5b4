//! What a process knows of the topology: what the shards said last, or a guess.

use std::collections::{BTreeMap, BTreeSet};

use super::prototype_log;
use crate::model::names::ShardName;
use crate::model::rebalance::Change;
use crate::model::ring::position::Position;
use crate::model::ring::topology::{Epoch, Topology};
use crate::model::ring::{Ring, VirtualNode};
use crate::pg::catalog::{ShardEndpoint, TopologyMd5};

/// A ring at rest: no arc of it is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StableRing {
    /// Which ring.
    pub ring: TopologyMd5,
    /// Its epoch.
    pub epoch: Epoch,
}

/// A topology, its epoch and the ring that it makes.
#[derive(Debug)]
pub struct View {
    /// The epoch; [`Epoch::GUESSED`] if no shard was asked yet.
    pub epoch: Epoch,
    /// The topology.
    pub topology: Topology,
    /// Its ring.
    pub ring: Ring,
    /// The change that is under way, with the ring that it leads to, if one is known of.
    pub change: Option<(Change, Ring)>,
    /// The topology that is wished for, if that is known: only the first shard knows.
    pub desired_topology: Option<Topology>,
    /// Where the shards are, as far as a catalog was read.
    pub endpoints: BTreeMap<ShardName, ShardEndpoint>,
    /// Addresses at which old data of shards may come back, and whose.
    pub stale_endpoints: BTreeMap<String, ShardName>,
    /// By what the catalogs know the ring, if a shard that has its arcs said so to this process. A cache may hold anything.
    pub topology_md5: Option<TopologyMd5>,
}

impl View {
    /// The shards that may own something: those of the topology, and who takes part in a change of it.
    pub fn participants(&self) -> BTreeSet<&ShardName> {
        let participants = self.change.iter().flat_map(|(change, _)| &change.participants);
        self.topology.names().chain(participants).collect()
    }

    /// The ring by which owners are found, if nothing is known to be under way: a shard that says the same owns what the
    /// ring gives it.
    pub fn stable_ring(&self) -> Option<StableRing> {
        let ring = self.topology_md5.filter(|_| self.change.is_none())?;
        Some(StableRing { ring, epoch: self.epoch })
    }

    /// The virtual node that owns a position, with the prototype's log lines about the key.
    pub fn locate(&self, key: &str, position: Position) -> VirtualNode<'_> {
        let node = self.ring.locate(position);
        prototype_log::key_routed(key, position, node);
        node
    }

    /// Whether a shard may own something, or is to join.
    pub fn belongs(&self, name: &ShardName) -> bool {
        self.participants().contains(name) || self.goal().shard(name).is_some()
    }

    /// The topology that the ring is to have: by the change under way, else by the wish.
    pub fn goal(&self) -> &Topology {
        let change = self.change.as_ref().map(|(change, _)| &change.next_topology);
        change.or(self.desired_topology.as_ref()).unwrap_or(&self.topology)
    }
}
