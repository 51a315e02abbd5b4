//! Collects facts from a shard, each with its own query, so that a failure affects only one check.
//!
//! It evaluates nothing; see [`super::check_shard`].

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use postgres::Row;

use crate::error::{Error, Kind, Result};
use crate::files::space_in;
use crate::local::PrivateServer;
use crate::model::host::DiskSpace;
use crate::model::names::ShardName;
use crate::model::ring::arc::ShardArc;
use crate::model::table::{Table, Tables};
use crate::pg::catalog::imports::OpenImport;
use crate::pg::catalog::inspect::database_identity;
use crate::pg::catalog::relation::Relation;
use crate::pg::catalog::{self, SelfDescription, triggers};
use crate::pg::net::conninfo::Address;
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;
use crate::pg::pool::{Shards, check_private_server};

/// All facts of one shard that could be reached.
pub(crate) struct Facts {
    pub(crate) address: Address,
    pub(crate) connected_after: Duration,
    /// Whether no pooler is in between, or a direct URL leads around it.
    pub(crate) session: Result<&'static str>,
    pub(crate) server: Result<ServerFacts>,
    /// The identity of database and server.
    pub(crate) identity: Result<String>,
    /// How far the server's clock is ahead of this machine's, in milliseconds.
    pub(crate) clock_ahead_ms: Result<f64>,
    /// The file system of the server's data.
    pub(crate) disk: Option<DiskSpace>,
    pub(crate) rights: Result<Vec<Right>>,
    pub(crate) columns: Result<Vec<TableColumn>>,
    pub(crate) indexes: Result<Vec<Index>>,
    /// The sharded tables, by the topology that this shard knows.
    pub(crate) tables: Result<Vec<ShardedTable>>,
    /// What moves would set off.
    pub(crate) side_effects: Result<Vec<String>>,
    pub(crate) functions: Result<Vec<Function>>,
    /// The shard's description; `None` without a catalog.
    pub(crate) description: Option<Result<SelfDescription>>,
    pub(crate) timeline: Result<Timeline>,
    pub(crate) arcs: Result<Vec<ShardArc>>,
    pub(crate) idle: Result<Vec<Idle>>,
    pub(crate) imports: Result<Vec<OpenImport>>,
}

/// A server, and the database of the connection.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "settings of a server are on or off")]
pub(crate) struct ServerFacts {
    pub(crate) version: String,
    /// `server_version_num`.
    pub(crate) version_number: i32,
    pub(crate) encoding: String,
    pub(crate) in_recovery: bool,
    /// Where `default_transaction_read_only` is set to on, as `pg_settings.source` says.
    pub(crate) read_only_by: Option<String>,
    pub(crate) fsync: bool,
    pub(crate) full_page_writes: bool,
    pub(crate) synchronous_commit: String,
    pub(crate) sessions: i64,
    /// The most sessions of roles other than superusers.
    pub(crate) sessions_most: i64,
    pub(crate) data_folder: Option<String>,
    pub(crate) role: String,
    pub(crate) has_catalog: bool,
    pub(crate) has_users: bool,
}

/// A privilege that ringshard needs, as in GRANT.
#[derive(Debug, Clone)]
pub(crate) struct Right {
    /// Such as `TABLE public.users`.
    pub(crate) object: String,
    pub(crate) privilege: String,
    pub(crate) held: bool,
}

/// A sharded table on this shard.
#[derive(Debug, Clone)]
pub(crate) struct ShardedTable {
    pub(crate) table: Table,
    /// What it is; `None` if it does not exist.
    pub(crate) relation: Option<Relation>,
    /// What is wrong with the triggers of its guard.
    pub(crate) trigger_faults: Vec<String>,
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
    /// Quoted and with its schema where necessary.
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
    /// Whether it is SECURITY DEFINER.
    pub(crate) is_definer: bool,
}

/// The timeline of a server, as in the names of the files of the write-ahead log.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    /// Whether the server was compared with the other shards since it became the primary.
    pub(crate) is_confirmed: bool,
    pub(crate) current: String,
}

/// An idle transaction.
#[derive(Debug, Clone)]
pub(crate) struct Idle {
    /// The pid of the session, or the name of the prepared transaction.
    pub(crate) name: String,
    pub(crate) is_prepared: bool,
    pub(crate) role: String,
    pub(crate) seconds: i64,
}

impl Idle {
    /// Whether `pg::two_phase` prepared it.
    pub(super) fn is_on_several_shards(&self) -> bool {
        self.is_prepared && self.name.starts_with("ringshard:")
    }
}

/// A session for queries on one shard.
struct Query<'a> {
    session: &'a mut Session,
    shard: &'a ShardName,
}

impl Query<'_> {
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

/// How the server itself is reached, for what needs a session of its own.
fn own_session(shards: &Shards, query: &mut Query<'_>, identity: Option<&String>) -> Result<&'static str> {
    let doing = |cause| sqlstate::doing("identify the database", query.shard, &cause);
    if query.session.has_own_backend().map_err(doing)? {
        return Ok("not through a connection pooler");
    }
    let mut direct = shards.connect_direct(query.shard)?;
    let found = database_identity(&mut direct, query.shard)?;
    if identity.is_some_and(|identity| *identity != found) {
        let message =
            format!("`url` and `direct_url` of shard `{}` lead to different databases", query.shard);
        return Err(Error::new(Kind::Configuration, message)
            .hint("ringshard config show prints both and the file: correct one of them"));
    }
    Ok("through a connection pooler; `direct_url` leads to the server")
}

/// Collects all facts of a shard over a new connection. Fails only if the shard cannot be reached.
pub(crate) fn collect(
    shards: &Shards,
    shard: &ShardName,
    address: Address,
    private: &PrivateServer,
) -> Result<Facts> {
    if address.is_local() {
        check_private_server(private, shard)?;
    }
    let begun = Instant::now();
    let mut session = Session::connect(shard, &address)?;
    let connected_after = begun.elapsed();
    let mut query = Query { session: &mut session, shard };
    let server = query.one(
        "read the server's settings",
        include_str!("../../../sql/queries/doctor/server.sql"),
        server_of,
    );
    let disk = server.as_ref().ok().and_then(|server| disk(&address, server, private));
    let has_catalog = server.as_ref().is_ok_and(|server| server.has_catalog);
    let identity = database_identity(query.session, shard);
    let description = has_catalog.then(|| catalog::describe_any(query.session, shard));
    // Without a catalog it may be about to get one.
    let known = description.as_ref().and_then(|description| description.as_ref().ok());
    let tables = known.map_or_else(Tables::default, |known| known.ring.topology.tables().clone());
    Ok(Facts {
        connected_after,
        session: own_session(shards, &mut query, identity.as_ref().ok()),
        disk,
        identity,
        clock_ahead_ms: clock_ahead_ms(&mut query),
        rights: query.rows(
            "read the privileges",
            include_str!("../../../sql/queries/doctor/rights.sql"),
            |row| Right { object: row.get("object"), privilege: row.get("privilege"), held: row.get("held") },
        ),
        columns: query.rows(
            "read the columns",
            include_str!("../../../sql/queries/doctor/columns.sql"),
            |row| TableColumn { name: row.get("name"), of: row.get("type") },
        ),
        indexes: query.rows(
            "read the indexes",
            include_str!("../../../sql/queries/doctor/indexes.sql"),
            index_of,
        ),
        tables: sharded_tables(query.session, &tables)
            .map_err(|cause| sqlstate::doing("read the sharded tables", shard, &cause)),
        side_effects: query.rows(
            "look for side effects of moves",
            "SELECT effect FROM ringshard.side_effects(28) AS effect",
            |row| row.get("effect"),
        ),
        timeline: query.one(
            "read the timeline",
            include_str!("../../../sql/queries/doctor/timeline.sql"),
            |row| Timeline { is_confirmed: row.get("is_confirmed"), current: row.get("current") },
        ),
        functions: query.rows(
            "read the functions",
            include_str!("../../../sql/queries/doctor/functions.sql"),
            |row| Function {
                name: row.get("name"),
                source: row.get("source"),
                is_definer: row.get("is_definer"),
            },
        ),
        description,
        arcs: query.arcs(),
        idle: query.rows(
            "read the other sessions",
            include_str!("../../../sql/queries/doctor/sessions.sql"),
            |row| Idle {
                name: row.get("name"),
                is_prepared: row.get("is_prepared"),
                role: row.get::<_, Option<String>>("role").unwrap_or_default(),
                seconds: row.get("seconds"),
            },
        ),
        imports: query.rows("read the imports", OpenImport::QUERY, OpenImport::of),
        server,
        address,
    })
}

fn sharded_tables(session: &mut Session, tables: &Tables) -> Result<Vec<ShardedTable>, postgres::Error> {
    let read = |table: &Table| {
        let Some(key) = &table.key else { return Ok(None) };
        let relation = Relation::read(session.client(), &table.name, &key.column)?;
        let trigger_faults = match &relation {
            Some(_) => triggers::faults(session.client(), &table.name, key)?,
            None => Vec::new(),
        };
        Ok(Some(ShardedTable { table: table.clone(), relation, trigger_faults }))
    };
    tables.all().iter().map(read).filter_map(Result::transpose).collect()
}

fn server_of(row: &Row) -> ServerFacts {
    ServerFacts {
        version: row.get("version"),
        version_number: row.get("version_number"),
        encoding: row.get("encoding"),
        in_recovery: row.get("in_recovery"),
        read_only_by: row.get("read_only_by"),
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

/// Half of the time that the query took is taken off, as for the way there.
fn clock_ahead_ms(query: &mut Query<'_>) -> Result<f64> {
    let sql = "SELECT EXTRACT(epoch FROM pg_catalog.clock_timestamp())::float8 AS seconds";
    let ask = |query: &mut Query<'_>| query.one("read the clock", sql, |row| row.get("seconds"));
    // The first query on a connection takes longer.
    let _: f64 = ask(query)?;
    let (before, begun) = (SystemTime::now(), Instant::now());
    let found: f64 = ask(query)?;
    let half = begun.elapsed() / 2;
    let ours = before.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + half;
    Ok((found - ours.as_secs_f64()) * 1_000.0)
}

/// The disk, if the server is certainly on this machine: it was reached over a socket, and its folder exists.
fn disk(address: &Address, server: &ServerFacts, private: &PrivateServer) -> Option<DiskSpace> {
    if !address.endpoints.iter().all(|endpoint| endpoint.location.is_socket()) {
        return None;
    }
    let folder = if address.is_local() { private.data() } else { Path::new(server.data_folder.as_deref()?) };
    space_in(folder).map(DiskSpace::from)
}

/// An error in one line, for a table cell.
pub(crate) fn in_one_line(error: &Error) -> String {
    error.message().lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
