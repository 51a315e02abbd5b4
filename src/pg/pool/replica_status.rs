//! How far a standby is behind its primary.

use postgres::types::Type;

use crate::error::Result;
use crate::model::names::ShardName;
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;

/// How a replica stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaStatus {
    /// Whether it follows a primary.
    pub is_standby: bool,
    /// How much its primary has that it has not replayed, if both answer.
    pub lag_bytes: Option<i64>,
    /// How old its last replayed transaction is, in seconds.
    pub age_seconds: Option<f64>,
    /// Up to where it has replayed the write-ahead log.
    pub replayed: String,
    /// How much of the write-ahead log it has, in bytes.
    pub received: i64,
}

impl ReplicaStatus {
    /// As the server says. `primary_at`: where its primary is in the write-ahead log, if that is known.
    pub(crate) fn ask(session: &mut Session, shard: &ShardName, primary_at: Option<&str>) -> Result<Self> {
        let what = "ask how far a replica is";
        let rows =
            session.query(include_str!("../../../sql/queries/standing.sql"), &[(&primary_at, Type::TEXT)]);
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
