//! A file to write for the user; compressed if its name ends with `.gz`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::files::{self, atomic};
use flate2::Compression;
use flate2::write::GzEncoder;

/// A file that is being written, and appears under its name when it is complete.
pub struct Output {
    path: PathBuf,
    place: atomic::Place,
    writer: Writer,
}

enum Writer {
    Plain(BufWriter<File>),
    Gzipped(GzEncoder<BufWriter<File>>),
}

impl Output {
    /// Begins a file.
    pub fn create(path: &Path) -> Result<Self> {
        let (file, place) = atomic::create(path, 0o666).map_err(|cause| unwritable(path, &cause))?;
        let plain = BufWriter::with_capacity(256 << 10, file);
        let is_gzipped = path.extension().is_some_and(|extension| extension == "gz");
        let writer = if is_gzipped {
            Writer::Gzipped(GzEncoder::new(plain, Compression::fast()))
        } else {
            Writer::Plain(plain)
        };
        Ok(Self { path: path.to_owned(), place, writer })
    }

    /// A write has failed: an error that names the file, unless the reader of a pipe has closed it.
    pub fn unwritable(&self, cause: &io::Error) -> Result<()> {
        unless_closed(&self.path, cause)
    }

    /// Completes the file, which takes its place.
    pub fn finish(self) -> Result<()> {
        let Self { path, place, writer } = self;
        let end = || {
            let plain = match writer {
                Writer::Plain(writer) => writer,
                Writer::Gzipped(writer) => writer.finish()?,
            };
            place.take(plain.into_inner()?)
        };
        end().or_else(|cause| unless_closed(&path, &cause))
    }
}

fn unless_closed(path: &Path, cause: &io::Error) -> Result<()> {
    if cause.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(unwritable(path, cause)) }
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
