//! A Patroni pair with an etcd of its own: a shard whose primary is chosen by others.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ringshard::local::PrivateServer;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::harness::{connect_to, server_folders};

const NAMES: [&str; 2] = ["a", "b"];

/// The programs that Patroni starts.
const SERVER: [&str; 3] = ["initdb", "pg_ctl", "postgres"];
const TOOLS: [&str; 3] = ["pg_basebackup", "pg_controldata", "pg_isready"];

/// Ends what runs in this folder, and removes it, when standard input ends. A pid that another process has got is left.
const CLEAN_UP: &str = r#"cat >/dev/null
end() { for pid in $(head -qn1 "$@"); do case $(ps -o args= -p "$pid") in *"$folder"*) kill -9 "$pid" ;; esac; done; }
folder=$1
end "$folder"/*.pid
end "$folder"/*/postmaster.pid
for _ in 1 2 3 4 5; do rm -rf "$folder" && break; sleep 1; done"#;

/// Two members, `a` and `b`, on ports of the loopback address. All ends with this value, and with this process.
pub(crate) struct Patroni {
    folder: PathBuf,
    owner: (u32, u32),
    members: [Member; 2],
    etcd: [u16; 2],
    _watched: ChildStdin,
}

struct Member {
    port: u16,
    api: u16,
    patroni: Mutex<Option<Child>>,
}

/// A port that nothing uses, outside of the range that the system gives to connections.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 900).unwrap() * 10;
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

fn major(folder: &Path) -> Option<u32> {
    let out = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    text.split(' ').nth(2)?.split('.').next()?.parse().ok()
}

/// Where each program is: those of the run's Postgres, with what it lacks from a newer one that can do its work. If
/// there is none, all are those of the system's Postgres.
fn programs() -> Vec<PathBuf> {
    let has = |folder: &Path, names: &[&str]| names.iter().all(|name| folder.join(name).exists());
    let own = std::env::var_os("RINGSHARD_PG_BIN").map(PathBuf::from).filter(|own| has(own, &SERVER));
    let tools = own.clone().filter(|own| has(own, &TOOLS)).or_else(|| {
        let mut majors: Vec<_> =
            fs::read_dir("/usr/lib/postgresql").ok()?.map(|entry| entry.unwrap().path()).collect();
        majors.sort();
        majors
            .into_iter()
            .rev()
            .map(|major| major.join("bin"))
            .find(|bin| has(bin, &TOOLS) && has(bin, &SERVER))
    });
    let tools = tools.expect("scripts/test installs pg_basebackup and pg_controldata");
    // The control file is the same from 13 to 17, and pg_basebackup serves older servers.
    let fits = |own: &PathBuf| (13..=major(&tools).unwrap().min(17)).contains(&major(own).unwrap());
    let server = own.filter(fits).unwrap_or_else(|| tools.clone());
    SERVER.iter().map(|name| server.join(name)).chain(TOOLS.iter().map(|name| tools.join(name))).collect()
}

impl Patroni {
    /// Starts a primary and a standby, which run as the user of this server. `users` is a database there.
    pub(crate) fn start(near: &PrivateServer, is_synchronous: bool) -> Self {
        let folder = tempfile::Builder::new().prefix("rsa").tempdir_in(server_folders()).unwrap().keep();
        let owner = fs::metadata(near.socket_dir()).unwrap();
        let mut watcher = Command::new("/bin/sh");
        watcher.args(["-c", CLEAN_UP, "sh"]).arg(&folder).current_dir("/").process_group(0);
        watcher.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let watched = watcher.spawn().unwrap().stdin.take().unwrap();
        let member = |_| Member { port: free_port(), api: free_port(), patroni: Mutex::default() };
        let owner = (owner.uid(), owner.gid());
        let etcd = [free_port(), free_port()];
        let patroni = Self { folder, owner, members: NAMES.map(member), etcd, _watched: watched };
        fs::set_permissions(&patroni.folder, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(patroni.folder.join("bin")).unwrap();
        for program in programs() {
            symlink(&program, patroni.folder.join("bin").join(program.file_name().unwrap())).unwrap();
        }
        chown(&patroni.folder, Some(owner.0), Some(owner.1)).unwrap();
        patroni.start_etcd();
        for member in [0, 1] {
            patroni.configure(member, is_synchronous);
            patroni.start_member(member);
            // The first one makes the databases.
            if member == 0 {
                patroni.wait_for_leader();
                let url = patroni.url().replace("/users", "/postgres");
                connect_to(url.parse().unwrap()).unwrap().batch_execute("CREATE DATABASE users").unwrap();
            }
        }
        patroni.wait_until_whole();
        patroni
    }

    /// The database `users`, on whichever member takes writes.
    pub(crate) fn url(&self) -> String {
        let [a, b] = self.members.each_ref().map(|member| format!("127.0.0.1:{}", member.port));
        format!("postgresql://postgres@{a},{b}/users?target_session_attrs=read-write")
    }

    /// A program that runs as the owner, with its output and its pid in the folder.
    fn spawn(&self, name: &str, command: &mut Command) -> Child {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join(format!("{name}.log")))
            .unwrap();
        command.current_dir(&self.folder).env("HOME", &self.folder).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        if rustix::process::geteuid().is_root() {
            command.uid(self.owner.0).gid(self.owner.1);
        }
        let child = command.spawn().unwrap_or_else(|why| panic!("scripts/test installs {command:?}: {why}"));
        fs::write(self.folder.join(format!("{name}.pid")), format!("{}\n", child.id())).unwrap();
        child
    }

    #[expect(clippy::zombie_processes, reason = "it ends after this process has let go of the folder")]
    fn start_etcd(&self) {
        let [client, peer] = self.etcd.map(|port| format!("http://127.0.0.1:{port}"));
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(self.folder.join("etcd"));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}")]);
        self.spawn("etcd", &mut command);
    }

    fn configure(&self, member: usize, is_synchronous: bool) {
        let Member { port, api, .. } = self.members[member];
        let home = self.folder.join(NAMES[member]);
        let etcd = self.etcd[0];
        let text = json!({
            "scope": "shard", "name": NAMES[member],
            "restapi": { "listen": format!("127.0.0.1:{api}"), "connect_address": format!("127.0.0.1:{api}") },
            "etcd3": { "hosts": [format!("127.0.0.1:{etcd}")] },
            "bootstrap": {
                "dcs": {
                    "ttl": 5, "loop_wait": 1, "retry_timeout": 3, "primary_start_timeout": 0,
                    "maximum_lag_on_failover": 1 << 30, "synchronous_mode": is_synchronous,
                    "postgresql": { "use_slots": true, "parameters": { "max_connections": 100 } },
                },
                "initdb": [{ "encoding": "UTF8" }, { "locale": "C" }, { "auth": "trust" }],
            },
            "postgresql": {
                "listen": format!("127.0.0.1:{port}"), "connect_address": format!("127.0.0.1:{port}"),
                "data_dir": home, "bin_dir": self.folder.join("bin"), "pgpass": self.folder.join(format!("{}.pass", NAMES[member])),
                // Instead of pg_rewind, which must be of the server's own version.
                "remove_data_directory_on_diverged_timelines": true,
                "authentication": { "superuser": { "username": "postgres" }, "replication": { "username": "postgres" } },
                "pg_hba": ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
                "parameters": { "unix_socket_directories": "" },
            },
        });
        // YAML takes JSON as it is.
        fs::write(self.folder.join(format!("{}.yml", NAMES[member])), text.to_string()).unwrap();
    }

    /// Starts a member that does not run. Its Postgres becomes a standby if the other one leads.
    pub(crate) fn start_member(&self, member: usize) {
        let mut command = Command::new("patroni");
        command.arg(self.folder.join(format!("{}.yml", NAMES[member])));
        let child = self.spawn(NAMES[member], &mut command);
        *self.members[member].patroni.lock().unwrap() = Some(child);
    }

    /// Starts a member that was killed, unless that has been done.
    pub(crate) fn ensure_runs(&self, member: usize) {
        if self.members[member].patroni.lock().unwrap().is_none() {
            self.start_member(member);
        }
    }

    fn postmaster(&self, member: usize) -> Option<Pid> {
        let text = fs::read_to_string(self.folder.join(NAMES[member]).join("postmaster.pid")).ok()?;
        Pid::from_raw(text.lines().next()?.parse().ok()?)
    }

    /// The process of a primary that sends the write-ahead log to its standby.
    pub(crate) fn sender(&self, member: usize) -> Pid {
        let sql = "SELECT pid FROM pg_stat_replication";
        let row = connect_to(self.member_url(member).parse().unwrap()).unwrap().query_one(sql, &[]).unwrap();
        Pid::from_raw(row.get(0)).unwrap()
    }

    /// Ends a member's Postgres with `kill -9`, and leaves Patroni.
    pub(crate) fn kill_postgres(&self, member: usize) {
        let _ = kill_process(self.postmaster(member).unwrap(), Signal::KILL);
    }

    /// Ends a member as a lost machine does: with `kill -9`, Patroni first.
    pub(crate) fn kill(&self, member: usize) {
        let mut patroni = self.members[member].patroni.lock().unwrap().take().unwrap();
        patroni.kill().unwrap();
        self.kill_postgres(member);
        patroni.wait().unwrap();
    }

    /// Stops or continues all processes of a member.
    pub(crate) fn signal(&self, member: usize, signal: Signal) {
        let patroni = Pid::from_child(self.members[member].patroni.lock().unwrap().as_ref().unwrap());
        let postmaster = self.postmaster(member).unwrap();
        let children = |pid: Pid| {
            let pid = pid.as_raw_nonzero();
            let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            text.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect::<Vec<_>>()
        };
        for pid in [patroni, postmaster] {
            let _ = kill_process(pid, signal);
        }
        for pid in children(postmaster) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Asks Patroni to make the other member the primary, and waits until it has done so. If it refuses, Postgres is killed.
    pub(crate) fn switch_over(&self, leader: usize) {
        let words = json!({ "leader": NAMES[leader], "candidate": NAMES[1 - leader] });
        let answer = self.ask(leader, "POST", "/switchover", &words.to_string(), Duration::from_mins(1));
        match answer {
            Some((200, _)) => {}
            // Patroni 3.0 may believe for good that another one names the synchronous standby, and then plans nothing.
            Some((412, text)) if text.contains("sync_standby") => self.kill_postgres(leader),
            _ => panic!("{answer:?}\n{}", self.logs()),
        }
    }

    /// The member that leads now.
    pub(crate) fn leader(&self) -> Option<usize> {
        let timeout = Duration::from_secs(2);
        [0, 1]
            .into_iter()
            .find(|member| matches!(self.ask(*member, "GET", "/primary", "", timeout), Some((200, _))))
    }

    /// Waits until a member leads and takes writes. After a loss that is the other one, or on a busy machine the same again.
    pub(crate) fn wait_for_leader(&self) {
        self.wait("a leader", || {
            self.leader().is_some_and(|member| {
                let url = self.member_url(member) + "?target_session_attrs=read-write";
                connect_to(url.parse().unwrap()).is_ok()
            })
        });
    }

    /// Waits until one member leads and the other is a standby that streams from it. On a busy machine Patroni may
    /// have changed its mind, and the one that was lost leads again.
    pub(crate) fn wait_until_whole(&self) {
        let mut reinitialize_at = Instant::now() + Duration::from_secs(20);
        self.wait("a standby", || {
            let Some(leader) = self.leader() else { return false };
            let member = 1 - leader;
            let url = self.member_url(member);
            if Instant::now() > reinitialize_at {
                // Patroni does not always see that its log has parted from that of the primary.
                self.ask(member, "POST", "/reinitialize", "{\"force\": true}", Duration::from_secs(5));
                reinitialize_at += Duration::from_secs(40);
            }
            let answer = self.ask(leader, "GET", "/cluster", "", Duration::from_secs(2));
            let Some((200, text)) = answer else { return false };
            let Ok(cluster) = serde_json::from_str::<Value>(&text) else { return false };
            let of = |name: &str| cluster["members"].as_array()?.iter().find(|one| one["name"] == name).cloned();
            let (Some(standby), Some(primary)) = (of(NAMES[member]), of(NAMES[leader])) else { return false };
            standby["role"] != "leader" && standby["timeline"] == primary["timeline"] && standby["lag"].is_number()
                && connect_to(url.parse().unwrap()).is_ok_and(|mut client| {
                    let sql = "SELECT pg_is_in_recovery() AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')";
                    client.query_one(sql, &[]).is_ok_and(|row| row.get(0))
                })
        });
    }

    fn member_url(&self, member: usize) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/postgres", self.members[member].port)
    }

    fn wait(&self, what: &str, mut is_there: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_there() {
            assert!(begun.elapsed() < Duration::from_mins(2), "no {what}\n{}", self.logs());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The ends of all logs, for a failure's message.
    fn logs(&self) -> String {
        let mut all = String::new();
        for name in ["etcd", "a", "b"] {
            let text = fs::read(self.folder.join(format!("{name}.log"))).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<_> = text.lines().collect();
            let _ = writeln!(all, "{name}:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        all
    }

    /// A request to a member's Patroni: the status and the body of its answer.
    fn ask(
        &self,
        member: usize,
        method: &str,
        path: &str,
        body: &str,
        timeout: Duration,
    ) -> Option<(u16, String)> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.members[member].api));
        let mut stream = TcpStream::connect_timeout(&address, timeout).ok()?;
        stream.set_read_timeout(Some(timeout)).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }
}
