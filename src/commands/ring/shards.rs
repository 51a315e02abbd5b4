//! `shards`: one row for each shard, or how other programs reach them.

mod haproxy;
mod service_file;

use crate::pg::{failover, scan};
use clap::Args;

use super::verify::warning;
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
    Column::number("vnodes").detail(3),
    Column::number("weight").detail(2),
    Column::text("state"),
    Column::bytes("size_bytes"),
    Column::text("url").detail(1),
    Column::number("target_pct").detail(4),
    Column::text("down_since").detail(5),
];

/// The arguments of `shards`.
#[derive(Debug, Default, Args)]
pub struct ShardsArgs {
    /// Write a service file of libpq, with a service for each shard and no passwords
    #[arg(long, conflicts_with = "haproxy")]
    pub(crate) service_file: bool,
    /// Write sections of haproxy.cfg: a port for each shard, which leads to its primary
    #[arg(long)]
    pub(crate) haproxy: bool,
}

impl ShardsArgs {
    /// Lists the shards, also those that are down.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        if self.service_file {
            return service_file::report(&cluster);
        }
        if self.haproxy {
            return haproxy::report(&cluster);
        }
        let mut report = Report::list(&COLUMNS);
        // Shards that do not answer are reported one by one below.
        if let Err(error) = cluster.refresh()
            && error.kind() == crate::error::Kind::Configuration
        {
            return Err(error);
        }
        let stale_primaries = failover::fence_stale_primaries(&cluster).into_iter();
        report
            .warnings
            .extend(stale_primaries.map(|found| found.map_or_else(|error| error, |of| warning(&of))));
        let warnings = report.warnings.len();
        let view = cluster.view();
        let shares = view.ring().shares();
        let goal = view.goal();
        let goal_ring = goal.ring();
        let target_shares = goal_ring.shares();
        // A guessed topology is not shown.
        let is_known = view.epoch != Epoch::GUESSED;
        for (name, size) in scan::sizes(&cluster) {
            let spec = view.topology.shard(&name).filter(|_| is_known);
            let share = shares.iter().find(|(of, _)| spec.is_some() && **of == name).map(|(_, share)| *share);
            let target =
                target_shares.iter().find(|(of, _)| is_known && **of == name).map(|(_, share)| *share);
            let spec = spec.or(goal.shard(&name).filter(|_| is_known));
            let (size, state) = match size {
                Ok(size) => (Some(size), state(&view, &name)),
                // It answers, and does not count.
                Err(error) if error.kind() != crate::error::Kind::Unreachable => {
                    report.warnings.push(error);
                    (None, state(&view, &name))
                }
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
                target.map_or(Cell::Null, Cell::percent),
                cluster.shards().down_since(&name).filter(|_| state == "down").map(timestamp).into(),
            ]);
        }
        // If all shards are down, the command fails.
        if report.rows.len() == report.warnings.len() - warnings {
            report.failure = report.warnings.pop();
        }
        Ok(report)
    }
}

/// The state of a shard that answers.
pub(crate) fn state(view: &View, name: &ShardName) -> &'static str {
    match (view.topology.shard(name), view.goal().shard(name)) {
        (Some(_), Some(_)) => "active",
        (None, Some(_)) => "joining",
        // A shard that has left stays in the configuration until the next rebalance.
        (_, None) => "leaving",
    }
}
