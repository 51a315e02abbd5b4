//! What the benches share: a private Postgres with three shards, psql and pgbench, medians.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ringshard::local::PrivateServer;
use ringshard::model::names::ShardName;
use ringshard::model::user::{User, UserId};
use ringshard::pg::cluster::Cluster;
use ringshard::pg::net::conninfo::ConnectionString;
use ringshard::pg::pool::{PoolOptions, Shards};

/// A private Postgres of its own with three shards, still empty.
pub(crate) struct Home {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) server: PrivateServer,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// The same, with these arguments of `init-shards`.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = std::env::var_os("RINGSHARD_PG_BIN").map(PathBuf::from);
        let server = PrivateServer::at(Some(folder.path()), bin.as_deref()).unwrap();
        let home = Self { folder, server };
        run(home.ringshard().arg("init-shards").args(arguments));
        println!("Postgres {}", home.server.status().unwrap().version.unwrap());
        home
    }

    /// The program in this home.
    pub(crate) fn ringshard(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringshard"));
        command.env("RINGSHARD_HOME", self.folder.path()).current_dir(self.folder.path());
        command
    }

    /// The shards in this process, with one connection each.
    #[allow(dead_code, reason = "not each bench needs it")]
    pub(crate) fn cluster(&self) -> Cluster {
        let names = (1..=3).map(|n| format!("shard_{n}").parse::<ShardName>().unwrap());
        let entries = names.map(|name| (name.clone(), ConnectionString::local(name.as_str())));
        let options =
            PoolOptions { connect_timeout: Duration::from_secs(5), size: 1, statement_timeout: None };
        Cluster::open(Shards::new(entries, self.server.clone(), options).unwrap(), None, None).unwrap()
    }

    /// psql or pgbench, the real one, pointed at the server.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(find(program));
        command.args(["-h"]).arg(self.server.socket_dir()).args(["-p", &self.server.port().to_string()]);
        command.args(["-U", PrivateServer::USER]).current_dir(self.folder.path());
        command
    }

    /// Runs a script in psql, which says which database it is about.
    pub(crate) fn script(&self, text: &str) {
        let file = self.folder.path().join("script.sql");
        std::fs::write(&file, text).unwrap();
        run(self
            .client("psql")
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-f"])
            .arg(file));
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.server.destroy();
    }
}

/// A user of this id.
#[allow(dead_code, reason = "not each bench needs it")]
pub(crate) fn user(id: i64) -> User {
    User {
        user_id: UserId::new(id),
        name: Some(format!("Name {id}")),
        region: Some("EU".into()),
        email: Some(format!("user{id}@example.com")),
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(crate) fn run(command: &mut Command) -> String {
    let out = command.stderr(Stdio::piped()).stdout(Stdio::piped()).output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// The program itself: on Debian the one in PATH is a wrapper in Perl.
fn find(program: &str) -> PathBuf {
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        folders.push(entry.path().join("bin"));
    }
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let found = folders.iter().map(|folder| folder.join(program)).find(|path: &PathBuf| Path::exists(path));
    found.unwrap_or_else(|| panic!("{program} is needed for this bench"))
}

/// How long something takes.
#[allow(dead_code, reason = "not each bench needs it")]
pub(crate) fn seconds(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64()
}

/// The peak memory of a process (`VmHWM`), sampled until it ends.
#[allow(dead_code, reason = "not each bench needs it")]
pub(crate) fn peak_mib(command: &mut Command) -> f64 {
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let path = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0.0_f64;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
        peak_kib = peak_kib.max(peak.unwrap_or(0.0));
        thread::sleep(Duration::from_millis(10));
    }
    assert!(child.wait().unwrap().success() && peak_kib > 0.0);
    peak_kib / 1024.0
}
