//! `shards`: one line a shard.

use crate::pg::failover;
use crate::pg::scan;
use clap::Args;

use super::verify::told_of;
use crate::commands::Context;
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::report::{Cell, Column, Report};
use crate::model::ring::topology::Epoch;
use crate::model::text::timestamp;
use crate::pg::cluster::view::View;

const COLUMNS: [Column; 10] = [
    Column::text("shard"),
    Column::number("rows"),
    Column::number("share_pct"),
    Column::detail("vnodes"),
    Column::detail("weight"),
    Column::text("state"),
    Column::number("size_bytes"),
    Column::text("url"),
    Column::detail("target_pct"),
    Column::detail("down_since"),
];

/// The arguments of `shards`: none.
#[derive(Debug, Args)]
pub struct ShardsArgs {}

impl ShardsArgs {
    /// Lists the shards, those that are down too.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        let mut report = Report::list(&COLUMNS);
        // Which shards do not answer is seen below, shard by shard.
        if let Err(error) = cluster.refresh()
            && error.kind() == crate::error::Kind::Configuration
        {
            return Err(error);
        }
        for stale_primaries in failover::fence_stale_primaries(&cluster) {
            report.warnings.push(
                stale_primaries.map_or_else(|error| error, |stale_primaries| told_of(&stale_primaries)),
            );
        }
        let told = report.warnings.len();
        let view = cluster.view();
        let shares = view.ring.shares();
        let goal = view.goal();
        let goal_ring = goal.ring();
        let desired_topology = goal_ring.shares();
        // A guess is no answer.
        let is_known = view.epoch != Epoch::GUESSED;
        for (name, size) in scan::sizes(&cluster) {
            let spec = view.topology.shard(&name).filter(|_| is_known);
            let share = shares.iter().find(|(of, _)| spec.is_some() && **of == name).map(|(_, share)| *share);
            let desired_topology =
                desired_topology.iter().find(|(of, _)| is_known && **of == name).map(|(_, share)| *share);
            let spec = spec.or(goal.shard(&name).filter(|_| is_known));
            let (size, state) = match size {
                Ok(size) => (Some(size), state(&view, &name)),
                Err(error) => {
                    let since = cluster.shards().down_since(&name).map(timestamp);
                    let since = since.map_or(String::new(), |since| format!("; down since {since}"));
                    report.warnings.push(error.adding(&since));
                    (None, "down")
                }
            };
            report.push(vec![
                name.as_str().into(),
                size.map(|size| size.rows).into(),
                share.map_or(Cell::Null, Cell::percent),
                spec.map(|spec| spec.weight.virtual_nodes(view.topology.virtual_nodes())).into(),
                spec.map_or(Cell::Null, |spec| Cell::Decimal(spec.weight.number(), 2)),
                state.into(),
                size.map(|size| size.size_bytes).into(),
                cluster.shards().address(&name)?.shown().into(),
                desired_topology.map_or(Cell::Null, Cell::percent),
                cluster.shards().down_since(&name).filter(|_| state == "down").map(timestamp).into(),
            ]);
        }
        // With some shards down the list is an answer; with all of them down it is not.
        if report.rows.len() == report.warnings.len() - told {
            report.failure = report.warnings.pop();
        }
        Ok(report)
    }
}

/// What becomes of a shard that answers.
pub(crate) fn state(view: &View, name: &ShardName) -> &'static str {
    match (view.topology.shard(name), view.goal().shard(name)) {
        (Some(_), Some(_)) => "active",
        (None, Some(_)) => "joining",
        // One that has left is still in the configuration, until the next rebalance.
        (_, None) => "leaving",
    }
}
