//! Files that this program writes: atomically, or as JSON; the kinds of their errors; the room for them.

use std::io;
use std::path::Path;

use rustix::fs::statvfs;
use rustix::io::Errno;

use crate::error::Kind;

pub(crate) mod atomic;
pub mod json_file;

/// The kind of an error of a file, unless access was denied or too many files are open.
pub fn kind_of(cause: &io::Error, otherwise: Kind) -> Kind {
    match Errno::from_io_error(cause) {
        Some(Errno::ACCESS | Errno::PERM) => Kind::Permission,
        Some(Errno::MFILE | Errno::NFILE) => Kind::Failed,
        _ if cause.kind() == io::ErrorKind::PermissionDenied => Kind::Permission,
        _ => otherwise,
    }
}

/// The used and total bytes of the file system of a folder, as `df` shows them: blocks reserved for root do not count.
pub fn space_in(folder: &Path) -> Option<(u64, u64)> {
    let found = statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    let used = bytes(found.f_blocks.saturating_sub(found.f_bfree));
    Some((used, used.saturating_add(bytes(found.f_bavail))))
}
