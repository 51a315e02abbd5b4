//! `import`: the users of a file, each onto the shard that owns it.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use clap::{Args, ValueEnum};

use crate::bulk::{Input, Records};
use crate::commands::{Context, Progress};
use crate::error::{Error, Kind, Result};
use crate::model::report::{Cell, Column, Report};
use crate::model::ring::position::Position;
use crate::model::text::{counted, visible};
use crate::pg::import::{Feeder, Import, ImportOptions, OnConflict, Stopped, Summary};

/// How many rejected records are told one by one.
const REJECTS_TOLD: u64 = 10;

/// What becomes of a user that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Conflict {
    /// Stop, and name the line
    Error,
    /// Leave the user as it is
    Skip,
    /// Set the columns that the file has
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
pub struct ImportArgs {
    /// The file: CSV with a header (in any order), or JSON lines; gzipped or not; `-` for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// What to do about a user that is there already, or comes twice
    #[arg(long, value_enum, value_name = "WHAT", default_value = "error")]
    pub(crate) on_conflict: Conflict,
    /// Collect bad records in this file, and go on
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Forget how far an interrupted import of this file came
    #[arg(long)]
    pub(crate) restart: bool,
    /// How large a batch gets, in KiB; for tests of what happens between two of them
    #[arg(long, value_name = "KIB", hide = true)]
    pub(crate) batch_kib: Option<u16>,
}

impl ImportArgs {
    /// Reads the file and stores its users on all shards at once.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let Input { name, reader, bytes_read, bytes_total } = Input::open(&self.file)?;
        let mut records = Records::new(&name, reader)?;
        let rejects =
            self.rejects.as_deref().map(|path| Rejects::create(path, &self.file, &records)).transpose()?;
        let Some(source) = source_of(&mut records)? else {
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
        let cluster = context.cluster()?;
        let (import, feeder) = Import::begin(&cluster, options)?;
        // Not joined: it may wait for input that never comes, and the import may be over before.
        let fed = {
            let (sender, receiver) = channel();
            thread::spawn(move || drop(sender.send(feed(records, feeder, rejects))));
            receiver
        };
        let console = context.console();
        let interrupts = console.watch_interrupts();
        let summary = import.run(&cluster, |rows| {
            let part = bytes_total.map(|total| (bytes_read.load(Ordering::Relaxed).min(total), total));
            console.progress(Some(&Progress { rows, part, at: String::new() }));
            !interrupts.asked()
        });
        console.progress(None);
        let summary = summary?;
        Ok(self.report(&name, &summary, &rejected(&fed)))
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
        let number = |number: u64| Cell::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        let Summary { records, inserted, updated, skipped, resumed, ref cleanup_errors } = *summary;
        let row = vec![
            name.into(),
            number(records),
            number(inserted),
            number(updated),
            number(skipped),
            number(rejected.count),
            number(resumed),
        ];
        let mut report = Report::one(&columns, row);
        if resumed > 0 {
            let told = counted(resumed, "user");
            report.notes.push(format!("in already, from an import that was interrupted: {told}"));
        }
        for cause in cleanup_errors {
            let message =
                format!("all users of the file are in; but {cause}, and may still hold it for interrupted");
            let mut warning = Error::new(cause.kind(), message)
                .hint("before a later import of the same file: ringshard import FILE --restart");
            if let Some(shard) = cause.shard() {
                warning = warning.on_shard(shard.to_owned());
            }
            report.warnings.push(warning);
        }
        for why in &rejected.first {
            report.warnings.push(Error::new(Kind::BadInput, why.clone()));
        }
        if let Some(path) = self.rejects.as_ref().filter(|_| rejected.count > 0) {
            let message = format!("rejected: {}", counted(rejected.count, "record"));
            report.warnings.push(Error::new(Kind::BadInput, message).hint(format!(
                "they are in `{0}`; correct them, then: ringshard import {0}",
                path.display()
            )));
        }
        report
    }
}

/// What tells the file from others: how it begins. `None` if it has no records.
fn source_of(records: &mut Records) -> Result<Option<Position>> {
    let header = records.header().unwrap_or_default().to_vec();
    let first = records.peek_raw()?;
    Ok(first.map(|first| Position::of_bytes(&[header.as_slice(), b"\n", first].concat())))
}

/// The records that were no users.
#[derive(Debug, Default)]
struct Rejected {
    count: u64,
    /// Why, of the first of them: `FILE:LINE: …`.
    first: Vec<String>,
}

/// The file that collects bad records.
struct Rejects {
    path: PathBuf,
    writer: BufWriter<File>,
    rejected: Rejected,
}

impl Rejects {
    fn create(path: &Path, input: &Path, records: &Records) -> Result<Self> {
        if path.canonicalize().is_ok_and(|path| input.canonicalize().is_ok_and(|input| input == path)) {
            return Err(Error::new(Kind::Usage, "the rejects would overwrite the file that is imported")
                .hint("name another file with --rejects"));
        }
        let unwritable = |cause| unwritable(path, &cause);
        let mut writer = BufWriter::new(File::create(path).map_err(unwritable)?);
        if let Some(header) = records.header() {
            writer.write_all(header).and_then(|()| writer.write_all(b"\n")).map_err(unwritable)?;
        }
        Ok(Self { path: path.to_owned(), writer, rejected: Rejected::default() })
    }

    fn take(&mut self, raw: &[u8], why: String) -> Result<()> {
        log::warn!("Rejected {why}");
        self.rejected.count += 1;
        if self.rejected.count <= REJECTS_TOLD {
            self.rejected.first.push(why);
        }
        let written = self.writer.write_all(raw).and_then(|()| self.writer.write_all(b"\n"));
        written.map_err(|cause| unwritable(&self.path, &cause))
    }
}

fn unwritable(path: &Path, cause: &std::io::Error) -> Error {
    let kind = match cause.kind() {
        std::io::ErrorKind::PermissionDenied => Kind::Permission,
        _ => Kind::Failed,
    };
    Error::new(kind, format!("cannot write `{}`: {cause}", path.display()))
        .hint("name another file with --rejects")
}

/// Waits for the one who reads the file, which is at its end then.
fn rejected(fed: &Receiver<Rejected>) -> Rejected {
    fed.recv().unwrap_or_default()
}

/// Reads the file to its end, or until something stops it.
fn feed(mut records: Records, mut feeder: Feeder, mut rejects: Option<Rejects>) -> Rejected {
    loop {
        match feed_one(&mut records, &mut feeder, rejects.as_mut()) {
            Ok(Some(Ok(()))) => {}
            Ok(Some(Err(Stopped))) => break,
            Ok(None) => {
                let flushed = rejects.as_mut().map_or(Ok(()), |rejects| {
                    rejects.writer.flush().map_err(|cause| unwritable(&rejects.path, &cause))
                });
                match flushed {
                    Ok(()) => feeder.finish(),
                    Err(error) => feeder.abort(error),
                }
                break;
            }
            Err(error) => {
                feeder.abort(error);
                break;
            }
        }
    }
    rejects.map(|rejects| rejects.rejected).unwrap_or_default()
}

/// One record; `None` at the end of the file.
fn feed_one(
    records: &mut Records,
    feeder: &mut Feeder,
    rejects: Option<&mut Rejects>,
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
            .hint("correct it; or --rejects FILE collects such records, and goes on"));
    };
    let (line, raw) = (record.line, record.raw.to_vec());
    let why = records.bad(line, &why).message().to_owned();
    rejects.take(&raw, why)?;
    Ok(Some(feeder.skip()))
}
