//! Unique ids that the shards make: `ringshard.next_id()`, `next_own_id()`, and `create-user` without an id.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Stdio;
use std::thread;

use postgres::Client;

use crate::support::harness::{Ran, Test};
use crate::support::rebalances::add_shard;
use crate::support::rings::owner;
use crate::support::servers::Servers;

const NEXT_ID: &str = "SELECT ringshard.next_id()";
/// An hour of the clock, in ids.
const HOUR: i64 = 3_600_000 << 22;
/// The difference between two ids of a shard that follow one another.
const STEP: i64 = 1_024;

fn next_id(client: &mut Client) -> i64 {
    client.query_one(NEXT_ID, &[]).unwrap().get(0)
}

/// The number of the shard that made an id.
fn number_in(id: i64) -> i64 {
    id % STEP
}

/// The state in which a shard is after its clock went back by an hour.
fn set_clock_back(client: &mut Client) -> i64 {
    let sql = "SELECT setval('ringshard.id_sequence', ringshard.next_id() + $1)";
    client.query_one(sql, &[&HOUR]).unwrap().get(0)
}

fn error_of(client: &mut Client, sql: &str) -> (String, String) {
    let error = client.batch_execute(sql).unwrap_err();
    let error = error.as_db_error().unwrap();
    (error.code().code().to_owned(), error.message().to_owned())
}

#[test]
fn ids_of_many_sessions_on_all_shards_are_unique_and_ascend() {
    let test = Test::initialised();
    let sessions: Vec<_> = (0..12).map(|session| (session % 3 + 1, test.client(session % 3 + 1))).collect();
    let threads: Vec<_> = sessions
        .into_iter()
        .map(|(shard, mut client)| {
            thread::spawn(move || {
                let sql = format!("{NEXT_ID} FROM generate_series(1, 500)");
                let made = (0..4).flat_map(|_| client.query(&sql, &[]).unwrap());
                let ids: Vec<i64> = made.map(|row| row.get(0)).collect();
                assert!(ids.is_sorted(), "{ids:?}");
                assert!(ids.iter().all(|id| usize::try_from(number_in(*id)) == Ok(shard) && *id > 0));
                ids
            })
        })
        .collect();
    let ids: BTreeSet<i64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert_eq!(ids.len(), 12 * 4 * 500);
    // Their time is that of the clock.
    let clock = "SELECT extract(epoch FROM clock_timestamp() - '2026-01-01T00:00:00Z')::bigint";
    let clock: i64 = test.query(1, clock, &[])[0].get(0);
    for id in ids {
        let behind = clock - (id >> 22) / 1_000;
        assert!((-1..600).contains(&behind), "{id} is {behind} seconds behind {clock}");
    }
}

#[test]
fn a_clock_that_goes_back_makes_no_id_twice() {
    let test = Test::initialised();
    let mut client = test.client(1);
    let ahead = set_clock_back(&mut client);
    for place in 1..=5 {
        assert_eq!(next_id(&mut client), ahead + place * STEP);
    }
}

/// Without this, setval could put the sequence back behind an id that nextval made meanwhile.
#[test]
fn the_sequence_is_brought_up_to_the_clock_by_a_session_that_is_alone() {
    let test = Test::initialised();
    let (mut one, mut other) = (test.client(1), test.client(1));
    let first = next_id(&mut one);
    other.batch_execute("SELECT pg_advisory_lock_shared(7283008)").unwrap();
    let second = next_id(&mut one);
    assert!((first + STEP..first + (1 << 22)).contains(&second), "another session is in nextval");
    other.batch_execute("SELECT pg_advisory_unlock_shared(7283008)").unwrap();
    assert!(next_id(&mut one) >= first + (1 << 22));
    other.batch_execute("SELECT pg_advisory_lock(7283008)").unwrap();
    one.batch_execute("SET lock_timeout = '10ms'").unwrap();
    let (code, _) = error_of(&mut one, NEXT_ID);
    assert_eq!(code, "55P03", "another session is in setval");
    assert_no_lock_is_left(&mut one);
}

/// Asserts that a session holds no advisory lock.
#[track_caller]
fn assert_no_lock_is_left(client: &mut Client) {
    let sql = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()";
    assert!(client.query(sql, &[]).unwrap().is_empty());
}

#[test]
fn a_read_only_transaction_makes_no_id_and_leaves_no_lock() {
    let test = Test::initialised();
    let mut client = test.client(1);
    for sql in [NEXT_ID, "SELECT ringshard.next_own_id()"] {
        client.batch_execute("BEGIN READ ONLY").unwrap();
        assert_eq!(error_of(&mut client, sql).0, "25006");
        client.batch_execute("ROLLBACK").unwrap();
        assert_no_lock_is_left(&mut client);
    }
}

#[test]
fn a_crash_makes_no_id_twice() {
    let servers = Servers::initialised(1);
    let mut open = servers.client(1);
    // Ahead of the clock, which would hide what is lost.
    set_clock_back(&mut open);
    open.batch_execute("CREATE TABLE t (id bigint DEFAULT ringshard.next_id(), n integer)").unwrap();
    // This logs the next ids, and never commits.
    open.batch_execute("BEGIN").unwrap();
    next_id(&mut open);
    let mut client = servers.client(1);
    let answered: Vec<i64> = (0..5).map(|_| next_id(&mut client)).collect();
    servers.crash(1);
    servers.start(1);
    let mut client = servers.client(1);
    assert!(next_id(&mut client) > answered[4], "an id that a client has is made again");
    let stored = client.query_one("INSERT INTO t (n) VALUES (1) RETURNING id", &[]).unwrap().get::<_, i64>(0);
    servers.crash(1);
    servers.start(1);
    assert!(next_id(&mut servers.client(1)) > stored, "an id of a stored row is made again");
}

#[test]
fn a_shard_keeps_its_number_and_no_later_one_gets_it() {
    let test = Test::initialised();
    let go = |words: &[&str]| -> Ran { test.run(words).success() };
    let number = |shard: usize| number_in(next_id(&mut test.client(shard)));
    go(&["remove-shard", "shard_3"]);
    go(&["rebalance", "-y"]);
    // One that has left makes ids that no other one makes, but owns none.
    assert_eq!(number(3), 3);
    let (code, message) = error_of(&mut test.client(3), "SELECT ringshard.next_own_id()");
    assert_eq!((code.as_str(), message.contains("owns no part of the ring")), ("RS010", true), "{message}");

    add_shard(&test, 4).success();
    let (code, message) = error_of(&mut test.client(4), NEXT_ID);
    assert_eq!(
        (code.as_str(), message.contains("not part of the cluster yet")),
        ("RS010", true),
        "{message}"
    );
    go(&["rebalance", "-y"]);
    assert_eq!(number(4), 4);
    // Planned only, so the number is free.
    add_shard(&test, 3).success();
    go(&["remove-shard", "shard_3"]);
    add_shard(&test, 3).success();
    // It joins, and is taken back before it is done.
    let mut command = test.command();
    command.args(["rebalance", "-y", "--chunk-rows", "5"]).env("RINGSHARD_CRASH", "after-fence:1");
    assert_ne!(Ran::of(command.spawn().unwrap()).code, 0);
    assert_eq!(number(3), 5);
    go(&["rebalance", "cancel", "-y"]);
    go(&["remove-shard", "shard_3"]);
    add_shard(&test, 3).success();
    go(&["add-shard", "shard_1", "--weight", "2"]);
    go(&["rebalance", "-y"]);
    assert_eq!([1, 2, 3, 4].map(number), [1, 2, 6, 4]);
    go(&["verify"]);
    go(&["doctor"]);
}

#[test]
fn a_role_that_may_insert_gets_ids_by_default() {
    let test = Test::initialised();
    for shard in 1..=3 {
        test.execute(
            shard,
            "CREATE TABLE things (id bigint PRIMARY KEY DEFAULT ringshard.next_own_id(), \
                                  thing_id bigint UNIQUE DEFAULT ringshard.next_id(), n integer); \
             GRANT SELECT, INSERT ON things TO plain",
        );
    }
    let ran =
        test.run(&["table", "add", "things", "--key", "id", "--unchecked-unique", "things_thing_id_key"]);
    assert!(!ran.success().stderr.contains("warning"));
    let mut all = BTreeSet::new();
    for shard in 1..=3 {
        let mut client = test.other_program("plain", shard);
        let sql = "INSERT INTO things (n) SELECT generate_series(1, 100) RETURNING id, thing_id";
        for row in client.query(sql, &[]).unwrap() {
            let (id, thing_id): (i64, i64) = (row.get(0), row.get(1));
            assert_eq!(owner(id), shard);
            assert!(all.insert(id) && all.insert(thing_id));
        }
        assert_no_lock_is_left(&mut client);
        assert!(client.batch_execute("SELECT setval('ringshard.id_sequence', 1)").is_err());
    }
    test.run(&["verify"]).success();
}

#[test]
fn a_user_without_an_id_gets_one_of_the_shard_that_stores_it() {
    let test = Test::initialised();
    let lines = "create-user --name A --region EU\n".repeat(30) + "create-user 7 --name B\n";
    let mut child = test.command().stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let ran = Ran::of(child).success();
    let mut used = BTreeSet::new();
    for fields in &ran.fields()[..30] {
        let id: i64 = fields[0].parse().unwrap();
        let shard = usize::try_from(number_in(id)).unwrap();
        assert_eq!(shard, owner(id));
        assert!(test.ids(shard).contains(&id));
        assert_eq!(test.run(&["get-user", fields[0]]).success().fields()[0], *fields);
        used.insert(shard);
    }
    assert_eq!(used, BTreeSet::from([1, 2, 3]), "shards get users by their shares of the ring");
    assert_eq!(ran.fields()[30], ["7", "B", "\\N", "\\N"]);
    assert_eq!(test.run(&["count"]).success().stdout, "31\n");

    // A shard that is down, or owns nothing, is not needed.
    test.allow(1, false);
    test.execute(2, "DELETE FROM ringshard.arc");
    for _ in 0..6 {
        let ran = test.run(&["create-user", "--name", "C"]).success();
        assert_eq!(number_in(ran.fields()[0][0].parse().unwrap()), 3);
    }
    test.allow(3, false);
    test.run(&["create-user", "--name", "C"]).fails(69);
    (1..=3).for_each(|shard| test.allow(shard, true));
}
