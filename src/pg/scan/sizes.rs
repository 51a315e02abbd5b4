//! The number of rows on each shard, and the size of its tables.

use crate::error::Result;
use crate::model::names::ShardName;
use crate::pg::cluster::{Cluster, cache};
use crate::pg::net::session::only;
use crate::pg::net::sqlstate;

/// The size of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Rows of all sharded tables, counted.
    pub rows: i64,
    /// Bytes of these tables with their indexes, on disk.
    pub size_bytes: i64,
}

/// The size of each configured shard, or its error.
pub fn sizes(cluster: &Cluster) -> Vec<(ShardName, Result<Size>)> {
    let sizes = cluster.shards().on_each(&cluster.shards().names(), |name, session| {
        let rows = session
            .query_without_limit(include_str!("../../../sql/queries/size.sql"), &[])
            .map_err(|cause| sqlstate::doing("count rows", name, &cause))?;
        let row = only(rows, "count rows", name)?;
        cluster.check_row(name, &row)?;
        Ok(Size { rows: row.get("rows"), size_bytes: row.get("size_bytes") })
    });
    if let Some((id, folder)) = cluster.id().zip(cluster.cache_folder.as_deref()) {
        let rows = |(name, size): &(ShardName, Result<Size>)| Some((name.clone(), size.as_ref().ok()?.rows));
        cache::write_counts(folder, id, sizes.iter().filter_map(rows).collect());
    }
    sizes
}

/// The last count of rows on a shard by this user's processes, with its time in seconds since 1970.
pub fn last_known_rows(cluster: &Cluster, name: &ShardName) -> Option<(i64, u64)> {
    let (id, folder) = cluster.id().zip(cluster.cache_folder.as_deref())?;
    cache::read_counts(folder, id).get(name).copied()
}
