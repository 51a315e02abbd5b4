//! Finds the Postgres programs: folders with `initdb`, `pg_ctl` and `postgres`.
//!
//! A folder counts only if the user that the server runs as can run its programs, which is tried.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::files::reason;
use super::install::install_hint;
use super::run_as::{RunAs, command};
use super::version::OLDEST_MAJOR;
use crate::error::{Error, Kind, Result};

const PREFERRED_MAJOR: u32 = 14;

/// Where installers put Postgres: a parent folder, the prefix of its children's names, and the path from a child to the
/// programs.
const USUAL_FOLDERS: [(&str, &str, &str); 13] = [
    ("/usr/lib/postgresql", "", "bin"),                      // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                               // the Postgres project's own RPMs
    ("/usr/lib", "postgresql", "bin"),                       // SUSE
    ("/usr/lib64", "postgresql", "bin"),                     // Gentoo
    ("/usr/libexec", "postgresql", ""),                      // Alpine
    ("/usr/local", "pgsql", "bin"),                          // built from source
    ("/opt/PostgreSQL", "", "bin"),                          // EDB on Linux
    ("/opt/homebrew/opt", "postgresql", "bin"),              // Homebrew on Apple silicon
    ("/usr/local/opt", "postgresql", "bin"),                 // Homebrew on Intel
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"), // Homebrew on Linux
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"), // Postgres.app
    ("/Library/PostgreSQL", "", "bin"),                      // EDB on macOS
    ("/opt/local/lib", "postgresql", "bin"),                 // MacPorts
];

/// One installation of Postgres that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    pub(super) major: u32,
    /// For example `14.23`.
    pub(super) version: String,
}

/// Why a folder is not usable.
enum Unfit {
    /// It has no Postgres.
    Absent,
    /// The server's user may not run its programs; the reason.
    Closed(String),
    /// Its programs do not work; the reason.
    Broken(String),
}

impl Binaries {
    /// The configured folder, or the best one that is found: of the major version of existing data, or 14 before the newest.
    pub(super) fn find(setting: Option<&Path>, requested: Option<u32>, user: Option<&RunAs>) -> Result<Self> {
        match setting {
            Some(folder) => Self::at(folder, requested, user),
            None => Self::search(&candidates(), requested, user),
        }
    }

    fn at(folder: &Path, requested: Option<u32>, user: Option<&RunAs>) -> Result<Self> {
        let shown = folder.display();
        let found = probe(folder, user).map_err(|unfit| match unfit {
            Unfit::Absent => {
                Error::new(Kind::Configuration, format!("`{shown}` has no `postgres`, `initdb` and `pg_ctl`"))
                    .hint("set RINGSHARD_PG_BIN to a folder that has them, or unset it to search for one")
            }
            Unfit::Closed(why) => closed(folder, &why, user),
            Unfit::Broken(why) => {
                Error::new(Kind::Configuration, format!("cannot use Postgres in `{shown}`: {why}"))
            }
        })?;
        if found.major < OLDEST_MAJOR {
            let message =
                format!("`{shown}` has Postgres {}; {OLDEST_MAJOR} or newer is needed", found.version);
            return Err(Error::new(Kind::Configuration, message).hint(install_hint(requested)));
        }
        if let Some(requested) = requested.filter(|requested| *requested != found.major) {
            let message = format!(
                "`{shown}` has Postgres {}, but the private server's data was made by Postgres {requested}",
                found.version
            );
            let hint = format!("set RINGSHARD_PG_BIN to the programs of Postgres {requested}, or unset it");
            return Err(Error::new(Kind::Configuration, message).hint(hint));
        }
        Ok(found)
    }

    fn search(folders: &[PathBuf], requested: Option<u32>, user: Option<&RunAs>) -> Result<Self> {
        let mut found: Vec<Self> = Vec::new();
        let mut first_closed = None;
        let mut unfit = String::new();
        let mut programs = Vec::new();
        for folder in folders {
            let shown = folder.display();
            // Several links often lead to one installation; some may not be accessible.
            let program = fs::canonicalize(folder.join("postgres")).ok();
            if program.as_ref().is_some_and(|program| programs.contains(program)) {
                continue;
            }
            let note = match probe(folder, user) {
                Ok(binaries) => {
                    found.push(binaries);
                    programs.extend(program);
                    continue;
                }
                Err(Unfit::Absent) => continue,
                Err(Unfit::Broken(why)) => format!("{shown}: {why}"),
                Err(Unfit::Closed(why)) => {
                    let note = format!("{shown}: {why}");
                    first_closed.get_or_insert((folder, why));
                    note
                }
            };
            log::debug!("Postgres in {note}");
            unfit = format!("{unfit}; {note}");
        }
        let fits = |found: &&Self| {
            requested.map_or(found.major >= OLDEST_MAJOR, |requested| found.major == requested)
        };
        // `max_by` takes the last of equals, so the order is reversed: the first one found wins.
        let best =
            found.iter().rev().filter(fits).max_by_key(|found| (found.major == PREFERRED_MAJOR, found.major));
        if let Some(best) = best {
            log::debug!("Postgres {} in {}", best.version, best.folder.display());
            return Ok(best.clone());
        }
        match (found.is_empty(), first_closed) {
            (true, Some((folder, why))) => Err(closed(folder, &why, user)),
            _ => Err(nothing_fits(&found, &unfit, requested)),
        }
    }
}

fn nothing_fits(found: &[Binaries], unfit: &str, requested: Option<u32>) -> Error {
    let mut message = match requested {
        Some(requested) => {
            format!("the private server's data was made by Postgres {requested} and needs it")
        }
        None => format!("a private server needs Postgres {OLDEST_MAJOR} or newer"),
    };
    if found.is_empty() {
        message.push_str(", and no Postgres is installed here");
    } else {
        message.push_str(", and only these are installed here:");
        for (index, found) in found.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(message, "{comma} {} in `{}`", found.version, found.folder.display());
        }
    }
    if !unfit.is_empty() {
        let _ = write!(message, " (not usable: {})", unfit.trim_start_matches("; "));
    }
    Error::new(Kind::Configuration, message).hint(install_hint(requested))
}

fn closed(folder: &Path, why: &str, user: Option<&RunAs>) -> Error {
    let shown = folder.display();
    let Some(user) = user else {
        return Error::new(Kind::Permission, format!("cannot run Postgres in `{shown}`: {why}"));
    };
    let message = format!(
        "the user `{}`, as which the private server runs under root, cannot run Postgres in `{shown}`: {why}",
        user.name
    );
    let hint = format!(
        "make the folder and those above it readable for `{}`, or set RINGSHARD_PG_BIN to one that is",
        user.name
    );
    Error::new(Kind::Permission, message).hint(hint)
}

/// Checks the programs of a folder.
fn probe(folder: &Path, user: Option<&RunAs>) -> std::result::Result<Binaries, Unfit> {
    for program in ["postgres", "initdb", "pg_ctl"] {
        match fs::metadata(folder.join(program)) {
            Ok(found) if found.is_file() => {}
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err(Unfit::Closed(reason(&error)));
            }
            _ => return Err(Unfit::Absent),
        }
    }
    // The programs pass their own path to a shell in double quotes.
    if folder.as_os_str().as_encoded_bytes().iter().any(|byte| b"\"$`\\\n".contains(byte)) {
        return Err(Unfit::Broken("its programs do not work in a path with \", $, ` or \\".into()));
    }
    // The version of `postgres` stands for the whole installation.
    let program = folder.join("postgres");
    let output = command(&program, user, Path::new("/")).arg("--version").output().map_err(|error| {
        let why = reason(&error);
        // A missing interpreter or library loader is reported as a missing file.
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            Unfit::Closed(why)
        } else {
            Unfit::Broken(why)
        }
    })?;
    let said = String::from_utf8_lossy(&output.stdout);
    let broken = || {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let first = complaint.lines().next().unwrap_or("it does not print its version").to_owned();
        Unfit::Broken(first)
    };
    let (major, version) = parse_version(&said).filter(|_| output.status.success()).ok_or_else(broken)?;
    for program in ["initdb", "pg_ctl"] {
        if let Some(user) = user
            && fs::metadata(folder.join(program)).is_ok_and(|found| !user.can_enter(&found))
        {
            return Err(Unfit::Closed(format!("`{program}` may not be run")));
        }
    }
    Ok(Binaries { folder: folder.to_path_buf(), major, version })
}

/// The version in `postgres (PostgreSQL) 14.23 (Debian …)`, or in `… 19devel`.
fn parse_version(text: &str) -> Option<(u32, String)> {
    let version = text.strip_prefix("postgres (PostgreSQL) ")?.split_whitespace().next()?;
    let end = version.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(version.len());
    Some((version[..end].parse().ok()?, version.to_owned()))
}

/// The folders that may have Postgres, best first.
fn candidates() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let config = command("pg_config", None, Path::new("/")).arg("--bindir").output();
    if let Some(output) = config.ok().filter(|output| output.status.success()) {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()));
    }
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    for (parent, start, tail) in USUAL_FOLDERS {
        let children = fs::read_dir(parent).into_iter().flatten().flatten();
        let named = children.filter(|child| child.file_name().to_string_lossy().starts_with(start));
        let mut found: Vec<PathBuf> = named.map(|child| child.path().join(tail)).collect();
        found.sort();
        folders.extend(found);
    }
    folders.retain(|folder| folder.is_absolute());
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_parsed() {
        let parsed = |text| parse_version(text).map(|(major, version)| format!("{major} {version}"));
        assert_eq!(parsed("postgres (PostgreSQL) 14.23 (Debian 1)\n").as_deref(), Some("14 14.23"));
        assert_eq!(parsed("postgres (PostgreSQL) 19devel").as_deref(), Some("19 19devel"));
        assert_eq!(parsed("postgres (PostgreSQL) 9.6.1").as_deref(), Some("9 9.6.1"));
        assert_eq!(parsed("something else 14"), None);
    }

    #[test]
    fn nothing_at_all_says_how_to_install() {
        let error = Binaries::search(&[PathBuf::from("/nowhere")], None, None).unwrap_err();
        assert_eq!(error.kind(), Kind::Configuration);
        assert_eq!(
            error.message(),
            "a private server needs Postgres 14 or newer, and no Postgres is installed here"
        );
        assert!(error.hint_text().unwrap().contains("install"));
    }

    #[test]
    fn the_version_closest_to_the_wanted_one_is_chosen() {
        use std::os::unix::fs::PermissionsExt;
        let above = tempfile::tempdir_in("/tmp").unwrap();
        fs::set_permissions(above.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let folder = |version: &str| {
            let folder = above.path().join(version);
            fs::create_dir(&folder).unwrap();
            for program in ["postgres", "initdb", "pg_ctl"] {
                // Written by another process: what is open for writing here cannot be run.
                let script = format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'");
                let mut writer = std::process::Command::new("sh");
                writer.args(["-c", r#"printf '%s\n' "$2" >"$1" && chmod 755 "$1""#, "sh"]);
                assert!(writer.arg(folder.join(program)).arg(script).status().unwrap().success());
            }
            folder
        };
        let folders = ["13.9", "16.1", "14.2", "18.0"].map(folder);
        let version = |folders: &[PathBuf], requested| {
            Binaries::search(folders, requested, None)
                .map(|found| found.version)
                .map_err(|error| error.to_string())
        };
        assert_eq!(version(&folders, None).unwrap(), "14.2");
        assert_eq!(version(&folders, Some(16)).unwrap(), "16.1");
        assert_eq!(version(&folders[..2], None).unwrap(), "16.1");
        let error = version(&folders[..1], None).unwrap_err();
        assert!(error.starts_with("a private server needs Postgres 14 or newer, and only these"), "{error}");
        assert!(error.contains("13.9 in `"), "{error}");
        let error = version(&folders[2..], Some(17)).unwrap_err();
        assert!(error.contains("made by Postgres 17") && error.contains("14.2 in"), "{error}");
        let old = Binaries::find(Some(&folders[0]), None, None).unwrap_err();
        assert!(old.message().ends_with("has Postgres 13.9; 14 or newer is needed"), "{old}");
    }
}
