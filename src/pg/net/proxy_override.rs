//! Proxy overrides: for a while, connections to a shard go through another process, which delays them.
//!
//! A file announces the override, in a folder that all processes of one user read. The proxy process holds a lock on that
//! file. The lock ends with the process, so an override without a proxy is never used, and nothing has to be cleaned up.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::location::Location;
use crate::model::ring::position::Position;

/// How often to try to lock a file that another process may be reading, and the pause between two tries.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The folder in which proxy overrides are announced.
#[derive(Debug, Clone)]
pub struct ProxyOverrides(PathBuf);

impl ProxyOverrides {
    /// Uses this folder, which only its user may enter.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The override for an address, given as its URL without the password.
    pub(crate) fn of(&self, address: &str) -> ProxyOverride {
        // Short, as the path of a socket may have about a hundred bytes.
        let digest = Position::of_key(address).number() >> 80;
        ProxyOverride { file: self.0.join(format!("proxy_override-{digest:012x}")) }
    }
}

/// The file that announces the proxy override of one address; it exists only while there is one.
#[derive(Debug, Clone)]
pub(crate) struct ProxyOverride {
    file: PathBuf,
}

/// Which proxy listener replaces which endpoint.
#[derive(Debug, Serialize, Deserialize)]
struct Redirect {
    /// `HOST:PORT`, or the socket's path.
    endpoint: String,
    #[serde(flatten)]
    through: ProxyListener,
}

/// Where the proxy listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProxyListener {
    /// On a socket in this folder, with the server's port in its name.
    Folder(PathBuf),
    /// On this port of this machine.
    Port(u16),
}

impl ProxyOverride {
    /// Where to connect instead of `location`, if it is redirected now. Without an override this costs one failed `open`.
    pub(crate) fn redirect(&self, location: &Location) -> Option<Location> {
        let mut file = File::open(&self.file).ok()?;
        // If the file can be locked, its proxy has ended.
        if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return None;
        }
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        let redirects: Vec<Redirect> = serde_json::from_str(&text).ok()?;
        let endpoint = location.to_string();
        let through = redirects.into_iter().find(|redirect| redirect.endpoint == endpoint)?.through;
        Some(match (location, through) {
            (_, ProxyListener::Folder(folder)) => Location::Socket { folder, port: location.port() },
            (Location::Network { host, .. }, ProxyListener::Port(port)) => {
                let address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
                Location::Network { host: host.clone(), address, port }
            }
            (Location::Socket { .. }, ProxyListener::Port(_)) => return None,
        })
    }

    /// The folder for the sockets of this override's proxy.
    pub(crate) fn folder(&self) -> PathBuf {
        self.file.with_extension("d")
    }

    /// Takes the right to announce it; `None` if another process has it.
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
            // The previous holder may have removed the file in between; a lock on a removed file announces nothing.
            let locked = file.metadata()?;
            if fs::metadata(&self.file)
                .is_ok_and(|current| (current.dev(), current.ino()) == (locked.dev(), locked.ino()))
            {
                // A killed process may have left text in it.
                file.set_len(0)?;
                return Ok(Some(OverrideClaim { file, path: self.file.clone() }));
            }
        }
        Ok(None)
    }
}

/// The right to announce a proxy override. Dropping it ends the override.
pub(crate) struct OverrideClaim {
    file: File,
    path: PathBuf,
}

impl OverrideClaim {
    /// Announces the override: connections to each of these locations go to its listener from now on.
    pub(crate) fn announce(
        &mut self,
        redirects: impl IntoIterator<Item = (Location, ProxyListener)>,
    ) -> io::Result<()> {
        let redirects = redirects
            .into_iter()
            .map(|(location, through)| Redirect { endpoint: location.to_string(), through });
        let text = serde_json::to_vec(&redirects.collect::<Vec<_>>())?;
        self.file.write_all(&text)
    }
}

impl Drop for OverrideClaim {
    fn drop(&mut self) {
        // In this order, so that a locked file always announces an override that is in force.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}
