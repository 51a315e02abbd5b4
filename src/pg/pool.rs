//! The shards that can be reached: one small r2d2 pool each, opened when it is first needed.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use postgres::NoTls;
use r2d2::{ManageConnection, NopErrorHandler, Pool, PooledConnection};
use r2d2_postgres::PostgresConnectionManager;
use scheduled_thread_pool::ScheduledThreadPool;

use super::conninfo::{Address, ConnectionString};
use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::local::PrivateServer;
use crate::model::names::ShardName;

/// How the pools behave.
#[derive(Debug, Clone, Copy)]
pub struct PoolOptions {
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// The most connections to one shard.
    pub size: u32,
}

/// Makes sessions for a pool. The first one was made before the pool was, to learn why it failed if it did.
struct Manager {
    inner: PostgresConnectionManager<NoTls>,
    first: Mutex<Option<Session>>,
}

impl ManageConnection for Manager {
    type Connection = Session;
    type Error = postgres::Error;

    fn connect(&self) -> Result<Session, postgres::Error> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.map_or_else(|| self.inner.connect().map(Session::new), Ok)
    }

    fn is_valid(&self, session: &mut Session) -> Result<(), postgres::Error> {
        self.inner.is_valid(session.client())
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        session.is_closed()
    }
}

/// One shard: where it is, and its pool once it was needed.
struct Shard {
    name: ShardName,
    address: Address,
    pool: OnceLock<Pool<Manager>>,
}

/// A connection on loan from a shard's pool; it goes back when dropped.
pub struct Loan {
    shard: ShardName,
    session: PooledConnection<Manager>,
}

impl Deref for Loan {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        log::debug!("Closed session for shard {}", self.shard);
    }
}

/// All shards that can be reached, by name.
pub struct Shards {
    shards: RwLock<BTreeMap<ShardName, Arc<Shard>>>,
    server: PrivateServer,
    options: PoolOptions,
    /// One thread that opens connections, for all pools.
    opener: OnceLock<Arc<ScheduledThreadPool>>,
}

impl Shards {
    /// The shards of these connection strings. Connects to none.
    pub fn new(
        entries: impl IntoIterator<Item = (ShardName, ConnectionString)>,
        server: PrivateServer,
        options: PoolOptions,
    ) -> Result<Self> {
        let shards = Self { shards: RwLock::default(), server, options, opener: OnceLock::new() };
        for (name, url) in entries {
            shards.add(name, &url)?;
        }
        Ok(shards)
    }

    /// Adds a shard, unless one of this name is there. Two names for one address are refused.
    pub fn add(&self, name: ShardName, url: &ConnectionString) -> Result<()> {
        let address = url.resolve(&self.server, self.options.connect_timeout).map_err(|error| {
            let message = format!("the URL of shard `{name}` is wrong: {error}");
            Error::new(error.kind(), message)
                .hint(error.hint_text().unwrap_or("ringshard config show").to_owned())
                .on_shard(&name)
        })?;
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        let twin =
            shards.values().find(|shard| shard.name != name && shard.address.shown() == address.shown());
        if let Some(twin) = twin {
            let message = format!("shards `{}` and `{name}` both lead to {}", twin.name, address.shown());
            return Err(Error::new(Kind::Configuration, message)
                .hint("give each shard a database of its own")
                .on_shard(&name));
        }
        shards
            .entry(name.clone())
            .or_insert_with(|| Arc::new(Shard { name, address, pool: OnceLock::new() }));
        Ok(())
    }

    /// The names, sorted.
    pub fn names(&self) -> Vec<ShardName> {
        self.shards.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Where a shard is.
    pub fn address(&self, name: &ShardName) -> Result<Address> {
        self.shard(name).map(|shard| shard.address.clone())
    }

    fn shard(&self, name: &ShardName) -> Result<Arc<Shard>> {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        shards.get(name).cloned().ok_or_else(|| {
            Error::new(Kind::Configuration, format!("no address is known for shard `{name}`"))
                .hint(format!("add it to the configuration: [shards.{name}] url = \"postgresql://…\""))
                .on_shard(name)
        })
    }

    /// A connection to a shard, from its pool. Opens the pool if this is the first.
    pub fn checkout(&self, name: &ShardName) -> Result<Loan> {
        log::debug!("Creating session for shard: {name}");
        let shard = self.shard(name)?;
        if shard.pool.get().is_none() {
            let first = self.connect(&shard)?;
            // If another thread was faster, its pool is used and this connection is closed.
            let _ = shard.pool.set(self.open(&shard, first));
        }
        let pool = shard.pool.get().expect("it was opened just now");
        let session = match pool.get() {
            Ok(session) => session,
            Err(_) => {
                // The pool hides the cause. Try once more by hand: either that fails and says why, or the
                // server is there and all connections are on loan.
                drop(self.connect(&shard)?);
                return Err(Error::new(
                    Kind::Unreachable,
                    format!("all {} connections to shard `{name}` are in use", self.options.size),
                )
                .hint("raise pool_size in the configuration")
                .on_shard(name));
            }
        };
        Ok(Loan { shard: name.clone(), session })
    }

    /// Connects without the pool. If the private server has the shard and is down, starts it.
    fn connect(&self, shard: &Shard) -> Result<Session> {
        match Session::connect(&shard.name, &shard.address) {
            Err(error)
                if shard.address.is_local() && error.kind() == Kind::Unreachable && self.server.exists() =>
            {
                if self.server.ensure_running()? {
                    log::info!("Started the private Postgres for shard {}", shard.name);
                }
                Session::connect(&shard.name, &shard.address)
            }
            result => result,
        }
    }

    fn open(&self, shard: &Shard, first: Session) -> Pool<Manager> {
        let opener = self.opener.get_or_init(|| Arc::new(ScheduledThreadPool::new(1)));
        Pool::builder()
            .max_size(self.options.size)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .connection_timeout(self.options.connect_timeout)
            .error_handler(Box::new(NopErrorHandler))
            .thread_pool(Arc::clone(opener))
            .build_unchecked(Manager {
                inner: PostgresConnectionManager::new(shard.address.config.clone(), NoTls),
                first: Mutex::new(Some(first)),
            })
    }

    /// Does the same on each of these shards at once, each on a thread of its own; results in the order
    /// of the names.
    pub fn on_each<T: Send>(
        &self,
        names: &[ShardName],
        work: impl Fn(&ShardName, &mut Loan) -> Result<T> + Sync,
    ) -> Vec<(ShardName, Result<T>)> {
        let work = &work;
        thread::scope(|scope| {
            let threads: Vec<_> = names
                .iter()
                .map(|name| (name, scope.spawn(move || work(name, &mut self.checkout(name)?))))
                .collect();
            threads
                .into_iter()
                .map(|(name, thread)| {
                    let result = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                    (name.clone(), result)
                })
                .collect()
        })
    }
}
