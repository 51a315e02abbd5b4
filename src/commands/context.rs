//! The state that the commands of one process share.

use crate::pg::scan;
use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::Console;
use crate::error::{Error, Kind, Result};
use crate::model::names::{ClusterId, ClusterName, ShardName};
use crate::model::ring::topology::Epoch;
use crate::pg::cluster::Cluster;
use crate::pg::cluster::refresh::NO_PROTOTYPE;
use crate::pg::net::active_sessions::ActiveSessions;
use crate::pg::poll::health::{Health, Life, Listener};
use crate::pg::pool::read_routing::ReadFrom;
use crate::pg::pool::{PoolOptions, Shards};
use crate::pg::scan::Size;
use crate::pg::sql;
use crate::settings::{Access, Flags, ReadReplica, Settings, cluster_names};
use crate::threads;

/// The state that the commands of one process share: settings, pools, the topology.
pub struct Context<'terminal> {
    flags: RefCell<Flags>,
    settings: RefCell<Rc<Settings>>,
    cluster: RefCell<Option<Arc<Cluster>>>,
    active_sessions: Arc<ActiveSessions>,
    health: RefCell<Option<Health>>,
    listener: RefCell<Listener>,
    reads: Cell<ReadFrom>,
    transaction: RefCell<Option<sql::Transaction>>,
    console: &'terminal dyn Console,
}

impl<'terminal> Context<'terminal> {
    /// A context with these settings. Connects to nothing.
    pub fn new(flags: Flags, settings: Settings, console: &'terminal dyn Console) -> Self {
        let settings = RefCell::new(Rc::new(settings));
        let (cluster, active_sessions, health) = (RefCell::default(), Arc::default(), RefCell::default());
        let listener: RefCell<Listener> = RefCell::new(Arc::new(|_| {}));
        let (reads, transaction) = (Cell::default(), RefCell::default());
        let flags = RefCell::new(flags);
        Self { flags, settings, cluster, active_sessions, health, listener, reads, transaction, console }
    }

    /// The settings in force.
    pub fn settings(&self) -> Rc<Settings> {
        Rc::clone(&self.settings.borrow())
    }

    /// The flags of the run, with the cluster that it has changed to.
    pub fn flags(&self) -> Flags {
        self.flags.borrow().clone()
    }

    /// Reads the settings again, and drops the cluster of the old ones.
    pub fn reload(&self) -> Result<()> {
        let settings = Settings::load(&self.flags.borrow())?;
        self.take(settings);
        Ok(())
    }

    /// The transaction that `BEGIN` has opened.
    pub fn transaction(&self) -> RefMut<'_, Option<sql::Transaction>> {
        self.transaction.borrow_mut()
    }

    /// Fails while a transaction is open: what this is about would not be part of it.
    pub fn check_no_transaction(&self) -> Result<()> {
        if self.transaction.borrow().is_none() {
            return Ok(());
        }
        Err(Error::new(Kind::Usage, "a transaction is open, and the command would not be part of it")
            .hint("COMMIT; or ROLLBACK; first"))
    }

    /// Rolls back a transaction that is still open at the end.
    pub fn abandon_transaction(&self) -> Result<()> {
        match self.transaction.take() {
            None => Ok(()),
            Some(_) => {
                Err(Error::new(Kind::Partial, "the transaction is rolled back, as it was not committed")
                    .hint("end it with COMMIT;"))
            }
        }
    }

    /// Changes to another cluster, with its own configuration file. Fails with `NotFound` if there is none.
    pub fn change_to(&self, cluster: &ClusterName) -> Result<()> {
        self.check_no_transaction()?;
        let flags = Flags { config: None, cluster: Some(cluster.clone()), ..self.flags.borrow().clone() };
        let settings = Settings::load(&flags)?;
        let file = &settings.file.value;
        if !file.is_file() {
            let names: Vec<String> = cluster_names().iter().map(|name| format!("connect {name}")).collect();
            let is_shard =
                self.settings().shards.iter().any(|(name, _)| name.as_str() == cluster.to_string());
            let hint = if is_shard {
                format!("`{cluster}` is a shard of this cluster; its URL is in ringshard shards")
            } else if names.is_empty() {
                format!("ringshard --cluster {cluster} init-shards makes it")
            } else {
                names.join(", ")
            };
            let message = format!("there is no cluster `{cluster}`: no file `{}`", file.display());
            return Err(Error::new(Kind::NotFound, message).hint(hint));
        }
        self.flags.replace(flags);
        self.take(settings);
        Ok(())
    }

    /// Fails with `Permission` if only commands that write nothing may run.
    pub fn check_may_write(&self) -> Result<()> {
        let access = &self.settings().access;
        if access.value == Access::ReadWrite {
            return Ok(());
        }
        let message = format!("the command writes, and this run only reads ({})", access.origin);
        Err(Error::new(Kind::Permission, message).hint("ringshard config show tells where `access` is set"))
    }

    fn take(&self, settings: Settings) {
        self.settings.replace(Rc::new(settings));
        self.cluster.replace(None);
        self.health.replace(None);
    }

    /// The sessions in use: another thread can cancel them.
    pub fn active_sessions(&self) -> &Arc<ActiveSessions> {
        &self.active_sessions
    }

    /// Sets where reads may go from now on.
    pub fn read_from(&self, read_replica: ReadReplica) {
        self.reads.set(read_replica.into());
        if let Some(cluster) = &*self.cluster.borrow() {
            cluster.shards().read_from(self.reads.get());
        }
    }

    /// Warnings about reads from replicas since the last call.
    pub fn stale_reads(&self) -> Vec<Error> {
        self.cluster.borrow().as_ref().map_or_else(Vec::new, |cluster| cluster.shards().stale_reads())
    }

    /// Sets the listener for shards that go down or come back; it is called while [`Self::health`] is polled.
    pub fn listen(&self, listener: Listener) {
        self.listener.replace(listener);
    }

    /// Whether the shards answer, after waiting at most `limit`. `None` without a configured cluster.
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

    /// The names of tables and columns, to be completed; none if they cannot be read.
    pub fn names_in_sql(&self) -> Vec<String> {
        self.cluster().and_then(|cluster| sql::names(&cluster)).unwrap_or_default()
    }

    /// The number of users on each shard, or why it is not known. `None` if counting takes longer than `limit`; it is
    /// then canceled.
    pub fn rows_in_time(&self, limit: Duration) -> Option<Vec<(ShardName, Result<i64>)>> {
        let cluster = self.cluster().ok()?;
        let (sender, receiver) = mpsc::sync_channel(1);
        threads::start(move || drop(sender.send(scan::sizes(&cluster)))).ok()?;
        let sizes = receiver.recv_timeout(limit).ok();
        if sizes.is_none() {
            self.active_sessions.stop("a limit of time");
        }
        let rows = |(name, size): (_, Result<Size>)| (name, size.map(|size| size.rows));
        Some(sizes?.into_iter().map(rows).collect())
    }

    /// The terminal, for questions and progress.
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

    /// As [`Context::cluster`], for the commands that serve users alone. Fails with `Configuration` if the cluster has no such
    /// table, as far as this process knows.
    pub fn cluster_of_users(&self) -> Result<Arc<Cluster>> {
        let cluster = self.cluster()?;
        let view = cluster.view();
        if view.epoch == Epoch::GUESSED || view.topology.tables().has_prototype() {
            return Ok(cluster);
        }
        Err(Error::new(Kind::Configuration, NO_PROTOTYPE)
            .hint("ringshard table list shows its tables; ringshard export --table NAME reads one of them"))
    }

    /// A separate cluster with room for so many connections to each shard. Its sessions are neither timed nor canceled
    /// from outside. It reads from primaries only.
    pub fn cluster_apart(&self, connections: u32) -> Result<Arc<Cluster>> {
        let options = self.settings().pool_options();
        let shards = self.uncancelled(PoolOptions { size: options.size.max(connections), ..options })?;
        shards.read_from(ReadFrom::Primary);
        self.open(shards)
    }

    /// A copy of a cluster with its own connections and its own view of the topology.
    pub fn cluster_again(&self, cluster: &Cluster) -> Result<Cluster> {
        let shards = self.uncancelled(self.settings().pool_options())?;
        shards.read_from(ReadFrom::Primary);
        Ok(cluster.again(shards))
    }

    fn open(&self, shards: Shards) -> Result<Arc<Cluster>> {
        let settings = self.settings();
        let id = settings.cluster.as_ref().map(|id| id.value);
        let id_is_unknown = id.is_none();
        let cluster = Arc::new(Cluster::open(shards, id, settings.state_folder.clone())?);
        if id_is_unknown && let Err(error) = cluster.refresh() {
            // Without an id in the settings, the databases must at least agree. A shard that is down is reported by
            // the command that needs it.
            if error.kind() == Kind::Configuration {
                return Err(error);
            }
        }
        Ok(cluster)
    }

    /// The configured shards. Connects to none.
    pub fn shards(&self) -> Result<Shards> {
        Ok(self.uncancelled(self.settings().pool_options())?.with_cancellation(&self.active_sessions))
    }

    fn uncancelled(&self, options: PoolOptions) -> Result<Shards> {
        let settings = self.settings();
        if settings.shards.is_empty() {
            let path = &settings.file.value;
            let message = if path.exists() {
                format!("no shard is configured in `{}`", path.display())
            } else {
                format!("no shard is configured: there is no file `{}`", path.display())
            };
            let (flags, otherwise) = (self.flags.borrow(), "creates three on a private Postgres");
            return Err(Error::new(Kind::Configuration, message).hint(
                match (&settings.cluster_name, &flags.config) {
                    (Some(name), _) => format!("ringshard --cluster {name} init-shards makes it"),
                    (None, Some(file)) => {
                        format!("ringshard --config {} init-shards {otherwise}", file.display())
                    }
                    (None, None) => format!("ringshard init-shards {otherwise}; --config names another file"),
                },
            ));
        }
        let entries = settings.shards.iter().map(|(name, url)| (name.clone(), url.value.clone()));
        let shards = Shards::new(entries, settings.private_server()?, options)?;
        let shards = match settings.proxy_overrides() {
            Some(proxy_overrides) => shards.with_proxy_overrides(proxy_overrides),
            None => shards,
        };
        for (name, url) in &settings.direct_urls {
            shards.set_direct_url(name, url)?;
        }
        for (name, replicas) in &settings.replicas {
            shards.add_replicas(name, replicas)?;
        }
        shards.read_from(self.reads.get());
        let remembered = settings.cluster.as_ref().zip(settings.state_folder.as_deref());
        Ok(match remembered {
            Some((cluster, folder)) => shards.with_downtime_file(cluster.value, folder),
            None => shards,
        })
    }
}
