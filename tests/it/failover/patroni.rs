//! A rebalance under writers while Patroni chooses the primary of one shard: ringshard has no part in these failovers.
//!
//! A short run is a test like any other. The long one prints its figures:
//! `cargo test --release --test it patroni -- --ignored --nocapture`

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use crate::support::harness::Ran;
use crate::support::patroni::Patroni;
use crate::support::random::Random;
use crate::support::servers::Servers;
use crate::support::writers::{Writers, Wrong, get};

/// How a primary is lost.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// Postgres and Patroni end at once, as with a lost machine.
    Machine,
    /// Postgres ends, and Patroni hands over.
    Postgres,
    /// The primary stops sending to its standby, and ends a while later.
    Lagging,
    /// All processes stop, and continue when the standby has taken over.
    Frozen,
    Switchover,
}

struct Plan {
    losses: Vec<Loss>,
    is_synchronous: bool,
    seed: u64,
}

/// The shard that Patroni keeps.
const SHARD: usize = 2;

struct Run<'a> {
    servers: &'a Servers,
    patroni: &'a Patroni,
    writers: Writers<'a>,
}

#[expect(clippy::print_stderr, reason = "what happened when is what a long run is for")]
fn say(what: &str) {
    eprintln!("{what}");
}

impl Run<'_> {
    fn rebalance(&self, rows_per_second: u64) -> std::process::Child {
        let rate = rows_per_second.to_string();
        let mut command = self.servers.command();
        command.args(["rebalance", "-y", "--chunk-rows", "3", "--max-rows-per-sec", &rate]);
        command.env("RINGSHARD_STANDBY_TIMEOUT_MS", "5000").spawn().unwrap()
    }

    /// Loses the primary in the middle of a rebalance, and completes this afterwards.
    fn lose(&self, at: usize, loss: Loss, random: &mut Random) {
        let words: &[&str] = if at.is_multiple_of(2) {
            &["add-shard", "shard_4", &self.servers.url(4)]
        } else {
            &["remove-shard", "shard_4"]
        };
        self.servers.run(words).success();
        let rebalance = self.rebalance(20);
        thread::sleep(Duration::from_millis(random.below(3_000)));
        let leader = self.patroni.leader().expect("the pair is whole");
        let sender = matches!(loss, Loss::Lagging).then(|| self.patroni.sender(leader));
        if let Some(sender) = sender {
            kill_process(sender, Signal::STOP).unwrap();
            thread::sleep(Duration::from_millis(random.below(2_000)));
        }
        self.writers.begin_failover();
        match loss {
            Loss::Machine => self.patroni.kill(leader),
            Loss::Postgres | Loss::Lagging => self.patroni.kill_postgres(leader),
            Loss::Frozen => self.patroni.signal(leader, Signal::STOP),
            Loss::Switchover => self.patroni.switch_over(leader),
        }
        if let Some(sender) = sender {
            let _ = kill_process(sender, Signal::KILL);
        }
        self.patroni.wait_for_leader();
        match loss {
            Loss::Frozen => self.patroni.signal(leader, Signal::CONT),
            Loss::Machine if random.below(2) == 0 => self.patroni.start_member(leader),
            _ => {}
        }
        let known = self.writers.violations().len();
        let begun = Instant::now();
        let ran = Ran::of(rebalance);
        // A primary that was frozen takes writes for a moment, which is a reason to stop.
        let is_refused = matches!(loss, Loss::Frozen) && ran.stderr.contains("should be a standby");
        if begun.elapsed() > Duration::from_mins(1) || !(is_refused || matches!(ran.code, 0 | 69 | 75)) {
            self.wrong(at, loss, &format!("rebalance, {:.0} s", begun.elapsed().as_secs_f64()), &ran);
        }
        self.patroni.ensure_runs(leader);
        self.patroni.wait_until_whole();
        // Patroni went back to the first one, after its successor had been confirmed.
        if self.servers.run(&["count"]).stderr.contains("is a stale primary") {
            let name = format!("shard_{SHARD}");
            self.servers.run(&["promote", &name, "--force", "-y"]).success();
        }
        let before = get(&self.writers.unreplicated);
        self.writers.end_failover(SHARD);
        let lost = get(&self.writers.unreplicated) - before;
        self.complete(at, loss);
        let violations = &self.writers.violations()[known..];
        say(&format!("{at} {loss:?}: rebalance {}, {lost} not replicated, wrong: {violations:#?}", ran.code));
    }

    fn wrong(&self, at: usize, loss: Loss, what: &str, ran: &Ran) {
        self.writers.violation(Wrong::Answer, format!("{at} {loss:?}: {what}: {ran:?}"));
    }

    /// The next rebalances complete the change, and then all is well.
    fn complete(&self, at: usize, loss: Loss) {
        let run = || Ran::of(self.rebalance(10_000));
        let last = (0..5).map(|_| run()).find(|ran| {
            if ran.code != 0 {
                self.wrong(at, loss, "rebalance afterwards", ran);
            }
            ran.code == 0
        });
        assert!(last.is_some(), "{at} {loss:?}: the change does not end: {:#?}", *self.writers.violations());
        let ran = self.servers.run(&["verify"]);
        if ran.code != 0 {
            self.wrong(at, loss, "verify", &ran);
        }
    }
}

fn run(plan: &Plan) {
    let mut servers = Servers::started(4);
    let patroni = Patroni::start(servers.server(SHARD), plan.is_synchronous);
    servers.move_elsewhere(SHARD, patroni.url());
    servers.initialise(3);
    let run = Run { servers: &servers, patroni: &patroni, writers: Writers::new(&servers, 4, 100) };
    let begun = Instant::now();
    thread::scope(|scope| {
        let run = &run;
        let writers: Vec<_> = (0..4).map(|writer| scope.spawn(move || run.writers.write(writer))).collect();
        let drills = scope.spawn(move || {
            let mut random = Random(plan.seed);
            for (at, loss) in plan.losses.iter().enumerate() {
                run.lose(at, *loss, &mut random);
            }
        });
        while !drills.is_finished() && writers.iter().all(|writer| !writer.is_finished()) {
            thread::sleep(Duration::from_millis(50));
        }
        run.writers.end();
    });
    run.writers.compare();
    for words in [&["verify", "--deep"][..], &["doctor", "-o", "tsv"]] {
        let ran = servers.run(words);
        if ran.code != 0 {
            run.writers.violation(Wrong::Answer, format!("{words:?} in the end: {ran:?}"));
        }
    }
    report(&run.writers, plan, begun.elapsed());
    let violations = run.writers.violations();
    assert!(violations.is_empty(), "{violations:#?}");
    let is_lossless = plan.is_synchronous || plan.losses.iter().all(|loss| matches!(loss, Loss::Switchover));
    let unreplicated = get(&run.writers.unreplicated);
    assert!(!is_lossless || unreplicated == 0, "{unreplicated} acknowledged writes are lost");
}

fn report(writers: &Writers<'_>, plan: &Plan, took: Duration) {
    say(&format!(
        "{} failovers in {:.0} s, synchronous: {}; {} operations, {} writes acknowledged, {} of unknown outcome; \
         not received by the standby {}; lost {}, stale {}, resurrected {}, duplicated {}, two owners or none {}, wrong answers {}",
        plan.losses.len(),
        took.as_secs_f64(),
        plan.is_synchronous,
        get(&writers.operations),
        get(&writers.acknowledged),
        get(&writers.unknown),
        get(&writers.unreplicated),
        writers.count(Wrong::Lost),
        writers.count(Wrong::Stale),
        writers.count(Wrong::Resurrected),
        writers.count(Wrong::Duplicated),
        writers.count(Wrong::Owners),
        writers.count(Wrong::Answer),
    ));
}

#[test]
fn a_rebalance_survives_failovers_by_patroni() {
    run(&Plan {
        losses: vec![Loss::Machine, Loss::Lagging],
        is_synchronous: false,
        seed: 0x2545_F491_4F6C_DD1D,
    });
}

#[test]
fn a_synchronous_standby_loses_nothing() {
    run(&Plan { losses: vec![Loss::Postgres], is_synchronous: true, seed: 0x1234_5678_9ABC_DEF1 });
}

#[test]
fn a_switchover_by_plan_during_a_rebalance_loses_nothing() {
    run(&Plan { losses: vec![Loss::Switchover], is_synchronous: false, seed: 0xABCD_EF01_2345_6789 });
}

/// So many losses of all kinds.
fn long(count: usize, is_synchronous: bool) {
    let kinds = [Loss::Lagging, Loss::Machine, Loss::Postgres, Loss::Lagging, Loss::Frozen, Loss::Switchover];
    let count = std::env::var("RINGSHARD_FAILOVERS").map_or(count, |count| count.parse().unwrap());
    let losses = kinds.into_iter().cycle().take(count).collect();
    run(&Plan { losses, is_synchronous, seed: 0x0F1E_2D3C_4B5A_6978 });
}

#[test]
#[ignore = "takes minutes: cargo test --release --test it patroni -- --ignored --nocapture"]
fn patroni_50() {
    long(50, false);
}

#[test]
#[ignore = "takes minutes: cargo test --release --test it patroni -- --ignored --nocapture"]
fn patroni_50_synchronous() {
    long(50, true);
}
