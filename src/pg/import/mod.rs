//! Bulk import: routes rows as they are read, and stores them on each shard with COPY, in batches that commit.
//!
//! There are three kinds of threads: the caller's feeds records to a [`Feeder`], which routes and packs them; one worker for
//! each shard stores batches; and [`Import::run`] waits for them and reports progress. A batch is complete in memory before
//! its transaction begins, so a stalled input never holds a lock.
//!
//! The transaction of a batch also writes a checkpoint, so that an interrupted import can be resumed. Commits of batches do
//! not wait for the disk: a crash of the server loses a batch together with its checkpoint. At the end each shard is flushed,
//! and only then are the checkpoints deleted. This room knows no file format.

mod batch;
mod checkpoint;
mod feed;
mod finish;
mod progress;
mod refused;
pub mod rows_of_table;
mod staged;
mod store;

use crate::pg::catalog::imports;
use crate::pg::net::advisory_lock::{self, IMPORT};
use crate::pg::scan::snapshot;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::ring::coverage::Coverage;
use crate::model::ring::position::Position;
use crate::model::text::counted;
use crate::model::user::{UserId, UserRef};
use crate::pg::cluster::Cluster;
use crate::pg::net::session::Session;
use crate::pg::net::sqlstate;
use crate::pg::pool::PooledSession;
use crate::pg::pool::read_routing::ReadIntent;
use crate::threads;
use batch::RowBatch;
use checkpoint::{Checkpoint, ResumePlan};
use feed::Lane;
pub use feed::{Feeder, Stopped};
use progress::Progress;
use store::Store;

/// The most bytes of all batches in memory.
const MEMORY_BYTES: usize = 40 << 20;
/// One batch that fills, up to two that wait, and one that is being stored.
const BATCHES_PER_SHARD: usize = 4;
/// About 15,000 rows: their transition table for the guard fits into the default `work_mem`.
const BATCH_BYTES_MAX: usize = 1 << 20;
const BATCH_BYTES_MIN: usize = 16 << 10;
/// How often progress is reported.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);
/// How long to wait for another import of the same file: if it was killed, its sessions end soon.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// What to do with a user that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// The import stops.
    Error,
    /// The existing user stays.
    Skip,
    /// The columns of the file are set.
    Update,
}

/// The options of an import.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The file's name, for errors.
    pub file: String,
    /// The identity of the file: the MD5 of its beginning.
    pub source: Position,
    /// What to do with users that exist.
    pub on_conflict: OnConflict,
    /// Whether the file has name, region and email.
    pub has: [bool; 3],
    /// Whether to ignore the checkpoints of an earlier run.
    pub restart: bool,
    /// The size of a batch in bytes, instead of the one computed from the memory limit.
    pub batch_bytes: Option<usize>,
}

/// A row that a server refused.
pub struct RefusedRow<'a> {
    /// Its number among the file's records, from 1.
    pub record: u64,
    /// The user.
    pub user: UserRef<'a>,
    /// The file, the line, the shard and the server's message.
    pub why: String,
}

/// Takes refused rows, perhaps one of them more than once. An error stops the import.
pub type RefusedSink = dyn Fn(&RefusedRow<'_>) -> Result<()> + Send + Sync;

/// The result of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records of the file, including rejected ones.
    pub records: u64,
    /// New users.
    pub inserted: u64,
    /// Existing users that were changed.
    pub updated: u64,
    /// Existing users that stayed.
    pub skipped: u64,
    /// Users that an earlier run had stored.
    pub resumed: u64,
    /// Users that this run wrote and a trigger changed.
    pub changed: Changed,
    /// Errors of the final cleanup, after all users were stored.
    pub cleanup_errors: Vec<Error>,
}

/// Users that a trigger of the user's own stored with other values than the file has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changed {
    /// How many.
    pub users: u64,
    /// One of them, if there is any.
    pub example: Option<UserId>,
}

impl Changed {
    fn add(&mut self, other: Self) {
        self.users += other.users;
        self.example = self.example.or(other.example);
    }
}

#[derive(Debug, Default)]
struct Counts {
    inserted: AtomicU64,
    updated: AtomicU64,
    skipped: AtomicU64,
    resumed: AtomicU64,
    changed: Mutex<Changed>,
    /// Records read so far.
    records: AtomicU64,
}

/// What the threads of an import share.
pub(crate) struct ImportShared {
    /// Whether all threads are to stop at the next safe point.
    halt: AtomicBool,
    /// The first error.
    first_error: Mutex<Option<Error>>,
    /// The current routing, and how often it changed.
    routing: RwLock<Arc<Coverage>>,
    routing_version: AtomicU64,
    /// Whether rows were sent under more than one routing.
    mixed: AtomicBool,
    /// Held by the worker that determines owners again: its snapshot needs a connection to each shard, and several workers
    /// could deadlock in the pools.
    settling: Mutex<()>,
    counts: Counts,
    /// The number of records and their digest, once the file was read completely.
    totals: Mutex<Option<(u64, i64)>>,
}

impl ImportShared {
    fn fail(&self, error: Error) {
        self.first_error.lock().get_or_insert(error);
        self.halt.store(true, Ordering::SeqCst);
    }

    fn has_halted(&self) -> bool {
        self.halt.load(Ordering::SeqCst)
    }

    fn routing(&self) -> Arc<Coverage> {
        Arc::clone(&self.routing.read())
    }

    /// Sets a new routing.
    fn reroute(&self, coverage: Coverage) {
        let mut routing = self.routing.write();
        if **routing != coverage {
            *routing = Arc::new(coverage);
            self.routing_version.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// An import that is prepared; its workers are not started yet.
pub struct Import {
    options: ImportOptions,
    shared: Arc<ImportShared>,
    fingerprint: String,
    workers: Vec<Worker>,
    /// Sessions that lock the file, where those of the workers cannot.
    locks: Vec<Session>,
    refused: Option<Box<RefusedSink>>,
}

struct Worker {
    shard: ShardName,
    session: PooledSession,
    batches: Receiver<RowBatch>,
    progress: Progress,
}

impl Import {
    /// Opens all shards, locks the file against a second import, and reads the checkpoints of an earlier run. Stores no rows.
    /// Fails with `Locked` if another import of the file runs.
    pub fn begin(cluster: &Cluster, options: ImportOptions) -> Result<(Self, Feeder)> {
        let coverage = snapshot::open(cluster, ReadIntent::Primary, false)?.coverage;
        let fingerprint = checkpoint::fingerprint(&coverage);
        let names = cluster.belonging();
        let (mut sessions, mut locks, mut by_shard) = (Vec::new(), Vec::new(), BTreeMap::new());
        // The first shard before the others, so that two imports cannot deadlock.
        let (first, others) = names.split_at(names.len().min(1));
        for names in [first, others] {
            let prepared = cluster
                .shards()
                .checkout_each(names, |shard, session| prepare(cluster, shard, session, &options));
            for (shard, prepared) in prepared {
                let Prepared { session, lock, checkpoint } = prepared?;
                sessions.push((shard.clone(), session));
                locks.extend(lock);
                by_shard.insert(shard, checkpoint);
            }
        }
        let resume_plan = ResumePlan::new(by_shard, &fingerprint);
        if let Some(baseline) = resume_plan.baseline() {
            // The records were routed differently: each checkpoint is reset to what holds for all shards.
            for (shard, session) in &mut sessions {
                session
                    .client()
                    .batch_execute("BEGIN; SET LOCAL synchronous_commit = on")
                    .and_then(|()| checkpoint::write(session.client(), &options, &baseline))
                    .and_then(|()| session.client().batch_execute("COMMIT"))
                    .map_err(|cause| sqlstate::doing("write the checkpoint", shard, &cause))?;
            }
        }
        let shared = Arc::new(ImportShared {
            halt: AtomicBool::new(false),
            first_error: Mutex::default(),
            routing: RwLock::new(Arc::new(coverage)),
            routing_version: AtomicU64::new(0),
            mixed: AtomicBool::new(false),
            settling: Mutex::default(),
            counts: Counts::default(),
            totals: Mutex::default(),
        });
        let (mut lanes, mut workers) = (Vec::new(), Vec::new());
        for (shard, session) in sessions {
            let (sender, batches) = sync_channel(BATCHES_PER_SHARD - 2);
            lanes.push(Lane::new(shard.clone(), sender));
            let checkpoint = resume_plan.baseline().or_else(|| resume_plan.of(&shard).cloned());
            workers.push(Worker { shard, session, batches, progress: Progress::new(checkpoint) });
        }
        let share = MEMORY_BYTES / (lanes.len() * BATCHES_PER_SHARD);
        let batch_bytes = options.batch_bytes.unwrap_or(share.clamp(BATCH_BYTES_MIN, BATCH_BYTES_MAX));
        let feeder = Feeder::new(Arc::clone(&shared), lanes, resume_plan, options.file.clone(), batch_bytes);
        Ok((Self { options, shared, fingerprint, workers, locks, refused: None }, feeder))
    }

    /// Collects the rows that a server refuses, instead of stopping at the first one.
    #[must_use]
    pub fn collecting_refused(self, sink: Box<RefusedSink>) -> Self {
        Self { refused: Some(sink), ..self }
    }

    /// Stores what the feeder sends, until the file is complete or something fails. `report` regularly gets the number of
    /// records read; when it returns false, the import stops at a safe point with an error of kind `Partial`.
    /// `complete` is called when all records are stored, before that is forgotten.
    pub fn run(
        self,
        cluster: &Cluster,
        mut report: impl FnMut(u64) -> bool,
        complete: impl FnOnce() -> Result<()>,
    ) -> Result<Summary> {
        let Self { options, shared, fingerprint, workers, locks: _locks, refused } = self;
        let refused = refused.as_deref();
        let store = Store { cluster, shared: &shared, options: &options, fingerprint: &fingerprint, refused };
        let mut was_stopped = false;
        let mut sessions = thread::scope(|scope| {
            let (sender, ended) = channel();
            for worker in workers {
                let (sender, store) = (sender.clone(), &store);
                if let Err(error) = threads::start_in(scope, move || drop(sender.send(work(store, worker)))) {
                    shared.fail(error);
                }
            }
            drop(sender);
            let mut sessions = Vec::new();
            loop {
                match ended.recv_timeout(REPORT_INTERVAL) {
                    Ok(session) => sessions.push(session),
                    Err(RecvTimeoutError::Disconnected) => break sessions,
                    Err(RecvTimeoutError::Timeout) => {}
                }
                if !report(shared.counts.records.load(Ordering::Relaxed)) {
                    was_stopped = true;
                    shared.halt.store(true, Ordering::SeqCst);
                }
            }
        });
        let counts = &shared.counts;
        let count = |count: &AtomicU64| count.load(Ordering::SeqCst);
        let stored = count(&counts.inserted) + count(&counts.updated) + count(&counts.skipped);
        let first_error = shared.first_error.lock().take();
        let totals = *shared.totals.lock();
        let (records, digest) = match (first_error, totals) {
            (Some(error), _) => return Err(part_way(&error, stored)),
            (None, Some(totals)) if !was_stopped => totals,
            _ => {
                let done = counted(stored, "user");
                let message = format!("stopped; imported from `{}` so far: {done}", options.file);
                return Err(Error::new(Kind::Partial, message)
                    .hint("run this again with the same file to continue from there"));
            }
        };
        complete()?;
        let cleanup_errors =
            if records > 0 { store.finish(&mut sessions, records, digest)? } else { Vec::new() };
        Ok(Summary {
            records,
            inserted: count(&counts.inserted),
            updated: count(&counts.updated),
            skipped: count(&counts.skipped),
            resumed: count(&counts.resumed),
            changed: *counts.changed.lock(),
            cleanup_errors,
        })
    }
}

/// The error with the number of users stored so far.
fn part_way(error: &Error, stored: u64) -> Error {
    let done = match (stored, error.kind()) {
        (0, _) => "nothing was imported".to_owned(),
        // The same record is in conflict again.
        (_, Kind::Conflict) => format!("imported so far: {}", counted(stored, "user")),
        _ => format!("imported so far: {}; run this again to continue from there", counted(stored, "user")),
    };
    error.clone().adding(&format!("; {done}"))
}

/// The worker of one shard: stores batches in order until there are no more. Returns its shard and session.
fn work(store: &Store<'_>, mut worker: Worker) -> (ShardName, PooledSession) {
    while !store.shared.has_halted() {
        // With a timeout, as the feeder may be blocked in reading the file.
        let batch = match worker.batches.recv_timeout(REPORT_INTERVAL) {
            Ok(batch) => batch,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let stored = store.batch(&worker.shard, &mut worker.session, &batch, &mut worker.progress);
        if let Err(error) = stored {
            store.shared.fail(error);
            break;
        }
    }
    (worker.shard, worker.session)
}

/// A shard whose file is locked.
struct Prepared {
    session: PooledSession,
    /// The session that holds the lock, if `session` cannot.
    lock: Option<Session>,
    checkpoint: Option<Checkpoint>,
}

/// Locks the file on one shard and reads its checkpoint.
fn prepare(
    cluster: &Cluster,
    shard: &ShardName,
    mut session: PooledSession,
    options: &ImportOptions,
) -> Result<Prepared> {
    let doing = |cause: postgres::Error| sqlstate::doing("read the checkpoint", shard, &cause);
    // The session is not reused, so that its locks and temporary tables end with it.
    session.spoil();
    let lock = if session.has_own_backend().map_err(doing)? {
        take_lock(&mut session, shard, options)?;
        None
    } else {
        let mut lock = cluster.shards().connect_unpooled(shard)?;
        take_lock(&mut lock, shard, options)?;
        Some(lock)
    };
    if options.restart {
        imports::delete(session.client(), options.source.into()).map_err(doing)?;
    }
    let checkpoint = checkpoint::read(session.client(), options.source).map_err(doing)?;
    Ok(Prepared { session, lock, checkpoint })
}

/// Takes the lock on this file, waiting a little.
fn take_lock(session: &mut Session, shard: &ShardName, options: &ImportOptions) -> Result<()> {
    let begun = Instant::now();
    let bytes = options.source.number().to_be_bytes();
    let key = i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    loop {
        let fail = |cause| sqlstate::doing("lock the import", shard, &cause);
        if advisory_lock::try_lock_part(session, IMPORT, key).map_err(fail)? {
            return Ok(());
        }
        if begun.elapsed() > LOCK_PATIENCE {
            return Err(Error::new(Kind::Locked, format!("another import of `{}` is running", options.file))
                .hint("wait for it, then run this again if it did not finish")
                .on_shard(shard));
        }
        thread::sleep(REPORT_INTERVAL);
    }
}
