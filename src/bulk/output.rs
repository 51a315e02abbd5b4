//! A file to write: there when it is whole, and not before; gzipped if its name says so.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::error::{Error, Kind, Result};

/// A file that is being written beside its place.
pub struct Output {
    path: PathBuf,
    fresh: PathBuf,
    writer: Option<Writer>,
}

enum Writer {
    Plain(BufWriter<File>),
    Gzipped(GzEncoder<BufWriter<File>>),
}

impl Output {
    /// Begins a file. What is not a plain file, such as `/dev/null` or a pipe, is written as it is.
    pub fn create(path: &Path) -> Result<Self> {
        let is_special = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        let fresh = if is_special {
            path.to_owned()
        } else {
            let mut name = path.file_name().map_or_else(OsString::new, ToOwned::to_owned);
            name.push(format!(".{}.part", std::process::id()));
            path.with_file_name(name)
        };
        let mut output = Self { path: path.to_owned(), fresh, writer: None };
        let file = File::create(&output.fresh).map_err(|cause| output.unwritable(&cause))?;
        let plain = BufWriter::with_capacity(256 << 10, file);
        let is_gzipped = path.extension().is_some_and(|extension| extension == "gz");
        output.writer = Some(if is_gzipped {
            Writer::Gzipped(GzEncoder::new(plain, Compression::fast()))
        } else {
            Writer::Plain(plain)
        });
        Ok(output)
    }

    /// What went wrong with the file, as an error that names it.
    pub fn unwritable(&self, cause: &io::Error) -> Error {
        let kind = match cause.kind() {
            io::ErrorKind::PermissionDenied => Kind::Permission,
            _ => Kind::Failed,
        };
        Error::new(kind, format!("cannot write `{}`: {cause}", self.path.display())).hint("name another file")
    }

    /// Ends the file and puts it into its place.
    pub fn finish(mut self) -> Result<()> {
        let written = match self.writer.take() {
            Some(Writer::Plain(writer)) => writer.into_inner().map_err(io::IntoInnerError::into_error),
            Some(Writer::Gzipped(writer)) => {
                writer.finish().and_then(|writer| writer.into_inner().map_err(io::IntoInnerError::into_error))
            }
            None => return Ok(()),
        };
        let placed = written.and_then(|file| {
            if self.fresh == self.path {
                return Ok(());
            }
            drop(file);
            fs::rename(&self.fresh, &self.path)
        });
        placed.map_err(|cause| {
            self.discard();
            self.unwritable(&cause)
        })
    }

    fn discard(&self) {
        if self.fresh != self.path {
            let _ = fs::remove_file(&self.fresh);
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.writer {
            Some(Writer::Plain(writer)) => writer.write(bytes),
            Some(Writer::Gzipped(writer)) => writer.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.writer {
            Some(Writer::Plain(writer)) => writer.flush(),
            Some(Writer::Gzipped(writer)) => writer.flush(),
            None => Ok(()),
        }
    }
}

/// A file that was not finished goes.
impl Drop for Output {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            self.discard();
        }
    }
}
