//! The example clients of `examples/`, through a whole rebalance. `scripts/test` installs the drivers that they need, and names
//! their folder in `RINGSHARD_TEST_DRIVERS`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::clusters::filled;
use crate::support::rebalances::{add_shard, start_slow_rebalance};

/// Runs a program that reads and writes users until its input ends, while a shard is added.
fn through_a_rebalance(mut program: Command) {
    let test = filled(300);
    add_shard(&test, 4);
    let url = test.url(2);
    let program =
        program.args([&url, "299"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = program.spawn().unwrap();
    let ended = start_slow_rebalance(&test, 60).wait().unwrap();
    drop(running.stdin.take());
    let output = running.wait_with_output().unwrap();
    assert!(ended.success());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let counts: Vec<usize> = printed.split_whitespace().map(|count| count.parse().unwrap()).collect();
    assert!(counts.len() == 2 && counts.iter().all(|count| *count >= 299), "{printed}");
    test.run(&["verify", "--deep"]).success();
    assert_eq!(test.run(&["count"]).success().stdout, "299\n");
}

/// A folder of this repository.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Where the drivers of a language are; `None`, said on stderr, where `scripts/test` could not install them.
#[expect(clippy::print_stderr, reason = "a test that checks nothing says so")]
fn drivers(language: &str) -> Option<PathBuf> {
    let found = std::env::var_os("RINGSHARD_TEST_DRIVERS").map(|all| Path::new(&all).join(language));
    let found = found.filter(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!("no drivers for {language}: scripts/test installs them");
    }
    found
}

#[test]
fn the_client_in_python_misses_nothing() {
    let Some(drivers) = drivers("python") else { return };
    let path = std::env::join_paths([folder("examples/python"), drivers]).unwrap();
    let mut python = Command::new("python3");
    python.arg(folder("tests/it/users/clients/loop.py")).env("PYTHONPATH", path);
    through_a_rebalance(python);
}

#[test]
fn the_client_in_javascript_misses_nothing() {
    let Some(drivers) = drivers("node/node_modules") else { return };
    let path = std::env::join_paths([folder("examples/node"), drivers]).unwrap();
    let mut node = Command::new("node");
    node.arg(folder("tests/it/users/clients/loop.js")).env("NODE_PATH", path);
    through_a_rebalance(node);
}
