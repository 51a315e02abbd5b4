//! Writers with stale rings and two rival movers, while processes are killed and stopped, sessions terminated and
//! servers restarted. A model of each key says which values are allowed.
//!
//! A short run is a test like any other. The long one prints its figures:
//! `cargo test --release --test it soak -- --ignored --nocapture`

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use ringshard::error::Kind;
use ringshard::local::PrivateServer;
use ringshard::model::user::{User, UserId, UserPatch};
use ringshard::pg::cluster::Cluster;
use ringshard::pg::net::conninfo::ConnectionString;
use ringshard::pg::pool::{PoolOptions, Shards};
use ringshard::pg::rows::Router;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::random::Random;
use crate::support::rings::shard_names;
use crate::support::servers::Servers;

/// How long, and how hard.
struct Plan {
    writers: u64,
    keys_per_writer: u64,
    operations: u64,
    kills: u64,
    stops: u64,
    terminations: u64,
    restarts: u64,
}

#[derive(Default)]
struct Counts {
    operations: AtomicU64,
    unknown: AtomicU64,
    kills: AtomicU64,
    stops: AtomicU64,
    terminations: AtomicU64,
    restarts: AtomicU64,
    changes: AtomicU64,
    cancels: AtomicU64,
    runs: AtomicU64,
    audits: AtomicU64,
}

/// What all threads share.
struct World<'a> {
    servers: &'a Servers,
    plan: Plan,
    counts: Counts,
    violations: Mutex<Vec<String>>,
    /// How long each write took, in microseconds.
    stalls: Mutex<Vec<u64>>,
    /// How long the movers took that completed a change after others were killed.
    resumes: Mutex<Vec<Duration>>,
    history: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

fn add(count: &AtomicU64) -> u64 {
    count.fetch_add(1, Ordering::SeqCst) + 1
}

fn get(count: &AtomicU64) -> u64 {
    count.load(Ordering::SeqCst)
}

/// The values that a key may have: one, or several after an unknown outcome.
type Possible = BTreeSet<Option<u64>>;

/// The cluster as a process sees it that has the first configuration and no cache.
fn stale_cluster(servers: &Servers) -> Cluster {
    let entries = (1..=3).map(|n| (shard_names(3)[n - 1].clone(), ConnectionString::new(servers.url(n))));
    let private = PrivateServer::at(Some(servers.home()), None).unwrap();
    let options = PoolOptions { connect_timeout: Duration::from_secs(2), size: 2, statement_timeout: None };
    Cluster::open(Shards::new(entries, private, options).unwrap(), None, None).unwrap()
}

fn user(id: u64, value: u64) -> User {
    User {
        user_id: UserId::new(i64::try_from(id).unwrap()),
        name: Some(value.to_string()),
        region: None,
        email: None,
    }
}

fn value_of(user: &User) -> u64 {
    user.name.as_deref().unwrap().parse().unwrap()
}

impl World<'_> {
    fn is_enough(&self) -> bool {
        let Plan { operations, kills, stops, terminations, restarts, .. } = self.plan;
        let counts = &self.counts;
        [
            (&counts.operations, operations),
            (&counts.kills, kills),
            (&counts.stops, stops),
            (&counts.terminations, terminations),
            (&counts.restarts, restarts),
        ]
        .iter()
        .all(|(count, required)| get(count) >= *required)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn violation(&self, what: String) {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// Writes and reads its own keys until the end, and returns the values that each may have.
    fn write(&self, writer: u64) -> Vec<(u64, Possible)> {
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (writer + 1).wrapping_mul(0xD1B5_4A32_D192_ED03));
        let Plan { writers, keys_per_writer, .. } = self.plan;
        let mut keys: Vec<(u64, Possible)> =
            (0..keys_per_writer).map(|at| (1 + writer + at * writers, Possible::from([None]))).collect();
        let mut cluster = stale_cluster(self.servers);
        let (mut value, mut stalls) = (writer, Vec::new());
        while !self.is_over() {
            if random.below(200) == 0 {
                cluster = stale_cluster(self.servers);
            }
            let at = usize::try_from(random.below(keys_per_writer)).unwrap();
            let (id, possible) = &mut keys[at];
            value += writers;
            let begun = Instant::now();
            let kind = random.below(10);
            self.operate(&cluster, kind, *id, value, possible);
            if kind >= 4 {
                stalls.push(u64::try_from(begun.elapsed().as_micros()).unwrap());
            }
            add(&self.counts.operations);
        }
        self.stalls.lock().unwrap().extend(stalls);
        keys
    }

    fn operate(&self, cluster: &Cluster, kind: u64, id: u64, value: u64, possible: &mut Possible) {
        let key = UserId::new(i64::try_from(id).unwrap());
        // `Ok` is a value that was read, `Err` one that was written.
        let (verb, seen) = match kind {
            0..4 => match Router(cluster).get_user(key) {
                Ok(user) => ("get", Ok(Some(value_of(&user)))),
                Err(error) if error.kind() == Kind::NotFound => ("get", Ok(None)),
                Err(_) => return,
            },
            4..7 => match Router(cluster).create_user(&user(id, value)) {
                Ok(_) => {
                    self.must_hold("create", id, possible, Option::is_none);
                    ("create", Err(Some(value)))
                }
                Err(error) if error.kind() == Kind::Conflict => {
                    self.must_hold("refused create", id, possible, Option::is_some);
                    possible.remove(&None);
                    return;
                }
                Err(error) => return self.unknown(&error, possible, Some(value)),
            },
            7..9 => {
                let name = Some(value.to_string().parse().unwrap());
                let patch = UserPatch { name, ..UserPatch::default() };
                match Router(cluster).update_user(key, &patch) {
                    Ok(_) => {
                        self.must_hold("update", id, possible, Option::is_some);
                        ("update", Err(Some(value)))
                    }
                    Err(error) if error.kind() == Kind::NotFound => ("update", Ok(None)),
                    Err(error) => {
                        if possible.iter().any(Option::is_some) {
                            self.unknown(&error, possible, Some(value));
                        }
                        return;
                    }
                }
            }
            _ => match Router(cluster).delete_user(key) {
                // After a lost connection: the user is deleted, by this client or another.
                Ok((None, _)) => ("delete", Err(None)),
                Ok((Some(user), _)) => {
                    let was = Some(value_of(&user));
                    if !possible.contains(&was) {
                        self.violation(format!("deleted {was:?} of {id}, which holds one of {possible:?}"));
                    }
                    ("delete", Err(None))
                }
                Err(error) if error.kind() == Kind::NotFound => ("delete", Ok(None)),
                Err(error) => return self.unknown(&error, possible, None),
            },
        };
        match seen {
            Ok(seen) if !possible.contains(&seen) => {
                self.violation(format!("{verb} of {id} found {seen:?} instead of one of {possible:?}"));
            }
            Ok(seen) => *possible = Possible::from([seen]),
            Err(written) => *possible = Possible::from([written]),
        }
    }

    fn must_hold(&self, verb: &str, id: u64, possible: &Possible, holds: fn(&Option<u64>) -> bool) {
        if !possible.iter().any(holds) {
            self.violation(format!("{verb} of {id}, which holds one of {possible:?}"));
        }
    }

    fn unknown(&self, error: &ringshard::error::Error, possible: &mut Possible, value: Option<u64>) {
        // A write that was refused during a move has no effect.
        if error.kind() != Kind::Locked {
            add(&self.counts.unknown);
            possible.insert(value);
        }
    }

    fn mover(&self, words: &[&str]) -> Child {
        add(&self.counts.runs);
        let mut command = self.servers.command();
        command.args(["rebalance"]).args(words).args(["-y", "--unlocked", "--chunk-rows", "3"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs movers one after the other, and kills or stops them.
    fn move_and_kill(&self, seed: u64) {
        let mut random = Random(seed);
        while !self.is_over() {
            let words: &[&str] = if random.below(12) == 0 { &["cancel"] } else { &[] };
            if !words.is_empty() {
                add(&self.counts.cancels);
            }
            let mut child = self.mover(words);
            let pid = Pid::from_child(&child);
            if random.below(10) == 0 {
                let begun = Instant::now();
                if child.wait().unwrap().success() {
                    self.resumes.lock().unwrap().push(begun.elapsed());
                }
                continue;
            }
            let end = Instant::now() + Duration::from_millis(50 + random.below(1_500));
            while Instant::now() < end && child.try_wait().unwrap().is_none() {
                if random.below(20) == 0 {
                    let _ = kill_process(pid, Signal::STOP);
                    thread::sleep(Duration::from_millis(random.below(150)));
                    let _ = kill_process(pid, Signal::CONT);
                    add(&self.counts.stops);
                }
                thread::sleep(Duration::from_millis(2 + random.below(20)));
            }
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                add(&self.counts.kills);
            }
            child.wait().unwrap();
        }
    }

    /// Requests another topology whenever no change is under way.
    fn change_topology(&self, seed: u64) {
        let mut random = Random(seed);
        while !self.is_over() {
            let number = 1 + random.below(4);
            let name = format!("shard_{number}");
            let weight = format!("0.{}", 5 + random.below(5));
            let url = self.servers.url(usize::try_from(number).unwrap());
            let words: Vec<&str> = match random.below(4) {
                0 => vec!["remove-shard", &name],
                1 => vec!["add-shard", &name, &url, "--weight", &weight],
                _ => vec!["add-shard", &name, &url],
            };
            let ran = self.servers.run(&words);
            if ran.code == 0 {
                add(&self.counts.changes);
            }
            // Each request and its exit code, to find the cause of a violation.
            self.history.lock().unwrap().push(format!("{words:?} {}", ran.code));
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Verifies in a loop: it must never report rows in flight as damage.
    fn audit(&self) {
        while !self.is_over() {
            let ran = self.servers.run(&["verify"]);
            if ran.code == 1 {
                self.violation(format!("verify gave an alarm: {ran:?}"));
            }
            if ran.code == 0 {
                add(&self.counts.audits);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends sessions, and now and then a whole server.
    fn terminate(&self, seed: u64) {
        let mut random = Random(seed);
        let mut restart_due = Instant::now() + Duration::from_secs(5);
        while !self.is_over() {
            let number = usize::try_from(1 + random.below(4)).unwrap();
            if get(&self.counts.restarts) < self.plan.restarts && Instant::now() > restart_due {
                self.servers.crash(number);
                thread::sleep(Duration::from_millis(random.below(500)));
                self.servers.start(number);
                add(&self.counts.restarts);
                restart_due = Instant::now() + Duration::from_secs(4);
                continue;
            }
            if get(&self.counts.terminations) < self.plan.terminations
                && let Ok(mut client) = Client::connect(&self.servers.url(number), NoTls)
            {
                let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                           WHERE application_name LIKE 'ringshard%' AND datname = current_database() \
                           ORDER BY random() LIMIT 2";
                if let Ok(rows) = client.query(sql, &[]) {
                    for _ in rows {
                        add(&self.counts.terminations);
                    }
                }
            }
            thread::sleep(Duration::from_millis(30 + random.below(120)));
        }
    }
}

/// The state of each shard, for a failure's message.
fn catalogs(servers: &Servers) -> String {
    let sql = "SELECT concat_ws(' ', shard, 'epoch', epoch, status, 'topology', topology, 'next', next_topology, 'participants', \
                      participants, 'desired', desired_topology, 'arcs', (SELECT count(*) FROM ringshard.arc)) FROM ringshard.meta";
    let each = (1..=4).map(|number| {
        let row = servers.client(number).query_one(sql, &[]);
        row.map_or_else(|why| format!("{number}: {why}\n"), |row| row.get::<_, String>(0) + "\n")
    });
    each.collect()
}

/// The rows of all shards.
fn rows(servers: &Servers) -> Vec<(usize, u64, u64)> {
    let mut all = Vec::new();
    for number in 1..=4 {
        let mut client = servers.client(number);
        if client.query_one("SELECT to_regclass('public.users') IS NULL", &[]).unwrap().get(0) {
            continue;
        }
        for row in client.query("SELECT user_id, name FROM users", &[]).unwrap() {
            let (id, name): (i64, &str) = (row.get(0), row.get(1));
            all.push((number, u64::try_from(id).unwrap(), name.parse().unwrap()));
        }
    }
    all
}

fn run(plan: Plan) {
    let servers = Servers::with_spares(3, 1);
    let world = World {
        servers: &servers,
        plan,
        counts: Counts::default(),
        violations: Mutex::default(),
        stalls: Mutex::default(),
        resumes: Mutex::default(),
        history: Mutex::default(),
        is_over: AtomicBool::new(false),
    };
    let begun = Instant::now();
    let keys: Vec<(u64, Possible)> = thread::scope(|scope| {
        let world = &world;
        let writers: Vec<_> =
            (0..world.plan.writers).map(|writer| scope.spawn(move || world.write(writer))).collect();
        for seed in [0x2545_F491_4F6C_DD1D, 0x1234_5678_9ABC_DEF1] {
            scope.spawn(move || world.move_and_kill(seed));
        }
        scope.spawn(|| world.change_topology(0xABCD_EF01_2345_6789));
        scope.spawn(|| world.audit());
        scope.spawn(|| world.terminate(0x0F1E_2D3C_4B5A_6978));
        while !world.is_enough() {
            assert!(writers.iter().all(|writer| !writer.is_finished()), "a writer died");
            thread::sleep(Duration::from_millis(50));
        }
        world.is_over.store(true, Ordering::SeqCst);
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    let took = begun.elapsed();
    let resume = Instant::now();
    let ran = servers.run(&["rebalance", "-y"]);
    let resume = resume.elapsed();
    let history = world.history.lock().unwrap().join("\n");
    assert_eq!(ran.code, 0, "{ran:?}\n{}\n{history}", catalogs(&servers));
    servers.run(&["doctor"]).success();
    servers.run(&["verify", "--deep"]).success();
    let rows = rows(&servers);
    for (id, possible) in keys {
        let found: Vec<u64> = rows.iter().filter(|(_, of, _)| *of == id).map(|(.., value)| *value).collect();
        let is_right = match found[..] {
            [] => possible.contains(&None),
            [value] => possible.contains(&Some(value)),
            _ => false,
        };
        if !is_right {
            world.violation(format!("in the end {id} holds {found:?} instead of one of {possible:?}"));
        }
    }
    report(&world, took, resume);
    let violations = world.violations.lock().unwrap();
    assert!(
        violations.is_empty(),
        "{} violations: {:?}",
        violations.len(),
        &violations[..violations.len().min(20)]
    );
}

#[expect(clippy::print_stderr, reason = "the figures are what a soak is for")]
fn report(world: &World<'_>, took: Duration, resume: Duration) {
    let mut stalls = world.stalls.lock().unwrap().clone();
    stalls.sort_unstable();
    let at = |part: usize| stalls.get(stalls.len() * part / 1000).copied().unwrap_or(0) / 1000;
    let counts = &world.counts;
    let resumes = world.resumes.lock().unwrap();
    eprintln!(
        "{} operations ({} with unknown outcome) in {:.0} s, {} movers, {} kills, {} stops, {} terminated sessions, \
         {} restarts, {} topology changes, {} cancellations, {} clean verifications; {} resumes to the end, the longest {:.1} s, the last {:.1} s; \
         writes: p50 {} ms, p99 {} ms, longest {} ms; violations: {}",
        get(&counts.operations),
        get(&counts.unknown),
        took.as_secs_f64(),
        get(&counts.runs),
        get(&counts.kills),
        get(&counts.stops),
        get(&counts.terminations),
        get(&counts.restarts),
        get(&counts.changes),
        get(&counts.cancels),
        get(&counts.audits),
        resumes.len(),
        resumes.iter().max().copied().unwrap_or_default().as_secs_f64(),
        resume.as_secs_f64(),
        at(500),
        at(990),
        stalls.last().copied().unwrap_or(0) / 1000,
        world.violations.lock().unwrap().len(),
    );
}

#[test]
fn no_row_is_lost_duplicated_stale_or_revived() {
    run(Plan {
        writers: 4,
        keys_per_writer: 60,
        operations: 2_000,
        kills: 15,
        stops: 10,
        terminations: 30,
        restarts: 1,
    });
}

#[test]
#[ignore = "takes minutes: cargo test --release --test it soak -- --ignored --nocapture"]
fn soak() {
    run(Plan {
        writers: 6,
        keys_per_writer: 300,
        operations: 100_000,
        kills: 500,
        stops: 100,
        terminations: 1_000,
        restarts: 10,
    });
}
