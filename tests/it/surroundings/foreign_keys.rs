//! Foreign keys on `users`: no row that refers to a user is deleted, changed or left dangling by a move or a repair.

use crate::support::clusters::with_users;
use crate::support::harness::{Ran, Test};
use crate::support::rings::owner;

const ACTIONS: [&str; 4] = ["CASCADE", "SET NULL", "NO ACTION", "RESTRICT"];

/// Gives each user of a shard an order.
fn add_orders(test: &Test, number: usize, action: &str) {
    test.execute(
        number,
        &format!(
            "CREATE TABLE orders (order_id bigserial PRIMARY KEY, user_id bigint REFERENCES users ON DELETE {action}); \
             INSERT INTO orders (user_id) SELECT user_id FROM users"
        ),
    );
}

/// How many orders refer to a user of their own shard.
fn orders(test: &Test) -> i64 {
    let sql = "SELECT count(*) FROM orders JOIN users USING (user_id)";
    (1..=3).map(|number| test.query(number, sql, &[])[0].get::<_, i64>(0)).sum()
}

/// A cluster of 300 users whose rebalance ended after it received a chunk, and before it deleted its rows at the source.
fn interrupted() -> Test {
    let test = with_users(300);
    test.run(&["add-shard", "shard_2", "--weight", "3"]).success();
    let mut command = test.command();
    command
        .args(["rebalance", "-y", "--chunk-rows", "5", "--jobs", "1"])
        .env("RINGSHARD_CRASH", "after-receive:4");
    assert_ne!(Ran::of(command.spawn().unwrap()).code, 0);
    test
}

#[test]
fn rows_that_others_refer_to_are_not_moved() {
    for action in ACTIONS {
        let test = with_users(60);
        for number in 1..=3 {
            add_orders(&test, number, action);
        }
        test.run(&["add-shard", "shard_2", "--weight", "3"]).success();
        test.run(&["rebalance", "-y"])
            .fails(78)
            .says("nothing was moved: `side_effects`")
            .says("orders_user_id_fkey");
        assert!(test.run(&["doctor"]).fails(1).stdout.contains("orders_user_id_fkey"));
        assert_eq!(orders(&test), 60);
        // Nothing is under way, so the change can be given up.
        test.run(&["add-shard", "shard_2", "--weight", "1"]).success();
        assert!(test.run(&["rebalance", "status"]).success().stdout.starts_with("idle"));
        for number in 1..=3 {
            test.execute(number, "ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey");
        }
        test.run(&["doctor"]).success();
    }
}

#[test]
fn a_foreign_key_that_comes_during_a_change_stops_it_and_cancel_leads_back() {
    for action in ACTIONS {
        let test = interrupted();
        for number in 1..=3 {
            add_orders(&test, number, action);
        }
        let before: i64 = (1..=3)
            .map(|n| {
                test.query(n, "SELECT count(*) FROM orders WHERE user_id IS NOT NULL", &[])[0]
                    .get::<_, i64>(0)
            })
            .sum();
        test.run(&["rebalance", "-y"]).fails(78).says("orders_user_id_fkey");
        let cancelled = test.run(&["rebalance", "cancel", "-y"]);
        // What had to be left behind is named.
        assert!(cancelled.code == 0 || cancelled.stderr.contains("misplaced"), "{cancelled:?}");
        assert!(test.run(&["rebalance", "status"]).success().stdout.starts_with("planned"));
        let after: i64 = (1..=3)
            .map(|n| {
                test.query(n, "SELECT count(*) FROM orders WHERE user_id IS NOT NULL", &[])[0]
                    .get::<_, i64>(0)
            })
            .sum();
        assert_eq!(before, after, "{action}");
        assert_eq!(test.run(&["count"]).success().stdout, "300\n");
        for id in 1..=300 {
            assert!(test.ids(owner(id)).contains(&id), "{action}: user {id} is not back");
        }
        // It is repaired once nothing refers to it.
        for number in 1..=3 {
            test.execute(number, "ALTER TABLE orders DROP CONSTRAINT orders_user_id_fkey");
        }
        test.run(&["verify", "--fix", "-y"]).success();
        test.run(&["verify"]).success();
    }
}

#[test]
fn a_repair_does_not_delete_a_row_that_others_refer_to() {
    for action in ACTIONS {
        let test = with_users(30);
        let id = (1..=30).find(|id| owner(*id) == 2).unwrap();
        test.execute(1, &format!("INSERT INTO users SELECT {id}, 'Name {id}', NULL, NULL"));
        add_orders(&test, 1, action);
        let count = || {
            test.query(1, "SELECT count(*) FROM orders WHERE user_id IS NOT NULL", &[])[0].get::<_, i64>(0)
        };
        let before = count();
        test.run(&["verify", "--fix", "-y"]).fails(78).says("orders_user_id_fkey");
        assert_eq!(count(), before);
        test.execute(1, "DROP TABLE orders");
        test.run(&["verify", "--fix", "-y"]).success();
    }
}

#[test]
fn a_foreign_key_of_users_is_refused_before_anything_moves() {
    let test = with_users(60);
    for number in 1..=3 {
        test.execute(
            number,
            "CREATE TABLE regions (code varchar(50) PRIMARY KEY); INSERT INTO regions VALUES ('EU'), ('US')",
        );
        test.execute(
            number,
            "ALTER TABLE users ADD CONSTRAINT in_region FOREIGN KEY (region) REFERENCES regions",
        );
    }
    test.run(&["add-shard", "shard_2", "--weight", "3"]).success();
    test.run(&["rebalance", "-y"]).fails(78).says("nothing was moved").says("in_region");
}

#[test]
fn a_user_that_was_deleted_meanwhile_does_not_come_back_with_a_cancel() {
    let test = interrupted();
    // The rows of one chunk are on the source, too.
    let received = test.ids(2);
    let (source, id) = [1, 3]
        .into_iter()
        .find_map(|number| Some((number, *test.ids(number).iter().find(|id| received.contains(id))?)))
        .unwrap();
    for number in 1..=3 {
        add_orders(&test, number, "CASCADE");
    }
    let orders_on = |number| test.query(number, "SELECT count(*) FROM orders", &[])[0].get::<_, i64>(0);
    let before = orders_on(source);
    test.run(&["delete-user", &id.to_string()]).success();
    test.run(&["rebalance", "cancel", "-y"]);
    test.run(&["get-user", &id.to_string()]).fails(4);
    assert_eq!(test.run(&["count"]).success().stdout, "299\n");
    // The user was deleted, so its order was as well, and no other.
    assert_eq!(orders_on(source), before - 1);
}
