//! Bulk import: rows are routed as they are read, and each shard takes its own by COPY, in batches that commit.
//!
//! Three kinds of threads: the caller's feeds records to a [`Feeder`], which routes and packs them; one worker a
//! shard stores batches; and [`Import::run`] waits for them and tells how far they are. A batch is in memory as a
//! whole before its transaction begins, so a stalled input never holds a lock.
//!
//! A shard writes down in the transaction of a batch how far it has the file (`known`), so that an import that was
//! interrupted goes on where it was. Commits of batches do not wait for the disk: what a crash of the server takes
//! away it takes together with the word about it. At the end each shard is flushed, and only then is the import
//! forgotten.

mod batch;
mod checkpoint;
mod feed;
mod store;

use crate::pg::scan::snapshot;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use postgres::types::Type;

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::ring::coverage::Coverage;
use crate::model::ring::position::Position;
use crate::model::text::counted;
use crate::pg::cluster::Cluster;
use crate::pg::net::session::Session;
use crate::pg::net::sqlstate;
use crate::pg::pool::PooledSession;
use crate::pg::pool::read_routing::ReadIntent;
use batch::RowBatch;
use checkpoint::{Checkpoint, MIXED, ResumePlan};
use feed::Lane;
pub use feed::{Feeder, Stopped};
use store::Store;

/// The most bytes of all batches that are in memory at a time.
const MEMORY_BYTES: usize = 40 << 20;
/// A batch that fills, one or two that wait, and one that is being stored.
const BATCHES_PER_SHARD: usize = 4;
/// Some 15,000 rows: what the guard's triggers keep of them fits the default `work_mem`.
const BATCH_BYTES_MAX: usize = 1 << 20;
const BATCH_BYTES_MIN: usize = 16 << 10;
/// How often the caller is told how far it is.
const TELL_INTERVAL: Duration = Duration::from_millis(100);
/// How long another import of the same file is waited for: it may have been killed, and its sessions end soon.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// What becomes of a user that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// The import stops.
    Error,
    /// The user that is there stays.
    Skip,
    /// The columns that the file has are set.
    Update,
}

/// How to import.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The file's name, for errors.
    pub file: String,
    /// What tells this file from others: the MD5 of how it begins.
    pub source: Position,
    /// What becomes of users that are there already.
    pub on_conflict: OnConflict,
    /// Whether the file says something of name, region and email.
    pub has: [bool; 3],
    /// Whether to forget how far an earlier run came.
    pub restart: bool,
    /// How large a batch gets, unless the memory for all of them decides.
    pub batch_bytes: Option<usize>,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records of the file, rejected ones too.
    pub records: u64,
    /// Users that were not there.
    pub inserted: u64,
    /// Users that were there and were changed.
    pub updated: u64,
    /// Users that were there and stayed as they were.
    pub skipped: u64,
    /// Users that an earlier run had stored.
    pub resumed: u64,
    /// What kept shards from forgetting the import once all of it was in, or from saying that they did.
    pub unforgotten: Vec<Error>,
}

#[derive(Debug, Default)]
struct Counts {
    inserted: AtomicU64,
    updated: AtomicU64,
    skipped: AtomicU64,
    resumed: AtomicU64,
    /// Records that were read.
    records: AtomicU64,
}

/// What the threads of an import have in common.
pub(crate) struct ImportShared {
    /// Everybody stops where it is safe.
    halt: AtomicBool,
    /// Why, if something failed: the first thing that did.
    trouble: Mutex<Option<Error>>,
    /// Who owns what, as far as is known, and how often that changed.
    routing: RwLock<Arc<Coverage>>,
    routing_version: AtomicU64,
    /// Whether rows were sent by more than one routing.
    mixed: AtomicBool,
    /// Held by the worker that looks for owners anew: its snapshot takes a connection to each shard, and several
    /// of them at once could wait for each other's.
    settling: Mutex<()>,
    counts: Counts,
    /// All records of the file and their digest, once it was read to its end.
    fed: Mutex<Option<(u64, i64)>>,
}

impl ImportShared {
    fn fail(&self, error: Error) {
        self.trouble.lock().get_or_insert(error);
        self.halt.store(true, Ordering::SeqCst);
    }

    fn has_halted(&self) -> bool {
        self.halt.load(Ordering::SeqCst)
    }

    fn routing(&self) -> Arc<Coverage> {
        Arc::clone(&self.routing.read())
    }

    /// Takes over a new routing.
    fn reroute(&self, coverage: Coverage) {
        let mut routing = self.routing.write();
        if **routing != coverage {
            *routing = Arc::new(coverage);
            self.routing_version.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// An import that has begun: one worker a shard still to be started.
pub struct Import {
    options: ImportOptions,
    shared: Arc<ImportShared>,
    fingerprint: String,
    workers: Vec<Worker>,
}

struct Worker {
    shard: ShardName,
    session: PooledSession,
    batches: Receiver<RowBatch>,
    known: Option<Checkpoint>,
}

impl Import {
    /// Looks at all shards, locks the file against a second import of it, and finds out what an earlier run
    /// left to do. Nothing is stored yet.
    pub fn begin(cluster: &Cluster, options: ImportOptions) -> Result<(Self, Feeder)> {
        let coverage = snapshot::open(cluster, ReadIntent::Primary, false)?.coverage;
        let fingerprint = checkpoint::fingerprint(&coverage);
        let source = options.source;
        let names = cluster.belonging();
        let (mut sessions, mut said) = (Vec::new(), BTreeMap::new());
        // The first shard alone, before the others: two imports that each held a part would wait for each other.
        let (first, others) = names.split_at(names.len().min(1));
        for names in [first, others] {
            let prepared =
                cluster.shards().checkout_each(names, |shard, session| prepare(shard, session, &options));
            for (shard, checked_out) in prepared {
                let (session, known) = checked_out?;
                sessions.push((shard.clone(), session));
                said.insert(shard, known);
            }
        }
        let memory = ResumePlan::new(said, &fingerprint);
        if let Some(baseline) = memory.baseline() {
            // What was routed otherwise: each shard's word is taken back to what holds for all.
            for (shard, session) in &mut sessions {
                session
                    .client()
                    .batch_execute("BEGIN; SET LOCAL synchronous_commit = on")
                    .and_then(|()| checkpoint::write(session.client(), source, &baseline))
                    .and_then(|()| session.client().batch_execute("COMMIT"))
                    .map_err(|cause| sqlstate::doing("note the import", shard, &cause))?;
            }
        }
        let shared = Arc::new(ImportShared {
            halt: AtomicBool::new(false),
            trouble: Mutex::default(),
            routing: RwLock::new(Arc::new(coverage)),
            routing_version: AtomicU64::new(0),
            mixed: AtomicBool::new(false),
            settling: Mutex::default(),
            counts: Counts::default(),
            fed: Mutex::default(),
        });
        let (mut lanes, mut workers) = (Vec::new(), Vec::new());
        for (shard, session) in sessions {
            let (sender, batches) = sync_channel(BATCHES_PER_SHARD - 2);
            lanes.push(Lane::new(shard.clone(), sender));
            let known = memory.baseline().or_else(|| memory.of(&shard).cloned());
            workers.push(Worker { shard, session, batches, known });
        }
        let share = MEMORY_BYTES / (lanes.len() * BATCHES_PER_SHARD);
        let batch_bytes = options.batch_bytes.unwrap_or(share.clamp(BATCH_BYTES_MIN, BATCH_BYTES_MAX));
        let feeder = Feeder::new(Arc::clone(&shared), lanes, memory, options.file.clone(), batch_bytes);
        Ok((Self { options, shared, fingerprint, workers }, feeder))
    }

    /// Stores what the feeder sends, until the file is in or something fails. `tell` hears now and then how
    /// many records were read; when it answers `false`, the import stops at a safe point.
    pub fn run(self, cluster: &Cluster, mut tell: impl FnMut(u64) -> bool) -> Result<Summary> {
        let Self { options, shared, fingerprint, workers } = self;
        let store = Store { cluster, shared: &shared, options: &options, fingerprint: &fingerprint };
        let mut was_stopped = false;
        let mut sessions = thread::scope(|scope| {
            let (sender, ended) = channel();
            for worker in workers {
                let (sender, store) = (sender.clone(), &store);
                scope.spawn(move || drop(sender.send(work(store, worker))));
            }
            drop(sender);
            let mut sessions = Vec::new();
            loop {
                match ended.recv_timeout(TELL_INTERVAL) {
                    Ok(session) => sessions.push(session),
                    Err(RecvTimeoutError::Disconnected) => break sessions,
                    Err(RecvTimeoutError::Timeout) => {}
                }
                if !tell(shared.counts.records.load(Ordering::Relaxed)) {
                    was_stopped = true;
                    shared.halt.store(true, Ordering::SeqCst);
                }
            }
        });
        let counts = &shared.counts;
        let count = |count: &AtomicU64| count.load(Ordering::SeqCst);
        let stored = count(&counts.inserted) + count(&counts.updated) + count(&counts.skipped);
        let trouble = shared.trouble.lock().take();
        let fed = *shared.fed.lock();
        let (records, digest) = match (trouble, fed) {
            (Some(error), _) => return Err(part_way(&error, stored)),
            (None, Some(fed)) if !was_stopped => fed,
            _ => {
                let done = counted(stored, "user");
                let message = format!("stopped; imported of `{}` until then: {done}", options.file);
                return Err(Error::new(Kind::Partial, message)
                    .hint("run this again with the same file: it goes on from there"));
            }
        };
        let unforgotten =
            if records > 0 { store.finish(&mut sessions, records, digest)? } else { Vec::new() };
        Ok(Summary {
            records,
            inserted: count(&counts.inserted),
            updated: count(&counts.updated),
            skipped: count(&counts.skipped),
            resumed: count(&counts.resumed),
            unforgotten,
        })
    }
}

/// An error with what was done by then.
fn part_way(error: &Error, stored: u64) -> Error {
    let done = if stored == 0 {
        "nothing was imported".to_owned()
    } else {
        format!("imported until then: {}; run again, it goes on from there", counted(stored, "user"))
    };
    let mut told = Error::new(error.kind(), format!("{error}; {done}"));
    if let Some(hint) = error.hint_text() {
        told = told.hint(hint.to_owned());
    }
    match error.shard() {
        Some(shard) => told.on_shard(shard.to_owned()),
        None => told,
    }
}

/// One shard's worker: stores batches in order until there are no more. Its connection, and whose it is.
fn work(store: &Store<'_>, mut worker: Worker) -> (ShardName, PooledSession) {
    let mut staged = false;
    while !store.shared.has_halted() {
        // The one who reads the file may wait for it, and not hear of a halt.
        let batch = match worker.batches.recv_timeout(TELL_INTERVAL) {
            Ok(batch) => batch,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let stored = store.batch(&worker.shard, &mut worker.session, &batch, &mut worker.known, &mut staged);
        if let Err(error) = stored {
            store.shared.fail(error);
            break;
        }
    }
    (worker.shard, worker.session)
}

/// Locks the file on one shard and reads what the shard knows of it.
fn prepare(
    shard: &ShardName,
    mut session: PooledSession,
    options: &ImportOptions,
) -> Result<(PooledSession, Option<Checkpoint>)> {
    // Whatever comes: its locks and temporary tables end with it.
    session.spoil();
    take_lock(&mut session, shard, options)?;
    let doing = |cause: postgres::Error| sqlstate::doing("look for an interrupted import", shard, &cause);
    if options.restart {
        checkpoint::forget(session.client(), options.source).map_err(doing)?;
    }
    let known = checkpoint::read(session.client(), options.source).map_err(doing)?;
    Ok((session, known))
}

/// A lock of the session on this file.
fn take_lock(session: &mut Session, shard: &ShardName, options: &ImportOptions) -> Result<()> {
    let begun = Instant::now();
    let bytes = options.source.number().to_be_bytes();
    let key = i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    loop {
        let rows = session
            .query("SELECT pg_catalog.pg_try_advisory_lock(7283003, $1)", &[(&key, Type::INT4)])
            .map_err(|cause| sqlstate::doing("lock the import", shard, &cause))?;
        if rows.first().is_some_and(|row| row.get(0)) {
            return Ok(());
        }
        if begun.elapsed() > LOCK_PATIENCE {
            return Err(Error::new(Kind::Locked, format!("another import of `{}` is at work", options.file))
                .hint("wait for it; then run this again if it did not finish")
                .on_shard(shard));
        }
        thread::sleep(TELL_INTERVAL);
    }
}

/// What a shard knows after a batch.
fn known_after(
    shared: &ImportShared,
    fingerprint: &str,
    before: Option<&Checkpoint>,
    batch: &RowBatch,
) -> Checkpoint {
    let last = batch.places().last().map_or(0, |place| place.record);
    let mixed = shared.mixed.load(Ordering::SeqCst);
    Checkpoint {
        records: last,
        high: last.max(before.map_or(0, |known| known.high)),
        digest: batch.digest,
        routing: if mixed { MIXED } else { fingerprint }.to_owned(),
    }
}
