//! Steps on the file system, with errors that name the path.
//!
//! It knows nothing of Postgres. It follows no symbolic link in the last part of a path, as under root another user may have
//! put it there.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::run_as::{RunAs, effective_uid, user_name};
use crate::error::{Error, Kind, Result};

/// The system's reason in the style of this program's messages: lowercase, without its number.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Adds the path to an error: `cannot make folder `/x`: permission denied`.
pub(super) fn on<T>(what: &str, path: &Path, result: io::Result<T>) -> Result<T> {
    result.map_err(|error| {
        let kind = match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Kind::Permission,
            _ => Kind::Failed,
        };
        let failure = Error::new(kind, format!("cannot {what} `{}`: {}", path.display(), reason(&error)));
        if kind == Kind::Permission {
            failure.hint("set RINGSHARD_HOME to a folder that you may write to")
        } else {
            failure
        }
    })
}

/// Makes a folder and its missing parents, each with exactly this mode, whatever the umask.
pub(super) fn make_folders(path: &Path, mode: u32) -> Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    missing.into_iter().rev().try_for_each(|folder| make_folder(folder, mode).map(drop))
}

/// Makes one folder; returns false if the name exists.
pub(super) fn make_folder(path: &Path, mode: u32) -> Result<bool> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {
            let set = open_folder(path).and_then(|made| made.set_permissions(Permissions::from_mode(mode)));
            on("set the mode of", path, set).map(|()| true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => on("make folder", path, Err(error)),
    }
}

/// Makes a folder that only the server's user may enter, or uses an existing one of that user.
pub(super) fn private_folder(path: &Path, user: Option<&RunAs>) -> Result<()> {
    make_folder(path, 0o700)?;
    let owner = user.map_or_else(effective_uid, |user| user.uid);
    let folder = on("open folder", path, open_folder(path))?;
    let found = on("look at", path, folder.metadata())?;
    // A folder of root is from an interrupted run that could not change its owner.
    if found.uid() != owner && found.uid() != effective_uid() {
        return Err(not_ours(path, found.uid(), owner));
    }
    if let Some(user) = user {
        on("hand over", path, fchown(&folder, Some(user.uid), Some(user.gid)))?;
    }
    on("set the mode of", path, folder.set_permissions(Permissions::from_mode(0o700)))
}

/// The error for a folder of another user.
pub(super) fn not_ours(path: &Path, found: u32, owner: u32) -> Error {
    let (found, owner) = (user_name(found), user_name(owner));
    let message = format!("the folder `{}` belongs to `{found}` and not to `{owner}`", path.display());
    Error::new(Kind::Permission, message)
        .hint("set RINGSHARD_HOME to another folder, or run ringshard as its owner")
}

/// The error for a path that this user may not look at.
pub(super) fn not_visible(path: &Path, cause: &io::Error) -> Error {
    let message = format!("cannot look at the private Postgres in `{}`: {}", path.display(), reason(cause));
    Error::new(Kind::Permission, message).hint(as_owner(path))
}

/// A hint for a path of another user: the owner of the nearest folder that this user may look at.
pub(super) fn as_owner(path: &Path) -> String {
    let owned = path.ancestors().find_map(|place| Some((place, fs::metadata(place).ok()?)));
    match owned {
        Some((place, found)) => {
            format!("run ringshard as `{}`, the owner of `{}`", user_name(found.uid()), place.display())
        }
        None => "run ringshard as its owner".into(),
    }
}

/// Opens a file to append to it, and makes it if it is missing. Only its owner may use it, under root the server's user.
pub(super) fn append(path: &Path, owner: Option<&RunAs>) -> Result<File> {
    let file = on("write", path, nofollow().create(true).append(true).mode(0o600).open(path))?;
    if let Some(owner) = owner {
        on("hand over", path, fchown(&file, Some(owner.uid), Some(owner.gid)))?;
    }
    Ok(file)
}

/// Opens a lock file, and makes it if it is missing.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    nofollow().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)
}

fn nofollow() -> fs::OpenOptions {
    let mut options = File::options();
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::DIRECTORY;
    File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// Removes a file, or a folder with its contents; returns false if there was none. A symbolic link is removed, not followed.
pub(super) fn remove(path: &Path) -> Result<bool> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        other => on("remove", path, other).map(|()| true),
    }
}

/// The path without symbolic links and `..`, as far as it exists, so that one folder has one spelling.
pub(super) fn resolve(path: &Path) -> Result<PathBuf> {
    let path = on("find", path, std::path::absolute(path))?;
    let (mut found, rest) = path
        .ancestors()
        .find_map(|folder| Some((fs::canonicalize(folder).ok()?, path.strip_prefix(folder).ok()?)))
        .unwrap_or_else(|| (PathBuf::from("/"), &path));
    for part in rest {
        if part == ".." {
            found.pop();
        } else {
            found.push(part);
        }
    }
    Ok(found)
}

/// The hash of a path: FNV-1a, 64 bits, in hexadecimal.
pub(super) fn hash(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_folder_resolve_to_one() {
        let folder = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir(real.join("there")).unwrap();
        std::os::unix::fs::symlink("there", real.join("link")).unwrap();
        let expected = real.join("there/not/yet");
        for spelling in ["there/not/yet", "link/not/yet", "link/not/../not/./yet", "there/../link/not/yet/"] {
            assert_eq!(resolve(&real.join(spelling)).unwrap(), expected, "{spelling}");
        }
    }

    #[test]
    fn hash_is_fnv_1a() {
        assert_eq!(hash(Path::new("")), "cbf29ce484222325");
        assert_eq!(hash(Path::new("a")), "af63dc4c8601ec8c");
    }

    #[test]
    fn made_folders_have_their_mode_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        make_folders(&inner, 0o711).unwrap();
        assert_eq!(fs::metadata(&inner).unwrap().permissions().mode() & 0o777, 0o711);
        assert_eq!(fs::metadata(folder.path().join("a")).unwrap().permissions().mode() & 0o777, 0o711);
        let target = folder.path().join("target");
        fs::write(&target, "kept").unwrap();
        std::os::unix::fs::symlink(&target, inner.join("log")).unwrap();
        assert!(append(&inner.join("log"), None).is_err());
        assert!(remove(&inner.join("log")).unwrap());
        assert!(!remove(&inner.join("log")).unwrap());
        assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
    }
}
