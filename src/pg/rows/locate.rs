//! Finds which shards have a row or a position, by asking all shards.

use postgres::types::Type;
use uuid::Uuid;

use super::statements::Expected;
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::ring::position::Position;
use crate::model::ring::topology::Epoch;
use crate::pg::cluster::Cluster;
use crate::pg::net::session::only;
use crate::pg::net::sqlstate;
use crate::pg::pool::PooledSession;

/// The numbers of rows in the sharded tables and in the quarantine of a shard that has left the ring; `None` if it does not answer.
pub fn left_on(cluster: &Cluster, shard: &ShardName) -> Option<(i64, i64)> {
    let mut session = cluster.shards().checkout(shard).ok()?;
    // So that rows which a policy hides are an error.
    session.has_own_backend().ok()?;
    let sql = "SELECT ringshard.count_rows(), (SELECT count(*) FROM ringshard.quarantine)";
    let rows = session.query(sql, &[]).ok()?;
    rows.first().map(|row| (row.get(0), row.get(1)))
}

/// For each shard, whether it has a row with this key.
pub fn holders(cluster: &Cluster, key: &str) -> Vec<(ShardName, Result<bool>)> {
    cluster.shards().on_each(&cluster.shards().names(), |name, session| {
        let expected =
            Expected { cluster: cluster.id(), shard: name, least_epoch: Epoch::GUESSED, stable_ring: None };
        has_key(cluster, session, expected, key)
    })
}

fn has_key(
    cluster: &Cluster,
    session: &mut PooledSession,
    expected: Expected<'_>,
    key: &str,
) -> Result<bool> {
    let rows = session
        .has_own_backend()
        .and_then(|_| session.query(include_str!("../../../sql/queries/has_key.sql"), &[(&key, Type::TEXT)]))
        .map_err(|cause| sqlstate::doing("look for a key", expected.shard, &cause))?;
    let row = only(rows, "look for a key", expected.shard)?;
    cluster.check_row(expected.shard, &row)?;
    Ok(row.get("has_key"))
}

/// The shard that owns a position, or has it fenced if none owns it, by the arcs of all shards that answer: during a change
/// no topology says so.
pub(crate) fn holder(cluster: &Cluster, position: Position) -> Option<ShardName> {
    let states = cluster.shards().on_each(&cluster.shards().names(), |name, session| {
        let rows = session
            .query(include_str!("../../../sql/queries/arc_state.sql"), &[(&Uuid::from(position), Type::UUID)])
            .map_err(|cause| sqlstate::doing("look for an owner", name, &cause))?;
        let row = only(rows, "look for an owner", name)?;
        cluster.check_row(name, &row)?;
        Ok(row.get::<_, Option<String>>("state"))
    });
    let held = |requested: &str| {
        let shard = states
            .iter()
            .find(|(_, state)| state.as_ref().is_ok_and(|state| state.as_deref() == Some(requested)));
        shard.map(|(name, _)| name.clone())
    };
    held("owned").or_else(|| held("fenced"))
}
