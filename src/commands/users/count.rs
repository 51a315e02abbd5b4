//! `count`: the number of users, or of the rows of other tables.

use crate::pg::scan;
use std::collections::BTreeMap;

use clap::{Args, ValueEnum};

use super::any_table::TableFlag;
use super::partial::AllowPartial;
use crate::commands::Context;
use crate::error::{Error, Kind, Result};
use crate::model::report::{Cell, Column, Report};
use crate::model::ring::topology::Epoch;
use crate::model::user::Region;
use crate::pg::cluster::Cluster;
use crate::pg::scan::list::Counted;
use crate::pg::scan::rows_of_table::count_tables;

/// The groups of a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// One row for each shard
    Shard,
    /// One row for each region
    Region,
    /// One row for each sharded table
    Table,
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
    pub(crate) table: TableFlag,
    #[command(flatten)]
    pub(crate) partial: AllowPartial,
}

impl CountArgs {
    /// Counts on all shards at once. Each user counts once, also while chunks move.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        if let Some(report) = self.count_tables(&cluster)? {
            return Ok(report);
        }
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
            Some(By::Table) | None => {
                let sum: i64 = by_shard.iter().flat_map(|(_, counts)| counts).map(|(_, rows)| rows).sum();
                Report::one(&[rows], vec![sum.into()])
            }
        };
        AllowPartial::add_missing(&cluster, missing, &mut report);
        Ok(report)
    }

    /// The counts of other tables than that of the commands about users, if these are asked for.
    fn count_tables(&self, cluster: &Cluster) -> Result<Option<Report>> {
        let other = match self.table.table {
            Some(_) => self.table.other_table(cluster)?,
            None => None,
        };
        let is_of_users = other.is_none() && self.by != Some(By::Table);
        if is_of_users && cluster.view().epoch == Epoch::GUESSED {
            cluster.refresh()?;
        }
        let all = cluster.view().topology.tables().clone();
        if is_of_users && all.has_prototype() {
            return Ok(None);
        }
        if self.region.is_some() || self.by == Some(By::Region) {
            let message = "--region and --by region need the table `users` that init-shards makes";
            return Err(Error::new(Kind::Usage, message).hint("ringshard sql counts rows of other tables"));
        }
        let tables = other.map_or_else(|| all.all().to_vec(), |table| vec![table]);
        let (counts, missing) = count_tables(cluster, &tables, self.partial.allow_partial)?;
        let rows = Column::number("rows");
        let mut report = match self.by {
            Some(By::Table) => {
                let mut report = Report::list(&[Column::text("table"), rows]);
                for (table, by_shard) in &counts {
                    let sum: i64 = by_shard.iter().map(|(_, rows)| rows).sum();
                    report.push(vec![table.to_string().into(), sum.into()]);
                }
                report
            }
            Some(By::Shard) => {
                let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
                for (shard, rows) in counts.iter().flat_map(|(_, by_shard)| by_shard) {
                    *sums.entry(shard.as_str()).or_default() += rows;
                }
                let mut report = Report::list(&[Column::text("shard"), rows]);
                for (shard, sum) in sums {
                    report.push(vec![shard.into(), sum.into()]);
                }
                report
            }
            _ => {
                let sum: i64 = counts.iter().flat_map(|(_, by_shard)| by_shard).map(|(_, rows)| rows).sum();
                Report::one(&[rows], vec![sum.into()])
            }
        };
        AllowPartial::add_missing(cluster, missing, &mut report);
        Ok(Some(report))
    }
}
