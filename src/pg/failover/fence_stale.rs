//! Fences stale primaries: the server of a shard that was replaced or removed answers again.
//!
//! Its catalog still says that it owns arcs, and a client with an old topology would use it. So it gets another name, and
//! its arcs are removed; its rows stay, and `verify` compares them with those of the owners.

use postgres::types::{Json, Type};

use crate::error::{Error, Kind, Result};
use crate::model::names::{SHARD_NAME_BYTES_MAX, ShardName};
use crate::pg::catalog::{self, SelfDescription};
use crate::pg::cluster::Cluster;
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate::{self, on_shard};
use crate::pg::requests::connection::Connection;
use crate::threads;

/// A stale primary that answers, and is fenced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StalePrimary {
    /// The shard of which it was the primary.
    pub shard: ShardName,
    /// Its new name.
    pub name: ShardName,
    /// Its address.
    pub url: String,
    /// Its number of rows.
    pub rows: i64,
    /// Whether it was fenced just now, and so may have served until now.
    pub is_new: bool,
}

/// Probes the addresses of all stale primaries, and fences those that answer. An error for each that answers and cannot be
/// fenced.
pub fn fence_stale_primaries(cluster: &Cluster) -> Vec<Result<StalePrimary>> {
    let endpoints = cluster.view().stale_endpoints.clone();
    let probed = threads::at_once(&endpoints, |(url, shard)| probe_endpoint(cluster, url, shard));
    probed.into_iter().filter_map(Result::transpose).collect()
}

fn probe_endpoint(cluster: &Cluster, url: &str, shard: &ShardName) -> Result<Option<StalePrimary>> {
    let address = cluster.shards().resolve(shard, &ConnectionString::new(url))?;
    let mut session = match Session::try_connect(shard, &address) {
        Ok(session) => session,
        // A server answers, but refuses this URL, which has no password.
        Err(failed) if failed.has_answered && failed.error.kind() != Kind::Unreachable => {
            let message = format!(
                "cannot check the server at {url}, an earlier address of shard `{shard}`: {}",
                failed.message
            );
            return Err(Error::new(failed.error.kind(), message)
                .hint("stop that server if it is a stale primary of the shard, or set its password in ~/.pgpass")
                .on_shard(shard));
        }
        Err(_) => return Ok(None),
    };
    let sql = "SELECT pg_catalog.to_regprocedure('ringshard.fence_stale_primary(text,text,bigint,jsonb)') IS NOT NULL";
    let doing = |cause: postgres::Error| sqlstate::doing("check a stale primary", shard, &cause);
    // Another database by now: without a catalog, or with one from before takeovers existed.
    if !only(session.query(sql, &[]).map_err(doing)?, "check a stale primary", shard)?.get::<_, bool>(0) {
        return Ok(None);
    }
    let description = catalog::describe(&mut session, shard)?;
    fence(cluster, Connection::over(shard, session, false)?, &description, url, shard)
}

/// Fences a server if it is a stale primary of the shard; `None` if it is something else by now.
fn fence(
    cluster: &Cluster,
    mut connection: Connection,
    description: &SelfDescription,
    url: &str,
    shard: &ShardName,
) -> Result<Option<StalePrimary>> {
    let view = cluster.view();
    let name = name_of(shard, description);
    let is_ours = cluster.id() == Some(description.cluster);
    let is_known = description.shard == *shard || description.shard == name;
    // The latest incarnation may have been moved there.
    let is_latest = view
        .endpoints
        .get(shard)
        .is_some_and(|endpoint| endpoint.url == url || description.incarnation > endpoint.incarnation);
    let doing = |cause: postgres::Error| sqlstate::doing("check a stale primary", shard, &cause);
    let sql = "SELECT pg_catalog.pg_is_in_recovery(), ringshard.count_rows()";
    let row = only(connection.session().query(sql, &[]).map_err(doing)?, "check a stale primary", shard)?;
    let is_standby: bool = row.get(0);
    if !is_ours || !is_known || is_standby || (is_latest && description.shard == *shard) {
        return Ok(None);
    }
    let mut connection = Connection::over(shard, connection.into_session(), true)?;
    connection
        .answer(
            "SELECT ringshard.fence_stale_primary($1, $2, $3, $4)",
            &[
                (&shard.as_str(), Type::TEXT),
                (&name.as_str(), Type::TEXT),
                (&view.epoch.number(), Type::INT8),
                (&Json(&view.topology), Type::JSONB),
            ],
        )
        .map_err(on_shard("fence a stale primary", shard))?;
    let is_new = description.shard == *shard;
    if is_new {
        log::warn!(
            "Fenced a stale primary of shard {shard} at {url}: its name is {name} now, and it owns nothing"
        );
    }
    Ok(Some(StalePrimary { shard: shard.clone(), name, url: url.to_owned(), rows: row.get(1), is_new }))
}

/// Makes all shards forget the address of a stale primary.
pub fn forget_stale_endpoint(cluster: &Cluster, url: &str) -> Result<()> {
    let forgotten = cluster.shards().on_each(&cluster.belonging(), |name, session| {
        let sql = "UPDATE ringshard.meta SET stale_endpoints = stale_endpoints - $1";
        session
            .query(sql, &[(&url, Type::TEXT)])
            .map_err(|cause| sqlstate::doing("forget the address of a stale primary", name, &cause))
    });
    forgotten.into_iter().try_for_each(|(_, forgotten)| forgotten.map(|_| ()))
}

/// Makes `verify` compare the rows of these stale primaries too.
pub fn include_stale_primaries(cluster: &Cluster, stale_primaries: &[StalePrimary]) -> Result<()> {
    for StalePrimary { name, url, .. } in stale_primaries {
        if !cluster.shards().names().contains(name) {
            cluster.shards().add(name.clone(), &ConnectionString::new(url))?;
        }
        cluster.stale_primaries.write().insert(name.clone());
    }
    Ok(())
}

/// The new name of a fenced stale primary.
fn name_of(shard: &ShardName, description: &SelfDescription) -> ShardName {
    let end = format!("_retired_{}", description.incarnation.0);
    let mut base = shard.as_str().to_owned();
    base.truncate(SHARD_NAME_BYTES_MAX - end.len());
    format!("{base}{end}")
        .parse()
        .expect("a shard's name followed by letters, digits and `_` is a valid name")
}
