//! The check at the end of a run: every key that was written is read once more, with patience for shards that are
//! down.

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

/// How long shards that do not answer are tried again.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long all of it may take once the person wants it to end.
const PATIENCE_OF_A_PERSON: Duration = Duration::from_secs(5);
/// The pause before they are tried again.
const PAUSE: Duration = Duration::from_millis(200);
/// How often it is looked whether to stop.
const STEP: Duration = Duration::from_millis(100);
/// How long it may take until any key is read: after that a shard hangs, and so do the threads that ask it.
const ONE_KEY: Duration = Duration::from_secs(15);

/// How far the check came.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) keys: u64,
    /// The keys that could not be read, by the shard that owns them.
    pub(crate) unchecked: BTreeMap<ShardName, u64>,
    /// Whether the person ended it.
    pub(crate) was_stopped: bool,
}

struct Work {
    keys: Vec<UserId>,
    is_checked: Vec<AtomicBool>,
    /// Which of the keys are to be read now, and how many of them were taken.
    round: Mutex<Arc<Vec<usize>>>,
    taken: AtomicUsize,
    done: AtomicUsize,
    halt: AtomicBool,
}

/// Reads all keys that were written. `tell` hears how many were read, and of how many; when it answers `false`, the
/// check ends soon.
pub(crate) fn check(context: &Arc<RunContext>, mut tell: impl FnMut(usize, usize) -> bool) -> Checked {
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
            is_requested &= tell(work.done.load(Ordering::Relaxed), all);
            if !is_requested {
                give_up_at.get_or_insert_with(|| Instant::now() + PATIENCE_OF_A_PERSON);
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

/// Reads the keys of a round, with a thread for each client. Whether all threads have ended: one that hangs is left
/// behind.
fn run_round(context: &Arc<RunContext>, work: &Arc<Work>, mut goes_on: impl FnMut() -> bool) -> bool {
    let (sender, ended) = channel::<()>();
    for _ in 0..context.plan.clients {
        let (context, work, sender) = (Arc::clone(context), Arc::clone(work), sender.clone());
        thread::spawn(move || {
            read_keys(&context, &work);
            drop(sender);
        });
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
        let hangs = since.elapsed() > ONE_KEY;
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
