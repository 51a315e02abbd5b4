//! A file to write: it appears under its name when it is complete; compressed if the name ends with `.gz`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempPath;

use crate::error::{Error, Kind, Result};
use crate::files::{self, atomic};

/// A file that is being written under a temporary name.
pub struct Output {
    path: PathBuf,
    /// The temporary file; `None` if the file is written directly.
    fresh: Option<TempPath>,
    writer: Writer,
}

enum Writer {
    Plain(BufWriter<File>),
    Gzipped(GzEncoder<BufWriter<File>>),
}

impl Output {
    /// Begins a file. A special file, such as `/dev/null` or a pipe, is written directly.
    pub fn create(path: &Path) -> Result<Self> {
        let is_special = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        let begun = if is_special {
            File::create(path).map(|file| (file, None))
        } else {
            atomic::begin(path, 0o666).map(|fresh| {
                let (file, fresh) = fresh.into_parts();
                (file, Some(fresh))
            })
        };
        let (file, fresh) = begun.map_err(|cause| unwritable(path, &cause))?;
        let plain = BufWriter::with_capacity(256 << 10, file);
        let is_gzipped = path.extension().is_some_and(|extension| extension == "gz");
        let writer = if is_gzipped {
            Writer::Gzipped(GzEncoder::new(plain, Compression::fast()))
        } else {
            Writer::Plain(plain)
        };
        Ok(Self { path: path.to_owned(), fresh, writer })
    }

    /// The error for a failed write, which names the file.
    pub fn unwritable(&self, cause: &io::Error) -> Error {
        unwritable(&self.path, cause)
    }

    /// Completes the file and renames it.
    pub fn finish(self) -> Result<()> {
        let Self { path, fresh, writer } = self;
        let end = || {
            let plain = match writer {
                Writer::Plain(writer) => writer,
                Writer::Gzipped(writer) => writer.finish()?,
            };
            plain.into_inner()?;
            Ok(fresh.map_or(Ok(()), |fresh| fresh.persist(&path))?)
        };
        end().map_err(|cause| unwritable(&path, &cause))
    }
}

fn unwritable(path: &Path, cause: &io::Error) -> Error {
    let kind = files::kind_of(cause, Kind::Failed);
    Error::new(kind, format!("cannot write `{}`: {cause}", path.display())).hint("name another file")
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.writer {
            Writer::Plain(writer) => writer.write(bytes),
            Writer::Gzipped(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.writer {
            Writer::Plain(writer) => writer.flush(),
            Writer::Gzipped(writer) => writer.flush(),
        }
    }
}
