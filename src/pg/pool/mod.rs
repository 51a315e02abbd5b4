//! The shards by name, with one small r2d2 pool for each server, opened when it is first needed. It runs no SQL of its own.

pub(crate) mod backoff;
mod direct;
pub mod read_routing;
pub mod replica_status;

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use r2d2::{ManageConnection, NopErrorHandler, Pool, PooledConnection};
use scheduled_thread_pool::ScheduledThreadPool;

use crate::error::{Error, Kind, Result};
use crate::local::PrivateServer;
use crate::model::names::{ClusterId, ShardName};
use crate::pg::net::active_sessions::ActiveSessions;
use crate::pg::net::connect_error::Unconnected;
use crate::pg::net::conninfo::{Address, ConnectionString};
use crate::pg::net::proxy_override::ProxyOverrides;
use crate::pg::net::session::Session;
use crate::pg::net::sqlstate;
use crate::pg::net::watchdog::InUse;
use crate::threads;
use backoff::Backoff;
use read_routing::Reads;

/// How long a private server that crashed may take to exit.
const CRASH_PATIENCE: Duration = Duration::from_secs(3);
/// How long to wait for a pool before checking why it gives no connection.
const POOL_STEP: Duration = Duration::from_millis(200);
/// The pause before the next try after a crash.
const CRASH_PAUSE: Duration = Duration::from_millis(20);
/// What to do about a private server without data.
pub(crate) const NO_PRIVATE_SERVER: &str = "if it was moved or is another user's, set RINGSHARD_HOME to its home; if it was \
                                            deleted, ringshard init-shards makes a new one, empty";

/// How the pools behave.
#[derive(Debug, Clone, Copy)]
pub struct PoolOptions {
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// The most connections to one shard.
    pub size: u32,
    /// How long the server may take for a statement about a few rows; `None` for no limit.
    pub statement_timeout: Option<Duration>,
}

/// The first session of a shard. It is made without the pool, so that its failure has a reason, and so that a command that
/// needs only one connection starts no thread.
type First = Arc<Mutex<Option<Session>>>;

/// Makes the sessions of a pool. The first session, if it is idle, becomes one of them.
struct Manager {
    shard: ShardName,
    address: Address,
    first: First,
    has_failed: Arc<AtomicBool>,
}

impl ManageConnection for Manager {
    type Connection = Session;
    type Error = Error;

    fn connect(&self) -> Result<Session> {
        let first = self.first.lock().take();
        let made = first.map_or_else(|| Session::connect(&self.shard, &self.address), Ok);
        self.has_failed.store(made.is_err(), Ordering::Release);
        made
    }

    fn is_valid(&self, session: &mut Session) -> Result<()> {
        let checked = session.client().check_connection();
        checked.map_err(|cause| sqlstate::doing("look at a connection", &self.shard, &cause))
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        session.is_closed()
    }
}

/// One server of a shard: its address, and its pool once it was needed.
pub(crate) struct Server {
    name: ShardName,
    pub(crate) address: Address,
    /// The server itself, if `address` leads to a connection pooler.
    direct: OnceLock<Address>,
    /// Its key in `backoff`.
    pub(crate) backoff_key: String,
    /// Whether it was added as a standby; it may have been promoted since.
    is_standby: bool,
    /// The shard's standbys. A standby has none.
    pub(crate) replicas: RwLock<Vec<Arc<Server>>>,
    /// Set when the shard is needed for the second time.
    pool: OnceLock<Pool<Manager>>,
    first: First,
    /// Whether the first session was made.
    begun: AtomicBool,
    /// Whether the pool failed when it last tried to connect.
    has_failed: Arc<AtomicBool>,
}

/// A session of a server, in use. Dropping it returns it to the pool.
pub struct PooledSession {
    server: Arc<Server>,
    session: SessionSource,
    active_sessions: Arc<ActiveSessions>,
    /// Its key in `active_sessions`.
    ticket: u64,
    _in_use: InUse,
}

enum SessionSource {
    /// The shard's first session, and the slot that it returns to.
    First(Option<Session>, First),
    Pooled(PooledConnection<Manager>),
}

impl Deref for PooledSession {
    type Target = Session;

    fn deref(&self) -> &Session {
        match &self.session {
            SessionSource::First(session, _) => session.as_ref().expect("it is taken only when dropped"),
            SessionSource::Pooled(session) => session,
        }
    }
}

impl DerefMut for PooledSession {
    fn deref_mut(&mut self) -> &mut Session {
        match &mut self.session {
            SessionSource::First(session, _) => session.as_mut().expect("it is taken only when dropped"),
            SessionSource::Pooled(session) => session,
        }
    }
}

impl PooledSession {
    fn new(server: &Arc<Server>, session: SessionSource, active_sessions: &Arc<ActiveSessions>) -> Self {
        let inner = match &session {
            SessionSource::First(session, _) => session.as_ref().expect("it is taken only when dropped"),
            SessionSource::Pooled(session) => session,
        };
        let in_use = inner.in_use();
        let ticket = active_sessions.enter(&server.name, inner.cancel().clone());
        let (server, active_sessions) = (Arc::clone(server), Arc::clone(active_sessions));
        Self { server, session, active_sessions, ticket, _in_use: in_use }
    }

    /// The server that it is connected to.
    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }
}

impl Drop for PooledSession {
    fn drop(&mut self) {
        self.active_sessions.leave(self.ticket);
        if let SessionSource::First(session, home) = &mut self.session
            && let Some(session) = session.take().filter(|session| !session.is_closed())
        {
            home.lock().replace(session);
        }
        log::debug!("Closed session for shard {}", self.server.name);
    }
}

/// All shards that can be reached, by name.
pub struct Shards {
    by_name: RwLock<BTreeMap<ShardName, Arc<Server>>>,
    server: PrivateServer,
    options: PoolOptions,
    proxy_overrides: Option<ProxyOverrides>,
    /// The thread that opens the connections of all pools.
    opener: Mutex<Option<Arc<ScheduledThreadPool>>>,
    active_sessions: Arc<ActiveSessions>,
    backoff: Backoff,
    pub(crate) reads: Mutex<Reads>,
}

impl Server {
    fn new(name: ShardName, address: Address, backoff_key: String, is_standby: bool) -> Self {
        let (pool, first, begun) = (OnceLock::new(), First::default(), AtomicBool::new(false));
        let (direct, replicas, has_failed) = (OnceLock::new(), RwLock::default(), Arc::default());
        Self { name, address, direct, backoff_key, is_standby, replicas, pool, first, begun, has_failed }
    }

    /// The shard.
    pub(crate) fn name(&self) -> &ShardName {
        &self.name
    }

    /// Whether it was added as a standby; it may have been promoted since.
    pub(crate) fn is_standby(&self) -> bool {
        self.is_standby
    }

    /// A standby of a shard.
    pub(crate) fn standby(name: &ShardName, address: Address) -> Self {
        let backoff_key = format!("{name} at {}", address.shown());
        Self::new(name.clone(), address, backoff_key, true)
    }
}

/// Fails if the private server that a shard is on has no data.
pub(crate) fn check_private_server(server: &PrivateServer, shard: &ShardName) -> Result<()> {
    if server.exists()? {
        return Ok(());
    }
    let message = format!(
        "shard `{shard}` is on a private Postgres, and there is none in `{}`",
        server.home().display()
    );
    Err(Error::new(Kind::Unreachable, message).hint(NO_PRIVATE_SERVER).on_shard(shard))
}

impl Shards {
    /// The shards of these connection strings, unconnected. Fails with `Configuration` if a string is invalid, or if two shards
    /// have one address.
    pub fn new(
        entries: impl IntoIterator<Item = (ShardName, ConnectionString)>,
        server: PrivateServer,
        options: PoolOptions,
    ) -> Result<Self> {
        let (active_sessions, backoff) = (Arc::default(), Backoff::default());
        let (by_name, opener, reads) = (RwLock::default(), Mutex::default(), Mutex::default());
        let shards =
            Self { by_name, server, options, proxy_overrides: None, opener, active_sessions, backoff, reads };
        for (name, url) in entries {
            shards.add(name, &url)?;
        }
        Ok(shards)
    }

    /// With these `active_sessions`, which time and cancel the sessions.
    #[must_use]
    pub fn with_cancellation(self, active_sessions: &Arc<ActiveSessions>) -> Self {
        Self { active_sessions: Arc::clone(active_sessions), ..self }
    }

    /// With the proxy overrides of this folder.
    #[must_use]
    pub fn with_proxy_overrides(mut self, proxy_overrides: ProxyOverrides) -> Self {
        let shards = self.by_name.get_mut();
        for shard in shards.values_mut().filter_map(Arc::get_mut) {
            shard.address = shard.address.clone().with_proxy_overrides(&proxy_overrides);
        }
        self.proxy_overrides = Some(proxy_overrides);
        self
    }

    /// The sessions in use.
    pub fn active_sessions(&self) -> &Arc<ActiveSessions> {
        &self.active_sessions
    }

    /// Adds a shard unless it is known. Two names for one address are refused.
    pub fn add(&self, name: ShardName, url: &ConnectionString) -> Result<()> {
        let address = self.resolve(&name, url)?;
        let mut shards = self.by_name.write();
        let same_address =
            |shard: &&Arc<Server>| shard.name != name && shard.address.shown() == address.shown();
        if let Some(other) = shards.values().find(same_address) {
            let message =
                format!("shards `{}` and `{name}` have the same address {}", other.name, address.shown());
            return Err(Error::new(Kind::Configuration, message)
                .hint("give each shard a database of its own")
                .on_shard(&name));
        }
        let backoff_key = name.to_string();
        shards
            .entry(name.clone())
            .or_insert_with(|| Arc::new(Server::new(name, address, backoff_key, false)));
        Ok(())
    }

    /// Resolves the URL of a shard.
    pub(crate) fn resolve(&self, name: &ShardName, url: &ConnectionString) -> Result<Address> {
        let address = url.resolve(&self.server, self.options.connect_timeout).map_err(|error| {
            let message = format!("the URL of shard `{name}` is invalid: {error}");
            Error::new(error.kind(), message)
                .hint(error.hint_text().unwrap_or("ringshard config show").to_owned())
                .on_shard(name)
        })?;
        let address = address.with_statement_timeout(self.options.statement_timeout);
        Ok(match &self.proxy_overrides {
            Some(proxy_overrides) => address.with_proxy_overrides(proxy_overrides),
            None => address,
        })
    }

    /// Sets a new address and new standbys of a shard.
    pub(crate) fn replace(&self, name: &ShardName, address: Address, replicas: Vec<Arc<Server>>) {
        let shard = Server::new(name.clone(), address, name.to_string(), false);
        *shard.replicas.write() = replicas;
        self.backoff.answered(&shard.backoff_key);
        self.by_name.write().insert(name.clone(), Arc::new(shard));
    }

    /// The names, sorted.
    pub fn names(&self) -> Vec<ShardName> {
        self.by_name.read().keys().cloned().collect()
    }

    /// The address of a shard's primary.
    pub fn address(&self, name: &ShardName) -> Result<Address> {
        self.shard(name).map(|shard| shard.address.clone())
    }

    /// With a file in `folder` that tells later processes since when shards of this cluster have been down.
    #[must_use]
    pub fn with_downtime_file(self, cluster: ClusterId, folder: &Path) -> Self {
        self.backoff.remember_in(folder.join(format!("down-{cluster}.json")));
        self
    }

    /// Since when a shard has not answered, in seconds since 1970, as far as this user's processes know.
    pub fn down_since(&self, name: &ShardName) -> Option<u64> {
        self.backoff.since(name.as_str())
    }

    /// A shard answered over a connection of another owner: ends its back-off.
    pub fn note_answer(&self, name: &ShardName) {
        self.backoff.answered(name.as_str());
    }

    /// Connecting to a shard failed elsewhere, after this time: starts its back-off.
    pub(crate) fn note_failure(&self, name: &ShardName, error: &Error, after: Duration) {
        self.backoff.failed(name.as_str(), error, after);
    }

    /// Whether a server is still its shard's primary, as far as this process knows, or a standby.
    pub(crate) fn is_current(&self, server: &Arc<Server>) -> bool {
        server.is_standby || self.shard(&server.name).is_ok_and(|now| Arc::ptr_eq(&now, server))
    }

    /// Forgets a shard.
    pub fn remove(&self, name: &ShardName) {
        self.by_name.write().remove(name);
    }

    pub(crate) fn shard(&self, name: &ShardName) -> Result<Arc<Server>> {
        let shards = self.by_name.read();
        shards.get(name).cloned().ok_or_else(|| {
            Error::new(Kind::Configuration, format!("the address of shard `{name}` is unknown"))
                .hint(format!("add it to the configuration: [shards.{name}] url = \"postgresql://…\""))
                .on_shard(name)
        })
    }

    /// A session of a shard's primary, from its pool; the second call opens the pool. Fails with `Unreachable`, or with
    /// `Partial` after Ctrl-C.
    pub fn checkout(&self, name: &ShardName) -> Result<PooledSession> {
        log::debug!("Creating session for shard: {name}");
        let shard = self.shard(name)?;
        self.checkout_server(&shard)
    }

    /// A session of one server of a shard.
    pub(crate) fn checkout_server(&self, shard: &Arc<Server>) -> Result<PooledSession> {
        let name = &shard.name;
        self.active_sessions.check()?;
        self.backoff.check(&shard.backoff_key).map_err(|error| error.on_shard(name))?;
        let since = self.active_sessions.now();
        let checked_out = |session| {
            self.active_sessions.waited(name, since);
            PooledSession::new(shard, session, &self.active_sessions)
        };
        if !shard.begun.load(Ordering::Acquire) {
            let first = self.connect(shard)?;
            shard.begun.store(true, Ordering::Release);
            return Ok(checked_out(SessionSource::First(Some(first), Arc::clone(&shard.first))));
        }
        let pool = self.pool(shard)?;
        let begun = Instant::now();
        loop {
            self.active_sessions.check()?;
            let Ok(mut session) = pool.get_timeout(POOL_STEP) else {
                // The pool hides the reason, retries late, and does not start a private server. A direct connection
                // has a reason if it fails; otherwise it joins the pool later.
                if shard.has_failed.load(Ordering::Acquire) {
                    return Ok(checked_out(SessionSource::First(
                        Some(self.connect(shard)?),
                        Arc::clone(&shard.first),
                    )));
                }
                if begun.elapsed() < self.options.connect_timeout {
                    continue;
                }
                let message = format!("all {} connections to shard `{name}` are in use", self.options.size);
                return Err(Error::new(Kind::Unreachable, message)
                    .hint("raise pool_size in the configuration")
                    .on_shard(name));
            };
            // A session that died while it was idle is dropped, and the pool makes another.
            if session.is_alive(self.active_sessions.always_checks_liveness()) {
                self.backoff.answered(&shard.backoff_key);
                return Ok(checked_out(SessionSource::Pooled(session)));
            }
        }
    }

    /// Connects without the pool, and updates the back-off.
    fn connect(&self, shard: &Server) -> Result<Session> {
        let begun = Instant::now();
        let connected = self.connect_or_start(shard);
        match &connected {
            Ok(_) => self.backoff.answered(&shard.backoff_key),
            Err(error) => self.backoff.failed(&shard.backoff_key, error, begun.elapsed()),
        }
        connected
    }

    /// Connects; starts the private server first if it has the shard and is down.
    fn connect_or_start(&self, shard: &Server) -> Result<Session> {
        let may_help = |failed: &Unconnected| shard.address.is_local() && failed.may_be_down();
        match Session::try_connect(&shard.name, &shard.address) {
            Ok(session) => return Ok(session),
            Err(failed) if !may_help(&failed) => return Err(failed.error),
            Err(_) => {}
        }
        check_private_server(&self.server, &shard.name)?;
        // Just after a crash the old server may still run and refuse connections.
        let begun = Instant::now();
        loop {
            if self.server.ensure_running()? {
                log::info!("Started the private Postgres for shard {}", shard.name);
            }
            match Session::try_connect(&shard.name, &shard.address) {
                Ok(session) => return Ok(session),
                Err(failed) if may_help(&failed) && begun.elapsed() < CRASH_PATIENCE => {
                    self.active_sessions.check()?;
                    thread::sleep(CRASH_PAUSE);
                }
                Err(failed) => return Err(failed.error),
            }
        }
    }

    /// The thread that opens connections.
    fn opener(&self) -> Result<Arc<ScheduledThreadPool>> {
        let mut opener = self.opener.lock();
        if let Some(opener) = &*opener {
            return Ok(Arc::clone(opener));
        }
        let started = threads::for_library(|| ScheduledThreadPool::new(1))?;
        Ok(Arc::clone(opener.insert(Arc::new(started))))
    }

    fn pool<'a>(&self, shard: &'a Server) -> Result<&'a Pool<Manager>> {
        match shard.pool.get() {
            Some(pool) => Ok(pool),
            None => self.opener().map(|opener| shard.pool.get_or_init(|| self.open(shard, opener))),
        }
    }

    fn open(&self, shard: &Server, opener: Arc<ScheduledThreadPool>) -> Pool<Manager> {
        Pool::builder()
            .max_size(self.options.size)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(self.options.connect_timeout)
            .error_handler(Box::new(NopErrorHandler))
            .thread_pool(opener)
            .build_unchecked(Manager {
                shard: shard.name.clone(),
                address: shard.address.clone(),
                first: Arc::clone(&shard.first),
                has_failed: Arc::clone(&shard.has_failed),
            })
    }

    /// Runs `work` on each of these shards in parallel, on one thread each; results in the order of the names.
    pub fn on_each<T: Send>(
        &self,
        names: &[ShardName],
        work: impl Fn(&ShardName, &mut PooledSession) -> Result<T> + Sync,
    ) -> Vec<(ShardName, Result<T>)> {
        self.checkout_each(names, |name, mut session| work(name, &mut session))
    }

    /// As [`Shards::on_each`], but `work` may keep the session.
    pub fn checkout_each<T: Send>(
        &self,
        names: &[ShardName],
        work: impl Fn(&ShardName, PooledSession) -> Result<T> + Sync,
    ) -> Vec<(ShardName, Result<T>)> {
        threads::at_once(names, |name| {
            (name.clone(), self.checkout(name).and_then(|session| work(name, session)))
        })
    }
}
