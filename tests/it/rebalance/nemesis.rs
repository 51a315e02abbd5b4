//! Writers with stale rings and two rival movers, while processes are killed and stopped, sessions terminated and
//! servers restarted. A model of each key says which values are allowed.
//!
//! A short run is a test like any other. The long one prints its figures:
//! `cargo test --release --test it soak -- --ignored --nocapture`

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::random::Random;
use crate::support::servers::Servers;
use crate::support::writers::{Writers, Wrong, add, get};

/// How long, and how hard.
struct Plan {
    writers: u64,
    keys_per_writer: u64,
    operations: u64,
    kills: u64,
    stops: u64,
    terminations: u64,
    restarts: u64,
    /// Of the shards that have a standby, by the standby.
    failovers: u64,
    /// Whether each user has orders and payments, in tables of their own.
    has_families: bool,
}

/// Two orders and a payment of each user, which have the user's value. Triggers of the user's own keep them so; a move must not
/// fire them.
const FAMILIES: &str = "\
    CREATE TABLE orders ( \
        user_id bigint REFERENCES users ON DELETE CASCADE, number integer, data jsonb, PRIMARY KEY (user_id, number)); \
    CREATE TABLE payments ( \
        user_id bigint NOT NULL, number integer, value text, \
        FOREIGN KEY (user_id, number) REFERENCES orders ON DELETE CASCADE); \
    CREATE FUNCTION family() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
        IF TG_OP = 'INSERT' THEN \
            INSERT INTO orders SELECT NEW.user_id, n, jsonb_build_object('v', NEW.name) FROM generate_series(1, 2) AS n; \
            INSERT INTO payments VALUES (NEW.user_id, 1, NEW.name); \
        ELSE \
            UPDATE orders SET data = jsonb_build_object('v', NEW.name) WHERE user_id = NEW.user_id; \
            UPDATE payments SET value = NEW.name WHERE user_id = NEW.user_id; \
        END IF; RETURN NULL; END $$; \
    CREATE TRIGGER family AFTER INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION family()";

/// The ids whose orders and payments are not as they must be, of users or of none.
const BROKEN_FAMILIES: &str = "\
    SELECT coalesce(user_id, 0) FROM users \
    FULL JOIN (SELECT user_id, array_agg(data ->> 'v' ORDER BY number) AS orders FROM orders GROUP BY 1) AS o USING (user_id) \
    FULL JOIN (SELECT user_id, array_agg(value) AS payments FROM payments GROUP BY 1) AS p USING (user_id) \
    WHERE (orders, payments) IS DISTINCT FROM (ARRAY[name, name]::text[], ARRAY[name]::text[]) OR users.name IS NULL";

/// The shards that have a streaming standby if there are failovers.
const PAIRS: [usize; 2] = [2, 4];

#[derive(Default)]
struct Counts {
    kills: AtomicU64,
    stops: AtomicU64,
    terminations: AtomicU64,
    restarts: AtomicU64,
    failovers: AtomicU64,
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
    writers: Writers<'a>,
    /// How long the movers took that completed a change after others were killed.
    resumes: Mutex<Vec<Duration>>,
    history: Mutex<Vec<String>>,
    /// Whether no mover may run: each holds the lock while it does.
    is_quiet: AtomicBool,
    running: RwLock<()>,
}

impl World<'_> {
    fn is_enough(&self) -> bool {
        let Plan { operations, kills, stops, terminations, restarts, failovers, .. } = self.plan;
        let counts = &self.counts;
        [
            (&self.writers.operations, operations),
            (&counts.kills, kills),
            (&counts.stops, stops),
            (&counts.terminations, terminations),
            (&counts.restarts, restarts),
            (&counts.failovers, failovers),
        ]
        .iter()
        .all(|(count, required)| get(count) >= *required)
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
        while !self.writers.is_over() {
            if self.is_quiet.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            let words: &[&str] = if random.below(12) == 0 { &["cancel"] } else { &[] };
            if !words.is_empty() {
                add(&self.counts.cancels);
            }
            let _running = self.running.read().unwrap();
            let mut child = self.mover(words);
            let pid = Pid::from_child(&child);
            let is_patient = random.below(10) == 0;
            let begun = Instant::now();
            let end = begun + Duration::from_millis(50 + random.below(1_500));
            while (is_patient || Instant::now() < end)
                && !self.is_quiet.load(Ordering::SeqCst)
                && child.try_wait().unwrap().is_none()
            {
                if !is_patient && random.below(20) == 0 {
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
            if child.wait().unwrap().success() && is_patient {
                self.resumes.lock().unwrap().push(begun.elapsed());
            }
        }
    }

    /// Requests another topology whenever no change is under way.
    fn change_topology(&self, seed: u64) {
        let mut random = Random(seed);
        while !self.writers.is_over() {
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
        while !self.writers.is_over() {
            let ran = self.servers.run(&["verify"]);
            if ran.code == 1 {
                self.writers.violation(Wrong::Answer, format!("verify gave an alarm: {ran:?}"));
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
        let mut failover_due = Instant::now() + Duration::from_secs(3);
        while !self.writers.is_over() {
            let number = usize::try_from(1 + random.below(4)).unwrap();
            if get(&self.counts.restarts) < self.plan.restarts && Instant::now() > restart_due {
                self.servers.crash(number);
                thread::sleep(Duration::from_millis(random.below(500)));
                self.servers.start(number);
                add(&self.counts.restarts);
                restart_due = Instant::now() + Duration::from_secs(4);
                continue;
            }
            if get(&self.counts.failovers) < self.plan.failovers && Instant::now() > failover_due {
                self.fail_over(PAIRS[usize::try_from(random.below(2)).unwrap()]);
                add(&self.counts.failovers);
                failover_due = Instant::now() + Duration::from_secs(4);
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

impl World<'_> {
    /// Kills the primary of a shard, and promotes its standby by Postgres itself.
    fn fail_over(&self, number: usize) {
        self.writers.begin_failover();
        self.servers.kill(number);
        self.is_quiet.store(true, Ordering::SeqCst);
        let quiet = self.running.write().unwrap();
        self.servers.promote_standby(number);
        self.writers.end_failover(number);
        self.is_quiet.store(false, Ordering::SeqCst);
        drop(quiet);
        self.servers.follow_again(number);
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

fn run(plan: Plan) {
    let mut servers = Servers::started(4);
    if plan.failovers > 0 {
        for number in PAIRS {
            servers.pair(number);
        }
    }
    servers.initialise(3);
    if plan.has_families {
        let mut fourth = servers.client(4);
        fourth.batch_execute(include_str!("../../../sql/queries/users.sql")).unwrap();
        (1..=4).for_each(|number| servers.client(number).batch_execute(FAMILIES).unwrap());
        for table in ["orders", "payments"] {
            servers.run(&["table", "add", table, "--key", "user_id"]).success();
        }
    }
    let world = World {
        servers: &servers,
        writers: Writers::new(&servers, plan.writers, plan.keys_per_writer),
        plan,
        counts: Counts::default(),
        resumes: Mutex::default(),
        history: Mutex::default(),
        is_quiet: AtomicBool::new(false),
        running: RwLock::default(),
    };
    let begun = Instant::now();
    thread::scope(|scope| {
        let world = &world;
        let writers: Vec<_> =
            (0..world.plan.writers).map(|writer| scope.spawn(move || world.writers.write(writer))).collect();
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
        world.writers.end();
    });
    let took = begun.elapsed();
    let resume = Instant::now();
    let ran = servers.run(&["rebalance", "-y"]);
    let resume = resume.elapsed();
    let history = world.history.lock().unwrap().join("\n");
    assert_eq!(ran.code, 0, "{ran:?}\n{}\n{history}", catalogs(&servers));
    servers.run(&["doctor"]).success();
    servers.run(&["verify", "--deep"]).success();
    world.writers.compare();
    if world.plan.has_families {
        for number in 1..=4 {
            for row in servers.client(number).query(BROKEN_FAMILIES, &[]).unwrap() {
                let what = format!("the family of {} on shard {number} is not whole", row.get::<_, i64>(0));
                world.writers.violation(Wrong::Stale, what);
            }
        }
    }
    report(&world, took, resume);
    let violations = world.writers.violations();
    assert!(
        violations.is_empty(),
        "{} violations: {:?}",
        violations.len(),
        &violations[..violations.len().min(20)]
    );
}

#[expect(clippy::print_stderr, reason = "the figures are what a soak is for")]
fn report(world: &World<'_>, took: Duration, resume: Duration) {
    let stalls = world.writers.stalls();
    let at = |part: usize| stalls.get(stalls.len() * part / 1000).copied().unwrap_or(0) / 1000;
    let counts = &world.counts;
    let resumes = world.resumes.lock().unwrap();
    eprintln!(
        "{} operations ({} with unknown outcome) in {:.0} s, {} movers, {} kills, {} stops, {} terminated sessions, \
         {} restarts, {} failovers to a standby (which lacked {} acknowledged writes), {} topology changes, {} cancellations, {} clean verifications; {} resumes to the end, the longest {:.1} s, the last {:.1} s; \
         writes: p50 {} ms, p99 {} ms, longest {} ms; violations: {}",
        get(&world.writers.operations),
        get(&world.writers.unknown),
        took.as_secs_f64(),
        get(&counts.runs),
        get(&counts.kills),
        get(&counts.stops),
        get(&counts.terminations),
        get(&counts.restarts),
        get(&counts.failovers),
        get(&world.writers.unreplicated),
        get(&counts.changes),
        get(&counts.cancels),
        get(&counts.audits),
        resumes.len(),
        resumes.iter().max().copied().unwrap_or_default().as_secs_f64(),
        resume.as_secs_f64(),
        at(500),
        at(990),
        stalls.last().copied().unwrap_or(0) / 1000,
        world.writers.violations().len(),
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
        failovers: 0,
        has_families: true,
    });
}

#[test]
fn failovers_to_standbys_lose_only_what_these_had_not_received() {
    run(Plan {
        writers: 4,
        keys_per_writer: 60,
        operations: 1_000,
        kills: 5,
        stops: 0,
        terminations: 0,
        restarts: 0,
        failovers: 2,
        has_families: false,
    });
}

fn long(failovers: u64, has_families: bool) {
    run(Plan {
        writers: 6,
        keys_per_writer: 300,
        operations: 100_000,
        kills: 500,
        stops: 100,
        terminations: 1_000,
        restarts: 10,
        failovers,
        has_families,
    });
}

#[test]
#[ignore = "takes minutes: cargo test --release --test it soak -- --ignored --nocapture"]
fn soak() {
    long(50, false);
}

#[test]
#[ignore = "takes minutes: cargo test --release --test it soak -- --ignored --nocapture"]
fn soak_of_families() {
    long(0, true);
}
