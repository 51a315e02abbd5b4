//! The proof of the owner by the client in Python: `scripts/bench clients`.
//!
//! Five turns of 20,000 reads of one user each over a Unix socket: with `require_owner` in the same transaction, against the same
//! loop without it. The drivers are those of the tests.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may fail by panicking, and prints")]

#[allow(dead_code, reason = "it needs a home alone")]
mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Home, run};

fn main() {
    let Some(drivers) = std::env::var_os("RINGSHARD_TEST_DRIVERS").map(PathBuf::from) else {
        println!("left out: no drivers, which scripts/bench installs");
        return;
    };
    let home = Home::new();
    run(home.ringshard().args(["load", "fill", "1000", "-qy"]));
    let url = format!("postgresql://postgres@/shard_1?host={}", home.server.socket_dir().display());
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [repository.join("examples/python"), drivers.join("python")];
    let printed = run(Command::new("python3")
        .arg(repository.join("benches/clients.py"))
        .args([&url, "20000", "1000", "5"])
        .env("PYTHONPATH", std::env::join_paths(folders).unwrap()));
    let times: Vec<f64> = printed.split_whitespace().map(|time| time.parse().unwrap()).collect();
    for (what, time) in [("with the proof before it (run)", times[1]), ("with both at once (get)", times[2])]
    {
        let ratio = time / times[0];
        let verdict = if ratio <= 1.3 { "reached" } else { "MISSED" };
        println!(
            "a SELECT {what:<30} {time:>7.1} us / {:>7.1} us = {ratio:.2}  (goal at most 1.3: {verdict})",
            times[0]
        );
    }
}
