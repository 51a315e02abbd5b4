//! The catalog of a shard: reading what it says of its cluster.

use std::collections::BTreeMap;

use postgres::Row;
use postgres::types::Json;

use super::conninfo::Address;
use super::failure;
use super::session::{Session, only};
use crate::error::{Error, Kind, Result};
use crate::model::moves::Change;
use crate::model::names::{ClusterId, ShardName};
use crate::model::topology::{Epoch, Membership, Topology};

/// The version of the catalog that this program makes and understands.
pub const CATALOG_VERSION: i32 = 3;

/// A shard's own word about itself.
#[derive(Debug, Clone)]
pub struct SelfDescription {
    /// The version of its catalog, [`CATALOG_VERSION`] or older.
    pub catalog_version: i32,
    /// The shard that this database says it is.
    pub shard: ShardName,
    /// Its cluster and topology.
    pub membership: Membership,
    /// The change of the topology that is under way, if one is.
    pub change: Option<Change>,
    /// The topology that is wished for; only the first shard of the topology in force knows.
    pub wanted: Option<Topology>,
    /// How to reach the shards of the cluster, without passwords.
    pub addresses: BTreeMap<ShardName, String>,
}

/// Asks a database which shard it is.
pub(super) fn describe(session: &mut Session, shard: &ShardName) -> Result<SelfDescription> {
    let rows = session
        .query(include_str!("../../sql/membership.sql"), &[])
        .map_err(|cause| failure::doing("read the catalog", shard, &cause))?;
    description(&only(rows, "read the catalog", shard)?, shard)
}

/// What the columns of `sql/membership.sql` say.
pub(super) fn description(row: &Row, shard: &ShardName) -> Result<SelfDescription> {
    let version: i32 = row.get("catalog_version");
    if version > CATALOG_VERSION {
        let message = format!(
            "the catalog of shard `{shard}` has version {version}, and this ringshard understands {CATALOG_VERSION}"
        );
        return Err(Error::new(Kind::Configuration, message).hint("use a newer ringshard").on_shard(shard));
    }
    let broken = |what: &str, why: String| {
        Error::new(Kind::Configuration, format!("the catalog of shard `{shard}` is damaged: {what}: {why}"))
            .hint("restore the schema `ringshard` of that database from a backup")
            .on_shard(shard)
    };
    let topology = |column: &'static str| {
        row.try_get::<_, Option<Json<Topology>>>(column)
            .map(|read| read.map(|Json(topology)| topology))
            .map_err(|cause| broken(&format!("`meta.{column}`"), failure::words_of(&cause)))
    };
    let members = row
        .try_get::<_, Option<Json<Vec<ShardName>>>>("members")
        .map_err(|cause| broken("`meta.members`", failure::words_of(&cause)))?;
    let in_force =
        topology("topology")?.ok_or_else(|| broken("`meta.topology`", "it is missing".to_owned()))?;
    let change = topology("target")?.map(|target| {
        // A catalog of version 2 knows no members, and nothing ever began a change there.
        let members = members.map(|Json(members)| members).unwrap_or_default();
        Change { target, members }
    });
    let cluster: ClusterId =
        row.get::<_, String>("cluster").parse().map_err(|why| broken("`meta.cluster`", why))?;
    let name: ShardName = row.get::<_, String>("shard").parse().map_err(|why| broken("`meta.shard`", why))?;
    let addresses = row
        .try_get::<_, Option<Json<BTreeMap<ShardName, String>>>>("addresses")
        .map_err(|cause| broken("`address`", failure::words_of(&cause)))?;
    Ok(SelfDescription {
        catalog_version: version,
        shard: name,
        membership: Membership { cluster, epoch: Epoch::new(row.get("epoch")), topology: in_force },
        change,
        wanted: topology("wanted")?,
        addresses: addresses.map(|Json(addresses)| addresses).unwrap_or_default(),
    })
}

/// Refuses a database that is another shard's, or another cluster's.
pub fn check_identity(
    shard: &ShardName,
    address: &Address,
    cluster: Option<&ClusterId>,
    said_shard: &str,
    said_cluster: &str,
) -> Result<()> {
    let refuse = |message: String| {
        Err(Error::new(Kind::Configuration, message)
            .hint("correct the URLs: ringshard config show names where each comes from")
            .on_shard(shard))
    };
    if let Some(cluster) = cluster.filter(|cluster| cluster.as_str() != said_cluster) {
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
