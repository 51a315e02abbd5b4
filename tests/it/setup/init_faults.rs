//! `init-shards` killed, run concurrently and interrupted: the next run completes it.

use std::thread;
use std::time::Duration;

use crate::support::catalogs::assert_catalogs_are_complete;
use crate::support::harness::{Ran, Test};

#[test]
fn a_killed_initialisation_is_completed_by_the_next_run() {
    for round in 0..12 {
        let test = Test::new();
        let mut cut_short = 0;
        for step in 0..4 {
            let mut command = test.command();
            command.arg("init-shards").args(test.shard_flags());
            let mut child = command.spawn().unwrap();
            thread::sleep(Duration::from_millis(2 + (round * 7 + step * 11) % 60));
            child.kill().unwrap();
            cut_short += u32::from(child.wait().unwrap().code().is_none());
        }
        test.init().success();
        assert_catalogs_are_complete(&test);
        test.run(&["create-user", "--id", "1", "--name", "x"]).success();
        assert_eq!(test.run(&["count"]).success().stdout, "1\n");
        if round == 0 {
            assert!(cut_short > 0, "no run was killed");
        }
    }
}

#[test]
fn a_partial_initialisation_is_completed() {
    let test = Test::initialised();
    let id = test.cluster_id(1);
    for number in 2..=3 {
        test.execute(number, "DROP SCHEMA ringshard CASCADE; DROP TABLE users");
    }
    std::fs::remove_file(test.config()).unwrap();
    let ran = test.init().success();
    let results: Vec<&str> = ran.fields().iter().map(|fields| fields[1]).collect();
    assert_eq!(results, ["unchanged", "created", "created"]);
    assert_eq!(test.cluster_id(2), id);
    assert_catalogs_are_complete(&test);
}

#[test]
fn two_concurrent_initialisations_make_one_cluster() {
    for _ in 0..5 {
        let test = Test::new();
        let children: Vec<_> = (0..2)
            .map(|_| {
                let mut command = test.command();
                command.arg("init-shards").args(test.shard_flags()).spawn().unwrap()
            })
            .collect();
        for child in children {
            Ran::of(child).success();
        }
        assert_catalogs_are_complete(&test);
        test.run(&["shards"]).success();
    }
}

#[test]
fn a_lost_catalog_is_not_created_again_after_a_change() {
    let test = Test::initialised();
    for number in 1..=3 {
        test.execute(number, "UPDATE ringshard.meta SET epoch = 2");
    }
    test.execute(3, "DROP SCHEMA ringshard CASCADE");
    test.run(&["init-shards"]).fails(78).says("shard `shard_3`").says("has no catalog of the cluster");
    std::fs::remove_file(test.config()).unwrap();
    test.init().fails(78).says("shard `shard_3` has no catalog").says("epoch 2");
}

#[test]
fn an_empty_database_never_takes_the_place_of_a_shard() {
    let (test, empty) = (Test::initialised(), Test::new());
    test.run(&["create-user", "--id", "1", "--name", "x"]).success();
    let config = std::fs::read_to_string(test.config()).unwrap();
    // A URL that leads to an empty database, in the file, by flags, for one shard and for all.
    std::fs::write(test.config(), config.replace(&test.database(2), &empty.database(2))).unwrap();
    test.run(&["init-shards"]).fails(78).says("shard_2").says("has no catalog of the cluster");
    std::fs::write(test.config(), &config).unwrap();
    let mut command = test.command();
    command.arg("init-shards").args(empty.shard_flags());
    Ran::of(command.spawn().unwrap()).fails(78).says("has no catalog of the cluster");
    assert_eq!(std::fs::read_to_string(test.config()).unwrap(), config);
    for number in 1..=3 {
        let schemas = empty.query(number, "SELECT FROM pg_namespace WHERE nspname = 'ringshard'", &[]);
        assert!(schemas.is_empty());
    }
    test.execute(2, "DROP TABLE users");
    test.run(&["init-shards"]).fails(78).says("has a catalog, but no table `users`");
}

#[test]
fn overlapping_concurrent_initialisations_leave_no_partial_cluster() {
    for _ in 0..3 {
        let test = Test::new();
        let flag = |n: usize| format!("s{n}={}", test.url(n));
        let sets = [[1, 2], [2, 3]];
        let children: Vec<_> = sets
            .iter()
            .enumerate()
            .map(|(at, set)| {
                let config = format!("c{at}.toml");
                let [a, b] = set.map(flag);
                let words = ["--config", &config, "init-shards", "--shard", &a, "--shard", &b];
                test.command().args(words).spawn().unwrap()
            })
            .collect();
        let codes: Vec<i32> = children.into_iter().map(|child| Ran::of(child).code).collect();
        assert!(codes == [0, 78] || codes == [78, 0], "{codes:?}");
        let loser = if codes[0] == 0 { 3 } else { 1 };
        let schemas = test.query(loser, "SELECT FROM pg_namespace WHERE nspname = 'ringshard'", &[]);
        assert!(schemas.is_empty(), "the failed run changed a shard");
    }
}
