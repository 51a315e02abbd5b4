//! Old data of a shard comes back: a primary that was replaced, or a shard that was removed as it was gone for good.
//!
//! It says of itself that it owns arcs, and would serve whoever has not heard better. So it is given another name, and
//! its arcs are taken from it; its rows stay, and `verify` compares them with what the owners have.

use postgres::types::{Json, Type};

use super::survivors::ours;
use crate::error::{Error, Kind, Result};
use crate::model::names::{SHARD_NAME_BYTES_MAX, ShardName};
use crate::pg::catalog;
use crate::pg::catalog::SelfDescription;
use crate::pg::cluster::Cluster;
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;
use crate::pg::rebalance::connection::Connection;
use crate::threads;

/// Old data of a shard that is there again, and serves nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StalePrimary {
    /// The shard that it was.
    pub shard: ShardName,
    /// What it is called now.
    pub name: ShardName,
    /// Where it is.
    pub url: String,
    /// How many users lie there.
    pub rows: i64,
    /// Whether it served until now, for all that is known.
    pub is_news: bool,
}

/// Looks whether old data of shards has come back, and sees to it that it does not serve. What could not be seen to
/// is an error; where nothing answers, nothing has come back.
pub fn fence_stale_primaries(cluster: &Cluster) -> Vec<Result<StalePrimary>> {
    let retired = cluster.view().stale_endpoints.clone();
    let looked = threads::at_once(&retired, |(url, shard)| probe_endpoint(cluster, url, shard));
    looked.into_iter().filter_map(Result::transpose).collect()
}

fn probe_endpoint(cluster: &Cluster, url: &str, shard: &ShardName) -> Result<Option<StalePrimary>> {
    let address = cluster.shards().resolve(shard, &ConnectionString::new(url))?;
    let mut session = match Session::try_connect(shard, &address) {
        Ok(session) => session,
        // Somebody is there whom this URL, which has no password, does not let in.
        Err(failed) if failed.is_there && failed.error.kind() != Kind::Unreachable => {
            let message = format!(
                "at {url}, where shard `{shard}` was once, a server is not to be looked at: {}",
                failed.words
            );
            return Err(Error::new(failed.error.kind(), message)
                .hint("if it may hold old data of the shard, stop it; or give the password in ~/.pgpass")
                .on_shard(shard));
        }
        Err(_) => return Ok(None),
    };
    let sql = "SELECT pg_catalog.to_regprocedure('ringshard.fence_stale_primary(text,text,bigint,jsonb)') IS NOT NULL";
    let doing = |cause: postgres::Error| sqlstate::doing("look at old data", shard, &cause);
    // Another database by now, without a catalog, or with one that is older than any that was replaced.
    if !only(session.query(sql, &[]).map_err(doing)?, "look at old data", shard)?.get::<_, bool>(0) {
        return Ok(None);
    }
    let said = catalog::describe(&mut session, shard)?;
    fence(cluster, Connection::over(shard, session, false)?, &said, url, shard)
}

/// Takes name and arcs from old data of a shard, if it is that; `None` if it is something else by now.
fn fence(
    cluster: &Cluster,
    mut link: Connection,
    said: &SelfDescription,
    url: &str,
    shard: &ShardName,
) -> Result<Option<StalePrimary>> {
    let view = cluster.view();
    let name = name_of(shard, said);
    let is_ours = cluster.id() == Some(said.cluster);
    let is_known = said.shard == *shard || said.shard == name;
    // The latest incarnation may have been brought there.
    let is_latest = view
        .endpoints
        .get(shard)
        .is_some_and(|place| place.url == url || said.incarnation > place.incarnation);
    let doing = |cause: postgres::Error| sqlstate::doing("look at old data", shard, &cause);
    let sql = "SELECT pg_catalog.pg_is_in_recovery(), (SELECT count(*) FROM public.users)";
    let row = only(link.session().query(sql, &[]).map_err(doing)?, "look at old data", shard)?;
    let is_standby: bool = row.get(0);
    if !is_ours || !is_known || is_standby || (is_latest && said.shard == *shard) {
        return Ok(None);
    }
    let mut link = Connection::over(shard, link.into_session(), true)?;
    link.answer(
        "SELECT ringshard.fence_stale_primary($1, $2, $3, $4)",
        &[
            (&shard.as_str(), Type::TEXT),
            (&name.as_str(), Type::TEXT),
            (&view.epoch.number(), Type::INT8),
            (&Json(&view.topology), Type::JSONB),
        ],
    )
    .map_err(ours("fence old data", shard))?;
    let is_news = said.shard == *shard;
    if is_news {
        log::warn!("Fenced old data of shard {shard} at {url}: it is called {name} now and owns nothing");
    }
    Ok(Some(StalePrimary { shard: shard.clone(), name, url: url.to_owned(), rows: row.get(1), is_news }))
}

/// Nothing is left at a retired address: all shards forget it.
pub fn forget_stale_endpoint(cluster: &Cluster, url: &str) -> Result<()> {
    let told = cluster.shards().on_each(&cluster.belonging(), |name, session| {
        let sql = "UPDATE ringshard.meta SET stale_endpoints = stale_endpoints - $1";
        session
            .query(sql, &[(&url, Type::TEXT)])
            .map_err(|cause| sqlstate::doing("forget a retired address", name, &cause))
    });
    told.into_iter().try_for_each(|(_, told)| told.map(|_| ()))
}

/// From here on `verify` looks at the rows of these as well.
pub fn include_stale_primaries(cluster: &Cluster, stale_primaries: &[StalePrimary]) -> Result<()> {
    for StalePrimary { name, url, .. } in stale_primaries {
        if !cluster.shards().names().contains(name) {
            cluster.shards().add(name.clone(), &ConnectionString::new(url))?;
        }
        cluster.stale_primaries.write().insert(name.clone());
    }
    Ok(())
}

/// What old data of a shard is called.
fn name_of(shard: &ShardName, said: &SelfDescription) -> ShardName {
    let end = format!("_retired_{}", said.incarnation.0);
    let mut base = shard.as_str().to_owned();
    base.truncate(SHARD_NAME_BYTES_MAX - end.len());
    format!("{base}{end}").parse().expect("a shard's name with letters, digits and `_` behind it is one")
}
