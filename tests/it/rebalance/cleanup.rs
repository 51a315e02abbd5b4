//! The cleanup of the configuration after a shard has left: it removes only shards that are not in the topology at
//! that moment.

use std::fs::{self, File};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::clusters::filled;
use crate::support::harness::{Ran, Test};
use crate::support::rebalances::add_shard;

/// The desired topology on the first shard.
fn desired_topology(test: &Test) -> Option<String> {
    test.query(1, "SELECT desired_topology::text FROM ringshard.meta", &[])[0].get(0)
}

/// Waits until the process waits for a lock on a file: the kernel marks waiters with an arrow.
fn wait_for_a_waiter(pid: u32) {
    let begun = Instant::now();
    let is_waiting = || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| line.contains("-> FLOCK") && line.contains(&format!(" {pid} ")))
    };
    while !is_waiting() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the process does not wait for the lock");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_shard_that_is_added_again_during_cleanup_stays_configured() {
    let test = filled(300);
    add_shard(&test, 4).success();
    let with_shard_4 = desired_topology(&test).unwrap();
    test.run(&["rebalance", "-y"]).success();
    let with_four = fs::read_to_string(test.config()).unwrap();
    test.run(&["remove-shard", "shard_4"]).success();
    test.run(&["rebalance", "-y"]).success();
    let is_there = || fs::read_to_string(test.config()).unwrap().contains("shard_4");
    assert!(!is_there());
    // As on another machine, whose configuration was not cleaned up yet.
    for is_added_again in [false, true] {
        fs::write(test.config(), &with_four).unwrap();
        let folder = File::open(test.home.path()).unwrap();
        folder.lock().unwrap();
        let child = test.command().args(["rebalance", "-y"]).spawn().unwrap();
        wait_for_a_waiter(child.id());
        // The process has seen that the shard has left. Now another one adds it again.
        if is_added_again {
            test.execute(1, &format!("UPDATE ringshard.meta SET desired_topology = '{with_shard_4}'"));
        }
        folder.unlock().unwrap();
        Ran::of(child).success();
        assert_eq!(is_there(), is_added_again);
    }
    test.run(&["rebalance", "-y"]).success();
    test.run(&["doctor"]).success();
}
