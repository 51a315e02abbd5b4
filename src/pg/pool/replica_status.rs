//! How far a standby is behind its primary.

use postgres::types::Type;

use crate::error::Result;
use crate::model::names::ShardName;
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;

/// The replication state of a server.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaStatus {
    /// Whether it is in recovery.
    pub is_standby: bool,
    /// How many bytes of its primary's log it has not replayed, if both answer.
    pub lag_bytes: Option<i64>,
    /// How old its last replayed transaction is, in seconds.
    pub age_seconds: Option<f64>,
    /// The position in the write-ahead log up to which it has replayed, as Postgres writes it; empty if none.
    pub replayed: String,
    /// The end of the write-ahead log that it has, in bytes.
    pub received: i64,
}

impl ReplicaStatus {
    /// Queries a server. `primary_at`: its primary's position in the write-ahead log, if known.
    pub(crate) fn query(session: &mut Session, shard: &ShardName, primary_at: Option<&str>) -> Result<Self> {
        let what = "read the state of a replica";
        let rows = session
            .query(include_str!("../../../sql/queries/replica_status.sql"), &[(&primary_at, Type::TEXT)]);
        let row = only(rows.map_err(|cause| sqlstate::doing(what, shard, &cause))?, what, shard)?;
        Ok(Self {
            is_standby: row.get("is_standby"),
            lag_bytes: row.get("lag_bytes"),
            age_seconds: row.get("age_seconds"),
            replayed: row.get("replayed"),
            received: row.get("received"),
        })
    }
}
