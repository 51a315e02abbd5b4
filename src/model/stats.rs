//! Statistics of a shard: a sample, and the rates between two samples.
//!
//! Counters only grow, until a server crashes or they are reset. A rate needs two samples without a reset between them;
//! otherwise it is unknown, and never negative.

use super::rebalance::RingState;
use super::rebalance::plan::Load;

/// The counters of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Committed transactions of this database.
    pub commits: i64,
    /// Rolled back transactions of this database.
    pub rollbacks: i64,
    /// Blocks found in Postgres's cache.
    pub blocks_hit: i64,
    /// Blocks read from the system's cache or the disk.
    pub blocks_read: i64,
    /// Detected deadlocks.
    pub deadlocks: i64,
    /// Bytes written to temporary files.
    pub temp_bytes: i64,
    /// Bytes of WAL written by the server so far; on a standby, replayed.
    pub wal_bytes: Option<i64>,
}

impl Counters {
    /// The share of blocks found in the cache, 0 to 1.
    pub fn hit_share(&self) -> Option<f64> {
        hit_share(self.blocks_hit, self.blocks_read)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
fn hit_share(hit: i64, read: i64) -> Option<f64> {
    let requested = hit.saturating_add(read);
    (requested > 0).then(|| hit as f64 / requested as f64)
}

/// The replication lag of a server's standbys, or of a standby.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Replication {
    /// How many standbys stream from this server.
    pub replicas: i64,
    /// Bytes of WAL that the slowest standby has not replayed; on a standby, that it has received but not replayed. `None`
    /// without a standby, or for a role that may not read it.
    pub lag_bytes: Option<i64>,
    /// The same in seconds; on a standby, the age of the last transaction that it replayed.
    pub lag_seconds: Option<f64>,
}

/// The client that carries out a change of the ring, or did last, by its own record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// Its process and machine.
    pub name: String,
    /// Whether its session still exists.
    pub is_at_work: bool,
    /// Its current or last phase.
    pub phase: String,
    /// The duration of that phase, in seconds.
    pub phase_seconds: i64,
    /// How long ago it began, in seconds.
    pub seconds: i64,
    /// What the whole change moves, by the plan.
    pub total: Load,
}

/// What a shard knows of the change under way.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moves {
    /// What it has received, by source.
    pub arrived: Vec<(String, Load)>,
    /// The client that carries it out; only the arbiter knows.
    pub runner: Option<Runner>,
}

/// A session of a client at a shard.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientSession {
    /// The process of its server.
    pub pid: i32,
    /// Its role.
    pub role: String,
    /// Its `application_name`.
    pub program: String,
    /// As `pg_stat_activity.state`; empty if this role may not see it.
    pub state: String,
    /// For how long it has been in this state or, if it is active, its statement has run, in seconds.
    pub seconds: Option<f64>,
    /// The kind and name of what it waits for.
    pub waits_for: Option<String>,
    /// The processes whose locks it waits for.
    pub blocked_by: Vec<i32>,
    /// Its statement, or its last one.
    pub statement: String,
}

/// A standby that streams from a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standby {
    /// Its `application_name`.
    pub name: String,
    /// As `pg_stat_replication.state`.
    pub state: String,
    /// As `pg_stat_replication.sync_state`.
    pub sync: String,
    /// Bytes of WAL that it has not replayed.
    pub lag_bytes: Option<i64>,
}

/// Who uses a shard.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Activity {
    /// The sessions of its clients, those at work first.
    pub sessions: Vec<ClientSession>,
    /// Its standbys.
    pub standbys: Vec<Standby>,
}

/// A sample of a shard. A value that the role may not read is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The time of the sample, by the server's clock, in seconds since 1970.
    pub at_seconds: f64,
    /// When the server was started, and when its counters were last reset, in seconds since 1970.
    pub counting_since: (f64, Option<f64>),
    /// The round trip time of a statement that does nothing, in milliseconds.
    pub latency_ms: f64,
    /// Whether it is a standby.
    pub is_standby: bool,
    /// The number of users, as Postgres estimates it.
    pub rows: Option<i64>,
    /// Bytes of the whole database.
    pub size_bytes: Option<i64>,
    /// Sessions of all databases of the server.
    pub connections: i64,
    /// The most sessions of roles other than superusers.
    pub connections_allowed: i64,
    /// Its counters.
    pub counters: Counters,
    /// Its replication.
    pub replication: Replication,
    /// The server's data folder, if the server is on this machine.
    pub data_folder: Option<String>,
    /// Its state of the ring.
    pub ring: RingState,
    /// The progress of a change on this shard; `None` if none is under way or desired.
    pub moves: Option<Moves>,
    /// Who uses it; only if that was asked.
    pub activity: Option<Activity>,
}

/// The rates between two samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Ended transactions a second, committed or not.
    pub transactions: f64,
    /// The share of blocks found in the cache, 0 to 1; `None` if none was requested.
    pub hit_share: Option<f64>,
    /// Bytes of WAL a second.
    pub wal_bytes: Option<f64>,
}

impl Sample {
    /// The rates since an earlier sample; `None` if the server was restarted, its counters were reset, or no time has passed.
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

    /// The data that this shard has received in the change under way.
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
            activity: None,
        }
    }

    #[test]
    fn a_rate_is_the_growth_divided_by_the_time() {
        let rates = sample(12.0, 300).since(&sample(10.0, 100)).expect("it goes on");
        assert_eq!(rates, Rates { transactions: 100.0, hit_share: Some(1.0), wal_bytes: Some(1000.0) });
        let idle = sample(12.0, 100).since(&sample(10.0, 100)).expect("it goes on");
        assert_eq!(idle, Rates { transactions: 0.0, hit_share: None, wal_bytes: Some(0.0) });
    }

    #[test]
    fn reset_counters_give_no_rate() {
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
