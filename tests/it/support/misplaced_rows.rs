//! Rows on shards that do not own them, and quarantined rows.

use std::collections::BTreeMap;

use super::harness::{Ran, Test};
use super::rings::{non_owner, owner};

/// Inserts a row, past the guard.
pub(crate) fn put_row(test: &Test, shard: usize, id: i64, name: &str) {
    let sql = "INSERT INTO users SELECT id, $2, CASE WHEN id % 3 > 0 THEN (ARRAY['EU', 'US'])[id % 3] END, NULL \
               FROM (SELECT $1::bigint AS id) AS one";
    test.client(shard).execute(sql, &[&id, &name]).unwrap();
}

pub(crate) fn delete_row(test: &Test, shard: usize, id: i64) {
    assert_eq!(test.client(shard).execute("DELETE FROM users WHERE user_id = $1", &[&id]).unwrap(), 1);
}

/// Damages a cluster of 300 users: 2 also has an equal misplaced row, 3 a different one, 4 only a misplaced one, and
/// 5 one on each of the two shards that do not own it.
pub(crate) fn damage(test: &Test) {
    put_row(test, non_owner(2), 2, "Name 2");
    put_row(test, non_owner(3), 3, "another");
    delete_row(test, owner(4), 4);
    put_row(test, non_owner(4), 4, "Name 4");
    delete_row(test, owner(5), 5);
    put_row(test, non_owner(5), 5, "Name 5");
    put_row(test, non_owner(5) % 3 + 1, 5, "Name 5 too");
    assert_ne!(owner(5), non_owner(5) % 3 + 1);
}

/// The sums of the columns from `misplaced` on.
pub(crate) fn sums(ran: &Ran) -> [i64; 4] {
    let fields = ran.fields();
    assert_eq!(fields.len(), 3);
    [2, 3, 4, 5].map(|at| fields.iter().map(|row| row[at].parse::<i64>().unwrap_or(-1)).sum())
}

/// Every row of every shard.
pub(crate) fn rows(test: &Test) -> BTreeMap<(usize, i64), String> {
    let all = (1..=3).flat_map(|shard| {
        let rows = test.query(shard, "SELECT user_id, users::text FROM users", &[]);
        rows.into_iter().map(move |row| ((shard, row.get(0)), row.get(1))).collect::<Vec<_>>()
    });
    all.collect()
}

/// The quarantined rows of all shards: id, name, reason.
pub(crate) fn quarantine(test: &Test) -> Vec<(i64, String, String)> {
    let sql = "SELECT (contents::users).user_id, (contents::users).name, reason FROM ringshard.quarantine";
    let all = (1..=3).flat_map(|shard| test.query(shard, sql, &[]));
    let mut all: Vec<_> = all.map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    all.sort();
    all
}
