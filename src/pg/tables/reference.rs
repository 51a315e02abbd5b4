//! Compares the rows of a reference table between the shards.

use std::thread;
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::ring::topology::Topology;
use crate::model::table::TableName;
use crate::pg::cluster::Cluster;
use crate::pg::net::sqlstate;
use crate::pg::requests::connection::Connection;

/// How long a difference must last: an application may be writing to one shard after the other.
const PATIENCE: Duration = Duration::from_secs(1);

/// The number of its rows on each shard, and their digest.
type Digests<'a> = Vec<(&'a ShardName, (i64, String))>;

/// Fails with `Failed` if the table does not have the same rows on all shards.
pub(super) fn check(cluster: &Cluster, topology: &Topology, table: &TableName) -> Result<()> {
    difference(table, &read(cluster, topology, table)?).map_or(Ok(()), Err)
}

/// See [`super::differing_references`].
pub(super) fn differing(cluster: &Cluster, topology: &Topology) -> Result<Vec<Error>> {
    let tables = topology.tables().all().iter().filter(|table| table.key.is_none()).map(|table| &table.name);
    let mut suspects = Vec::new();
    for table in tables {
        let digests = read(cluster, topology, table)?;
        if difference(table, &digests).is_some() {
            suspects.push((table, digests));
        }
    }
    if !suspects.is_empty() {
        thread::sleep(PATIENCE);
    }
    let mut differing = Vec::new();
    for (table, before) in suspects {
        let after = read(cluster, topology, table)?;
        let Some(difference) = difference(table, &after) else { continue };
        differing.push(if before == after {
            difference
        } else {
            difference.adding("; it is being written, so this may pass")
        });
    }
    Ok(differing)
}

fn read<'a>(cluster: &Cluster, topology: &'a Topology, table: &TableName) -> Result<Digests<'a>> {
    let sql = format!(
        "SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.hashtextextended(t.*::text, 0)), 0)::text FROM {} AS t",
        table.as_sql()
    );
    let what = format!("compare the table `{table}`");
    let digest = |shard: &'a ShardName| {
        let mut connection = Connection::open(cluster, shard)?;
        let row = connection.session().client().query_typed_one(&sql, &[]);
        let row = row.map_err(|cause| sqlstate::doing(&what, shard, &cause))?;
        Ok((shard, (row.get(0), row.get(1))))
    };
    topology.names().map(digest).collect()
}

/// The first shard whose rows are not those of the first one.
fn difference(table: &TableName, digests: &Digests<'_>) -> Option<Error> {
    let (first, expected) = digests.first()?;
    let (shard, found) = digests.iter().find(|(_, found)| found != expected)?;
    let message = format!(
        "the table `{table}` is not the same on all shards: `{first}` has {} rows, `{shard}` has {}, or some differ",
        expected.0, found.0
    );
    Some(
        Error::new(Kind::Failed, message)
            .hint("make its rows the same on all shards, then run this again")
            .on_shard(shard),
    )
}
