//! The example clients of `examples/`, through a whole rebalance. `scripts/test` installs the drivers that they need, and names
//! their folder in `RINGSHARD_TEST_DRIVERS`.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::clusters::filled;
use crate::support::rebalances::{add_shard, start_slow_rebalance};

/// Runs a program in a language that reads and writes users until its input ends, while a shard is added. Checks nothing, and says
/// so, where `scripts/test` could not install the drivers.
#[expect(clippy::print_stderr, reason = "a test that checks nothing says so")]
fn through_a_rebalance(program: &str, file: &str, path: &str, client: &str, drivers: &str) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let drivers = std::env::var_os("RINGSHARD_TEST_DRIVERS").map(|all| Path::new(&all).join(drivers));
    let Some(drivers) = drivers.filter(|folder| folder.is_dir()) else {
        eprintln!("no drivers for {program}: scripts/test installs them");
        return;
    };
    let test = filled(300);
    add_shard(&test, 4);
    let mut running = Command::new(program)
        .arg(repository.join("tests/it/users/clients").join(file))
        .args([&test.url(2), "299"])
        .env(path, std::env::join_paths([repository.join(client), drivers]).unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
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

#[test]
fn the_client_in_python_misses_nothing() {
    through_a_rebalance("python3", "loop.py", "PYTHONPATH", "examples/python", "python");
}

#[test]
fn the_client_in_javascript_misses_nothing() {
    through_a_rebalance("node", "loop.js", "NODE_PATH", "examples/node", "node/node_modules");
}
