//! `--rejects`: the file of the records that are not stored, because they are wrong or a shard refuses them.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::files::atomic::{self, Place};
use crate::files::kind_of;
use crate::model::report::Report;
use crate::model::text::counted;

/// How many rejected records are reported one by one.
const REPORTED: u64 = 10;

/// The records that were rejected.
#[derive(Debug, Default)]
pub(super) struct Rejected {
    pub(super) count: u64,
    /// The reasons of the first ones: `FILE:LINE: …`.
    first: Vec<String>,
}

impl Rejected {
    /// Adds warnings about them, if there are some. `flags`: what the corrected file is imported with, with a blank before each.
    pub(super) fn warn(&self, path: Option<&Path>, flags: &str, report: &mut Report) {
        for why in &self.first {
            report.warnings.push(Error::new(Kind::BadInput, why.clone()));
        }
        if let Some(path) = path.filter(|_| self.count > 0) {
            let message = format!("rejected: {}", counted(self.count, "record"));
            let hint = format!("correct them in `{0}`, then: ringshard import {0}{flags}", path.display());
            report.warnings.push(Error::new(Kind::BadInput, message).hint(hint));
        }
    }
}

/// The file that collects rejected records. It takes its place when all others are stored.
pub(super) struct Rejects {
    path: PathBuf,
    /// `None` once it is complete.
    file: Option<(BufWriter<File>, Place)>,
    pub(super) rejected: Rejected,
}

impl Rejects {
    /// `input`: the file that is imported; `header`: its header.
    pub(super) fn create(path: &Path, input: &Path, header: Option<&[u8]>) -> Result<Self> {
        if path == Path::new("-") {
            return Err(Error::new(Kind::Usage, "--rejects needs a file, not standard output")
                .hint("--rejects /dev/stdout writes them to standard output"));
        }
        if path.canonicalize().is_ok_and(|path| input.canonicalize().is_ok_and(|input| input == path)) {
            return Err(Error::new(Kind::Usage, "--rejects names the file that is imported")
                .hint("name another file with --rejects"));
        }
        let unwritable = |cause| unwritable(path, &cause);
        let (file, place) = atomic::create(path, 0o666).map_err(unwritable)?;
        let mut writer = BufWriter::new(file);
        if let Some(header) = header {
            writer.write_all(header).and_then(|()| writer.write_all(b"\n")).map_err(unwritable)?;
        }
        Ok(Self { path: path.to_owned(), file: Some((writer, place)), rejected: Rejected::default() })
    }

    /// Completes the file.
    pub(super) fn finish(&mut self) -> Result<()> {
        let Some((writer, place)) = self.file.take() else { return Ok(()) };
        let written = writer.into_inner().map_err(io::IntoInnerError::into_error);
        written.and_then(|file| place.take(file)).map_err(|cause| unwritable(&self.path, &cause))
    }

    /// A record as it stands in the file, without its end, and why it is rejected.
    pub(super) fn take(&mut self, raw: &[u8], why: String) -> Result<()> {
        log::warn!("Rejected {why}");
        self.rejected.count += 1;
        if self.rejected.count <= REPORTED {
            self.rejected.first.push(why);
        }
        let Some((writer, _)) = &mut self.file else { return Ok(()) };
        let written = writer.write_all(raw).and_then(|()| writer.write_all(b"\n"));
        written.map_err(|cause| unwritable(&self.path, &cause))
    }
}

fn unwritable(path: &Path, cause: &io::Error) -> Error {
    Error::new(kind_of(cause, Kind::Failed), format!("cannot write `{}`: {cause}", path.display()))
        .hint("name another file with --rejects")
}
