//! Room for the descriptors (open files) of a connection.
//!
//! The postgres crate builds a tokio runtime for each connection, and for each cancel request, and panics where that fails
//! (`postgres::Config::connect`, `CancelToken::cancel_query`). It fails without room for its descriptors. So there is room
//! before either is called: whoever connects holds a [`Room`] meanwhile. Once the connection is there, its descriptors are
//! counted like all others.

use std::time::{Duration, Instant};
use std::{fs, io, thread};

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What connecting takes at most: three descriptors of the runtime, the socket, and two files, for the name of a host or for
/// TLS.
const NEEDED: u64 = 6;
/// What a connection leaves: room for files, and for a cancel request.
const LEFT: u64 = 8;
/// How often to check whether there is room by now.
const STEP: Duration = Duration::from_millis(10);
/// How many connections at once are enough for any command.
const CONNECTIONS: u64 = 64;
/// What macOS allows at most, where it says that there is no limit.
const MACOS_MAX: u64 = 10_240;

/// How many hold a [`Room`].
static CONNECTING: Mutex<u64> = Mutex::new(0);

/// The right to connect.
pub(crate) struct Room(());

impl Drop for Room {
    fn drop(&mut self) {
        *CONNECTING.lock() -= 1;
    }
}

/// Room for a connection, once there is some: other connections may end before this time is over.
pub(crate) fn for_connection(patience: Duration) -> io::Result<Room> {
    let begun = Instant::now();
    loop {
        if let Some(room) = take(LEFT) {
            return Ok(room);
        }
        if begun.elapsed() >= patience {
            return Err(Errno::MFILE.into());
        }
        thread::sleep(STEP);
    }
}

/// Room for a cancel request, for which connections leave some.
pub(crate) fn for_cancel() -> Option<Room> {
    take(0)
}

/// How many descriptors this process may have.
pub(crate) fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// For how many connections there is room now, one at least.
pub(crate) fn connections_max() -> usize {
    let most = || limit().saturating_sub(open_below(limit()) + LEFT) / NEEDED;
    if most() < CONNECTIONS {
        raise_limit();
    }
    usize::try_from(most()).unwrap_or(usize::MAX).max(1)
}

fn take(left: u64) -> Option<Room> {
    let mut connecting = CONNECTING.lock();
    let needed = (*connecting + 1) * NEEDED + left;
    let has_room = || open_below(limit()) + needed <= limit();
    if has_room() || (raise_limit() && has_room()) {
        *connecting += 1;
        return Some(Room(()));
    }
    None
}

/// How many descriptors are open, of those that count for this limit. Where that cannot be known, none.
fn open_below(limit: u64) -> u64 {
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    match fs::read_dir("/dev/fd") {
        Ok(open) => open.flatten().filter_map(number).filter(|number: &u64| *number < limit).count() as u64,
        Err(cause) if Errno::from_io_error(&cause) == Some(Errno::MFILE) => limit,
        Err(_) => 0,
    }
}

/// Raises the limit as far as this process may; returns whether it did.
fn raise_limit() -> bool {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return false;
    }
    let most =
        if cfg!(target_os = "macos") { Some(maximum.unwrap_or(MACOS_MAX).min(MACOS_MAX)) } else { maximum };
    most != current && setrlimit(Resource::Nofile, Rlimit { current: most, maximum }).is_ok()
}
