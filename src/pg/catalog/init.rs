//! `init-shards`: what is there, and whether it allows the cluster that is asked for.
//!
//! Everything is looked at before anything is changed. Then each shard is made in one transaction
//! (`install.rs`), so that an interruption leaves whole shards and untouched ones, and the next run goes
//! on: the shards that are there say which cluster it is.

use std::collections::{BTreeMap, BTreeSet};

use postgres::error::SqlState;

use super::SelfDescription;
use super::inspect::{InitOutcome, Inspection, check_distinct, inspect_all};
use super::install;
use crate::error::{Error, Kind, Result};
use crate::model::names::{ClusterId, ShardName};
use crate::model::ring::topology::{Epoch, Membership, Topology};
use crate::pg::catalog;
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::net::sqlstate;
use crate::pg::pool::{PooledSession, Shards};

/// A cluster whose shards are all there.
#[derive(Debug, Clone)]
pub struct Initialised {
    /// Its id, its topology and the epoch of it.
    pub membership: Membership,
    /// What was done, shard by shard, sorted.
    pub done: Vec<(ShardName, InitOutcome)>,
}

/// Those of these databases that a server does not have.
pub fn missing_databases(
    server: &Shards,
    maintenance: &ShardName,
    databases: &[ShardName],
) -> Result<Vec<ShardName>> {
    let mut session = server.checkout(maintenance)?;
    let names: Vec<&str> = databases.iter().map(ShardName::as_str).collect();
    let there = session
        .client()
        .query("SELECT datname::text FROM pg_catalog.pg_database WHERE datname = ANY ($1)", &[&names])
        .map_err(|cause| sqlstate::doing("list the databases", maintenance, &cause))?;
    let there: Vec<String> = there.iter().map(|row| row.get(0)).collect();
    Ok(databases.iter().filter(|name| !there.iter().any(|there| there == name.as_str())).cloned().collect())
}

/// Whether the shards that are there allow a cluster of all these names; before more of them are made.
pub fn check_catalogs(
    shards: &Shards,
    there: &[ShardName],
    all: &[ShardName],
    virtual_nodes: Option<u32>,
) -> Result<()> {
    let found = inspect_all(shards, there)?;
    let known = check_one_cluster(shards, None, &found)?;
    topology_for(all, virtual_nodes, known, &joining(&found)).map(|_| ())
}

/// Creates these databases on a server. One that somebody else made in the meantime will do.
pub fn create_databases(server: &Shards, maintenance: &ShardName, databases: &[ShardName]) -> Result<()> {
    let mut session = server.checkout(maintenance)?;
    for database in databases {
        // A shard's name holds no quotes: see `ShardName`.
        let statement = format!("CREATE DATABASE \"{database}\"");
        let mut tries = 0;
        while let Err(cause) = session.client().batch_execute(&statement) {
            match cause.code() {
                // Somebody else was faster.
                Some(&(SqlState::DUPLICATE_DATABASE | SqlState::UNIQUE_VIOLATION)) => break,
                // Somebody else copies the template just now.
                Some(&SqlState::OBJECT_IN_USE) if tries < 50 => {
                    tries += 1;
                    std::thread::sleep(std::time::Duration::from_millis(100));
                }
                _ => {
                    let what = format!("create database `{database}`");
                    let kind = sqlstate::doing(&what, database, &cause).kind();
                    return Err(Error::new(kind, format!("cannot {what}: {}", sqlstate::words_of(&cause)))
                        .hint("the user of that URL needs CREATEDB")
                        .on_shard(database));
                }
            }
        }
    }
    Ok(())
}

/// Makes, adopts or completes the shards. `cluster` is the id that the configuration has, if any;
/// `virtual_nodes` is what was asked for, if anything was.
pub fn initialise(
    shards: &Shards,
    cluster: Option<ClusterId>,
    virtual_nodes: Option<u32>,
) -> Result<Initialised> {
    let names = shards.names();
    if names.is_empty() {
        return Err(Error::new(Kind::Usage, "no shard was named").hint("ringshard init-shards --shards 3"));
    }
    // Two names of one database would wait for each other's lock.
    check_distinct(shards, &inspect_all(shards, &names)?)?;
    // On every shard: another run may name only some of them.
    let mut locks = Vec::new();
    for name in &names {
        let mut lock = shards.checkout(name)?;
        take_lock(&mut lock, name)?;
        locks.push(lock);
    }
    let result = initialise_locked(shards, &names, &mut locks[0], cluster, virtual_nodes);
    for mut lock in locks {
        // A failure here means that the connection is gone, and the lock with it.
        let _ = lock.client().batch_execute("SELECT pg_catalog.pg_advisory_unlock(7283002)");
    }
    result
}

fn take_lock(lock: &mut PooledSession, shard: &ShardName) -> Result<()> {
    lock.client()
        .batch_execute(
            "SET lock_timeout = '20s'; SELECT pg_catalog.pg_advisory_lock(7283002); RESET lock_timeout",
        )
        .map_err(|cause| match cause.code() {
            Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                Error::new(Kind::Locked, format!("another init-shards is at work on shard `{shard}`"))
                    .hint("wait for it, then run this again")
                    .on_shard(shard)
            }
            _ => sqlstate::doing("lock the catalog", shard, &cause),
        })
}

fn initialise_locked(
    shards: &Shards,
    names: &[ShardName],
    first: &mut PooledSession,
    cluster: Option<ClusterId>,
    virtual_nodes: Option<u32>,
) -> Result<Initialised> {
    let found = inspect_all(shards, names)?;
    let known = check_one_cluster(shards, cluster, &found)?;
    let topology = topology_for(names, virtual_nodes, known, &joining(&found))?;
    let ring = topology.ring();
    install::check_rows(shards, &found, &ring)?;

    let cluster = match known {
        Some(said) => said.cluster,
        None => new_cluster_id(first, &names[0])?,
    };
    let epoch = known.map_or(Epoch::FIRST, |said| said.ring.epoch);
    let membership = Membership { cluster, epoch, topology };
    let plan =
        install::InstallPlan { membership: &membership, ring: &ring, addresses: install::addresses(shards)? };
    let mut done = Vec::new();
    for (name, found) in &found {
        let mut session = shards.checkout(name)?;
        done.push((name.clone(), plan.make_shard(&mut session, name, found)?));
    }
    Ok(Initialised { membership, done })
}

/// The catalogs that are there must be of one cluster, each under its own name, and of these shards.
fn check_one_cluster<'found>(
    shards: &Shards,
    cluster: Option<ClusterId>,
    found: &'found BTreeMap<ShardName, Inspection>,
) -> Result<Option<&'found SelfDescription>> {
    let mut newest: Option<&SelfDescription> = None;
    for (name, found) in found {
        let Some(said) = &found.said else { continue };
        let known = cluster.or(newest.map(|said| said.cluster));
        catalog::check_identity(name, &shards.address(name)?, known, said.identity())?;
        if newest.is_none_or(|newest| newest.ring.epoch < said.ring.epoch) {
            newest = Some(said);
        }
    }
    let gone = found.iter().find(|(_, found)| found.said.is_some() && !found.has_users);
    if let Some((name, _)) = gone {
        let message = format!("shard `{name}` has a catalog, and its table `users` is gone");
        return Err(Error::new(Kind::Configuration, message)
            .hint("restore that database from a backup: an empty table would serve in its place")
            .on_shard(name));
    }
    let without = found.iter().find(|(_, found)| found.said.is_none());
    // The configuration learns of a cluster when all its shards are made: one without a catalog is another
    // database, or has lost its data, and must not serve in the shard's place.
    if let (Some(cluster), Some((name, _))) = (cluster, without) {
        let message = format!(
            "the database of shard `{name}` at {} holds nothing of the cluster `{cluster}` that the configuration names",
            shards.address(name)?.shown()
        );
        return Err(Error::new(Kind::Configuration, message)
            .hint("correct its URL or restore it from a backup; for another cluster name another file with --config")
            .on_shard(name));
    }
    if let (Some(said), Some((name, _))) = (newest, without)
        && said.ring.epoch > Epoch::FIRST
    {
        let message = format!(
            "shard `{name}` has no catalog, and the cluster `{}` has changed since it was made (epoch {})",
            said.cluster, said.ring.epoch
        );
        return Err(Error::new(Kind::Configuration, message)
            .hint("correct its URL, or restore that database from a backup")
            .on_shard(name));
    }
    Ok(newest)
}

/// The shards that are to join, or take part in a change, by the word of those that are there.
fn joining(found: &BTreeMap<ShardName, Inspection>) -> BTreeSet<ShardName> {
    let said = || found.values().filter_map(|found| found.said.as_ref());
    let desired_topology =
        said().filter_map(|said| said.ring.desired_topology.as_ref()).flat_map(Topology::names);
    desired_topology
        .chain(said().filter_map(|said| said.ring.change.as_ref()).flat_map(|change| &change.participants))
        .cloned()
        .collect()
}

fn topology_for(
    names: &[ShardName],
    virtual_nodes: Option<u32>,
    known: Option<&SelfDescription>,
    joining: &BTreeSet<ShardName>,
) -> Result<Topology> {
    let list =
        |names: Vec<&ShardName>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let Some(said) = known else {
        let desired_topology = virtual_nodes.unwrap_or(crate::model::ring::topology::VIRTUAL_NODES_DEFAULT);
        return Topology::of_equals(desired_topology, names.iter().cloned())
            .map_err(|why| Error::new(Kind::Usage, why));
    };
    let topology = &said.ring.topology;
    // Those that are to join may be named or not.
    let may_be_named = |name: &ShardName| topology.shard(name).is_some() || joining.contains(name);
    if !topology.names().all(|name| names.contains(name)) || !names.iter().all(may_be_named) {
        let message = format!(
            "shard `{}` belongs to a cluster of {}, and this is {}",
            said.shard,
            list(topology.names().collect()),
            list(names.iter().collect())
        );
        return Err(Error::new(Kind::Configuration, message)
            .hint("name just the shards of that cluster")
            .on_shard(&said.shard));
    }
    if virtual_nodes.is_some_and(|desired_topology| desired_topology != topology.virtual_nodes()) {
        let message = format!(
            "the cluster has {} virtual nodes a shard, and they cannot be changed afterwards",
            topology.virtual_nodes()
        );
        return Err(Error::new(Kind::Conflict, message).hint("leave out --vnodes"));
    }
    Ok(topology.clone())
}

fn new_cluster_id(session: &mut PooledSession, name: &ShardName) -> Result<ClusterId> {
    let row = session
        .client()
        .query_one("SELECT pg_catalog.gen_random_uuid()", &[])
        .map_err(|cause| sqlstate::doing("make a cluster id", name, &cause))?;
    Ok(row.get(0))
}

/// The databases of `init-shards --server URL`: one for each name, on that server.
pub fn databases_on(
    server: &ConnectionString,
    names: &[ShardName],
) -> Result<Vec<(ShardName, ConnectionString)>> {
    names.iter().map(|name| Ok((name.clone(), server.with_database(name.as_str())?))).collect()
}
