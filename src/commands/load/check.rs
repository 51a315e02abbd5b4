//! The check at the end of a run: every key that was written is read again, and shards that are down are retried.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::run_context::RunContext;
use crate::model::names::ShardName;
use crate::model::user::UserId;
use crate::pg::rows::Router;
use crate::threads;

/// How long shards that do not answer are retried.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the check may still take after the user asked to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// The pause before a retry.
const PAUSE: Duration = Duration::from_millis(200);
/// How often the check polls whether to stop.
const STEP: Duration = Duration::from_millis(100);
/// How long the check waits for any progress before it counts a shard as hanging.
const PROGRESS_PATIENCE: Duration = Duration::from_secs(15);

/// The result of the check.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) keys: u64,
    /// The number of keys that could not be read, by owner.
    pub(crate) unchecked: BTreeMap<ShardName, u64>,
    /// Whether the user stopped it.
    pub(crate) was_stopped: bool,
}

struct Work {
    keys: Vec<UserId>,
    is_checked: Vec<AtomicBool>,
    /// The keys to read in this round, and how many of them were taken by a thread.
    round: Mutex<Arc<Vec<usize>>>,
    taken: AtomicUsize,
    done: AtomicUsize,
    halt: AtomicBool,
}

/// Reads all keys that were written. `progress` gets how many were read, and of how many; when it returns `false`, the
/// check ends soon.
pub(crate) fn check(context: &Arc<RunContext>, mut progress: impl FnMut(usize, usize) -> bool) -> Checked {
    let keys = context.histories.keys();
    let all = keys.len();
    let work = Arc::new(Work {
        is_checked: keys.iter().map(|_| AtomicBool::new(false)).collect(),
        round: Mutex::new(Arc::new((0..all).collect())),
        keys,
        taken: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
        halt: AtomicBool::new(false),
    });
    let mut is_requested = true;
    let mut give_up_at = None;
    loop {
        let has_ended = run_round(context, &work, || {
            is_requested &= progress(work.done.load(Ordering::Relaxed), all);
            if !is_requested {
                give_up_at.get_or_insert_with(|| Instant::now() + STOP_PATIENCE);
            }
            give_up_at.is_none_or(|at| Instant::now() < at)
        });
        let left = work.left();
        let give_up_at = *give_up_at.get_or_insert_with(|| Instant::now() + PATIENCE);
        if left.is_empty() || !is_requested || !has_ended || Instant::now() >= give_up_at {
            break;
        }
        *work.round.lock() = Arc::new(left);
        work.taken.store(0, Ordering::SeqCst);
        thread::sleep(PAUSE);
    }
    let mut unchecked = BTreeMap::new();
    for at in work.left() {
        *unchecked.entry(context.owner(work.keys[at])).or_default() += 1;
    }
    Checked { keys: all as u64, unchecked, was_stopped: !is_requested }
}

impl Work {
    fn left(&self) -> Vec<usize> {
        (0..self.keys.len()).filter(|at| !self.is_checked[*at].load(Ordering::SeqCst)).collect()
    }
}

/// Reads the keys of a round, with a thread for each client. Returns whether all threads have ended; one that hangs is
/// left behind.
fn run_round(context: &Arc<RunContext>, work: &Arc<Work>, mut goes_on: impl FnMut() -> bool) -> bool {
    let (sender, ended) = channel::<()>();
    for client in 0..context.plan.clients {
        let state = (Arc::clone(context), Arc::clone(work), sender.clone());
        let started = threads::start_with(state, move |(context, work, sender)| {
            read_keys(&context, &work);
            drop(sender);
        });
        // The clients that there are read all keys; if there is none, this thread does.
        match started {
            Ok(()) => {}
            Err((context, work, _)) if client == 0 => read_keys(&context, &work),
            Err(_) => break,
        }
    }
    drop(sender);
    let (mut done, mut since) = (0, Instant::now());
    loop {
        match ended.recv_timeout(STEP) {
            Err(RecvTimeoutError::Disconnected) => return true,
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
        }
        let now_done = work.done.load(Ordering::Relaxed);
        if now_done > done {
            (done, since) = (now_done, Instant::now());
        }
        let hangs = since.elapsed() > PROGRESS_PATIENCE;
        if !goes_on() || hangs {
            work.halt.store(true, Ordering::SeqCst);
        }
        if hangs {
            return false;
        }
    }
}

fn read_keys(context: &RunContext, work: &Work) {
    let round = Arc::clone(&work.round.lock());
    let mut failed: BTreeSet<ShardName> = BTreeSet::new();
    while !work.halt.load(Ordering::Relaxed) {
        let Some(&at) = round.get(work.taken.fetch_add(1, Ordering::SeqCst)) else { return };
        let key = work.keys[at];
        if !failed.is_empty() && failed.contains(&context.owner(key)) {
            continue;
        }
        let min_version = context.histories.min_version(key);
        match Router(&context.cluster).find_user(key) {
            Ok((seen, shard)) => {
                context.check("final check", key, min_version, seen.as_ref(), &shard);
                work.is_checked[at].store(true, Ordering::SeqCst);
                work.done.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                log::debug!("Could not check user {key}: {error}");
                failed.extend(error.shard().and_then(|shard| shard.parse().ok()));
            }
        }
    }
}
