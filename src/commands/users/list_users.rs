//! `list-users`: lists the users of all shards, by id.

use crate::pg::scan;
use clap::Args;

use super::one_user::{COLUMNS, cells};
use super::partial::AllowPartial;
use crate::commands::Context;
use crate::error::Result;
use crate::model::report::{Report, RowStream};
use crate::model::user::{Region, UserId};
use crate::pg::scan::list::Filter;

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
    after: Option<UserId>,
    #[command(flatten)]
    pub(crate) partial: AllowPartial,
}

impl ListUsersArgs {
    /// Asks all shards at once, and shows the rows as they arrive.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster_of_users()?;
        let (users, missing) = scan::list_users(&cluster, &self.filter(), self.partial.allow_partial)?;
        let mut report = Report::stream(&COLUMNS, RowStream::new(users.map(|user| user.map(cells))));
        AllowPartial::add_missing(&cluster, missing, &mut report);
        Ok(report)
    }

    /// The users to list.
    pub(crate) fn filter(&self) -> Filter {
        Filter {
            region: self.region.as_ref().map(|region| region.as_str().to_owned()),
            after: self.after,
            limit: self.limit,
        }
    }
}
