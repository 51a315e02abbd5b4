//! The state of one run of a mover, which all its workers share: counters, progress, the request to stop.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::{Error, Kind};
use crate::model::names::ShardName;
use crate::model::rebalance::even_spread::EvenSpread;
use crate::model::rebalance::plan::Load;
use crate::model::ring::arc::Arc;
use crate::model::ring::position::Position;
use crate::pg::cluster::Cluster;

/// How often a wait checks whether to stop.
const SLICE: Duration = Duration::from_millis(20);

/// How long to wait for a shard that does not answer, and for a lock.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long to wait for standbys by default.
pub const STANDBY_PATIENCE: Duration = Duration::from_secs(15);

/// The options of a rebalance.
#[derive(Debug, Clone, Copy)]
pub struct RebalanceOptions {
    /// The most rows of a chunk.
    pub chunk_rows: u32,
    /// The most rows a second, of all workers together; `None` for no limit.
    pub rows_per_second: Option<u32>,
    /// How many chunks move in parallel.
    pub jobs: u32,
    /// How long to wait for standbys that have not received a hand-over; `None` does not wait at all, and accepts that a failover
    /// to one of them loses rows.
    pub standby_patience: Option<Duration>,
    /// For tests with two movers: takes no run lock.
    pub unlocked: bool,
}

impl Default for RebalanceOptions {
    fn default() -> Self {
        Self {
            chunk_rows: 4_000,
            rows_per_second: None,
            jobs: 4,
            standby_patience: Some(STANDBY_PATIENCE),
            unlocked: false,
        }
    }
}

/// What a run has moved so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// The moved data.
    pub load: Load,
    /// The number of moved chunks.
    pub chunks: u64,
}

/// The progress of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveProgress {
    /// The data moved so far.
    pub load: Load,
    /// The current work: source and target, or a phase; with the reason if it waits.
    pub at: String,
}

/// The state of a run.
pub(crate) struct RunState<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) options: RebalanceOptions,
    /// How long to wait for a shard that does not answer, and for a lock.
    pub(crate) patience: Duration,
    /// Whether all workers are to stop at the next safe point.
    stop: AtomicBool,
    /// Whether the change is announced.
    has_begun: AtomicBool,
    rows: AtomicU64,
    bytes: AtomicU64,
    chunks: AtomicU64,
    at: Mutex<String>,
    waits: Mutex<Option<String>>,
    /// The shards whose ranges can be cut without asking them.
    spreads: BTreeMap<ShardName, EvenSpread>,
    /// Whether a chunk had more rows than it may, so that shards are asked from now on.
    is_uneven: AtomicBool,
    /// When the next chunk may begin under the limit of rows a second.
    due: Mutex<Instant>,
}

impl<'a> RunState<'a> {
    pub(crate) fn new(cluster: &'a Cluster, options: RebalanceOptions) -> Self {
        Self {
            cluster,
            options,
            patience: PATIENCE,
            stop: AtomicBool::new(false),
            has_begun: AtomicBool::new(false),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
            at: Mutex::default(),
            waits: Mutex::default(),
            spreads: BTreeMap::new(),
            is_uneven: AtomicBool::new(false),
            due: Mutex::new(Instant::now()),
        }
    }

    /// With what the plan knows of the rows of each shard.
    pub(crate) fn with_spreads(mut self, spreads: BTreeMap<ShardName, EvenSpread>) -> Self {
        self.spreads = spreads;
        self
    }

    /// Where to cut a range of a shard; `None` if it must be asked.
    pub(crate) fn even_cut(&self, shard: &ShardName, range: Arc, bytes_max: u64) -> Option<Position> {
        let spread = self.spreads.get(shard).filter(|_| !self.is_uneven.load(Ordering::SeqCst))?;
        spread.cut(range, self.options.chunk_rows, bytes_max)
    }

    /// Makes all workers stop at the next safe point.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Notes that the change is announced.
    pub(crate) fn set_begun(&self) {
        self.has_begun.store(true, Ordering::SeqCst);
    }

    /// The error of a stopped run.
    pub(crate) fn stopped(&self) -> Error {
        if !self.has_begun.load(Ordering::SeqCst) {
            return Error::new(Kind::Partial, "stopped before anything was moved")
                .hint("ringshard rebalance");
        }
        Error::new(Kind::Partial, "stopped; the change is not finished, and all users are served")
            .hint("ringshard rebalance continues, ringshard rebalance cancel goes back")
    }

    /// Counts a chunk that was received.
    pub(crate) fn count(&self, load: Load) {
        if load.rows > u64::from(self.options.chunk_rows) {
            self.is_uneven.store(true, Ordering::SeqCst);
        }
        self.rows.fetch_add(load.rows, Ordering::SeqCst);
        self.bytes.fetch_add(load.bytes, Ordering::SeqCst);
        self.chunks.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn moved(&self) -> Moved {
        let load = Load { rows: self.rows.load(Ordering::SeqCst), bytes: self.bytes.load(Ordering::SeqCst) };
        Moved { load, chunks: self.chunks.load(Ordering::SeqCst) }
    }

    /// Sets the current work.
    pub(crate) fn set_current(&self, what: String) {
        *self.at.lock() = what;
    }

    /// Sets a pair of shards as the current work.
    pub(crate) fn set_current_pair(&self, source: &ShardName, target: &ShardName) {
        self.set_current(format!("{source} -> {target}"));
    }

    /// Sets why the run waits; `None` if it does not wait any more.
    pub(crate) fn set_waiting(&self, why: Option<String>) {
        *self.waits.lock() = why;
    }

    /// The progress so far.
    pub(crate) fn progress(&self) -> MoveProgress {
        let at = self.at.lock().clone();
        let waits = self.waits.lock().clone();
        MoveProgress {
            load: self.moved().load,
            at: waits.map_or(at.clone(), |why| format!("{at}, waiting: {why}")),
        }
    }

    /// Sleeps, but no longer than until the run is to stop.
    pub(crate) fn sleep(&self, duration: Duration) {
        let end = Instant::now() + duration;
        while !self.is_stopped() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(SLICE));
        }
    }

    /// Sleeps after this many rows were moved, to keep the limit of rows a second.
    pub(crate) fn throttle(&self, rows: u64) {
        let Some(rate) = self.options.rows_per_second else { return };
        #[expect(clippy::cast_precision_loss, reason = "a chunk has few rows")]
        let cost = Duration::from_secs_f64(rows as f64 / f64::from(rate));
        let due = {
            let mut due = self.due.lock();
            *due = (*due).max(Instant::now()) + cost;
            *due
        };
        self.sleep(due.saturating_duration_since(Instant::now()));
    }
}
