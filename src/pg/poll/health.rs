//! Whether the shards answer, asked beside everything else: for a prompt that tells the state.
//!
//! A thread a shard asks it now and then, over a session of its own. It logs nothing, starts no server, and
//! decides nothing: what a command needs to know, it asks itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::model::names::ShardName;
use crate::pg::net::conninfo::Address;
use crate::pg::net::session::Session;

/// How often a shard is asked while nobody wants to know.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long a shard is down before that is news: a restart is none.
const NEWS_AFTER: Duration = Duration::from_secs(5);

/// What is known of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// It was not asked yet, or did not answer yet.
    Unknown,
    /// It answers.
    Up {
        /// Whether it takes part in a change of the ring that is under way.
        changing: bool,
    },
    /// It cannot be reached, for this reason.
    Down(String),
}

/// What somebody who looks at a prompt should hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A shard has been down for a while, for this reason.
    Down(ShardName, String),
    /// A shard of which that was said is back.
    Back(ShardName),
}

struct Probe {
    /// Where it is asked.
    at: String,
    life: Life,
    /// The last round of asking that it has answered, or failed to.
    round: u64,
    down_since: Option<Instant>,
    was_told: bool,
}

struct HealthState {
    round: u64,
    ended: bool,
    shards: BTreeMap<ShardName, Probe>,
}

/// Hears of news, on the threads that have them.
pub type Listener = Arc<dyn Fn(News) + Send + Sync>;

struct Inner {
    state: Mutex<HealthState>,
    changed: Condvar,
    tell: Listener,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, HealthState> {
        self.state.lock()
    }
}

/// The threads that ask. They end when this is dropped.
pub struct Pulse {
    inner: Arc<Inner>,
}

impl Pulse {
    /// Nobody is asked yet.
    pub fn new(tell: Listener) -> Self {
        let state = HealthState { round: 0, ended: false, shards: BTreeMap::new() };
        Self { inner: Arc::new(Inner { state: Mutex::new(state), changed: Condvar::new(), tell }) }
    }

    /// Asks these shards and no others, and waits for their answers no longer than this.
    pub fn take(&self, addresses: Vec<(ShardName, Address)>, limit: Duration) -> BTreeMap<ShardName, Life> {
        let mut state = self.inner.state();
        state.round += 1;
        let round = state.round;
        let is_requested = |name: &ShardName, shard: &Probe| {
            addresses
                .iter()
                .any(|(desired_topology, address)| desired_topology == name && address.shown() == shard.at)
        };
        state.shards.retain(|name, shard| is_requested(name, shard));
        for (name, address) in addresses {
            if state.shards.contains_key(&name) {
                continue;
            }
            let (at, life) = (address.shown().to_owned(), Life::Unknown);
            let shard = Probe { at, life, round: 0, down_since: None, was_told: false };
            state.shards.insert(name.clone(), shard);
            let inner = Arc::clone(&self.inner);
            thread::spawn(move || watch(&inner, &name, &address));
        }
        self.inner.changed.notify_all();
        let is_waiting = |state: &mut HealthState| state.shards.values().any(|shard| shard.round < round);
        self.inner.changed.wait_while_for(&mut state, is_waiting, limit);
        state.shards.iter().map(|(name, shard)| (name.clone(), shard.life.clone())).collect()
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.inner.state().ended = true;
        self.inner.changed.notify_all();
    }
}

/// Asks one shard, until nobody wants to know of it any more.
fn watch(inner: &Inner, name: &ShardName, address: &Address) {
    let mut session = None;
    loop {
        let round = inner.state().round;
        let life = ask(&mut session, name, address);
        let mut state = inner.state();
        let news = match state.shards.get_mut(name).filter(|shard| shard.at == address.shown()) {
            Some(shard) => shard.hear(name, life, round),
            // Nobody wants to know of it, or it is asked somewhere else by now.
            None => return,
        };
        inner.changed.notify_all();
        drop(state);
        if let Some(news) = news {
            (inner.tell)(news);
        }
        let is_idle =
            |state: &mut HealthState| !state.ended && state.round == round && state.shards.contains_key(name);
        let mut state = inner.state();
        inner.changed.wait_while_for(&mut state, is_idle, INTERVAL);
        if state.ended {
            return;
        }
    }
}

/// A session that was lost may have been ended by a restart: a new one is tried before the shard counts as down.
fn ask(session: &mut Option<Session>, name: &ShardName, address: &Address) -> Life {
    if let Some(life) = session.as_mut().and_then(answer) {
        return life;
    }
    match Session::try_connect(name, address) {
        Ok(new) => session.insert(new),
        Err(unconnected) => return Life::Down(unconnected.words),
    };
    session.as_mut().and_then(answer).unwrap_or(Life::Down("it closes the connection".into()))
}

/// `None`: the connection is lost.
fn answer(session: &mut Session) -> Option<Life> {
    let sql = "SELECT meta.status = 'pending' FROM ringshard.meta";
    match session.client().query_typed(sql, &[]) {
        Ok(rows) => Some(Life::Up { changing: rows.first().is_some_and(|row| row.get(0)) }),
        Err(cause) if session.is_closed() || cause.code().is_none() => None,
        // It answers, though it has no catalog: that is no matter of life and death.
        Err(_) => Some(Life::Up { changing: false }),
    }
}

impl Probe {
    fn hear(&mut self, name: &ShardName, life: Life, round: u64) -> Option<News> {
        self.round = round;
        self.life = life;
        let Life::Down(why) = &self.life else {
            self.down_since = None;
            return std::mem::take(&mut self.was_told).then(|| News::Back(name.clone()));
        };
        let since = *self.down_since.get_or_insert_with(Instant::now);
        if self.was_told || since.elapsed() < NEWS_AFTER {
            return None;
        }
        self.was_told = true;
        Some(News::Down(name.clone(), why.clone()))
    }
}
