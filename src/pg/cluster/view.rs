//! The view: what this process knows of the topology, from the shards, the cache, or a guess. It is never trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use super::prototype_log;
use super::ring_file::RingFile;
use crate::model::names::ShardName;
use crate::model::rebalance::Change;
use crate::model::ring::position::Position;
use crate::model::ring::topology::{Epoch, Topology};
use crate::model::ring::{Ring, VirtualNode};
use crate::pg::catalog::{ShardEndpoint, TopologyMd5};

/// A ring without a change under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StableRing {
    /// The identity of its topology.
    pub ring: TopologyMd5,
    /// Its epoch.
    pub epoch: Epoch,
}

/// A topology, its epoch and the ring that it makes.
#[derive(Debug)]
pub struct View {
    /// The epoch; [`Epoch::GUESSED`] until a shard or the cache has given one.
    pub epoch: Epoch,
    /// The topology.
    pub topology: Topology,
    /// Its ring, built when it is first needed.
    pub(super) ring: OnceLock<Ring>,
    /// The cached arcs of its ring.
    pub(super) ring_file: Option<RingFile>,
    /// The known change under way, with the ring that it leads to.
    pub change: Option<(Change, Ring)>,
    /// The desired topology, if known; only the arbiter has it.
    pub desired_topology: Option<Topology>,
    /// The known endpoints of the shards.
    pub endpoints: BTreeMap<ShardName, ShardEndpoint>,
    /// The addresses of stale primaries, each with its shard.
    pub stale_endpoints: BTreeMap<String, ShardName>,
    /// Identifies the topology, if a shard has confirmed that it has its arcs; the cache does not count.
    pub topology_md5: Option<TopologyMd5>,
}

impl View {
    /// The ring of its topology.
    pub fn ring(&self) -> &Ring {
        self.ring.get_or_init(|| {
            let ring = self.topology.ring();
            prototype_log::ring_built(&self.topology, &ring);
            ring
        })
    }

    /// The owner of a position. It may come from the cache, as long as each shard proves that it is the owner: with a confirmed
    /// topology, the fast path relies on the ring.
    pub(crate) fn owner(&self, position: Position) -> &ShardName {
        let is_proved = self.topology_md5.is_none();
        if let Some(file) = self.ring_file.as_ref().filter(|_| is_proved && self.ring.get().is_none()) {
            match file.owner(position, &self.topology) {
                Some(owner) => return owner,
                None => file.remove(),
            }
        }
        self.ring().owner(position)
    }

    /// A shard denied that it owns a position. From now on the ring itself names the owners, and cached arcs that are wrong
    /// are removed.
    pub(crate) fn check_ring_file(&self, position: Position) {
        let owner = self.ring().owner(position);
        if let Some(file) = &self.ring_file
            && file.owner(position, &self.topology) != Some(owner)
        {
            file.remove();
        }
    }

    /// The shards that may have arcs: those of the topology, and the participants of a change.
    pub fn participants(&self) -> BTreeSet<&ShardName> {
        let participants = self.change.iter().flat_map(|(change, _)| &change.participants);
        self.topology.names().chain(participants).collect()
    }

    /// The stable ring, if no change is known to be under way: a shard with the same topology owns exactly its arcs of it.
    pub fn stable_ring(&self) -> Option<StableRing> {
        let ring = self.topology_md5.filter(|_| self.change.is_none())?;
        Some(StableRing { ring, epoch: self.epoch })
    }

    /// The virtual node that owns a position, with the prototype's log lines about the key.
    pub fn locate(&self, key: &str, position: Position) -> VirtualNode<'_> {
        let node = self.ring().locate(position);
        prototype_log::key_routed(key, position, node);
        node
    }

    /// Whether a shard may have arcs, or will join.
    pub fn belongs(&self, name: &ShardName) -> bool {
        self.participants().contains(name) || self.goal().shard(name).is_some()
    }

    /// The topology that the ring will have: the next topology of a change, or the desired one, or the one in force.
    pub fn goal(&self) -> &Topology {
        let change = self.change.as_ref().map(|(change, _)| &change.next_topology);
        change.or(self.desired_topology.as_ref()).unwrap_or(&self.topology)
    }
}
