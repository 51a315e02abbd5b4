//! `schema`: the same schema on all shards.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::commands::Context;
use crate::commands::table::{TableNameArgs, named};
use crate::error::{Error, Kind, Result};
use crate::model::report::{Cell, Column, Report};
use crate::model::schema::SchemaChange;
use crate::model::schema::difference::{Difference, Object, ObjectKind, by_definition};
use crate::model::text::{counted, timestamp};
use crate::pg::schema::{self, ChangeState, Recorded, SchemaPlan};

/// The commands of `schema`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum SchemaCommand {
    /// Apply a change of the schema on all shards: on the first one, then on the others
    #[command(after_help = "Example: ringshard schema apply -c 'ALTER TABLE users ADD COLUMN age int'")]
    Apply(SchemaApplyArgs),
    /// List the changes of the schema, with their state on each shard
    #[command(after_help = "Example: ringshard schema status")]
    Status,
    /// Show the columns, constraints, indexes, triggers and rights of a table, and which shards have them
    #[command(after_help = "Example: ringshard schema show users")]
    Show(TableNameArgs),
    /// Show how the tables of the cluster differ between shards; exit code 1 if they do
    #[command(after_help = "Example: ringshard schema diff")]
    Diff,
}

/// The arguments of `schema apply`.
#[derive(Debug, Args)]
pub struct SchemaApplyArgs {
    /// A file of SQL statements, without BEGIN and COMMIT
    #[arg(value_name = "FILE", required_unless_present = "sql", conflicts_with = "sql")]
    pub(crate) file: Option<PathBuf>,
    /// SQL statements instead of a file
    #[arg(short = 'c', long = "command", value_name = "SQL")]
    pub(crate) sql: Option<String>,
    /// The name of the change [default: the file's name, or the beginning of the SQL]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Show which shards have the change, without applying it
    #[arg(long)]
    pub(crate) dry_run: bool,
}

const STATUS_COLUMNS: [Column; 4] =
    [Column::text("change"), Column::text("shard"), Column::text("state"), Column::text("at")];

impl SchemaCommand {
    /// Whether it may change something.
    pub(crate) fn writes(&self) -> bool {
        matches!(self, Self::Apply(args) if !args.dry_run)
    }

    /// Runs the command.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        match self {
            Self::Apply(args) => args.run(context),
            Self::Status => status(context),
            Self::Show(args) => show(context, &args.name),
            Self::Diff => diff(context),
        }
    }
}

impl SchemaApplyArgs {
    /// Shows the plan, asks, and applies the change.
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let change = self.change()?;
        let cluster = context.cluster()?;
        let plan = schema::plan(&cluster, change)?;
        let name = plan.change.name.clone();
        if self.dry_run {
            let mut report = Report::list(&STATUS_COLUMNS);
            for (shard, recorded) in &plan.shards {
                report.push(status_row(&name, shard.as_str(), recorded.as_ref()));
            }
            return Ok(report);
        }
        let columns = [Column::text("change"), Column::text("shard"), Column::text("result")];
        let mut report = Report::list(&columns);
        let missing: Vec<_> = plan.missing().cloned().collect();
        if missing.is_empty() {
            report.notes.push("every shard has this change already".into());
        } else {
            context.console().confirm(&format!("{}\nApply it?", describe(&plan)))?;
            schema::apply(&cluster, &plan)?;
        }
        for (shard, _) in &plan.shards {
            let result = if missing.contains(shard) { "applied" } else { "unchanged" };
            report.push(vec![name.as_str().into(), shard.as_str().into(), result.into()]);
        }
        Ok(report)
    }

    /// The change that the arguments give.
    fn change(&self) -> Result<SchemaChange> {
        let Some(path) = &self.file else {
            return SchemaChange::parse(self.name.clone(), self.sql.clone().unwrap_or_default(), "-c");
        };
        let origin = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|cause| {
            Error::new(Kind::NotFound, format!("cannot read `{origin}`: {cause}"))
                .hint("name a file of SQL statements in UTF-8, or give them with -c")
        })?;
        let own = path.file_name().map_or_else(|| origin.clone(), |name| name.to_string_lossy().into_owned());
        SchemaChange::parse(Some(self.name.clone().unwrap_or(own)), text, &origin)
    }
}

/// The plan as a few lines above the question.
fn describe(plan: &SchemaPlan) -> String {
    let SchemaPlan { change, shards, unfinished } = plan;
    let how = if change.alone().is_some() {
        "a statement that runs outside a transaction".into()
    } else {
        format!("{} in one transaction on each shard", counted(change.statements.len() as u64, "statement"))
    };
    let mut lines = vec![format!("{}: {how}", change.name)];
    let is_new = shards.iter().all(|(_, recorded)| recorded.is_none());
    for (at, (shard, recorded)) in shards.iter().enumerate() {
        let what = match recorded.as_ref().map(|recorded| recorded.state) {
            Some(ChangeState::Applied) => "has it already",
            Some(ChangeState::Applying) => "to apply: it was interrupted there",
            None if is_new && at == 0 => "to apply, first and alone",
            None => "to apply",
        };
        lines.push(format!("{shard}: {what}"));
    }
    let others =
        unfinished.iter().map(|name| format!("the earlier change `{name}` is not on all shards yet"));
    lines.extend(others);
    lines.join("\n")
}

fn status_row(change: &str, shard: &str, recorded: Option<&Recorded>) -> Vec<Cell> {
    let state = recorded.map_or("missing", |recorded| recorded.state.as_str());
    let at = recorded
        .and_then(|recorded| u64::try_from(recorded.at_unix_us).ok())
        .map(|at| timestamp(at / 1_000_000));
    vec![change.into(), shard.into(), state.into(), at.into()]
}

fn status(context: &Context<'_>) -> Result<Report> {
    let schema::SchemaStatus { changes, shards, missing } = schema::status(&*context.cluster()?)?;
    let mut report = Report::list(&STATUS_COLUMNS);
    for (change, of) in &changes {
        for shard in &shards {
            report.push(status_row(&change.name, shard.as_str(), of.get(shard)));
        }
        for (shard, _) in &missing {
            report.push(vec![
                change.name.as_str().into(),
                shard.as_str().into(),
                "unknown".into(),
                Cell::Null,
            ]);
        }
    }
    if changes.is_empty() {
        report.notes.push("no change was applied yet: ringshard schema apply FILE".into());
    }
    if !missing.is_empty() {
        let message = "this status covers only the shards that answer";
        report.failure = Some(Error::new(Kind::Partial, message).hint("ringshard shards shows which do not"));
        report.warnings.extend(missing.into_iter().map(|(_, error)| error));
    }
    Ok(report)
}

fn show(context: &Context<'_>, name: &str) -> Result<Report> {
    let cluster = context.cluster()?;
    let shards = schema::definitions(&cluster)?;
    let table = named(cluster.view().topology.tables().all(), name)?.name.to_string();
    let columns =
        [Column::text("kind"), Column::text("name"), Column::text("definition"), Column::text("shards")];
    let mut report = Report::list(&columns);
    let own = |object: &Object| object.table == table && object.kind != ObjectKind::ColumnOrder;
    for (object, definition, having) in by_definition(&shards).into_iter().filter(|(it, ..)| own(it)) {
        let having = if having.len() == shards.len() {
            "all".into()
        } else {
            Cell::List(having.iter().map(ToString::to_string).collect())
        };
        let name = object.name.strip_prefix(&format!("{table}.")).unwrap_or(&object.name);
        report.push(vec![object.kind.as_str().into(), name.into(), definition.into(), having]);
    }
    Ok(report)
}

fn diff(context: &Context<'_>) -> Result<Report> {
    let columns =
        [Column::text("shard"), Column::text("object"), Column::text("found"), Column::text("expected")];
    let mut report = Report::list(&columns);
    let differences = schema::differences(&*context.cluster()?)?;
    for Difference { shard, object, found, expected } in &differences {
        let object = format!("{} {}", object.kind.as_str(), object.name);
        report.push(vec![
            shard.as_str().into(),
            object.into(),
            found.clone().into(),
            expected.clone().into(),
        ]);
    }
    if !differences.is_empty() {
        let message = format!("the shards differ in {}", counted(differences.len() as u64, "object"));
        report.failure = Some(
            Error::new(Kind::Failed, message)
                .hint("make them alike with psql on the shards that are named, or complete a change: ringshard schema status"),
        );
    }
    Ok(report)
}
