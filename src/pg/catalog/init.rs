//! `init-shards`: checks what the databases hold, then makes or completes the shards.
//!
//! All databases are inspected before one is changed. Then the shards are made at once, each in one transaction (`install.rs`). An
//! interruption leaves complete shards and unchanged databases, and the next run continues with the cluster id of the
//! complete ones.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::types::Type;

use super::inspect::{InitOutcome, Inspection, check_distinct, inspect_all};
use super::{SelfDescription, install};
use crate::error::{Error, Kind, Result};
use crate::model::names::{ClusterId, ShardName};
use crate::model::rebalance::RingState;
use crate::model::ring::topology::{Epoch, Membership, Topology, VIRTUAL_NODES_DEFAULT};
use crate::model::table::Tables;
use crate::pg::catalog;
use crate::pg::net::advisory_lock::{self, INIT_SHARDS};
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::net::session::Session;
use crate::pg::net::sqlstate;
use crate::pg::pool::Shards;

/// How long a server may take to end sessions that were closed.
const CLOSING: Duration = Duration::from_secs(5);
/// The pause before it is asked again.
const CLOSING_PAUSE: Duration = Duration::from_millis(20);

/// The first version of the catalog whose topologies number their shards.
const NUMBERS_SINCE: i32 = 11;

/// A cluster whose shards all exist.
#[derive(Debug, Clone)]
pub struct Initialised {
    /// Its id, its topology and its epoch.
    pub membership: Membership,
    /// What was done to each shard, sorted by name.
    pub done: Vec<(ShardName, InitOutcome)>,
}

/// The databases of these that a server does not have.
pub fn missing_databases(
    server: &Shards,
    maintenance: &ShardName,
    databases: &[ShardName],
) -> Result<Vec<ShardName>> {
    let mut session = server.checkout(maintenance)?;
    let names: Vec<&str> = databases.iter().map(ShardName::as_str).collect();
    let existing = session
        .client()
        .query_typed(
            "SELECT datname::text FROM pg_catalog.pg_database WHERE datname = ANY ($1)",
            &[(&names, Type::TEXT_ARRAY)],
        )
        .map_err(|cause| sqlstate::doing("list the databases", maintenance, &cause))?;
    let existing: Vec<String> = existing.iter().map(|row| row.get(0)).collect();
    Ok(databases
        .iter()
        .filter(|name| !existing.iter().any(|found| found == name.as_str()))
        .cloned()
        .collect())
}

/// Checks, before databases are created, that the catalogs in `existing` allow a cluster of `all`. Fails with
/// `Configuration`, or with `Conflict` for another number of virtual nodes.
pub fn check_catalogs(
    shards: &Shards,
    existing: &[ShardName],
    all: &[ShardName],
    virtual_nodes: Option<u32>,
) -> Result<()> {
    let found = inspect_all(shards, existing)?;
    let known = check_one_cluster(shards, None, &found)?;
    topology_for(all, virtual_nodes, known, &pending_shards(&found)).map(|_| ())
}

/// The databases that this run created, and the server.
pub struct CreatedDatabases {
    server: Shards,
    maintenance: ShardName,
    names: Vec<ShardName>,
}

/// Creates these databases on a server, encoded in UTF8 whatever its template is. A database that another client creates at
/// the same time is accepted. If one cannot be created, the others are dropped again.
pub fn create_databases(
    server: Shards,
    maintenance: ShardName,
    databases: &[ShardName],
) -> Result<CreatedDatabases> {
    let mut created = CreatedDatabases { server, maintenance, names: Vec::new() };
    for database in databases {
        if let Err(error) = created.create(database) {
            return Err(created.drop_empty(error));
        }
    }
    Ok(created)
}

impl CreatedDatabases {
    fn create(&mut self, database: &ShardName) -> Result<()> {
        let mut session = self.server.checkout(&self.maintenance)?;
        let what = format!("create database `{database}`");
        let fail = |cause: &postgres::Error| {
            let kind = sqlstate::doing(&what, database, cause).kind();
            Error::new(kind, format!("cannot {what}: {}", sqlstate::message_of(cause)))
                .hint("the user of that URL needs CREATEDB")
                .on_shard(database)
        };
        // The server's own locale, if it fits the encoding. `template0` has the schema `public` as it is by default.
        let fits = "SELECT FROM pg_catalog.pg_database WHERE datname = 'template0' \
                    AND (encoding = pg_catalog.pg_char_to_encoding('UTF8') \
                         OR datcollate IN ('C', 'POSIX') AND datctype IN ('C', 'POSIX'))";
        let is_fitting = session.client().query_typed_opt(fits, &[]).map_err(|cause| fail(&cause))?.is_some();
        let locale = if is_fitting { "" } else { " LC_COLLATE 'C' LC_CTYPE 'C'" };
        // A shard's name has no quotes: see `ShardName`.
        let statement = format!("CREATE DATABASE \"{database}\" TEMPLATE template0 ENCODING 'UTF8'{locale}");
        match session.client().batch_execute(&statement) {
            Ok(()) => self.names.push(database.clone()),
            // Another client created it.
            Err(cause)
                if cause.code().is_some_and(|code| {
                    [&SqlState::DUPLICATE_DATABASE, &SqlState::UNIQUE_VIOLATION].contains(&code)
                }) => {}
            Err(cause) => return Err(fail(&cause)),
        }
        Ok(())
    }

    /// After a failure: drops those that are still empty, and returns the error, which names those that are left. No session
    /// of this process may be in use on them.
    #[must_use]
    pub fn drop_empty(&self, mut error: Error) -> Error {
        for database in &self.names {
            if let Err(cause) = self.drop_if_empty(database) {
                error = error.adding(&format!("; the new database `{database}` is left: {cause}"));
            }
        }
        error
    }

    fn drop_if_empty(&self, database: &ShardName) -> Result<()> {
        let sql = "SELECT pg_catalog.to_regclass('ringshard.meta') IS NULL AND pg_catalog.to_regclass('public.users') IS NULL";
        let fail = |cause: postgres::Error| sqlstate::doing("drop the new database", database, &cause);
        let address = self.server.address(&self.maintenance)?.beside(database.as_str());
        // Sessions that were closed just now may still count.
        let begun = Instant::now();
        let mut session = loop {
            match Session::connect(database, &address) {
                Err(error) if error.kind() == Kind::Unreachable && begun.elapsed() < CLOSING => {
                    thread::sleep(CLOSING_PAUSE);
                }
                connected => break connected?,
            }
        };
        let is_empty: bool = session.client().query_typed_one(sql, &[]).map_err(fail)?.get(0);
        drop(session);
        if is_empty {
            // Fails if another client is connected, such as another init-shards.
            let statement = format!("DROP DATABASE IF EXISTS \"{database}\"");
            self.server.checkout(&self.maintenance)?.client().batch_execute(&statement).map_err(fail)?;
            log::info!("Dropped the database {database} again");
        }
        Ok(())
    }
}

/// Creates, adopts or completes all `shards`. `cluster`: the id in the configuration, if any. `virtual_nodes`: the number
/// that was given, if any. Fails with `Locked` while another `init-shards` runs.
pub fn initialise(
    shards: &Shards,
    cluster: Option<ClusterId>,
    virtual_nodes: Option<u32>,
) -> Result<Initialised> {
    let names = shards.names();
    if names.is_empty() {
        return Err(Error::new(Kind::Usage, "no shard is named").hint("ringshard init-shards --shards 3"));
    }
    // Two names for one database would wait for each other's lock.
    check_distinct(shards, &inspect_all(shards, &names)?)?;
    // On every shard, as another run may name only some of them. Dropping these releases them.
    let mut locks = Vec::new();
    for name in &names {
        let mut lock = shards.connect_unpooled(name)?;
        take_lock(&mut lock, name)?;
        locks.push(lock);
    }
    initialise_locked(shards, &names, &mut locks[0], cluster, virtual_nodes)
}

/// Takes the lock under which a database is made a shard, until the session ends. Fails with `Locked` after 20 seconds.
pub(crate) fn take_lock(lock: &mut Session, shard: &ShardName) -> Result<()> {
    let take =
        format!("SET LOCAL lock_timeout = '20s'; SELECT pg_catalog.pg_advisory_xact_lock({INIT_SHARDS})");
    let taken = advisory_lock::begin_to_hold(lock).and_then(|()| lock.client().batch_execute(&take));
    taken.map_err(|cause| match cause.code() {
        Some(&SqlState::LOCK_NOT_AVAILABLE) => Error::new(
            Kind::Locked,
            format!("another init-shards or add-shard is running on shard `{shard}`"),
        )
        .hint("wait for it, then run this again")
        .on_shard(shard),
        _ => sqlstate::doing("lock the catalog", shard, &cause),
    })
}

fn initialise_locked(
    shards: &Shards,
    names: &[ShardName],
    first: &mut Session,
    cluster: Option<ClusterId>,
    virtual_nodes: Option<u32>,
) -> Result<Initialised> {
    let found = inspect_all(shards, names)?;
    let known = check_one_cluster(shards, cluster, &found)?;
    require_numbered(&found)?;
    let mut topology = topology_for(names, virtual_nodes, known, &pending_shards(&found))?;
    // The tables of an application are not sharded before it says by which keys.
    if known.is_none() && !found.values().all(Inspection::fits_prototype) {
        topology = topology.with_tables(Tables::none());
    }
    let ring = topology.ring();
    if topology.tables().is_default() {
        install::check_rows(shards, &found, &ring)?;
    }

    let cluster = match known {
        Some(description) => description.cluster,
        None => new_cluster_id(first, &names[0])?,
    };
    let epoch = known.map_or(Epoch::FIRST, |description| description.ring.epoch);
    let membership = Membership { cluster, epoch, topology };
    let (arcs, addresses) = (ring.arcs_by_shard(), install::addresses(shards)?);
    let plan = install::InstallPlan { membership: &membership, ring: &ring, arcs, addresses };
    let made = shards.on_each(names, |name, session| plan.make_shard(session, name, &found[name]));
    let done = made.into_iter().map(|(name, done)| Ok((name, done?))).collect::<Result<_>>()?;
    Ok(Initialised { membership, done })
}

/// Checks that all catalogs are of one cluster, and each of its own shard. Returns the newest description, if there is one.
fn check_one_cluster<'found>(
    shards: &Shards,
    cluster: Option<ClusterId>,
    found: &'found BTreeMap<ShardName, Inspection>,
) -> Result<Option<&'found SelfDescription>> {
    let mut newest: Option<&SelfDescription> = None;
    for (name, found) in found {
        let Some(description) = &found.description else { continue };
        let expected = cluster.or(newest.map(|newest| newest.cluster));
        catalog::check_identity(name, &shards.address(name)?, expected, description.identity())?;
        if newest.is_none_or(|newest| newest.ring.epoch < description.ring.epoch) {
            newest = Some(description);
        }
    }
    let needs_users = |found: &Inspection| {
        let description = found.description.as_ref();
        description.is_some_and(|it| it.ring.topology.tables().has_prototype())
    };
    let without_table = found.iter().find(|(_, found)| needs_users(found) && !found.has_users);
    if let Some((name, _)) = without_table {
        let message = format!("shard `{name}` has a catalog, but no table `users`");
        return Err(Error::new(Kind::Configuration, message)
            .hint("restore that database from a backup; ringshard does not put an empty table in its place")
            .on_shard(name));
    }
    let without_catalog = found.iter().find(|(_, found)| found.description.is_none());
    // The configuration has a cluster id only after all shards were made. So a database without a catalog is another one, or
    // has lost its data, and must not serve as the shard.
    if let (Some(cluster), Some((name, _))) = (cluster, without_catalog) {
        let message = format!(
            "the database of shard `{name}` at {} has no catalog of the cluster `{cluster}` that the configuration names",
            shards.address(name)?.shown()
        );
        return Err(Error::new(Kind::Configuration, message)
            .hint("correct its URL or restore it from a backup; for another cluster use another file with --config")
            .on_shard(name));
    }
    if let (Some(newest), Some((name, _))) = (newest, without_catalog)
        && newest.ring.epoch > Epoch::FIRST
    {
        let message = format!(
            "shard `{name}` has no catalog, and the cluster `{}` has changed since it was made (epoch {})",
            newest.cluster, newest.ring.epoch
        );
        return Err(Error::new(Kind::Configuration, message)
            .hint("correct its URL, or restore that database from a backup")
            .on_shard(name));
    }
    Ok(newest)
}

/// Fails with `Locked` while a shard is added or removed in a catalog without numbers: the topologies before and after that may
/// number the others differently.
fn require_numbered(found: &BTreeMap<ShardName, Inspection>) -> Result<()> {
    let is_pending = |ring: &RingState| {
        let next = ring.change.as_ref().map(|change| &change.next_topology);
        let mut after = ring.desired_topology.iter().chain(next);
        after.any(|after| !after.names().eq(ring.topology.names()))
    };
    let descriptions = found.values().filter_map(|found| found.description.as_ref());
    let mut without = descriptions.filter(|description| description.catalog_version < NUMBERS_SINCE);
    let Some(description) = without.find(|description| is_pending(&description.ring)) else { return Ok(()) };
    let message = format!(
        "a shard is being added or removed, and version {} of the catalog cannot be upgraded meanwhile",
        description.catalog_version
    );
    Err(Error::new(Kind::Locked, message)
        .hint("complete that with the ringshard that began it: ringshard rebalance; then run this again")
        .on_shard(&description.shard))
}

/// The shards of a desired topology and the participants of a change, as the catalogs say.
fn pending_shards(found: &BTreeMap<ShardName, Inspection>) -> BTreeSet<ShardName> {
    let rings = || found.values().filter_map(|found| Some(&found.description.as_ref()?.ring));
    let desired = rings().filter_map(|ring| ring.desired_topology.as_ref()).flat_map(Topology::names);
    let changes = rings().filter_map(|ring| ring.change.as_ref());
    desired.chain(changes.flat_map(|change| &change.participants)).cloned().collect()
}

fn topology_for(
    names: &[ShardName],
    virtual_nodes: Option<u32>,
    known: Option<&SelfDescription>,
    pending: &BTreeSet<ShardName>,
) -> Result<Topology> {
    let list =
        |names: Vec<&ShardName>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let Some(known) = known else {
        return Topology::of_equals(virtual_nodes.unwrap_or(VIRTUAL_NODES_DEFAULT), names.iter().cloned())
            .map_err(|why| Error::new(Kind::Usage, why));
    };
    let topology = &known.ring.topology;
    // Pending shards may be named or left out.
    let may_be_named = |name: &ShardName| topology.shard(name).is_some() || pending.contains(name);
    if !topology.names().all(|name| names.contains(name)) || !names.iter().all(may_be_named) {
        let message = format!(
            "shard `{}` belongs to a cluster of {}, but the named shards are {}",
            known.shard,
            list(topology.names().collect()),
            list(names.iter().collect())
        );
        return Err(Error::new(Kind::Configuration, message)
            .hint("name exactly the shards of that cluster")
            .on_shard(&known.shard));
    }
    if virtual_nodes.is_some_and(|number| number != topology.virtual_nodes()) {
        let message = format!(
            "the cluster has {} virtual nodes per shard, and this number cannot change",
            topology.virtual_nodes()
        );
        return Err(Error::new(Kind::Conflict, message).hint("leave out --vnodes"));
    }
    Ok(topology.clone())
}

fn new_cluster_id(session: &mut Session, name: &ShardName) -> Result<ClusterId> {
    let row = session
        .client()
        .query_typed_one("SELECT pg_catalog.gen_random_uuid()", &[])
        .map_err(|cause| sqlstate::doing("make a cluster id", name, &cause))?;
    Ok(row.get(0))
}

/// The databases of `init-shards --server URL`: one for each name on that server.
pub fn databases_on(
    server: &ConnectionString,
    names: &[ShardName],
) -> Result<Vec<(ShardName, ConnectionString)>> {
    names.iter().map(|name| Ok((name.clone(), server.with_database(name.as_str())?))).collect()
}
