//! The way of a point read while chunks move: whom to ask next, and whose row counts.
//!
//! Pure: it holds no connection. The rows are the caller's, and of any type.

use super::names::ShardName;
use super::ring::topology::Epoch;

/// What a shard said of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyReply {
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
    NotOwner {
        /// The epoch of the shard.
        epoch: Epoch,
    },
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadStep<T> {
    /// Ask this shard.
    Ask(ShardName),
    /// Nobody who was asked owns the key: find out anew who does.
    LookUp,
    /// This row counts, that of this shard.
    Counts(T, ShardName),
}

/// A row that was read behind a fence.
#[derive(Debug, Clone)]
struct FencedRow<T> {
    row: T,
    shard: ShardName,
    peer: ShardName,
    epoch: Epoch,
}

/// The way of one read.
#[derive(Debug, Clone)]
pub struct PointRead<T> {
    kept: Option<FencedRow<T>>,
}

impl<T> Default for PointRead<T> {
    fn default() -> Self {
        Self { kept: None }
    }
}

impl<T> PointRead<T> {
    /// Takes what a shard said, and its row.
    ///
    /// The owner's row counts. A row behind a fence is kept and the peer is asked: if it owns the key, its row
    /// counts; if it does not in the epoch of the fence, it had not taken over (an arc moves at most once an
    /// epoch), so the fenced row was still the last word. If the peer is at a later epoch, it may have taken over
    /// and given away again, so the first shard is asked once more: as long as it has the very same fence, nobody
    /// has purged it, and nobody can have given the chunk away. If the peer has let go of it in a later epoch, its
    /// row is the newer one, and is kept instead.
    pub fn hear(&mut self, shard: &ShardName, said: KeyReply, row: T) -> ReadStep<T> {
        match (said, self.kept.take()) {
            (KeyReply::Owned, _) => ReadStep::Counts(row, shard.clone()),
            // The very same fence again; or the peer has let go in no later epoch, which only damage can bring about.
            (KeyReply::Fenced { peer, epoch }, Some(kept))
                if kept.shard == *shard && kept.peer == peer && kept.epoch == epoch
                    || kept.peer == *shard && epoch <= kept.epoch =>
            {
                ReadStep::Counts(kept.row, kept.shard)
            }
            (KeyReply::Fenced { peer, epoch }, _) => {
                self.kept = Some(FencedRow { row, shard: shard.clone(), peer: peer.clone(), epoch });
                ReadStep::Ask(peer)
            }
            (KeyReply::NotOwner { epoch }, Some(kept)) if kept.peer == *shard => {
                if epoch <= kept.epoch {
                    return ReadStep::Counts(kept.row, kept.shard);
                }
                let again = kept.shard.clone();
                self.kept = Some(kept);
                ReadStep::Ask(again)
            }
            (KeyReply::NotOwner { .. }, _) => ReadStep::LookUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(name: &str) -> ShardName {
        name.parse().unwrap()
    }

    fn fenced(peer: &str, epoch: i64) -> KeyReply {
        KeyReply::Fenced { peer: shard(peer), epoch: Epoch::new(epoch) }
    }

    fn not_here(epoch: i64) -> KeyReply {
        KeyReply::NotOwner { epoch: Epoch::new(epoch) }
    }

    /// The answers of a read, in order: who said what, with which row; and what is to be done behind the last.
    fn end(answers: &[(&str, KeyReply, u32)]) -> ReadStep<u32> {
        let mut way = PointRead::default();
        let mut next = ReadStep::LookUp;
        for (name, said, row) in answers {
            if let ReadStep::Ask(asked) = &next {
                assert_eq!(asked.as_str(), *name);
            }
            next = way.hear(&shard(name), said.clone(), *row);
        }
        next
    }

    #[test]
    fn behind_a_fence_the_last_word_counts() {
        let counts = |row, name| ReadStep::Counts(row, shard(name));
        for (answers, then) in [
            (vec![("s", KeyReply::Owned, 1)], counts(1, "s")),
            (vec![("s", not_here(1), 1)], ReadStep::LookUp),
            (vec![("s", fenced("d", 2), 1), ("d", KeyReply::Owned, 2)], counts(2, "d")),
            // The peer has not taken over yet, in the epoch of the fence or as it has not heard of it.
            (vec![("s", fenced("d", 2), 1), ("d", not_here(2), 2)], counts(1, "s")),
            (vec![("s", fenced("d", 2), 1), ("d", not_here(1), 2)], counts(1, "s")),
            // It may have taken over and given away again.
            (vec![("s", fenced("d", 2), 1), ("d", not_here(3), 2)], ReadStep::Ask(shard("s"))),
            (vec![("s", fenced("d", 2), 1), ("d", not_here(3), 2), ("s", fenced("d", 2), 1)], counts(1, "s")),
            (vec![("s", fenced("d", 2), 1), ("d", not_here(3), 2), ("s", not_here(3), 1)], ReadStep::LookUp),
            (
                vec![("s", fenced("d", 2), 1), ("d", not_here(3), 2), ("s", KeyReply::Owned, 3)],
                counts(3, "s"),
            ),
            // A change was taken back: the peer had it, and is giving it back.
            (vec![("s", fenced("d", 2), 1), ("d", fenced("s", 3), 2)], ReadStep::Ask(shard("s"))),
            (vec![("s", fenced("d", 2), 1), ("d", fenced("s", 3), 2), ("s", not_here(3), 1)], counts(2, "d")),
            (
                vec![("s", fenced("d", 2), 1), ("d", fenced("s", 3), 2), ("s", KeyReply::Owned, 4)],
                counts(4, "s"),
            ),
            // Damage; and no end of asking either.
            (vec![("s", fenced("d", 2), 1), ("d", fenced("s", 2), 2)], counts(1, "s")),
        ] {
            assert_eq!(end(&answers), then, "{answers:?}");
        }
    }
}
