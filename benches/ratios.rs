//! Speed, compared with Postgres's own programs in the same run, in turns: `scripts/bench ratios`.
//!
//! - a lookup on the ring, against MD5 alone
//! - one `ringshard get-user`, against one `psql -c` that does the same select: whole processes
//! - reads and writes in one process, against `pgbench -M prepared` with one client
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may fail by panicking, and prints")]

mod common;

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use ringshard::model::names::ShardName;
use ringshard::model::ring::position::Position;
use ringshard::model::ring::topology::Topology;
use ringshard::model::user::UserId;
use ringshard::pg::rows::Router;

use common::{Home, median, run, user};

const USERS: i64 = 10_000;
const ROUNDS: usize = 7;

fn main() {
    lookup();
    let home = filled();
    one_shot(&home);
    in_process(&home);
}

fn line(what: &str, ours: f64, theirs: f64, unit: &str, goal: f64) {
    let ratio = ours / theirs;
    let verdict = if ratio <= goal { "reached" } else { "MISSED" };
    println!(
        "{what:<44} {ours:>9.3} {unit} / {theirs:>9.3} {unit} = {ratio:.3}  (goal at most {goal}: {verdict})"
    );
}

/// Nanoseconds a key, of 1,000,000 keys.
fn nanoseconds(of: impl Fn(UserId) -> u64) -> f64 {
    let begun = Instant::now();
    let mut sum = 0_u64;
    for id in 0..1_000_000 {
        sum = sum.wrapping_add(of(black_box(UserId::new(id))));
    }
    black_box(sum);
    begun.elapsed().as_secs_f64() * 1e3
}

fn lookup() {
    let names = (1..=3).map(|n| format!("shard_{n}").parse::<ShardName>().unwrap());
    let ring = Topology::of_equals(100, names).unwrap().ring();
    let low = |position: Position| u64::try_from(position.number() & u128::from(u64::MAX)).unwrap();
    let (mut md5, mut both) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        md5.push(nanoseconds(|id| low(Position::of_user(id))));
        both.push(nanoseconds(|id| {
            let position = Position::of_user(id);
            low(position) ^ ring.owner(position).as_str().len() as u64
        }));
    }
    line("ring lookup / MD5 alone, 3x100 points", median(both), median(md5), "ns", 1.1);
}

/// Three shards with all users, and beside them a plain database with the same.
fn filled() -> Home {
    let home = Home::new();
    let cluster = home.cluster();
    for id in 1..=USERS {
        Router(&cluster).create_user(&user(id)).unwrap();
    }
    home.script(&format!(
        "CREATE DATABASE plain;\n\\c plain\n{};\nCREATE INDEX ON users (region);\n\
         INSERT INTO users SELECT i, 'Name ' || i, 'EU', 'user' || i || '@example.com' FROM generate_series(1, {USERS}) i;\n\
         VACUUM ANALYZE users;\n\\c shard_1\nVACUUM ANALYZE users;\n\\c shard_2\nVACUUM ANALYZE users;\n\\c shard_3\nVACUUM ANALYZE users;\n",
        include_str!("../sql/queries/users.sql")
    ));
    home
}

fn one_shot(home: &Home) {
    let milliseconds = |command: &mut Command| {
        let begun = Instant::now();
        run(command);
        begun.elapsed().as_secs_f64() * 1e3
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for id in 1..=200 {
        ours.push(milliseconds(home.ringshard().args(["get-user", "--id", &id.to_string()])));
        let select = format!("SELECT user_id, name, region, email FROM users WHERE user_id = {id}");
        theirs.push(milliseconds(home.client("psql").args(["-X", "-At", "-d", "plain", "-c", &select])));
    }
    line("one-shot get-user / psql -c, whole process", median(ours), median(theirs), "ms", 0.7);
}

fn in_process(home: &Home) {
    let cluster = home.cluster();
    let select =
        "\\set id random(1, 10000)\nSELECT user_id, name, region, email FROM users WHERE user_id = :id;\n";
    let insert = "\\set id random(1000000, 1000000000000000)\n\
         INSERT INTO users VALUES (:id, 'Name 1', 'EU', 'user1@example.com') ON CONFLICT DO NOTHING;\n";
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        i64::try_from(random % below).unwrap()
    };
    let (mut get, mut get_pgbench) = (Vec::new(), Vec::new());
    let (mut create, mut create_on_one, mut create_pgbench) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        get.push(microseconds(|| drop(Router(&cluster).get_user(UserId::new(next(10_000) + 1)).unwrap())));
        get_pgbench.push(pgbench(home, select));
        create.push(microseconds(|| {
            drop(Router(&cluster).create_user(&user(1_000_000 + next(1_000_000_000_000_000))).unwrap());
        }));
        create_pgbench.push(pgbench(home, insert));
        // As pgbench has it: one client, one connection, one server process that is always the same.
        let view = cluster.view();
        let on_one = |id: i64| view.ring().owner(Position::of_user(UserId::new(id))).as_str() == "shard_1";
        let mut ids =
            std::iter::repeat_with(|| 1_000_000 + next(1_000_000_000_000_000)).filter(|id| on_one(*id));
        create_on_one
            .push(microseconds(|| drop(Router(&cluster).create_user(&user(ids.next().unwrap())).unwrap())));
    }
    line("get in one process / pgbench -M prepared", median(get), median(get_pgbench), "us", 1.3);
    let pgbench_us = median(create_pgbench.clone());
    line("create on one shard / pgbench -M prepared", median(create_on_one), pgbench_us, "us", 1.3);
    line("create on three shards / the same pgbench", median(create), median(create_pgbench), "us", 1.3);
}

/// Microseconds a call, over one second.
fn microseconds(mut call: impl FnMut()) -> f64 {
    let begun = Instant::now();
    let mut calls = 0_u32;
    while begun.elapsed() < Duration::from_secs(1) {
        call();
        calls += 1;
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

/// Microseconds a transaction of pgbench, over one second.
fn pgbench(home: &Home, script: &str) -> f64 {
    let file = home.folder.path().join("script.sql");
    std::fs::write(&file, script).unwrap();
    let out = run(home
        .client("pgbench")
        .args(["-n", "-M", "prepared", "-c", "1", "-T", "1", "-f"])
        .arg(file)
        .arg("plain"));
    let tps = out.lines().find_map(|line| line.strip_prefix("tps = ")).unwrap();
    1e6 / tps.split_whitespace().next().unwrap().parse::<f64>().unwrap()
}
