//! One connection to one shard, and its prepared statements.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use postgres::error::SqlState;
use postgres::types::{ToSql, Type};
use postgres::{Client, GenericClient, Row, Statement};

use super::active_sessions::CancelHandle;
use super::connect::{self, Connected, MARKER, Names};
use super::connect_error::{self, Unconnected};
use super::conninfo::Address;
use super::watchdog::{self, Answer, InUse, Subject};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;

/// A parameter and its type. With the type, a statement needs no round trip to look types up.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// How long an idle connection counts as alive without a check.
const IDLE_TRUSTED: Duration = Duration::from_millis(500);

/// The most characters of another session's query that are told.
const QUERY_SHOWN: usize = 60;

/// How many statements about users skip the fast path after one failed on it.
const FAST_PATH_SKIPS: u32 = 100;
/// How many names of a prepared statement are tried.
const NAMES_TRIED: u32 = 100;

/// A statement that was sent on this connection. It is identified by its address in memory, as comparing long texts costs
/// more than routing a user; so a text that is included in two places is prepared twice.
struct Sent {
    sql: &'static str,
    /// Without its comment.
    text: &'static str,
    /// Set when the statement is sent for the second time; the first time it is sent unprepared, in one round trip.
    prepared: Option<Statement>,
}

/// What is known of the backend (the server process) behind a connection.
enum Backend {
    /// The marker was sent, and it is not known yet whether it arrived.
    Unknown { marker: String },
    /// It was started for this connection, and serves no other.
    Own,
    /// A pooler is in between. Each transaction may run in another backend, so nothing may outlive a transaction: neither a
    /// setting, nor a lock, nor a temporary table, nor a prepared statement, whose name another client may have used.
    Pooled,
}

/// A connection to a shard. A statement is prepared when it is sent for the second time: a single command needs one round
/// trip, and a loop two more, once. Through a pooler none is prepared.
pub struct Session {
    shard: ShardName,
    /// Its `application_name`, which is unique.
    name: String,
    client: Client,
    backend: Backend,
    cancel: CancelHandle,
    /// Itself, for the watchdog.
    subject: Arc<Subject>,
    statements: Vec<Sent>,
    /// Whether a transaction was begun by other means than [`Session::query`].
    in_transaction: bool,
    used_at: Instant,
    /// Whether it must not be used again.
    spoiled: bool,
    /// How many more statements about users skip the fast path.
    fast_path_skips: u32,
    /// Whether [`Session::note_proof`] was called.
    proved: bool,
}

impl Session {
    /// Wraps a new connection.
    fn new(subject: Subject, marker: String, connected: Connected) -> Self {
        let Connected { client, cancel, is_marked } = connected;
        let backend = if is_marked { Backend::Unknown { marker } } else { Backend::Pooled };
        let (statements, used_at) = (Vec::new(), Instant::now());
        let (in_transaction, spoiled, fast_path_skips, proved) = (false, false, 0, false);
        Self {
            shard: subject.shard.clone(),
            name: subject.name.clone(),
            subject: Arc::new(subject),
            client,
            backend,
            cancel,
            statements,
            in_transaction,
            used_at,
            spoiled,
            fast_path_skips,
            proved,
        }
    }

    /// Connects without a pool, within the timeout of the address. The session gets a unique name, by which it can be found on
    /// the server if the connection is lost.
    pub(crate) fn connect(shard: &ShardName, address: &Address) -> Result<Self> {
        Self::try_connect(shard, address).map_err(|unconnected| unconnected.error)
    }

    /// As [`Session::connect`], with more details about a failure.
    pub(crate) fn try_connect(shard: &ShardName, address: &Address) -> Result<Self, Unconnected> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let nonce = format!("{}.{count}.{:x}", std::process::id(), since.as_nanos() & 0xffff_ffff);
        // The server truncates a name at 63 bytes, and must not truncate the nonce.
        let name = format!("{} {nonce}", Self::name_prefix(address));
        // Processes on several machines may share a pooler, so the marker is longer.
        let marker = format!("{nonce}.{:016x}", RandomState::new().hash_one(&nonce));
        match connect::connect(address, Names { application: &name, marker: &marker }) {
            Ok(connected) => {
                let (shard, address) = (shard.clone(), address.clone());
                let ask = {
                    let shard = shard.clone();
                    Box::new(move |names: &[String]| ask(&shard, &address, names))
                };
                Ok(Self::new(Subject { shard, name, ask }, marker, connected))
            }
            Err(refusals) => Err(connect_error::connecting(shard, address, &refusals)),
        }
    }

    /// The prefix of the names of all sessions with this address.
    pub(crate) fn name_prefix(address: &Address) -> String {
        address.application_name().chars().take(20).filter(char::is_ascii).collect()
    }

    /// The handle that cancels its query.
    pub(crate) fn cancel(&self) -> &CancelHandle {
        &self.cancel
    }

    /// The session is in use by a command, until the result is dropped: the watchdog asks the server about it.
    pub(crate) fn in_use(&self) -> InUse {
        watchdog::watch(&self.subject)
    }

    /// Its `application_name`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs a statement in one round trip and returns all rows.
    pub(crate) fn query(
        &mut self,
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, postgres::Error> {
        let known = self.statements.iter().position(|sent| std::ptr::eq(sent.sql, sql));
        let text = known.map_or_else(|| without_heading(sql), |at| self.statements[at].text);
        log::debug!("Executing in shard {}: {}", self.shard, OneLine(text));
        if matches!(self.backend, Backend::Pooled) {
            return self.query_pooled(text, parameters);
        }
        let Some(known) = known else {
            self.statements.push(Sent { sql, text, prepared: None });
            return self.client.query_typed(text, parameters);
        };
        if !self.has_own_backend()? {
            return self.query_pooled(text, parameters);
        }
        let sent = &mut self.statements[known];
        let statement = if let Some(statement) = &sent.prepared {
            statement
        } else {
            let types: Vec<Type> = parameters.iter().map(|(_, of)| of.clone()).collect();
            sent.prepared.insert(self.client.prepare_typed(text, &types)?)
        };
        let values: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|(value, _)| *value).collect();
        self.client.query(statement, &values)
    }

    /// Runs a statement that may read all rows of a table, without a limit of its time.
    pub(crate) fn query_without_limit(
        &mut self,
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, postgres::Error> {
        self.query_with("SET LOCAL row_security = off; SET LOCAL statement_timeout = 0", sql, parameters)
    }

    /// Runs a statement through a pooler, whose settings are not those of this session.
    fn query_pooled(
        &mut self,
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, postgres::Error> {
        if self.in_transaction {
            return self.client.query_typed(sql, parameters);
        }
        self.query_with("SET LOCAL row_security = off", sql, parameters)
    }

    /// Runs a statement in a transaction of its own, with these settings.
    fn query_with(
        &mut self,
        settings: &str,
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, postgres::Error> {
        let mut transaction = self.client.transaction()?;
        transaction.batch_execute(settings)?;
        let rows = transaction.query_typed(sql, parameters)?;
        transaction.commit()?;
        Ok(rows)
    }

    /// A setting of the startup packet did not arrive: a pooler dropped it.
    pub(crate) fn note_pooler(&mut self) {
        self.backend = Backend::Pooled;
    }

    /// Whether a transaction was begun on [`Session::client`].
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// A transaction was begun on [`Session::client`], or has ended.
    pub(crate) fn set_in_transaction(&mut self, in_transaction: bool) {
        self.in_transaction = in_transaction;
    }

    /// Whether the backend was started for this connection and serves no other: it has the marker that came with the startup
    /// packet. Poolers do not forward it. The first call may ask the server.
    pub(crate) fn has_own_backend(&mut self) -> Result<bool, postgres::Error> {
        if let Backend::Unknown { marker } = &self.backend {
            let sql = "SELECT pg_catalog.current_setting($1, true) = $2";
            let parameters: &[Parameter<'_>] = &[(&MARKER, Type::TEXT), (marker, Type::TEXT)];
            let rows = self.client.query_typed(sql, parameters)?;
            let is_own = rows.first().is_some_and(|row| row.get::<_, Option<bool>>(0) == Some(true));
            self.backend = if is_own { Backend::Own } else { Backend::Pooled };
        }
        Ok(matches!(self.backend, Backend::Own))
    }

    /// Prepares a statement in the open transaction, as [`prepare`] does.
    pub(crate) fn prepare(&mut self, sql: &str) -> Result<Statement, postgres::Error> {
        let is_pooled = !self.has_own_backend()?;
        prepare(&mut self.client, is_pooled, sql, &[])
    }

    /// Whether others would find this session by its name. A pooler may not forward it.
    pub(crate) fn is_found_by_name(&mut self) -> Result<bool, postgres::Error> {
        if self.has_own_backend()? {
            return Ok(true);
        }
        let sql = "SELECT pg_catalog.current_setting('application_name') = $1";
        let rows = self.client.query_typed(sql, &[(&self.name, Type::TEXT)])?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }

    /// Whether the connection is alive. It is checked only if it was idle for a while, so that a loop pays nothing, or if
    /// `always_check`.
    pub(crate) fn is_alive(&mut self, always_check: bool) -> bool {
        let is_trusted = !always_check && self.used_at.elapsed() < IDLE_TRUSTED;
        let alive = is_trusted || self.client.check_connection().is_ok();
        self.used_at = Instant::now();
        alive
    }

    /// The connection itself, for transactions, COPY and streams.
    pub(crate) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Marks the connection as not reusable: it is inside a transaction or a stream, or has session state that a later user
    /// must not see.
    pub(crate) fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// Whether the next statement about a user uses the fast path. Each call counts down the skips.
    pub(crate) fn tries_fast_path(&mut self) -> bool {
        let tries = self.fast_path_skips == 0;
        self.fast_path_skips = self.fast_path_skips.saturating_sub(1);
        tries
    }

    /// The fast path failed: the next statements skip it.
    pub(crate) fn skip_fast_path(&mut self) {
        self.fast_path_skips = FAST_PATH_SKIPS;
    }

    /// The server proved to be a primary on the timeline of its catalog, and that no policy hides rows from this session. If the
    /// backend is its own, neither changes while that lives: a primary stays on its timeline, and `row_security` is off.
    pub(crate) fn note_proof(&mut self) {
        self.proved = true;
    }

    /// Whether that was proved, for a backend of its own.
    pub(crate) fn is_proved(&self) -> bool {
        self.proved && matches!(self.backend, Backend::Own)
    }

    /// Whether the connection is closed or not reusable.
    pub(crate) fn is_closed(&self) -> bool {
        self.spoiled || self.client.is_closed()
    }
}

/// Prepares a statement in an open transaction. Through a pooler its name may be taken, as another program may have left a statement
/// behind in this backend: then the next name is tried.
pub(crate) fn prepare(
    client: &mut impl GenericClient,
    is_pooled: bool,
    sql: &str,
    types: &[Type],
) -> Result<Statement, postgres::Error> {
    let tries = if is_pooled { NAMES_TRIED } else { 0 };
    for _ in 0..tries {
        client.batch_execute("SAVEPOINT ringshard_prepare")?;
        match client.prepare_typed(sql, types) {
            Err(cause) if cause.code() == Some(&SqlState::DUPLICATE_PSTATEMENT) => {
                client.batch_execute("ROLLBACK TO SAVEPOINT ringshard_prepare")?;
            }
            Err(cause) => return Err(cause),
            Ok(statement) => {
                return client.batch_execute("RELEASE SAVEPOINT ringshard_prepare").map(|()| statement);
            }
        }
    }
    client.prepare_typed(sql, types)
}

/// Asks the server of an address who blocks its sessions of these names.
fn ask(shard: &ShardName, address: &Address, names: &[String]) -> Answer {
    let mut session = match Session::try_connect(shard, address) {
        Ok(session) => session,
        Err(unconnected) if unconnected.is_silent() => return Answer::Silent(unconnected.message),
        Err(_) => return Answer::Alive,
    };
    // The sessions behind a pooler are not known by these names.
    let sql = include_str!("../../../sql/queries/waiting.sql");
    let rows = session.query(sql, &[(&names, Type::TEXT_ARRAY)]).unwrap_or_default();
    let Some(row) = rows.first() else { return Answer::Alive };
    let text = |column: &str| row.get::<_, Option<&str>>(column).unwrap_or_default();
    if let Some(prepared) = row.get::<_, Option<&str>>("prepared") {
        return Answer::Blocked(format!(
            "the prepared transaction '{prepared}', which COMMIT PREPARED or ROLLBACK PREPARED ends"
        ));
    }
    let application = Some(text("application")).filter(|name| !name.is_empty());
    Answer::Blocked(format!(
        "pid {} ({}, \"{}\")",
        row.get::<_, i64>("pid"),
        application.unwrap_or("no application_name"),
        shortened(text("query"))
    ))
}

/// A query in one line, cut.
fn shortened(query: &str) -> String {
    let line = query.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(QUERY_SHOWN) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// A statement without the comment above it, which would otherwise be sent each time and show in `pg_stat_activity`.
fn without_heading(sql: &'static str) -> &'static str {
    let mut rest = sql;
    while rest.starts_with("--") {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    rest
}

/// A statement for the log: without comments, in one line. It holds no values.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.lines().map(|line| line.split("--").next().unwrap_or_default());
        for (at, word) in lines.flat_map(str::split_whitespace).enumerate() {
            write!(f, "{}{word}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// The only row of a statement on `ringshard.meta`. Another number of rows is an error: the catalog is damaged.
pub(crate) fn only(rows: Vec<Row>, what: &str, shard: &ShardName) -> Result<Row> {
    let count = rows.len();
    rows.into_iter().next().filter(|_| count == 1).ok_or_else(|| {
        Error::new(
            Kind::Configuration,
            format!("cannot {what} on shard `{shard}`: `ringshard.meta` has {count} rows instead of one"),
        )
        .hint("restore that table from a backup, then ringshard init-shards")
        .on_shard(shard)
    })
}
