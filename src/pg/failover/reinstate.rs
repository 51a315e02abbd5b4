//! Makes a stale primary the primary of its shard again: another server was confirmed as its successor, and is gone for good.
//!
//! It becomes a server that is not confirmed, of an incarnation after that of its successor, so it is compared with the other
//! shards like any server that somebody else promoted (`pg/requests/confirm.rs`).

use postgres::types::Type;

use super::promote::{TakenOver, refresh_survivors};
use super::survivors;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::pg::catalog::Incarnation;
use crate::pg::cluster::Cluster;
use crate::pg::net::sqlstate;
use crate::pg::requests::confirm::{confirm, record};
use crate::pg::requests::connection::Connection;

/// A stale primary that is to serve again.
pub struct Reinstatement {
    /// The shard.
    pub shard: ShardName,
    /// The address of the server.
    pub at: String,
    /// What it is.
    pub found: Incarnation,
    /// What its successor was.
    pub latest: Incarnation,
}

/// `None` unless the server at the address of the shard takes writes and is a stale primary. All other shards must answer.
pub fn plan_reinstatement(cluster: &Cluster, shard: &ShardName) -> Result<Option<Reinstatement>> {
    refresh_survivors(cluster, shard)?;
    let latest = survivors::read(cluster, shard)?.incarnation(shard);
    let mut session = match cluster.shards().connect_direct(shard) {
        Err(error) if error.kind() == Kind::Unreachable => return Ok(None),
        connected => connected?,
    };
    let rows = session.query("SELECT pg_catalog.pg_is_in_recovery()", &[]);
    let rows = rows.map_err(|cause| sqlstate::doing("ask whether it is a standby", shard, &cause))?;
    let is_standby = rows.first().is_some_and(|row| row.get(0));
    let found = cluster.describe(shard, &mut session)?.incarnation;
    if is_standby || found >= latest {
        return Ok(None);
    }
    let at = cluster.shards().address(shard)?.shown().to_owned();
    Ok(Some(Reinstatement { shard: shard.clone(), at, found, latest }))
}

/// Carries out what was planned. What its successor alone has is lost. Fails with `Failed` if the server lacks hand-overs; then
/// `verify --fix` makes it serve without them.
pub fn reinstate(cluster: &Cluster, plan: &Reinstatement) -> Result<TakenOver> {
    let shard = &plan.shard;
    let fail = |cause: postgres::Error| sqlstate::doing("record that it is the primary again", shard, &cause);
    let changed = || {
        let message = format!("shard `{shard}`, or the ring, was changed in the meantime");
        Error::new(Kind::Locked, message)
            .hint(format!("ringshard promote {shard} --force looks again"))
            .on_shard(shard)
    };
    let next = Incarnation(plan.latest.0 + 1);
    let survivors = survivors::read(cluster, shard)?;
    let newest = survivors.observed.iter().map(|(_, other)| &other.state.ring).max_by_key(|ring| ring.epoch);
    // By a later epoch its successor is recognized if it comes back. A change under way is announced in one when the server is
    // confirmed.
    if let Some(newest) = newest.filter(|_| !survivors.is_changing()) {
        let begun = (Some(newest.epoch.next()), &newest.topology);
        if !record(cluster, shard, survivors.names(), next, begun)? {
            return Err(changed());
        }
    }
    let mut connection = Connection::open_unconfirmed(cluster, shard)?;
    let mut transaction = connection.session().client().transaction().map_err(fail)?;
    transaction.batch_execute("SELECT ringshard.require_durable_commit()").map_err(fail)?;
    // As ringshard.begin_to_confirm.
    let sql = "UPDATE ringshard.meta SET incarnation = $1, timeline = '~' || ringshard.current_timeline() \
               WHERE incarnation = $2 RETURNING true";
    let rows = transaction.query_typed(sql, &[(&next.0, Type::INT8), (&plan.found.0, Type::INT8)]);
    if rows.map_err(fail)?.is_empty() {
        return Err(changed());
    }
    transaction.commit().map_err(fail)?;
    confirm(cluster, shard)?;
    let epoch = connection.read_catalog(cluster)?.state.ring.epoch;
    Ok(TakenOver { epoch, incarnation: next, quarantined: 0 })
}
