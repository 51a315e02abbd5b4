//! Servers that were stopped (SIGSTOP): they take connections and answer nothing.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ringshard::local::PrivateServer;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::harness::{Ran, Test, clean_up_after, command_in};
use crate::support::servers::Servers;

/// A generous bound: without a deadline these commands never end.
const PATIENCE: Duration = Duration::from_mins(1);

/// Processes of a server that are stopped, until this is dropped.
struct Stopped(Vec<Pid>);

impl Stopped {
    fn postmaster(server: &PrivateServer) -> Self {
        Self::these(vec![postmaster(server)])
    }

    fn whole(server: &PrivateServer) -> Self {
        let root = postmaster(server);
        let children = Command::new("pgrep").args(["-P", &root.as_raw_pid().to_string()]).output();
        let children = String::from_utf8(children.unwrap().stdout).unwrap();
        let pids = children.lines().map(|line| Pid::from_raw(line.parse().unwrap()).unwrap());
        Self::these(std::iter::once(root).chain(pids).collect())
    }

    fn these(pids: Vec<Pid>) -> Self {
        for pid in &pids {
            // A process of the server may just have ended.
            let _ = kill_process(*pid, Signal::STOP);
        }
        Self(pids)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in &self.0 {
            let _ = kill_process(*pid, Signal::CONT);
        }
    }
}

fn postmaster(server: &PrivateServer) -> Pid {
    Pid::from_raw(i32::try_from(server.status().unwrap().pid.unwrap()).unwrap()).unwrap()
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

/// The backends of ringshard on a shard that wait, for a lock or in `pg_sleep`.
fn waiting(servers: &Servers, number: usize) -> Vec<i32> {
    let sql = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'ringshard%' \
               AND wait_event_type IN ('Lock', 'Timeout')";
    servers.client(number).query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

fn wait_until_waiting(servers: &Servers, number: usize) -> i32 {
    let begun = Instant::now();
    loop {
        if let Some(pid) = waiting(servers, number).first() {
            return *pid;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing waits on shard {number}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_statement_ends_when_the_whole_server_stops() {
    let servers = Servers::initialised(2);
    let child = start(servers.command().args(["sql", "SELECT pg_sleep(600)"]));
    wait_until_waiting(&servers, 1);
    let stopped = Stopped::whole(servers.server(1));
    let ran = end_of(child).fails(69).says("shard `shard_1`").says("takes no connection");
    assert!(ran.stderr.contains("it does not answer"), "{ran:?}");
    drop(stopped);
    servers.run(&["count"]).success();
}

#[test]
fn a_write_to_a_server_that_stops_is_not_reported_as_done_and_its_end_is_read_later() {
    let servers = Servers::initialised(1);
    let mut holder = servers.client(1);
    let mut lock = holder.transaction().unwrap();
    lock.batch_execute("LOCK TABLE users").unwrap();
    let child = start(servers.command().args(["create-user", "--id", "1", "--name", "a"]));
    wait_until_waiting(&servers, 1);
    let stopped = Stopped::whole(servers.server(1));
    end_of(child).fails(69).says("shard `shard_1`");
    drop(stopped);
    lock.rollback().unwrap();
    // It was stored or not, but not twice, and it can be created if not.
    let again = servers.run(&["create-user", "--id", "1", "--name", "a"]);
    assert!([0, 5].contains(&again.code), "{again:?}");
    servers.assert_healthy(1);
}

#[test]
fn a_command_says_who_blocks_it_once() {
    let test = Test::initialised();
    let owner = crate::support::rings::owner(1);
    let mut holder = test.client(owner);
    let blocker: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let mut lock = holder.transaction().unwrap();
    lock.batch_execute("ALTER TABLE users ADD COLUMN note text").unwrap();
    for (flags, is_said) in [(&[][..], true), (&["-q"], false), (&["-o", "json"], false)] {
        let mut command = test.command();
        command.args(["create-user", "--id", "1", "--name", "a"]).args(flags);
        command.env("RINGSHARD_STATEMENT_TIMEOUT_MS", "6000");
        let ran = end_of(start(&mut command)).fails(75);
        let note = format!("waiting for shard `shard_{owner}`: blocked by pid {blocker} (");
        assert_eq!(ran.stderr.matches(&note).count(), usize::from(is_said), "{ran:?}");
        assert_eq!(ran.stderr.contains("\"ALTER TABLE users ADD COLUMN note text\""), is_said, "{ran:?}");
    }
}

#[test]
fn a_signal_ends_a_command_that_waits_for_a_stopped_server() {
    let servers = Servers::initialised(1);
    servers.run(&["create-user", "--id", "1", "--name", "a"]).success();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut child = start(servers.command().args(["sql", "SELECT pg_sleep(600)"]));
        wait_until_waiting(&servers, 1);
        let stopped = Stopped::whole(servers.server(1));
        thread::sleep(Duration::from_millis(300));
        let begun = Instant::now();
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(signal.as_raw()));
        assert!(begun.elapsed() < Duration::from_secs(5), "{signal:?} took {:?}", begun.elapsed());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(!said.contains("panic"), "{said}");
        drop(stopped);
    }
}
