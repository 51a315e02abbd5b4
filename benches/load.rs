//! `load run` against pgbench with the same mix, as a ratio in the same run: `scripts/bench --bench load`.
//!
//! Both have eight clients and the same number of users in a server of their own making: `load run` three shards, and
//! pgbench one plain database, with prepared statements. What `load run` does more: it routes, each statement says who
//! answers and whether it owns the key, and every answer is checked.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may fail by panicking, and prints")]

mod common;

use common::{Home, median, run};

const USERS: u32 = 100_000;
const ROUNDS: usize = 5;
const SECONDS: u32 = 5;
const GOAL: f64 = 0.8;

/// What a user of a plain database would write, and how often each comes.
const SCRIPTS: [(&str, u32, &str); 3] = [
    (
        "get.sql",
        80,
        "\\set id random(1, 100000)\nSELECT user_id, name, region, email FROM users WHERE user_id = :id;\n",
    ),
    (
        "create.sql",
        15,
        "\\set n random(1, 1000000)\nINSERT INTO users (user_id, name, region, email) \
         VALUES (nextval('ids'), 'Alice Baker', 'US', concat('alice.baker.', :n::int, '@load.example'));\n",
    ),
    (
        "update.sql",
        5,
        "\\set id random(1, 100000)\n\\set n random(1, 1000000)\n\
         UPDATE users SET email = concat('alice.baker.', :n::int, '@load.example') WHERE user_id = :id;\n",
    ),
];

fn main() {
    let home = Home::new();
    run(home.ringshard().args(["load", "fill", &USERS.to_string()]));
    run(home.ringshard().args(["export", "users.csv"]));
    home.script(&format!(
        "CREATE DATABASE plain;\n\\c plain\n{};\nCREATE INDEX ON users (region);\nCREATE SEQUENCE ids START {};\n\
         \\copy users FROM 'users.csv' WITH (FORMAT csv, HEADER)\nVACUUM ANALYZE users;\n\
         \\c shard_1\nVACUUM ANALYZE users;\n\\c shard_2\nVACUUM ANALYZE users;\n\\c shard_3\nVACUUM ANALYZE users;\n",
        include_str!("../sql/users.sql"),
        USERS + 1
    ));
    for (name, _, script) in SCRIPTS {
        std::fs::write(home.folder.path().join(name), script).unwrap();
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Each is the first of a round in turn.
        for is_ours in [round % 2 == 0, round % 2 == 1] {
            home.script("CHECKPOINT");
            if is_ours { ours.push(load_run(&home)) } else { theirs.push(pgbench(&home)) }
        }
        println!("round {}: load run {:.0}/s, pgbench {:.0}/s", round + 1, ours[round], theirs[round]);
    }
    // Of the two runs of each round, which were one after the other: what else the machine does changes over time.
    let ratio = median(ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect());
    let (ours, theirs) = (median(ours), median(theirs));
    let verdict = if ratio >= GOAL { "reached" } else { "MISSED" };
    println!(
        "load run / pgbench -M prepared, 8 clients {ours:>9.0}/s, {theirs:>9.0}/s: ratio {ratio:.3}  (goal at least {GOAL}: {verdict})"
    );
}

/// Operations a second.
fn load_run(home: &Home) -> f64 {
    let duration = format!("{SECONDS}s");
    let users = format!("1..{USERS}");
    let words = ["load", "run", "--clients", "8", "--duration", &duration, "--users", &users, "-o", "json"];
    let out = run(home.ringshard().args(words));
    let whole: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((whole["errors"].as_u64(), whole["wrong"].as_u64()), (Some(0), Some(0)));
    whole["per_sec"].as_f64().unwrap()
}

/// Transactions a second.
fn pgbench(home: &Home) -> f64 {
    let mut command = home.client("pgbench");
    command.args(["-n", "-M", "prepared", "-c", "8", "-T", &SECONDS.to_string()]);
    for (name, weight, _) in SCRIPTS {
        command.args(["-f", &format!("{name}@{weight}")]);
    }
    let out = run(command.arg("plain"));
    let tps = out.lines().find_map(|line| line.strip_prefix("tps = ")).unwrap();
    tps.split_whitespace().next().unwrap().parse().unwrap()
}
