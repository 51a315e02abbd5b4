//! Inspects a database before `init-shards` changes it. It changes nothing.

use std::collections::BTreeMap;

use super::SelfDescription;
use super::relation::Relation;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::pg::catalog;
use crate::pg::net::session::only;
use crate::pg::net::sqlstate;
use crate::pg::pool::{PooledSession, Shards};

/// The oldest supported Postgres, as `server_version_num`.
pub(crate) const OLDEST_VERSION: i32 = 140_000;

/// What `init-shards` did to a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitOutcome {
    /// Created table and catalog.
    Created,
    /// Created the catalog for an existing `users` table with this many rows.
    Adopted(i64),
    /// Upgraded an older catalog.
    Upgraded,
    /// Created an index or a trigger that was missing or different.
    Repaired,
    /// Everything existed.
    Unchanged,
}

/// What a database holds.
pub(crate) struct Inspection {
    identity: String,
    pub(crate) has_users: bool,
    pub(crate) has_region_index: bool,
    /// Name and type, sorted.
    pub(crate) columns: Vec<String>,
    pub(crate) description: Option<SelfDescription>,
    /// The table `users`, if there is one.
    pub(crate) relation: Option<Relation>,
}

pub(crate) fn inspect_all(shards: &Shards, names: &[ShardName]) -> Result<BTreeMap<ShardName, Inspection>> {
    shards
        .on_each(names, |name, session| inspect(session, name))
        .into_iter()
        .map(|(name, found)| found.map(|found| (name, found)))
        .collect()
}

fn inspect(session: &mut PooledSession, name: &ShardName) -> Result<Inspection> {
    let rows = session
        .query(include_str!("../../../sql/queries/inspect.sql"), &[])
        .map_err(|cause| sqlstate::doing("inspect the database", name, &cause))?;
    let row = only(rows, "inspect the database", name)?;
    let version: i32 = row.get("version");
    if version < OLDEST_VERSION {
        let message = format!("shard `{name}` runs Postgres {}, and ringshard needs 14", version / 10_000);
        return Err(Error::new(Kind::Configuration, message).hint("use Postgres 14 or newer").on_shard(name));
    }
    let encoding: &str = row.get("encoding");
    if encoding != "UTF8" {
        let message =
            format!("the database of shard `{name}` is encoded in {encoding}, and ringshard needs UTF8");
        return Err(Error::new(Kind::Configuration, message)
            .hint("CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0")
            .on_shard(name));
    }
    let mut columns: Vec<String> =
        row.get::<_, Option<&str>>("columns").unwrap_or_default().split(", ").map(Into::into).collect();
    columns.sort();
    let description = if row.get("has_catalog") { Some(catalog::describe_any(session, name)?) } else { None };
    let relation = Relation::read(session.client())
        .map_err(|cause| sqlstate::doing("inspect the table `users`", name, &cause))?;
    Ok(Inspection {
        relation,
        identity: row.get("identity"),
        has_users: row.get("has_users"),
        has_region_index: row.get("has_region_index"),
        columns,
        description,
    })
}

pub(crate) fn check_distinct(shards: &Shards, found: &BTreeMap<ShardName, Inspection>) -> Result<()> {
    let mut seen: BTreeMap<&str, &ShardName> = BTreeMap::new();
    for (name, found) in found {
        if let Some(other) = seen.insert(&found.identity, name) {
            let message = format!(
                "shards `{other}` and `{name}` have the same database, {} and {}",
                shards.address(other)?.shown(),
                shards.address(name)?.shown()
            );
            return Err(Error::new(Kind::Configuration, message)
                .hint("give each shard a database of its own")
                .on_shard(name));
        }
    }
    Ok(())
}
