//! Turns records into batches: routes each record, and packs it for its shard.

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

/// The channel to one shard's worker, and the batch that fills.
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

/// Finds the lane of a position: the last position of each route, with its lane.
struct BatchRouter {
    version: u64,
    coverage: Arc<Coverage>,
    lasts: Vec<Position>,
    lanes: Vec<usize>,
    /// Whether each shard that serves positions has a lane.
    is_complete: bool,
}

impl BatchRouter {
    fn new(version: u64, coverage: Arc<Coverage>, lanes: &[Lane]) -> Self {
        // A shard that joined during the import has no lane: the first lane's worker finds the owners of its rows.
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

/// Takes the records in the file's order and sends them to the workers.
pub struct Feeder {
    shared: Arc<ImportShared>,
    lanes: Vec<Lane>,
    router: BatchRouter,
    resume_plan: ResumePlan,
    file: String,
    batch_bytes: usize,
    records: u64,
    digest: Digest,
}

impl Feeder {
    pub(crate) fn new(
        shared: Arc<ImportShared>,
        lanes: Vec<Lane>,
        resume_plan: ResumePlan,
        file: String,
        batch_bytes: usize,
    ) -> Self {
        let router = BatchRouter::new(0, shared.routing(), &lanes);
        Self { shared, lanes, router, resume_plan, file, batch_bytes, records: 0, digest: Digest::default() }
    }

    /// Adds the next record, a user.
    pub fn push(&mut self, line: u64, user: UserRef<'_>) -> Result<(), Stopped> {
        let position = Position::of_user(user.user_id);
        self.digest.push(position, user);
        self.count()?;
        if self.router.version != self.shared.routing_version.load(Ordering::Relaxed) {
            self.reroute()?;
        }
        let lane = &mut self.lanes[self.router.lane(position)];
        let doubtful = match self.resume_plan.need(self.records, &lane.shard) {
            ResumeNeed::Fresh => false,
            ResumeNeed::Doubtful => true,
            ResumeNeed::Stored => {
                self.shared.counts.resumed.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
        };
        if lane.filling.is_empty() {
            // Without a routing, the ownership of each row is checked.
            lane.filling.routing = self.router.is_complete.then(|| Arc::clone(&self.router.coverage));
        }
        lane.filling.push(RowOrigin { user_id: user.user_id, record: self.records, line, doubtful }, user);
        lane.filling.digest = self.digest.number();
        if lane.filling.len_bytes() >= self.batch_bytes { lane.send() } else { Ok(()) }
    }

    /// Adds the next record, which was rejected.
    pub fn skip(&mut self) -> Result<(), Stopped> {
        self.digest.skip();
        self.count()
    }

    /// Changes to the current routing.
    fn reroute(&mut self) -> Result<(), Stopped> {
        if !self.resume_plan.allows_another_routing(self.records) {
            // The checkpoints hold only for records that are routed as before.
            let message =
                format!("the ring changed while an interrupted import of `{}` was resumed", self.file);
            let hint = "run this again with the same file to continue from there";
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

    /// Counts a record, and compares the file so far with the checkpoints of an earlier run.
    fn count(&mut self) -> Result<(), Stopped> {
        if self.shared.has_halted() {
            return Err(Stopped);
        }
        self.records += 1;
        self.shared.counts.records.store(self.records, Ordering::Relaxed);
        if !self.resume_plan.agrees(self.records, self.digest.number()) {
            self.differs(self.records);
            return Err(Stopped);
        }
        Ok(())
    }

    fn differs(&self, record: u64) {
        let message = format!(
            "an import of a file with the same beginning as `{}` was interrupted after record {record}, and this file differs before that",
            self.file
        );
        self.shared.fail(Error::new(Kind::Conflict, message).hint(
            "use that file again, or --restart, with --on-conflict skip or update for users that are already stored",
        ));
    }

    /// The file was read completely: sends the last batches.
    pub fn finish(mut self) {
        if self.records < self.resume_plan.last_record() {
            return self.differs(self.resume_plan.last_record());
        }
        for lane in &mut self.lanes {
            if !lane.filling.is_empty() && lane.send().is_err() {
                return;
            }
        }
        let mut totals = self.shared.totals.lock();
        *totals = Some((self.records, self.digest.number()));
    }

    /// The file cannot be read further: stops the import with this error.
    pub fn abort(self, error: Error) {
        self.shared.fail(error);
    }
}
