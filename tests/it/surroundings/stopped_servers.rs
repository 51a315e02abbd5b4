//! A server that was stopped (SIGSTOP): it takes connections and answers nothing.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ringshard::local::PrivateServer;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::harness::{Ran, clean_up_after, command_in};

/// A generous bound: without a deadline these commands never end.
const PATIENCE: Duration = Duration::from_mins(1);

/// The postmaster of a server, stopped until this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn postmaster(server: &PrivateServer) -> Self {
        let pid = Pid::from_raw(i32::try_from(server.status().unwrap().pid.unwrap()).unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// With the limit of the product, and not that of the tests.
fn start(command: &mut Command) -> Child {
    command.env("RINGSHARD_CONNECT_TIMEOUT_MS", "2000");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for the end of a command, but not for ever.
#[track_caller]
fn end_of(mut child: Child) -> Ran {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it does not end: {:?}", Ran::of(child));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ran::of(child)
}

#[test]
fn a_stopped_postmaster_is_waited_for_as_long_as_a_connection_may_take() {
    let home = tempfile::Builder::new().prefix("rsl").tempdir_in("/tmp").unwrap();
    let _watched = clean_up_after(home.path());
    let run = |words: &[&str]| end_of(start(command_in(home.path()).args(words)));
    run(&["init-shards", "--shards", "24"]).success();
    run(&["create-user", "--id", "1", "--name", "a"]).success();
    let programs = std::env::var_os("RINGSHARD_PG_BIN").map(std::path::PathBuf::from);
    let server = PrivateServer::at(Some(home.path()), programs.as_deref()).unwrap();
    let stopped = Stopped::postmaster(&server);
    for words in
        [&["get-user", "1"][..], &["shards"], &["count"], &["create-user", "--id", "2", "--name", "b"]]
    {
        let begun = Instant::now();
        run(words).fails(69).says("no answer in");
        // The limit of a connection is 2 s.
        assert!(begun.elapsed() < Duration::from_secs(9), "{words:?} took {:?}", begun.elapsed());
    }
    drop(stopped);
    run(&["get-user", "1"]).success();
}
