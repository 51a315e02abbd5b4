//! A point read while chunks move: which shard to ask next, and whose row is the result.
//!
//! Pure: it holds no connection. The row may be of any type.

use super::names::ShardName;
use super::ring::topology::Epoch;

/// The reply of a shard about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyReply {
    /// The shard owns the key.
    Owned,
    /// The shard has fenced the key's chunk.
    Fenced {
        /// The shard that receives the chunk.
        target: ShardName,
        /// The epoch of the fence.
        epoch: Epoch,
    },
    /// The shard does not own the key.
    NotOwner {
        /// The epoch of the shard.
        epoch: Epoch,
    },
}

/// The next step of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadStep<T> {
    /// Ask this shard.
    Ask(ShardName),
    /// No shard that was asked owns the key: determine the owner again.
    LookUp,
    /// The result: this row, of this shard.
    Counts(T, ShardName),
}

/// A row of a fenced chunk.
#[derive(Debug, Clone)]
struct FencedRow<T> {
    row: T,
    shard: ShardName,
    target: ShardName,
    epoch: Epoch,
}

/// The state of one read.
#[derive(Debug, Clone)]
pub struct PointRead<T> {
    fenced: Option<FencedRow<T>>,
}

impl<T> Default for PointRead<T> {
    fn default() -> Self {
        Self { fenced: None }
    }
}

impl<T> PointRead<T> {
    /// Takes a shard's reply and row.
    ///
    /// The owner's row is the result. After a fenced row, the target is asked. If the target owns the key, its row is the
    /// result. If it does not, in the epoch of the fence or before, it had not received the chunk (an arc moves at most once an
    /// epoch), so the fenced row was still current. If the target is in a later epoch, it may have received the chunk and given
    /// it away, so the first shard is asked again: while it has the same fence, it has not purged the chunk, and the target
    /// cannot have given it away. If the target has fenced the key in a later epoch, its row is the newer one and replaces the
    /// first.
    pub fn answer(&mut self, shard: &ShardName, reply: KeyReply, row: T) -> ReadStep<T> {
        match (reply, self.fenced.take()) {
            (KeyReply::Owned, _) => ReadStep::Counts(row, shard.clone()),
            // The same fence again; or the target has a fence that is not of a later epoch, which only damage can cause.
            (KeyReply::Fenced { target, epoch }, Some(fenced))
                if fenced.shard == *shard && fenced.target == target && fenced.epoch == epoch
                    || fenced.target == *shard && epoch <= fenced.epoch =>
            {
                ReadStep::Counts(fenced.row, fenced.shard)
            }
            (KeyReply::Fenced { target, epoch }, _) => {
                self.fenced = Some(FencedRow { row, shard: shard.clone(), target: target.clone(), epoch });
                ReadStep::Ask(target)
            }
            (KeyReply::NotOwner { epoch }, Some(fenced)) if fenced.target == *shard => {
                if epoch <= fenced.epoch {
                    return ReadStep::Counts(fenced.row, fenced.shard);
                }
                let again = fenced.shard.clone();
                self.fenced = Some(fenced);
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

    fn fenced(target: &str, epoch: i64) -> KeyReply {
        KeyReply::Fenced { target: shard(target), epoch: Epoch::new(epoch) }
    }

    fn not_owner(epoch: i64) -> KeyReply {
        KeyReply::NotOwner { epoch: Epoch::new(epoch) }
    }

    /// The step after these replies, each with its shard and row.
    fn end(replies: &[(&str, KeyReply, u32)]) -> ReadStep<u32> {
        let mut read = PointRead::default();
        let mut next = ReadStep::LookUp;
        for (name, reply, row) in replies {
            if let ReadStep::Ask(asked) = &next {
                assert_eq!(asked.as_str(), *name);
            }
            next = read.answer(&shard(name), reply.clone(), *row);
        }
        next
    }

    #[test]
    fn the_newest_row_is_the_result() {
        let counts = |row, name| ReadStep::Counts(row, shard(name));
        for (replies, expected) in [
            (vec![("s", KeyReply::Owned, 1)], counts(1, "s")),
            (vec![("s", not_owner(1), 1)], ReadStep::LookUp),
            (vec![("s", fenced("d", 2), 1), ("d", KeyReply::Owned, 2)], counts(2, "d")),
            // The target has not received the chunk, in the epoch of the fence or as it is in an earlier one.
            (vec![("s", fenced("d", 2), 1), ("d", not_owner(2), 2)], counts(1, "s")),
            (vec![("s", fenced("d", 2), 1), ("d", not_owner(1), 2)], counts(1, "s")),
            // It may have received the chunk and given it away.
            (vec![("s", fenced("d", 2), 1), ("d", not_owner(3), 2)], ReadStep::Ask(shard("s"))),
            (
                vec![("s", fenced("d", 2), 1), ("d", not_owner(3), 2), ("s", fenced("d", 2), 1)],
                counts(1, "s"),
            ),
            (
                vec![("s", fenced("d", 2), 1), ("d", not_owner(3), 2), ("s", not_owner(3), 1)],
                ReadStep::LookUp,
            ),
            (
                vec![("s", fenced("d", 2), 1), ("d", not_owner(3), 2), ("s", KeyReply::Owned, 3)],
                counts(3, "s"),
            ),
            // A change was canceled: the target had the chunk, and gives it back.
            (vec![("s", fenced("d", 2), 1), ("d", fenced("s", 3), 2)], ReadStep::Ask(shard("s"))),
            (
                vec![("s", fenced("d", 2), 1), ("d", fenced("s", 3), 2), ("s", not_owner(3), 1)],
                counts(2, "d"),
            ),
            (
                vec![("s", fenced("d", 2), 1), ("d", fenced("s", 3), 2), ("s", KeyReply::Owned, 4)],
                counts(4, "s"),
            ),
            // Damage must not lead to an endless loop.
            (vec![("s", fenced("d", 2), 1), ("d", fenced("s", 2), 2)], counts(1, "s")),
        ] {
            assert_eq!(end(&replies), expected, "{replies:?}");
        }
    }
}
