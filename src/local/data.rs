//! Makes the data folder with `initdb`, completely or not at all.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use super::binaries::Binaries;
use super::files::{self, on, reason};
use super::home::HomePaths;
use super::run_as::command;
use crate::error::{Error, Kind, Result};

/// The name prefix of folders that are being made, or are left incomplete.
const UNFINISHED: &str = "new-";

/// The settings of a private server besides the defaults, which are durable. The socket's folder is an argument of each
/// start, so that a home can be moved.
const SETTINGS: &str = "
# ringshard: no TCP, room for many processes at once, and for transactions on all shards
listen_addresses = ''
port = 5432
unix_socket_permissions = 0700
max_connections = 200
max_prepared_transactions = 50
timezone = 'UTC'
log_timezone = 'UTC'
";

/// The major version that made the data; `None` if there is no data yet.
pub(super) fn major(places: &HomePaths) -> Result<Option<u32>> {
    let mut children = match fs::read_dir(&places.data) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => on("open folder", &places.data, read)?,
    };
    // An empty folder counts as none; the new data replaces it.
    if children.next().is_none() {
        return Ok(None);
    }
    let text = fs::read_to_string(places.data.join("PG_VERSION")).unwrap_or_default();
    text.trim().parse().map(Some).map_err(|_| {
        let message =
            format!("`{}` is not a data folder of Postgres: it has no PG_VERSION", places.data.display());
        Error::new(Kind::Configuration, message)
            .hint("move it away; ringshard then makes a new private server")
    })
}

/// Makes the data. Only called under the lock.
pub(super) fn make(places: &HomePaths, binaries: &Binaries) -> Result<()> {
    log::info!("making a private Postgres {} in `{}`", binaries.version, places.folder.display());
    remove_unfinished(places)?;
    // A unique name: an initdb that outlived its parent must not write into this folder.
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
    // A relative name, as the path of the parent may have any characters.
    initdb.args(["-D", name, "-U", super::PrivateServer::USER, "--encoding=UTF8", "--locale=C"]);
    initdb.args(["--auth-local=trust", "--auth-host=reject", "--no-instructions"]);
    run(&mut initdb, places, "make the private server's data")?;
    let path = places.folder.join(name).join("postgresql.conf");
    let mut settings = files::append(&path, places.run_as.as_ref())?;
    on("write", &path, settings.write_all(SETTINGS.as_bytes()).and_then(|()| settings.sync_all()))
}

/// Removes what killed runs have left. An `initdb` may still write there and add a file meanwhile, so this tries several
/// times; without its folder that `initdb` fails.
pub(super) fn remove_unfinished(places: &HomePaths) -> Result<()> {
    for child in on("read folder", &places.folder, fs::read_dir(&places.folder))?.flatten() {
        let unfinished = child.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes());
        if unfinished && !(0..5).any(|_| files::remove(&child.path()).is_ok()) {
            log::debug!("cannot remove `{}` yet", child.path().display());
        }
    }
    Ok(())
}

/// Runs a Postgres program; its output becomes the error's message.
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

/// The lines of a program's output, joined.
pub(super) fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ")
}
