//! `count`: the number of users.

use crate::pg::scan;
use std::collections::BTreeMap;

use clap::{Args, ValueEnum};

use super::partial::AllowPartial;
use crate::commands::Context;
use crate::error::Result;
use crate::model::report::{Cell, Column, Report};
use crate::model::user::Region;
use crate::pg::scan::list::Counted;

/// The groups of a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// One row for each shard
    Shard,
    /// One row for each region
    Region,
}

/// The arguments of `count`.
#[derive(Debug, Args)]
pub struct CountArgs {
    /// Only users of this region
    #[arg(long, value_name = "S")]
    pub(crate) region: Option<Region>,
    /// Count each group separately
    #[arg(long, value_enum)]
    pub(crate) by: Option<By>,
    #[command(flatten)]
    pub(crate) partial: AllowPartial,
}

impl CountArgs {
    /// Counts on all shards at once. Each user counts once, also while chunks move.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        let region = self.region.as_ref().map(Region::as_str);
        let by_region = self.by == Some(By::Region);
        let Counted { by_shard, missing } =
            scan::count(&cluster, by_region, region, self.partial.allow_partial)?;
        let rows = Column::number("rows");
        let mut report = match self.by {
            Some(By::Shard) => {
                let mut report = Report::list(&[Column::text("shard"), rows]);
                for (shard, counts) in by_shard {
                    let sum: i64 = counts.iter().map(|(_, rows)| rows).sum();
                    report.push(vec![shard.as_str().into(), sum.into()]);
                }
                report
            }
            Some(By::Region) => {
                let mut by_region: BTreeMap<Option<String>, i64> = BTreeMap::new();
                for (region, rows) in by_shard.into_iter().flat_map(|(_, counts)| counts) {
                    *by_region.entry(region).or_default() += rows;
                }
                let mut report = Report::list(&[Column::text("region"), rows]);
                for (region, rows) in by_region {
                    report.push(vec![Cell::from(region), rows.into()]);
                }
                report
            }
            None => {
                let sum: i64 = by_shard.iter().flat_map(|(_, counts)| counts).map(|(_, rows)| rows).sum();
                Report::one(&[rows], vec![sum.into()])
            }
        };
        AllowPartial::add_missing(&cluster, missing, &mut report);
        Ok(report)
    }
}
