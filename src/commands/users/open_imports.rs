//! `import list` and `import forget`: the progress of imports that were interrupted.

use std::path::Path;

use clap::{Args, Subcommand};
use uuid::Uuid;

use crate::bulk::{Input, Records};
use crate::commands::Context;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::{Cell, Column, Report};
use crate::pg::catalog::imports::{self, Imports, OpenImport, id_of, is_id};

/// The commands of `import`.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// List the imports that run or were interrupted
    #[command(after_help = "Example: ringshard import list")]
    List,
    /// Discard the progress of an interrupted import; what it stored stays
    #[command(after_help = "Example: ringshard import forget users.csv")]
    Forget(ForgetArgs),
}

/// The arguments of `import forget`.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// The file, or the name or id that import list shows
    #[arg(value_name = "FILE|ID")]
    pub(crate) import: String,
}

impl ImportCommand {
    /// Runs the command.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        match self {
            Self::List => list(context),
            Self::Forget(args) => args.run(context),
        }
    }
}

fn list(context: &Context<'_>) -> Result<Report> {
    let cluster = context.cluster()?;
    cluster.refresh()?;
    let (found, unreachable) = imports::all(cluster.shards());
    let mut report = Report::list(&[
        Column::text("id"),
        Column::text("state"),
        Column::number("records"),
        Column::number("age_seconds"),
        Column::text("shards"),
        Column::text("file"),
    ]);
    for (source, on_shards) in &found {
        let of_all = |of: fn(&OpenImport) -> i64| on_shards.iter().map(|(_, import)| of(import)).max();
        let is_running = on_shards.iter().any(|(_, import)| import.is_running);
        report.push(vec![
            id_of(*source).into(),
            if is_running { "running" } else { "interrupted" }.into(),
            of_all(|import| import.records).into(),
            of_all(|import| import.seconds).into(),
            Cell::List(on_shards.iter().map(|(name, _)| name.to_string()).collect()),
            on_shards.iter().find_map(|(_, import)| import.file.clone()).into(),
        ]);
    }
    if found.is_empty() {
        report.notes.push("no import is running, and none was interrupted".into());
    } else {
        report.notes.push(
            "ringshard import with the same file continues an interrupted import; ringshard import forget ID discards its progress".into(),
        );
    }
    Ok(without(unreachable, report))
}

/// The report without these shards, which did not answer.
fn without(unreachable: Vec<Error>, mut report: Report) -> Report {
    if !unreachable.is_empty() {
        report.failure = Some(
            Error::new(Kind::Partial, "not all shards answered")
                .hint("ringshard shards shows which shards are down"),
        );
        report.warnings.extend(unreachable);
    }
    report
}

impl ForgetArgs {
    fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        cluster.refresh()?;
        let (mut found, unreachable) = imports::all(cluster.shards());
        let (meant, unreadable) = self.meant(&found);
        let Some((source, on_shards)) = meant.and_then(|source| found.remove_entry(&source)) else {
            if let Some(error) = unreachable.into_iter().next().or(unreadable) {
                return Err(error);
            }
            let message = format!("no import of `{}` was interrupted", self.import);
            return Err(Error::new(Kind::NotFound, message).hint("ringshard import list shows them"));
        };
        if on_shards.iter().any(|(_, import)| import.is_running) {
            let message = format!("the import of `{}` is running", self.import);
            return Err(
                Error::new(Kind::Locked, message).hint("ringshard import list shows when it has ended")
            );
        }
        let shards: Vec<ShardName> = on_shards.into_iter().map(|(name, _)| name).collect();
        imports::forget(cluster.shards(), source, &shards)?;
        let columns = [Column::text("id"), Column::text("result"), Column::text("shards")];
        let names = Cell::List(shards.iter().map(ToString::to_string).collect());
        let report = Report::one(&columns, vec![id_of(source).into(), "forgotten".into(), names]);
        Ok(without(unreachable, report))
    }

    /// The import that is meant: by its id, by what its file holds now, or by the name of the file when it was imported. Also
    /// why the file cannot be read.
    fn meant(&self, found: &Imports) -> (Option<Uuid>, Option<Error>) {
        if is_id(&self.import) {
            let id = self.import.to_ascii_lowercase();
            return (found.keys().find(|source| source.simple().to_string().starts_with(&id)).copied(), None);
        }
        let has_name = |(_, import): &(ShardName, OpenImport)| import.file.as_ref() == Some(&self.import);
        let by_name =
            || found.iter().find(|(_, on_shards)| on_shards.iter().any(has_name)).map(|(source, _)| *source);
        match self.source() {
            Ok(source) => (source.filter(|source| found.contains_key(source)).or_else(by_name), None),
            Err(error) => (by_name(), Some(error)),
        }
    }

    /// The identity of the file; `None` if it has no record.
    fn source(&self) -> Result<Option<Uuid>> {
        let opened = Input::open(Path::new(&self.import));
        let Input { name, reader, .. } = opened.map_err(|error| {
            Error::new(Kind::NotFound, error.message()).hint("ringshard import list shows the ids of imports")
        })?;
        Ok(Records::new(&name, reader)?.identity()?.map(Uuid::from))
    }
}
