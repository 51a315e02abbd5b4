//! SQL by its key and over all shards: `scripts/bench sql`.
//!
//! - one `ringshard sql` with a key, against one `ringshard get-user` of the same user: whole processes
//! - a query with groups over three shards, against the slowest shard's own answer to it by `psql`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may fail by panicking, and prints")]

mod common;

use std::process::Command;
use std::time::Instant;

use common::{Home, median, run};

/// How many users all shards have.
const USERS: i64 = 3_000_000;
const ROUNDS: usize = 7;
const GROUPS: &str =
    "SELECT region, count(*), avg(length(name)) FROM users GROUP BY region ORDER BY 2 DESC LIMIT 5";

fn main() {
    let home = Home::new();
    run(home.ringshard().args(["load", "fill", &USERS.to_string(), "-qy"]));
    let vacuum = (1..=3).map(|number| format!("\\c shard_{number}\nVACUUM ANALYZE users;\n"));
    home.script(&vacuum.collect::<String>());
    by_key(&home);
    over_all(&home);
}

fn milliseconds(command: &mut Command) -> f64 {
    let begun = Instant::now();
    run(command);
    begun.elapsed().as_secs_f64() * 1e3
}

fn line(what: &str, ours: f64, theirs: f64, goal: f64) {
    let ratio = ours / theirs;
    let verdict = if ratio <= goal { "reached" } else { "MISSED" };
    println!("{what:<44} {ours:>9.3} ms / {theirs:>9.3} ms = {ratio:.3}  (goal at most {goal}: {verdict})");
}

fn by_key(home: &Home) {
    let (mut sql, mut get) = (Vec::new(), Vec::new());
    for id in 1..=200 {
        get.push(milliseconds(home.ringshard().args(["get-user", &id.to_string()])));
        let select = format!("SELECT user_id, name, region, email FROM users WHERE user_id = {id}");
        sql.push(milliseconds(home.ringshard().args(["sql", &select])));
    }
    line("sql with a key / get-user, whole processes", median(sql), median(get), 1.2);
}

fn over_all(home: &Home) {
    let (mut ours, mut slowest, mut sums) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(milliseconds(home.ringshard().args(["sql", GROUPS])));
        let own: Vec<f64> = (1..=3)
            .map(|number| {
                milliseconds(home.client("psql").args([
                    "-X",
                    "-At",
                    "-d",
                    &format!("shard_{number}"),
                    "-c",
                    GROUPS,
                ]))
            })
            .collect();
        slowest.push(own.iter().copied().fold(0.0, f64::max));
        sums.push(own.iter().sum());
    }
    let ours = median(ours);
    // Where one shard's own answer keeps all cores busy, three cannot be at once.
    line("groups over three shards / one after another", ours, median(sums), 1.3);
    line("groups over three shards / the slowest alone", ours, median(slowest), 1.3);
}
