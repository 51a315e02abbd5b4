//! The user that the server runs as: Postgres refuses to run as root.
//!
//! Only this module looks up users and starts child processes as one.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::error::{Error, Kind, Result};

/// The users that root may run the server as, best first.
const CANDIDATES: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// A user other than root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunAs {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) name: String,
}

/// The user that this process acts as.
pub(super) fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

impl RunAs {
    /// The user that root starts a new server as.
    pub(super) fn for_new_server() -> Result<Self> {
        let users = match fs::read_to_string("/etc/passwd") {
            Ok(users) => users,
            Err(cause) if cause.kind() == ErrorKind::NotFound => String::new(),
            Err(cause) => {
                return Err(Error::new(Kind::Failed, format!("cannot read `/etc/passwd`: {cause}"))
                    .hint("if too many files are open: ulimit -n 1024"));
            }
        };
        CANDIDATES.iter().find_map(|name| parse(&users).find(|user| user.name == *name)).ok_or_else(|| {
            Error::new(
                Kind::Permission,
                "under root the private server needs a user to run as, and there is no `postgres`, `_postgres` or `nobody`",
            )
            .hint("run ringshard as a user other than root, or create one: useradd --system postgres")
        })
    }

    /// The owner of a file; `None` if it is root.
    pub(super) fn owner_of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok().filter(|found| found.uid() != 0)?;
        Some(Self { uid: found.uid(), gid: found.gid(), name: user_name(found.uid()) })
    }

    /// Whether the mode of a folder lets this user pass through it.
    pub(super) fn can_enter(&self, folder: &fs::Metadata) -> bool {
        let bit = if folder.uid() == self.uid {
            0o100
        } else if folder.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        folder.mode() & bit != 0
    }
}

/// The name of a user, or the number when it has none.
pub(super) fn user_name(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    users
        .lines()
        .find(|line| line.split(':').nth(2).and_then(number) == Some(uid))
        .and_then(|line| line.split(':').next())
        .map_or_else(|| uid.to_string(), str::to_owned)
}

/// The users of a passwd file, without root.
fn parse(users: &str) -> impl Iterator<Item = RunAs> {
    users.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = fields.nth(1).and_then(number).filter(|uid| *uid != 0)?;
        Some(RunAs { uid, gid: fields.next().and_then(number)?, name })
    })
}

/// A user's number; macOS writes that of `nobody` as -2.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned))
}

/// A child process without input, and without the variables that libpq and the server read; under root it runs as the
/// server's user, without root's groups.
pub(super) fn command(program: impl AsRef<std::ffi::OsStr>, user: Option<&RunAs>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null()).env("LC_ALL", "C");
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
        command.env_remove(name);
    }
    if let Some(user) = user {
        // The standard library drops root's supplementary groups when root sets a uid.
        command.uid(user.uid).gid(user.gid).env("HOME", folder).env("USER", &user.name);
        command.env("LOGNAME", &user.name);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_from_passwd() {
        let users: Vec<RunAs> = parse(
            "root:*:0:0::/root:/bin/sh\n\n# a note\nnobody:*:-2:-2::/:\npostgres:x:101:104::/:\nbad:x:y:1",
        )
        .collect();
        let user = |name: &str, uid, gid| RunAs { uid, gid, name: name.into() };
        assert_eq!(users, [user("nobody", 4_294_967_294, 4_294_967_294), user("postgres", 101, 104)]);
    }
}
