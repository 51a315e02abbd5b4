//! What a database holds before `init-shards` touches it.

use std::collections::BTreeMap;

use super::SelfDescription;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::pg::catalog;
use crate::pg::net::session::only;
use crate::pg::net::sqlstate;
use crate::pg::pool::{PooledSession, Shards};

/// The oldest Postgres that the catalog works on, as `server_version_num` has it.
pub(crate) const OLDEST_VERSION: i32 = 140_000;

/// What was done about a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitOutcome {
    /// Table and catalog were made.
    Created,
    /// The catalog was made for a `users` table that was there, with this many rows.
    Adopted(i64),
    /// The catalog was an older one, and is of this ringshard's version now.
    Upgraded,
    /// An index or a trigger was missing or another one, and was made again.
    Repaired,
    /// All was there.
    Unchanged,
}

/// What a database holds before it is touched.
pub(crate) struct Inspection {
    identity: String,
    pub(crate) has_users: bool,
    pub(crate) has_region_index: bool,
    /// Name and type, sorted.
    pub(crate) columns: Vec<String>,
    pub(crate) said: Option<SelfDescription>,
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
        .map_err(|cause| sqlstate::doing("look at the database", name, &cause))?;
    let row = only(rows, "look at the database", name)?;
    let version: i32 = row.get("version");
    if version < OLDEST_VERSION {
        let message = format!("shard `{name}` runs Postgres {}, and ringshard needs 14", version / 10_000);
        return Err(Error::new(Kind::Configuration, message).hint("use a newer server").on_shard(name));
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
    let said = if row.get("has_catalog") { Some(catalog::describe_any(session, name)?) } else { None };
    Ok(Inspection {
        identity: row.get("identity"),
        has_users: row.get("has_users"),
        has_region_index: row.get("has_region_index"),
        columns,
        said,
    })
}

pub(crate) fn check_distinct(shards: &Shards, found: &BTreeMap<ShardName, Inspection>) -> Result<()> {
    let mut seen: BTreeMap<&str, &ShardName> = BTreeMap::new();
    for (name, found) in found {
        if let Some(twin) = seen.insert(&found.identity, name) {
            let message = format!(
                "shards `{twin}` and `{name}` lead to the same database, {} and {}",
                shards.address(twin)?.shown(),
                shards.address(name)?.shown()
            );
            return Err(Error::new(Kind::Configuration, message)
                .hint("give each shard a database of its own")
                .on_shard(name));
        }
    }
    Ok(())
}
