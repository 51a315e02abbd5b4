//! `count`: how many users there are.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};

use super::Context;
use crate::error::Result;
use crate::model::report::{Cell, Column, Report};
use crate::model::user::Region;

/// What a count is broken down by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// A line a shard
    Shard,
    /// A line a region
    Region,
}

/// The arguments of `count`.
#[derive(Debug, Args)]
pub struct CountArgs {
    /// Only users of this region
    #[arg(long, value_name = "S")]
    region: Option<Region>,
    /// Break the count down
    #[arg(long, value_enum)]
    by: Option<By>,
}

impl CountArgs {
    /// Counts on all shards at once. A shard that fails fails the count: a part is no count.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        // All shards of one cluster, or no count at all.
        if let Some((_, error)) = cluster.refresh()?.into_iter().next() {
            return Err(error);
        }
        let region = self.region.as_ref().map(Region::as_str);
        let mut by_shard = Vec::new();
        if region.is_none() && self.by != Some(By::Region) {
            for (shard, size) in cluster.sizes() {
                by_shard.push((shard, vec![(None, size?.rows)]));
            }
        } else {
            for (shard, counts) in cluster.count_by_region(region) {
                by_shard.push((shard, counts?));
            }
        }
        let rows = Column::number("rows");
        if self.by == Some(By::Shard) {
            let mut report = Report::list(&[Column::text("shard"), rows]);
            for (shard, counts) in by_shard {
                let sum: i64 = counts.iter().map(|(_, rows)| rows).sum();
                report.push(vec![shard.as_str().into(), sum.into()]);
            }
            return Ok(report);
        }
        let counts = by_shard.into_iter().flat_map(|(_, counts)| counts);
        if self.by.is_none() {
            let sum: i64 = counts.map(|(_, rows)| rows).sum();
            return Ok(Report::one(&[rows], vec![sum.into()]));
        }
        let mut by_region: BTreeMap<Option<String>, i64> = BTreeMap::new();
        for (region, rows) in counts {
            *by_region.entry(region).or_default() += rows;
        }
        let mut report = Report::list(&[Column::text("region"), rows]);
        for (region, rows) in by_region {
            report.push(vec![Cell::from(region), rows.into()]);
        }
        Ok(report)
    }
}
