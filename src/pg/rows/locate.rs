//! Questions to all shards at once: how many rows, how large, who holds a row.

use postgres::types::Type;
use uuid::Uuid;

use super::statements::Expected;
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::ring::position::Position;
use crate::model::user::UserId;
use crate::pg::cluster::Cluster;
use crate::pg::net::session::only;
use crate::pg::net::sqlstate;
use crate::pg::pool::PooledSession;

/// How many rows lie in `users` of a shard that does not belong to the ring any more, and how many were set aside
/// there; `None` if it cannot be asked.
pub fn left_on(cluster: &Cluster, shard: &ShardName) -> Option<(i64, i64)> {
    let mut session = cluster.shards().checkout(shard).ok()?;
    let sql = "SELECT (SELECT count(*) FROM public.users), (SELECT count(*) FROM ringshard.quarantine)";
    let rows = session.query(sql, &[]).ok()?;
    rows.first().map(|row| (row.get(0), row.get(1)))
}

/// Which shards hold a row of this user, owner or not.
pub fn holders(cluster: &Cluster, id: UserId) -> Vec<(ShardName, Result<bool>)> {
    cluster.shards().on_each(&cluster.shards().names(), |name, session| {
        let expected = Expected { cluster: cluster.id(), shard: name, stable_ring: None };
        holds(cluster, session, expected, id)
    })
}

fn holds(cluster: &Cluster, session: &mut PooledSession, expected: Expected<'_>, id: UserId) -> Result<bool> {
    let rows = session
        .query(include_str!("../../../sql/queries/holds.sql"), &[(&id.number(), Type::INT8)])
        .map_err(|cause| sqlstate::doing("look for a user", expected.shard, &cause))?;
    let row = only(rows, "look for a user", expected.shard)?;
    cluster.check_row(expected.shard, &row)?;
    Ok(row.get("holds"))
}

/// The shard that owns a position, or has it fenced if none does, by the word of all shards that answer:
/// while a change is under way no topology tells.
pub(crate) fn holder(cluster: &Cluster, position: Position) -> Option<ShardName> {
    let states = cluster.shards().on_each(&cluster.shards().names(), |name, session| {
        let rows = session
            .query(include_str!("../../../sql/queries/holder.sql"), &[(&Uuid::from(position), Type::UUID)])
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
