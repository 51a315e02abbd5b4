//! What lasts from one command to the next.

use crate::pg::scan;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use super::Console;
use crate::error::{Error, Kind, Result};
use crate::model::names::{ClusterId, ShardName};
use crate::pg::cluster::Cluster;
use crate::pg::net::active_sessions::ActiveSessions;
use crate::pg::poll::health::{Health, Life, Listener};
use crate::pg::pool::read_routing::ReadFrom;
use crate::pg::pool::{PoolOptions, Shards};
use crate::pg::scan::Size;
use crate::settings::{Flags, ReadReplica, Settings};

/// What lasts from one command to the next: settings, pools, the topology.
pub struct Context<'terminal> {
    flags: Flags,
    settings: RefCell<Rc<Settings>>,
    cluster: RefCell<Option<Arc<Cluster>>>,
    active_sessions: Arc<ActiveSessions>,
    health: RefCell<Option<Health>>,
    listener: RefCell<Listener>,
    reads: Cell<ReadFrom>,
    console: &'terminal dyn Console,
}

impl<'terminal> Context<'terminal> {
    /// A context of these settings. Connects to nothing.
    pub fn new(flags: Flags, settings: Settings, console: &'terminal dyn Console) -> Self {
        let settings = RefCell::new(Rc::new(settings));
        let (cluster, active_sessions, health) = (RefCell::default(), Arc::default(), RefCell::default());
        let listener: RefCell<Listener> = RefCell::new(Arc::new(|_| {}));
        let reads = Cell::default();
        Self { flags, settings, cluster, active_sessions, health, listener, reads, console }
    }

    /// The settings in force.
    pub fn settings(&self) -> Rc<Settings> {
        Rc::clone(&self.settings.borrow())
    }

    /// Reads the settings again, and forgets the cluster that the old ones led to.
    pub fn reload(&self) -> Result<()> {
        let settings = Settings::load(&self.flags)?;
        self.settings.replace(Rc::new(settings));
        self.cluster.replace(None);
        self.health.replace(None);
        Ok(())
    }

    /// What the shards' sessions are at: another thread can stop it.
    pub fn active_sessions(&self) -> &Arc<ActiveSessions> {
        &self.active_sessions
    }

    /// Where reads may go from here on.
    pub fn read_from(&self, read_replica: ReadReplica) {
        self.reads.set(read_replica.into());
        if let Some(cluster) = &*self.cluster.borrow() {
            cluster.shards().read_from(self.reads.get());
        }
    }

    /// What was read from replicas since this was asked last, as warnings.
    pub fn stale_reads(&self) -> Vec<Error> {
        self.cluster.borrow().as_ref().map_or_else(Vec::new, |cluster| cluster.shards().stale_reads())
    }

    /// From here on this hears when a shard goes or comes, as long as [`Self::health`] is taken now and then.
    pub fn listen(&self, listener: Listener) {
        self.listener.replace(listener);
    }

    /// Whether the shards answer, by what is heard from them in this time. `None` without a cluster that is known.
    pub fn health(&self, limit: Duration) -> Option<BTreeMap<ShardName, Life>> {
        let cluster = self.cluster().ok()?;
        let shards = cluster.shards();
        let names = shards.names();
        let addresses = names.iter().filter_map(|name| Some((name.clone(), shards.address(name).ok()?)));
        let mut health = self.health.borrow_mut();
        let begin = || Health::new(Arc::clone(&self.listener.borrow()));
        let lives = health.get_or_insert_with(begin).take(addresses.collect(), limit);
        for (name, _) in lives.iter().filter(|(_, life)| matches!(life, Life::Up { .. })) {
            shards.note_answer(name);
        }
        Some(lives)
    }

    /// The cluster's id, if it is known.
    pub fn cluster_id(&self) -> Option<ClusterId> {
        self.cluster.borrow().as_ref()?.id()
    }

    /// How many users lie on each shard, or why that is not known, if it can be counted in this time. The shards are told to
    /// give up if not.
    pub fn rows_in_time(&self, limit: Duration) -> Option<Vec<(ShardName, Result<i64>)>> {
        let cluster = self.cluster().ok()?;
        let (sender, receiver) = mpsc::sync_channel(1);
        thread::spawn(move || drop(sender.send(scan::sizes(&cluster))));
        let sizes = receiver.recv_timeout(limit).ok();
        if sizes.is_none() {
            self.active_sessions.stop();
        }
        let rows = |(name, size): (_, Result<Size>)| (name, size.map(|size| size.rows));
        Some(sizes?.into_iter().map(rows).collect())
    }

    /// Whom to ask.
    pub fn console(&self) -> &dyn Console {
        self.console
    }

    /// The cluster of the configured shards. Connects to none.
    pub fn cluster(&self) -> Result<Arc<Cluster>> {
        if let Some(cluster) = &*self.cluster.borrow() {
            return Ok(Arc::clone(cluster));
        }
        let cluster = self.open(self.shards()?)?;
        self.cluster.replace(Some(Arc::clone(&cluster)));
        Ok(cluster)
    }

    /// A cluster of its own with room for so many connections to each shard: what its sessions are at is neither timed
    /// nor stopped from outside, and costs no more than it must. It reads from primaries, wherever reads go else.
    pub fn cluster_apart(&self, connections: u32) -> Result<Arc<Cluster>> {
        let options = self.settings().pool_options();
        let shards = self.unattended(PoolOptions { size: options.size.max(connections), ..options })?;
        shards.read_from(ReadFrom::Primary);
        self.open(shards)
    }

    /// The same once more for somebody else: connections of its own, and what it learns from here on.
    pub fn cluster_again(&self, cluster: &Cluster) -> Result<Cluster> {
        let shards = self.unattended(self.settings().pool_options())?;
        shards.read_from(ReadFrom::Primary);
        Ok(cluster.again(shards))
    }

    fn open(&self, shards: Shards) -> Result<Arc<Cluster>> {
        let settings = self.settings();
        let id = settings.cluster.as_ref().map(|id| id.value);
        let id_is_unknown = id.is_none();
        let cluster = Arc::new(Cluster::open(shards, id, settings.state_folder.clone())?);
        if id_is_unknown && let Err(error) = cluster.refresh() {
            // Nothing vouches for these databases but that they agree. Which of them is down is said where
            // it matters.
            if error.kind() == Kind::Configuration {
                return Err(error);
            }
        }
        Ok(cluster)
    }

    /// The configured shards, whatever they are. Connects to none.
    pub fn shards(&self) -> Result<Shards> {
        Ok(self.unattended(self.settings().pool_options())?.with_cancellation(&self.active_sessions))
    }

    fn unattended(&self, options: PoolOptions) -> Result<Shards> {
        let settings = self.settings();
        if settings.shards.is_empty() {
            let path = &settings.file.value;
            let message = if path.exists() {
                format!("no shard is configured in `{}`", path.display())
            } else {
                format!("no shard is configured: there is no file `{}`", path.display())
            };
            return Err(Error::new(Kind::Configuration, message).hint(
                "ringshard init-shards makes three on a private Postgres; --config names another file",
            ));
        }
        let entries = settings.shards.iter().map(|(name, url)| (name.clone(), url.value.clone()));
        let shards = Shards::new(entries, settings.private_server()?, options)?;
        let shards = match settings.proxy_overrides() {
            Some(proxy_overrides) => shards.with_proxy_overrides(proxy_overrides),
            None => shards,
        };
        for (name, replicas) in &settings.replicas {
            shards.add_replicas(name, replicas)?;
        }
        shards.read_from(self.reads.get());
        let known = settings.cluster.as_ref().zip(settings.state_folder.as_deref());
        Ok(match known {
            Some((cluster, folder)) => shards.with_downtime_file(cluster.value, folder),
            None => shards,
        })
    }
}
