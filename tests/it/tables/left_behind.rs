//! Rows that a purge had to leave behind, as somebody made a foreign key in the meantime, and that come back by a cancellation.

use crate::support::families::{FAMILIES, FAMILY_KEYS};
use crate::support::harness::Test;
use crate::support::rebalances::rebalance_to_failpoint;

#[test]
fn what_has_changed_since_then_comes_back_over_what_was_left_behind() {
    let test = Test::new();
    let fill = "ALTER TABLE orders ADD place text, ADD UNIQUE (user_id, place); \
                CREATE TABLE notes (id bigint NOT NULL, note text, UNIQUE (id, note)); \
                INSERT INTO users SELECT i, 'v0' FROM generate_series(1, 300) AS i; \
                INSERT INTO notes SELECT i, 'x' FROM generate_series(1, 300) AS i; \
                INSERT INTO orders SELECT i, n, '{}', n::text FROM generate_series(1, 300) AS i, generate_series(1, 3) AS n; \
                INSERT INTO payments SELECT user_id, number, 1 FROM orders";
    test.execute(1, &format!("{FAMILIES}; {fill}"));
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    for (table, key) in FAMILY_KEYS.into_iter().chain([("notes", "id")]) {
        test.run(&["table", "add", table, "--key", key]).success();
    }
    test.run(&["add-shard", "s2", &test.url(2)]).success();
    // A chunk has moved, and its rows are on both; some arcs have few.
    let fenced =
        "SELECT FROM ringshard.arc WHERE state = 'fenced' AND md5(KEY::text)::uuid BETWEEN first AND last";
    let ids = format!("SELECT id FROM users WHERE EXISTS ({})", fenced.replace("KEY", "id"));
    let mut ids_of_chunk: Vec<i64> = Vec::new();
    while ids_of_chunk.len() < 3 {
        assert_eq!(rebalance_to_failpoint(&test, "before-purge:2", &[]).code, -1);
        ids_of_chunk = test.query(1, &ids, &[]).iter().map(|row| row.get(0)).collect();
    }
    test.execute(1, "CREATE TABLE visits (user_id bigint REFERENCES users ON DELETE CASCADE)");
    test.execute(1, "INSERT INTO visits SELECT id FROM users");
    let visits = test.query(1, "SELECT FROM visits", &[]).len();
    // Order 1 gets the place of order 3, which is deleted; one family is deleted, and one order is new.
    let changes = "DELETE FROM payments WHERE number = 3 OR user_id = GONE; DELETE FROM orders WHERE number = 3 OR user_id = GONE; \
                   UPDATE orders SET place = '3' WHERE number = 1; DELETE FROM notes WHERE id = GONE; DELETE FROM users WHERE id = GONE; \
                   INSERT INTO orders SELECT id, 4, '{}', '1' FROM users";
    test.execute(2, &changes.replace("GONE", &ids_of_chunk[0].to_string()));
    let tables = ["users", "orders", "payments", "notes"];
    let rows = |numbers: &[usize], table: &str| {
        let sql = format!("SELECT t::text FROM {table} AS t");
        let found = numbers.iter().flat_map(|number| test.query(*number, &sql, &[]));
        let mut found: Vec<String> = found.map(|row| row.get(0)).collect();
        found.sort();
        found
    };
    // What belongs to `main`, without the chunk that it has not purged yet.
    let expected = tables.map(|table| {
        let key = if table == "users" || table == "notes" { "id" } else { "user_id" };
        let own = format!(
            "SELECT t::text FROM {table} AS t WHERE NOT EXISTS ({})",
            fenced.replace("KEY", &format!("t.{key}"))
        );
        let mut all: Vec<String> = test.query(1, &own, &[]).iter().map(|row| row.get(0)).collect();
        all.extend(rows(&[2], table));
        all.sort();
        all
    });
    test.run(&["rebalance", "cancel", "-y"]).success();
    assert_eq!(tables.map(|table| rows(&[1], table)), expected);
    assert_eq!(tables.map(|table| rows(&[2], table).len()), [0; 4]);
    // The rows that refer to the deleted user have gone with it, and no others.
    assert_eq!(test.query(1, "SELECT FROM visits", &[]).len(), visits - 1);
    test.run(&["verify", "--deep"]).success();
}
