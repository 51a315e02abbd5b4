//! `sql`: one statement that reads, on all shards or on some.

use crate::pg::scan;
use clap::Args;

use super::users::partial::AllowPartial;
use super::{Context, complete_shard};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::{Column, Look, Report, RowStream};
use crate::pg::scan::sql::Answers;

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
    /// Runs it on each shard at once, and shows the rows shard by shard.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        let names = cluster.shards().names();
        self.check(&names)?;
        let requested = names.into_iter().filter(|name| self.shard.is_empty() || self.shard.contains(name));
        let requested: Vec<ShardName> = requested.collect();
        let Answers { columns, rows, missing } =
            scan::run_statement(&cluster, &self.statement, &requested, self.partial.allow_partial)?;
        let own = columns.into_iter().map(|column| Column {
            name: column.name.into(),
            look: if column.is_number { Look::Number } else { Look::Text },
        });
        let columns: Vec<Column> = std::iter::once(Column::text("shard")).chain(own).collect();
        let rows = rows.map(|row| {
            let (shard, mut cells) = row?;
            cells.insert(0, shard.as_str().into());
            Ok(cells)
        });
        let mut report = Report::stream(&columns, RowStream::new(rows));
        AllowPartial::tell(&cluster, missing, &mut report);
        Ok(report)
    }
    /// Whether there are all the shards that are named.
    pub(crate) fn check(&self, names: &[ShardName]) -> Result<()> {
        match self.shard.iter().find(|name| !names.contains(name)) {
            None => Ok(()),
            Some(unknown) => Err(Error::new(Kind::NotFound, format!("there is no shard `{unknown}`"))
                .hint("ringshard shards lists them")),
        }
    }
}
