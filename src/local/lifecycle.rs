//! Starts and stops the server's process. Only called under the lock.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::binaries::Binaries;
use super::data::{one_line, run};
use super::files;
use super::home::HomePaths;
use super::postmaster::Postmaster;
use super::run_as::command;
use crate::error::{Error, Kind, Result};

const POLL: Duration = Duration::from_millis(10);
/// How long a server may take to start or stop: for recovery after a crash, or the last checkpoint.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a server that is ready may fail to answer on its socket.
const DEAF: Duration = Duration::from_secs(2);
/// How long the children of a killed server may take to notice it and release the shared memory.
const CHILDREN_END: Duration = Duration::from_secs(10);

/// Whether the server accepts a connection. The folder of the socket must belong to the server's user, as in `/tmp` anyone
/// could have made it.
pub(super) fn accepts(places: &HomePaths) -> bool {
    use std::os::unix::fs::MetadataExt;
    let ours = fs::symlink_metadata(&places.socket_dir)
        .is_ok_and(|found| found.is_dir() && found.uid() == places.owner() && found.mode() & 0o022 == 0);
    ours && UnixStream::connect(socket(places)).is_ok()
}

fn socket(places: &HomePaths) -> std::path::PathBuf {
    places.socket_dir.join(format!(".s.PGSQL.{}", super::PORT))
}

/// Waits for a server that runs but does not answer, as it is starting or stopping. Returns true once it answers, false if
/// none runs. A ready server that cannot be reached has lost its socket, and is stopped.
pub(super) fn await_answer(places: &HomePaths) -> Result<bool> {
    let begun = Instant::now();
    let mut deaf_since = None;
    while let Some(server) = Postmaster::find(places)? {
        if accepts(places) {
            return Ok(true);
        }
        if server.ready && deaf_since.get_or_insert_with(Instant::now).elapsed() > DEAF {
            log::info!("the private server, process {}, has lost its socket: starting it again", server.pid);
            end(places, server)?;
            break;
        }
        if begun.elapsed() > PATIENCE {
            return Err(see_log(places, "the private server runs but does not answer"));
        }
        thread::sleep(POLL);
    }
    Ok(false)
}

/// Starts the server on its data. Returns false if another one has started meanwhile, from a killed run.
pub(super) fn start(places: &HomePaths, binaries: &Binaries) -> Result<bool> {
    remove_stale(places)?;
    let mut log = files::append(&places.log, places.run_as.as_ref())?;
    let begun = Instant::now();
    loop {
        let before = files::on("read", &places.log, log.seek(SeekFrom::End(0)))?;
        let mut pg_ctl = command(binaries.folder.join("pg_ctl"), places.run_as.as_ref(), &places.folder);
        // pg_ctl passes these arguments to a shell, so the paths are relative to the server's folder, and that of the socket
        // has only plain characters. It starts the server in its own session, so that this terminal's Ctrl-C does not reach
        // it; with a log file the server does not keep a pipe of this process open.
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
    Err(see_log(places, "the private server started and then exited"))
}

/// Stops the server without waiting for its clients; if that fails, without a last checkpoint.
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
        log::info!("the private server, process {}, does not exit", server.pid);
    }
    Err(see_log(places, &format!("the private server, process {}, does not exit", server.pid)))
}

/// Removes the pid and lock files of a dead server: Postgres trusts them if another process has the pid by now. The new
/// server itself checks, by the shared memory, whether children of the dead one still use the data.
fn remove_stale(places: &HomePaths) -> Result<()> {
    let socket = socket(places);
    let mut lock = socket.clone().into_os_string();
    lock.push(".lock");
    for path in [places.data.join("postmaster.pid"), lock.into(), socket] {
        if files::remove(&path)? {
            log::debug!("removed `{}` of a dead server", path.display());
        }
    }
    Ok(())
}

/// The last lines of the log after an offset.
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
    Error::new(kind, message).hint(format!("see its log `{}`", places.log.display()))
}
