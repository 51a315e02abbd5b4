//! What is asked of a shard, each question alone: one that fails takes no other along.
//!
//! Nothing is judged here; see [`super::check_shard`].

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use postgres::Row;

use crate::error::{Error, Kind, Result};
use crate::local::PrivateServer;
use crate::model::names::ShardName;
use crate::model::ring::arc::ShardArc;
use crate::pg::catalog;
use crate::pg::catalog::SelfDescription;
use crate::pg::catalog::triggers;
use crate::pg::net::conninfo::Address;
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;

/// All answers of one shard that could be reached.
pub(crate) struct Facts {
    pub(crate) address: Address,
    pub(crate) connected_after: Duration,
    pub(crate) server: Result<ServerFacts>,
    /// Which database of which server this is.
    pub(crate) identity: Result<String>,
    /// How far the server's clock is ahead of this machine's.
    pub(crate) clock_ahead_ms: Result<f64>,
    pub(crate) disk: Option<Disk>,
    pub(crate) rights: Result<Vec<Right>>,
    pub(crate) columns: Result<Vec<TableColumn>>,
    pub(crate) indexes: Result<Vec<Index>>,
    pub(crate) trigger_faults: Result<Vec<String>>,
    pub(crate) functions: Result<Vec<Function>>,
    /// What the shard says of itself; `None` if it has no catalog.
    pub(crate) said: Option<Result<SelfDescription>>,
    pub(crate) arcs: Result<Vec<ShardArc>>,
    pub(crate) idle: Result<Vec<Idle>>,
    pub(crate) imports: Result<Vec<OpenImport>>,
}

/// A server, and the database that was connected to.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "settings of a server are on or off")]
pub(crate) struct ServerFacts {
    pub(crate) version: String,
    /// As `server_version_num` has it.
    pub(crate) version_number: i32,
    pub(crate) encoding: String,
    pub(crate) in_recovery: bool,
    pub(crate) read_only: bool,
    pub(crate) fsync: bool,
    pub(crate) full_page_writes: bool,
    pub(crate) synchronous_commit: String,
    pub(crate) sessions: i64,
    /// How many sessions it allows to those who are no superusers.
    pub(crate) sessions_most: i64,
    pub(crate) data_folder: Option<String>,
    pub(crate) role: String,
    pub(crate) has_catalog: bool,
    pub(crate) has_users: bool,
}

/// The file system of a server's data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Disk {
    pub(crate) free_bytes: u64,
    pub(crate) total_bytes: u64,
}

/// A privilege that ringshard needs, in the words of GRANT.
#[derive(Debug, Clone)]
pub(crate) struct Right {
    /// Such as `TABLE public.users`.
    pub(crate) object: String,
    pub(crate) privilege: String,
    pub(crate) held: bool,
}

/// A column of `users`.
#[derive(Debug, Clone)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    pub(crate) of: String,
}

/// An index of `users`.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    /// Quoted where SQL wants it, with its schema where it needs one.
    pub(crate) name: String,
    pub(crate) is_valid: bool,
    pub(crate) is_primary: bool,
    pub(crate) is_partial: bool,
    pub(crate) columns: Vec<String>,
}

/// A function of the schema `ringshard`.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) source: String,
    /// Whether it runs with its owner's rights.
    pub(crate) is_definer: bool,
}

/// A transaction that nobody works at.
#[derive(Debug, Clone)]
pub(crate) struct Idle {
    /// The session's process at the server, or the name of the prepared transaction.
    pub(crate) name: String,
    pub(crate) is_prepared: bool,
    pub(crate) role: String,
    pub(crate) seconds: i64,
}

/// An import that is under way or was interrupted.
#[derive(Debug, Clone)]
pub(crate) struct OpenImport {
    pub(crate) source: String,
    pub(crate) records: i64,
    pub(crate) seconds: i64,
    /// Whether its session is there.
    pub(crate) is_running: bool,
}

/// One question: what it asks for, and how an error names it.
struct Question<'a> {
    session: &'a mut Session,
    shard: &'a ShardName,
}

impl Question<'_> {
    fn rows<T>(&mut self, what: &str, sql: &'static str, read: fn(&Row) -> T) -> Result<Vec<T>> {
        let rows = self.session.query(sql, &[]).map_err(|cause| sqlstate::doing(what, self.shard, &cause))?;
        Ok(rows.iter().map(read).collect())
    }

    fn arcs(&mut self) -> Result<Vec<ShardArc>> {
        let (what, sql) = ("read the arcs", include_str!("../../../sql/queries/doctor/arcs.sql"));
        let rows = self.session.query(sql, &[]).map_err(|cause| sqlstate::doing(what, self.shard, &cause))?;
        catalog::arcs_of(&only(rows, what, self.shard)?, self.shard)
    }

    fn one<T>(&mut self, what: &str, sql: &'static str, read: fn(&Row) -> T) -> Result<T> {
        let rows = self.session.query(sql, &[]).map_err(|cause| sqlstate::doing(what, self.shard, &cause))?;
        only(rows, what, self.shard).map(|row| read(&row))
    }
}

/// Asks a shard all there is to ask, over a connection of its own. Fails only if it cannot be reached.
pub(crate) fn ask(shard: &ShardName, address: Address, private: &PrivateServer) -> Result<Facts> {
    if address.is_local() && !private.exists() {
        let message = format!("shard `{shard}` is gone with the private Postgres that held it");
        return Err(
            Error::new(Kind::Unreachable, message).hint("ringshard init-shards makes a new one, empty")
        );
    }
    let begun = Instant::now();
    let mut session = Session::connect(shard, &address)?;
    let connected_after = begun.elapsed();
    let mut question = Question { session: &mut session, shard };
    let server =
        question.one("ask the server", include_str!("../../../sql/queries/doctor/server.sql"), server_of);
    let disk = server.as_ref().ok().and_then(|server| disk(&address, server, private));
    let has_catalog = server.as_ref().is_ok_and(|server| server.has_catalog);
    Ok(Facts {
        connected_after,
        disk,
        identity: question.one(
            "tell the database from others",
            include_str!("../../../sql/queries/doctor/identity.sql"),
            |row| row.get("identity"),
        ),
        clock_ahead_ms: clock_ahead_ms(&mut question),
        rights: question.rows(
            "look at privileges",
            include_str!("../../../sql/queries/doctor/rights.sql"),
            |row| Right { object: row.get("object"), privilege: row.get("privilege"), held: row.get("held") },
        ),
        columns: question.rows(
            "look at the columns",
            include_str!("../../../sql/queries/doctor/columns.sql"),
            |row| TableColumn { name: row.get("name"), of: row.get("type") },
        ),
        indexes: question.rows(
            "look at the indexes",
            include_str!("../../../sql/queries/doctor/indexes.sql"),
            index_of,
        ),
        trigger_faults: triggers::faults(question.session.client())
            .map_err(|cause| sqlstate::doing("look at the triggers", shard, &cause)),
        functions: question.rows(
            "look at the functions",
            include_str!("../../../sql/queries/doctor/functions.sql"),
            |row| Function {
                name: row.get("name"),
                source: row.get("source"),
                is_definer: row.get("is_definer"),
            },
        ),
        said: has_catalog.then(|| catalog::describe_any(question.session, shard)),
        arcs: question.arcs(),
        idle: question.rows(
            "look at other sessions",
            include_str!("../../../sql/queries/doctor/sessions.sql"),
            |row| Idle {
                name: row.get("name"),
                is_prepared: row.get("is_prepared"),
                role: row.get::<_, Option<String>>("role").unwrap_or_default(),
                seconds: row.get("seconds"),
            },
        ),
        imports: question.rows(
            "look at imports",
            include_str!("../../../sql/queries/doctor/imports.sql"),
            |row| OpenImport {
                source: row.get("source"),
                records: row.get("committed_through"),
                seconds: row.get("seconds"),
                is_running: row.get("is_running"),
            },
        ),
        server,
        address,
    })
}

fn server_of(row: &Row) -> ServerFacts {
    ServerFacts {
        version: row.get("version"),
        version_number: row.get("version_number"),
        encoding: row.get("encoding"),
        in_recovery: row.get("in_recovery"),
        read_only: row.get("read_only"),
        fsync: row.get("fsync"),
        full_page_writes: row.get("full_page_writes"),
        synchronous_commit: row.get("synchronous_commit"),
        sessions: row.get::<_, Option<i64>>("sessions").unwrap_or_default(),
        sessions_most: row.get("sessions_most"),
        data_folder: row.get("data_folder"),
        role: row.get("role"),
        has_catalog: row.get("has_catalog"),
        has_users: row.get("has_users"),
    }
}

fn index_of(row: &Row) -> Index {
    Index {
        name: row.get("name"),
        is_valid: row.get("is_valid"),
        is_primary: row.get("is_primary"),
        is_partial: row.get("is_partial"),
        columns: row.get("columns"),
    }
}

/// Half of the time that the question took is taken off, as for the way there.
fn clock_ahead_ms(question: &mut Question<'_>) -> Result<f64> {
    let sql = "SELECT EXTRACT(epoch FROM pg_catalog.clock_timestamp())::float8 AS seconds";
    let ask = |question: &mut Question<'_>| question.one("ask for the time", sql, |row| row.get("seconds"));
    // The first time on a connection takes longer.
    let _: f64 = ask(question)?;
    let (before, begun) = (SystemTime::now(), Instant::now());
    let theirs: f64 = ask(question)?;
    let half = begun.elapsed() / 2;
    let ours = before.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + half;
    Ok((theirs - ours.as_secs_f64()) * 1_000.0)
}

/// The disk, where the server is on this machine for sure: it was reached through a socket's file, and its
/// folder is there.
fn disk(address: &Address, server: &ServerFacts, private: &PrivateServer) -> Option<Disk> {
    if !address.endpoints.iter().all(|endpoint| endpoint.location.is_socket()) {
        return None;
    }
    let folder = if address.is_local() { private.data() } else { Path::new(server.data_folder.as_deref()?) };
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(Disk {
        free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
    })
}

/// An error in one line, as a cell has it.
pub(crate) fn in_one_line(error: &Error) -> String {
    error.message().lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
