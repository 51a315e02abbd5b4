//! An outage: a database that accepts no connections for a while.
//!
//! Two sessions in another database of the same server control it. The *holder* closes the database and holds a lock. The
//! *dead man*, a dead man's switch, waits for that lock, and opens the database when it gets the lock or times out. It waits
//! before the database is closed. If this process is killed, the server ends the holder, and the dead man opens the database
//! at once; if the whole machine fails, the timeout does.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use postgres::types::Type;

use super::{Drill, ProgramSessions, end_sessions};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::pg::cluster::Cluster;
use crate::pg::net::advisory_lock::DRILL;
use crate::pg::net::conninfo::Address;
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;
use crate::pg::pool::Shards;
use crate::threads;

/// The databases for the two sessions; not the shard's own.
const ELSEWHERE: [&str; 2] = ["postgres", "template1"];
/// How much longer than the outage the dead man waits.
const SPARE: Duration = Duration::from_secs(5);
/// How long each step may take: until the dead man waits, the sessions have ended, or the database is open.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(20);

/// A closed database. [`Outage::end`] or dropping this opens it.
pub struct Outage<'cluster> {
    /// Its session is the holder.
    drill: Drill<'cluster>,
    /// Receives the result of the dead man.
    dead_man: Receiver<Result<(), postgres::Error>>,
    ended: i64,
}

impl<'cluster> Drill<'cluster> {
    /// Fails with `Permission` unless this role may close and open the database.
    pub fn check_ownership(&mut self) -> Result<()> {
        let sql = "SELECT pg_catalog.pg_has_role(datdba, 'USAGE'), \
                          pg_catalog.current_setting('default_transaction_read_only') = 'on' \
                   FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()";
        let rows = self
            .session
            .query(sql, &[])
            .map_err(|cause| sqlstate::doing("read the owner of the database", &self.shard, &cause))?;
        let row = only(rows, "read the owner of the database", &self.shard)?;
        let (database, role) = (&self.database, &self.role);
        if row.get(1) {
            let message = format!(
                "role `{role}` may not close database `{database}` of shard `{}`: default_transaction_read_only is on",
                self.shard
            );
            return Err(Error::new(Kind::Permission, message)
                .hint("ringshard doctor says where it is set")
                .on_shard(&self.shard));
        }
        if row.get(0) {
            return Ok(());
        }
        let message = format!(
            "role `{role}` may not close database `{database}` of shard `{}`, as it does not own it",
            self.shard
        );
        Err(Error::new(Kind::Permission, message)
            .hint(format!("ALTER DATABASE \"{database}\" OWNER TO \"{role}\", or connect as its owner"))
            .on_shard(&self.shard))
    }

    /// Closes the database, and ends all sessions on it. If a step fails, the database is opened again.
    pub fn outage(mut self, length: Duration) -> Result<Outage<'cluster>> {
        // The session on the shard's database ends here.
        (self.session, _) = self.connect_elsewhere(Duration::ZERO)?;
        let doing = |cause: &postgres::Error| sqlstate::doing("close the database", &self.shard, cause);
        let sql = "SELECT pg_catalog.pg_try_advisory_lock($1, pg_catalog.hashtext($2))";
        let rows = self
            .session
            .query(sql, &[(&DRILL, Type::INT4), (&self.database, Type::TEXT)])
            .map_err(|cause| doing(&cause))?;
        if !only(rows, "lock", &self.shard)?.get::<_, bool>(0) {
            let message = format!("another drill has closed database `{}`", self.database);
            return Err(Error::new(Kind::Locked, message).hint("wait for it to end").on_shard(&self.shard));
        }
        let dead_man = self.start_dead_man(length + SPARE)?;
        let closed =
            self.session.client().batch_execute(include_str!("../../../sql/queries/drill/close.sql"));
        closed.map_err(|cause| sqlstate::doing("close the database", &self.shard, &cause))?;
        // From now on dropping the value opens the database.
        let mut outage = Outage { drill: self, dead_man, ended: 0 };
        let begun = Instant::now();
        // A session that was connecting may begin a moment after the database was closed.
        loop {
            match outage.keep_out() {
                Ok(0) => return Ok(outage),
                Ok(_) => {}
                Err(error) => {
                    outage.end()?;
                    return Err(error.adding("; the database is open again"));
                }
            }
            if begun.elapsed() > PATIENCE {
                let message = format!(
                    "the sessions on shard `{}` did not end; its database is open again",
                    outage.drill.shard
                );
                let shard = outage.drill.shard.clone();
                outage.end()?;
                return Err(Error::new(Kind::Failed, message)
                    .hint("run this again in a moment")
                    .on_shard(shard));
            }
            thread::sleep(PAUSE);
        }
    }

    /// A session in another database of the same server, and its pid.
    fn connect_elsewhere(&self, lock_timeout: Duration) -> Result<(Session, i32)> {
        let address = self.shards.direct_address(&self.shard)?;
        connect_elsewhere(&self.shard, &address, &self.database, lock_timeout)
    }

    /// Starts the dead man, and returns once it waits for the holder's lock.
    fn start_dead_man(&mut self, limit: Duration) -> Result<Receiver<Result<(), postgres::Error>>> {
        let (mut session, pid) = self.connect_elsewhere(limit)?;
        let (sender, receiver) = mpsc::sync_channel(1);
        threads::start(move || {
            // The receiver may have been dropped.
            let _ = sender.send(
                session.client().batch_execute(include_str!("../../../sql/queries/drill/dead_man.sql")),
            );
        })?;
        let sql = "SELECT FROM pg_catalog.pg_locks WHERE pid = $1 AND locktype = 'advisory' AND NOT granted";
        let begun = Instant::now();
        loop {
            let waiting = self
                .session
                .query(sql, &[(&pid, Type::INT4)])
                .map_err(|cause| sqlstate::doing("prepare an outage", &self.shard, &cause))?;
            if !waiting.is_empty() {
                return Ok(receiver);
            }
            if begun.elapsed() > PATIENCE {
                let message = format!(
                    "the session that opens the database of shard `{}` again did not start",
                    self.shard
                );
                return Err(Error::new(Kind::Failed, message)
                    .hint("nothing was closed; run this again")
                    .on_shard(&self.shard));
            }
            thread::sleep(PAUSE);
        }
    }
}

/// A session in another database of the server of `database`, and its pid.
fn connect_elsewhere(
    shard: &ShardName,
    address: &Address,
    database: &str,
    lock_timeout: Duration,
) -> Result<(Session, i32)> {
    let mut databases = ELSEWHERE.iter().filter(|other| **other != database);
    let mut session = loop {
        let Some(other) = databases.next() else {
            let role = address.user();
            let message = format!(
                "role `{role}` cannot connect to another database of the server of shard `{shard}`, which is needed to open its own again"
            );
            return Err(Error::new(Kind::Permission, message)
                .hint(format!("GRANT CONNECT ON DATABASE postgres TO \"{role}\""))
                .on_shard(shard));
        };
        match Session::connect(shard, &address.beside(other)) {
            Ok(session) => break session,
            Err(error) if [Kind::Permission, Kind::Configuration].contains(&error.kind()) => {}
            Err(error) => return Err(error),
        }
    };
    let limit = lock_timeout.as_millis().to_string();
    let parameters = [(&database as _, Type::TEXT), (&limit as _, Type::TEXT)];
    let rows = session
        .query(include_str!("../../../sql/queries/drill/prepare.sql"), &parameters)
        .map_err(|cause| sqlstate::doing("prepare an outage", shard, &cause))?;
    let pid = only(rows, "prepare an outage", shard)?.get(4);
    Ok((session, pid))
}

/// A database that accepts no connections, and that no drill holds closed now: a crash of its server ended both sessions of
/// the drill.
pub struct Closed<'cluster> {
    shards: &'cluster Shards,
    shard: ShardName,
    /// In another database of that server; it holds the lock of a drill.
    session: Session,
    database: String,
}

/// The database of a shard, if it is closed. Fails with `Locked` while a drill runs.
pub fn closed<'cluster>(cluster: &'cluster Cluster, shard: &ShardName) -> Result<Option<Closed<'cluster>>> {
    let address = cluster.shards().direct_address(shard)?;
    let database = address.database().to_owned();
    let (mut session, _) = connect_elsewhere(shard, &address, &database, Duration::from_secs(1))?;
    let fail = |cause: postgres::Error| sqlstate::doing("look for a closed database", shard, &cause);
    let sql = "SELECT pg_catalog.pg_try_advisory_lock($1, pg_catalog.hashtext($2)), \
                      (SELECT datallowconn FROM pg_catalog.pg_database WHERE datname = $2)";
    let rows = session.query(sql, &[(&DRILL, Type::INT4), (&database, Type::TEXT)]).map_err(fail)?;
    let row = only(rows, "look for a closed database", shard)?;
    if row.get::<_, Option<bool>>(1) != Some(false) {
        return Ok(None);
    }
    if !row.get::<_, bool>(0) {
        let message = format!("a drill that runs has closed database `{database}`");
        return Err(Error::new(Kind::Locked, message)
            .hint("Ctrl-C in that drill ends it; otherwise wait")
            .on_shard(shard));
    }
    Ok(Some(Closed { shards: cluster.shards(), shard: shard.clone(), session, database }))
}

impl Closed<'_> {
    /// The database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Opens it, and checks that it accepts connections.
    pub fn open(mut self) -> Result<()> {
        self.session
            .client()
            .batch_execute(include_str!("../../../sql/queries/drill/dead_man.sql"))
            .map_err(|cause| sqlstate::doing("open the database", &self.shard, &cause))?;
        self.shards.connect_unpooled(&self.shard).map(|_| ())
    }
}

impl Outage<'_> {
    /// Ends sessions that exist in spite of the outage; returns their number.
    pub fn keep_out(&mut self) -> Result<i64> {
        let ended = end_sessions(&mut self.drill.session, &self.drill.database, &self.drill.shard)?;
        let ended: i64 = ended.iter().map(|ProgramSessions { count, .. }| count).sum();
        self.ended += ended;
        Ok(ended)
    }

    /// Opens the database, and checks that it accepts connections. Returns how many sessions were ended in total.
    pub fn end(self) -> Result<i64> {
        let Self { mut drill, dead_man, ended } = self;
        // If this fails, the holder has ended, and released its lock.
        let _ = drill.session.query("SELECT pg_catalog.pg_advisory_unlock_all()", &[]);
        let opened = match dead_man.recv_timeout(PATIENCE) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(cause)) => Err(sqlstate::message_of(&cause)),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err("no answer".to_owned()),
        };
        let begun = Instant::now();
        let mut opened =
            opened.map_err(|why| log::warn!("The dead man did not open shard {}: {why}", drill.shard));
        loop {
            if opened.is_err() {
                opened = drill.open_directly().map_err(|error| log::warn!("{error}"));
            }
            match drill.shards.connect_direct(&drill.shard) {
                Ok(_) => return Ok(ended),
                Err(error) if begun.elapsed() > PATIENCE => {
                    let message = format!("shard `{}` may still be closed: {error}", drill.shard);
                    return Err(Error::new(Kind::Failed, message)
                        .hint(drill.how_to_open())
                        .on_shard(&drill.shard));
                }
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }
}

impl Drill<'_> {
    /// Opens the database, in case the dead man was ended, for example by a crash of the server.
    fn open_directly(&self) -> Result<()> {
        let (mut session, _) = self.connect_elsewhere(Duration::from_secs(1))?;
        session
            .client()
            .batch_execute(include_str!("../../../sql/queries/drill/dead_man.sql"))
            .map_err(|cause| sqlstate::doing("open the database", &self.shard, &cause))
    }

    /// The statement that opens the database, for a hint.
    pub fn how_to_open(&self) -> String {
        format!(
            "in another database of that server: ALTER DATABASE \"{}\" ALLOW_CONNECTIONS true",
            self.database
        )
    }
}
