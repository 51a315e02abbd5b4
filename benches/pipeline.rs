//! A run of many creates, compared with psql in the same run: `scripts/bench pipeline`.
//!
//! - `ringshard -f` with 100,000 lines `create-user`, against `psql -X -q -f` with the same 100,000 `INSERT`s into
//!   a plain table over one connection, each its own transaction: whole processes
//! - the same users in one process, by `Cluster::create_users` in windows of 256, against the same psql
//!
//! What is compared is durable on both sides when it is done.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may fail by panicking, and prints")]

mod common;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ringshard::model::user::User;
use ringshard::pg::rows::Router;
use ringshard::pg::rows::batch_create::BatchOutcome;

use common::{Home, median, run, seconds, user};

const USERS: i64 = 100_000;
const ROUNDS: i64 = 3;
const WINDOW: usize = 256;

fn main() {
    let home = Home::new();
    home.script(&format!(
        "CREATE DATABASE plain;\n\\c plain\n{};\nCREATE INDEX ON users (region);\n",
        include_str!("../sql/queries/users.sql")
    ));
    let cluster = home.cluster();
    assert!(cluster.refresh().unwrap().is_empty());
    let (mut program, mut library, mut psql) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Other ids for the program and for the library, as both store into the same shards.
        let for_program = ids(2 * round);
        let line = |id| {
            format!("create-user --id {id} --name 'Name {id}' --region EU --email user{id}@example.com\n")
        };
        let script = write(&home, "script.ringshard", for_program.clone().map(line));
        let insert =
            |id| format!("INSERT INTO users VALUES ({id}, 'Name {id}', 'EU', 'user{id}@example.com');\n");
        let inserts = write(&home, "inserts.sql", for_program.map(insert));
        let users: Vec<User> = ids(2 * round + 1).map(user).collect();
        let mut steps: [(&mut Vec<f64>, &dyn Fn()); 3] = [
            (&mut program, &|| silent(home.ringshard().args(["-q", "-f"]).arg(&script))),
            (&mut psql, &|| {
                silent(home.client("psql").args(["-X", "-q", "-d", "plain", "-f"]).arg(&inserts));
            }),
            (&mut library, &|| {
                let mut windows = users.chunks(WINDOW);
                assert!(windows.all(|window| Router(&cluster).create_users(window) == BatchOutcome::Stored));
            }),
        ];
        // Each one is the first of a round once.
        steps.rotate_left(usize::try_from(round).unwrap() % 3);
        for (times, step) in steps {
            home.script("CHECKPOINT");
            times.push(seconds(step));
        }
        let stored: i64 = run(home.ringshard().args(["count", "--no-header"])).trim().parse().unwrap();
        assert_eq!(stored, 2 * (round + 1) * USERS);
    }
    let theirs = median(psql);
    line("ringshard -f / psql -f, 100,000 creates", median(program), theirs);
    line("create_users, windows of 256 / the same psql", median(library), theirs);
}

/// How many times as fast as psql: by whole seconds.
fn line(what: &str, ours: f64, theirs: f64) {
    const GOAL: f64 = 0.7;
    let speed = theirs / ours;
    let verdict = if speed >= GOAL { "reached" } else { "MISSED" };
    println!(
        "{what:<44} {ours:>7.2} s, {theirs:>7.2} s: speed {speed:.2}  (goal at least {GOAL}: {verdict})"
    );
}

fn ids(part: i64) -> std::ops::Range<i64> {
    part * USERS..(part + 1) * USERS
}

fn write(home: &Home, name: &str, lines: impl Iterator<Item = String>) -> PathBuf {
    let mut text = String::new();
    for line in lines {
        text.write_str(&line).unwrap();
    }
    let path = home.folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Runs a program and discards its output.
fn silent(command: &mut Command) {
    assert!(command.stdout(Stdio::null()).status().unwrap().success(), "{command:?}");
}
