//! One connection to one shard, and the statements that it has prepared.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use postgres::types::{ToSql, Type};
use postgres::{Client, Row, Statement};

use super::active_sessions::CancelHandle;
use super::connect;
use super::connect::Connected;
use super::connect_error;
use super::connect_error::Unconnected;
use super::conninfo::Address;
use crate::error::{Error, Result};
use crate::model::names::ShardName;

/// A parameter and its type, so that a statement needs no round trip to ask for types.
pub(crate) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// How long a connection that lies idle is taken to be alive.
const IDLE_TRUSTED: Duration = Duration::from_millis(500);

/// For how many statements about users it is not tried whether the ring is at rest, after that was in vain.
const FAST_PATH_PAUSE: u32 = 100;

/// A statement of this program that was sent on this connection. It is known by its place in memory, as comparing long texts
/// costs more than finding a user's shard; one constant at two places would be prepared twice.
struct Sent {
    sql: &'static str,
    /// As it was prepared when it came again; the first time it goes in one round trip, unnamed.
    prepared: Option<Statement>,
}

/// A connection to a shard. A statement is prepared when it comes for the second time: a one-shot command
/// pays one round trip, a loop pays one more only once.
pub struct Session {
    shard: ShardName,
    /// Its `application_name`, which no other session has.
    name: String,
    client: Client,
    cancel: CancelHandle,
    statements: Vec<Sent>,
    used_at: Instant,
    /// Whether it must not be used again.
    spoiled: bool,
    /// For how many statements about users it is not tried whether the ring is at rest.
    fast_path_pause: u32,
}

impl Session {
    /// Wraps a connection that was just made.
    fn new(shard: ShardName, name: String, connected: Connected) -> Self {
        let Connected { client, cancel } = connected;
        let (statements, used_at) = (Vec::new(), Instant::now());
        Self { shard, name, client, cancel, statements, used_at, spoiled: false, fast_path_pause: 0 }
    }

    /// Connects directly, in the time that the address allows, and says why if it fails. The session gets a
    /// name of its own, by which it can be found at the server if the connection is lost.
    pub(crate) fn connect(shard: &ShardName, address: &Address) -> Result<Self> {
        Self::try_connect(shard, address).map_err(|unconnected| unconnected.error)
    }

    /// The same, and tells more of why it failed.
    pub(crate) fn try_connect(shard: &ShardName, address: &Address) -> Result<Self, Unconnected> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let nonce = format!(" {}.{count}.{:x}", std::process::id(), since.as_nanos() & 0xffff_ffff);
        // The server cuts a name at 63 bytes, and the nonce must not be cut.
        let name = format!("{}{nonce}", Self::first_name(address));
        match connect::connect(address, &name) {
            Ok(connected) => Ok(Self::new(shard.clone(), name, connected)),
            Err(refusals) => Err(connect_error::connecting(shard, address, &refusals)),
        }
    }

    /// How the names of all sessions at this address begin.
    pub(crate) fn first_name(address: &Address) -> String {
        address.application_name().chars().take(20).filter(char::is_ascii).collect()
    }

    /// How what runs on it is cancelled.
    pub(crate) fn cancel(&self) -> &CancelHandle {
        &self.cancel
    }

    /// What the server calls this session.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs a statement in one round trip and returns all its rows.
    pub(crate) fn query(
        &mut self,
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, postgres::Error> {
        let sql = without_heading(sql);
        log::debug!("Executing in shard {}: {}", self.shard, OneLine(sql));
        let Some(sent) = self.statements.iter_mut().find(|sent| std::ptr::eq(sent.sql, sql)) else {
            self.statements.push(Sent { sql, prepared: None });
            return self.client.query_typed(sql, parameters);
        };
        let statement = if let Some(statement) = &sent.prepared {
            statement
        } else {
            let types: Vec<Type> = parameters.iter().map(|(_, of)| of.clone()).collect();
            sent.prepared.insert(self.client.prepare_typed(sql, &types)?)
        };
        let values: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|(value, _)| *value).collect();
        self.client.query(statement, &values)
    }

    /// Whether the connection still stands. Asks the server only after a pause, so a busy loop pays nothing, or if
    /// `wary`.
    pub(crate) fn is_alive(&mut self, wary: bool) -> bool {
        let alive = !wary && self.used_at.elapsed() < IDLE_TRUSTED || self.client.check_connection().is_ok();
        self.used_at = Instant::now();
        alive
    }

    /// The connection itself, for transactions, COPY and streams.
    pub(crate) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// From here on the connection is not used again: it is in the middle of something, or holds state that
    /// others must not meet.
    pub(crate) fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// Whether the next statement about a user is to try whether the ring is at rest.
    pub(crate) fn tries_fast_path(&mut self) -> bool {
        let tries = self.fast_path_pause == 0;
        self.fast_path_pause = self.fast_path_pause.saturating_sub(1);
        tries
    }

    /// For the next ones that is not tried.
    pub(crate) fn skip_fast_path(&mut self) {
        self.fast_path_pause = FAST_PATH_PAUSE;
    }

    /// Whether the connection is known to be gone, or must not be used again.
    pub(crate) fn is_closed(&self) -> bool {
        self.spoiled || self.client.is_closed()
    }
}

/// A statement without the comment above it, which would go to the server, and there into what is shown of the session,
/// each time.
fn without_heading(sql: &'static str) -> &'static str {
    let mut rest = sql;
    while rest.starts_with("--") {
        rest = rest.split_once('\n').map_or("", |(_, behind)| behind);
    }
    rest
}

/// A statement as the log shows it: without comments, in one line. Values never stand in it.
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

/// Exactly one row, of a statement that cannot give another number.
pub(crate) fn only(rows: Vec<Row>, what: &str, shard: &ShardName) -> Result<Row> {
    let count = rows.len();
    rows.into_iter().next().filter(|_| count == 1).ok_or_else(|| {
        Error::new(
            crate::error::Kind::Configuration,
            format!("cannot {what} on shard `{shard}`: its `ringshard.meta` has {count} rows instead of one"),
        )
        .hint("ringshard init-shards, after restoring that table")
        .on_shard(shard)
    })
}
