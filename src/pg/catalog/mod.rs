//! The catalog of a shard: reads the shard's description of its cluster, makes the catalog and upgrades it. It moves no
//! rows.

pub(crate) mod functions;
pub mod imports;
pub mod init;
pub mod inspect;
pub(crate) mod install;
pub(crate) mod relation;
mod topology_md5;
pub(crate) mod triggers;

pub use topology_md5::TopologyMd5;

use std::collections::BTreeMap;

use postgres::Row;
use postgres::types::Json;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::model::names::{ClusterId, ShardName};
use crate::model::rebalance::{Change, RingState};
use crate::model::ring::arc::{Arc, ArcState, ShardArc};
use crate::model::ring::position::Position;
use crate::model::ring::topology::{Epoch, Membership, Topology};
use crate::model::table::TableName;
use crate::pg::net::conninfo::Address;
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;

/// The index on the position of `users`, on the sources of a rebalance.
pub(crate) const POSITION_INDEX: &str = "ringshard_position";
/// The version of the catalog that this program makes and understands.
pub const CATALOG_VERSION: i32 = 14;

/// A quoted SQL identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The name of the index on the position of a table, without its schema.
pub(crate) fn position_index(table: &TableName) -> String {
    if *table == TableName::users() {
        return POSITION_INDEX.into();
    }
    // A table's name is too long to be part of another one.
    format!("{POSITION_INDEX}_{:08x}", Position::of_key(table.as_sql()).number() >> 96)
}

/// What a shard's catalog says of the shard and its cluster.
#[derive(Debug, Clone)]
pub struct SelfDescription {
    /// The version of its catalog, [`CATALOG_VERSION`] or older.
    pub catalog_version: i32,
    /// The name of the shard.
    pub shard: ShardName,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its state of the ring.
    pub ring: RingState,
    /// The endpoints of the cluster's shards.
    pub endpoints: BTreeMap<ShardName, ShardEndpoint>,
    /// One more than the number of takeovers of this shard.
    pub incarnation: Incarnation,
    /// The addresses of stale primaries, each with its shard.
    pub stale_endpoints: BTreeMap<String, ShardName>,
    /// The topology whose arcs the shard has exactly; `None` if that is not certain, as during a change.
    pub topology_md5: Option<TopologyMd5>,
}

impl SelfDescription {
    /// Which shard of which cluster this is.
    pub(crate) fn identity(&self) -> (&str, ClusterId) {
        (self.shard.as_str(), self.cluster)
    }

    /// Its cluster with the topology in force.
    pub fn membership(&self) -> Membership {
        let RingState { epoch, topology, .. } = &self.ring;
        Membership { cluster: self.cluster, epoch: *epoch, topology: topology.clone() }
    }
}

/// Grows by one with each takeover of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Incarnation(pub i64);

impl Incarnation {
    /// Before any.
    pub const NONE: Self = Self(0);
}

impl Default for Incarnation {
    fn default() -> Self {
        Self(1)
    }
}

/// The addresses of a shard's servers, without passwords.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ShardEndpoint {
    /// The URL of its primary.
    pub url: String,
    /// The URLs of its standbys.
    #[serde(default)]
    pub replicas: Vec<String>,
    /// The incarnation that `url` belongs to.
    #[serde(default)]
    pub incarnation: Incarnation,
}

/// Reads the description of a shard. Fails with `Configuration` if the catalog has another version.
pub(crate) fn describe(session: &mut Session, shard: &ShardName) -> Result<SelfDescription> {
    let description = describe_any(session, shard)?;
    if description.catalog_version == CATALOG_VERSION {
        return Ok(description);
    }
    let message = format!(
        "the catalog of shard `{shard}` has version {}, and this ringshard needs version {CATALOG_VERSION}",
        description.catalog_version
    );
    Err(Error::new(Kind::Configuration, message).hint("ringshard init-shards upgrades it").on_shard(shard))
}

/// As [`describe`], but also accepts a catalog of an older version.
pub(crate) fn describe_any(session: &mut Session, shard: &ShardName) -> Result<SelfDescription> {
    let fail = |cause: postgres::Error| sqlstate::doing("read the catalog", shard, &cause);
    let rows = match session.query(include_str!("../../../sql/queries/membership.sql"), &[]) {
        Err(cause) if sqlstate::is_of_another_version(&cause) => {
            session.query(include_str!("../../../sql/queries/membership_before_6.sql"), &[]).map_err(fail)?
        }
        rows => rows.map_err(fail)?,
    };
    read_description(&only(rows, "read the catalog", shard)?, shard)
}

/// Reads a row of `sql/queries/membership.sql`.
pub(crate) fn read_description(row: &Row, shard: &ShardName) -> Result<SelfDescription> {
    let version: i32 = row.get("catalog_version");
    if version > CATALOG_VERSION {
        let message = format!(
            "the catalog of shard `{shard}` has version {version}, and this ringshard understands {CATALOG_VERSION}"
        );
        return Err(Error::new(Kind::Configuration, message).hint("use a newer ringshard").on_shard(shard));
    }
    let broken = |what: &str, why: String| damaged(shard, what, &why);
    let topology = |column: &'static str| {
        row.try_get::<_, Option<Json<Topology>>>(column)
            .map(|read| read.map(|Json(topology)| topology))
            .map_err(|cause| broken(&format!("`meta.{column}`"), sqlstate::message_of(&cause)))
    };
    let in_force =
        topology("topology")?.ok_or_else(|| broken("`meta.topology`", "it is missing".to_owned()))?;
    let change = match topology("next_topology")? {
        Some(next_topology) => {
            let participants = json(row, "participants")
                .map_err(|cause| broken("`meta.participants`", sqlstate::message_of(&cause)))?;
            Some(Change { next_topology, participants })
        }
        None => None,
    };
    let name: ShardName = row.get::<_, String>("shard").parse().map_err(|why| broken("`meta.shard`", why))?;
    let endpoints =
        json(row, "endpoints").map_err(|cause| broken("`shard_endpoint`", sqlstate::message_of(&cause)))?;
    let stale_endpoints = json(row, "stale_endpoints")
        .map_err(|cause| broken("`meta.stale_endpoints`", sqlstate::message_of(&cause)))?;
    Ok(SelfDescription {
        catalog_version: version,
        shard: name,
        cluster: row.get("cluster"),
        ring: RingState {
            epoch: Epoch::new(row.get("epoch")),
            topology: in_force,
            change,
            desired_topology: topology("desired_topology")?,
        },
        endpoints,
        incarnation: Incarnation(row.get("incarnation")),
        stale_endpoints,
        topology_md5: row.get::<_, Option<Uuid>>("topology_md5").map(TopologyMd5),
    })
}

/// A JSON column; the default if it is NULL.
fn json<T: DeserializeOwned + Default>(row: &Row, column: &str) -> Result<T, postgres::Error> {
    Ok(row.try_get::<_, Option<Json<T>>>(column)?.map(|Json(value)| value).unwrap_or_default())
}

/// Fails with `Configuration` if a database belongs to another shard or another cluster.
pub fn check_identity(
    shard: &ShardName,
    address: &Address,
    cluster: Option<ClusterId>,
    (found_shard, found_cluster): (&str, ClusterId),
) -> Result<()> {
    let refuse = |message: String| {
        Err(Error::new(Kind::Configuration, message)
            .hint("correct the URLs: ringshard config show prints where each comes from")
            .on_shard(shard))
    };
    if let Some(cluster) = cluster.filter(|cluster| *cluster != found_cluster) {
        return refuse(format!(
            "the database of shard `{shard}` at {} belongs to another cluster: `{found_cluster}` instead of `{cluster}`",
            address.shown()
        ));
    }
    if shard.as_str() != found_shard {
        return refuse(format!(
            "the database of shard `{shard}` at {} belongs to shard `{found_shard}`",
            address.shown()
        ));
    }
    Ok(())
}

/// The arcs that a shard holds, by the columns `firsts`, `lasts`, `epochs` and `transfers_to`.
pub(crate) fn arcs_of(row: &Row, shard: &ShardName) -> Result<Vec<ShardArc>> {
    let (firsts, lasts): (Vec<Uuid>, Vec<Uuid>) = (row.get("firsts"), row.get("lasts"));
    let (epochs, targets): (Vec<i64>, Vec<Option<String>>) = (row.get("epochs"), row.get("transfers_to"));
    let arcs = firsts.into_iter().zip(lasts).zip(epochs.into_iter().zip(targets));
    arcs.map(|((first, last), (epoch, target))| {
        let state = match target {
            None => ArcState::Owned,
            Some(target) => {
                ArcState::Fenced(target.parse().map_err(|why: String| damaged(shard, "`arc`", &why))?)
            }
        };
        // The table's CHECK sees to it that an arc does not wrap.
        let arc = Arc::new(first.into(), last.into());
        Ok(ShardArc { arc, epoch: Epoch::new(epoch), state })
    })
    .collect()
}

fn damaged(shard: &ShardName, what: &str, why: &str) -> Error {
    Error::new(Kind::Configuration, format!("the catalog of shard `{shard}` is damaged: {what}: {why}"))
        .hint("restore the schema `ringshard` of that database from a backup")
        .on_shard(shard)
}
