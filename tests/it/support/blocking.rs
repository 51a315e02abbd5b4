//! Waiting until a session waits.

use std::thread;
use std::time::{Duration, Instant};

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
