//! The sessions of this process that are in use: how to cancel their queries, and how long they have been in use.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use postgres::{CancelToken, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::descriptors;
use super::watchdog::{self, WaitListener};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;

/// Cancels the query of one session, over a connection of its own, with TLS if the session has it.
#[derive(Clone)]
pub(crate) struct CancelHandle {
    token: CancelToken,
    tls: Option<MakeRustlsConnect>,
}

impl CancelHandle {
    /// For a session with this token, connected with `tls`.
    pub(crate) fn new(token: CancelToken, tls: Option<MakeRustlsConnect>) -> Self {
        Self { token, tls }
    }

    fn send(&self) {
        let Some(_room) = descriptors::for_cancel() else {
            log::debug!("Could not cancel a query: too many open files");
            return;
        };
        let sent = match &self.tls {
            Some(tls) => self.token.cancel_query(tls.clone()),
            None => self.token.cancel_query(NoTls),
        };
        if let Err(cause) = sent {
            log::debug!("Could not cancel a query: {cause}");
        }
    }
}

/// How a command spent its time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeSpent {
    /// Hashing keys and finding their owners.
    pub route: Duration,
    /// Waiting for connections, and for chunks that are being moved. With several shards, the slowest one's.
    pub wait: Duration,
    /// Connections in use: network and server time. With several shards, the slowest one's.
    pub query: Duration,
}

struct Times {
    begun: Instant,
    route: Duration,
    by_shard: BTreeMap<ShardName, (Duration, Duration)>,
}

impl Default for Times {
    fn default() -> Self {
        Self { begun: Instant::now(), route: Duration::ZERO, by_shard: BTreeMap::new() }
    }
}

impl Times {
    /// The time since `since`, or since the command began if that is later: a session may be in use from the command before.
    fn since(&self, since: Instant) -> Duration {
        since.max(self.begun).elapsed()
    }
}

/// A session in use; `since` only if time is measured.
struct InUse {
    cancel: CancelHandle,
    shard: ShardName,
    since: Option<Instant>,
}

#[derive(Default)]
struct Sessions {
    last_ticket: u64,
    in_use: BTreeMap<u64, InUse>,
}

/// The sessions in use, and the time that they took. One instance for a process, which runs one command at a time.
#[derive(Default)]
pub struct ActiveSessions {
    stopped: AtomicBool,
    /// What stopped the command last.
    stopped_by: Mutex<&'static str>,
    always_check_liveness: AtomicBool,
    sessions: Mutex<Sessions>,
    timed: AtomicBool,
    times: Mutex<Times>,
}

impl ActiveSessions {
    /// How often sessions that have been in use for long are looked at.
    pub const TICK: Duration = watchdog::TICK;

    /// Sets who hears what a command waits for.
    pub fn listen(listener: WaitListener) {
        watchdog::listen(listener);
    }

    /// Called every [`ActiveSessions::TICK`] by a thread that has other work, from before the first session on: then no thread is
    /// started to watch sessions that are in use only for a moment.
    pub fn tick() {
        watchdog::tick();
    }

    /// From now on, every idle session is checked before reuse, even one that was used a moment ago: in the REPL a server may
    /// restart between two commands.
    pub fn always_check_liveness(&self) {
        self.always_check_liveness.store(true, Ordering::Relaxed);
    }

    pub(crate) fn always_checks_liveness(&self) -> bool {
        self.always_check_liveness.load(Ordering::Relaxed)
    }

    /// A new line begins: clears an earlier [`ActiveSessions::stop`].
    pub fn begin(&self) {
        self.stopped.store(false, Ordering::SeqCst);
    }

    /// A command, or a repetition of it, begins; `timed` says whether to measure its time.
    pub fn measure(&self, timed: bool) {
        self.timed.store(timed, Ordering::Relaxed);
        *self.times.lock() = Times::default();
    }

    /// Stops the command: cancels the queries of its sessions, and makes every later `check` fail, which names what stopped it.
    /// Returns when the cancel requests have been sent.
    pub fn stop(&self, by: &'static str) {
        *self.stopped_by.lock() = by;
        self.stopped.store(true, Ordering::SeqCst);
        // While this is locked no session is returned to its pool, so a cancel request cannot hit a later command.
        let sessions = self.sessions.lock();
        for session in sessions.in_use.values() {
            session.cancel.send();
        }
    }

    /// An error of kind `Partial` if the command was stopped. Called in waits and between steps.
    pub fn check(&self) -> Result<()> {
        if !self.stopped.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(Error::new(Kind::Partial, format!("stopped by {}", self.stopped_by.lock())))
    }

    /// The time spent since the command began.
    pub fn spent(&self) -> TimeSpent {
        let sessions = self.sessions.lock();
        let times = self.times.lock();
        let mut by_shard = times.by_shard.clone();
        // A thread may still hold its session.
        for session in sessions.in_use.values() {
            let time = session.since.map(|since| times.since(since)).unwrap_or_default();
            by_shard.entry(session.shard.clone()).or_default().1 += time;
        }
        let slowest = by_shard.into_values().max_by_key(|(wait, query)| *wait + *query);
        let (wait, query) = slowest.unwrap_or_default();
        TimeSpent { route: times.route, wait, query }
    }

    pub(crate) fn enter(&self, shard: &ShardName, cancel: CancelHandle) -> u64 {
        let mut sessions = self.sessions.lock();
        sessions.last_ticket += 1;
        let ticket = sessions.last_ticket;
        sessions.in_use.insert(ticket, InUse { cancel, shard: shard.clone(), since: self.now() });
        ticket
    }

    pub(crate) fn leave(&self, ticket: u64) {
        let mut sessions = self.sessions.lock();
        if let Some(InUse { shard, since: Some(since), .. }) = sessions.in_use.remove(&ticket) {
            let mut times = self.times.lock();
            let time = times.since(since);
            times.by_shard.entry(shard).or_default().1 += time;
        }
    }

    /// The current time, if time is measured.
    pub(crate) fn now(&self) -> Option<Instant> {
        self.timed.load(Ordering::Relaxed).then(Instant::now)
    }

    pub(crate) fn routed(&self, since: Option<Instant>) {
        if let Some(since) = since {
            self.times.lock().route += since.elapsed();
        }
    }

    pub(crate) fn waited(&self, shard: &ShardName, since: Option<Instant>) {
        if let Some(since) = since {
            let mut times = self.times.lock();
            times.by_shard.entry(shard.clone()).or_default().0 += since.elapsed();
        }
    }
}
