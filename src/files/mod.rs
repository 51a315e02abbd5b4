//! Files that this program writes: atomically, or as JSON; and the kinds of their errors.

use std::io;

use crate::error::Kind;

pub(crate) mod atomic;
pub mod json_file;

/// The kind of an error of a file, unless access was denied.
pub fn kind_of(cause: &io::Error, otherwise: Kind) -> Kind {
    if cause.kind() == io::ErrorKind::PermissionDenied { Kind::Permission } else { otherwise }
}
