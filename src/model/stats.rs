//! How a shard does: what it says at one moment, what two such moments say together, and what all shards say of the
//! ring.
//!
//! Counters only ever grow, until a server crashes or somebody resets them. A rate is made of two samples of which
//! the later one goes on from the earlier one; of any others it is not known, and never negative.

use super::rebalance::RingState;
use super::rebalance::plan::Load;

/// What a shard has counted since its counters began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Transactions of this database that were committed.
    pub commits: i64,
    /// Transactions of this database that were rolled back.
    pub rollbacks: i64,
    /// Blocks that were found in Postgres's own cache.
    pub blocks_hit: i64,
    /// Blocks that were not, and were read from the system's cache or the disk.
    pub blocks_read: i64,
    /// Deadlocks that were found.
    pub deadlocks: i64,
    /// Bytes that were written to temporary files.
    pub temp_bytes: i64,
    /// Bytes of WAL that the server has ever written, by its position; on a standby, that it has replayed.
    pub wal_bytes: Option<i64>,
}

impl Counters {
    /// The part of the blocks that was in the cache, 0 to 1.
    pub fn hit_share(&self) -> Option<f64> {
        hit_share(self.blocks_hit, self.blocks_read)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
fn hit_share(hit: i64, read: i64) -> Option<f64> {
    let asked = hit.saturating_add(read);
    (asked > 0).then(|| hit as f64 / asked as f64)
}

/// How far copies of a server are behind it, or it is behind what it copies.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Replication {
    /// How many standbys stream from this server.
    pub replicas: i64,
    /// Bytes of WAL that the furthest behind of them has not replayed; on a standby, that it has received and not
    /// replayed itself. Not known without a standby, or to a role that may not see it.
    pub lag_bytes: Option<i64>,
    /// The same in seconds; on a standby, the age of the last transaction that it replayed.
    pub lag_seconds: Option<f64>,
}

/// Who carries a change of the ring out, or was the last to do so, by what it wrote down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// Its process and machine.
    pub name: String,
    /// Whether it is still there.
    pub is_at_work: bool,
    /// What it is at, or was at last.
    pub phase: String,
    /// For how long, in seconds.
    pub phase_seconds: i64,
    /// How long ago it began, in seconds.
    pub seconds: i64,
    /// What the whole change moves, by its plan.
    pub total: Load,
}

/// What a shard knows of a change of the ring.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moves {
    /// What it has taken over in the change under way, and from which shard.
    pub arrived: Vec<(String, Load)>,
    /// Who is at it; only the first shard knows.
    pub runner: Option<Runner>,
}

/// A shard at one moment. What its role may not see is not known.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When, by the server's clock: seconds of Unix time.
    pub at_seconds: f64,
    /// Since when the counters count, by what the server says: its start, and when they were reset last.
    pub counting_since: (f64, Option<f64>),
    /// How long a statement that does nothing takes to go there and back, in milliseconds.
    pub latency_ms: f64,
    /// Whether it is a standby.
    pub is_standby: bool,
    /// About how many users lie here: Postgres's own estimate.
    pub rows: Option<i64>,
    /// Bytes of the whole database.
    pub size_bytes: Option<i64>,
    /// Sessions of all databases of the server.
    pub connections: i64,
    /// How many it allows to those who are no superusers.
    pub connections_allowed: i64,
    /// What it has counted.
    pub counters: Counters,
    /// Standbys.
    pub replication: Replication,
    /// The folder of the server's data, where the server is on this machine.
    pub data_folder: Option<String>,
    /// What it says of the ring.
    pub ring: RingState,
    /// How far a change of the ring is, as far as it goes here; not known if none is under way or wished for.
    pub moves: Option<Moves>,
}

/// What happened between two samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Transactions a second that ended, committed or not.
    pub transactions: f64,
    /// Of the blocks that were asked for, the part that was in the cache, 0 to 1; not known if none was.
    pub hit_share: Option<f64>,
    /// Bytes of WAL a second.
    pub wal_bytes: Option<f64>,
}

impl Sample {
    /// What happened since an earlier sample; not known if this one does not go on from it: the server or its
    /// counters began anew, or no time has passed.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    pub fn since(&self, earlier: &Self) -> Option<Rates> {
        let seconds = self.at_seconds - earlier.at_seconds;
        if self.counting_since != earlier.counting_since || seconds.is_nan() || seconds <= 0.0 {
            return None;
        }
        let (now, before) = (self.counters, earlier.counters);
        let grown = |now: i64, before: i64| now.checked_sub(before).filter(|grown| *grown >= 0);
        let ended =
            grown(now.commits, before.commits)?.checked_add(grown(now.rollbacks, before.rollbacks)?)?;
        let hit = grown(now.blocks_hit, before.blocks_hit)?;
        let read = grown(now.blocks_read, before.blocks_read)?;
        let wal = now.wal_bytes.zip(before.wal_bytes).and_then(|(now, before)| grown(now, before));
        Some(Rates {
            transactions: ended as f64 / seconds,
            hit_share: hit_share(hit, read),
            wal_bytes: wal.map(|bytes| bytes as f64 / seconds),
        })
    }

    /// How many users came here in the change of the ring that is under way.
    pub fn arrived(&self) -> Option<Load> {
        self.ring.change.as_ref()?;
        let none = Load { rows: 0, bytes: 0 };
        Some(self.moves.as_ref()?.arrived.iter().fold(none, |sum, (_, load)| sum.plus(*load)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ring::topology::{Epoch, Topology};

    fn topology(count: usize) -> Topology {
        let names = (1..=count).map(|number| format!("shard_{number}").parse().expect("it is a name"));
        Topology::of_equals(100, names).expect("it is a topology")
    }

    fn sample(at_seconds: f64, commits: i64) -> Sample {
        Sample {
            at_seconds,
            counting_since: (1.0, None),
            latency_ms: 1.0,
            is_standby: false,
            rows: Some(1),
            size_bytes: Some(1),
            connections: 1,
            connections_allowed: 97,
            counters: Counters {
                commits,
                rollbacks: 0,
                blocks_hit: 2 * commits,
                blocks_read: 0,
                deadlocks: 0,
                temp_bytes: 0,
                wal_bytes: Some(10 * commits),
            },
            replication: Replication::default(),
            data_folder: None,
            ring: RingState {
                epoch: Epoch::FIRST,
                topology: topology(3),
                change: None,
                desired_topology: None,
            },
            moves: None,
        }
    }

    #[test]
    fn a_rate_is_what_was_counted_by_the_time_that_passed() {
        let rates = sample(12.0, 300).since(&sample(10.0, 100)).expect("it goes on");
        assert_eq!(rates, Rates { transactions: 100.0, hit_share: Some(1.0), wal_bytes: Some(1000.0) });
        let idle = sample(12.0, 100).since(&sample(10.0, 100)).expect("it goes on");
        assert_eq!(idle, Rates { transactions: 0.0, hit_share: None, wal_bytes: Some(0.0) });
    }

    #[test]
    fn counters_that_began_anew_give_no_rate() {
        let before = sample(10.0, 100);
        assert_eq!(sample(12.0, 99).since(&before), None, "less than before");
        assert_eq!(sample(10.0, 300).since(&before), None, "no time has passed");
        assert_eq!(sample(9.0, 300).since(&before), None, "the clock was set back");
        assert_eq!(sample(f64::NAN, 300).since(&before), None);
        let restarted = Sample { counting_since: (11.0, None), ..sample(12.0, 300) };
        assert_eq!(restarted.since(&before), None, "another server counts");
        let reset = Sample { counting_since: (1.0, Some(11.0)), ..sample(12.0, 300) };
        assert_eq!(reset.since(&before), None, "counts since another moment");
        let mut promoted = sample(12.0, 300);
        promoted.counters.wal_bytes = Some(0);
        let rates = promoted.since(&before).expect("it goes on");
        assert_eq!((rates.transactions, rates.wal_bytes), (100.0, None));
    }
}
