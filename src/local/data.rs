//! The data folder: made by `initdb`, whole or not at all.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use super::binaries::Binaries;
use super::files;
use super::files::{on, reason};
use super::home::HomePaths;
use super::run_as::command;
use crate::error::{Error, Kind, Result};

/// How the names of folders begin that are being made, or were left behind half-made.
const UNFINISHED: &str = "new-";

/// What a private server needs beyond the defaults, which are durable ones. The socket's folder is named on the
/// command line at each start, so that a home can be moved.
const SETTINGS: &str = "
# ringshard: no TCP, and room for many processes at once
listen_addresses = ''
port = 5432
unix_socket_permissions = 0700
max_connections = 200
timezone = 'UTC'
log_timezone = 'UTC'
";

/// The major version that made the data; none if there is no data yet.
pub(super) fn major(places: &HomePaths) -> Result<Option<u32>> {
    let mut children = match fs::read_dir(&places.data) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => on("open folder", &places.data, read)?,
    };
    // An empty folder is as good as none: the new data takes its place.
    if children.next().is_none() {
        return Ok(None);
    }
    let text = fs::read_to_string(places.data.join("PG_VERSION")).unwrap_or_default();
    text.trim().parse().map(Some).map_err(|_| {
        let message =
            format!("`{}` is no data folder of Postgres: it has no PG_VERSION", places.data.display());
        Error::new(Kind::Configuration, message).hint("move it away, and the private server is made anew")
    })
}

/// Makes the data. Only called under the lock.
pub(super) fn make(places: &HomePaths, binaries: &Binaries) -> Result<()> {
    log::info!("making a private Postgres {} in `{}`", binaries.version, places.folder.display());
    remove_unfinished(places)?;
    // The name is nobody else's: an initdb that outlived its parent must not write into this one.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let name = format!("{UNFINISHED}{}-{now}", std::process::id());
    let fresh = places.folder.join(&name);
    files::private_folder(&fresh, places.run_as.as_ref())?;
    fill(places, binaries, &name).inspect_err(|_| {
        let _ = files::remove(&fresh);
    })?;
    on("rename", &fresh, fs::rename(&fresh, &places.data))?;
    on("write", &places.folder, File::open(&places.folder).and_then(|folder| folder.sync_all()))
}

fn fill(places: &HomePaths, binaries: &Binaries, name: &str) -> Result<()> {
    let mut initdb = command(binaries.folder.join("initdb"), places.run_as.as_ref(), &places.folder);
    // The folder is named from within its parent, whose own name may hold anything.
    initdb.args(["-D", name, "-U", super::PrivateServer::USER, "--encoding=UTF8", "--locale=C"]);
    initdb.args(["--auth-local=trust", "--auth-host=reject", "--no-instructions"]);
    run(&mut initdb, places, "make the private server's data")?;
    let path = places.folder.join(name).join("postgresql.conf");
    let mut settings = files::append(&path, places.run_as.as_ref())?;
    on("write", &path, settings.write_all(SETTINGS.as_bytes()).and_then(|()| settings.sync_all()))
}

/// Removes what runs that were killed have left. Such a run's `initdb` may still be writing there, and a file of
/// its may come between: hence some more tries. Without its folder it fails.
pub(super) fn remove_unfinished(places: &HomePaths) -> Result<()> {
    for child in on("read folder", &places.folder, fs::read_dir(&places.folder))?.flatten() {
        let unfinished = child.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes());
        if unfinished && !(0..5).any(|_| files::remove(&child.path()).is_ok()) {
            log::debug!("cannot remove `{}` yet", child.path().display());
        }
    }
    Ok(())
}

/// Runs one of Postgres's programs to its end; its words become the error's.
pub(super) fn run(command: &mut Command, places: &HomePaths, purpose: &str) -> Result<()> {
    let program = Path::new(command.get_program()).display().to_string();
    log::debug!("{command:?}");
    let output = command.output().map_err(|error| {
        let user =
            places.run_as.as_ref().map(|user| format!(" as the user `{}`", user.name)).unwrap_or_default();
        Error::new(Kind::Permission, format!("cannot run `{program}`{user}: {}", reason(&error)))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let words = one_line(&String::from_utf8_lossy(&output.stderr));
    let words = if words.is_empty() { output.status.to_string() } else { words };
    Err(Error::new(Kind::Failed, format!("cannot {purpose}: {words}")))
}

/// The lines of a program's complaint in one.
pub(super) fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ")
}
