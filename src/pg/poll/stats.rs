//! Samples of how each shard does: sizes, counters, replication, and how far a change of the ring is.
//!
//! Nothing is decided here. What two samples mean is the business of [`crate::model::stats`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use postgres::Row;
use postgres::types::Type;

use super::{Poller, ask_again};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::arbiter;
use crate::model::rebalance::plan::Load;
use crate::model::stats::{Activity, ClientSession, Counters, Moves, Replication, Runner, Sample, Standby};
use crate::pg::catalog::{self, SelfDescription};
use crate::pg::cluster::Cluster;
use crate::pg::net::advisory_lock::RUN_LOCK;
use crate::pg::net::conninfo::Address;
use crate::pg::net::session::{Parameter, Session, only};
use crate::pg::net::sqlstate;

/// The questions to each shard, for who wants to know what is sent.
pub(crate) const SHARD: &str = include_str!("../../../sql/queries/stats/shard.sql");

/// Hears each sample, or why there is none, on the thread that has it.
pub type Listener = Arc<dyn Fn(&ShardName, Result<Sample>) + Send + Sync>;

/// How a private Postgres that is down is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Private {
    /// It is started, as by any command.
    Start,
    /// It is found to be down.
    Leave,
}

struct Inner {
    cluster: Arc<Cluster>,
    private: Private,
    listener: Listener,
    poller: Poller,
    /// The shard whose sessions are asked, too.
    opened: Mutex<Option<ShardName>>,
}

/// Samples of all shards, taken by threads that end when this is dropped.
pub struct Watch(Arc<Inner>);

impl Watch {
    /// Begins to ask all shards of a cluster, and those that they name.
    pub fn begin(cluster: Arc<Cluster>, interval: Duration, private: Private, listener: Listener) -> Self {
        let (poller, opened) = (Poller::new(interval), Mutex::default());
        let inner = Arc::new(Inner { cluster, private, listener, poller, opened });
        inner.poll_all();
        Self(inner)
    }

    /// From here on there is this pause between two samples.
    pub fn set_interval(&self, interval: Duration) {
        self.0.poller.set_interval(interval);
    }

    /// From here on this shard is also asked for its sessions, the first time at once.
    pub fn open(&self, shard: Option<ShardName>) {
        *self.0.opened.lock() = shard;
        self.0.poller.next_round(|_, _| true);
    }
}

impl Inner {
    /// Asks each shard that is known, and is not asked yet. The threads do not keep this alive.
    fn poll_all(self: &Arc<Self>) {
        for name in self.cluster.shards().names() {
            let (inner, shard, mut session) = (Arc::downgrade(self), name.clone(), None);
            let started = self.poller.poll(&name, "", move |_| {
                let Some(inner) = inner.upgrade() else { return };
                let sample = inner.sample(&shard, &mut session);
                (inner.listener)(&shard, sample);
            });
            if let Err(error) = started {
                (self.listener)(&name, Err(error));
            }
        }
    }

    fn sample(self: &Arc<Self>, name: &ShardName, session: &mut Option<Session>) -> Result<Sample> {
        let address = self.cluster.shards().address(name)?;
        let connect = || match self.private {
            Private::Start => self.cluster.shards().connect_unpooled(name),
            Private::Leave => Session::connect(name, &address),
        };
        ask_again(session, connect, |session| self.sample_once(name, &address, session))
    }

    /// In one transaction: what is asked is counted as well, and is to count little.
    fn sample_once(
        self: &Arc<Self>,
        name: &ShardName,
        address: &Address,
        session: &mut Session,
    ) -> Result<Sample> {
        let fail = |cause| sqlstate::doing("look at how it does", name, &cause);
        let begun = Instant::now();
        session.client().simple_query("BEGIN READ ONLY").map_err(fail)?;
        let latency_ms = begun.elapsed().as_secs_f64() * 1e3;
        let sample = self.read_sample(name, address, session, latency_ms);
        // One that failed is rolled back by this.
        session.client().simple_query("COMMIT").map_err(fail)?;
        sample
    }

    fn read_sample(
        self: &Arc<Self>,
        name: &ShardName,
        address: &Address,
        session: &mut Session,
        latency_ms: f64,
    ) -> Result<Sample> {
        let fail = |cause| sqlstate::doing("look at how it does", name, &cause);
        let description = catalog::describe(session, name)?;
        catalog::check_identity(name, address, self.cluster.id(), description.identity())?;
        self.cluster.learn_places(&description)?;
        self.poll_all();
        let row = only(session.query(SHARD, &[]).map_err(fail)?, "look at how it does", name)?;
        let data_folder: Option<String> = row.get("data_folder");
        let data_folder =
            data_folder.filter(|_| address.endpoints.iter().all(|endpoint| endpoint.location.is_socket()));
        let moves = moves(session, name, &description);
        let is_opened = self.opened.lock().as_ref() == Some(name);
        let activity = is_opened.then(|| activity(session)).transpose().map_err(fail)?;
        Ok(Sample {
            at_seconds: row.get("at_seconds"),
            counting_since: (row.get("started_seconds"), row.get("reset_seconds")),
            latency_ms,
            is_standby: row.get("is_standby"),
            rows: row.get("rows"),
            size_bytes: row.get("size_bytes"),
            connections: row.get("connections"),
            connections_allowed: row.get("connections_allowed"),
            counters: Counters {
                commits: row.get("commits"),
                rollbacks: row.get("rollbacks"),
                blocks_hit: row.get("blocks_hit"),
                blocks_read: row.get("blocks_read"),
                deadlocks: row.get("deadlocks"),
                temp_bytes: row.get("temp_bytes"),
                wal_bytes: row.get("wal_bytes"),
            },
            replication: Replication {
                replicas: row.get("replicas"),
                lag_bytes: row.get("lag_bytes"),
                lag_seconds: row.get("lag_seconds"),
            },
            data_folder,
            ring: description.ring,
            moves,
            activity,
        })
    }
}

/// Who uses a shard.
fn activity(session: &mut Session) -> std::result::Result<Activity, postgres::Error> {
    let sessions = session.query(include_str!("../../../sql/queries/stats/sessions.sql"), &[])?;
    let standbys = session.query(include_str!("../../../sql/queries/stats/standbys.sql"), &[])?;
    let of_session = |row: &Row| ClientSession {
        pid: row.get("pid"),
        role: row.get("role"),
        program: row.get("program"),
        state: row.get("state"),
        seconds: row.get("seconds"),
        waits_for: row.get("waits_for"),
        blocked_by: row.get("blocked_by"),
        statement: row.get("statement"),
    };
    let of_standby = |row: &Row| Standby {
        name: row.get("name"),
        state: row.get("state"),
        sync: row.get("sync"),
        lag_bytes: row.get("lag_bytes"),
    };
    Ok(Activity {
        sessions: sessions.iter().map(of_session).collect(),
        standbys: standbys.iter().map(of_standby).collect(),
    })
}

/// How far a change is, if one is under way or desired. What this role may not see is not known.
fn moves(session: &mut Session, name: &ShardName, description: &SelfDescription) -> Option<Moves> {
    if description.ring.change.is_none() && description.ring.desired_topology.is_none() {
        return None;
    }
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let arrived = session.query(include_str!("../../../sql/queries/stats/arrived.sql"), &[]).ok()?;
    let arrived = arrived.iter().map(|row| {
        let load = Load { rows: count(row.get("rows")), bytes: count(row.get("bytes")) };
        (row.get("source"), load)
    });
    let arrived = arrived.collect();
    if arbiter(&description.ring.topology) != name {
        return Some(Moves { arrived, runner: None });
    }
    let lock: &[Parameter<'_>] = &[(&RUN_LOCK, Type::INT8)];
    let runs = session.query(include_str!("../../../sql/queries/stats/runner.sql"), lock).ok()?;
    let runner = runs.first().map(|row| Runner {
        name: row.get("runner"),
        is_at_work: row.get("is_at_work"),
        phase: row.get("phase"),
        phase_seconds: row.get("phase_seconds"),
        seconds: row.get("seconds"),
        total: Load { rows: count(row.get("rows")), bytes: count(row.get("bytes")) },
    });
    Some(Moves { arrived, runner })
}

/// The error for a shard that has not answered in time.
pub fn silent(name: &ShardName, waited: Duration) -> Error {
    let message = format!("shard `{name}` has not answered for {:.0} s", waited.as_secs_f64());
    Error::new(Kind::Unreachable, message)
        .hint("ringshard doctor looks at it; is its server stopped, or overloaded?")
        .on_shard(name)
}
