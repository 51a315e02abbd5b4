//! Files that take their place when they are whole, and not before.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// The folder that holds a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Begins a file beside its place, `NAME.RANDOM.part`, with this mode as far as the umask allows.
/// [`NamedTempFile::persist`] puts it into its place, instead of a symbolic link that is there. Without that it is
/// removed.
pub(crate) fn begin(path: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let mut prefix = path.file_name().ok_or(ErrorKind::InvalidFilename)?.to_owned();
    prefix.push(".");
    let create = |fresh: &Path| File::options().write(true).create_new(true).mode(mode).open(fresh);
    Builder::new().prefix(&prefix).suffix(".part").make_in(folder_of(path), create)
}
