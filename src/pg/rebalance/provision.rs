//! The database of a shard that is to join: made, or taken, empty; and how others find it.

use std::collections::BTreeMap;

use postgres::types::{Json, Type};

use super::desired_topology::Topologies;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::ring::topology::Membership;
use crate::pg::catalog::{inspect, install};
use crate::pg::cluster::Cluster;
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::net::session::Parameter;
use crate::pg::net::sqlstate;
use crate::pg::pool::PooledSession;

/// Makes a database a shard that owns nothing yet, and tells all shards where it is.
pub fn provision_shard(
    cluster: &Cluster,
    standing: &Topologies,
    name: &ShardName,
    url: &ConnectionString,
) -> Result<()> {
    // Whatever was known of it before: this is the database that is meant.
    cluster.shards().remove(name);
    cluster.shards().add(name.clone(), url)?;
    let prepared = provision_database(cluster, standing, name);
    if prepared.is_err() && standing.goal().shard(name).is_none() {
        cluster.shards().remove(name);
    }
    prepared
}

fn provision_database(cluster: &Cluster, standing: &Topologies, name: &ShardName) -> Result<()> {
    let Membership { cluster: cluster_id, epoch, topology } = &standing.membership;
    let names: Vec<ShardName> = topology.names().chain([name]).cloned().collect();
    let found: BTreeMap<_, _> = inspect::inspect_all(cluster.shards(), &names)?;
    inspect::check_distinct(cluster.shards(), &found)?;
    let own = &found[name];
    install::check_columns(name, own)?;
    if let Some(said) = &own.said {
        let address = cluster.shards().address(name)?;
        crate::pg::catalog::check_identity(name, &address, Some(*cluster_id), said.identity())?;
    }
    let ring = topology.ring();
    let addresses = install::addresses(cluster.shards())?;
    let plan = install::InstallPlan { membership: &standing.membership, ring: &ring, addresses };
    let mut session = cluster.shards().checkout(name)?;
    let fail = |cause: postgres::Error| sqlstate::doing("prepare the shard", name, &cause);
    let address = cluster.shards().address(name)?;
    let taken = || {
        let message = format!(
            "the database of shard `{name}` at {} holds users or arcs already, and is to begin empty",
            address.shown()
        );
        Error::new(Kind::Conflict, message)
            .hint("name an empty database; users that are there can be exported, and imported when it is a shard")
            .on_shard(name)
    };
    if own.has_users && session.query("SELECT FROM public.users LIMIT 1", &[]).map_err(fail)?.len() == 1 {
        return Err(taken());
    }
    plan.make_shard(&mut session, name, own)?;
    // One that was here before, or was made for a wish that was given up, may be behind.
    let parameters: &[Parameter<'_>] = &[(&epoch.number(), Type::INT8), (&Json(topology), Type::JSONB)];
    let rows = session.query(include_str!("../../../sql/queries/join.sql"), parameters).map_err(fail)?;
    if rows.is_empty() {
        return Err(taken());
    }
    write_endpoints(cluster, &mut session, name)?;
    drop(session);
    announce_endpoint(cluster, &names, name)
}

/// A new shard learns which replicas there are, and where old data may come back.
fn write_endpoints(cluster: &Cluster, session: &mut PooledSession, name: &ShardName) -> Result<()> {
    let view = cluster.view();
    let fail = |cause: postgres::Error| sqlstate::doing("write down where the shards are", name, &cause);
    for (shard, place) in &view.endpoints {
        let sql = "UPDATE ringshard.shard_endpoint SET replicas = $2, incarnation = $3 WHERE shard = $1";
        let parameters: &[Parameter<'_>] = &[
            (&shard.as_str(), Type::TEXT),
            (&place.replicas, Type::TEXT_ARRAY),
            (&place.incarnation.0, Type::INT8),
        ];
        session.query(sql, parameters).map_err(fail)?;
    }
    let sql = "UPDATE ringshard.meta SET stale_endpoints = $1";
    session.query(sql, &[(&Json(&view.stale_endpoints), Type::JSONB)]).map_err(fail)?;
    Ok(())
}

/// Each of these shards learns where the new one is.
fn announce_endpoint(cluster: &Cluster, names: &[ShardName], new: &ShardName) -> Result<()> {
    let address = cluster.shards().address(new)?;
    let told = cluster.shards().on_each(names, |name, session| {
        let parameters: &[Parameter<'_>] = &[(&new.as_str(), Type::TEXT), (&address.shown(), Type::TEXT)];
        session
            .query(
                "WITH known AS (INSERT INTO ringshard.shard_endpoint (shard, url) VALUES ($1, $2) \
                            ON CONFLICT (shard) DO UPDATE SET url = excluded.url) \
             UPDATE ringshard.meta SET stale_endpoints = stale_endpoints - $2",
                parameters,
            )
            .map_err(|cause| sqlstate::doing("write down an address", name, &cause))
    });
    told.into_iter().try_for_each(|(_, told)| told.map(|_| ()))
}
