//! How a change of the ring is carried out: what is to be done next, decided from what the shards say.
//!
//! All of it is pure. A mover looks at every shard, [`next_work`] says what is left to do, the mover does it one
//! [`Request`] at a time, and looks again. Nothing is remembered between two looks, so a mover that dies leaves
//! nothing behind but what is on the shards, and any other one goes on. The same code runs on Postgres
//! (`pg/moving/`) and under a scheduler that tries thousands of interleavings (`tests/interleavings.rs`).
//!
//! The protocol: a chunk is let go by its source, by commit ([`Request::Fence`]), before its target takes it, by
//! commit ([`Request::Adopt`]); then the source forgets it ([`Request::Purge`]). So no position ever has two
//! owners, and every committed state can only be rolled forward.

pub mod chunk;
pub mod mover;
mod next;
pub mod plan;

use serde::{Deserialize, Serialize};

pub use next::{Damage, Goal, Leftover, Situation, Transfer, Work, next_work, pieces, situation};

use super::names::ShardName;
use super::ring::arc::Arc;
use super::ring::position::Position;
use super::ring::topology::{Epoch, Topology};

/// What a shard does with an arc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArcState {
    /// It owns it.
    Owned,
    /// It has let go of it, for this shard.
    Fenced(ShardName),
}

/// An arc as a shard holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardArc {
    /// The positions.
    pub arc: Arc,
    /// The epoch in which the shard took it, or let go of it.
    pub epoch: Epoch,
    /// What it does with it.
    pub state: ArcState,
}

/// A change of the ring under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The topology that it leads to.
    pub next_topology: Topology,
    /// All shards that take part in it, sorted: those of the topology in force, and those that are to join or
    /// that an abandoned change would have had join.
    pub participants: Vec<ShardName>,
}

/// What a shard says of itself, in one snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct ShardState {
    /// Its epoch.
    pub epoch: Epoch,
    /// The topology in force; until a change is finished, the one before it.
    pub topology: Topology,
    /// The change under way, if one is.
    pub change: Option<Change>,
    /// The topology that is wished for, if another one than that in force. Counts on the arbiter alone.
    pub desired_topology: Option<Topology>,
    /// The arcs that it holds, in order.
    pub arcs: Vec<ShardArc>,
}

/// The shard that decides between rivals: the first of the topology in force. All of them agree on it.
pub fn arbiter(topology: &Topology) -> &ShardName {
    topology.names().next().expect("a topology has a shard")
}

/// How a change begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// The epoch that it makes.
    pub epoch: Epoch,
    /// The topology in force.
    pub topology: Topology,
    /// The change.
    pub change: Change,
    /// What must hold of the shard that is told.
    pub condition: Condition,
}

/// What must hold of a shard for it to take an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The arbiter, and nothing is under way at the epoch before, and the change's target is wished for.
    Desired,
    /// The arbiter, and a change is under way at the epoch before, which this one takes back.
    TakenBack,
    /// Any other shard: the arbiter has decided, and this one has not heard of it.
    Decided,
}

/// What a mover asks of one shard. Each is one transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Request<R> {
    /// What do you say of yourself?
    Look,
    /// This change is under way.
    Announce(Announcement),
    /// Where does a chunk from the beginning of this range end? Reads only.
    Cut {
        /// The range, owned by the shard.
        range: Arc,
    },
    /// Let go of a chunk.
    Fence {
        /// The epoch of the change.
        epoch: Epoch,
        /// The chunk, owned by the shard since an earlier epoch.
        chunk: Arc,
        /// Whom it is for.
        target: ShardName,
    },
    /// The rows of a chunk, in one snapshot with the proof that it is still fenced.
    Read {
        /// The epoch of the fence.
        epoch: Epoch,
        /// The chunk.
        chunk: Arc,
        /// Whom it is for.
        target: ShardName,
    },
    /// Take over a chunk with its rows. Its commit is the hand-over.
    Adopt {
        /// The epoch of the change.
        epoch: Epoch,
        /// The chunk.
        chunk: Arc,
        /// Who let go of it.
        source: ShardName,
        /// The rows, with their number and digest.
        rows: R,
    },
    /// Forget a chunk and its rows, if it is fenced just so.
    Purge {
        /// The epoch of the fence.
        epoch: Epoch,
        /// The chunk.
        chunk: Arc,
        /// Whom it was for.
        target: ShardName,
    },
    /// Own a chunk again that was fenced in an epoch that was taken back.
    Release {
        /// The epoch of the fence.
        epoch: Epoch,
        /// The chunk.
        chunk: Arc,
        /// Whom it was for.
        target: ShardName,
    },
    /// The change is done: its target is the topology in force.
    Finish {
        /// The epoch of the change.
        epoch: Epoch,
        /// The arcs that the shard must hold, just so.
        seen: Vec<ShardArc>,
        /// The same, neighbours made one.
        merged: Vec<Arc>,
    },
}

/// What a shard answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply<R> {
    /// To [`Request::Look`].
    State(Box<ShardState>),
    /// To [`Request::Cut`]: the last position of the chunk.
    Cut(Position),
    /// To [`Request::Read`].
    Rows(R),
    /// It is done.
    Done,
    /// It was done before, by another mover or by this one.
    Already,
    /// The shard is in another epoch, or does not hold what was thought: look again.
    Stale,
}
