//! A run: what its workers have in common, and what its caller is told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::{Error, Kind};
use crate::model::names::ShardName;
use crate::model::rebalance::plan::Load;
use crate::pg::cluster::Cluster;

/// How often somebody who waits looks whether to stop.
const SLICE: Duration = Duration::from_millis(20);

/// How long a shard that does not answer is waited for, and locks that others hold.
const PATIENCE: Duration = Duration::from_secs(15);

/// How to move.
#[derive(Debug, Clone, Copy)]
pub struct RebalanceOptions {
    /// The most rows of a chunk.
    pub chunk_rows: u32,
    /// The most rows a second, all workers together; `None`: as many as it can.
    pub rows_per_second: Option<u32>,
    /// How many chunks move at once.
    pub jobs: u32,
    /// For tests of two movers at once: no lock is taken.
    pub unlocked: bool,
}

impl Default for RebalanceOptions {
    fn default() -> Self {
        Self { chunk_rows: 4_000, rows_per_second: None, jobs: 4, unlocked: false }
    }
}

/// What a run has moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// What was taken over in this run.
    pub load: Load,
    /// In how many chunks.
    pub chunks: u64,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveProgress {
    /// What was moved so far.
    pub load: Load,
    /// What it is at: source and target, or a phase, and why it waits if it waits.
    pub at: String,
}

/// What all workers of a run share.
pub(crate) struct RunState<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) options: RebalanceOptions,
    /// How long a shard that does not answer is waited for, and locks that others hold.
    pub(crate) patience: Duration,
    /// Everybody stops where it is safe.
    stop: AtomicBool,
    /// Whether the change is announced, so that there is something to go on with.
    has_begun: AtomicBool,
    rows: AtomicU64,
    bytes: AtomicU64,
    chunks: AtomicU64,
    at: Mutex<String>,
    waits: Mutex<Option<String>>,
    /// When the next chunk may begin, for who is not to move too fast.
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
            due: Mutex::new(Instant::now()),
        }
    }

    /// From here on all stop where it is safe.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// From here on the change is announced.
    pub(crate) fn begins(&self) {
        self.has_begun.store(true, Ordering::SeqCst);
    }

    /// The failure of who was stopped.
    pub(crate) fn stopped(&self) -> Error {
        if !self.has_begun.load(Ordering::SeqCst) {
            return Error::new(Kind::Partial, "stopped before anything was moved")
                .hint("ringshard rebalance");
        }
        Error::new(
            Kind::Partial,
            "stopped; the ring is between its old and its new state, and all users are served",
        )
        .hint("ringshard rebalance goes on, ringshard rebalance cancel goes back")
    }

    /// A chunk was taken over.
    pub(crate) fn count(&self, load: Load) {
        self.rows.fetch_add(load.rows, Ordering::SeqCst);
        self.bytes.fetch_add(load.bytes, Ordering::SeqCst);
        self.chunks.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn moved(&self) -> Moved {
        let load = Load { rows: self.rows.load(Ordering::SeqCst), bytes: self.bytes.load(Ordering::SeqCst) };
        Moved { load, chunks: self.chunks.load(Ordering::SeqCst) }
    }

    /// What is worked at.
    pub(crate) fn is_at(&self, what: String) {
        *self.at.lock() = what;
    }

    /// A pair of shards is worked at.
    pub(crate) fn is_at_pair(&self, source: &ShardName, target: &ShardName) {
        self.is_at(format!("{source} -> {target}"));
    }

    /// Why it waits; `None`: it does not any more.
    pub(crate) fn waits(&self, why: Option<String>) {
        *self.waits.lock() = why;
    }

    /// What the caller is told.
    pub(crate) fn told(&self) -> MoveProgress {
        let at = self.at.lock().clone();
        let waits = self.waits.lock().clone();
        MoveProgress {
            load: self.moved().load,
            at: waits.map_or(at.clone(), |why| format!("{at}, waits: {why}")),
        }
    }

    /// Sleeps, or until it is to stop.
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

    /// Holds back who has just moved this many rows, so that no more of them move a second than is desired topology.
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
