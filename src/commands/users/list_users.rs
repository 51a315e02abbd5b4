//! `list-users`: lists the users of all shards, by id, or the rows of another table, by key.

use crate::pg::scan;
use clap::Args;

use super::any_table::TableFlag;
use super::one_user::{COLUMNS, cells};
use super::partial::AllowPartial;
use crate::commands::Context;
use crate::commands::sql::column;
use crate::error::{Error, Kind, Result};
use crate::model::report::{Column, Report, RowStream};
use crate::model::table::Table;
use crate::model::user::{Region, UserId};
use crate::pg::cluster::Cluster;
use crate::pg::scan::list::Filter;
use crate::pg::scan::rows_by_key::KeyRange;

/// The arguments of `list-users`.
#[derive(Debug, Args)]
pub struct ListUsersArgs {
    /// Only users of this region
    #[arg(long, value_name = "S")]
    region: Option<Region>,
    /// At most N users, those with the smallest ids
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Only users with greater ids, for the page after the one that ended with this id
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    after: Option<String>,
    #[command(flatten)]
    table: TableFlag,
    #[command(flatten)]
    pub(crate) partial: AllowPartial,
}

impl ListUsersArgs {
    /// Asks all shards at once, and shows the rows as they arrive.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        // A mistyped --after of the usual table needs no shard.
        let filter = self.filter();
        let cluster = match context.cluster() {
            Err(error) => return Err(filter.err().unwrap_or(error)),
            Ok(cluster) => cluster,
        };
        if let Some(table) = self.table.other_table(&cluster)? {
            return self.list_rows(&cluster, &table);
        }
        let filter = filter?;
        let cluster = context.cluster_of_users()?;
        let (users, missing) = scan::list_users(&cluster, &filter, self.partial.allow_partial)?;
        let mut report = Report::stream(&COLUMNS, RowStream::new(users.map(|user| user.map(cells))));
        AllowPartial::add_missing(&cluster, missing, &mut report);
        Ok(report)
    }

    /// The users to list. Fails with `Usage` if --after is no id.
    pub(crate) fn filter(&self) -> Result<Filter> {
        let after = self.after.as_ref().map(|text| {
            text.parse::<UserId>().map_err(|why| {
                Error::new(Kind::Usage, format!("invalid value '{text}' for '--after <ID>': {why}"))
            })
        });
        Ok(Filter {
            region: self.region.as_ref().map(|region| region.as_str().to_owned()),
            after: after.transpose()?,
            limit: self.limit,
        })
    }

    fn list_rows(&self, cluster: &Cluster, table: &Table) -> Result<Report> {
        if self.region.is_some() {
            return Err(Error::new(Kind::Usage, "--region needs the table `users` that init-shards makes")
                .hint("ringshard sql filters rows of other tables"));
        }
        let range = KeyRange { after: self.after.clone(), limit: self.limit };
        let (columns, rows, missing) = scan::list_rows(cluster, table, &range, self.partial.allow_partial)?;
        let columns: Vec<Column> = columns.into_iter().map(column).collect();
        let mut report = Report::stream(&columns, RowStream::new(rows));
        AllowPartial::add_missing(cluster, missing, &mut report);
        Ok(report)
    }
}
