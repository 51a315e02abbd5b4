//! Rebalances: how a test starts, watches and checks one.

use std::collections::BTreeMap;
use std::process::Child;
use std::thread;
use std::time::Duration;

use ringshard::model::ring::position::Position;
use ringshard::model::ring::topology::Topology;
use ringshard::model::user::UserId;

use super::harness::{Ran, Test};
use super::user_files::{Fields, users};

/// The failpoints `before-` and `after-` each of these, at this pass.
pub(crate) const STEPS: [(&str, u32); 13] = [
    ("announce", 1),
    ("announce", 2),
    ("announce", 4),
    ("cut", 1),
    ("fence", 1),
    ("fence", 7),
    ("read", 3),
    ("receive", 1),
    ("receive", 6),
    ("purge", 2),
    ("finish", 1),
    ("finish", 2),
    ("finish", 4),
];

/// Adds `shard_NUMBER` to the desired topology, in a database of the test.
pub(crate) fn add_shard(test: &Test, number: usize) -> Ran {
    test.run(&["add-shard", &format!("shard_{number}"), &test.url(number)])
}

/// Starts a rebalance in chunks of 20 rows at this rate.
pub(crate) fn start_slow_rebalance(test: &Test, rows_per_second: u32) -> Child {
    let rate = rows_per_second.to_string();
    test.command()
        .args(["rebalance", "-y", "--chunk-rows", "20", "--max-rows-per-sec", &rate])
        .spawn()
        .unwrap()
}

/// Removes and adds the fourth shard, again and again, until something is over.
pub(crate) fn rebalance_until(test: &Test, is_over: impl Fn() -> bool) {
    for turn in 0.. {
        if is_over() {
            return;
        }
        if turn % 2 == 0 {
            test.run(&["remove-shard", "shard_4"]).success();
        } else {
            add_shard(test, 4).success();
        }
        assert!(start_slow_rebalance(test, 60).wait().unwrap().success());
    }
}

/// How many reads a client does in a long run: `RINGSHARD_TEST_READS`, or a million.
pub(crate) fn reads_of_a_long_run() -> usize {
    std::env::var("RINGSHARD_TEST_READS").map_or(1_000_000, |count| count.parse().unwrap())
}

/// Waits until these shards have received this many rows or more.
pub(crate) fn wait_for_moved_rows(test: &Test, numbers: &[usize], rows: i64) {
    let moved = || -> i64 {
        let sql = "SELECT coalesce(sum(rows), 0)::bigint FROM ringshard.migration_progress \
                   WHERE epoch = (SELECT epoch FROM ringshard.meta)";
        numbers.iter().map(|number| test.query(*number, sql, &[])[0].get::<_, i64>(0)).sum()
    };
    while moved() < rows {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Creates the index on the three shards that a rebalance would build before it moves rows.
pub(crate) fn create_position_indexes(test: &Test) {
    for number in 1..=3 {
        test.execute(number, "CREATE INDEX ringshard_position ON users ((md5(user_id::text)::uuid))");
    }
}

/// Runs a rebalance in small chunks whose process ends at this failpoint.
pub(crate) fn rebalance_to_failpoint(test: &Test, point: &str, words: &[&str]) -> Ran {
    let mut command = test.command();
    command.args(["rebalance"]).args(words).args(["-y", "--chunk-rows", "40"]).env("RINGSHARD_CRASH", point);
    Ran::of(command.spawn().unwrap())
}

/// Asserts that the topology is in force on all shards, that each holds the arcs and exactly those of the users that
/// the ring assigns to it, and that nothing was left behind.
#[track_caller]
pub(crate) fn assert_settled(test: &Test, topology: &Topology, ids: impl IntoIterator<Item = i64>) {
    let ring = topology.ring();
    let mut expected: BTreeMap<String, Vec<i64>> =
        topology.names().map(|name| (name.to_string(), Vec::new())).collect();
    for id in ids {
        let owner = ring.owner(Position::of_user(UserId::new(id))).to_string();
        expected.get_mut(&owner).unwrap().push(id);
    }
    for (name, ids) in expected {
        let number: usize = name.strip_prefix("shard_").unwrap().parse().unwrap();
        assert!(test.ids(number) == ids, "`{name}` holds other users than the ring gives it");
        let arcs = "SELECT first::text, last::text FROM ringshard.arc WHERE state = 'owned' ORDER BY last";
        let arcs: Vec<(String, String)> =
            test.query(number, arcs, &[]).iter().map(|row| (row.get(0), row.get(1))).collect();
        let ring_arcs = ring.arcs();
        let own = ring_arcs.iter().filter(|owned| owned.shard.as_str() == name).map(|owned| owned.arc);
        let hex = |position: Position| format!("{:032x}", position.number());
        let own: Vec<(String, String)> = ringshard::model::ring::arc::merged(own)
            .iter()
            .map(|arc| (hex(arc.first()), hex(arc.last())))
            .collect();
        let bare = |text: &str| text.replace('-', "");
        assert_eq!(arcs.iter().map(|(f, l)| (bare(f), bare(l))).collect::<Vec<_>>(), own, "{name}");
        let left = "SELECT (SELECT count(*) FROM ringshard.arc WHERE state <> 'owned') \
                         + (SELECT count(*) FROM ringshard.meta WHERE status <> 'done' OR desired_topology IS NOT NULL \
                                OR topology_md5 IS DISTINCT FROM md5(topology::text)::uuid) \
                         + (SELECT count(*) FROM ringshard.quarantine) \
                         + (SELECT count(*) FROM pg_indexes WHERE indexname = 'ringshard_position')";
        assert_eq!(test.query(number, left, &[])[0].get::<_, i64>(0), 0, "{name}");
    }
}

/// All users on these shards. Asserts that none is stored twice.
pub(crate) fn users_on(test: &Test, numbers: &[usize]) -> BTreeMap<i64, Fields> {
    let mut all = BTreeMap::new();
    for number in numbers {
        for row in test.query(*number, "SELECT user_id, name, region, email FROM users", &[]) {
            let before = all.insert(row.get(0), (row.get(1), row.get(2), row.get(3)));
            assert_eq!(before, None, "user {} is stored twice", row.get::<_, i64>(0));
        }
    }
    all
}

/// Asserts that these shards hold the users `1 .. end` and no others.
#[track_caller]
pub(crate) fn assert_users(test: &Test, numbers: &[usize], end: i64) {
    assert!(users_on(test, numbers) == users(1..end), "the shards hold other users than were stored");
}
