//! Shards that join clusters with other tables than `users` alone.

use crate::support::harness::Test;

const ADD: [&str; 5] = ["table", "add", "t", "--key", "k"];

#[test]
fn a_shard_joins_a_cluster_without_tables() {
    let test = Test::new();
    test.execute(1, "CREATE TABLE t (k bigint PRIMARY KEY)");
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    test.run(&["add-shard", "s2", &test.url(2)]).success();
    test.run(&["rebalance", "-y"]).success();
    test.execute(2, "CREATE TABLE t (k bigint PRIMARY KEY)");
    test.run(&ADD).success();
    test.run(&["doctor"]).success();
}

#[test]
fn a_shard_joins_a_cluster_of_users_and_another_table() {
    let test = Test::initialised();
    (1..=3).for_each(|number| test.execute(number, "CREATE TABLE t (k bigint PRIMARY KEY)"));
    (1..=3).for_each(|number| test.execute(number, "CREATE INDEX users_email ON users (email)"));
    test.run(&ADD).success();
    test.run(&["create-user", "--id", "5", "--name", "A"]).success();
    test.run(&["add-shard", "shard_4", &test.url(4)]).success();
    test.run(&["rebalance", "-y"]).success();
    assert_eq!(test.query(4, "SELECT FROM pg_indexes WHERE indexname = 'users_email'", &[]).len(), 1);
    test.run(&["get-user", "5"]).success();
    assert_eq!(test.ids(4), [5]);
    test.run(&["doctor"]).success();
}
