//! Questions that are asked of each shard again and again, beside everything else.
//!
//! One thread for each shard, over a connection of its own, so that a server that does not answer delays nobody else.
//! What is asked and what an answer means is the business of `health.rs` and `stats.rs`.

pub mod health;
pub mod stats;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::net::session::Session;
use crate::error::Result;
use crate::model::names::ShardName;
use crate::threads;

/// The threads that ask. They end when this is dropped; one that waits for its server ends when that answers.
struct Poller(Arc<Shared>);

struct Shared {
    schedule: Mutex<Schedule>,
    changed: Condvar,
}

/// When each thread asks next.
struct Schedule {
    has_ended: bool,
    interval: Duration,
    /// Grows by one when all are to ask at once.
    round: u64,
    /// The shards that are asked: which server of each, and by which thread. A thread ends when it is not that any more.
    servers: BTreeMap<ShardName, (String, u64)>,
    /// How many threads there have been.
    threads: u64,
}

impl Poller {
    fn new(interval: Duration) -> Self {
        let schedule =
            Schedule { has_ended: false, interval, round: 0, servers: BTreeMap::new(), threads: 0 };
        Self(Arc::new(Shared { schedule: Mutex::new(schedule), changed: Condvar::new() }))
    }

    /// Calls `ask` again and again on a thread of its own, with the number of the round, unless this server of the shard is
    /// asked already. If no thread can be started, the next call tries again.
    fn poll(&self, shard: &ShardName, server: &str, mut ask: impl FnMut(u64) + Send + 'static) -> Result<()> {
        let mut schedule = self.0.schedule.lock();
        if schedule.servers.get(shard).is_some_and(|(polled, _)| polled == server) {
            return Ok(());
        }
        schedule.threads += 1;
        let (shared, name, thread) = (Arc::clone(&self.0), shard.clone(), schedule.threads);
        schedule.servers.insert(shard.clone(), (server.to_owned(), thread));
        drop(schedule);
        let started = threads::start(move || {
            loop {
                let round = shared.schedule.lock().round;
                let begun = Instant::now();
                ask(round);
                let mut schedule = shared.schedule.lock();
                loop {
                    let is_polled =
                        schedule.servers.get(&name).is_some_and(|(_, polling)| *polling == thread);
                    if schedule.has_ended || !is_polled {
                        return;
                    }
                    let left = schedule.interval.saturating_sub(begun.elapsed());
                    if left.is_zero() || schedule.round != round {
                        break;
                    }
                    shared.changed.wait_for(&mut schedule, left);
                }
            }
        });
        started.inspect_err(|_| drop(self.0.schedule.lock().servers.remove(shard)))
    }

    /// From here on there is this pause between two questions.
    fn set_interval(&self, interval: Duration) {
        self.0.schedule.lock().interval = interval;
        self.0.changed.notify_all();
    }

    /// Lets all threads ask at once; those of shards that are not kept end. The number of the round that begins.
    fn next_round(&self, keep: impl Fn(&ShardName, &str) -> bool) -> u64 {
        let mut schedule = self.0.schedule.lock();
        schedule.servers.retain(|shard, (server, _)| keep(shard, server));
        schedule.round += 1;
        self.0.changed.notify_all();
        schedule.round
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.0.schedule.lock().has_ended = true;
        self.0.changed.notify_all();
    }
}

/// Asks over the connection that is there. One that was lost may have been ended by a restart: a new one is tried before
/// the shard counts as down.
fn ask_again<T, E>(
    session: &mut Option<Session>,
    connect: impl FnOnce() -> Result<Session, E>,
    mut ask: impl FnMut(&mut Session) -> Result<T, E>,
) -> Result<T, E> {
    if let Some(old) = session.as_mut() {
        match ask(old) {
            Err(_) if old.is_closed() => {}
            answer => return answer,
        }
    }
    ask(session.insert(connect()?))
}
