//! `sql`: one statement, on the owner of its key, or on all shards, whose answers are merged.

use clap::Args;

use super::users::partial::AllowPartial;
use super::{Context, complete_shard};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::{Column, Look, Report, RowStream};
use crate::pg::cluster::Cluster;
use crate::pg::scan::sql::StatementColumn;
use crate::pg::sql::{self, Answer, Control, Request, Transaction};

/// A column of a result as one of a report.
pub(super) fn column(of: StatementColumn) -> Column {
    Column::new(of.name.into(), if of.is_number { Look::Number } else { Look::Text })
}

/// The arguments of `sql`.
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// One statement; it runs on the owner of the sharding key that it names, and without one on all shards
    #[arg(value_name = "STATEMENT")]
    pub(crate) statement: String,
    /// Run it on the owner of this sharding key
    #[arg(long, value_name = "KEY", allow_hyphen_values = true, conflicts_with_all = ["shard", "per_shard", "gather"])]
    pub(crate) key: Option<String>,
    /// Show the answer of each shard, with the shard in front
    #[arg(long)]
    pub(crate) per_shard: bool,
    /// As --per-shard, only on this shard; may be given more than once
    #[arg(long, value_name = "NAME", add = clap_complete::ArgValueCompleter::new(complete_shard))]
    pub(crate) shard: Vec<ShardName>,
    /// For an INSERT, UPDATE or DELETE that names no key, or several: run it on all shards, on all of them or on none
    #[arg(long, conflicts_with_all = ["key", "shard", "per_shard", "gather", "allow_partial"])]
    pub(crate) all_shards: bool,
    /// For a query that cannot be split: copy the rows that it needs to one shard first, at most so many
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) gather: Option<u64>,
    #[command(flatten)]
    pub(crate) partial: AllowPartial,
}

/// Runs a statement: by itself, or in the transaction that is open.
fn answer(context: &Context<'_>, cluster: &Cluster, request: &Request<'_>) -> Result<Answer> {
    let mut open = context.transaction();
    let none = || {
        Error::new(Kind::Usage, "no transaction is open")
            .hint("BEGIN; opens one, in a script, with -c or at the prompt")
    };
    match (sql::control(request.sql), &mut *open) {
        (None, None) => sql::run(cluster, request),
        (None, Some(transaction)) => transaction.run(cluster, request),
        (Some(Control::Begin), Some(_)) => {
            Err(Error::new(Kind::Usage, "a transaction is open already").hint("COMMIT; or ROLLBACK; ends it"))
        }
        (Some(Control::Begin), None) => {
            let mut transaction = Transaction::begin(request.sql)?;
            if context.check_may_write().is_err() {
                transaction = transaction.read_only();
            }
            if request.key.is_some() {
                transaction.run(cluster, &Request { sql: "VALUES (1)", ..request.clone() })?;
            }
            let said = match transaction.state() {
                (Some(shard), _) => format!("BEGIN on shard {shard}"),
                (None, _) => "BEGIN; the first statement that names a key decides the shard".to_owned(),
            };
            *open = Some(transaction);
            Ok(Answer::said(&said))
        }
        (Some(Control::Chain), _) => {
            Err(Error::new(Kind::Usage, "AND CHAIN is not supported").hint("COMMIT; and BEGIN; do the same"))
        }
        (Some(Control::Savepoint), Some(transaction)) => transaction.savepoint(request.sql),
        (Some(Control::Commit), Some(_)) => open.take().ok_or_else(none)?.commit(),
        (Some(Control::RollBack), Some(_)) => Ok(open.take().ok_or_else(none)?.roll_back()),
        (Some(_), None) => Err(none()),
    }
}

impl SqlArgs {
    /// Runs the statement.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        if sql::may_write(&self.statement) && sql::control(&self.statement).is_none() {
            context.check_may_write()?;
        }
        let cluster = context.cluster()?;
        let names = cluster.shards().names();
        let per_shard =
            if self.per_shard || !self.shard.is_empty() { self.asked(names)? } else { Vec::new() };
        let request = Request {
            sql: &self.statement,
            key: self.key.as_deref(),
            per_shard,
            gather: self.gather,
            all_shards: self.all_shards,
            allow_partial: self.partial.allow_partial,
        };
        let Answer { columns, is_per_shard, rows, missing, done } = answer(context, &cluster, &request)?;
        let shard = is_per_shard.then(|| Column::text("shard"));
        let columns: Vec<Column> = shard.into_iter().chain(columns.into_iter().map(column)).collect();
        let rows = rows.map(move |row| {
            let (shard, mut cells) = row?;
            if let Some(shard) = shard.filter(|_| is_per_shard) {
                cells.insert(0, shard.as_str().into());
            }
            Ok(cells)
        });
        let mut report = match done {
            Some(done) if columns.is_empty() => Report::note(done),
            done => {
                let mut report = Report::stream(&columns, RowStream::new(rows));
                report.notes.extend(done);
                report
            }
        };
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
