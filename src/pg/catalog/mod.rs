//! The catalog of a shard: reading what it says of its cluster.

pub mod init;
pub mod inspect;
pub(crate) mod install;
pub(crate) mod triggers;

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
use crate::model::ring::topology::{Epoch, Membership, Topology};
use crate::pg::net::conninfo::Address;
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;

/// The version of the catalog that this program makes and understands.
pub const CATALOG_VERSION: i32 = 6;

/// A shard's own word about itself.
#[derive(Debug, Clone)]
pub struct SelfDescription {
    /// The version of its catalog, [`CATALOG_VERSION`] or older.
    pub catalog_version: i32,
    /// The shard that this database says it is.
    pub shard: ShardName,
    /// Its cluster.
    pub cluster: ClusterId,
    /// What it says of the ring.
    pub ring: RingState,
    /// Where the shards of the cluster are.
    pub endpoints: BTreeMap<ShardName, ShardEndpoint>,
    /// How often a replica has taken this shard over, and one.
    pub incarnation: Incarnation,
    /// Addresses at which old data of shards may come back, and whose.
    pub stale_endpoints: BTreeMap<String, ShardName>,
    /// By what the catalog knows the ring whose arcs the shard has; `None` while that is not so for sure.
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

/// By what a catalog knows a ring: the MD5 of its topology as Postgres writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopologyMd5(pub Uuid);

/// Grows by one when a replica takes a shard over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Incarnation(pub i64);

impl Default for Incarnation {
    fn default() -> Self {
        Self(1)
    }
}

/// Where a shard is, without passwords.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ShardEndpoint {
    /// Its primary.
    pub url: String,
    /// Its standbys.
    #[serde(default)]
    pub replicas: Vec<String>,
    /// Which of the shard's incarnations is there.
    #[serde(default)]
    pub incarnation: Incarnation,
}

/// Asks a database which shard it is. A catalog of an older version is refused.
pub(crate) fn describe(session: &mut Session, shard: &ShardName) -> Result<SelfDescription> {
    let said = describe_any(session, shard)?;
    if said.catalog_version == CATALOG_VERSION {
        return Ok(said);
    }
    let message = format!(
        "the catalog of shard `{shard}` has version {}, and this ringshard needs version {CATALOG_VERSION}",
        said.catalog_version
    );
    Err(Error::new(Kind::Configuration, message).hint("ringshard init-shards upgrades it").on_shard(shard))
}

/// The same, and a catalog of an older version will do.
pub(crate) fn describe_any(session: &mut Session, shard: &ShardName) -> Result<SelfDescription> {
    let fail = |cause: postgres::Error| sqlstate::doing("read the catalog", shard, &cause);
    let rows = match session.query(include_str!("../../../sql/queries/membership.sql"), &[]) {
        Err(cause) if sqlstate::is_of_another_version(&cause) => {
            session.query(include_str!("../../../sql/queries/membership_before_6.sql"), &[]).map_err(fail)?
        }
        rows => rows.map_err(fail)?,
    };
    description(&only(rows, "read the catalog", shard)?, shard)
}

/// What the columns of `sql/queries/membership.sql` say.
pub(crate) fn description(row: &Row, shard: &ShardName) -> Result<SelfDescription> {
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
            .map_err(|cause| broken(&format!("`meta.{column}`"), sqlstate::words_of(&cause)))
    };
    let in_force =
        topology("topology")?.ok_or_else(|| broken("`meta.topology`", "it is missing".to_owned()))?;
    let change = match topology("next_topology")? {
        Some(next_topology) => {
            let participants = json(row, "participants")
                .map_err(|cause| broken("`meta.participants`", sqlstate::words_of(&cause)))?;
            Some(Change { next_topology, participants })
        }
        None => None,
    };
    let name: ShardName = row.get::<_, String>("shard").parse().map_err(|why| broken("`meta.shard`", why))?;
    let endpoints =
        json(row, "endpoints").map_err(|cause| broken("`shard_endpoint`", sqlstate::words_of(&cause)))?;
    let stale_endpoints = json(row, "stale_endpoints")
        .map_err(|cause| broken("`meta.stale_endpoints`", sqlstate::words_of(&cause)))?;
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

/// A column of JSON; what it is by default if it is not there.
fn json<T: DeserializeOwned + Default>(row: &Row, column: &str) -> Result<T, postgres::Error> {
    Ok(row.try_get::<_, Option<Json<T>>>(column)?.map(|Json(value)| value).unwrap_or_default())
}

/// Refuses a database that is another shard's, or another cluster's.
pub fn check_identity(
    shard: &ShardName,
    address: &Address,
    cluster: Option<ClusterId>,
    (said_shard, said_cluster): (&str, ClusterId),
) -> Result<()> {
    let refuse = |message: String| {
        Err(Error::new(Kind::Configuration, message)
            .hint("correct the URLs: ringshard config show names where each comes from")
            .on_shard(shard))
    };
    if let Some(cluster) = cluster.filter(|cluster| *cluster != said_cluster) {
        return refuse(format!(
            "the database of shard `{shard}` at {} belongs to another cluster: `{said_cluster}` instead of `{cluster}`",
            address.shown()
        ));
    }
    if shard.as_str() != said_shard {
        return refuse(format!(
            "the database of shard `{shard}` at {} is that of shard `{said_shard}`",
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
