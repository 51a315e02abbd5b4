//! How a change stands, for any process to ask.

use super::connection::Connection;
use super::lock_holder;
use super::plan::Planned;
use super::run_lock::RUNNER;
use crate::error::{Error, Kind, Result};
use crate::model::rebalance::arbiter;
use crate::model::rebalance::plan::Load;
use crate::model::ring::topology::Epoch;
use crate::model::stats::Runner;
use crate::pg::cluster::Cluster;
use crate::pg::cluster::view::View;
use crate::pg::net::sqlstate;
use crate::pg::rebalance::plan;

/// How a change stands.
#[derive(Debug, Clone)]
pub struct RebalanceStatus {
    /// The change; nothing if none is under way or wished for.
    pub planned: Option<Planned>,
    /// Who carries it out; nothing if nobody ever did.
    pub runner: Option<Runner>,
    /// Where a shard does not answer: what the others say, in place of the plan.
    pub outline: Option<Outline>,
}

/// How a change stands by the word of some of the shards.
#[derive(Debug, Clone)]
pub struct Outline {
    /// The epoch of the change, or the one in force if none is known of.
    pub epoch: Epoch,
    /// Whether one is under way.
    pub is_under_way: bool,
    /// Whether it goes back to where it was.
    pub goes_back: bool,
    /// Whether one is wished for.
    pub is_desired: bool,
    /// Why the others do not say more.
    pub missing: Error,
}

impl Outline {
    fn of(view: &View, missing: Error) -> Self {
        let change = view.change.as_ref().map(|(change, _)| change);
        let is_desired =
            view.desired_topology.as_ref().is_some_and(|desired_topology| *desired_topology != view.topology);
        Self {
            epoch: view.epoch,
            is_under_way: change.is_some(),
            goes_back: change.is_some_and(|change| change.next_topology == view.topology),
            is_desired,
            missing,
        }
    }
}

/// Asks all shards how a change stands. If one of them is down, the others still know of it.
pub fn status(cluster: &Cluster) -> Result<RebalanceStatus> {
    // Who is at work knows how much there is: then nothing is counted.
    match plan::plan(cluster, false).and_then(|planned| status_with(cluster, planned)) {
        Err(error) if error.kind() == Kind::Unreachable && cluster.view().epoch != Epoch::GUESSED => {
            let view = cluster.view();
            let link = Connection::open(cluster, arbiter(&view.topology));
            let runner = link.and_then(|mut link| runner(&mut link)).ok().flatten();
            Ok(RebalanceStatus { planned: None, runner, outline: Some(Outline::of(&view, error)) })
        }
        status => status,
    }
}

fn status_with(cluster: &Cluster, mut planned: Option<Planned>) -> Result<RebalanceStatus> {
    let topology =
        planned.as_ref().map_or_else(|| cluster.view().topology.clone(), |p| p.plan.before.clone());
    let mut link = Connection::open(cluster, arbiter(&topology))?;
    let runner = runner(&mut link)?;
    if planned.is_some() && lock_holder::holder(&mut link, RUNNER).is_none() {
        planned = plan::plan(cluster, true)?;
    }
    Ok(RebalanceStatus { planned, runner, outline: None })
}

/// Who is at work, or was last, by what stands on the first shard.
fn runner(link: &mut Connection) -> Result<Option<Runner>> {
    let is_at_work = lock_holder::holder(link, RUNNER).is_some();
    let sql = "SELECT runner, phase, EXTRACT(epoch FROM pg_catalog.clock_timestamp() - since)::bigint, \
                      EXTRACT(epoch FROM pg_catalog.clock_timestamp() - begun)::bigint, rows, bytes \
               FROM ringshard.rebalance_run";
    let shard = link.shard().clone();
    let fail = |cause| sqlstate::doing("read who changes the ring", &shard, &cause);
    let rows = link.session().query(sql, &[]).map_err(fail)?;
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
