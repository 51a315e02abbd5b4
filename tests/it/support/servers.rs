//! A server for each shard, which can crash and restart while the others run.

use std::os::unix::fs::MetadataExt as _;
use std::process::{ChildStdin, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;
use ringshard::local::PrivateServer;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::harness::{Ran, command_in, connect, connect_to, private_server};

/// A cluster whose shards `shard_1` and so on are on separate servers.
pub(crate) struct Servers {
    home: TempDir,
    shards: Vec<Shard>,
}

struct Shard {
    /// Its server; then the standby that `pair` makes, which may have become the primary.
    hosts: Vec<Host>,
    /// Which of the hosts takes writes.
    primary: AtomicUsize,
    /// The URL of a shard that is on none of these hosts.
    elsewhere: Option<String>,
}

struct Host {
    server: PrivateServer,
    _watched: ChildStdin,
}

impl Servers {
    /// Starts servers and initialises a shard on each. Asynchronous commits are flushed late, so that a crash loses
    /// them.
    pub(crate) fn initialised(count: usize) -> Self {
        Self::with_spares(count, 0)
    }

    /// The same, with spare servers for shards to be added.
    pub(crate) fn with_spares(count: usize, spares: usize) -> Self {
        let servers = Self::started(count + spares);
        servers.initialise(count);
        servers
    }

    /// Servers that hold no shard yet.
    pub(crate) fn started(count: usize) -> Self {
        let home = tempfile::Builder::new().prefix("rsm").tempdir_in("/tmp").unwrap();
        let shards: Vec<_> = (0..count).map(|_| std::thread::spawn(Shard::new)).collect();
        Self { home, shards: shards.into_iter().map(|made| made.join().unwrap()).collect() }
    }

    /// Makes a cluster of the first servers.
    pub(crate) fn initialise(&self, count: usize) {
        let mut command = self.command();
        command.arg("init-shards");
        for number in 1..=count {
            command.args(["--shard", &format!("shard_{number}={}", self.url(number))]);
        }
        Ran::of(command.spawn().unwrap()).success();
    }

    /// Has a shard at this URL, and not on its server here, which is stopped.
    pub(crate) fn move_elsewhere(&mut self, number: usize, url: String) {
        self.server(number).stop().unwrap();
        self.shards[number - 1].elsewhere = Some(url);
    }

    /// Gives a shard's server a streaming standby. The URL of the shard names both.
    pub(crate) fn pair(&mut self, number: usize) {
        let Standby(host) = self.standby_of(number);
        self.shards[number - 1].hosts.push(host);
    }

    /// Three shards with users 1 to 200, and a server for a fourth.
    pub(crate) fn filled() -> Self {
        let servers = Self::with_spares(3, 1);
        let lines: String = (1..=200).map(|id| format!("create-user --id {id} --name n{id} -q\n")).collect();
        servers.write("users.txt", lines.as_bytes());
        servers.run(&["-f", "users.txt"]).success();
        servers
    }

    /// Runs a rebalance in small chunks whose process ends at this failpoint.
    pub(crate) fn rebalance_to_failpoint(&self, failpoint: &str) {
        let mut command = self.command();
        command
            .args(["rebalance", "-y", "--chunk-rows", "5", "--jobs", "1"])
            .env("RINGSHARD_CRASH", failpoint);
        let ran = Ran::of(command.spawn().unwrap());
        assert_ne!(ran.code, 0, "{ran:?}");
    }

    /// How many servers there are, with the spare ones.
    pub(crate) fn count(&self) -> usize {
        self.shards.len()
    }

    /// How many users a shard's server holds.
    pub(crate) fn rows_on(&self, number: usize) -> i64 {
        self.client(number).query_one("SELECT count(*) FROM users", &[]).unwrap().get(0)
    }

    /// Asserts that there are so many users, each on its owner, and that `doctor` finds nothing.
    #[track_caller]
    pub(crate) fn assert_healthy(&self, count: i64) {
        assert_eq!(self.run(&["count"]).success().stdout, format!("{count}\n"));
        self.run(&["verify"]).success();
        self.run(&["doctor", "-o", "tsv"]).success();
    }

    /// The database of a shard, which is called `users` on each server.
    pub(crate) fn url(&self, number: usize) -> String {
        let shard = &self.shards[number - 1];
        if let Some(url) = &shard.elsewhere {
            return url.clone();
        }
        let hosts: Vec<_> =
            shard.hosts.iter().map(|host| host.server.socket_dir().display().to_string()).collect();
        let which = if hosts.len() > 1 { "&target_session_attrs=read-write" } else { "" };
        format!("postgresql://postgres@/users?host={}{which}", hosts.join(","))
    }

    pub(crate) fn client(&self, number: usize) -> Client {
        match &self.shards[number - 1].elsewhere {
            Some(url) => connect_to(url.parse().unwrap()).unwrap(),
            None => connect(self.server(number), "users"),
        }
    }

    /// The program in a home of its own.
    pub(crate) fn command(&self) -> Command {
        command_in(self.home.path())
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        Ran::of(self.command().args(words).spawn().unwrap())
    }

    /// The folder of the program's configuration and state.
    pub(crate) fn home(&self) -> &std::path::Path {
        self.home.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.home.path().join(name), bytes).unwrap();
    }

    /// Ends a server as `pg_ctl stop -m immediate` does: without a checkpoint, and unflushed commits are lost.
    pub(crate) fn crash(&self, number: usize) {
        let server = self.server(number);
        kill_process(postmaster(server), Signal::QUIT).unwrap();
        while server.status().unwrap().pid.is_some() {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Kills a server with `kill -9`: it closes no session.
    pub(crate) fn kill(&self, number: usize) {
        kill_process(postmaster(self.server(number)), Signal::KILL).unwrap();
    }

    /// Starts a server that is down.
    pub(crate) fn start(&self, number: usize) {
        self.server(number).ensure_running().unwrap();
    }

    /// The server that takes a shard's writes.
    pub(crate) fn server(&self, number: usize) -> &PrivateServer {
        let Shard { hosts, primary, .. } = &self.shards[number - 1];
        &hosts[primary.load(Ordering::SeqCst)].server
    }

    /// Promotes the standby of a shard whose primary was killed. ringshard has no part in it.
    pub(crate) fn promote_standby(&self, number: usize) {
        let Shard { hosts, primary, .. } = &self.shards[number - 1];
        let standby = 1 - primary.load(Ordering::SeqCst);
        let mut client = connect(&hosts[standby].server, "users");
        // All that it has received, also when the primary was killed in the middle of a record.
        let sql = "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver) \
                   AND pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn()";
        let begun = Instant::now();
        while !client.query_one(sql, &[]).unwrap().get::<_, bool>(0)
            && begun.elapsed() < Duration::from_secs(5)
        {
            thread::sleep(Duration::from_millis(5));
        }
        client.query_one("SELECT pg_promote()", &[]).unwrap();
        primary.store(standby, Ordering::SeqCst);
    }

    /// Makes the server that was the primary a standby of the one that is, with that one's data.
    pub(crate) fn follow_again(&self, number: usize) {
        let Shard { hosts, primary, .. } = &self.shards[number - 1];
        let at = primary.load(Ordering::SeqCst);
        follow(&hosts[1 - at].server, &hosts[at].server);
    }
}

fn postmaster(server: &PrivateServer) -> Pid {
    Pid::from_raw(i32::try_from(server.status().unwrap().pid.unwrap()).unwrap()).unwrap()
}

/// A streaming standby of a shard, on a separate server.
pub(crate) struct Standby(Host);

impl Standby {
    pub(crate) fn url(&self) -> String {
        format!("postgresql://postgres@/users?host={}", self.0.server.socket_dir().display())
    }

    pub(crate) fn client(&self) -> Client {
        connect(&self.0.server, "users")
    }

    pub(crate) fn rows(&self) -> i64 {
        self.client().query_one("SELECT count(*) FROM users", &[]).unwrap().get(0)
    }

    pub(crate) fn stop(&self) {
        self.0.server.stop().unwrap();
    }

    pub(crate) fn start(&self) {
        self.0.server.ensure_running().unwrap();
    }

    /// Pauses or resumes replay.
    pub(crate) fn pause(&self, is_paused: bool) {
        let function = if is_paused { "pg_wal_replay_pause" } else { "pg_wal_replay_resume" };
        self.client().batch_execute(&format!("SELECT {function}()")).unwrap();
    }

    /// Stops or continues the process that receives the write-ahead log. It stays connected.
    pub(crate) fn signal_receiver(&self, signal: Signal) {
        let sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walreceiver'";
        let pid: i32 = self.client().query_one(sql, &[]).unwrap().get(0);
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits until it has replayed all WAL of its primary.
    pub(crate) fn wait_until_caught_up(&self, primary: &mut Client) {
        let sql = "SELECT pg_current_wal_flush_lsn()::text";
        let lsn: String = primary.query_one(sql, &[]).unwrap().get(0);
        let mut client = self.client();
        let begun = Instant::now();
        let sql = "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn";
        while !client.query_one(sql, &[&lsn]).unwrap().get::<_, bool>(0) {
            assert!(begun.elapsed() < Duration::from_mins(1), "the standby does not catch up");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Servers {
    /// Makes a standby of this shard from a cold copy of its data. Its primary is restarted.
    pub(crate) fn standby_of(&self, number: usize) -> Standby {
        let primary = self.server(number);
        // This creates the folders with their owner.
        let (server, watched) = private_server("rss");
        server.stop().unwrap();
        follow(&server, primary);
        Standby(Host { server, _watched: watched })
    }
}

/// Makes a server that does not run a standby of another, which is restarted.
fn follow(server: &PrivateServer, primary: &PrivateServer) {
    primary.stop().unwrap();
    std::fs::remove_dir_all(server.data()).unwrap();
    let copied = Command::new("cp").arg("-a").args([primary.data(), server.data()]).status().unwrap();
    assert!(copied.success());
    let from = primary.socket_dir().display();
    let settings = format!("primary_conninfo = 'host={from} port={} user=postgres'\n", primary.port());
    let auto = server.data().join("postgresql.auto.conf");
    let text = std::fs::read_to_string(&auto).unwrap() + &settings;
    std::fs::write(&auto, text).unwrap();
    let signal = server.data().join("standby.signal");
    std::fs::write(&signal, "").unwrap();
    let owner = std::fs::metadata(server.data()).unwrap();
    std::os::unix::fs::chown(&signal, Some(owner.uid()), Some(owner.gid())).unwrap();
    primary.ensure_running().unwrap();
    server.ensure_running().unwrap();
}

impl Shard {
    fn new() -> Self {
        let (server, watched) = private_server("rsn");
        let mut admin = connect(&server, "postgres");
        for statement in [
            "ALTER SYSTEM SET wal_writer_delay = '10s'",
            "ALTER SYSTEM SET wal_writer_flush_after = '1GB'",
            "SELECT pg_reload_conf()",
            "CREATE DATABASE users",
        ] {
            admin.batch_execute(statement).unwrap();
        }
        let hosts = vec![Host { server, _watched: watched }];
        Self { hosts, primary: AtomicUsize::new(0), elsewhere: None }
    }
}
