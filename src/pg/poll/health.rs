//! The health of the shards, for the prompt.
//!
//! It logs nothing, starts no server, and no command relies on it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Poller, ask_again};
use crate::model::names::ShardName;
use crate::pg::net::conninfo::Address;
use crate::pg::net::session::Session;

/// The interval between two checks of a shard.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long a shard must be down before it is reported, so that a restart is not.
const NEWS_AFTER: Duration = Duration::from_secs(5);

/// The health of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// It has not answered yet.
    Unknown,
    /// It answers.
    Up {
        /// Whether it takes part in a change under way.
        changing: bool,
    },
    /// It cannot be reached, for this reason.
    Down(String),
}

/// What is reported above the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A shard has been down for a while, for this reason.
    Down(ShardName, String),
    /// A shard that was reported down answers again.
    Back(ShardName),
}

struct Probe {
    /// The address of the server.
    server: String,
    life: Life,
    /// The last completed round.
    round: u64,
    down_since: Option<Instant>,
    was_reported: bool,
}

/// Receives news, on the threads of the poller.
pub type Listener = Arc<dyn Fn(News) + Send + Sync>;

struct Probes {
    by_shard: Mutex<BTreeMap<ShardName, Probe>>,
    answered: Condvar,
    listener: Listener,
}

/// The health of the shards, updated by threads that end when this is dropped.
pub struct Health {
    poller: Poller,
    probes: Arc<Probes>,
}

impl Health {
    /// Checks no shard yet.
    pub fn new(listener: Listener) -> Self {
        let (by_shard, answered) = (Mutex::default(), Condvar::new());
        Self { poller: Poller::new(INTERVAL), probes: Arc::new(Probes { by_shard, answered, listener }) }
    }

    /// Checks exactly these shards, and waits for their answers for at most `limit`.
    pub fn take(&self, addresses: Vec<(ShardName, Address)>, limit: Duration) -> BTreeMap<ShardName, Life> {
        let is_requested = |name: &ShardName, server: &str| {
            addresses.iter().any(|(requested, address)| requested == name && address.shown() == server)
        };
        self.probes.by_shard.lock().retain(|name, probe| is_requested(name, &probe.server));
        let round = self.poller.next_round(is_requested);
        for (name, address) in addresses {
            let server = address.shown().to_owned();
            let probe = Probe {
                server: server.clone(),
                life: Life::Unknown,
                round: 0,
                down_since: None,
                was_reported: false,
            };
            self.probes.by_shard.lock().entry(name.clone()).or_insert(probe);
            let (probes, shard, mut session) = (Arc::clone(&self.probes), name.clone(), None);
            let started = self.poller.poll(&name, &server, move |round| {
                let life = ask(&mut session, &shard, &address);
                probes.record(&shard, &address, life, round);
            });
            if let Err(error) = started {
                log::debug!("Could not ask how shard {name} does: {error}");
            }
        }
        let mut probes = self.probes.by_shard.lock();
        let is_waiting =
            |probes: &mut BTreeMap<ShardName, Probe>| probes.values().any(|probe| probe.round < round);
        self.probes.answered.wait_while_for(&mut probes, is_waiting, limit);
        probes.iter().map(|(name, probe)| (name.clone(), probe.life.clone())).collect()
    }
}

impl Probes {
    /// Records an answer, unless the shard has another address by now, and reports news.
    fn record(&self, name: &ShardName, address: &Address, life: Life, round: u64) {
        let mut probes = self.by_shard.lock();
        let Some(probe) = probes.get_mut(name).filter(|probe| probe.server == address.shown()) else {
            return;
        };
        let news = probe.record(name, life, round);
        self.answered.notify_all();
        drop(probes);
        if let Some(news) = news {
            (self.listener)(news);
        }
    }
}

fn ask(session: &mut Option<Session>, name: &ShardName, address: &Address) -> Life {
    let connect = || Session::try_connect(name, address).map_err(|unconnected| unconnected.message);
    let closed = || "it closes the connection".to_owned();
    ask_again(session, connect, |session| answer(session).ok_or_else(closed)).unwrap_or_else(Life::Down)
}

/// `None` if the connection was lost.
fn answer(session: &mut Session) -> Option<Life> {
    let sql = "SELECT meta.status = 'pending' FROM ringshard.meta";
    match session.client().query_typed(sql, &[]) {
        Ok(rows) => Some(Life::Up { changing: rows.first().is_some_and(|row| row.get(0)) }),
        Err(cause) if session.is_closed() || cause.code().is_none() => {
            session.spoil();
            None
        }
        // It answers, even if it has no catalog.
        Err(_) => Some(Life::Up { changing: false }),
    }
}

impl Probe {
    fn record(&mut self, name: &ShardName, life: Life, round: u64) -> Option<News> {
        self.round = round;
        self.life = life;
        let Life::Down(why) = &self.life else {
            self.down_since = None;
            return std::mem::take(&mut self.was_reported).then(|| News::Back(name.clone()));
        };
        let since = *self.down_since.get_or_insert_with(Instant::now);
        if self.was_reported || since.elapsed() < NEWS_AFTER {
            return None;
        }
        self.was_reported = true;
        Some(News::Down(name.clone(), why.clone()))
    }
}
