//! Finds the running server, by its data folder and the system's processes.
//!
//! After a crash the pid in `postmaster.pid` may belong to another process. No signal is sent before the process is proven to
//! be this server.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::files::{on, reason};
use super::home::HomePaths;
use super::run_as::command;
use crate::error::{Error, Kind, Result};

/// A process that is proven to be the server of a data folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Postmaster {
    pub(super) pid: u32,
    /// Whether its state is `ready`.
    pub(super) ready: bool,
}

impl Postmaster {
    /// The server that runs on the data, if there is one.
    pub(super) fn find(places: &HomePaths) -> Result<Option<Self>> {
        let path = places.data.join("postmaster.pid");
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => on("read", &path, read)?,
        };
        let Some(claim) = Self::parse(&text) else { return Ok(None) };
        Ok(if is_server_of(places, claim.pid)? { Some(claim) } else { None })
    }

    /// The first line is the pid; the last one, which is written later, the state.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text);
        let pid = text.lines().next()?.trim().parse().ok().filter(|pid| *pid > 1)?;
        let ready = text.lines().last().is_some_and(|line| line.trim() == "ready");
        Some(Self { pid, ready })
    }

    /// Signals it to stop without waiting for its clients; with `harder`, without a clean shutdown.
    pub(super) fn interrupt(self, places: &HomePaths, harder: bool) -> Result<()> {
        let signal = if harder { Signal::QUIT } else { Signal::INT };
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
        // Proven again, as time has passed since it was found.
        if !self.is_alive(places)? {
            return Ok(());
        }
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => {
                let why = reason(&error.into());
                Err(Error::new(
                    Kind::Permission,
                    format!("cannot stop the private server, process {}: {why}", self.pid),
                ))
            }
        }
    }

    /// Whether the process still is this server.
    pub(super) fn is_alive(self, places: &HomePaths) -> Result<bool> {
        is_server_of(places, self.pid)
    }
}

/// Whether a process is the postmaster of this data: its working directory is the data folder. Where that cannot be read (in
/// containers root often may not inspect processes of other users), its command line must have the socket folder.
fn is_server_of(places: &HomePaths, pid: u32) -> Result<bool> {
    if !Path::new("/proc/self/cmdline").exists() {
        return Ok(is_server_command(&command_line_from_ps(pid)?, &places.socket_dir));
    }
    // Unreadable or empty: it has exited, or is a zombie.
    let raw = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<&[u8]> = raw.split(|byte| *byte == 0).collect();
    if !is_postgres(words[0]) {
        return Ok(false);
    }
    match (fs::metadata(format!("/proc/{pid}/cwd")), fs::metadata(&places.data)) {
        (Ok(lives_in), Ok(data)) => Ok((lives_in.dev(), lives_in.ino()) == (data.dev(), data.ino())),
        (Err(error), _) if error.kind() == ErrorKind::PermissionDenied => {
            Ok(is_server_command(&words, &places.socket_dir))
        }
        _ => Ok(false),
    }
}

/// Whether this is the command line with which ringshard starts the server.
fn is_server_command<Word: AsRef<[u8]>>(words: &[Word], socket_dir: &Path) -> bool {
    let names_socket =
        |pair: &[Word]| pair[0].as_ref() == b"-k" && pair[1].as_ref() == socket_dir.as_os_str().as_bytes();
    words.first().is_some_and(|first| is_postgres(first.as_ref())) && words.windows(2).any(names_socket)
}

/// Whether a program is `postgres`; the postmaster's children call themselves `postgres: …`.
fn is_postgres(program: &[u8]) -> bool {
    program.rsplit(|byte| *byte == b'/').next() == Some(b"postgres")
}

/// The command line of a process without `/proc`; `None` if there is no such process.
fn command_line_from_ps(pid: u32) -> Result<Vec<Vec<u8>>> {
    // The query includes this process: only a `ps` that lists it would list the other one too.
    let own = std::process::id();
    let mut ps = command("ps", None, Path::new("/"));
    let output = ps.args(["-ww", "-o", "pid=,args=", "-p", &format!("{own},{pid}")]).output();
    let seen = output.map(|output| output.stdout).unwrap_or_default();
    let line_of = |pid: u32| {
        let mut lines = seen.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        lines.find_map(|line| {
            Some(line.strip_prefix(pid.to_string().as_bytes())?.strip_prefix(b" ")?.trim_ascii())
        })
    };
    if line_of(own).is_none() {
        let message = format!(
            "cannot check whether process {pid} is the private server: there is no `/proc` and no working `ps`"
        );
        return Err(Error::new(Kind::Failed, message));
    }
    let Some(line) = line_of(pid) else { return Ok(Vec::new()) };
    // The path of the program may have spaces; the arguments after it have none.
    let end = line.windows(4).position(|four| four == b" -D ").unwrap_or(line.len());
    let rest = line[end..].split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    Ok(std::iter::once(&line[..end]).chain(rest).map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claim_is_parsed() {
        let parse = |text: &str| Postmaster::parse(text.as_bytes()).map(|claim| (claim.pid, claim.ready));
        assert_eq!(parse("42\n/data\n1\n5432\n/run\n\n 7 8\nready   \n"), Some((42, true)));
        assert_eq!(parse("42\n/data\n1\n5432\n/run\n\n 7 8\nstarting\n"), Some((42, false)));
        assert_eq!(parse("42\n/data\n"), Some((42, false)));
        for garbage in ["", "\n", "-1\n", "0\n", "1\n", "x\n", "99999999999\n"] {
            assert_eq!(parse(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn command_line_names_the_server() {
        let ours = |line: &str| {
            let words: Vec<&[u8]> = line.split('|').map(str::as_bytes).collect();
            is_server_command(&words, Path::new("/h/run"))
        };
        assert!(ours("/usr/lib/postgresql/15/bin/postgres|-D|data|-k|/h/run"));
        assert!(!ours("/usr/lib/postgresql/15/bin/postgres|-D|data|-k|/h/run2"));
        assert!(!ours("/usr/lib/postgresql/15/bin/postgres|-D|data"));
        assert!(!ours("postgres: checkpointer|-k|/h/run"));
        assert!(!ours("vim|-k|/h/run"));
        assert!(!ours(""));
    }

    #[test]
    fn ps_shows_command_lines() {
        let mut other = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let words = command_line_from_ps(other.id());
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(words.unwrap()[0].starts_with(b"sleep"));
        assert!(command_line_from_ps(other.id()).unwrap().is_empty());
    }
}
