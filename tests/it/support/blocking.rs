//! Waiting until a session waits.

use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, Transaction};

use super::harness::Test;

/// Waits until the shard has a session that waits for a lock.
pub(crate) fn wait_until_blocked(test: &Test, shard: usize) {
    let begun = Instant::now();
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'";
    while test.query(shard, sql, &[&test.database(shard)])[0].get::<_, i64>(0) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no session waits");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Begins a transaction that updates a user, and so holds the barrier. Also the process id of its session.
pub(crate) fn begin_update(client: &mut Client, id: i64) -> (Transaction<'_>, i32) {
    let mut transaction = client.transaction().unwrap();
    transaction.execute("UPDATE users SET region = 'x' WHERE user_id = $1", &[&id]).unwrap();
    let pid = transaction.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    (transaction, pid)
}
