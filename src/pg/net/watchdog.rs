//! One thread that looks at the sessions that a command uses: it says who blocks them, and ends the command if a server does not
//! answer any more.
//!
//! The server's `statement_timeout` ends a statement that takes too long. It cannot if the server was stopped, or if the
//! network lost the connection. So a server whose session has been in use for more than a moment is asked, over a connection of
//! its own. The crate `postgres` cannot end a wait, so the command ends.
//!
//! The thread is started when it has something to do, by another one that calls `tick`: to start and end a thread costs a
//! command about one user a tenth of its time. Without such a thread the first session starts it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Kind};
use crate::model::names::ShardName;
use crate::threads;

/// How often the sessions are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// A session that has been in use for so long is asked about.
const ASK_AFTER: Duration = Duration::from_secs(1);
/// After so long the user is told.
const TELL_AFTER: Duration = Duration::from_secs(2);
/// The pause before a server that answered is asked again.
const ASK_PAUSE: Duration = Duration::from_secs(5);
/// How long a server may take to answer a question, with the connection.
const ASK_PATIENCE: Duration = Duration::from_secs(6);
/// For how long a server must not have answered before the command ends: one that is only busy may be late.
const UNANSWERED_MAX: Duration = Duration::from_secs(10);

/// Whom a session leads to.
pub(crate) struct Subject {
    pub(crate) shard: ShardName,
    /// Its `application_name`, which is unique.
    pub(crate) name: String,
    /// Asks the server about the sessions of these names.
    pub(crate) ask: Ask,
}

/// Asks a server about the sessions of these names.
pub(crate) type Ask = Box<dyn Fn(&[String]) -> Answer + Send + Sync>;

/// What a server said about sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It took the connection and said nothing, or took none: why.
    Silent(String),
    /// Another session blocks one of them.
    Blocked(String),
    /// It answers, and no more is known.
    Alive,
}

/// Who hears what is waited for.
pub struct WaitListener {
    /// Told what is waited for.
    pub tell: fn(&str),
    /// Ends the program: a server does not answer any more.
    pub end: fn(&Error),
}

/// A session that a command uses, until this is dropped.
pub(crate) struct InUse(u64);

impl Drop for InUse {
    fn drop(&mut self) {
        WATCHED.lock().sessions.remove(&self.0);
    }
}

static WATCHED: Mutex<Watched> = Mutex::new(Watched {
    listener: None,
    is_running: false,
    ticks: false,
    last: 0,
    sessions: BTreeMap::new(),
});
/// A session is there to be looked at.
static CHANGED: Condvar = Condvar::new();

struct Watched {
    listener: Option<WaitListener>,
    /// Whether the thread was started.
    is_running: bool,
    /// Whether another thread calls [`tick`].
    ticks: bool,
    last: u64,
    sessions: BTreeMap<u64, (Arc<Subject>, Instant)>,
}

/// What a shard's server was asked.
#[derive(Default)]
struct Inquiry {
    /// Since when it is being asked.
    asked_at: Option<Instant>,
    next_at: Option<Instant>,
    silent_since: Option<Instant>,
    answer: Option<Answer>,
}

/// Sets who hears what is waited for. Without a listener nothing is looked at.
pub(crate) fn listen(listener: WaitListener) {
    WATCHED.lock().listener = Some(listener);
}

/// From now on a session is in use by a command.
pub(crate) fn watch(subject: &Arc<Subject>) -> InUse {
    let mut watched = WATCHED.lock();
    watched.last += 1;
    let ticket = watched.last;
    watched.sessions.insert(ticket, (Arc::clone(subject), Instant::now()));
    if !watched.ticks {
        watched.start();
    }
    CHANGED.notify_one();
    InUse(ticket)
}

/// Called every [`TICK`] by a thread that has other work, from before the first session on: starts the thread that looks at the
/// sessions once one has been in use for a while.
pub(crate) fn tick() {
    let mut watched = WATCHED.lock();
    watched.ticks = true;
    if watched.sessions.values().any(|(_, since)| since.elapsed() >= TICK) {
        watched.start();
    }
}

impl Watched {
    fn start(&mut self) {
        if self.listener.is_some() && !self.is_running {
            self.is_running = threads::start(run).is_ok();
        }
    }
}

fn run() {
    let inquiries: Arc<Mutex<BTreeMap<ShardName, Inquiry>>> = Arc::default();
    let mut told: BTreeMap<ShardName, Answer> = BTreeMap::new();
    loop {
        let by_shard = {
            let mut watched = WATCHED.lock();
            if watched.sessions.is_empty() {
                told.clear();
                inquiries.lock().clear();
                CHANGED.wait(&mut watched);
            }
            by_shard(&watched.sessions)
        };
        inquiries.lock().retain(|shard, inquiry| inquiry.asked_at.is_some() || by_shard.contains_key(shard));
        told.retain(|shard, _| by_shard.contains_key(shard));
        for (shard, (subject, names, since)) in by_shard {
            look(&inquiries, &mut told, &shard, &subject, names, since);
        }
        std::thread::sleep(TICK);
    }
}

type ByShard = BTreeMap<ShardName, (Arc<Subject>, Vec<String>, Instant)>;

/// For each shard one of its sessions, their names, and since when they have been in use.
fn by_shard(sessions: &BTreeMap<u64, (Arc<Subject>, Instant)>) -> ByShard {
    let mut by_shard = ByShard::new();
    for (subject, since) in sessions.values().filter(|(_, since)| since.elapsed() >= ASK_AFTER) {
        let entry = by_shard
            .entry(subject.shard.clone())
            .or_insert_with(|| (Arc::clone(subject), Vec::new(), *since));
        entry.1.push(subject.name.clone());
        entry.2 = entry.2.min(*since);
    }
    by_shard
}

fn look(
    inquiries: &Arc<Mutex<BTreeMap<ShardName, Inquiry>>>,
    told: &mut BTreeMap<ShardName, Answer>,
    shard: &ShardName,
    subject: &Arc<Subject>,
    names: Vec<String>,
    since: Instant,
) {
    let mut all = inquiries.lock();
    let inquiry = all.entry(shard.clone()).or_default();
    let now = Instant::now();
    match inquiry.asked_at {
        // It took the connection, and does not answer the question.
        Some(at) if at.elapsed() > ASK_PATIENCE => {
            inquiry.answer = Some(Answer::Silent(format!("no answer in {} s", at.elapsed().as_secs())));
            inquiry.silent_since.get_or_insert(at);
        }
        None if inquiry.next_at.is_none_or(|at| at <= now) => {
            let (shared, subject) = (Arc::clone(inquiries), Arc::clone(subject));
            let asked = threads::start(move || inquire(&shared, &subject, &names, now));
            inquiry.asked_at = asked.is_ok().then_some(now);
        }
        _ => {}
    }
    let (answer, silent_since) = (inquiry.answer.clone(), inquiry.silent_since);
    drop(all);
    if let (Some(Answer::Silent(why)), Some(silent_since)) = (&answer, silent_since)
        && silent_since.elapsed() >= UNANSWERED_MAX
    {
        let message = format!(
            "shard `{shard}` has not answered for {} s, and its server takes no connection: {why}; what was sent to it may have \
             been done",
            since.elapsed().as_secs()
        );
        let error = Error::new(Kind::Unreachable, message)
            .hint("ringshard shards shows which shards answer; then run this again")
            .on_shard(shard);
        hear(|listener| (listener.end)(&error));
    }
    if since.elapsed() < TELL_AFTER {
        return;
    }
    let text = match &answer {
        Some(Answer::Silent(_)) => "it does not answer".to_owned(),
        Some(Answer::Blocked(by)) => format!("blocked by {by}"),
        Some(Answer::Alive) | None => return,
    };
    // Once, and once more if the server stopped since.
    let is_news = match told.get(shard) {
        None => true,
        Some(Answer::Silent(_)) => false,
        Some(_) => matches!(answer, Some(Answer::Silent(_))),
    };
    if is_news && let Some(answer) = answer {
        told.insert(shard.clone(), answer);
        hear(|listener| (listener.tell)(&format!("waiting for shard `{shard}`: {text}")));
    }
}

fn hear(tell: impl Fn(&WaitListener)) {
    let listener = WATCHED.lock().listener.as_ref().map(|it| WaitListener { tell: it.tell, end: it.end });
    if let Some(listener) = listener {
        tell(&listener);
    }
}

/// Asks a server about sessions, over a connection of its own.
fn inquire(
    inquiries: &Mutex<BTreeMap<ShardName, Inquiry>>,
    subject: &Subject,
    names: &[String],
    begun: Instant,
) {
    let answer = (subject.ask)(names);
    log::debug!("Asked about sessions of shard {}: {answer:?}", subject.shard);
    let mut all = inquiries.lock();
    let Some(inquiry) = all.get_mut(&subject.shard) else { return };
    inquiry.asked_at = None;
    if matches!(answer, Answer::Silent(_)) {
        inquiry.silent_since.get_or_insert(begun);
        inquiry.next_at = None;
    } else {
        inquiry.silent_since = None;
        inquiry.next_at = Some(Instant::now() + ASK_PAUSE);
    }
    inquiry.answer = Some(answer);
}
