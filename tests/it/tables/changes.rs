//! Adding and removing a table, interrupted at any step, and tables that are dropped behind ringshard's back.

use std::thread;
use std::time::Duration;

use super::sharded::adopted;
use crate::support::harness::{Ran, Test};

const GUARD: &str =
    "SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass AND tgname LIKE 'ringshard%'";

/// A cluster of three shards with the empty table `t` on each, which is not sharded.
fn with_table() -> Test {
    let test = Test::initialised();
    (1..=3).for_each(|number| test.execute(number, "CREATE TABLE t (k bigint PRIMARY KEY, v integer)"));
    test
}

fn killed_at(test: &Test, point: &str, words: &[&str]) {
    let mut command = test.command();
    let ran = Ran::of(command.args(words).env("RINGSHARD_CRASH", point).spawn().unwrap());
    assert_eq!(ran.code, -1, "{point} was not reached: {ran:?}");
}

fn guards(test: &Test) -> Vec<i64> {
    (1..=3).map(|number| test.query(number, GUARD, &[])[0].get(0)).collect()
}

fn tables(test: &Test) -> usize {
    test.run(&["table", "list"]).success().fields().len()
}

const ADD: [&str; 5] = ["table", "add", "t", "--key", "k"];
const REMOVE: [&str; 3] = ["table", "remove", "t"];

#[test]
fn adding_and_removing_a_table_killed_at_any_step_is_resumed() {
    let test = with_table();
    for step in ["announce", "finish"] {
        for pass in 1..=3 {
            for side in ["before", "after"] {
                let point = format!("{side}-{step}:{pass}");
                killed_at(&test, &point, &ADD);
                test.run(&["rebalance", "-y"]).success();
                assert_eq!((tables(&test), guards(&test)), (2, vec![4, 4, 4]), "{point}");
                killed_at(&test, &point, &REMOVE);
                test.run(&["rebalance", "-y"]).success();
                // If the removal was complete, nobody knew of the guard any more.
                if guards(&test) != [0, 0, 0] {
                    assert_eq!(point, "after-finish:3");
                    test.run(&REMOVE).success();
                }
                assert_eq!((tables(&test), guards(&test)), (1, vec![0, 0, 0]), "{point}");
                test.run(&REMOVE).fails(4);
            }
        }
    }
    test.run(&["doctor"]).success();
}

#[test]
fn a_planned_addition_or_removal_is_taken_back_by_its_opposite() {
    let test = with_table();
    killed_at(&test, "before-announce:1", &ADD);
    test.run(&["add-shard", "shard_2", "--weight", "2"]).fails(75);
    test.run(&REMOVE).success();
    assert_eq!((tables(&test), guards(&test)), (1, vec![0, 0, 0]));
    test.run(&ADD).success();
    killed_at(&test, "before-announce:1", &REMOVE);
    test.run(&ADD).success();
    test.run(&["rebalance", "-y"]).success();
    assert_eq!((tables(&test), guards(&test)), (2, vec![4, 4, 4]));
}

#[test]
fn a_table_that_was_dropped_can_be_removed() {
    let test = with_table();
    test.run(&ADD).success();
    test.execute(2, "DROP TABLE t");
    test.run(&["count"]).success();
    test.run(&["shards"]).success();
    test.run(&["table", "list"]).fails(78).says("lacks a table").says("remove it (ringshard table list)");
    test.run(&REMOVE).success();
    assert_eq!(tables(&test), 1);
    test.run(&["verify", "--deep"]).success();
    // Dropped while its addition is planned: it is not added without a guard.
    test.execute(2, "CREATE TABLE t (k bigint PRIMARY KEY, v integer)");
    killed_at(&test, "before-announce:1", &ADD);
    test.execute(2, "DROP TABLE t");
    test.run(&["rebalance", "-y"]).fails(4).says("shard `shard_2` has no table `t`");
    test.run(&REMOVE).success();
    test.run(&["doctor"]).success();
}

#[test]
fn a_table_that_is_renamed_during_a_change_stops_it_until_it_is_back() {
    let test = with_table();
    for number in 1..=3 {
        test.execute(number, "ALTER TABLE t ADD w text");
    }
    test.run(&ADD).success();
    for number in 1..=3 {
        let own = "INSERT INTO t SELECT i FROM generate_series(1, 300) AS i WHERE EXISTS (SELECT FROM ringshard.arc \
                   WHERE md5(i::text)::uuid BETWEEN first AND last)";
        test.execute(number, own);
    }
    test.run(&["add-shard", "shard_4", &test.url(4)]).success();
    let mut command = test.command();
    let words = ["rebalance", "-y", "--chunk-rows", "20"];
    let ran = Ran::of(command.args(words).env("RINGSHARD_CRASH", "before-receive:4").spawn().unwrap());
    assert_eq!(ran.code, -1, "{ran:?}");
    test.execute(4, "ALTER TABLE t RENAME TO u");
    test.run(&["rebalance", "-y"]).fails(78).says("public.t");
    test.run(&["rebalance", "cancel", "-y"]).fails(78).says("public.t");
    test.execute(4, "ALTER TABLE u RENAME TO t");
    test.run(&["rebalance", "cancel", "-y"]).success();
    let rows: usize = (1..=3).map(|number| test.query(number, "SELECT FROM t", &[]).len()).sum();
    assert_eq!(rows, 300);
    test.run(&["rebalance", "-y"]).success();
    test.run(&["verify", "--deep"]).success();
}

#[test]
fn writers_do_not_queue_behind_a_command_that_waits_for_a_table() {
    let test = adopted();
    for words in [&["table", "remove", "payments"][..], &["table", "add", "payments", "--key", "user_id"]] {
        // An application that leaves a transaction open.
        let mut holder = test.client(1);
        let mut transaction = holder.transaction().unwrap();
        transaction.batch_execute("INSERT INTO payments SELECT user_id, number FROM orders LIMIT 1").unwrap();
        let command = test.command().args(words).spawn().unwrap();
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'payments'::regclass";
        while test.query(1, waiting, &[])[0].get::<_, i64>(0) == 0 {
            thread::sleep(Duration::from_millis(20));
        }
        // It would wait for as long as the transaction lasts.
        let mut writer = test.client(1);
        writer.batch_execute("SET lock_timeout = '20s'").unwrap();
        writer.batch_execute("INSERT INTO payments SELECT user_id, number FROM orders LIMIT 1").unwrap();
        transaction.commit().unwrap();
        Ran::of(command).success();
    }
    test.run(&["verify"]).success();
}
