//! A file to read, or standard input; decompressed if it is gzipped, and decoded if it is UTF-16.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

use super::utf16;
use crate::error::{Error, Kind, Result};
use crate::files;

/// The first bytes of a gzipped file (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// An open file.
pub struct Input {
    /// Its name, for errors.
    pub name: String,
    /// Its content, decompressed and decoded.
    pub reader: Box<dyn Read + Send>,
    /// The number of bytes read from the file.
    pub bytes_read: Arc<AtomicU64>,
    /// The size of the file, if it is known.
    pub bytes_total: Option<u64>,
}

struct CountedReader<R> {
    inner: R,
    bytes_read: Arc<AtomicU64>,
}

impl<R: Read> Read for CountedReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Input {
    /// Opens a file; `-` is standard input.
    pub fn open(path: &Path) -> Result<Self> {
        let (name, raw, bytes_total): (String, Box<dyn Read + Send>, Option<u64>) = if path == Path::new("-")
        {
            ("stdin".into(), Box::new(io::stdin()), None)
        } else {
            let name = path.display().to_string();
            let file = File::open(path).map_err(|cause| unreadable(&name, &cause))?;
            let metadata = file.metadata().map_err(|cause| unreadable(&name, &cause))?;
            if metadata.is_dir() {
                return Err(unreadable(&name, &io::ErrorKind::IsADirectory.into()));
            }
            let total = metadata.is_file().then_some(metadata.len());
            (name, Box::new(file), total)
        };
        let bytes_read = Arc::new(AtomicU64::new(0));
        let mut counted = CountedReader { inner: raw, bytes_read: Arc::clone(&bytes_read) };
        let mut head = Vec::new();
        counted
            .by_ref()
            .take(GZIP_MAGIC.len() as u64)
            .read_to_end(&mut head)
            .map_err(|cause| unreadable(&name, &cause))?;
        let is_gzipped = head == GZIP_MAGIC;
        let whole = Cursor::new(head).chain(counted);
        let reader: Box<dyn Read + Send> =
            if is_gzipped { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
        let reader = utf16::decoded(reader).map_err(|cause| unreadable(&name, &cause))?;
        Ok(Self { name, reader, bytes_read, bytes_total })
    }
}

fn unreadable(name: &str, cause: &io::Error) -> Error {
    Error::new(files::kind_of(cause, Kind::BadInput), format!("cannot read `{name}`: {cause}"))
        .hint("give a file of users, or - for standard input")
}
