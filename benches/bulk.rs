//! Whole tables, as ratios against psql in the same run: `scripts/bench bulk`.
//!
//! - `import` against three `psql -c "\\copy …"` at once, of the same rows, split by hand before
//! - `export` against three `\\copy … TO` at once
//! - `count --region` against the slowest shard's own count
//! - peak memory of import, export and list-users
//!
//! The raw databases have plain tables with the same indexes, and no guard.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may fail by panicking, and prints")]

mod common;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::process::Stdio;

use ringshard::model::names::ShardName;
use ringshard::model::ring::position::Position;
use ringshard::model::ring::topology::Topology;
use ringshard::model::user::UserId;

use common::{Home, median, peak_mib, run, seconds};

const USERS: i64 = 1_000_000;
const USERS_OF_MEMORY: i64 = 5_000_000;
const ROUNDS: usize = 7;
const REGIONS: [&str; 4] = ["EU", "US", "APAC", "LATAM"];

fn main() {
    let home = Home::new();
    let table = include_str!("../sql/queries/users.sql");
    let raw =
        |n| format!("CREATE DATABASE raw_{n};\n\\c raw_{n}\n{table};\nCREATE INDEX ON users (region);\n");
    home.script(&(1..=3).map(raw).collect::<String>());
    write_files(&home, USERS);
    import(&home);
    export(&home);
    count(&home);
    write_files(&home, USERS_OF_MEMORY);
    memory(&home);
}

/// The users `1..=count` in one file, and split by owner.
fn write_files(home: &Home, count: i64) {
    let names = (1..=3).map(|n| format!("shard_{n}").parse::<ShardName>().unwrap());
    let ring = Topology::of_equals(100, names).unwrap().ring();
    let create = |name: &str| BufWriter::new(File::create(home.folder.path().join(name)).unwrap());
    let mut all = create("all.csv");
    let mut split = [create("1.csv"), create("2.csv"), create("3.csv")];
    writeln!(all, "user_id,name,region,email").unwrap();
    for id in 1..=count {
        let position = Position::of_user(UserId::new(id));
        let region = REGIONS[usize::try_from(position.number() >> 126).unwrap()];
        let line = format!("{id},Name {id},{region},user{id}@example.com\n");
        all.write_all(line.as_bytes()).unwrap();
        let shard: usize = ring.owner(position).as_str()["shard_".len()..].parse().unwrap();
        split[shard - 1].write_all(line.as_bytes()).unwrap();
    }
}

/// The same in psql on each raw database, all at once.
fn three_at_once(home: &Home, statement: impl Fn(usize) -> String) {
    let children: Vec<_> = (1..=3)
        .map(|n| {
            let database = format!("raw_{n}");
            let mut psql = home.client("psql");
            psql.args(["-X", "-q", "-d", &database, "-c", &statement(n)]).stdout(Stdio::null());
            psql.spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
}

fn empty(home: &Home) {
    let each = |name: String| format!("\\c {name}\nTRUNCATE users;\n");
    let databases = (1..=3).flat_map(|n| [format!("raw_{n}"), format!("shard_{n}")]);
    home.script(&(databases.map(each).collect::<String>() + "CHECKPOINT;\n"));
}

fn rate(what: &str, ours: Vec<f64>, theirs: Vec<f64>, goal: f64) {
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rows = USERS as f64;
    let (ours, theirs) = (rows / median(ours), rows / median(theirs));
    let ratio = ours / theirs;
    let verdict = if ratio >= goal { "reached" } else { "MISSED" };
    println!("{what:<44} {ours:>9.0} /s / {theirs:>9.0} /s = {ratio:.3}  (goal at least {goal}: {verdict})");
}

fn import(home: &Home) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        empty(home);
        theirs.push(seconds(|| three_at_once(home, |n| format!("\\copy users FROM {n}.csv CSV"))));
        home.script("CHECKPOINT");
        ours.push(seconds(|| drop(run(home.ringshard().args(["import", "all.csv"])))));
    }
    rate("import / three \\copy FROM at once", ours, theirs, 0.9);
}

fn export(home: &Home) {
    let vacuum = |name: String| format!("\\c {name}\nVACUUM ANALYZE users;\n");
    home.script(
        &(1..=3).flat_map(|n| [format!("raw_{n}"), format!("shard_{n}")]).map(vacuum).collect::<String>(),
    );
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // In alternating order: the system may still flush the writes of the first during the second.
        for is_ours in [round % 2 == 0, round % 2 == 1] {
            if is_ours {
                ours.push(seconds(|| drop(run(home.ringshard().args(["export", "out.csv"])))));
            } else {
                theirs.push(seconds(|| three_at_once(home, |n| format!("\\copy users TO out_{n}.csv CSV"))));
            }
        }
    }
    rate("export, by id / three \\copy TO at once", ours, theirs, 0.9);
}

fn count(home: &Home) {
    let statement = "SELECT count(*) FROM users WHERE region = 'EU'";
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS * 3 {
        let own = (1..=3).map(|n| {
            let database = format!("shard_{n}");
            seconds(|| drop(run(home.client("psql").args(["-X", "-At", "-d", &database, "-c", statement]))))
        });
        theirs.push(own.fold(0.0, f64::max) * 1e3);
        ours.push(seconds(|| drop(run(home.ringshard().args(["count", "--region", "EU"])))) * 1e3);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let (ratio, goal) = (ours / theirs, 1.3);
    let verdict = if ratio <= goal { "reached" } else { "MISSED" };
    let what = "count --region / slowest shard alone";
    println!("{what:<44} {ours:>9.3} ms / {theirs:>9.3} ms = {ratio:.3}  (goal at most {goal}: {verdict})");
}

fn memory(home: &Home) {
    empty(home);
    for words in [&["import", "all.csv"][..], &["export", "out.csv"], &["list-users"]] {
        let peak_mib = peak_mib(home.ringshard().args(words));
        let verdict = if peak_mib <= 100.0 { "reached" } else { "MISSED" };
        let what = format!("memory of {} of 5,000,000 users", words[0]);
        println!("{what:<44} {peak_mib:>9.1} MiB  (goal at most 100: {verdict})");
    }
}
