//! Provisions a shard: makes an empty database a shard that owns nothing, and announces its endpoint to the others.

use std::collections::BTreeMap;

use postgres::types::{Json, Type};

use super::copy_tables::{copy_tables, schema_changes};
use super::desired_topology::Topologies;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::arbiter;
use crate::model::ring::topology::Membership;
use crate::model::table::TableName;
use crate::pg::catalog::{init, inspect, install};
use crate::pg::cluster::Cluster;
use crate::pg::net::advisory_lock::{self, INIT_SHARDS};
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::net::session::{Parameter, Session, only};
use crate::pg::net::sqlstate;
use crate::pg::pool::PooledSession;

/// Held while `add-shard` runs; dropping it ends it.
pub struct AddShardLock(#[expect(dead_code, reason = "closing the session releases the lock")] Session);

/// Keeps every other `add-shard` and `init-shards` of this cluster out, which might add the same name with another database.
/// Fails with `Locked` after 20 seconds.
pub fn lock_for_add_shard(cluster: &Cluster, topologies: &Topologies) -> Result<AddShardLock> {
    let first = arbiter(&topologies.membership.topology);
    let mut session = cluster.shards().connect_unpooled(first)?;
    init::take_lock(&mut session, first)?;
    Ok(AddShardLock(session))
}

/// Makes a database a shard that owns nothing yet, and announces its endpoint to all shards. Fails with `Conflict` if the
/// database has users or arcs.
pub fn provision_shard(
    cluster: &Cluster,
    topologies: &Topologies,
    name: &ShardName,
    url: &ConnectionString,
) -> Result<()> {
    // An earlier address of this name is outdated.
    cluster.shards().remove(name);
    cluster.shards().add(name.clone(), url)?;
    let prepared = provision_database(cluster, topologies, name);
    if prepared.is_err() && topologies.target().shard(name).is_none() {
        cluster.shards().remove(name);
    }
    prepared
}

fn provision_database(cluster: &Cluster, topologies: &Topologies, name: &ShardName) -> Result<()> {
    // Another add-shard or init-shards may make a shard of it at the same time.
    let mut lock = cluster.shards().connect_unpooled(name)?;
    init::take_lock(&mut lock, name)?;
    let provisioned = provision_locked(cluster, topologies, name);
    advisory_lock::unlock(&mut lock, INIT_SHARDS);
    provisioned
}

fn provision_locked(cluster: &Cluster, topologies: &Topologies, name: &ShardName) -> Result<()> {
    let Membership { cluster: cluster_id, epoch, topology } = &topologies.membership;
    let names: Vec<ShardName> = topology.names().chain([name]).cloned().collect();
    let found: BTreeMap<_, _> = inspect::inspect_all(cluster.shards(), &names)?;
    inspect::check_distinct(cluster.shards(), &found)?;
    let own = &found[name];
    let tables = topology.tables();
    if tables.is_default() {
        install::check_table(name, own)?;
    }
    if let Some(description) = &own.description {
        let address = cluster.shards().address(name)?;
        crate::pg::catalog::check_identity(name, &address, Some(*cluster_id), description.identity())?;
    }
    let ring = topology.ring();
    let addresses = install::addresses(cluster.shards())?;
    let arcs = ring.arcs_by_shard();
    let plan = install::InstallPlan { membership: &topologies.membership, ring: &ring, arcs, addresses };
    let mut session = cluster.shards().checkout(name)?;
    let fail = |cause: postgres::Error| sqlstate::doing("prepare the shard", name, &cause);
    let address = cluster.shards().address(name)?;
    let taken = || {
        let message = format!(
            "the database of shard `{name}` at {} must be empty, but has users or arcs",
            address.shown()
        );
        Error::new(Kind::Conflict, message)
            .hint("use an empty database; its users can be exported first, and imported once it is a shard")
            .on_shard(name)
    };
    // The plain table of the prototype needs no pg_dump, unless its schema was changed.
    let is_plain = tables.is_default() && schema_changes(cluster, &names[0])?.0.is_empty();
    let mut missing = tables.clone();
    for table in tables.all() {
        let is_there = "SELECT pg_catalog.to_regclass($1) IS NOT NULL";
        let rows = session.query(is_there, &[(&table.name.as_sql(), Type::TEXT)]).map_err(fail)?;
        if only(rows, "look for the tables", name)?.get(0) {
            // An earlier add-shard may have made the plain one, and failed.
            if is_plain || !tables.is_default() || own.description.is_none() {
                missing = missing.without(&table.name);
            }
            let any = format!("SELECT FROM {} LIMIT 1", table.name.as_sql());
            if !session.client().query_typed(&any, &[]).map_err(fail)?.is_empty() {
                return Err(taken());
            }
        }
    }
    plan.make_shard(&mut session, name, own)?;
    let clauses = if is_plain { alter_clauses(cluster, &names[0])? } else { None };
    match clauses {
        Some(clauses) if !own.has_users => alter_like(&mut session, &clauses, &names[0], name)?,
        None if !missing.all().is_empty() => {
            // `make_shard` has made the plain one, which has no other columns and indexes.
            if tables.has_prototype() && missing.get(&TableName::users()).is_some() {
                session.client().batch_execute("DROP TABLE IF EXISTS public.users").map_err(fail)?;
            }
            copy_tables(cluster, &missing, &names[0], (name, &mut session))?;
        }
        _ => {}
    }
    // A shard that was part of the cluster before, or of a desired topology that was given up, may have an old state.
    let parameters: &[Parameter<'_>] = &[(&epoch.number(), Type::INT8), (&Json(topology), Type::JSONB)];
    let rows = session.query(include_str!("../../../sql/queries/provision.sql"), parameters).map_err(fail)?;
    if rows.is_empty() {
        return Err(taken());
    }
    write_endpoints(cluster, &mut session, name)?;
    drop(session);
    announce_endpoint(cluster, &names, name)
}

/// The clauses of ALTER TABLE that make the new table `users` of a shard accept the same rows as that of another shard: NOT NULL,
/// CHECK and collations. `None` if that table has other columns than the prototype's.
fn alter_clauses(cluster: &Cluster, other: &ShardName) -> Result<Option<Vec<String>>> {
    let found = inspect::inspect_all(cluster.shards(), std::slice::from_ref(other))?;
    if !found[other].fits_prototype() {
        return Ok(None);
    }
    let clauses = cluster
        .shards()
        .checkout(other)?
        .query(include_str!("../../../sql/queries/table_clauses.sql"), &[])
        .map_err(|cause| sqlstate::doing("read the definition of `users`", other, &cause))?;
    Ok(Some(clauses.iter().map(|row| row.get("clause")).collect()))
}

fn alter_like(
    session: &mut PooledSession,
    clauses: &[String],
    other: &ShardName,
    name: &ShardName,
) -> Result<()> {
    if clauses.is_empty() {
        return Ok(());
    }
    // The clauses are Postgres's own text of the other table.
    let alter = format!("ALTER TABLE public.users {}", clauses.join(", "));
    session
        .client()
        .batch_execute(&alter)
        .map_err(|cause| sqlstate::doing(&format!("define `users` as on shard `{other}`"), name, &cause))
}

/// Writes the replicas, incarnations and stale endpoints of all shards to a new shard.
fn write_endpoints(cluster: &Cluster, session: &mut PooledSession, name: &ShardName) -> Result<()> {
    let view = cluster.view();
    let fail = |cause: postgres::Error| sqlstate::doing("write the endpoints", name, &cause);
    for (shard, endpoint) in &view.endpoints {
        let sql = "UPDATE ringshard.shard_endpoint SET replicas = $2, incarnation = $3 WHERE shard = $1";
        let parameters: &[Parameter<'_>] = &[
            (&shard.as_str(), Type::TEXT),
            (&endpoint.replicas, Type::TEXT_ARRAY),
            (&endpoint.incarnation.0, Type::INT8),
        ];
        session.query(sql, parameters).map_err(fail)?;
    }
    // A shard of this name may have been there before, and may have had other primaries.
    let incarnation = view.endpoints.get(name).map(|endpoint| endpoint.incarnation).unwrap_or_default();
    let sql = "UPDATE ringshard.meta SET stale_endpoints = $1, incarnation = greatest(incarnation, $2)";
    let parameters: &[Parameter<'_>] =
        &[(&Json(&view.stale_endpoints), Type::JSONB), (&incarnation.0, Type::INT8)];
    session.query(sql, parameters).map_err(fail)?;
    Ok(())
}

/// Writes the endpoint of the new shard to each of these shards.
fn announce_endpoint(cluster: &Cluster, names: &[ShardName], new: &ShardName) -> Result<()> {
    let address = cluster.shards().address(new)?;
    let written = cluster.shards().on_each(names, |name, session| {
        let parameters: &[Parameter<'_>] = &[(&new.as_str(), Type::TEXT), (&address.shown(), Type::TEXT)];
        session
            .query(
                "WITH known AS (INSERT INTO ringshard.shard_endpoint (shard, url) VALUES ($1, $2) \
                            ON CONFLICT (shard) DO UPDATE SET url = excluded.url) \
             UPDATE ringshard.meta SET stale_endpoints = stale_endpoints - $2",
                parameters,
            )
            .map_err(|cause| sqlstate::doing("write an endpoint", name, &cause))
    });
    written.into_iter().try_for_each(|(_, written)| written.map(|_| ()))
}
