//! The client for Rust programs: each statement about a key runs on the shard that has proved to own the key.
//!
//! It has no rule of its own: reads go through the router, and a transaction is proved as that of `sql` is.

use std::collections::BTreeMap;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

pub use postgres;
use postgres::Row;
use postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::local::PrivateServer;
use crate::model::names::ShardName;
use crate::model::ring::position::Position;
use crate::model::ring::topology::ShardNumber;
use crate::pg::catalog;
use crate::pg::cluster::Cluster;
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::net::session::Session;
use crate::pg::net::sqlstate;
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::pool::{PoolOptions, PooledSession, Shards};
use crate::pg::rows::router::FENCE_PATIENCE;
use crate::pg::sql::answer::BEGIN_TO_WRITE;
use crate::pg::sql::by_key::{PAUSE, Refusal, commit, proof, read};
use crate::pg::two_phase::roll_back;

/// How long it waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The most connections to one shard.
const CONNECTIONS_MAX: u32 = 16;

/// A sharding key: its text, as Postgres prints it, decides where it is.
pub trait Key: fmt::Display {}

impl Key for i16 {}
impl Key for i32 {}
impl Key for i64 {}
impl Key for str {}
impl Key for String {}
impl Key for Uuid {}
impl<K: Key + ?Sized> Key for &K {}

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// The name of the shard.
    pub shard: String,
    /// Its number, which no other shard of the cluster ever has.
    pub number: ShardNumber,
    /// The epoch of the ring that says so: it grows by one with each change.
    pub epoch: i64,
    /// The URL of the shard, without a password.
    pub url: String,
}

/// The shards of a cluster. Threads share it by reference; each call uses a connection of its own, at most 16 to a shard.
///
/// Its role has to be able to read the tables in the schema `ringshard`, as their owner is. A row-level security policy that
/// would hide rows from it is an error.
pub struct Client(Cluster);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("shards", &self.0.shards().names()).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to the cluster of these shards, one or more of which answer; the catalogs name the others. The URLs are those
    /// of libpq. Those in the catalogs have no password: give the URL of each shard, set `PGPASSWORD`, or use a password file.
    ///
    /// Until a shard has said its name, errors call it `url_1`, `url_2` and so on. Fails with [`Kind::Unreachable`] if none
    /// answers, and with [`Kind::Configuration`] if one is no shard, or if two are of different clusters.
    pub fn connect<U: AsRef<str>>(urls: impl IntoIterator<Item = U>) -> Result<Self> {
        let private = PrivateServer::at(None, None)?;
        let (mut found, mut cluster, mut unreachable) = (BTreeMap::new(), None, None);
        for (at, url) in urls.into_iter().enumerate() {
            let url = ConnectionString::new(url.as_ref());
            let unnamed: ShardName =
                format!("url_{}", at + 1).parse().expect("letters and digits are a name");
            let described = url
                .resolve(&private, CONNECT_TIMEOUT)
                .and_then(|address| Session::connect(&unnamed, &address))
                .and_then(|mut session| catalog::describe(&mut session, &unnamed));
            match described {
                Ok(described) => {
                    // That two are of one cluster is checked when all are read.
                    cluster.get_or_insert(described.cluster);
                    found.entry(described.shard).or_insert(url);
                }
                Err(error) if error.kind() == Kind::Unreachable => drop(unreachable.get_or_insert(error)),
                Err(error) => return Err(error),
            }
        }
        if found.is_empty() {
            return Err(unreachable.unwrap_or_else(|| {
                Error::new(Kind::Configuration, "no URL of a shard is given")
                    .hint("ringshard shards shows them")
            }));
        }
        let options =
            PoolOptions { connect_timeout: CONNECT_TIMEOUT, size: CONNECTIONS_MAX, statement_timeout: None };
        let cluster = Cluster::open(Shards::new(found, private, options)?, cluster, None)?;
        cluster.refresh()?;
        Ok(Self(cluster))
    }

    /// The owner of a key by the ring that this client knows, without asking a shard. The ring is read again when a shard has
    /// refused a key, so an old one may name a shard from which the key has moved: the other functions notice that.
    pub fn route(&self, key: impl Key) -> Result<Route> {
        let view = self.0.view();
        let shard = view.owner(Position::of_key(&key.to_string()));
        Ok(Route {
            shard: shard.to_string(),
            number: view.topology.number(shard).unwrap_or_default(),
            epoch: view.epoch.number(),
            url: self.0.shards().address(shard)?.shown().to_owned(),
        })
    }

    /// Runs one statement that reads rows of a key, on its owner, in one snapshot with the proof; returns all its rows. It does
    /// not wait while the key moves, and may be sent again.
    pub fn get(&self, key: impl Key, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        read(&self.0, &key.to_string(), |session| Ok(session.client().query(sql, parameters)?))
    }

    /// Calls `work` with a transaction on the owner of a key, which has proved that, and commits it, durably, if `work` returns
    /// `Ok`; returns what `work` returns.
    ///
    /// If the shard refuses, as while the key moves, all is rolled back and **`work` is called again**, for 10 s: it must
    /// change nothing but the database. A rebalance that moves the key waits for the transaction, so keep it short. Its error
    /// may be any type that is made from an [`Error`]; if `?` is to work on the statements, also from a [`postgres::Error`].
    /// If the connection is lost while it commits, the outcome is unknown, as the error says.
    pub fn with_key<T, E: From<Error>>(
        &self,
        key: impl Key,
        mut work: impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let key = key.to_string();
        let position = Position::of_key(&key);
        let begun = Instant::now();
        let mut shard = self.0.view().owner(position).clone();
        let mut is_first = true;
        loop {
            match self.attempt(&shard, &key, &mut work) {
                Ok(done) => return Ok(done),
                Err(Unfinished::Refused(refusal, _)) if begun.elapsed() < FENCE_PATIENCE => {
                    shard = self.next(shard, refusal, position, is_first)?;
                    is_first = false;
                }
                Err(Unfinished::Refused(_, error) | Unfinished::Failed(error)) => return Err(error),
            }
        }
    }

    fn attempt<T, E: From<Error>>(
        &self,
        shard: &ShardName,
        key: &str,
        work: &mut impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, Unfinished<E>> {
        let failed = |error: Error| Unfinished::Failed(E::from(error));
        let what = format!("prove that it owns the key `{key}`");
        let mut open = Open(self.0.reach(ReadIntent::Primary, shard).map_err(failed)?);
        open.begin().map_err(|cause| failed(sqlstate::doing(&what, shard, &cause)))?;
        let known_epoch = self.0.view().epoch.number();
        let mut transaction = Transaction { client: open.0.client(), shard, key, failure: None };
        let result = match transaction.prove(key, known_epoch) {
            Ok(()) => work(&mut transaction),
            Err(cause) => Err(E::from(sqlstate::doing(&what, shard, &cause))),
        };
        match (result, transaction.failure) {
            (Ok(done), None) => open.commit(shard).map(|()| done).map_err(failed),
            (Err(error), Some(Failure { refusal: Some(refusal), .. })) => {
                Err(Unfinished::Refused(refusal, error))
            }
            (Err(error), _) => Err(Unfinished::Failed(error)),
            // The server would roll it back, and say that it has.
            (Ok(_), Some(Failure { refusal, error })) => Err(match refusal {
                Some(refusal) => Unfinished::Refused(refusal, E::from(error)),
                None => failed(error.adding("; that error was ignored").hint("return it with `?`")),
            }),
        }
    }

    /// The shard to ask after a refusal.
    fn next(
        &self,
        shard: ShardName,
        refusal: Refusal,
        position: Position,
        is_first: bool,
    ) -> Result<ShardName> {
        if !is_first || refusal.is_moving {
            thread::sleep(PAUSE);
        }
        if refusal.is_moving {
            return Ok(shard);
        }
        let knows = |owner: &ShardName| *owner != shard && self.0.shards().names().contains(owner);
        if refusal.epoch > self.0.view().epoch || !refusal.owner.as_ref().is_some_and(knows) {
            self.0.refresh()?;
        }
        Ok(refusal.owner.filter(knows).unwrap_or_else(|| self.0.view().owner(position).clone()))
    }
}

/// A transaction on the owner of a key. A statement that fails ends it: savepoints are not supported.
pub struct Transaction<'a> {
    client: &'a mut postgres::Client,
    shard: &'a ShardName,
    key: &'a str,
    /// The first error that the server reported.
    failure: Option<Failure>,
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("shard", self.shard).finish_non_exhaustive()
    }
}

impl Transaction<'_> {
    /// Runs a statement; returns all its rows.
    pub fn query(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, postgres::Error> {
        self.noting(|client| client.query(sql, parameters))
    }

    /// Runs a statement that returns at most one row; more are an error.
    pub fn query_opt(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, postgres::Error> {
        self.noting(|client| client.query_opt(sql, parameters))
    }

    /// Runs a statement that returns exactly one row; another number is an error.
    pub fn query_one(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, postgres::Error> {
        self.noting(|client| client.query_one(sql, parameters))
    }

    /// Runs a statement; returns how many rows it changed.
    pub fn execute(&mut self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64, postgres::Error> {
        self.noting(|client| client.execute(sql, parameters))
    }

    fn prove(&mut self, key: &str, known_epoch: i64) -> Result<(), postgres::Error> {
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&key, Type::TEXT), (&known_epoch, Type::INT8)];
        self.noting(|client| client.query_typed(&proof(key), &parameters).map(drop))
    }

    fn noting<T>(
        &mut self,
        statement: impl FnOnce(&mut postgres::Client) -> Result<T, postgres::Error>,
    ) -> Result<T, postgres::Error> {
        statement(self.client).inspect_err(|cause| {
            if self.failure.is_none() && (cause.as_db_error().is_some() || sqlstate::is_lost(cause)) {
                let error = sqlstate::doing("run a statement of the transaction", self.shard, cause);
                // A row of another key stays wrong.
                let refusal = Refusal::of(cause).filter(|refusal| refusal.is_about(|key| key == self.key));
                self.failure = Some(Failure { refusal, error });
            }
        })
    }
}

/// Why a transaction has to be rolled back.
struct Failure {
    refusal: Option<Refusal>,
    error: Error,
}

/// Why an attempt has committed nothing.
enum Unfinished<E> {
    Refused(Refusal, E),
    Failed(E),
}

/// A session, whose transaction is rolled back unless it was committed, also if the caller's code panics.
struct Open(PooledSession);

impl Open {
    fn begin(&mut self) -> Result<(), postgres::Error> {
        self.0.set_in_transaction(true);
        self.0.client().batch_execute(BEGIN_TO_WRITE)
    }

    fn commit(&mut self, shard: &ShardName) -> Result<()> {
        commit(&mut self.0, "the transaction", shard)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.0.is_in_transaction() {
            roll_back(&mut self.0);
        }
    }
}
