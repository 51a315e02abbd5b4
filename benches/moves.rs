//! A rebalance, compared with plain COPY and DELETE in the same run: `scripts/bench moves`.
//!
//! - `rebalance` from three shards to four, 1,000,000 users, against three pipes of psql at once, each
//!   `COPY (the rows that move) TO STDOUT (FORMAT binary) | COPY users FROM STDIN`, then a `DELETE` of the same rows.
//!   Which rows move the raw way finds by their positions, with the fastest condition that we know; a second figure
//!   is for rows that are known before, in a table of their ids. Either is neither online nor safe, and counts, announces
//!   and verifies nothing, all of which is in the time of `rebalance`.
//! - how long writes take while it moves, with 8 writers at work
//! - its peak memory
//!
//! The raw databases have plain tables with the same indexes, and no guard.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may fail by panicking, and prints")]

mod common;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use ringshard::model::names::ShardName;
use ringshard::model::ring::position::Position;
use ringshard::model::ring::topology::Topology;
use ringshard::model::user::UserId;

use common::{Home, belongs_to, latencies, median, peak_mib, run, seconds, show_latencies};

const USERS: i64 = 1_000_000;
const ROUNDS: usize = 5;

fn main() {
    let home = Home::new();
    let table = include_str!("../sql/queries/users.sql");
    let raw = |n| {
        format!(
            "CREATE DATABASE raw_{n};\n\\c raw_{n}\n{table};\nCREATE INDEX ON users (region);\n\
             CREATE TABLE moving (user_id bigint PRIMARY KEY);\n"
        )
    };
    home.script(&(1..=4).map(raw).collect::<String>());
    let (moving, by_position) = fill(&home);
    let by_table = [(); 3].map(|()| IN_TABLE.to_owned());
    let (mut ours, mut theirs, mut theirs_by_table) = (Vec::new(), Vec::new(), Vec::new());
    let mut memory = 0.0_f64;
    for round in 0..ROUNDS {
        settle(&home);
        for is_ours in [round % 2 == 0, round % 2 == 1] {
            home.script("CHECKPOINT");
            if is_ours {
                run(home.ringshard().args(["add-shard", "shard_4"]));
                ours.push(seconds(|| {
                    memory = memory.max(peak_mib(home.ringshard().args(["rebalance", "-y"])));
                }));
                run(home.ringshard().args(["remove-shard", "shard_4"]));
                run(home.ringshard().args(["rebalance", "-y"]));
            } else {
                theirs.push(seconds(|| move_raw(&home, &by_position)));
                move_raw_back(&home);
                settle(&home);
                home.script("CHECKPOINT");
                theirs_by_table.push(seconds(|| move_raw(&home, &by_table)));
                move_raw_back(&home);
            }
        }
    }
    let ours = moving / median(ours);
    println!("rebalance 3 to 4 shards, {moving:.0} users move / COPY and DELETE by hand, rows");
    for (what, theirs) in [("found by position", theirs), ("known before", theirs_by_table)] {
        let theirs = moving / median(theirs);
        let ratio = ours / theirs;
        let verdict = if ratio >= 0.5 { "reached" } else { "MISSED" };
        println!(
            "  {what:<20} {ours:>9.0} /s / {theirs:>9.0} /s = {ratio:.3}  (goal at least 0.5: {verdict})"
        );
    }
    let verdict = if memory <= 100.0 { "reached" } else { "MISSED" };
    println!("memory of rebalance: {memory:.1} MiB  (goal at most 100: {verdict})");
    stalls(&home);
}

/// Fills the shards, and the raw databases with the same rows. How many of them are to move, and each source's
/// condition for these.
fn fill(home: &Home) -> (f64, [String; 3]) {
    let names = |count| (1..=count).map(|n| format!("shard_{n}").parse::<ShardName>().unwrap());
    let before = Topology::of_equals(100, names(3)).unwrap().ring();
    let after = Topology::of_equals(100, names(4)).unwrap().ring();
    let create = |name: String| BufWriter::new(File::create(home.folder.path().join(name)).unwrap());
    let mut all = create("all.csv".into());
    writeln!(all, "user_id,name,region,email").unwrap();
    let mut split: Vec<_> = (1..=3).map(|n| create(format!("{n}.csv"))).collect();
    let mut moves: Vec<_> = (1..=3).map(|n| create(format!("moving_{n}.csv"))).collect();
    let mut moving = 0.0;
    for id in 1..=USERS {
        let position = Position::of_user(UserId::new(id));
        let line = format!("{id},Name {id},EU,user{id}@example.com\n");
        all.write_all(line.as_bytes()).unwrap();
        let owner = before.owner(position);
        let shard: usize = owner.as_str()["shard_".len()..].parse().unwrap();
        split[shard - 1].write_all(line.as_bytes()).unwrap();
        if after.owner(position) != owner {
            writeln!(moves[shard - 1], "{id}").unwrap();
            moving += 1.0;
        }
    }
    drop((all, split, moves));
    run(home.ringshard().args(["import", "all.csv"]));
    let load =
        |n| format!("\\c raw_{n}\n\\copy users FROM {n}.csv CSV\n\\copy moving FROM moving_{n}.csv CSV\n");
    home.script(&(1..=3).map(load).collect::<String>());
    let condition = belongs_to(&after, "shard_4");
    (moving, [(); 3].map(|()| condition.clone()))
}

/// Brings the tables into the state after autovacuum.
fn settle(home: &Home) {
    let databases = (1..=4).map(|n| format!("raw_{n}")).chain((1..=3).map(|n| format!("shard_{n}")));
    home.script(&databases.map(|name| format!("\\c {name}\nVACUUM ANALYZE;\n")).collect::<String>());
}

const IN_TABLE: &str = "user_id IN (SELECT user_id FROM moving)";

fn psql(home: &Home, database: &str, statement: &str) -> Command {
    let mut psql = home.client("psql");
    psql.args(["-X", "-q", "-d", database, "-c", statement]);
    psql
}

/// Three pipes at once.
fn move_raw(home: &Home, these: &[String; 3]) {
    let mut pipes: Vec<[Child; 2]> = Vec::new();
    for n in 1..=3 {
        let these = &these[n - 1];
        let from = format!("COPY (SELECT * FROM users WHERE {these}) TO STDOUT (FORMAT binary)");
        let mut source = psql(home, &format!("raw_{n}"), &from).stdout(Stdio::piped()).spawn().unwrap();
        let mut target = psql(home, "raw_4", "COPY users FROM STDIN (FORMAT binary)");
        let target = target.stdin(source.stdout.take().unwrap()).spawn().unwrap();
        pipes.push([source, target]);
    }
    wait(pipes.into_iter().flatten());
    let delete = |n: usize| format!("DELETE FROM users WHERE {}", these[n - 1]);
    wait((1..=3).map(|n| psql(home, &format!("raw_{n}"), &delete(n)).spawn().unwrap()));
}

fn wait(children: impl IntoIterator<Item = Child>) {
    for mut child in children.into_iter().collect::<Vec<_>>() {
        assert!(child.wait().unwrap().success());
    }
}

fn move_raw_back(home: &Home) {
    let back = |n| {
        format!(
            "\\c raw_4\n\\copy users TO back.csv CSV\n\\c raw_{n}\nCREATE TEMP TABLE back (LIKE users);\n\
             \\copy back FROM back.csv CSV\nINSERT INTO users SELECT * FROM back WHERE {IN_TABLE};\n"
        )
    };
    home.script(&(1..=3).map(back).collect::<String>());
    home.script("\\c raw_4\nTRUNCATE users;\n");
}

fn stalls(home: &Home) {
    settle(home);
    let alone = latencies(home, 3, USERS, || thread::sleep(Duration::from_secs(5)));
    run(home.ringshard().args(["add-shard", "shard_4"]));
    let mut took = 0.0;
    let moving = latencies(home, 3, USERS, || {
        took = seconds(|| drop(run(home.ringshard().args(["rebalance", "-y"]))));
    });
    println!("the rebalance took {took:.1} s");
    show_latencies(&alone, &moving, 250.0, f64::INFINITY);
}
