//! `ProxyOverrides`: for a while, connections to a shard lead through another process, which delays them.
//!
//! A proxy override is announced by a file in a folder that all processes of one user look at. The process that it leads
//! through holds a lock on the file, which goes when the process does, however that ends: so a proxy override that leads
//! nowhere is never taken, and nothing has to be cleaned up.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io, thread};

use serde::{Deserialize, Serialize};

use super::location::Location;
use crate::model::ring::position::Position;

/// How often it is tried to lock a file that somebody may just be looking at, and the pause between.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The folder where proxy overrides are announced.
#[derive(Debug, Clone)]
pub struct ProxyOverrides(PathBuf);

impl ProxyOverrides {
    /// Those of this folder, which only its user may enter.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The one around an address, given as its URL without the password.
    pub(crate) fn of(&self, address: &str) -> ProxyOverride {
        // As short as can be: the path of a socket has a hundred bytes.
        let digest = Position::of_key(address).number() >> 80;
        ProxyOverride { file: self.0.join(format!("proxy_override-{digest:012x}")) }
    }
}

/// Where the proxy override around one address is announced, if there is one.
#[derive(Debug, Clone)]
pub(crate) struct ProxyOverride {
    file: PathBuf,
}

/// Which way leads around which place.
#[derive(Debug, Serialize, Deserialize)]
struct Redirect {
    /// `HOST:PORT`, or the socket's path.
    around: String,
    #[serde(flatten)]
    through: ProxyListener,
}

/// Where the process that delays listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProxyListener {
    /// On a socket in this folder; its name ends like that of the server.
    Folder(PathBuf),
    /// On this port of this machine.
    Port(u16),
}

impl ProxyOverride {
    /// The way around a place, if there is one now. Costs a look at a file that is not there.
    pub(crate) fn around(&self, location: &Location) -> Option<Location> {
        let mut file = File::open(&self.file).ok()?;
        // Whoever can lock it knows that nobody is there any more.
        if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return None;
        }
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        let ways: Vec<Redirect> = serde_json::from_str(&text).ok()?;
        let place = location.place();
        let through = ways.into_iter().find(|way| way.around == place)?.through;
        Some(match (location, through) {
            (_, ProxyListener::Folder(folder)) => Location::Socket { folder, port: location.port() },
            (Location::Network { host, .. }, ProxyListener::Port(port)) => {
                let address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
                Location::Network { host: host.clone(), address, port }
            }
            (Location::Socket { .. }, ProxyListener::Port(_)) => return None,
        })
    }

    /// A folder of this proxy override's own, for its sockets.
    pub(crate) fn folder(&self) -> PathBuf {
        self.file.with_extension("d")
    }

    /// Takes the right to announce it; `None` if somebody else has it.
    pub(crate) fn claim(&self) -> io::Result<Option<OverrideClaim>> {
        if let Some(folder) = self.file.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        for _ in 0..LOCK_TRIES {
            let mut options = fs::OpenOptions::new();
            let file =
                options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&self.file)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    thread::sleep(LOCK_PAUSE);
                    continue;
                }
                Err(TryLockError::Error(cause)) => return Err(cause),
            }
            // The one who had it before may have removed the file: then this one announces nothing.
            let locked = file.metadata()?;
            if fs::metadata(&self.file)
                .is_ok_and(|there| (there.dev(), there.ino()) == (locked.dev(), locked.ino()))
            {
                // What a process left behind that was killed.
                file.set_len(0)?;
                return Ok(Some(OverrideClaim { file, path: self.file.clone() }));
            }
        }
        Ok(None)
    }
}

/// The right to announce a proxy override, as long as it lives.
pub(crate) struct OverrideClaim {
    file: File,
    path: PathBuf,
}

impl OverrideClaim {
    /// From here on connections take it: around each of these places through that.
    pub(crate) fn announce(
        &mut self,
        ways: impl IntoIterator<Item = (Location, ProxyListener)>,
    ) -> io::Result<()> {
        let ways = ways.into_iter().map(|(location, through)| Redirect { around: location.place(), through });
        let text = serde_json::to_vec(&ways.collect::<Vec<_>>())?;
        self.file.write_all(&text)
    }
}

/// From here on connections go straight.
impl Drop for OverrideClaim {
    fn drop(&mut self) {
        // In this order: who finds the file locked finds what it says to be true.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}
