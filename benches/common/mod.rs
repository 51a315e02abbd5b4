//! What the benches share: a private Postgres with three shards, psql and pgbench, medians.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ringshard::local::PrivateServer;
use ringshard::model::names::ShardName;
use ringshard::model::ring::Ring;
use ringshard::model::ring::position::Position;
use ringshard::model::user::{User, UserId, UserPatch};
use ringshard::pg::cluster::Cluster;
use ringshard::pg::net::conninfo::ConnectionString;
use ringshard::pg::pool::{PoolOptions, Shards};
use ringshard::pg::rows::Router;

/// A private Postgres of its own with three shards, still empty.
pub(crate) struct Home {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) server: PrivateServer,
}

impl Home {
    #[allow(dead_code, reason = "not each bench needs it")]
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

/// The fastest condition that we know for the rows of the users of a shard.
#[allow(dead_code, reason = "not each bench needs it")]
pub(crate) fn belongs_to(ring: &Ring, shard: &str) -> String {
    let hex = |position: Position| format!("{:032x}", position.number());
    let arcs = ring.arcs();
    let own = arcs.iter().filter(|owned| owned.shard.as_str() == shard).map(|owned| owned.arc);
    let (firsts, lasts): (Vec<String>, Vec<String>) =
        own.map(|arc| (hex(arc.first()), hex(arc.last()))).unzip();
    format!(
        "(SELECT place <= ('{{{}}}'::uuid[])[width_bucket(place, '{{{}}}'::uuid[])] \
         FROM (SELECT md5(user_id::text)::uuid AS place OFFSET 0) AS placed)",
        lasts.join(","),
        firsts.join(",")
    )
}

const WRITERS: i64 = 8;

/// How long updates of the users `1..=users` take while `work` runs, in milliseconds, sorted; the writers know the shards `1..=shards`
/// at the beginning.
#[allow(dead_code, reason = "not each bench needs it")]
pub(crate) fn latencies(home: &Home, shards: usize, users: i64, work: impl FnOnce()) -> Vec<f64> {
    let is_over = AtomicBool::new(false);
    let mut all = thread::scope(|scope| {
        let is_over = &is_over;
        let write = move |seed| write(home, shards, users, seed, is_over);
        let writers: Vec<_> = (0..WRITERS).map(|seed| scope.spawn(move || write(seed))).collect();
        thread::sleep(Duration::from_millis(500));
        work();
        is_over.store(true, Ordering::SeqCst);
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect::<Vec<f64>>()
    });
    all.sort_by(f64::total_cmp);
    all
}

/// Updates users at random, one after the other.
fn write(home: &Home, shards: usize, users: i64, seed: i64, is_over: &AtomicBool) -> Vec<f64> {
    let shards = (1..=shards).map(|n| {
        let name = format!("shard_{n}");
        (name.parse().unwrap(), ConnectionString::local(&name))
    });
    let options = PoolOptions { connect_timeout: Duration::from_secs(5), size: 2, statement_timeout: None };
    let shards = Shards::new(shards, home.server.clone(), options).unwrap();
    let cluster = Cluster::open(shards, None, None).unwrap();
    let mut state = 0x9E37_79B9_7F4A_7C15 ^ (seed + 1).unsigned_abs().wrapping_mul(0xD1B5_4A32_D192_ED03);
    let mut latencies = Vec::new();
    while !is_over.load(Ordering::SeqCst) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let id = UserId::new(i64::try_from(state % users.unsigned_abs()).unwrap() + 1);
        let patch =
            UserPatch { name: Some(format!("name {state}").parse().unwrap()), ..UserPatch::default() };
        let begun = Instant::now();
        Router(&cluster).update_user(id, &patch).unwrap();
        latencies.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    latencies
}

/// Prints what [`latencies`] returned, without and with a rebalance beside it, and the goals for the latter.
#[allow(dead_code, reason = "not each bench needs it")]
pub(crate) fn show_latencies(alone: &[f64], moving: &[f64], p99_goal: f64, longest_goal: f64) {
    let at = |sorted: &[f64], part: usize| sorted[(sorted.len() - 1) * part / 1000];
    for (what, sorted) in [("nothing else", alone), ("a rebalance", moving)] {
        println!(
            "{WRITERS} writers beside {what}: {} updates, p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
            sorted.len(),
            at(sorted, 500),
            at(sorted, 990),
            at(sorted, 1000)
        );
    }
    for (what, part, goal) in [("p99", 990, p99_goal), ("longest", 1000, longest_goal)] {
        if goal.is_finite() {
            let verdict = if at(moving, part) <= goal { "reached" } else { "MISSED" };
            println!("  {what} of a write beside a rebalance: goal at most {goal} ms: {verdict}");
        }
    }
}
