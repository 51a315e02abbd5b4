//! Three tables with foreign keys, and movers that are killed at every step, while writers change whole families: nothing is lost,
//! doubled, old or without its parent.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::families::{FamilyWriters, Model, adopted_families, assert_whole};
use crate::support::harness::Test;
use crate::support::rebalances::{STEPS, rebalance_to_failpoint};

const SHARDS: [(usize, &str); 4] = [(1, "main"), (2, "s2"), (3, "s3"), (4, "s4")];
const NUMBERS: [usize; 4] = [1, 2, 3, 4];

fn add(test: &Test, number: usize) {
    test.run(&["add-shard", &format!("s{number}"), &test.url(number)]).success();
}

/// Three shards, and a fourth that has just left, so that writers can connect to it.
fn with_families(count: i64) -> (Test, Model) {
    let (test, model) = adopted_families(count);
    (2..=4).for_each(|number| add(&test, number));
    test.run(&["rebalance", "-y"]).success();
    test.run(&["remove-shard", "s4"]).success();
    test.run(&["rebalance", "-y"]).success();
    assert_whole(&test, &NUMBERS, &model);
    (test, model)
}

#[test]
fn a_rebalance_of_families_killed_at_any_step_is_resumed() {
    // Before and after in turn: each takes seconds.
    killed_at_steps(|at| if at % 2 == 0 { &["before"] } else { &["after"] });
}

#[test]
#[ignore = "takes a minute: cargo test --release --test it families -- --ignored"]
fn a_rebalance_of_families_killed_before_and_after_each_step_is_resumed() {
    killed_at_steps(|_| &["before", "after"]);
}

/// `sides`: where to kill the mover at each of the steps.
fn killed_at_steps(sides: fn(usize) -> &'static [&'static str]) {
    let (test, model) = with_families(150);
    let mut writers = FamilyWriters::start(&test, &SHARDS, &model, 3);
    let (mut has_four, mut crashes, mut all_changes) = (false, 0, 0);
    for (at, (step, pass)) in STEPS.into_iter().enumerate() {
        for side in sides(at) {
            if has_four {
                test.run(&["remove-shard", "s4"]).success();
            } else {
                add(&test, 4);
            }
            has_four = !has_four;
            let point = format!("{side}-{step}:{pass}");
            let ran = rebalance_to_failpoint(&test, &point, &[]);
            assert_eq!(ran.code, -1, "{point} was not reached: {ran:?}");
            crashes += 1;
            thread::sleep(Duration::from_millis(50));
            test.run(&["rebalance", "-y"]).success();
        }
        let (model, changes) = writers.stop();
        all_changes += changes;
        assert_whole(&test, &NUMBERS, &model);
        writers = FamilyWriters::start(&test, &SHARDS, &model, 3);
    }
    let (model, changes) = writers.stop();
    assert_whole(&test, &NUMBERS, &model);
    assert!(crashes >= STEPS.len());
    assert!(all_changes + changes > 100, "only {} changes", all_changes + changes);
}

#[test]
fn a_cancellation_of_families_killed_at_any_step_is_resumed() {
    let (test, model) = with_families(150);
    add(&test, 4);
    let mut writers = FamilyWriters::start(&test, &SHARDS, &model, 3);
    for (step, pass) in [
        ("announce", 1),
        ("announce", 3),
        ("release", 1),
        ("fence", 1),
        ("receive", 2),
        ("purge", 2),
        ("finish", 2),
    ] {
        // Some chunks have moved, and one is fenced.
        assert_eq!(rebalance_to_failpoint(&test, "before-receive:9", &[]).code, -1);
        let point = format!("after-{step}:{pass}");
        let ran = rebalance_to_failpoint(&test, &point, &["cancel"]);
        assert_eq!(ran.code, -1, "{point} was not reached: {ran:?}");
        test.run(&["rebalance", "cancel", "-y"]).success();
        let (model, _) = writers.stop();
        assert_eq!(test.query(4, "SELECT FROM ringshard.arc", &[]).len(), 0, "{point}");
        assert_eq!(test.query(4, "SELECT FROM users", &[]).len(), 0, "{point}");
        assert_whole(&test, &NUMBERS, &model);
        writers = FamilyWriters::start(&test, &SHARDS, &model, 3);
    }
    let (model, _) = writers.stop();
    test.run(&["remove-shard", "s4"]).success();
    assert_whole(&test, &NUMBERS, &model);
}

#[test]
fn streamed_families_survive_a_killed_mover_and_killed_sessions_of_the_source() {
    let (test, mut model) = with_families(30);
    // Each of these has more than fits into memory.
    let heavy = "UPDATE orders SET data = data || jsonb_build_object('pad', \
                 (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 60000) AS i))";
    (1..=3).for_each(|number| test.execute(number, heavy));
    add(&test, 4);
    assert_eq!(rebalance_to_failpoint(&test, "after-receive:1", &[]).code, -1);
    let writers = FamilyWriters::start(&test, &SHARDS, &model, 1);
    let mut mover = test.command().args(["rebalance", "-y", "--chunk-rows", "10"]).spawn().unwrap();
    let mut killed = 0;
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND query LIKE 'FETCH % FROM rows_of_chunk' AND pid <> pg_backend_pid()";
    while mover.try_wait().unwrap().is_none() {
        if killed < 6 {
            killed += (1..=3).map(|number| test.query(number, sql, &[]).len()).sum::<usize>();
        }
        thread::sleep(Duration::from_millis(30));
    }
    mover.wait().unwrap();
    test.run(&["rebalance", "-y"]).success();
    (model, _) = writers.stop();
    assert!(killed > 0, "no session was streaming");
    assert_whole(&test, &NUMBERS, &model);
}

#[test]
fn a_key_on_its_way_back_is_reached_by_the_owners_that_the_shards_name() {
    let (test, _) = with_families(60);
    add(&test, 4);
    assert_eq!(rebalance_to_failpoint(&test, "before-cut:9", &[]).code, -1);
    assert_eq!(rebalance_to_failpoint(&test, "after-announce:4", &["cancel"]).code, -1);
    // One that its old owner has purged: the mover may have been killed before it purged another.
    let ids = |number| -> BTreeSet<i64> {
        test.query(number, "SELECT id FROM users", &[]).iter().map(|row| row.get(0)).collect()
    };
    let kept: BTreeSet<i64> = (1..=3).flat_map(ids).collect();
    let id = *ids(4).difference(&kept).next().unwrap();
    let mut clients: Vec<_> = NUMBERS.iter().map(|number| test.other_program("postgres", *number)).collect();
    // Each shard refuses it, and names where it was or will be; from there the way leads to where it is.
    for begin in 0..3 {
        let mut place = begin;
        let mut hops = 0;
        let sql = "INSERT INTO users VALUES ($1, 'v0') ON CONFLICT (id) DO UPDATE SET name = excluded.name";
        while let Err(refused) = clients[place].execute(sql, &[&id]) {
            let refused = refused.as_db_error().unwrap().clone();
            assert_eq!(refused.code().code(), "RS001", "{refused:?}");
            let detail: Value = serde_json::from_str(refused.detail().unwrap()).unwrap();
            place = SHARDS.iter().position(|(_, name)| *name == detail["owner"]).unwrap();
            hops += 1;
            assert!(hops <= 2, "shard {begin}: {detail}");
        }
        assert_eq!(place, 3, "shard {begin}");
    }
    test.run(&["rebalance", "cancel", "-y"]).success();
    let moved = clients[..3]
        .iter_mut()
        .map(|client| client.execute("UPDATE users SET name = 'v0' WHERE id = $1", &[&id]).unwrap());
    assert_eq!(moved.sum::<u64>(), 1);
}
