//! The folders of the private server. Reads the file system, never writes to it.

use std::path::{Path, PathBuf};
use std::{env, fs};

use super::files;
use super::run_as::{RunAs, effective_uid};
use crate::error::{Error, Kind, Result};

/// The folder of root's homes, including those that the server's user cannot reach.
const ROOT_HOME: &str = "/var/lib/ringshard";

/// The length of a socket's address without the final zero: 107 bytes on Linux, 103 on macOS and the BSDs. The smaller one
/// is used everywhere, so that a home can be moved.
const SOCKET_PATH_MAX_BYTES: usize = 103;

/// The paths of one private server.
#[derive(Debug, Clone)]
pub(super) struct HomePaths {
    /// The given home, without symbolic links.
    pub(super) home: PathBuf,
    /// The server's folder, which has everything else, except a socket folder in `/tmp`.
    pub(super) folder: PathBuf,
    pub(super) data: PathBuf,
    pub(super) log: PathBuf,
    pub(super) socket_dir: PathBuf,
    /// The user that the server runs as under root; `None` if it runs as the caller.
    pub(super) run_as: Option<RunAs>,
}

/// The folder of all files of ringshard if `RINGSHARD_HOME` is not set: `ringshard` in `XDG_DATA_HOME`, or in
/// `~/.local/share`. Under root it is `/var/lib/ringshard`, as the server's user may not enter root's home directory.
pub fn default_home() -> Result<PathBuf> {
    if effective_uid() == 0 {
        return Ok(ROOT_HOME.into());
    }
    let folder = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    folder("XDG_DATA_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("ringshard"))
        .ok_or_else(|| {
            Error::new(
                Kind::Configuration,
                "no folder for ringshard's files: HOME and XDG_DATA_HOME are not set",
            )
            .hint("set RINGSHARD_HOME to a folder")
        })
}

impl HomePaths {
    /// The paths for a home, or for the default one.
    pub(super) fn find(home: Option<&Path>) -> Result<Self> {
        let home = files::resolve(&home.map_or_else(default_home, |home| Ok(home.to_path_buf()))?)?;
        // Postgres keeps paths in files of one line each.
        if home.as_os_str().as_encoded_bytes().contains(&b'\n') {
            let shown = home.display().to_string().escape_debug().to_string();
            let message = format!("the home `{shown}` has a line break in its name");
            return Err(Error::new(Kind::Configuration, message).hint("set RINGSHARD_HOME to another folder"));
        }
        let own = home.join("postgres");
        let (folder, run_as) = if effective_uid() == 0 { place_for_root(&home, own)? } else { (own, None) };
        let uid = run_as.as_ref().map_or_else(effective_uid, |user| user.uid);
        let socket_dir = socket_dir(&folder, uid);
        Ok(Self {
            data: folder.join("data"),
            log: folder.join("postgres.log"),
            home,
            folder,
            socket_dir,
            run_as,
        })
    }

    /// Whether the server is outside the home, as its user cannot reach it.
    pub(super) fn is_elsewhere(&self) -> bool {
        !self.folder.starts_with(&self.home)
    }

    /// The owner of the server's files.
    pub(super) fn owner(&self) -> u32 {
        self.run_as.as_ref().map_or_else(effective_uid, |user| user.uid)
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }
}

/// Under root: an existing server keeps its folder and its user. A new one is made in the home if its user can reach it.
fn place_for_root(home: &Path, own: PathBuf) -> Result<(PathBuf, Option<RunAs>)> {
    let elsewhere = Path::new(ROOT_HOME).join("homes").join(files::hash(home));
    for folder in [&own, &elsewhere] {
        if let Some(user) = RunAs::owner_of(&folder.join("data")) {
            return Ok((folder.clone(), Some(user)));
        }
    }
    let user = RunAs::for_new_server()?;
    let folder = if can_be_reached(home, &user) { own } else { elsewhere };
    Ok((folder, Some(user)))
}

/// Whether the user can pass through all folders above the home, and through the home itself, if necessary after
/// [opening](may_open) it.
fn can_be_reached(home: &Path, user: &RunAs) -> bool {
    home.ancestors().all(|folder| match fs::metadata(folder) {
        Ok(found) => user.can_enter(&found) || (folder == home && may_open(home, &found)),
        Err(_) => true,
    })
}

/// Whether root may let other users pass through the home: it is root's, but not root's home directory.
pub(super) fn may_open(home: &Path, found: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let roots_home = env::var_os("HOME").map(PathBuf::from);
    found.uid() == 0 && home != Path::new("/root") && roots_home.as_deref() != Some(home)
}

/// The folder of the socket: `run` beside the data. It goes through a shell and into an address of little room;
/// when its path fits one of them badly, it is a short one in `/tmp`.
fn socket_dir(folder: &Path, uid: u32) -> PathBuf {
    let near = folder.join("run");
    let bytes = near.as_os_str().as_encoded_bytes();
    let plain = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(byte));
    if plain && bytes.len() + "/.s.PGSQL.5432".len() <= SOCKET_PATH_MAX_BYTES {
        return near;
    }
    PathBuf::from(format!("/tmp/ringshard-{uid}-{}", files::hash(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_lies_near_while_its_address_fits() {
        let folder = |length: usize| PathBuf::from(format!("/{}", "a".repeat(length - 1)));
        let longest = SOCKET_PATH_MAX_BYTES - "/run/.s.PGSQL.5432".len();
        assert_eq!(socket_dir(&folder(longest), 7), folder(longest).join("run"));
        assert!(socket_dir(&folder(longest + 1), 7).starts_with("/tmp"));
    }

    #[test]
    fn socket_lies_in_a_plain_path() {
        for name in ["/a b", "/a'b", "/a\"b", "/a$b", "/a`b", "/a\\b", "/a,b", "/é", "/~a", "/a;b", "/a*b"] {
            let short = socket_dir(Path::new(name), 7);
            assert!(short.to_str().unwrap().starts_with("/tmp/ringshard-7-"), "{name}");
            assert_ne!(short, socket_dir(Path::new(name), 8));
            assert_ne!(short, socket_dir(&Path::new(name).join("x"), 7));
        }
    }

    #[test]
    fn home_that_the_user_cannot_pass_is_not_reached() {
        use std::os::unix::fs::PermissionsExt;
        let above = tempfile::tempdir().unwrap();
        let user = RunAs { uid: 4_000_000, gid: 4_000_000, name: "x".into() };
        let home = above.path().join("home/not/yet");
        let set = |mode| fs::set_permissions(above.path(), fs::Permissions::from_mode(mode)).unwrap();
        set(0o711);
        assert!(can_be_reached(&home, &user));
        set(0o710);
        assert!(!can_be_reached(&home, &user));
    }
}
