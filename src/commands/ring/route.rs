//! `route`: which shard owns a key, for scripts.

use clap::Args;

use super::freshest;
use crate::commands::Context;
use crate::commands::table::named;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::{Column, Report, Shape};
use crate::model::ring::position::Position;
use crate::model::table::{Table, TableName};
use crate::pg::rows::locate::holder;

/// The arguments of `route`.
#[derive(Debug, Args)]
pub struct RouteArgs {
    /// Sharding keys
    #[arg(value_name = "KEY", required = true, allow_negative_numbers = true)]
    pub(crate) keys: Vec<String>,
    /// The table whose keys they are: all tables lie on one ring, but the key of each has its own type [default: users]
    #[arg(long, value_name = "NAME")]
    pub(crate) table: Option<String>,
}

impl RouteArgs {
    /// Shows the owner of each key. While arcs move, the shards say who has it.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let columns = [
            Column::text("key"),
            Column::text("shard"),
            Column::number("number"),
            Column::number("epoch"),
            Column::text("url"),
        ];
        let mut report = Report::list(&columns);
        let cluster = context.cluster()?;
        let view = freshest(&cluster, &mut report)?;
        let tables = view.topology.tables();
        let table: Table = match &self.table {
            Some(name) => named(tables.all(), name)?,
            None => tables.get(&TableName::users()).cloned().ok_or_else(|| {
                Error::new(
                    Kind::Usage,
                    "the cluster has no table `users`, so the type of the keys is not known",
                )
                .hint("name the table with --table; ringshard table list shows the tables")
            })?,
        };
        let Some(of_table) = &table.key else {
            let message = format!("`{}` is a reference table, which has no key", table.name);
            return Err(Error::new(Kind::Usage, message).hint("ringshard table list shows the tables"));
        };
        let goal = view.goal();
        for key in &self.keys {
            let key = of_table.of.canonical(key).map_err(|why| {
                Error::new(Kind::Usage, why).hint("ringshard table list shows the type of each key")
            })?;
            let position = Position::of_key(&key);
            let mut owner: ShardName = view.ring().owner(position).clone();
            if view.change.is_some() {
                owner = holder(&cluster, position).unwrap_or(owner);
            }
            report.push(vec![
                key.into(),
                owner.as_str().into(),
                view.topology.number(&owner).or_else(|| goal.number(&owner)).map(i64::from).into(),
                view.epoch.number().into(),
                cluster.shards().address(&owner)?.shown().into(),
            ]);
        }
        if self.keys.len() == 1 {
            report.shape = Shape::One;
        }
        Ok(report)
    }
}
