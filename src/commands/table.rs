//! `table`: which tables the cluster has, and by which key each is sharded.

use clap::{Args, Subcommand};

use crate::commands::Context;
use crate::error::{Error, Kind, Result};
use crate::model::report::{Cell, Column, Report};
use crate::model::table::Table;
use crate::model::text::counted;
use crate::pg::tables;

/// The commands of `table`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum TableCommand {
    /// Shard a table by a key, or make it a reference table
    #[command(after_help = "Example: ringshard table add orders --key user_id")]
    Add(TableAddArgs),
    /// List the tables of the cluster, with their rows on all shards
    #[command(after_help = "Example: ringshard table list")]
    List,
    /// Show one table of the cluster
    #[command(after_help = "Example: ringshard table show orders")]
    Show(TableNameArgs),
    /// Remove a table from the cluster; its rows stay where they are
    #[command(after_help = "Example: ringshard table remove orders")]
    Remove(TableNameArgs),
}

/// The arguments of `table add`.
#[derive(Debug, Args)]
pub struct TableAddArgs {
    /// The table, as in SQL: orders, or shop.orders
    pub(crate) name: String,
    /// The column that decides the shard of a row
    #[arg(long, value_name = "COLUMN", required_unless_present = "reference")]
    pub(crate) key: Option<String>,
    /// Make it a reference table: the same on every shard
    #[arg(long, conflicts_with_all = ["key", "unchecked_unique"])]
    pub(crate) reference: bool,
    /// Accept this unique index without the key, because the application makes its values unique over all shards
    #[arg(long, value_name = "INDEX")]
    pub(crate) unchecked_unique: Vec<String>,
}

/// A table of the cluster.
#[derive(Debug, Args)]
pub struct TableNameArgs {
    /// The table, as `table list` shows it
    pub(crate) name: String,
}

impl TableCommand {
    /// Whether it may change something.
    pub(crate) fn writes(&self) -> bool {
        matches!(self, Self::Add(_) | Self::Remove(_))
    }

    /// Runs the command.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        match self {
            Self::Add(args) => args.add(context),
            Self::List => list(context, None),
            Self::Show(args) => list(context, Some(&args.name)),
            Self::Remove(args) => args.remove(context),
        }
    }
}

impl TableAddArgs {
    fn add(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        let table = tables::find(&cluster, &self.name, self.key.as_deref(), self.unchecked_unique.clone())?;
        let obstacles = tables::add(&cluster, &table)?;
        let mut report = changed(&table, "added");
        report.warnings = tables::collisions(&cluster, &table)?;
        if let Some(first) = obstacles.first() {
            report.notes.push(format!(
                "its rows cannot move yet: {first}{}. If that is a foreign key of a table with the same key, add that table too",
                match obstacles.len() {
                    1 => String::new(),
                    more => format!(" and {}", counted(more as u64 - 1, "other")),
                }
            ));
        }
        Ok(report)
    }
}

impl TableNameArgs {
    fn remove(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        let table = match named(&tables::removable(&cluster)?, &self.name) {
            Ok(table) => table,
            Err(error) => {
                let name = tables::left_guarded(&cluster, &self.name)?.ok_or(error)?;
                Table { name, key: None, unchecked_unique: Vec::new(), is_prototype: false }
            }
        };
        tables::remove(&cluster, &table.name)?;
        let mut report = changed(&table, "removed");
        report.notes.push("its rows stay on the shards where they are, and no guard checks new ones".into());
        Ok(report)
    }
}

/// The table that a user means: as `table list` shows it, or with its schema. Fails with `NotFound`.
pub(crate) fn named(tables: &[Table], name: &str) -> Result<Table> {
    let is_named = |table: &&Table| table.name.to_string() == name || table.name.as_sql() == name;
    tables.iter().find(is_named).cloned().ok_or_else(|| {
        Error::new(Kind::NotFound, format!("the cluster has no table `{name}`"))
            .hint("ringshard table list shows the tables")
    })
}

const KIND: [&str; 2] = ["reference", "sharded"];

/// The cells that tell what a table is.
fn description(table: &Table) -> Vec<Cell> {
    vec![
        table.name.to_string().into(),
        KIND[usize::from(table.key.is_some())].into(),
        table.key.as_ref().map(|key| key.column.clone()).into(),
        table.key.as_ref().map(|key| key.of.to_string()).into(),
    ]
}

fn changed(table: &Table, result: &'static str) -> Report {
    let columns = [
        Column::text("table"),
        Column::text("kind"),
        Column::text("key"),
        Column::text("type"),
        Column::text("result"),
    ];
    let mut row = description(table);
    row.push(result.into());
    Report::one(&columns, row)
}

fn list(context: &Context<'_>, name: Option<&String>) -> Result<Report> {
    let cluster = context.cluster()?;
    let sizes = tables::sizes(&cluster)?;
    let columns = [
        Column::text("table"),
        Column::text("kind"),
        Column::text("key"),
        Column::text("type"),
        Column::number("rows"),
        Column::bytes("size_bytes"),
    ];
    let row = |table: &Table, size: &tables::TableSize| {
        let mut row = description(table);
        row.extend([size.rows.into(), size.size_bytes.into()]);
        row
    };
    let Some(name) = name else {
        let mut report = Report::list(&columns);
        for (table, size) in &sizes {
            report.push(row(table, size));
        }
        if sizes.is_empty() {
            report.notes.push("no table is sharded yet: ringshard table add NAME --key COLUMN".into());
        }
        return Ok(report);
    };
    let all: Vec<Table> = sizes.iter().map(|(table, _)| table.clone()).collect();
    let table = named(&all, name)?;
    let found = sizes.iter().find(|(other, _)| *other == table);
    let (table, size) = found.expect("it was found among them");
    Ok(Report::one(&columns, row(table, size)))
}
