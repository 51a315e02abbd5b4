//! What the sessions of this process are at, so that another thread can stop it and the time it took is known.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use postgres::{CancelToken, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;

/// How one session's query is cancelled: over a connection of its own, with TLS if the session has it.
#[derive(Clone)]
pub(crate) struct CancelHandle {
    token: CancelToken,
    tls: Option<MakeRustlsConnect>,
}

impl CancelHandle {
    /// Of a session that was made like this.
    pub(crate) fn new(token: CancelToken, tls: Option<MakeRustlsConnect>) -> Self {
        Self { token, tls }
    }

    fn send(&self) {
        let sent = match &self.tls {
            Some(tls) => self.token.cancel_query(tls.clone()),
            None => self.token.cancel_query(NoTls),
        };
        if let Err(cause) = sent {
            log::debug!("Could not cancel a query: {cause}");
        }
    }
}

/// Where the time of a command went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeSpent {
    /// Hashing keys and finding their owners.
    pub route: Duration,
    /// Waiting for connections, and for chunks that are being moved. Of several shards at once, the slowest.
    pub wait: Duration,
    /// Connections in use: the servers' work, and the way there and back. Of several at once, the slowest.
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
    /// What counts of the time since then: a session may still be in use from the command before.
    fn since(&self, since: Instant) -> Duration {
        since.max(self.begun).elapsed()
    }
}

/// A session that is in use, and since when if that is measured.
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

/// The sessions that are in use, and what they have taken. One for a process that runs one command at a time.
#[derive(Default)]
pub struct ActiveSessions {
    stopped: AtomicBool,
    wary: AtomicBool,
    sessions: Mutex<Sessions>,
    timed: AtomicBool,
    times: Mutex<Times>,
}

impl ActiveSessions {
    /// From here on no session is taken to be alive because it was used just now: between two commands of a person
    /// a server may have been restarted.
    pub fn be_wary(&self) {
        self.wary.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_wary(&self) -> bool {
        self.wary.load(Ordering::Relaxed)
    }

    /// A new line begins: nobody has asked to stop it.
    pub fn begin(&self) {
        self.stopped.store(false, Ordering::SeqCst);
    }

    /// A command begins, for the first time or once more. Whether its time is measured.
    pub fn measure(&self, timed: bool) {
        self.timed.store(timed, Ordering::Relaxed);
        *self.times.lock() = Times::default();
    }

    /// Stops the command: cancels at the servers what its sessions are at, and lets it wait for nothing more.
    /// Returns when the servers have been told.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        // As long as this is locked no session is given back: a cancel meets no later command.
        let sessions = self.sessions.lock();
        for session in sessions.in_use.values() {
            session.cancel.send();
        }
    }

    /// An error if the command is to stop. For who waits, or goes on to something else.
    pub fn check(&self) -> Result<()> {
        if !self.stopped.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(Error::new(Kind::Partial, "stopped by Ctrl-C"))
    }

    /// What was spent since the command began.
    pub fn spent(&self) -> TimeSpent {
        let sessions = self.sessions.lock();
        let times = self.times.lock();
        let mut by_shard = times.by_shard.clone();
        // A thread may not have given its session back yet.
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

    /// The time now, if it is measured.
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
