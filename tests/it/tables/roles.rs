//! Roles that are no superusers: they cannot suppress triggers, so the checks of foreign keys run as rows move.

use crate::support::families::FAMILIES;
use crate::support::harness::{Ran, Test, admin, url};

/// A cluster of one shard with these tables, which belong to a role with few rights, and so do three databases.
fn owned_by_plain(tables: &str, keys: &[(&str, &str)]) -> Test {
    let test = Test::new();
    for number in 1..=3 {
        admin().batch_execute(&format!("ALTER DATABASE {} OWNER TO plain", test.database(number))).unwrap();
    }
    test.other_program("plain", 1).batch_execute(tables).unwrap();
    test.run(&["init-shards", "--shard", &format!("main={}", url("plain", &test.database(1)))]).success();
    for (table, key) in keys {
        test.run(&["table", "add", table, "--key", key]).success();
    }
    test.run(&["add-shard", "s2", &url("plain", &test.database(2))]).success();
    test
}

fn there_and_back(test: &Test) {
    let go = |words: &[&str]| -> Ran { test.run(words).success() };
    go(&["rebalance", "-y"]);
    go(&["verify", "--deep"]);
    go(&["remove-shard", "s2"]);
    go(&["rebalance", "-y", "--chunk-rows", "20"]);
    go(&["verify", "--deep"]);
}

#[test]
fn families_move_under_their_foreign_keys() {
    let fill = "INSERT INTO users SELECT i, 'v0' FROM generate_series(1, 100) AS i; \
                INSERT INTO orders SELECT i, n, '{}' FROM generate_series(1, 100) AS i, generate_series(1, 3) AS n; \
                INSERT INTO payments SELECT user_id, number, 1 FROM orders";
    let test = owned_by_plain(
        &format!("{FAMILIES}; {fill}"),
        &[("users", "id"), ("orders", "user_id"), ("payments", "user_id")],
    );
    there_and_back(&test);
    assert_eq!(test.query(1, "SELECT FROM payments", &[]).len(), 300);
}

#[test]
fn a_table_that_refers_to_itself_moves() {
    let test = owned_by_plain(
        "CREATE TABLE posts (thread bigint, number integer, answers integer, PRIMARY KEY (thread, number), \
             FOREIGN KEY (thread, answers) REFERENCES posts ON DELETE CASCADE); \
         INSERT INTO posts SELECT i, n, n % 4 + 1 FROM generate_series(1, 60) AS i, generate_series(1, 4) AS n",
        &[("posts", "thread")],
    );
    there_and_back(&test);
    assert_eq!(test.query(1, "SELECT FROM posts", &[]).len(), 240);
}

#[test]
fn a_cycle_of_tables_is_refused_before_anything_moves_unless_it_is_deferrable() {
    let test = owned_by_plain(
        "CREATE TABLE users (id bigint PRIMARY KEY, best integer); \
         CREATE TABLE orders (user_id bigint REFERENCES users, number integer, PRIMARY KEY (user_id, number)); \
         ALTER TABLE users ADD FOREIGN KEY (id, best) REFERENCES orders; \
         INSERT INTO users SELECT i FROM generate_series(1, 60) AS i; \
         INSERT INTO orders SELECT i, 1 FROM generate_series(1, 60) AS i; UPDATE users SET best = 1",
        &[("users", "id"), ("orders", "user_id")],
    );
    let refused =
        "foreign key `orders_user_id_fkey` of table orders, in a cycle of tables and not DEFERRABLE";
    test.run(&["rebalance", "-y"]).fails(78).says("nothing was moved").says(refused);
    let deferrable = "ALTER TABLE orders ALTER CONSTRAINT orders_user_id_fkey DEFERRABLE";
    (1..=2).for_each(|number| test.execute(number, deferrable));
    there_and_back(&test);
    assert_eq!(test.query(1, "SELECT FROM users WHERE best = 1", &[]).len(), 60);
}
