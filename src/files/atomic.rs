//! The one way in which this program writes a file that somebody names.
//!
//! A device, a pipe and an open descriptor (`/dev/stdout`, `/dev/fd/3`) are written directly. Any other file takes its
//! place when it is whole, and not before. A file that is there keeps its mode and its owner, and a symbolic link to it is
//! kept.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FallocateFlags, Gid, OFlags, Uid, fallocate, fchown, linkat};
use rustix::io::Errno;
use tempfile::{Builder, TempPath, tempfile, tempfile_in};

/// How many symbolic links lead to a file at most, as in Linux.
const LINKS_MAX: u32 = 40;
/// The mode of a new content until it gets that of the file whose place it takes.
const PRIVATE: u32 = 0o600;

/// How a written file comes to its name.
pub(crate) enum Place {
    /// It has it: a device, a pipe or an open descriptor.
    Direct,
    /// Renamed to `target`, whose file, if there is one, is `old`.
    Renamed { fresh: Fresh, target: PathBuf, old: Option<File> },
    /// Copied over this file, which has other names, or an owner or a folder that does not let it be replaced.
    Copied(File),
}

/// The name of a content that is not whole yet.
pub(crate) enum Fresh {
    /// None: nothing is left of it, whatever ends the process.
    Unnamed,
    /// For a file system, or an operating system, that has no files without a name.
    Named(TempPath),
}

/// The folder that holds a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a path names this process's standard output: `-`, `/dev/stdout`, or another name of it.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-") || matches!(follow(path), (_, Some(1)))
}

/// Begins a file. A new one gets this mode, as far as the umask allows. Only [`Place::take`] changes what is there.
pub(crate) fn create(path: &Path, mode: u32) -> io::Result<(File, Place)> {
    let (target, descriptor) = follow(path);
    if let Some(number) = descriptor {
        // A copy shares its place in a file with the shell's; opening it again would write from the beginning.
        let opened = duplicate(number).or_else(|_| File::options().append(true).open(path))?;
        return Ok((opened, Place::Direct));
    }
    match fs::metadata(path) {
        Ok(found) if found.is_file() => replace(&target, &found),
        Ok(_) => Ok((File::options().write(true).open(path)?, Place::Direct)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            let (file, fresh) = begin(folder_of(&target), mode)?;
            Ok((file, Place::Renamed { fresh, target, old: None }))
        }
        Err(cause) => Err(cause),
    }
}

/// Writes a file as a whole.
pub(crate) fn write(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let (mut file, place) = create(path, mode)?;
    file.write_all(content)?;
    place.take(file)
}

/// Begins the content of a file that is there.
fn replace(target: &Path, found: &Metadata) -> io::Result<(File, Place)> {
    // A file that may not be written is not replaced either.
    let old = File::options().write(true).open(target)?;
    let folder = folder_of(target);
    let begun = begin(folder, PRIVATE);
    match begun {
        Ok((file, fresh)) if found.nlink() == 1 && keep_owner_and_mode(&file, found).is_ok() => {
            Ok((file, Place::Renamed { fresh, target: target.to_owned(), old: Some(old) }))
        }
        Err(cause)
            if !matches!(cause.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) =>
        {
            Err(cause)
        }
        _ => Ok((tempfile_in(folder).or_else(|_| tempfile())?, Place::Copied(old))),
    }
}

fn keep_owner_and_mode(file: &File, found: &Metadata) -> io::Result<()> {
    let fresh = file.metadata()?;
    if (fresh.uid(), fresh.gid()) != (found.uid(), found.gid()) {
        fchown(file, Some(Uid::from_raw(found.uid())), Some(Gid::from_raw(found.gid())))?;
    }
    file.set_permissions(found.permissions())
}

/// A new file in a folder, without a name if that is possible.
fn begin(folder: &Path, mode: u32) -> io::Result<(File, Fresh)> {
    if let Ok(file) = begin_unnamed(folder, mode) {
        return Ok((file, Fresh::Unnamed));
    }
    let create = |path: &Path| File::options().read(true).write(true).create_new(true).mode(mode).open(path);
    let (file, path) = temporary_name().make_in(folder, create)?.into_parts();
    Ok((file, Fresh::Named(path)))
}

/// A temporary name is no longer than it must be, as that of the file may be as long as the file system allows.
fn temporary_name() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix("ringshard.").suffix(".part");
    builder
}

#[cfg(target_os = "linux")]
fn begin_unnamed(folder: &Path, mode: u32) -> io::Result<File> {
    // It gets its name by way of this folder.
    fs::metadata("/proc/self/fd")?;
    let flags = i32::try_from(OFlags::TMPFILE.bits()).expect("a flag of `open`, which takes an int");
    File::options().read(true).write(true).mode(mode).custom_flags(flags).open(folder)
}

#[cfg(not(target_os = "linux"))]
fn begin_unnamed(_: &Path, _: u32) -> io::Result<File> {
    Err(ErrorKind::Unsupported.into())
}

impl Place {
    /// Gives a written file its name.
    pub(crate) fn take(self, file: File) -> io::Result<()> {
        let (fresh, target, old) = match self {
            Self::Direct => return Ok(()),
            Self::Copied(old) => return copy(file, old),
            Self::Renamed { fresh, target, old } => (fresh, target, old),
        };
        let named = match fresh {
            Fresh::Named(path) => path,
            Fresh::Unnamed => {
                let from = format!("/proc/self/fd/{}", file.as_raw_fd());
                let link = |path: &Path| Ok(linkat(CWD, &from, CWD, path, AtFlags::SYMLINK_FOLLOW)?);
                temporary_name().make_in(folder_of(&target), link)?.into_temp_path()
            }
        };
        match (named.persist(&target).map_err(|failed| failed.error), old) {
            // A file that a container has mounted can be written, but not renamed.
            (Err(cause), Some(old)) if cause.kind() == ErrorKind::ResourceBusy => copy(file, old),
            (renamed, _) => renamed,
        }
    }
}

/// Copies a content over that of another file. There is room for it before anything is overwritten.
fn copy(mut from: File, mut to: File) -> io::Result<()> {
    let (length, before) = (from.metadata()?.len(), to.metadata()?.len());
    if length > before
        && let Err(cause @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) =
            fallocate(&to, FallocateFlags::empty(), 0, length)
    {
        to.set_len(before)?;
        return Err(cause.into());
    }
    from.rewind()?;
    io::copy(&mut from, &mut to)?;
    to.set_len(length)
}

/// Where the symbolic links of a path lead, and which open descriptor of this process that is, if it is one.
fn follow(path: &Path) -> (PathBuf, Option<i32>) {
    let folders = ["/proc/self/fd", "/dev/fd"].map(|folder| fs::canonicalize(folder).ok());
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        // A link below such a folder can be opened, but its text need not be a path.
        let number = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        if number.is_some() && fs::canonicalize(folder_of(&path)).is_ok_and(|of| folders.contains(&Some(of)))
        {
            return (path, number);
        }
        match fs::read_link(&path) {
            Ok(link) => path = folder_of(&path).join(link),
            Err(_) => break,
        }
    }
    (path, None)
}

#[cfg(target_os = "linux")]
fn duplicate(descriptor: i32) -> io::Result<File> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(this, descriptor, PidfdGetfdFlags::empty())?.into())
}

/// Elsewhere, opening `/dev/fd/N` makes a copy.
#[cfg(not(target_os = "linux"))]
fn duplicate(_: i32) -> io::Result<File> {
    Err(ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use std::process::Command;

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn is_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    /// What `write` leaves in a folder with one file.
    fn names_in(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn mode_and_owner_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        for mode in [0o600, 0o640, 0o664, 0o4755] {
            fs::write(&file, "a longer text from before").unwrap();
            if is_root() {
                chown(&file, Some(1234), Some(5678)).unwrap();
            }
            set_mode(&file, mode);
            let before = fs::metadata(&file).unwrap();
            write(&file, 0o666, b"new").unwrap();
            let after = fs::metadata(&file).unwrap();
            assert_eq!(fs::read(&file).unwrap(), b"new");
            let of = |found: &Metadata| (found.mode(), found.uid(), found.gid());
            assert_eq!(of(&after), of(&before));
            assert_ne!(after.ino(), before.ino(), "it was replaced");
        }
        assert_eq!(names_in(folder.path()), ["f"]);
    }

    #[test]
    fn other_names_of_a_file_keep_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("f"), folder.path().join("other"));
        for before in ["", "short", "a longer text from before"] {
            fs::write(&file, before).unwrap();
            let _ = fs::hard_link(&file, &other);
            // Nothing changes before the end.
            let (mut begun, place) = create(&file, 0o666).unwrap();
            begun.write_all(b"some new text").unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), before);
            place.take(begun).unwrap();
            assert_eq!(fs::read_to_string(&other).unwrap(), "some new text");
            assert_eq!(fs::metadata(&file).unwrap().nlink(), 2);
        }
        assert_eq!(names_in(folder.path()).len(), 2);
    }

    #[test]
    fn symbolic_links_stay_even_those_that_lead_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("real")).unwrap();
        symlink("real/file", at("link")).unwrap();
        symlink("link", at("second")).unwrap();
        // The first one makes the file, the second one replaces it.
        for (link, text) in [("link", "one"), ("second", "two")] {
            write(&at(link), 0o666, text.as_bytes()).unwrap();
            assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink());
            assert_eq!(fs::read_to_string(at("real/file")).unwrap(), text);
        }
        symlink("round", at("round")).unwrap();
        assert!(write(&at("round"), 0o666, b"x").is_err());
        assert_eq!(names_in(&at("real")), ["file"]);
    }

    #[test]
    fn a_name_may_be_as_long_as_the_file_system_allows() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x".repeat(255));
        for text in ["one", "two"] {
            write(&file, 0o666, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
    }

    #[test]
    fn nothing_is_left_of_a_file_that_is_not_finished() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        drop(create(&file, 0o666).unwrap());
        assert!(names_in(folder.path()).is_empty());
        fs::write(&file, "old").unwrap();
        drop(create(&file, 0o666).unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        // Without files that have no name it is the same.
        let (mut named, path) = temporary_name().tempfile_in(folder.path()).unwrap().into_parts();
        named.write_all(b"new").unwrap();
        let place = |fresh| Place::Renamed { fresh, target: file.clone(), old: None };
        place(Fresh::Named(path)).take(named).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        let (_, path) = temporary_name().tempfile_in(folder.path()).unwrap().into_parts();
        drop(place(Fresh::Named(path)));
        assert_eq!(names_in(folder.path()), ["f"]);
    }

    #[test]
    fn a_file_is_written_in_a_folder_that_may_not_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "a longer text from before").unwrap();
        let chattr = |flag: &str| {
            let status = Command::new("chattr").arg(flag).arg(folder.path()).status();
            status.is_ok_and(|status| status.success())
        };
        // The mode of a folder does not stop root.
        if is_root() && !chattr("+i") {
            return;
        }
        set_mode_unless_root(folder.path(), 0o555);
        assert!(fs::write(folder.path().join("other"), "").is_err());
        let written = write(&file, 0o666, b"new");
        let missing = write(&folder.path().join("missing"), 0o666, b"new");
        set_mode_unless_root(folder.path(), 0o755);
        let _ = is_root() && chattr("-i");
        written.unwrap();
        missing.unwrap_err();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    }

    fn set_mode_unless_root(path: &Path, mode: u32) {
        if !is_root() {
            set_mode(path, mode);
        }
    }

    #[test]
    fn a_protected_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "old").unwrap();
        set_mode(&file, 0o444);
        let written = write(&file, 0o666, b"new");
        assert_eq!(written.is_ok(), is_root(), "{written:?}");
    }

    #[test]
    fn a_descriptor_keeps_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        let mut shell = File::options().write(true).create(true).truncate(true).open(&file).unwrap();
        let link = folder.path().join("link");
        symlink(format!("/dev/fd/{}", shell.as_raw_fd()), &link).unwrap();
        shell.write_all(b"head ").unwrap();
        write(&link, 0o666, b"middle").unwrap();
        shell.write_all(b" tail").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "head middle tail");

        let (mut reader, writer) = io::pipe().unwrap();
        write(Path::new(&format!("/dev/fd/{}", writer.as_raw_fd())), 0o666, b"text").unwrap();
        drop(writer);
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "text");
        assert!(write(Path::new("/dev/fd/987"), 0o666, b"text").is_err());
    }

    #[test]
    fn devices_stay() {
        if cfg!(target_os = "linux") {
            let full = write(Path::new("/dev/full"), 0o666, b"x");
            assert_eq!(full.unwrap_err().kind(), ErrorKind::StorageFull);
        }
        write(Path::new("/dev/null"), 0o666, b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert!(write(Path::new("/dev"), 0o666, b"x").is_err());
    }
}
