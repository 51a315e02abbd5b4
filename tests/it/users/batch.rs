//! Batches of creates by the library: all users are stored on their owners, or none.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use ringshard::error::Kind;
use ringshard::model::ring::position::Position;
use ringshard::model::user::{User, UserId};
use ringshard::pg::cluster::Cluster;
use ringshard::pg::rows::Router;
use ringshard::pg::rows::batch_create::BatchOutcome;

use crate::support::blocking::wait_until_blocked;
use crate::support::harness::Test;
use crate::support::library::{all_ids, cluster, user, users};
use crate::support::move_steps::{Chunk, fence, purge, receive};
use crate::support::rings::{ids_of, owner};

/// Starts to store these users on a separate thread.
fn begin(cluster: &Arc<Cluster>, users: Vec<User>) -> Receiver<BatchOutcome> {
    let (sender, receiver) = channel();
    let cluster = Arc::clone(cluster);
    thread::spawn(move || sender.send(Router(&cluster).create_users(&users)));
    receiver
}

fn soon(batch: &Receiver<BatchOutcome>) -> BatchOutcome {
    batch.recv_timeout(Duration::from_secs(5)).expect("the batch ends soon")
}

#[test]
fn every_user_is_stored_on_its_owner() {
    let test = Test::initialised();
    let cluster = cluster(&test);
    // Three batches, as repeated statements are sent differently; in descending order, with unusual texts.
    let mut odd = users((-150..150).rev());
    odd[7].name = Some("O'Brien; \"{a,b}\" \\N NULL ü \n".into());
    odd[8] = User { user_id: odd[8].user_id, name: None, region: None, email: Some(String::new()) };
    for part in odd.chunks(100) {
        assert_eq!(Router(&cluster).create_users(part), BatchOutcome::Stored);
    }
    assert_eq!(all_ids(&test), (-150..150).collect::<Vec<_>>());
    for user in &odd {
        assert_eq!(Router(&cluster).get_user(user.user_id).unwrap(), *user);
    }
    assert_eq!(Router(&cluster).create_users(&[]), BatchOutcome::Stored);
    let on_one = users(ids_of(2, 1_000, 10));
    assert_eq!(Router(&cluster).create_users(&on_one), BatchOutcome::Stored);
    assert_eq!(all_ids(&test).len(), 310);
    let open =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND state LIKE 'idle in transaction%'";
    for number in 1..=3 {
        assert_eq!(test.query(number, open, &[&test.database(number)])[0].get::<_, i64>(0), 0);
    }
}

#[test]
fn an_existing_user_rejects_the_batch() {
    let test = Test::initialised();
    let cluster = cluster(&test);
    for there in [1, 50, 100] {
        Router(&cluster).create_user(&user(there)).unwrap();
        assert_eq!(Router(&cluster).create_users(&users(1..=100)), BatchOutcome::NotStored);
        assert_eq!(all_ids(&test), [there]);
        // The connections are still usable.
        assert_eq!(Router(&cluster).create_users(&users(101..=200)), BatchOutcome::Stored);
        for id in std::iter::once(there).chain(101..=200) {
            Router(&cluster).delete_user(UserId::new(id)).unwrap();
        }
    }
}

#[test]
fn a_duplicate_user_rejects_the_batch() {
    let test = Test::initialised();
    let cluster = cluster(&test);
    assert_eq!(Router(&cluster).create_users(&users((1..=100).chain([17]))), BatchOutcome::NotStored);
    assert!(all_ids(&test).is_empty());
    assert_eq!(Router(&cluster).create_users(&users(1..=100)), BatchOutcome::Stored);
}

#[test]
fn a_user_on_a_moving_arc_rejects_the_batch() {
    let test = Test::initialised();
    let cluster = cluster(&test);
    let (id, source) = (7, owner(7));
    let target = source % 3 + 1;
    let (mut from, mut to) = (test.client(source), test.client(target));
    let chunk = Chunk::around(&mut from, id);
    let elsewhere: Vec<i64> = (1_000..1_400)
        .filter(|id| {
            let place = format!("{:032x}", Position::of_user(UserId::new(*id)).number());
            !(chunk.first.replace('-', "")..=chunk.last.replace('-', "")).contains(&place)
        })
        .collect();
    let mut stored = 0;
    let mut step = |what: &str| {
        let with_it = users(elsewhere[stored..stored + 100].iter().copied().chain([id]));
        assert_eq!(Router(&cluster).create_users(&with_it), BatchOutcome::NotStored, "{what}");
        assert_eq!(all_ids(&test), elsewhere[..stored], "{what}");
        assert_eq!(Router(&cluster).create_users(&with_it[..100]), BatchOutcome::Stored, "{what}");
        stored += 100;
    };
    fence(&mut from, &chunk, target, 2);
    step("fenced");
    receive(&mut from, &mut to, &chunk, 2);
    step("received");
    purge(&mut from, &chunk);
    step("purged");
}

#[test]
fn a_shard_with_an_unexpected_catalog_stores_nothing() {
    let test = Test::initialised();
    let cluster = cluster(&test);
    let requested = users(1..=50);
    for (wrong, right) in [
        ("UPDATE ringshard.meta SET epoch = 2", "UPDATE ringshard.meta SET epoch = 1"),
        ("UPDATE ringshard.meta SET shard = 'other'", "UPDATE ringshard.meta SET shard = 'shard_2'"),
        (
            "CREATE TABLE was AS SELECT cluster FROM ringshard.meta; \
             UPDATE ringshard.meta SET cluster = md5('other')::uuid",
            "UPDATE ringshard.meta SET cluster = was.cluster FROM was",
        ),
        (
            "UPDATE ringshard.meta SET catalog_version = catalog_version + 1",
            "UPDATE ringshard.meta SET catalog_version = catalog_version - 1",
        ),
        (
            "CREATE TABLE had AS SELECT * FROM ringshard.meta; DELETE FROM ringshard.meta",
            "INSERT INTO ringshard.meta SELECT * FROM had",
        ),
        (
            "CREATE TABLE held AS SELECT * FROM ringshard.arc; DELETE FROM ringshard.arc",
            "INSERT INTO ringshard.arc SELECT * FROM held",
        ),
    ] {
        test.execute(2, wrong);
        assert_eq!(Router(&cluster).create_users(&requested), BatchOutcome::NotStored, "{wrong}");
        test.execute(2, right);
        assert!(all_ids(&test).is_empty(), "{wrong}");
    }
    assert_eq!(Router(&cluster).create_users(&requested), BatchOutcome::Stored, "the catalog is restored");
}

#[test]
fn each_position_is_checked_against_the_owned_arcs() {
    let test = Test::initialised();
    let cluster = cluster(&test);
    // Holes everywhere, also at both ends of the ring.
    test.execute(
        1,
        "DELETE FROM ringshard.arc WHERE last IN (SELECT last FROM (SELECT last, row_number() OVER (ORDER BY last) AS n \
         FROM ringshard.arc) AS numbered WHERE n % 3 = 1); \
         UPDATE ringshard.arc SET state = 'fenced', transfer_to = 'shard_2' WHERE md5(last::text) < '6'",
    );
    let mut client = test.client(1);
    let oracle = "SELECT EXISTS (SELECT FROM ringshard.arc WHERE state = 'owned' \
                  AND md5($1)::uuid BETWEEN first AND last)";
    let mut seen = [0, 0];
    for id in ids_of(1, 1, 200) {
        let is_owned: bool = client.query_one(oracle, &[&id.to_string()]).unwrap().get(0);
        let expected = if is_owned { BatchOutcome::Stored } else { BatchOutcome::NotStored };
        assert_eq!(Router(&cluster).create_users(&users([id])), expected, "user {id}");
        seen[usize::from(is_owned)] += 1;
    }
    assert!(seen[0] > 30 && seen[1] > 30, "{seen:?}");
}

/// The check of ownership must be newer than what the barrier waited for.
#[test]
fn a_batch_that_waits_for_a_fence_sees_it() {
    let test = Test::initialised();
    let cluster = cluster(&test);
    let (id, shard) = (7, owner(7));
    let mut mover = test.client(shard);
    let chunk = Chunk::around(&mut mover, id);
    for _ in 0..50 {
        let mut step = mover.transaction().unwrap();
        step.batch_execute("SELECT pg_advisory_xact_lock(7283001)").unwrap();
        let sql =
            "UPDATE ringshard.arc SET state = 'fenced', transfer_to = 'shard_9' WHERE last = $1::text::uuid";
        step.execute(sql, &[&chunk.last]).unwrap();
        let waited = thread::scope(|scope| {
            let begun = Instant::now();
            let batch = scope.spawn(|| Router(&cluster).create_users(&users([id])));
            wait_until_blocked(&test, shard);
            step.commit().unwrap();
            let waited = begun.elapsed();
            assert_eq!(batch.join().unwrap(), BatchOutcome::NotStored);
            waited
        });
        assert!(all_ids(&test).is_empty());
        test.execute(shard, "UPDATE ringshard.arc SET state = 'owned', transfer_to = NULL");
        // It did not give up waiting: it saw the fence.
        if waited < Duration::from_millis(150) {
            assert_eq!(Router(&cluster).create_users(&users([id])), BatchOutcome::Stored);
            return;
        }
    }
    panic!("this machine is too slow for the test");
}

#[test]
fn a_batch_does_not_wait_long_for_locks() {
    let test = Test::initialised();
    let cluster = Arc::new(cluster(&test));
    let shard = owner(7);
    let mut other = test.client(shard);
    for held in ["SELECT pg_advisory_xact_lock(7283001)", "INSERT INTO users VALUES (7, 'x', NULL, NULL)"] {
        let mut transaction = other.transaction().unwrap();
        transaction.batch_execute(held).unwrap();
        assert_eq!(soon(&begin(&cluster, users(1..=50))), BatchOutcome::NotStored, "{held}");
        transaction.rollback().unwrap();
        assert!(all_ids(&test).is_empty(), "{held}");
    }
    assert_eq!(Router(&cluster).create_users(&users(1..=50)), BatchOutcome::Stored);
}

#[test]
fn conflicting_batches_end_and_store_each_user_once() {
    const ROUNDS: i64 = 10;
    let test = Test::initialised();
    let (sender, ends) = channel();
    let mut threads = Vec::new();
    for is_backwards in [false, true] {
        let (cluster, sender) = (cluster(&test), sender.clone());
        threads.push(thread::spawn(move || {
            let mut stored = 0;
            for round in 0..ROUNDS {
                let mut requested = users(round * 100..(round + 1) * 100);
                if is_backwards {
                    requested.reverse();
                }
                match Router(&cluster).create_users(&requested) {
                    BatchOutcome::Stored => stored += 100,
                    BatchOutcome::NotStored => {
                        for user in &requested {
                            match Router(&cluster).create_user(user) {
                                Ok(_) => stored += 1,
                                Err(error) => assert_eq!(error.kind(), Kind::Conflict, "{error}"),
                            }
                        }
                    }
                    BatchOutcome::Partial(outcomes) => panic!("no connection was cut: {outcomes:?}"),
                }
            }
            sender.send(stored).unwrap();
        }));
    }
    let stored: i64 =
        threads.iter().map(|_| ends.recv_timeout(Duration::from_mins(1)).expect("each thread ends")).sum();
    assert_eq!(stored, ROUNDS * 100);
    assert_eq!(all_ids(&test), (0..ROUNDS * 100).collect::<Vec<_>>());
}

/// In whatever order the users are given, the batch that stores the first user stores all of them.
#[test]
fn one_of_two_equal_batches_is_stored() {
    let test = Test::initialised();
    let clusters = [Arc::new(cluster(&test)), Arc::new(cluster(&test))];
    for round in 0..30 {
        let requested = users(ids_of(1, round * 10_000, 300));
        let backwards = requested.iter().rev().cloned().collect();
        let batches = [begin(&clusters[0], requested), begin(&clusters[1], backwards)];
        let mut batches = batches.map(|batch| soon(&batch));
        batches.sort_by_key(|batch| *batch != BatchOutcome::Stored);
        assert_eq!(batches, [BatchOutcome::Stored, BatchOutcome::NotStored], "round {round}");
    }
}

/// Each waits on one shard for what the other holds on the next, which no server detects.
#[test]
fn a_deadlock_across_two_shards_is_broken() {
    let test = Test::initialised();
    let cluster = Arc::new(cluster(&test));
    let (one, two) = (ids_of(1, 1, 1)[0], ids_of(2, 1, 1)[0]);
    let (mut on_one, mut on_two) = (test.client(1), test.client(2));
    let insert =
        |id: i64| format!("SET lock_timeout = '5s'; BEGIN; INSERT INTO users (user_id) VALUES ({id})");
    // The batch waits for this session on shard 1, and inserts its row on shard 2 ...
    on_one.batch_execute(&insert(one)).unwrap();
    let batch = begin(&cluster, users([one, two]));
    wait_until_blocked(&test, 1);
    // ... which this session now waits for, unless the batch has given up already.
    on_two.batch_execute(&insert(two)).unwrap();
    assert_eq!(soon(&batch), BatchOutcome::NotStored);
    for client in [&mut on_one, &mut on_two] {
        client.batch_execute("COMMIT").unwrap();
    }
    assert_eq!((test.ids(1), test.ids(2)), (vec![one], vec![two]));
}

#[test]
fn a_batch_uses_the_transaction_settings_of_a_single_write() {
    let test = Test::initialised();
    for number in 1..=3 {
        test.execute(
            number,
            "CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 INSERT INTO said VALUES (current_setting('synchronous_commit'), \
                                          current_setting('transaction_isolation')); RETURN NEW; END $$; \
             CREATE TRIGGER say BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION say(); \
             CREATE TABLE said (durability text, isolation text); \
             CREATE TABLE guards (guard text); \
             CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 INSERT INTO guards VALUES (current_setting('ringshard.guard')); RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER late AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED \
                 FOR EACH ROW EXECUTE FUNCTION late()",
        );
    }
    for (default, expected) in
        [("off", "on"), ("local", "on"), ("on", "on"), ("remote_apply", "remote_apply")]
    {
        for number in 1..=3 {
            let name = test.database(number);
            test.execute(
                number,
                &format!(
                    "ALTER DATABASE {name} SET synchronous_commit = {default}; \
                     ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"
                ),
            );
        }
        assert_eq!(Router(&cluster(&test)).create_users(&users(1..=30)), BatchOutcome::Stored);
        let mut count = 0;
        for number in 1..=3 {
            test.execute(number, "DELETE FROM users");
            for row in test.query(number, "DELETE FROM said RETURNING durability, isolation", &[]) {
                assert_eq!((row.get(0), row.get(1)), (expected, "read committed"));
                count += 1;
            }
            let guards = test.query(number, "DELETE FROM guards RETURNING guard", &[]);
            assert!(!guards.is_empty() && guards.iter().all(|row| row.get::<_, &str>(0) != "checked"));
        }
        assert_eq!(count, 30);
    }
}
