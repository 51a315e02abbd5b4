//! The status of a change, which any process can read.

use super::lock_holder;
use super::plan::Planned;
use crate::error::{Error, Kind, Result};
use crate::model::rebalance::arbiter;
use crate::model::rebalance::plan::Load;
use crate::model::ring::topology::Epoch;
use crate::model::stats::Runner;
use crate::pg::cluster::Cluster;
use crate::pg::cluster::view::View;
use crate::pg::net::advisory_lock::RUN_LOCK;
use crate::pg::net::sqlstate;
use crate::pg::rebalance::plan;
use crate::pg::requests::connection::Connection;

/// The status of a change.
#[derive(Debug, Clone)]
pub struct RebalanceStatus {
    /// The change; `None` if none is under way or desired.
    pub planned: Option<Planned>,
    /// The client that carries it out, or did last; `None` if there never was one.
    pub runner: Option<Runner>,
    /// Set instead of the plan if a shard does not answer: what the other shards say.
    pub outline: Option<Outline>,
}

/// The status of a change, as known from some of the shards.
#[derive(Debug, Clone)]
pub struct Outline {
    /// The epoch of the change, or the current one if no change is known.
    pub epoch: Epoch,
    /// Whether a change is under way.
    pub is_under_way: bool,
    /// Whether the change is being canceled.
    pub goes_back: bool,
    /// Whether a change is desired.
    pub is_desired: bool,
    /// Why the status is incomplete.
    pub missing: Error,
}

impl Outline {
    fn of(view: &View, missing: Error) -> Self {
        let change = view.change.as_ref().map(|(change, _)| change);
        let is_desired = view.desired_topology.as_ref().is_some_and(|desired| *desired != view.topology);
        Self {
            epoch: view.epoch,
            is_under_way: change.is_some(),
            goes_back: change.is_some_and(|change| change.next_topology == view.topology),
            is_desired,
            missing,
        }
    }
}

/// Reads the status from all shards. If one does not answer, the status is an [`Outline`].
pub fn status(cluster: &Cluster) -> Result<RebalanceStatus> {
    // Nothing is counted if a mover runs, as its record has the total.
    match plan::plan(cluster, false).and_then(|planned| status_with(cluster, planned)) {
        Err(error) if error.kind() == Kind::Unreachable && cluster.view().epoch != Epoch::GUESSED => {
            let view = cluster.view();
            let connection = Connection::to_read(cluster, arbiter(&view.topology));
            let runner = connection.and_then(|mut connection| runner(&mut connection)).ok().flatten();
            Ok(RebalanceStatus { planned: None, runner, outline: Some(Outline::of(&view, error)) })
        }
        status => status,
    }
}

fn status_with(cluster: &Cluster, mut planned: Option<Planned>) -> Result<RebalanceStatus> {
    let topology =
        planned.as_ref().map_or_else(|| cluster.view().topology.clone(), |p| p.plan.before.clone());
    let mut connection = Connection::to_read(cluster, arbiter(&topology))?;
    let runner = runner(&mut connection)?;
    if planned.is_some() && lock_holder::holder(&mut connection, RUN_LOCK).is_none() {
        planned = plan::plan(cluster, true)?;
    }
    Ok(RebalanceStatus { planned, runner, outline: None })
}

/// Who is at work, or was last, by what stands on the first shard.
fn runner(connection: &mut Connection) -> Result<Option<Runner>> {
    let is_at_work = lock_holder::holder(connection, RUN_LOCK).is_some();
    let sql = "SELECT runner, phase, EXTRACT(epoch FROM pg_catalog.clock_timestamp() - since)::bigint, \
                      EXTRACT(epoch FROM pg_catalog.clock_timestamp() - begun)::bigint, rows, bytes \
               FROM ringshard.rebalance_run";
    let shard = connection.shard().clone();
    let fail = |cause| sqlstate::doing("read the record of the run", &shard, &cause);
    let rows = connection.session().query(sql, &[]).map_err(fail)?;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(rows.first().map(|row| Runner {
        name: row.get(0),
        is_at_work,
        phase: row.get(1),
        phase_seconds: row.get(2),
        seconds: row.get(3),
        total: Load { rows: count(row.get(4)), bytes: count(row.get(5)) },
    }))
}
