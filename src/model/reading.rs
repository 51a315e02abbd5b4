//! The way of a point read while chunks move: whom to ask next, and whose row counts.
//!
//! Pure: it holds no connection. The rows are the caller's, and of any type.

use super::names::ShardName;
use super::topology::Epoch;

/// What a shard said of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It owns the key.
    Owned,
    /// It has let go of it, for a peer, in this epoch.
    Fenced {
        /// Whom it is for.
        peer: ShardName,
        /// The epoch of the fence.
        epoch: Epoch,
    },
    /// It does not own the key; its epoch.
    NotHere {
        /// The epoch of the shard.
        epoch: Epoch,
    },
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next<T> {
    /// Ask this shard.
    Ask(ShardName),
    /// Nobody who was asked owns the key: find out anew who does.
    LookUp,
    /// This row counts, that of this shard.
    Counts(T, ShardName),
}

/// A row that was read behind a fence.
#[derive(Debug, Clone)]
struct Kept<T> {
    row: T,
    shard: ShardName,
    peer: ShardName,
    epoch: Epoch,
}

/// The way of one read.
#[derive(Debug, Clone)]
pub struct Reading<T> {
    kept: Option<Kept<T>>,
}

impl<T> Default for Reading<T> {
    fn default() -> Self {
        Self { kept: None }
    }
}

impl<T> Reading<T> {
    /// Takes what a shard said, and its row.
    ///
    /// The owner's row counts. A row behind a fence is kept and the peer is asked: if it owns the key, its row
    /// counts; if it does not in the epoch of the fence, it had not taken over (an arc moves at most once an
    /// epoch), so the fenced row was still the last word. If the peer is at a later epoch, it may have taken over
    /// and given away again, so the first shard is asked once more: as long as it has the very same fence, nobody
    /// has purged it, and nobody can have given the chunk away.
    pub fn hear(&mut self, shard: &ShardName, said: Said, row: T) -> Next<T> {
        match (said, self.kept.take()) {
            (Said::Owned, _) => Next::Counts(row, shard.clone()),
            (Said::Fenced { peer, epoch }, Some(kept))
                if kept.shard == *shard && kept.peer == peer && kept.epoch == epoch =>
            {
                Next::Counts(kept.row, kept.shard)
            }
            (Said::Fenced { peer, epoch }, _) => {
                self.kept = Some(Kept { row, shard: shard.clone(), peer: peer.clone(), epoch });
                Next::Ask(peer)
            }
            (Said::NotHere { epoch }, Some(kept)) if kept.peer == *shard => {
                if epoch <= kept.epoch {
                    return Next::Counts(kept.row, kept.shard);
                }
                let again = kept.shard.clone();
                self.kept = Some(kept);
                Next::Ask(again)
            }
            (Said::NotHere { .. }, _) => Next::LookUp,
        }
    }
}
