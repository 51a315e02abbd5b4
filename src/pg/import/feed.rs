//! From records to batches: each is routed, and packed for its shard.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

use super::ImportShared;
use super::batch::{RowBatch, RowOrigin};
use super::checkpoint::{ResumeNeed, ResumePlan};
use crate::error::{Error, Kind};
use crate::model::digest::Digest;
use crate::model::names::ShardName;
use crate::model::ring::coverage::Coverage;
use crate::model::ring::position::Position;
use crate::model::user::UserRef;

/// The import has halted: no more records are needed.
#[derive(Debug)]
pub struct Stopped;

/// The way to one shard's worker.
pub(crate) struct Lane {
    shard: ShardName,
    batches: SyncSender<RowBatch>,
    filling: RowBatch,
}

impl Lane {
    pub(crate) fn new(shard: ShardName, batches: SyncSender<RowBatch>) -> Self {
        Self { shard, batches, filling: RowBatch::default() }
    }

    fn send(&mut self) -> Result<(), Stopped> {
        self.batches.send(std::mem::take(&mut self.filling)).map_err(|_| Stopped)
    }
}

/// Which lane a position goes to: the last position of each route, and the lane.
struct BatchRouter {
    version: u64,
    coverage: Arc<Coverage>,
    lasts: Vec<Position>,
    lanes: Vec<usize>,
    /// Whether each shard that serves something has a lane.
    is_complete: bool,
}

impl BatchRouter {
    fn new(version: u64, coverage: Arc<Coverage>, lanes: &[Lane]) -> Self {
        // A shard that came during the import has no lane: whoever gets its rows finds out whose they are.
        let lane_of = |shard: &ShardName| lanes.iter().position(|lane| lane.shard == *shard).unwrap_or(0);
        let is_complete =
            coverage.routes().iter().all(|route| lanes.iter().any(|lane| lane.shard == route.shard));
        let routes = coverage.routes().iter();
        let (lasts, lanes) = routes.map(|route| (route.arc.last(), lane_of(&route.shard))).unzip();
        Self { version, coverage, lasts, lanes, is_complete }
    }

    fn lane(&self, position: Position) -> usize {
        let at = self.lasts.partition_point(|last| *last < position);
        self.lanes.get(at).copied().unwrap_or(0)
    }
}

/// Takes records in the file's order and sends them to the shards' workers.
pub struct Feeder {
    shared: Arc<ImportShared>,
    lanes: Vec<Lane>,
    router: BatchRouter,
    memory: ResumePlan,
    file: String,
    batch_bytes: usize,
    records: u64,
    digest: Digest,
}

impl Feeder {
    pub(crate) fn new(
        shared: Arc<ImportShared>,
        lanes: Vec<Lane>,
        memory: ResumePlan,
        file: String,
        batch_bytes: usize,
    ) -> Self {
        let router = BatchRouter::new(0, shared.routing(), &lanes);
        Self { shared, lanes, router, memory, file, batch_bytes, records: 0, digest: Digest::default() }
    }

    /// The next record: a user.
    pub fn push(&mut self, line: u64, user: UserRef<'_>) -> Result<(), Stopped> {
        let position = Position::of_user(user.user_id);
        self.digest.push(position, user);
        self.count()?;
        if self.router.version != self.shared.routing_version.load(Ordering::Relaxed) {
            self.reroute()?;
        }
        let lane = &mut self.lanes[self.router.lane(position)];
        let doubtful = match self.memory.need(self.records, &lane.shard) {
            ResumeNeed::Fresh => false,
            ResumeNeed::Doubtful => true,
            ResumeNeed::Stored => {
                self.shared.counts.resumed.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
        };
        if lane.filling.is_empty() {
            // Without it each row is looked at by itself.
            lane.filling.routing = self.router.is_complete.then(|| Arc::clone(&self.router.coverage));
        }
        lane.filling.push(RowOrigin { user_id: user.user_id, record: self.records, line, doubtful }, user);
        lane.filling.digest = self.digest.number();
        if lane.filling.len_bytes() >= self.batch_bytes { lane.send() } else { Ok(()) }
    }

    /// The next record: one that was rejected.
    pub fn pass(&mut self) -> Result<(), Stopped> {
        self.digest.pass();
        self.count()
    }

    /// Routes by what is known of the ring now.
    fn reroute(&mut self) -> Result<(), Stopped> {
        if !self.memory.holds_for_another_routing(self.records) {
            // A shard's word about what was routed to it says nothing of what goes to it now.
            let message =
                format!("the ring changed while an interrupted import of `{}` was gone on with", self.file);
            let hint = "run this again with the same file: it goes on from there";
            self.shared.fail(Error::new(Kind::Partial, message).hint(hint));
            return Err(Stopped);
        }
        let version = self.shared.routing_version.load(Ordering::SeqCst);
        self.router = BatchRouter::new(version, self.shared.routing(), &self.lanes);
        for lane in &mut self.lanes {
            lane.filling.routing = None;
        }
        Ok(())
    }

    /// Counts a record, and compares the file so far with what an earlier run saw of it.
    fn count(&mut self) -> Result<(), Stopped> {
        if self.shared.has_halted() {
            return Err(Stopped);
        }
        self.records += 1;
        self.shared.counts.records.store(self.records, Ordering::Relaxed);
        if !self.memory.agrees(self.records, self.digest.number()) {
            self.differs(self.records);
            return Err(Stopped);
        }
        Ok(())
    }

    fn differs(&self, record: u64) {
        let message = format!(
            "an import of a file that begins like `{}` was interrupted behind its record {record}, and this file differs before that",
            self.file
        );
        self.shared.fail(Error::new(Kind::Conflict, message).hint(
            "run it with that file again; or give --restart, with --on-conflict skip or update for users that are in already",
        ));
    }

    /// The file is read to its end: sends what is left.
    pub fn finish(mut self) {
        if self.records < self.memory.last_record() {
            return self.differs(self.memory.last_record());
        }
        for lane in &mut self.lanes {
            if !lane.filling.is_empty() && lane.send().is_err() {
                return;
            }
        }
        let mut fed = self.shared.fed.lock();
        *fed = Some((self.records, self.digest.number()));
    }

    /// The file cannot be read on: nothing more is stored.
    pub fn abort(self, error: Error) {
        self.shared.fail(error);
    }
}
