//! `--table`: the rows of any sharded table, for the commands that otherwise serve users.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;

use clap::Args;

use super::partial::AllowPartial;
use super::rejects::Rejects;
use crate::bulk::{FileFormat, FileRows, Input, Output};
use crate::commands::table::named;
use crate::commands::{Context, Progress};
use crate::error::{Error, Kind, Result};
use crate::files::atomic;
use crate::model::report::{Column, Document, Report, StreamEnd};
use crate::model::ring::position::Position;
use crate::model::ring::topology::Epoch;
use crate::model::table::{Table, TableName};
use crate::model::text::counted;
use crate::pg::cluster::Cluster;
use crate::pg::import::OnConflict;
use crate::pg::import::rows_of_table::{RowSource, RowsImport, SourceRow};
use crate::pg::scan::rows_of_table::{RowFormat, export};

/// How much text of rows a batch has.
const BATCH_BYTES: usize = 4 << 20;
/// How many rows.
const BATCH_ROWS: usize = 20_000;

/// The table that a command reads or writes.
#[derive(Debug, Args)]
pub struct TableFlag {
    /// A sharded table [default: users]
    #[arg(long, value_name = "NAME")]
    pub(crate) table: Option<String>,
}

impl TableFlag {
    /// The table, unless it is that of the Python prototype; without --table `users`, if it has other columns, as far as this
    /// process knows. Fails with `NotFound` if the cluster does not have the table.
    pub(crate) fn other_table(&self, cluster: &Cluster) -> Result<Option<Table>> {
        let Some(name) = &self.table else {
            // Which columns it has must be known before rows are read. If no shard answers, the command says so.
            let _ = cluster.refresh();
            return Ok(users_of_other_columns(cluster));
        };
        cluster.refresh()?;
        let view = cluster.view();
        let found = named(view.topology.tables().all(), name)?;
        Ok((!found.is_prototype).then_some(found))
    }
}

/// The sharded table `users`, if it is not that of the Python prototype, as far as this process knows.
pub(crate) fn users_of_other_columns(cluster: &Cluster) -> Option<Table> {
    let view = cluster.view();
    let tables = view.topology.tables();
    let is_known = view.epoch != Epoch::GUESSED && !tables.has_prototype();
    tables.get(&TableName::users()).filter(|table| is_known && table.key.is_some()).cloned()
}

/// Writes all rows of a table to a file or to standard output.
pub(crate) fn export_table(
    context: &Context<'_>,
    cluster: &std::sync::Arc<Cluster>,
    table: Table,
    (file, format): (&Path, FileFormat),
    allow_partial: bool,
) -> Result<Report> {
    let format = match format {
        FileFormat::Csv => RowFormat::Csv,
        FileFormat::JsonLines => RowFormat::JsonLines,
    };
    if atomic::is_stdout(file) {
        let cluster = std::sync::Arc::clone(cluster);
        let write = move |out: &mut dyn Write| {
            let mut unwritable = None;
            let missing = export(&cluster, &table, format, allow_partial, &mut |piece| {
                let written = out.write_all(piece);
                unwritable = written.err();
                Ok(unwritable.is_none())
            })?;
            if let Some(cause) = unwritable {
                return Err(StreamEnd::from(cause));
            }
            let mut report = Report::list(&[]);
            AllowPartial::add_missing(&cluster, missing, &mut report);
            report.failure.map_or(Ok(()), |error| Err(StreamEnd::from(error)))
        };
        return Ok(Report { document: Some(Document::Stream(Box::new(write))), ..Report::list(&[]) });
    }
    let console = context.console();
    let mut output = Output::create(file)?;
    let (mut rows, mut is_quoted, mut unwritable) = (0, false, None);
    let exported = export(cluster, &table, format, allow_partial, &mut |piece| {
        for byte in piece {
            match byte {
                b'"' if format == RowFormat::Csv => is_quoted = !is_quoted,
                b'\n' if !is_quoted => rows += 1,
                _ => {}
            }
        }
        console.progress(Some(&Progress { rows, part: None, at: String::new() }));
        unwritable = output.write_all(piece).err();
        Ok(unwritable.is_none())
    });
    console.progress(None);
    let missing = exported?;
    if let Some(cause) = unwritable {
        output.unwritable(&cause)?;
        return Ok(Report::list(&[]));
    }
    output.finish()?;
    let rows = if format == RowFormat::Csv { rows.saturating_sub(1) } else { rows };
    let mut report = Report::note(format!("wrote {} to `{}`", counted(rows, "row"), file.display()));
    AllowPartial::add_missing(cluster, missing, &mut report);
    Ok(report)
}

/// Stores the rows of a file, each on the shard that owns its key. `rejects`: the file for those that are wrong or refused.
pub(crate) fn import_table(
    context: &Context<'_>,
    cluster: &Cluster,
    table: &Table,
    file: &Path,
    on_conflict: OnConflict,
    rejects: Option<&Path>,
) -> Result<Report> {
    let Some(key) = &table.key else {
        let message = format!("the table `{}` is a reference table, the same on every shard", table.name);
        return Err(Error::new(Kind::Usage, message).hint("psql with the URL of each shard fills it"));
    };
    let Input { name, reader, bytes_read, bytes_total } = Input::open(file)?;
    let mut rows = FileRows::new(&name, reader, key)?;
    let create = |path| Rejects::create(path, file, rows.header());
    let mut collected = rejects.map(create).transpose()?;
    let source = match rows.format() {
        FileFormat::Csv => RowSource::Csv(rows.separator()),
        FileFormat::JsonLines => RowSource::JsonLines,
    };
    let mut import = RowsImport::new(cluster, &name, table, rows.columns(), source, on_conflict)?;
    let console = context.console();
    let interrupts = console.watch_interrupts();
    let is_stopped = || interrupts.asked();
    let (mut read, mut stored) = (0, 0);
    let mut batch: Vec<SourceRow> = Vec::new();
    let mut bytes = 0;
    loop {
        let row = match rows.next_row() {
            Ok(Some(Err(bad))) => match &mut collected {
                Some(rejects) if !is_stopped() => {
                    read += 1;
                    rejects.take(&bad.raw, bad.error.message().to_owned())?;
                    continue;
                }
                _ => Err(bad.error),
            },
            Ok(row) => Ok(row.and_then(std::result::Result::ok)),
            Err(error) => Err(error),
        };
        let is_end = !matches!(row, Ok(Some(_)));
        if bytes >= BATCH_BYTES || batch.len() >= BATCH_ROWS || (is_end && !batch.is_empty()) {
            read += batch.len() as u64;
            let rows = std::mem::take(&mut batch);
            stored += match &mut collected {
                None => import.store(rows, None, &is_stopped)?,
                Some(rejects) => {
                    let mut take = |row: SourceRow, why: Error| {
                        rejects.take(row.text.as_bytes(), why.message().to_owned())
                    };
                    import.store(rows, Some(&mut take), &is_stopped)?
                }
            };
            bytes = 0;
            let part = bytes_total.map(|total| (bytes_read.load(Ordering::Relaxed).min(total), total));
            console.progress(Some(&Progress { rows: read, part, at: String::new() }));
        }
        let Some(row) = row? else { break };
        if is_stopped() {
            let message =
                format!("the import was stopped before line {}; {stored} rows are stored", row.line);
            return Err(Error::new(Kind::Partial, message)
                .hint("run it again with --on-conflict skip, if the table has a primary key"));
        }
        bytes += row.text.len();
        batch.push(SourceRow { line: row.line, position: Position::of_key(&row.key), text: row.text });
    }
    console.progress(None);
    if let Some(rejects) = &mut collected {
        rejects.finish()?;
    }
    let rejected = collected.map(|rejects| rejects.rejected).unwrap_or_default();
    let columns = [
        Column::text("file"),
        Column::number("records"),
        Column::number("stored"),
        Column::number("skipped"),
        Column::number("rejected"),
    ];
    let skipped = read.saturating_sub(stored + rejected.count);
    let row = vec![name.into(), read.into(), stored.into(), skipped.into(), rejected.count.into()];
    let mut report = Report::one(&columns, row);
    rejected.warn(rejects, &format!(" --table {}", table.name), &mut report);
    Ok(report)
}
