//! The rebalance protocol: computes the next step of a change from the states of the shards.
//!
//! Everything here is pure. A mover reads the states of all shards, [`next_work`] computes what is left to do, the mover
//! sends one [`Request`] after the other, and reads the states again. It keeps nothing between two rounds, so a mover that
//! is killed leaves nothing but the states of the shards, and any other mover continues. The same code runs on Postgres
//! (`pg/rebalance/`) and under a scheduler that tries thousands of interleavings (`tests/interleavings.rs`).
//!
//! The source of a chunk commits the fence ([`Request::Fence`]) before its target commits the hand-over
//! ([`Request::Receive`]); then the source purges the chunk ([`Request::Purge`]). So no position ever has two owners, and
//! every committed state can be completed.

pub mod chunk;
pub mod even_spread;
pub mod mover;
mod next;
pub mod plan;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use next::{Damage, Direction, Leftover, Situation, Transfer, Work, next_work, pieces, situation};

use super::names::ShardName;
use super::ring::arc::{Arc, ShardArc, merged};
use super::ring::position::Position;
use super::ring::topology::{Epoch, Topology};

/// A change of the ring under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The topology that it leads to.
    pub next_topology: Topology,
    /// All shards that take part, sorted: those of the topology in force, of the next topology, and of a canceled change before
    /// it.
    pub participants: Vec<ShardName>,
}

/// What a shard says of the ring, apart from its arcs.
#[derive(Debug, Clone, PartialEq)]
pub struct RingState {
    /// Its epoch.
    pub epoch: Epoch,
    /// The topology in force; until a change is finished, the one before it.
    pub topology: Topology,
    /// The change under way, if one is.
    pub change: Option<Change>,
    /// The desired topology, if it is another one than that in force. Counts on the arbiter alone.
    pub desired_topology: Option<Topology>,
}

impl RingState {
    /// The topology that the ring is to have: that of the change under way, else the desired one.
    pub fn goal(&self) -> &Topology {
        let next = self.change.as_ref().map(|change| &change.next_topology);
        next.or(self.desired_topology.as_ref()).unwrap_or(&self.topology)
    }

    /// What becomes of a shard that answers.
    pub fn state(&self, name: &ShardName) -> &'static str {
        match (self.topology.shard(name), self.goal().shard(name)) {
            (Some(_), Some(_)) => "active",
            (None, Some(_)) => "joining",
            // A shard that has left stays in the configuration until the next rebalance.
            (_, None) => "leaving",
        }
    }

    /// Whether the topology, the desired topology or the change under way names a shard.
    pub fn names(&self, name: &ShardName) -> bool {
        let next = self.change.as_ref().map(|change| &change.next_topology);
        let topologies = [Some(&self.topology), self.desired_topology.as_ref(), next];
        topologies.into_iter().flatten().any(|topology| topology.shard(name).is_some())
            || self.change.as_ref().is_some_and(|change| change.participants.contains(name))
    }

    /// Orders states for a client that routes: the later epoch counts, and of one epoch a change that is finished, as it is
    /// finished nowhere before all rows lie on their owners.
    pub fn finished_last(&self) -> (Epoch, bool) {
        (self.epoch, self.change.is_none())
    }

    /// Orders states for a client that carries a change out: the later epoch counts, and of one epoch a change that is not
    /// finished, as there is work left.
    pub fn pending_last(&self) -> (Epoch, bool) {
        (self.epoch, self.change.is_some())
    }

    /// The state that counts for a client that routes, with the desired topology as the arbiter has it.
    pub fn newest<'a>(states: impl IntoIterator<Item = (&'a ShardName, &'a Self)>) -> Option<Self> {
        let states: BTreeMap<&ShardName, &Self> = states.into_iter().collect();
        let newest = states.values().max_by_key(|state| state.finished_last())?;
        let desired = states.get(arbiter(&newest.topology)).and_then(|first| first.desired_topology.clone());
        let desired_topology = desired.filter(|desired| *desired != newest.topology);
        Some(Self { desired_topology, ..(*newest).clone() })
    }
}

/// The state of a shard, of one snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardState {
    /// Its state of the ring.
    pub ring: RingState,
    /// Its arcs, in order.
    pub arcs: Vec<ShardArc>,
}

impl ShardState {
    /// Whether no change is under way, and the shard owns exactly its arcs of the topology.
    pub fn is_stable(&self, shard: &ShardName) -> bool {
        let ring = self.ring.topology.ring();
        let expected = ring.arcs().into_iter().filter(|owned| owned.shard == shard).map(|owned| owned.arc);
        self.ring.change.is_none()
            && self.arcs.iter().all(ShardArc::is_owned)
            && merged(self.arcs.iter().map(|held| held.arc)) == merged(expected)
    }
}

/// The shard that decides between rival changes: the first one of the topology in force, by name.
pub fn arbiter(topology: &Topology) -> &ShardName {
    topology.names().next().expect("a topology has a shard")
}

/// The announcement of a change to one shard.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// The new epoch.
    pub epoch: Epoch,
    /// The topology in force.
    pub topology: Topology,
    /// The change.
    pub change: Change,
    /// What must hold of that shard.
    pub condition: Condition,
}

/// What must hold of a shard for it to accept an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// On the arbiter: no change is under way in the epoch before, and the next topology is the desired one.
    Desired,
    /// On the arbiter: a change is under way in the epoch before, which this one cancels.
    Canceling,
    /// On any other shard: it is in an earlier epoch, as the arbiter has decided.
    Decided,
}

/// A request of a mover to one shard. Each is one transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Request<R> {
    /// Read the state of the shard.
    Look,
    /// Announce a change.
    Announce(Announcement),
    /// Find the end of a chunk at the beginning of this range. Reads only.
    Cut {
        /// The range, owned by the shard.
        range: Arc,
    },
    /// Fence a chunk.
    Fence {
        /// The epoch of the change.
        epoch: Epoch,
        /// The chunk, owned by the shard since an earlier epoch.
        chunk: Arc,
        /// The shard that it is for.
        target: ShardName,
    },
    /// Read the rows of a chunk, in one snapshot with the proof that it is still fenced.
    Read {
        /// The epoch of the fence.
        epoch: Epoch,
        /// The chunk.
        chunk: Arc,
        /// The shard that it is for.
        target: ShardName,
    },
    /// Receive a chunk with its rows. Its commit is the hand-over.
    Receive {
        /// The epoch of the change.
        epoch: Epoch,
        /// The chunk.
        chunk: Arc,
        /// The shard that fenced it.
        source: ShardName,
        /// The rows, with number and digest.
        rows: R,
    },
    /// Delete a chunk and its rows, if it is fenced exactly like this.
    Purge {
        /// The epoch of the fence.
        epoch: Epoch,
        /// The chunk.
        chunk: Arc,
        /// The shard that it was for.
        target: ShardName,
        /// The epoch in which it was seen that the target has the chunk, and in which the shard still must be: a server that
        /// takes the target over, and may lack the chunk, serves in a later one.
        decided_in: Epoch,
    },
    /// Own a chunk again that was fenced in the epoch of a canceled change.
    Release {
        /// The epoch of the fence.
        epoch: Epoch,
        /// The chunk.
        chunk: Arc,
        /// The shard that it was for.
        target: ShardName,
        /// The epoch in which it was seen that the target does not have the chunk: see [`Request::Purge`].
        decided_in: Epoch,
    },
    /// Finish the change: its next topology becomes the topology in force.
    Finish {
        /// The epoch of the change.
        epoch: Epoch,
        /// The arcs that the shard must have, exactly.
        expected: Vec<ShardArc>,
        /// The same arcs, with adjacent ones merged.
        merged: Vec<Arc>,
    },
}

/// The reply of a shard.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply<R> {
    /// To [`Request::Look`].
    State(Box<ShardState>),
    /// To [`Request::Cut`]: the last position of the chunk.
    Cut(Position),
    /// To [`Request::Read`].
    Rows(R),
    /// The request was carried out.
    Done,
    /// It had been carried out before, by another mover or by this one.
    Already,
    /// The shard is in another epoch, or its arcs are not as expected: read its state again.
    Stale,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(count: usize) -> Topology {
        let names = (1..=count).map(|number| format!("shard_{number}").parse().expect("it is a name"));
        Topology::of_equals(100, names).expect("it is a topology")
    }

    #[test]
    fn the_newest_state_counts_with_the_desired_topology_of_the_arbiter() {
        let names: Vec<ShardName> = topology(2).names().cloned().collect();
        let state = |epoch, change, desired_topology| RingState {
            epoch: Epoch::new(epoch),
            topology: topology(2),
            change,
            desired_topology,
        };
        let change = Change { next_topology: topology(3), participants: Vec::new() };
        assert_eq!(RingState::newest([]), None);
        let (first, second) = (state(1, None, Some(topology(4))), state(1, None, Some(topology(3))));
        let newest =
            RingState::newest([(&names[0], &first), (&names[1], &second)]).expect("there are states");
        assert_eq!(newest.desired_topology, Some(topology(4)));
        assert_eq!(newest.state(&"shard_4".parse().expect("it is a name")), "joining");
        assert_eq!(newest.state(&"shard_5".parse().expect("it is a name")), "leaving");
        assert_eq!(newest.state(&names[0]), "active");
        let (told, untold) = (state(2, Some(change), None), state(1, None, None));
        let newest = RingState::newest([(&names[0], &told), (&names[1], &untold)]).expect("there are states");
        assert_eq!(newest.goal(), &topology(3));
        let done = RingState { topology: topology(3), ..state(2, None, None) };
        let newest = RingState::newest([(&names[0], &told), (&names[1], &done)]).expect("there are states");
        assert_eq!(newest.topology, topology(3), "what is done on one shard is done");
    }
}
