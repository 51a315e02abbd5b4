//! `verify`: each kind of misplaced row is found, and rows in flight are no damage.

use std::time::Duration;

use ringshard::model::ring::position::Position;
use ringshard::model::ring::topology::Topology;
use ringshard::model::user::UserId;

use crate::support::clusters::with_users;
use crate::support::harness::{Ran, Test};
use crate::support::misplaced_rows::{damage, delete_row, put_row, rows, sums};
use crate::support::move_steps::{Chunk, Mover, announce, fence, purge, read_while_user_1_moves, receive};
use crate::support::rings::{non_owner, owner, shard_names};

#[test]
fn a_clean_cluster_verifies_and_the_columns_are_a_contract() {
    let test = with_users(300);
    let ran = test.run(&["verify"]).success();
    let counts: Vec<usize> =
        (1..=3).map(|shard| (1..=300).filter(|id| owner(*id) == shard).count()).collect();
    let expected: String =
        (0..3).map(|at| format!("shard_{}\t{}\t0\t0\t\\N\t0\n", at + 1, counts[at])).collect();
    assert_eq!(ran.stdout, expected);
    let json = test.run(&["-o", "json", "verify", "--deep"]).success();
    let line = format!(
        r#"{{"shard": "shard_1", "rows": {}, "misplaced": 0, "duplicate": 0, "differing": 0, "missing": 0}}"#,
        counts[0]
    );
    assert!(json.stdout.contains(&line), "{json:?}");
    assert_eq!(json.json().as_array().unwrap().len(), 3);
    assert_eq!(test.run(&["-o", "json", "verify"]).success().json()[0]["differing"], serde_json::Value::Null);
    test.run(&["-o", "table", "verify"]).success().says("300 users, each on its owner and nowhere else");
    test.run(&["-o", "table", "verify", "--fix"]).success().says("nothing to repair");
    // A cluster without any user.
    let empty = Test::initialised();
    empty.run(&["verify", "--deep"]).success();
}

#[test]
fn each_kind_of_damage_is_distinguished() {
    let test = with_users(300);
    put_row(&test, non_owner(2), 2, "Name 2");
    let ran = test.run(&["verify"]).fails(1).says("error: misplaced: 1 row, duplicate: 1\n");
    assert_eq!(sums(&ran), [1, 1, -3, 0]);
    ran.says("hint: ringshard verify --deep compares");
    let deep = test.run(&["verify", "--deep"]).fails(1).says("hint: ringshard verify --fix");
    assert_eq!(sums(&deep), [1, 1, 0, 0]);
    let line = &deep.fields()[non_owner(2) - 1];
    assert_eq!(line[2..], ["1", "1", "0", "0"]);

    test.execute(non_owner(2), "UPDATE users SET email = '' WHERE user_id = 2");
    assert_eq!(sums(&test.run(&["verify"]).fails(1)), [1, 1, -3, 0]);
    let deep =
        test.run(&["verify", "--deep"]).fails(1).says("misplaced: 1 row, duplicate: 1, differing: 1\n");
    assert_eq!(sums(&deep), [1, 1, 1, 0]);

    delete_row(&test, owner(2), 2);
    let ran = test.run(&["verify"]).fails(1).says("misplaced: 1 row, missing: 1\n");
    assert_eq!(ran.fields()[owner(2) - 1][5], "1");
    assert_eq!(ran.fields()[non_owner(2) - 1][2..], ["1", "0", "\\N", "0"]);
    let json = test.run(&["-o", "json", "verify"]).fails(1);
    assert_eq!(json.json().as_array().unwrap().len(), 3);
    let error: serde_json::Value = serde_json::from_str(json.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(error["error"]["kind"], "failed");

    put_row(&test, owner(2), 2, "Name 2");
    delete_row(&test, non_owner(2), 2);
    test.run(&["verify", "--deep"]).success();
    damage(&test);
    assert_eq!(sums(&test.run(&["verify", "--deep"]).fails(1)), [5, 2, 1, 2]);
}

#[test]
fn verify_needs_every_shard() {
    let test = with_users(30);
    let dead = "postgresql://postgres@127.0.0.1:1/x?connect_timeout=2";
    let shards = format!("shard_1={} shard_2={dead} shard_3={}", test.url(1), test.url(3));
    for words in [&["verify"][..], &["verify", "--deep"], &["verify", "--fix", "-y"]] {
        let mut command = test.command();
        command.env("RINGSHARD_SHARDS", &shards).env("RINGSHARD_CLUSTER", test.cluster_id(1)).args(words);
        let ran = Ran::of(command.spawn().unwrap()).fails(69).says("cannot connect to shard `shard_2`");
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn arcs_that_contradict_the_ring_are_reported_and_not_repaired() {
    let arc = "(SELECT last FROM ringshard.arc ORDER BY last LIMIT 1)";
    for (damage, words) in [
        (format!("DELETE FROM ringshard.arc WHERE last = {arc}"), "shard `shard_1` lacks the arc"),
        (
            format!("UPDATE ringshard.arc SET state = 'fenced', transfer_to = 'shard_2' WHERE last = {arc}"),
            "which it owns on the ring (and 1 more)",
        ),
        ("UPDATE ringshard.meta SET epoch = 2".into(), "`shard_2` is at epoch 1, but the cluster is at 2"),
        (
            "UPDATE ringshard.meta SET topology = jsonb_set(topology, '{virtual_nodes}', '99')".into(),
            "different topologies in one epoch",
        ),
    ] {
        let test = with_users(30);
        test.execute(1, &damage);
        put_row(&test, non_owner(2), 2, "Name 2");
        let before = rows(&test);
        let ran = test.run(&["verify"]).fails(1).says(words).says("hint: ringshard doctor");
        assert_eq!(ran.fields().len(), 3);
        test.run(&["verify", "--fix", "-y"]).fails(1).says(words);
        assert_eq!(rows(&test), before);
    }
    // An arc of another shard: it has two owners, and the rows of one of them are misplaced.
    let test = with_users(30);
    let chunk = Chunk::around(&mut test.client(owner(1)), 1);
    let copy = "INSERT INTO ringshard.arc (first, last, epoch) VALUES ($1::text::uuid, $2::text::uuid, 1)";
    test.client(non_owner(1)).execute(copy, &[&chunk.first, &chunk.last]).unwrap();
    let words = format!("shard `shard_{}` owns the arc", non_owner(1));
    test.run(&["verify"])
        .fails(1)
        .says(&words)
        .says(&format!("whose owner on the ring is `shard_{}`", owner(1)));
}

#[test]
fn rows_in_flight_are_no_damage_but_misplaced_rows_are() {
    let test = with_users(300);
    let (source, target) = (owner(1), non_owner(1));
    announce(&test, 2);
    let (mut from, mut to) = (test.client(source), test.client(target));
    let chunk = Chunk::around(&mut from, 1);
    let in_chunk: i64 = from
        .query_one(
            "SELECT count(*) FROM users WHERE md5(user_id::text)::uuid BETWEEN $1::text::uuid AND $2::text::uuid",
            &[&chunk.first, &chunk.last],
        )
        .unwrap()
        .get(0);
    let clean = |in_flight: i64| {
        let ran = test.run(&["-o", "table", "verify", "--deep"]).success();
        let rows = if in_flight == 1 { "row" } else { "rows" };
        ran.says(&format!("a rebalance is under way: {in_flight} {rows} in flight"))
            .says("300 users, each on its owner and nowhere else");
    };
    clean(0);
    fence(&mut from, &chunk, target, 2);
    clean(0);
    receive(&mut from, &mut to, &chunk, 2);
    clean(in_chunk);
    // The new owner has changed the row; the older copy on the old one is no damage.
    to.execute("UPDATE users SET name = 'new' WHERE user_id = 1", &[]).unwrap();
    clean(in_chunk);
    let other = (2..10_000).find(|id| owner(*id) == source && !is_in(&chunk, *id)).unwrap();
    put_row(&test, target, other, "misplaced");
    assert_eq!(sums(&test.run(&["verify", "--deep"]).fails(1)), [1, 1, 1, 0]);
    delete_row(&test, target, other);
    purge(&mut from, &chunk);
    clean(0);
    // A row as left behind by an incomplete purge.
    put_row(&test, source, 1, "new");
    assert_eq!(sums(&test.run(&["verify", "--deep"]).fails(1)), [1, 1, 0, 0]);
}

fn is_in(chunk: &Chunk, id: i64) -> bool {
    let place = Position::of_user(UserId::new(id)).number();
    let hex = |uuid: &str| u128::from_str_radix(&uuid.replace('-', ""), 16).unwrap();
    hex(&chunk.first) <= place && place <= hex(&chunk.last)
}

#[test]
fn verify_reports_no_damage_while_arcs_move() {
    let test = with_users(500);
    announce(&test, 2);
    let mover = Mover::start(&test, Duration::from_millis(2));
    let mut rounds = 0;
    while rounds < 40 || mover.moves() < 60 {
        let words = if rounds % 2 == 0 {
            &["-o", "table", "verify"][..]
        } else {
            &["-o", "table", "verify", "--deep"]
        };
        test.run(words).success().says("500 users, each on its owner and nowhere else");
        rounds += 1;
    }
    assert!(mover.stop() >= 60);
    test.run(&["verify", "--deep"]).success();
}

#[test]
fn verify_repeats_snapshots_that_a_move_split() {
    // The gate delays the snapshot of the target (both shards own the chunk) or that of the source (neither owns it).
    for gate_on_target in [true, false] {
        let test = with_users(300);
        announce(&test, 2);
        // So that the epoch is known: a new one would cause a second query.
        test.run(&["verify"]).success();
        let (source, target) = (owner(1), non_owner(1));
        let gated = if gate_on_target { target } else { source };
        let ran = read_while_user_1_moves(&test, &["-o", "table", "verify"], target, gated).success();
        ran.says("0 rows in flight").says("300 users, each on its owner and nowhere else");
    }
}

#[test]
fn a_partial_announcement_is_no_damage_but_a_wrong_owner_is() {
    let test = with_users(300);
    let target = Topology::of_equals(100, shard_names(2)).unwrap();
    let target = serde_json::to_value(target).unwrap();
    let participants = serde_json::to_value(shard_names(3)).unwrap();
    let pend = "UPDATE ringshard.meta SET status = 'pending', topology_md5 = NULL, next_topology = $1, participants = $2, epoch = 2";
    for shard in 1..=3 {
        test.client(shard).execute(pend, &[&target, &participants]).unwrap();
        test.run(&["-o", "table", "verify"]).success().says("a rebalance is under way");
    }
    // Shard 2 stays, so its arcs do not move.
    let id = (1..10_000).find(|id| owner(*id) == 2).unwrap();
    let (mut from, mut to) = (test.client(2), test.client(1));
    let chunk = Chunk::around(&mut from, id);
    fence(&mut from, &chunk, 1, 2);
    test.run(&["verify"]).success();
    receive(&mut from, &mut to, &chunk, 2);
    test.run(&["verify"])
        .fails(1)
        .says("shard `shard_1` owns the arc")
        .says("whose owner on the ring is `shard_2`");
}

#[test]
fn a_shard_of_another_cluster_is_refused() {
    let (test, other) = (with_users(10), with_users(10));
    let shards = format!("shard_1={} shard_2={} shard_3={}", test.url(1), other.url(2), test.url(3));
    let mut command = test.command();
    command.env("RINGSHARD_SHARDS", shards).env("RINGSHARD_CLUSTER", test.cluster_id(1)).arg("verify");
    Ran::of(command.spawn().unwrap()).fails(78).says("belongs to another cluster");
}
