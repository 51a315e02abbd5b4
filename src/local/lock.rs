//! The lock under which a process makes, starts, stops or removes the private server.
//!
//! It also makes the folders of the lock file; their modes let the server's user pass.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::files::{self, on};
use super::home::{HomePaths, may_open};
use super::run_as::effective_uid;
use crate::error::{Error, Kind, Result};

/// The held lock; dropping it releases it. Child processes, such as the server, do not inherit the file.
pub(super) struct HomeLock(#[expect(dead_code, reason = "closing the file releases the lock")] File);

impl HomeLock {
    /// Takes the lock, and makes missing folders first.
    pub(super) fn take(places: &HomePaths) -> Result<Self> {
        // Another process may remove the folder between two steps, but hardly many times in a row.
        for _ in 0..100 {
            make_server_folder(places)?;
            if let Some(lock) = Self::take_existing(places)? {
                return Ok(lock);
            }
        }
        Err(Error::new(
            Kind::Locked,
            format!("another process keeps removing the folder `{}`", places.folder.display()),
        ))
    }

    /// Takes the lock; `None` if the server has no folder.
    pub(super) fn take_existing(places: &HomePaths) -> Result<Option<Self>> {
        let path = places.lock();
        loop {
            let file = match files::open_lock(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                opened => on("open", &path, opened)?,
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    log::info!("waiting for another process that starts or stops the private server");
                    on("lock", &path, file.lock())?;
                }
                Err(TryLockError::Error(error)) => on("lock", &path, Err(error))?,
            }
            // The previous holder may have removed the file; a lock on a removed file protects nothing.
            let locked = on("look at", &path, file.metadata())?;
            if fs::metadata(&path)
                .is_ok_and(|there| (there.dev(), there.ino()) == (locked.dev(), locked.ino()))
            {
                return Ok(Some(Self(file)));
            }
        }
    }
}

fn make_server_folder(places: &HomePaths) -> Result<()> {
    // Under root other users may pass through, but not list; the data and the socket are closed to them.
    let mode = if places.run_as.is_some() { 0o711 } else { 0o700 };
    if !places.is_elsewhere() {
        files::make_folders(&places.home, mode)?;
        open_home(places)?;
    } else if let Some(above) = places.folder.parent() {
        files::make_folders(above, mode)?;
        log::info!(
            "the private server of `{}` is in `{}`, as its user cannot reach the home",
            places.home.display(),
            places.folder.display()
        );
    }
    files::make_folder(&places.folder, mode)?;
    let found = on("look at", &places.folder, fs::metadata(&places.folder))?;
    if found.uid() != places.owner() && found.uid() != effective_uid() {
        return Err(files::not_ours(&places.folder, found.uid(), effective_uid()));
    }
    Ok(())
}

/// Lets the server's user pass through the home of root.
fn open_home(places: &HomePaths) -> Result<()> {
    let Some(user) = &places.run_as else { return Ok(()) };
    let found = on("look at", &places.home, fs::metadata(&places.home))?;
    if user.can_enter(&found) || !may_open(&places.home, &found) {
        return Ok(());
    }
    log::info!(
        "opening `{}` for passing through, so that `{}` reaches its server",
        places.home.display(),
        user.name
    );
    let mode = Permissions::from_mode((found.mode() & 0o7777) | 0o011);
    on("open folder", &places.home, fs::set_permissions(&places.home, mode))
}
