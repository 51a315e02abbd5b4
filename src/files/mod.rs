//! Files that this program writes: atomically, or as JSON; and the kinds of their errors.

use std::io;

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
