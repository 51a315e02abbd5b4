//! Starting and ending the server's process. Only called under the lock.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use super::binaries::Binaries;
use super::data::{one_line, run};
use super::files;
use super::home::HomePaths;
use super::postmaster::Postmaster;
use super::run_as::command;
use crate::error::{Error, Kind, Result};

const POLL: Duration = Duration::from_millis(10);
/// How long a server may take to come up or to go down: recovery after a crash, the last checkpoint.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a server that says it is ready may fail to answer on its socket.
const DEAF: Duration = Duration::from_secs(2);
/// The children of a killed server take a moment to notice, and let go of its shared memory only then.
const CHILDREN_END: Duration = Duration::from_secs(10);

/// Whether the server takes a connection. The folder of the socket must be the server's user's: in `/tmp` anybody
/// could have put one there.
pub(super) fn accepts(places: &HomePaths) -> bool {
    use std::os::unix::fs::MetadataExt;
    let ours = fs::symlink_metadata(&places.socket_dir)
        .is_ok_and(|found| found.is_dir() && found.uid() == places.owner() && found.mode() & 0o022 == 0);
    ours && UnixStream::connect(socket(places)).is_ok()
}

fn socket(places: &HomePaths) -> std::path::PathBuf {
    places.socket_dir.join(format!(".s.PGSQL.{}", super::PORT))
}

/// Waits for a server that lives and does not answer: it is starting, or shutting down. True once it answers,
/// false when none lives. One that is ready and cannot be reached has lost its socket, and is ended.
pub(super) fn await_answer(places: &HomePaths) -> Result<bool> {
    let begun = Instant::now();
    let mut deaf_since = None;
    while let Some(server) = Postmaster::find(places)? {
        if accepts(places) {
            return Ok(true);
        }
        if server.ready && deaf_since.get_or_insert_with(Instant::now).elapsed() > DEAF {
            log::info!("the private server, process {}, has lost its socket: starting it anew", server.pid);
            end(places, server)?;
            break;
        }
        if begun.elapsed() > PATIENCE {
            return Err(see_log(places, "the private server runs and does not answer"));
        }
        thread::sleep(POLL);
    }
    Ok(false)
}

/// Starts the server on its data. False when another one has come up meanwhile: that of a run that was killed.
pub(super) fn start(places: &HomePaths, binaries: &Binaries) -> Result<bool> {
    remove_stale(places)?;
    let mut log = files::append(&places.log, places.run_as.as_ref())?;
    let begun = Instant::now();
    loop {
        let before = files::on("read", &places.log, log.seek(SeekFrom::End(0)))?;
        let mut pg_ctl = command(binaries.folder.join("pg_ctl"), places.run_as.as_ref(), &places.folder);
        // pg_ctl passes all this through a shell: paths from within the server's folder, and a plain one of the
        // socket. It also gives the server a session of its own, out of reach of this terminal's ctrl-c; and the
        // log keeps the server from holding our end of a pipe open.
        pg_ctl.args(["start", "-w", "-s", "-D", "data", "-l", "postgres.log", "-t"]);
        pg_ctl.arg(PATIENCE.as_secs().to_string());
        pg_ctl.arg("-o").arg(format!("-k {}", places.socket_dir.display()));
        let Err(failure) = run(&mut pg_ctl, places, "start the private server") else { break };
        if await_answer(places)? {
            return Ok(false);
        }
        let said = lines_after(places, before);
        if said.contains("still in use") && begun.elapsed() < CHILDREN_END {
            thread::sleep(POLL);
            continue;
        }
        let said = one_line(&said);
        let message =
            if said.is_empty() { failure.message().to_owned() } else { format!("{failure}; {said}") };
        return Err(see_log_of(places, failure.kind(), message));
    }
    if await_answer(places)? {
        log::info!("started the private Postgres {}", binaries.version);
        return Ok(true);
    }
    Err(see_log(places, "the private server started and ended again"))
}

/// Ends the server without waiting for its clients; if that does not help, also without a last checkpoint.
pub(super) fn end(places: &HomePaths, server: Postmaster) -> Result<()> {
    for harder in [false, true] {
        server.interrupt(places, harder)?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if !server.is_alive(places)? {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        log::info!("the private server, process {}, does not end", server.pid);
    }
    Err(see_log(places, &format!("the private server, process {}, does not end", server.pid)))
}

/// Removes the files by which a server that has died says that it lives: Postgres believes them when their number
/// belongs to another process by now. Whether children of the dead server still use the data, the new one finds
/// out itself, by its shared memory.
fn remove_stale(places: &HomePaths) -> Result<()> {
    let socket = socket(places);
    let mut lock = socket.clone().into_os_string();
    lock.push(".lock");
    for path in [places.data.join("postmaster.pid"), lock.into(), socket] {
        if files::remove(&path)? {
            log::debug!("removed `{}`, which a dead server has left", path.display());
        }
    }
    Ok(())
}

/// The last lines of the log from an offset on.
fn lines_after(places: &HomePaths, offset: u64) -> String {
    let mut raw = Vec::new();
    let read = fs::File::open(&places.log).and_then(|mut log| {
        log.seek(SeekFrom::Start(offset))?;
        log.take(64 * 1024).read_to_end(&mut raw)
    });
    if read.is_err() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&raw);
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains(" LOG: ")).collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

fn see_log(places: &HomePaths, message: &str) -> Error {
    see_log_of(places, Kind::Failed, message.to_owned())
}

fn see_log_of(places: &HomePaths, kind: Kind, message: String) -> Error {
    Error::new(kind, message).hint(format!("its log is `{}`", places.log.display()))
}
