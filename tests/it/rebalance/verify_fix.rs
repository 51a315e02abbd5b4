//! `verify --fix`: misplaced rows are repaired, whatever interrupts it, and nothing is lost.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use ringshard::model::ring::position::Position;
use ringshard::model::user::UserId;

use crate::support::clusters::with_users;
use crate::support::gate::Gate;
use crate::support::harness::{Ran, Test};
use crate::support::misplaced_rows::{damage, quarantine, rows, sums};
use crate::support::move_steps::{announce, announce_on};
use crate::support::rings::{non_owner, owner, prototype_ring, shard_names};

#[test]
fn a_repair_moves_missing_rows_deletes_equal_ones_and_quarantines_others() {
    let test = with_users(300);
    let before = rows(&test);
    damage(&test);
    let ran = test.run(&["-o", "table", "verify", "--fix", "--yes"]).success();
    assert!(ran.stdout.contains("misplaced"));
    ran.says("moved 2 rows, purged 1 row, quarantined 2 rows")
        .says("300 users, each on its owner and nowhere else");
    let mut after = rows(&test);
    // Of the two rows of user 5, one is the user now, and the other is quarantined.
    let five = after.remove(&(owner(5), 5)).unwrap();
    let mut expected = before;
    let quarantined = quarantine(&test);
    let [first, second] = ["Name 5", "Name 5 too"].map(|name| five.contains(&format!("\"{name}\"")));
    assert!(first != second, "{five}");
    expected.remove(&(owner(5), 5));
    assert_eq!(after, expected);
    let quarantined: Vec<(i64, &str)> =
        quarantined.iter().map(|(id, name, _)| (*id, name.as_str())).collect();
    assert_eq!(quarantined, [(3, "another"), (5, if first { "Name 5 too" } else { "Name 5" })]);
    assert!(quarantine(&test)[0].2.contains(&format!("`shard_{}`", owner(3))));
    let quarantined = "SELECT count(*) FROM ringshard.quarantine WHERE (contents::users).user_id = 3";
    assert_eq!(test.query(non_owner(3), quarantined, &[])[0].get::<_, i64>(0), 1);
    test.run(&["verify", "--deep"]).success();
}

#[test]
fn a_repair_distinguishes_null_from_empty_text() {
    let test = Test::initialised();
    let texts = [None, Some(""), Some("x"), Some("\u{1f980}")];
    let id = 7;
    let insert = "INSERT INTO users VALUES ($1, $2, $3, $4)";
    for (at, one) in texts.iter().enumerate() {
        for (other_at, other) in texts.iter().enumerate() {
            for shard in 1..=3 {
                test.execute(shard, "DELETE FROM users; DELETE FROM ringshard.quarantine");
            }
            test.client(owner(id)).execute(insert, &[&id, &"n", one, other]).unwrap();
            test.client(non_owner(id)).execute(insert, &[&id, &"n", other, one]).unwrap();
            let is_equal = at == other_at;
            let differing = i64::from(!is_equal);
            assert_eq!(
                sums(&test.run(&["verify", "--deep"]).fails(1)),
                [1, 1, differing, 0],
                "{one:?} {other:?}"
            );
            test.run(&["verify", "--fix", "-y"]).success();
            assert_eq!(quarantine(&test).len(), usize::from(!is_equal), "{one:?} {other:?}");
            assert_eq!(rows(&test).keys().collect::<Vec<_>>(), [&(owner(id), id)]);
        }
    }
}

#[test]
fn a_repair_needs_confirmation() {
    let test = with_users(300);
    damage(&test);
    let before = rows(&test);
    let ran = test.run(&["verify", "--fix"]).fails(3);
    for words in [
        "misplaced: 5 rows",
        "3 rows: to be moved to the owner",
        "1 row: to be deleted, because the owner has an equal row",
        "1 row: to be put into `ringshard.quarantine`",
        "--yes",
    ] {
        assert!(ran.stderr.contains(words), "no `{words}` in {ran:?}");
    }
    assert_eq!(rows(&test), before);
    assert_eq!(quarantine(&test), []);
}

#[test]
fn a_repair_needs_its_lock_and_a_stable_ring() {
    let test = with_users(300);
    damage(&test);
    let before = rows(&test);
    let mut holder = test.client(1);
    holder.batch_execute("SET application_name = 'the holder'; SELECT pg_advisory_lock(7283004)").unwrap();
    let pid: i32 = holder.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let held = test.run(&["verify", "--fix", "-y"]).fails(75).says("the run lock on shard `shard_1` is held");
    held.says(&format!("process {pid} (`the holder`)"));
    // `verify` without `--fix` needs no lock.
    test.run(&["verify"]).fails(1);
    drop(holder);
    announce(&test, 2);
    let ran = test.run(&["verify", "--fix", "-y"]).fails(75);
    ran.says("a change of the ring is under way").says("hint: ringshard rebalance");
    assert_eq!(rows(&test), before);
    let done = "UPDATE ringshard.meta SET status = 'done', next_topology = NULL, participants = NULL";
    (1..=3).for_each(|shard| test.execute(shard, done));
    test.run(&["verify", "--fix", "-y"]).success();
    // The lock was released.
    test.run(&["verify", "--fix", "-y"]).success();
}

#[test]
fn a_rebalance_that_starts_stops_a_repair() {
    let test = with_users(300);
    damage(&test);
    let before = rows(&test);
    // The gate delays the first row that the repair stores, and the change is announced meanwhile.
    let gate = Gate::new(&test.database(owner(4)), "store_rows");
    let shards = test.shards_with(owner(4), &gate.url());
    let mut fix = test.command();
    fix.args(["verify", "--fix", "-y"]);
    fix.env("RINGSHARD_SHARDS", shards).env("RINGSHARD_CLUSTER", test.cluster_id(1));
    let fix = fix.spawn().unwrap();
    gate.wait_until_reached();
    // The delayed shard does not accept the announcement; the others do.
    let mut owner_of_four = test.client(owner(4));
    owner_of_four.batch_execute("SET lock_timeout = '200ms'").unwrap();
    let update = "UPDATE ringshard.meta SET epoch = 2";
    let refused = owner_of_four.batch_execute(update).unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "55P03");
    for shard in (1..=3).filter(|shard| *shard != owner(4)) {
        announce_on(&test, shard, 2);
    }
    gate.open();
    Ran::of(fix).fails(75).says("a change of the ring is under way");
    // No row was deleted before it was stored elsewhere.
    let after = rows(&test);
    let quarantined = quarantine(&test);
    for ((shard, id), row) in &before {
        let is_quarantined = quarantined.iter().any(|(quarantined, ..)| quarantined == id);
        let is_there = [*shard, owner(*id)].iter().any(|at| after.get(&(*at, *id)) == Some(row));
        assert!(is_there || is_quarantined, "{row}");
    }
    assert!(after.iter().any(|((shard, id), _)| owner(*id) != *shard));
}

/// A cluster of so many misplaced users: one third are on their owner as well, and every second one of these differs.
/// Also the owner of each user.
fn scattered(count: i64) -> (Test, BTreeMap<i64, usize>) {
    let test = Test::initialised();
    let ring = prototype_ring(3);
    let names = shard_names(3);
    let owner = |id| {
        let owner = ring.owner(Position::of_user(UserId::new(id)));
        (id, names.iter().position(|name| name == owner).unwrap() + 1)
    };
    let owners: BTreeMap<i64, usize> = (1..=count).map(owner).collect();
    let sql = "INSERT INTO users SELECT id, CASE WHEN $2 AND id % 6 = 0 THEN 'other' ELSE 'Name ' || id END, \
               CASE WHEN id % 3 > 0 THEN (ARRAY['EU', 'US'])[id % 3] END, NULL FROM unnest($1::bigint[]) AS id";
    for shard in 1..=3 {
        let is_misplaced = |owner: &usize| owner % 3 + 1 == shard;
        let misplaced: Vec<i64> =
            owners.iter().filter(|(_, owner)| is_misplaced(owner)).map(|(id, _)| *id).collect();
        test.client(shard).execute(sql, &[&misplaced, &true]).unwrap();
        let own = owners.iter().filter(|(id, owner)| **owner == shard && *id % 3 == 0);
        let own: Vec<i64> = own.map(|(id, _)| *id).collect();
        test.client(shard).execute(sql, &[&own, &false]).unwrap();
    }
    (test, owners)
}

#[test]
fn a_killed_repair_loses_nothing_and_is_resumed() {
    let count = 6_000;
    let (test, owners) = scattered(count);
    let found = test.run(&["verify", "--deep"]).fails(1);
    assert_eq!(sums(&found), [count, count / 3, count / 6, count / 3 * 2]);
    let (mut kills, mut state) = (0, 0x2545_F491_4F6C_DD1D_u64);
    // What is left to do after each kill.
    let mut left = vec![rows(&test).len()];
    loop {
        let mut child = test.command().args(["verify", "--fix", "-y"]).spawn().unwrap();
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        thread::sleep(Duration::from_millis(5 + (state >> 33) % (60 + 20 * kills)));
        child.kill().unwrap();
        let ran = Ran::of(child);
        assert!([-1, 0, 75].contains(&ran.code), "{ran:?}");
        kills += u64::from(ran.code == -1);
        // Every user is stored somewhere at any moment.
        let now = rows(&test);
        let mut ids: Vec<i64> = now.keys().map(|(_, id)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids, (1..=count).collect::<Vec<_>>());
        left.push(now.iter().filter(|((shard, id), _)| owners[id] != *shard).count());
        if ran.code == 0 {
            break;
        }
    }
    left.dedup();
    assert!(left.len() > 3, "killed {kills} times: {left:?}");
    // A session that was killed may hold its lock for a moment.
    thread::sleep(Duration::from_millis(300));
    test.run(&["verify", "--fix", "-y"]).success();
    let after = rows(&test);
    assert_eq!(after.len(), usize::try_from(count).unwrap());
    for ((shard, id), row) in after {
        assert_eq!(shard, owners[&id]);
        let region = ["", "EU", "US"][usize::try_from(id % 3).unwrap()];
        assert_eq!(row, format!("({id},\"Name {id}\",{region},)"));
    }
    let quarantined = quarantine(&test);
    let expected: Vec<i64> = (1..=count).filter(|id| id % 6 == 0).collect();
    assert_eq!(quarantined.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), expected);
    assert!(quarantined.iter().all(|(_, name, _)| name == "other"));
}
