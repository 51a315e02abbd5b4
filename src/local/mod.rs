//! The private Postgres: a server that ringshard makes and starts on demand, with the Postgres programs of this machine.
//!
//! It listens on a Unix socket in a folder that only its user may enter, on no TCP port, and its settings are durable. Any
//! number of processes may use it at the same time. This module only connects to its socket, names no Postgres client, reads
//! no `RINGSHARD_*` variable, and never prints.
//!
//! - `home`: its folders, and [`default_home`]
//! - `run_as`: the user that it runs as under root
//! - `binaries`, `install`: finding its programs, and how to install them
//! - `data`: making its data folder
//! - `postmaster`: proves that a process is this server
//! - `lifecycle`: starting and stopping it
//! - `lock`, `files`: mutual exclusion; steps on the file system

mod binaries;
mod data;
mod files;
mod home;
mod install;
mod lifecycle;
mod lock;
mod postmaster;
mod run_as;
mod version;

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Kind, Result};
use binaries::Binaries;
use home::HomePaths;
use lock::HomeLock;
use postmaster::Postmaster;

pub use home::default_home;

/// Only a part of the name of the socket's file: without TCP it cannot collide.
const PORT: u16 = 5432;

/// A private Postgres below a home; it may not exist yet.
#[derive(Debug, Clone)]
pub struct PrivateServer {
    places: HomePaths,
    binaries: Option<PathBuf>,
}

/// The status of a private server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStatus {
    /// Whether it accepts connections.
    pub running: bool,
    /// The version of its programs (`15.13`), or the major version of its data if they are not found.
    pub version: Option<String>,
    /// The folder of its data, which may not exist yet.
    pub data: PathBuf,
    /// The folder of its socket.
    pub socket_dir: PathBuf,
    /// The file that it writes its log to.
    pub log: PathBuf,
    /// The pid of its process, if it runs.
    pub pid: Option<u32>,
    /// The folder of its programs; `None` if there are no suitable ones.
    pub binaries: Option<PathBuf>,
    /// The user that it runs as, if not the caller.
    pub run_as: Option<String>,
}

impl PrivateServer {
    /// The user to connect as; the folder of the socket is protected.
    pub const USER: &str = "postgres";

    /// The server below this home, or below the [default one](default_home), with the programs in the folder `binaries`, or
    /// those found on the machine. Changes nothing.
    pub fn at(home: Option<&Path>, binaries: Option<&Path>) -> Result<Self> {
        let places = HomePaths::find(home)?;
        let binaries =
            binaries.map(|folder| files::on("find", folder, std::path::absolute(folder))).transpose()?;
        Ok(Self { places, binaries })
    }

    /// The folder of the socket: at most 89 bytes of letters, digits, `.`, `_`, `-` and `/`.
    pub fn socket_dir(&self) -> &Path {
        &self.places.socket_dir
    }

    /// The port, a part of the name of the socket's file.
    pub fn port(&self) -> u16 {
        PORT
    }

    /// The permissions of the home, if it exists. Under root, starting the server may let others pass through it.
    pub fn home_mode(&self) -> Option<u32> {
        fs::metadata(&self.places.home).ok().map(|found| found.permissions().mode() & 0o7777)
    }

    /// The data folder, which may not exist yet.
    pub fn data(&self) -> &Path {
        &self.places.data
    }

    /// The log file, which may not exist yet.
    pub fn log_file(&self) -> &Path {
        &self.places.log
    }

    /// Whether it accepts connections, by one `connect`. A server that was killed a moment ago may still seem to run; then the
    /// first query fails, and can be repeated after [`ensure_running`](Self::ensure_running).
    pub fn accepts(&self) -> bool {
        lifecycle::accepts(&self.places)
    }

    /// The server whose socket is in this folder, if that is below the home of one whose data was made.
    pub fn of_socket_dir(folder: &Path) -> Option<Self> {
        let folder = fs::canonicalize(folder).ok()?;
        let server = Self::at(Some(folder.parent()?.parent()?), None).ok()?;
        (server.socket_dir() == folder && server.exists().is_ok_and(|exists| exists)).then_some(server)
    }

    /// The home, without symbolic links.
    pub fn home(&self) -> &Path {
        &self.places.home
    }

    /// Whether its data was made. Fails with `Permission` if this user may not look there.
    pub fn exists(&self) -> Result<bool> {
        match fs::metadata(&self.places.data) {
            Ok(found) => Ok(found.is_dir()),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(files::not_visible(&self.places.data, &error)),
        }
    }

    /// Makes it if it does not exist, and starts it if it is not running. Any number of processes may call this at the same
    /// time. Returns whether this call started it.
    pub fn ensure_running(&self) -> Result<bool> {
        if self.accepts() {
            return Ok(false);
        }
        let places = &self.places;
        // Another folder has no server with this data.
        let _lock = HomeLock::take(places).map_err(|error| match error.kind() {
            Kind::Permission if places.data.exists() => error.hint(files::as_owner(&places.data)),
            _ => error,
        })?;
        // Another process may have started it while this one waited for the lock.
        if lifecycle::await_answer(places)? {
            return Ok(false);
        }
        let major = data::major(places)?;
        let binaries = Binaries::find(self.binaries.as_deref(), major, places.run_as.as_ref())?;
        files::private_folder(&places.socket_dir, places.run_as.as_ref())?;
        if major.is_none() {
            data::make(places, &binaries)?;
        }
        lifecycle::start(places, &binaries)
    }

    /// Stops it without waiting for its clients. Returns whether it was running.
    pub fn stop(&self) -> Result<bool> {
        let Some(_lock) = HomeLock::take_existing(&self.places)? else { return Ok(false) };
        let Some(server) = Postmaster::find(&self.places)? else { return Ok(false) };
        lifecycle::end(&self.places, server)?;
        log::info!("stopped the private server, process {}", server.pid);
        Ok(true)
    }

    /// Its status. Changes nothing.
    pub fn status(&self) -> Result<ServerStatus> {
        let places = &self.places;
        let major = data::major(places)?;
        let binaries = Binaries::find(self.binaries.as_deref(), major, places.run_as.as_ref()).ok();
        let version = binaries.as_ref().map(|found| found.version.clone());
        Ok(ServerStatus {
            running: self.accepts(),
            version: version.or_else(|| major.map(|major| major.to_string())),
            data: places.data.clone(),
            socket_dir: places.socket_dir.clone(),
            log: places.log.clone(),
            pid: Postmaster::find(places)?.map(|server| server.pid),
            binaries: binaries.map(|found| found.folder),
            run_as: places.run_as.as_ref().map(|user| user.name.clone()),
        })
    }

    /// Stops it and removes its data, socket, log and lock, and nothing else of the home. Returns whether there was anything.
    pub fn destroy(&self) -> Result<bool> {
        let places = &self.places;
        let Some(_lock) = HomeLock::take_existing(places)? else { return Ok(false) };
        if let Some(server) = Postmaster::find(places)? {
            lifecycle::end(places, server)?;
        }
        data::remove_unfinished(places)?;
        let mut removed = false;
        for path in [&places.data, &places.socket_dir, &places.log] {
            removed |= files::remove(path)?;
        }
        // The lock last, then its folder; another process may already use both again.
        files::remove(&places.lock())?;
        if fs::remove_dir(&places.folder).is_ok() {
            log::info!("removed the private server in `{}`", places.folder.display());
        }
        Ok(removed)
    }
}
