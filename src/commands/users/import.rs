//! `import`: stores the users of a file, each on the shard that owns it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;

use clap::{Args, ValueEnum};
use parking_lot::Mutex;

use super::any_table::{TableFlag, import_table};
use super::open_imports::ImportCommand;
use super::rejects::{Rejected, Rejects};
use crate::bulk::{Input, Layout, Records};
use crate::commands::{Context, Progress};
use crate::error::{Error, Kind, Result};
use crate::model::report::{Column, Report};
use crate::model::text::{counted, visible};
use crate::pg::import::{Feeder, Import, ImportOptions, OnConflict, RefusedRow, Stopped, Summary};
use crate::threads;

/// What to do about a user that exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Conflict {
    /// Stop with an error
    Error,
    /// Leave the existing user unchanged
    Skip,
    /// Overwrite the existing user
    Update,
}

impl From<Conflict> for OnConflict {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::Error => Self::Error,
            Conflict::Skip => Self::Skip,
            Conflict::Update => Self::Update,
        }
    }
}

/// The arguments of `import`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ImportArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ImportCommand>,
    #[command(flatten)]
    pub(crate) of_file: ImportFileArgs,
}

impl ImportArgs {
    /// Whether it may change something.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self.command, Some(ImportCommand::List))
    }

    /// Imports a file, or runs a command about imports.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        match &self.command {
            Some(command) => command.run(context),
            None => self.of_file.run(context),
        }
    }
}

/// The arguments of `import FILE`.
#[derive(Debug, Args)]
pub struct ImportFileArgs {
    /// The file: CSV with a header (columns in any order), or JSON lines; gzipped or not; `-` for standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) file: Option<PathBuf>,
    /// What to do about a user that exists already or appears twice; update sets the columns of the file
    #[arg(long, value_enum, value_name = "WHAT", default_value = "error")]
    pub(crate) on_conflict: Conflict,
    /// Write bad records, and those that a shard refuses, to this file, and continue
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Ignore the progress of an interrupted import of this file
    #[arg(long)]
    pub(crate) restart: bool,
    #[command(flatten)]
    pub(crate) table: TableFlag,
    /// The size of a batch in KiB; for tests of what happens between two of them
    #[arg(long, value_name = "KIB", hide = true)]
    pub(crate) batch_kib: Option<u16>,
}

impl ImportFileArgs {
    /// Reads the file and stores its users on all shards at once.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let file = self.file.as_deref().expect("clap requires it");
        if let Ok(cluster) = context.cluster()
            && let Some(table) = self.table.other_table(&cluster)?
        {
            if self.restart {
                return Err(Error::new(Kind::Usage, "--restart is for the table of the prototype alone")
                    .hint("leave it out; --on-conflict skip leaves out rows that are there"));
            }
            let on_conflict = self.on_conflict.into();
            return import_table(context, &cluster, &table, file, on_conflict, self.rejects.as_deref());
        }
        let Input { name, reader, bytes_read, bytes_total } = Input::open(file)?;
        let mut records = Records::new(&name, reader)?;
        let create = |path| Rejects::create(path, file, records.header());
        let rejects = self.rejects.as_deref().map(create).transpose()?;
        let layout = records.layout();
        let rejects = rejects
            .map(|rejects| Arc::new(Mutex::new(RejectedUsers { rejects, layout, refused: HashSet::new() })));
        let Some(source) = records.identity()? else {
            rejects.as_ref().map_or(Ok(()), |rejects| rejects.lock().rejects.finish())?;
            return Ok(self.report(&name, &Summary::default(), &Rejected::default()));
        };
        let options = ImportOptions {
            file: name.clone(),
            source,
            on_conflict: self.on_conflict.into(),
            has: records.has(),
            restart: self.restart,
            batch_bytes: self.batch_kib.map(|kib| usize::from(kib) << 10),
        };
        let cluster = context.cluster_of_users()?;
        let (mut import, feeder) = Import::begin(&cluster, options)?;
        if let Some(rejects) = rejects.clone() {
            import = import.collecting_refused(Box::new(move |row| rejects.lock().take_refused(row)));
        }
        // Not joined: it may wait for input that never comes after the import has failed.
        let has_fed = {
            let (sender, receiver) = channel();
            let rejects = rejects.clone();
            threads::start(move || {
                feed(records, feeder, rejects.as_deref());
                drop(sender);
            })?;
            receiver
        };
        let console = context.console();
        let interrupts = console.watch_interrupts();
        let report = |rows| {
            let part = bytes_total.map(|total| (bytes_read.load(Ordering::Relaxed).min(total), total));
            console.progress(Some(&Progress { rows, part, at: String::new() }));
            !interrupts.asked()
        };
        // Before the checkpoints are deleted: until then another run would meet the same records again.
        let complete = || rejects.as_ref().map_or(Ok(()), |rejects| rejects.lock().rejects.finish());
        let summary = import.run(&cluster, report, complete);
        console.progress(None);
        let summary = summary.map_err(|error| match error.kind() {
            _ if error.hint_text().is_some() => error,
            // A row that a shard refuses.
            Kind::BadInput | Kind::Conflict => error.hint(format!(
                "ringshard import {name} --rejects rejected collects such records in a file, and continues"
            )),
            _ => error,
        })?;
        // The reader has finished by now.
        let _: std::result::Result<(), _> = has_fed.recv();
        let rejected = rejects.as_ref().map(|rejects| std::mem::take(&mut rejects.lock().rejects.rejected));
        Ok(self.report(&name, &summary, &rejected.unwrap_or_default()))
    }

    fn report(&self, name: &str, summary: &Summary, rejected: &Rejected) -> Report {
        let columns = [
            Column::text("file"),
            Column::number("records"),
            Column::number("inserted"),
            Column::number("updated"),
            Column::number("skipped"),
            Column::number("rejected"),
            Column::number("resumed"),
        ];
        let Summary { records, inserted, updated, skipped, resumed, changed, ref cleanup_errors } = *summary;
        let row = vec![
            name.into(),
            records.into(),
            inserted.into(),
            updated.into(),
            skipped.into(),
            rejected.count.into(),
            resumed.into(),
        ];
        let mut report = Report::one(&columns, row);
        if resumed > 0 {
            let users = counted(resumed, "user");
            report.notes.push(format!("already stored by the interrupted import of this file: {users}"));
        }
        if let Some(id) = changed.example {
            let users = counted(changed.users, "user");
            let message = format!(
                "a trigger of `users` stored other values than the file has: {users}, such as `{id}`"
            );
            report.warnings.push(
                Error::new(Kind::Failed, message)
                    .hint(format!("ringshard get-user --id {id} shows what is stored")),
            );
        }
        for cause in cleanup_errors {
            let message =
                format!("all users are stored, but the progress of the import could not be cleared: {cause}");
            let mut warning = Error::new(cause.kind(), message)
                .hint(format!("to import this file again: ringshard import {name} --restart"));
            if let Some(shard) = cause.shard() {
                warning = warning.on_shard(shard.to_owned());
            }
            report.warnings.push(warning);
        }
        rejected.warn(self.rejects.as_deref(), "", &mut report);
        report
    }
}

/// The rejected users. An import that is resumed meets them again.
struct RejectedUsers {
    rejects: Rejects,
    /// How the file that is imported writes its users.
    layout: Layout,
    /// The numbers of the records that a shard refused.
    refused: HashSet<u64>,
}

impl RejectedUsers {
    /// A record that a shard refuses; once, also if it is sent again.
    fn take_refused(&mut self, row: &RefusedRow<'_>) -> Result<()> {
        if !self.refused.insert(row.record) {
            return Ok(());
        }
        let mut raw = Vec::new();
        self.layout.encode(row.user.bytes(), &mut raw);
        self.rejects.take(&raw, visible(&row.why).into_owned())
    }
}

/// Reads the file to its end, or until something stops it.
fn feed(mut records: Records, mut feeder: Feeder, rejects: Option<&Mutex<RejectedUsers>>) {
    loop {
        match feed_one(&mut records, &mut feeder, rejects) {
            Ok(Some(Ok(()))) => {}
            Ok(Some(Err(Stopped))) => break,
            Ok(None) => {
                feeder.finish();
                break;
            }
            Err(error) => {
                feeder.abort(error);
                break;
            }
        }
    }
}

/// One record; `None` at the end of the file.
fn feed_one(
    records: &mut Records,
    feeder: &mut Feeder,
    rejects: Option<&Mutex<RejectedUsers>>,
) -> Result<Option<std::result::Result<(), Stopped>>> {
    let Some(record) = records.next_record()? else { return Ok(None) };
    let why = match record.user {
        Ok(user) => return Ok(Some(feeder.push(record.line, user))),
        Err(why) => visible(&why).into_owned(),
    };
    let Some(rejects) = rejects else {
        let line = record.line;
        return Err(records
            .bad(line, &why)
            .hint("correct it; or add --rejects FILE to collect bad records and continue"));
    };
    let (line, raw) = (record.line, record.raw.to_vec());
    let why = records.bad(line, &why).message().to_owned();
    rejects.lock().rejects.take(&raw, why)?;
    Ok(Some(feeder.skip()))
}
