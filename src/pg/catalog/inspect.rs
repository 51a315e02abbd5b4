//! Inspects a database before `init-shards` changes it. It changes nothing.

use std::collections::BTreeMap;

use postgres::Row;

use super::SelfDescription;
use super::functions::USERS_KEY;
use super::relation::Relation;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::table::TableName;
use crate::pg::catalog;
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;
use crate::pg::pool::{PooledSession, Shards};

/// The oldest supported Postgres, as `server_version_num`.
pub(crate) const OLDEST_VERSION: i32 = 140_000;

/// The columns of the Python prototype's table, sorted.
pub(crate) const COLUMNS: [&str; 4] = [
    "email character varying(100)",
    "name character varying(100)",
    "region character varying(50)",
    "user_id bigint primary key",
];

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
    /// Whether it has any table of the user's own.
    pub(crate) has_tables: bool,
    pub(crate) has_region_index: bool,
    /// Name and type, sorted.
    pub(crate) columns: Vec<String>,
    pub(crate) description: Option<SelfDescription>,
    /// The table `users`, if there is one.
    pub(crate) relation: Option<Relation>,
}

impl Inspection {
    /// Whether the cluster may begin with the table `users` of the Python prototype here: there is one with its columns, whatever
    /// their types, and without partitions, or there is no table.
    pub(crate) fn fits_prototype(&self) -> bool {
        let name = |column: &str| column.split(' ').next().unwrap_or_default().to_owned();
        if self.has_users {
            !self.relation.as_ref().is_some_and(Relation::is_partitioned)
                && self.columns.iter().map(|column| name(column)).eq(COLUMNS.map(name))
        } else {
            !self.has_tables
        }
    }
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
        return Err(Error::new(Kind::Configuration, message).hint(utf8_hint(name)).on_shard(name));
    }
    let mut columns: Vec<String> =
        row.get::<_, Option<&str>>("columns").unwrap_or_default().split(", ").map(Into::into).collect();
    columns.sort();
    let description = if row.get("has_catalog") { Some(catalog::describe_any(session, name)?) } else { None };
    let relation = Relation::read(session.client(), &TableName::users(), USERS_KEY)
        .map_err(|cause| sqlstate::doing("inspect the table `users`", name, &cause))?;
    if description.is_none() || !row.get::<_, bool>("has_users") || !row.get::<_, bool>("has_region_index") {
        check_rights(&row, description.is_some(), name)?;
    }
    Ok(Inspection {
        relation,
        identity: row.get("identity"),
        has_users: row.get("has_users"),
        has_tables: row.get("has_tables"),
        has_region_index: row.get("has_region_index"),
        columns,
        description,
    })
}

/// How to make a database for a shard whose own is not encoded in UTF8.
pub(crate) fn utf8_hint(shard: &ShardName) -> String {
    format!(
        "use another database, made by: CREATE DATABASE \"{shard}_utf8\" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
    )
}

/// Checks that this role may create what is missing.
fn check_rights(row: &Row, has_catalog: bool, name: &ShardName) -> Result<()> {
    let (database, role): (&str, &str) = (row.get("database"), row.get("role"));
    let Some(may_create_table) = row.get::<_, Option<bool>>("may_create_table") else {
        let message = format!("the database {database} of shard `{name}` has no schema `public`");
        let hint = format!("run in that database, as its owner: CREATE SCHEMA public AUTHORIZATION {role}");
        return Err(Error::new(Kind::Configuration, message).hint(hint).on_shard(name));
    };
    let may_create_schema = has_catalog || row.get("may_create_schema");
    let mut grants = Vec::new();
    if !may_create_schema {
        grants.push(format!("GRANT CREATE ON DATABASE {database} TO {role}"));
    }
    if !may_create_table {
        grants.push(format!("GRANT USAGE, CREATE ON SCHEMA public TO {role}"));
    }
    if grants.is_empty() {
        return Ok(());
    }
    let message = format!(
        "permission denied: {role} may not create what is missing in database {database} of shard `{name}`"
    );
    let hint = format!("run in that database, as its owner: {}", grants.join("; "));
    Err(Error::new(Kind::Permission, message).hint(hint).on_shard(name))
}

/// The identity of the database and server of a session, whatever the URL.
pub(crate) fn database_identity(session: &mut Session, shard: &ShardName) -> Result<String> {
    let what = "identify the database";
    let rows = session
        .query(include_str!("../../../sql/queries/doctor/identity.sql"), &[])
        .map_err(|cause| sqlstate::doing(what, shard, &cause))?;
    Ok(only(rows, what, shard)?.get("identity"))
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
