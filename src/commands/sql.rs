//! `sql`: one reading statement on all shards, or on some.

use crate::pg::scan;
use clap::Args;

use super::users::partial::AllowPartial;
use super::{Context, complete_shard};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::{Column, Look, Report, RowStream};
use crate::pg::scan::sql::{Answers, StatementColumn};

/// A column of a result as one of a report.
pub(super) fn column(of: StatementColumn) -> Column {
    Column::new(of.name.into(), if of.is_number { Look::Number } else { Look::Text })
}

/// The arguments of `sql`.
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// One statement that returns rows; it runs in a read-only transaction
    #[arg(value_name = "STATEMENT")]
    pub(crate) statement: String,
    /// Only on this shard; may be given more than once
    #[arg(long, value_name = "NAME", add = clap_complete::ArgValueCompleter::new(complete_shard))]
    pub(crate) shard: Vec<ShardName>,
    #[command(flatten)]
    pub(crate) partial: AllowPartial,
}

impl SqlArgs {
    /// Runs the statement on all shards at once, and shows the rows shard by shard.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        let requested = self.asked(cluster.shards().names())?;
        let Answers { columns, rows, missing } =
            scan::run_statement(&cluster, &self.statement, &requested, self.partial.allow_partial)?;
        let columns: Vec<Column> =
            std::iter::once(Column::text("shard")).chain(columns.into_iter().map(column)).collect();
        let rows = rows.map(|row| {
            let (shard, mut cells) = row?;
            cells.insert(0, shard.as_str().into());
            Ok(cells)
        });
        let mut report = Report::stream(&columns, RowStream::new(rows));
        AllowPartial::add_missing(&cluster, missing, &mut report);
        Ok(report)
    }

    /// The shards to ask, out of all. An error if one of --shard does not exist.
    pub(crate) fn asked(&self, mut names: Vec<ShardName>) -> Result<Vec<ShardName>> {
        if let Some(unknown) = self.shard.iter().find(|name| !names.contains(name)) {
            return Err(Error::new(Kind::NotFound, format!("there is no shard `{unknown}`"))
                .hint("ringshard shards lists the shards"));
        }
        names.retain(|name| self.shard.is_empty() || self.shard.contains(name));
        Ok(names)
    }
}
