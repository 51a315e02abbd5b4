//! The private Postgres: a server of our own, made and started on demand from programs that are on the machine.
//!
//! It listens on a unix socket in a folder that only its user may enter, on no TCP port, and its settings are
//! durable. Any number of processes may call for it at once. This module never talks to the server beyond a
//! `connect`, never names a Postgres client, reads no `RINGSHARD_*` variable, and never prints.
//!
//! - `home`: where it lives, and [`default_home`]
//! - `run_as`: whom root gives it to
//! - `binaries`, `install`: which programs it is run by, and where to get them
//! - `data`: making its data folder
//! - `postmaster`: proof that a process is this server
//! - `lifecycle`: start and end
//! - `lock`, `files`: one at a time; steps on the file system

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
use std::path::{Path, PathBuf};

use crate::error::Result;
use binaries::Binaries;
use home::HomePaths;
use lock::HomeLock;
use postmaster::Postmaster;

pub use home::default_home;

/// Names the socket's file and nothing else, as there is no TCP: it cannot collide.
const PORT: u16 = 5432;

/// A private Postgres below a home; it need not exist yet.
#[derive(Debug, Clone)]
pub struct PrivateServer {
    places: HomePaths,
    binaries: Option<PathBuf>,
}

/// How a private server is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStatus {
    /// Whether it takes connections.
    pub running: bool,
    /// The version of its programs (`15.13`), or only the major one of its data when they are not found.
    pub version: Option<String>,
    /// The folder of its data, which may not exist yet.
    pub data: PathBuf,
    /// The folder of its socket.
    pub socket_dir: PathBuf,
    /// The file that it writes its log to.
    pub log: PathBuf,
    /// Its process, if one lives.
    pub pid: Option<u32>,
    /// The folder of the programs that it is started by; none if there are no fitting ones.
    pub binaries: Option<PathBuf>,
    /// The user that it runs as, if that is not the caller.
    pub run_as: Option<String>,
}

impl PrivateServer {
    /// The user to connect as; the socket's folder is the protection.
    pub const USER: &str = "postgres";

    /// The server below this home, or below the [default one](default_home), run by the programs in the folder
    /// `binaries`, or else by those that are found on the machine. Touches nothing.
    pub fn at(home: Option<&Path>, binaries: Option<&Path>) -> Result<Self> {
        let places = HomePaths::find(home)?;
        let binaries =
            binaries.map(|folder| files::on("find", folder, std::path::absolute(folder))).transpose()?;
        Ok(Self { places, binaries })
    }

    /// Where the socket lies: at most 89 bytes of letters, digits, `.`, `_`, `-` and `/`.
    pub fn socket_dir(&self) -> &Path {
        &self.places.socket_dir
    }

    /// The port, which is part of the name of the socket's file.
    pub fn port(&self) -> u16 {
        PORT
    }

    /// Where its data lies, or will lie.
    pub fn data(&self) -> &Path {
        &self.places.data
    }

    /// Where its log lies, or will lie.
    pub fn log_file(&self) -> &Path {
        &self.places.log
    }

    /// Whether it takes connections: one `connect`, no process. A server that was killed a moment ago may still
    /// seem to: its user's first query then fails, and is worth a second try after [`ensure_running`](Self::ensure_running).
    pub fn accepts(&self) -> bool {
        lifecycle::accepts(&self.places)
    }

    /// Whether its data was made.
    pub fn exists(&self) -> bool {
        self.places.data.is_dir()
    }

    /// Makes it if there is none, and starts it if it is down. Any number of processes may call this at once, also
    /// after some of them were killed. True if this call started it.
    pub fn ensure_running(&self) -> Result<bool> {
        if self.accepts() {
            return Ok(false);
        }
        let places = &self.places;
        let _lock = HomeLock::take(places)?;
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

    /// Stops it without waiting for those who are connected. False if it was not running.
    pub fn stop(&self) -> Result<bool> {
        let Some(_lock) = HomeLock::take_existing(&self.places)? else { return Ok(false) };
        let Some(server) = Postmaster::find(&self.places)? else { return Ok(false) };
        lifecycle::end(&self.places, server)?;
        log::info!("stopped the private server, process {}", server.pid);
        Ok(true)
    }

    /// How it is doing. Changes nothing.
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

    /// Stops it and removes its data, socket, log and lock, and nothing else of the home. False if there was nothing.
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
        // The lock last, then its folder; both may be in use again by one who comes after.
        files::remove(&places.lock())?;
        if fs::remove_dir(&places.folder).is_ok() {
            log::info!("removed the private server in `{}`", places.folder.display());
        }
        Ok(removed)
    }
}
