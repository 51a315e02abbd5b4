//! What is asked of a shard, each question alone: one that fails takes no other along.
//!
//! Nothing is judged here; see [`super::judge`].

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use postgres::Row;

use crate::error::{Error, Kind, Result};
use crate::local::PrivateServer;
use crate::model::arc::Arc;
use crate::model::names::ShardName;
use crate::pg::catalog::{self, SelfDescription};
use crate::pg::conninfo::Address;
use crate::pg::session::{Session, only};
use crate::pg::uuid::Uuid;
use crate::pg::{failure, guard};

/// All answers of one shard that could be reached.
pub(super) struct Facts {
    pub(super) address: Address,
    pub(super) connected_after: Duration,
    pub(super) server: Result<Server>,
    /// Which database of which server this is.
    pub(super) identity: Result<String>,
    /// How far the server's clock is ahead of this machine's.
    pub(super) clock_ahead_ms: Result<f64>,
    pub(super) disk: Option<Disk>,
    pub(super) rights: Result<Vec<Right>>,
    pub(super) columns: Result<Vec<Column>>,
    pub(super) indexes: Result<Vec<Index>>,
    pub(super) trigger_faults: Result<Vec<String>>,
    pub(super) functions: Result<Vec<Function>>,
    /// What the shard says of itself; `None` if it has no catalog.
    pub(super) said: Option<Result<SelfDescription>>,
    pub(super) arcs: Result<Vec<HeldArc>>,
    pub(super) idle: Result<Vec<Idle>>,
    pub(super) imports: Result<Vec<Import>>,
}

/// A server, and the database that was connected to.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "settings of a server are on or off")]
pub(super) struct Server {
    pub(super) version: String,
    /// As `server_version_num` has it.
    pub(super) version_number: i32,
    pub(super) encoding: String,
    pub(super) in_recovery: bool,
    pub(super) read_only: bool,
    pub(super) fsync: bool,
    pub(super) full_page_writes: bool,
    pub(super) synchronous_commit: String,
    pub(super) sessions: i64,
    /// How many sessions it allows to those who are no superusers.
    pub(super) sessions_most: i64,
    pub(super) data_folder: Option<String>,
    pub(super) role: String,
    pub(super) has_catalog: bool,
    pub(super) has_users: bool,
}

/// The file system of a server's data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disk {
    pub(super) free_bytes: u64,
    pub(super) total_bytes: u64,
}

/// A privilege that ringshard needs, in the words of GRANT.
#[derive(Debug, Clone)]
pub(super) struct Right {
    /// Such as `TABLE public.users`.
    pub(super) object: String,
    pub(super) privilege: String,
    pub(super) held: bool,
}

/// A column of `users`.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) of: String,
}

/// An index of `users`.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// Quoted where SQL wants it, with its schema where it needs one.
    pub(super) name: String,
    pub(super) is_valid: bool,
    pub(super) is_primary: bool,
    pub(super) is_partial: bool,
    pub(super) columns: Vec<String>,
}

/// A function of the schema `ringshard`.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) source: String,
    /// Whether it runs with its owner's rights.
    pub(super) is_definer: bool,
}

/// A range of the ring that a shard holds.
#[derive(Debug, Clone)]
pub(super) struct HeldArc {
    pub(super) arc: Arc,
    /// Whom it is on its way to, if it is fenced.
    pub(super) fenced_for: Option<String>,
}

/// A transaction that nobody works at.
#[derive(Debug, Clone)]
pub(super) struct Idle {
    /// The session's process at the server, or the name of the prepared transaction.
    pub(super) name: String,
    pub(super) is_prepared: bool,
    pub(super) role: String,
    pub(super) seconds: i64,
}

/// An import that is under way or was interrupted.
#[derive(Debug, Clone)]
pub(super) struct Import {
    pub(super) source: String,
    pub(super) records: i64,
    pub(super) seconds: i64,
    /// Whether its session is there.
    pub(super) is_running: bool,
}

/// One question: what it asks for, and how an error names it.
struct Question<'a> {
    session: &'a mut Session,
    shard: &'a ShardName,
}

impl Question<'_> {
    fn rows<T>(&mut self, what: &str, sql: &'static str, read: fn(&Row) -> T) -> Result<Vec<T>> {
        let rows = self.session.query(sql, &[]).map_err(|cause| failure::doing(what, self.shard, &cause))?;
        Ok(rows.iter().map(read).collect())
    }

    fn one<T>(&mut self, what: &str, sql: &'static str, read: fn(&Row) -> T) -> Result<T> {
        let rows = self.session.query(sql, &[]).map_err(|cause| failure::doing(what, self.shard, &cause))?;
        only(rows, what, self.shard).map(|row| read(&row))
    }
}

/// Asks a shard all there is to ask, over a connection of its own. Fails only if it cannot be reached.
pub(super) fn ask(shard: &ShardName, address: Address, private: &PrivateServer) -> Result<Facts> {
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
    let server = question.one("ask the server", include_str!("../../../sql/doctor/server.sql"), server_of);
    let disk = server.as_ref().ok().and_then(|server| disk(&address, server, private));
    let has_catalog = server.as_ref().is_ok_and(|server| server.has_catalog);
    Ok(Facts {
        connected_after,
        disk,
        identity: question.one(
            "tell the database from others",
            include_str!("../../../sql/doctor/identity.sql"),
            |row| row.get("identity"),
        ),
        clock_ahead_ms: clock_ahead_ms(&mut question),
        rights: question.rows("look at privileges", include_str!("../../../sql/doctor/rights.sql"), |row| {
            Right { object: row.get("object"), privilege: row.get("privilege"), held: row.get("held") }
        }),
        columns: question.rows(
            "look at the columns",
            include_str!("../../../sql/doctor/columns.sql"),
            |row| Column { name: row.get("name"), of: row.get("type") },
        ),
        indexes: question.rows(
            "look at the indexes",
            include_str!("../../../sql/doctor/indexes.sql"),
            index_of,
        ),
        trigger_faults: guard::faults(question.session.client())
            .map_err(|cause| failure::doing("look at the triggers", shard, &cause)),
        functions: question.rows(
            "look at the functions",
            include_str!("../../../sql/doctor/functions.sql"),
            |row| Function {
                name: row.get("name"),
                source: row.get("source"),
                is_definer: row.get("is_definer"),
            },
        ),
        said: has_catalog.then(|| catalog::describe(question.session, shard)),
        arcs: question.rows("read the arcs", include_str!("../../../sql/doctor/arcs.sql"), arc_of),
        idle: question.rows(
            "look at other sessions",
            include_str!("../../../sql/doctor/sessions.sql"),
            |row| Idle {
                name: row.get("name"),
                is_prepared: row.get("is_prepared"),
                role: row.get::<_, Option<String>>("role").unwrap_or_default(),
                seconds: row.get("seconds"),
            },
        ),
        imports: question.rows("look at imports", include_str!("../../../sql/doctor/imports.sql"), |row| {
            Import {
                source: row.get("source"),
                records: row.get("records"),
                seconds: row.get("seconds"),
                is_running: row.get("is_running"),
            }
        }),
        server,
        address,
    })
}

fn server_of(row: &Row) -> Server {
    Server {
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

fn arc_of(row: &Row) -> HeldArc {
    let position = |column: &str| row.get::<_, Uuid>(column).position();
    HeldArc {
        // The table itself sees to `first <= last`.
        arc: Arc::new(position("first"), position("last")),
        fenced_for: row.get("peer"),
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
fn disk(address: &Address, server: &Server, private: &PrivateServer) -> Option<Disk> {
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
pub(super) fn in_one_line(error: &Error) -> String {
    error.message().lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
