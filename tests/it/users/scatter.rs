//! Reads of all shards: exact, in order, each user once, also while chunks move.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use ringshard::model::names::ShardName;
use ringshard::model::ring::arc::{Arc, ArcState, ShardArc};
use ringshard::model::ring::coverage::Coverage;
use ringshard::model::ring::position::Position;
use ringshard::model::ring::topology::Epoch;

use crate::support::clusters::{fill, with_users};
use crate::support::harness::{Ran, Test};
use crate::support::move_steps::{Chunk, Mover, fence, move_chunk, purge, read_while_user_1_moves, receive};
use crate::support::rings::{non_owner, owner, shard_names};

fn ids(ran: &Ran) -> Vec<i64> {
    ran.fields().iter().map(|fields| fields[0].parse().unwrap()).collect()
}

#[test]
fn users_are_listed_by_id_and_in_pages() {
    let test = with_users(3_000);
    assert_eq!(ids(&test.run(&["list-users"]).success()), (1..=3_000).collect::<Vec<_>>());
    let page = test.run(&["list-users", "--after", "2990", "--limit", "4"]).success();
    assert_eq!(ids(&page), [2991, 2992, 2993, 2994]);
    let of_region = test.run(&["list-users", "--region", "EU", "--limit", "3"]).success();
    assert_eq!(of_region.stdout, "1\tName 1\tEU\t\\N\n4\tName 4\tEU\t\\N\n7\tName 7\tEU\t\\N\n");
    assert_eq!(test.run(&["list-users", "--after", "3000"]).success().stdout, "");
    assert_eq!(test.run(&["list-users", "--limit", "0"]).success().stdout, "");
    assert_eq!(ids(&test.run(&["list-users", "--after", "-5", "--limit", "1"]).success()), [1]);

    let json = test.run(&["-o", "json", "list-users"]).success().json();
    assert_eq!(json.as_array().unwrap().len(), 3_000);
    assert_eq!(json[2], serde_json::json!({"user_id": 3, "name": "Name 3", "region": null, "email": null}));
    assert_eq!(test.run(&["-o", "json", "list-users", "--region", "XX"]).success().stdout, "[]\n");
    let csv = test.run(&["-o", "csv", "list-users"]).success();
    assert_eq!(csv.stdout.lines().count(), 3_001);
    test.run(&["list-users", "--limit", "-1"]).fails(2);
}

#[test]
fn counts_add_up() {
    let test = with_users(1_000);
    assert_eq!(test.run(&["count"]).success().stdout, "1000\n");
    assert_eq!(test.run(&["count", "--region", "US"]).success().stdout, "333\n");
    assert_eq!(test.run(&["count", "--by", "region"]).success().stdout, "\\N\t333\nEU\t334\nUS\t333\n");
    let by_shard = test.run(&["count", "--by", "shard", "--region", "EU"]).success();
    let sum: i64 = by_shard.fields().iter().map(|fields| fields[1].parse::<i64>().unwrap()).sum();
    assert_eq!((by_shard.fields().len(), sum), (3, 334));
}

/// Asserts that the reads of all shards find the users `1..=count`.
fn assert_exact(test: &Test, count: i64) {
    assert_eq!(test.run(&["count"]).success().stdout, format!("{count}\n"));
    assert_eq!(ids(&test.run(&["list-users"]).success()), (1..=count).collect::<Vec<_>>());
}

#[test]
fn every_state_of_a_move_shows_each_user_once() {
    let test = with_users(300);
    let (source, id) = (owner(1), 1);
    let target = source % 3 + 1;
    let (mut from, mut to) = (test.client(source), test.client(target));
    let chunk = Chunk::around(&mut from, id);
    fence(&mut from, &chunk, target, 2);
    assert_exact(&test, 300);
    receive(&mut from, &mut to, &chunk, 2);
    // Rows on both shards are shown as on the target.
    let rename = "SET ringshard.guard = 'checked'; UPDATE users SET name = 'new' WHERE user_id = 1";
    to.batch_execute(rename).unwrap();
    assert_exact(&test, 300);
    let first = test.run(&["list-users", "--limit", "1"]).success();
    assert_eq!(first.fields()[0][1], "new");
    let exported = test.run(&["export"]).success();
    assert!(exported.stdout.starts_with("user_id,name,region,email\n1,new,EU,\n2,"), "{}", exported.stdout);
    purge(&mut from, &chunk);
    assert_exact(&test, 300);
}

#[test]
fn a_move_between_two_snapshots_loses_and_repeats_no_user() {
    // The gate delays the snapshot of the target (both shards own the chunk) or that of the source (neither owns it,
    // and the snapshots are opened again).
    for gate_on_target in [true, false] {
        let test = Test::new();
        let (source, target) = (owner(1), non_owner(1));
        let gated = if gate_on_target { target } else { source };
        test.init().success();
        fill(&test, 300);
        for words in [&["count"][..], &["list-users"], &["export"]] {
            let ran = read_while_user_1_moves(&test, words, target, gated).success();
            match words[0] {
                "count" => assert_eq!(ran.stdout, "300\n", "gate on target: {gate_on_target}"),
                "list-users" => assert_eq!(ids(&ran), (1..=300).collect::<Vec<_>>()),
                _ => assert_eq!(ran.stdout.lines().count(), 301),
            }
            // And back, for the next command.
            let (mut from, mut to) = (test.client(target), test.client(source));
            let chunk = Chunk::around(&mut from, 1);
            move_chunk(&mut from, &mut to, &chunk, source, 3);
        }
    }
}

#[test]
fn reads_of_all_shards_are_exact_while_arcs_move() {
    let test = with_users(500);
    let mover = Mover::start(&test, Duration::from_millis(3));
    let mut rounds = 0;
    while rounds < 6 || mover.moves() < 30 {
        assert_exact(&test, 500);
        let exported = test.run(&["-o", "jsonl", "export"]).success();
        assert_eq!(exported.stdout.lines().count(), 500);
        rounds += 1;
    }
    assert!(mover.stop() >= 30);
    assert_exact(&test, 500);
}

#[test]
fn an_arc_without_an_owner_is_a_named_error() {
    let test = with_users(20);
    test.execute(
        owner(1),
        "DELETE FROM ringshard.arc WHERE first <= md5('1')::uuid AND last >= md5('1')::uuid",
    );
    for words in [&["count"][..], &["list-users"], &["export"]] {
        test.run(words).fails(1).says("no shard has the arc").says("hint: ringshard doctor");
    }
}

#[test]
fn a_duplicate_row_is_shown_as_on_its_owner() {
    let test = with_users(20);
    let non_owner = owner(1) % 3 + 1;
    test.execute(
        non_owner,
        "SET ringshard.guard = 'checked'; INSERT INTO users VALUES (1, 'misplaced', NULL, NULL)",
    );
    let all = test.run(&["list-users"]).success();
    assert_eq!(ids(&all), (1..=20).collect::<Vec<_>>());
    assert_eq!(all.fields()[0][1], "Name 1");
}

#[test]
fn with_a_shard_down_reads_fail_or_are_marked_partial() {
    let test = with_users(300);
    let shards = |port: u16| {
        let dead = format!("postgresql://postgres@127.0.0.1:{port}/x?connect_timeout=2");
        format!("shard_1={} shard_2={dead} shard_3={}", test.url(1), test.url(3))
    };
    let run = |words: &[&str]| {
        let mut command = test.command();
        command.env("RINGSHARD_SHARDS", shards(1)).env("RINGSHARD_CLUSTER", test.cluster_id(1)).args(words);
        Ran::of(command.spawn().unwrap())
    };
    let there = (1..=300).filter(|id| owner(*id) != 2).collect::<Vec<_>>();
    for words in [&["count"][..], &["list-users"], &["export"], &["sql", "SELECT 1"]] {
        let failed = run(words).fails(69).says("cannot connect to shard `shard_2`");
        assert_eq!(failed.stdout, "");
        let words = [words, &["--allow-partial"]].concat();
        let partial =
            run(&words).fails(6).says("the result is incomplete: missing `shard_2` (33.05 % of the ring)");
        assert!(partial.stderr.contains("warning: cannot connect to shard `shard_2`"), "{partial:?}");
        match words[0] {
            "count" => assert_eq!(partial.stdout, format!("{}\n", there.len())),
            "list-users" => assert_eq!(ids(&partial), there),
            "export" => assert_eq!(partial.stdout.lines().count(), there.len() + 1),
            _ => assert_eq!(partial.stdout, "shard_1\t1\nshard_3\t1\n"),
        }
    }
    // An arc that is missing on a shard that is up is not attributed to the shard that is down.
    let lost = (1..=300).find(|id| owner(*id) == 3).unwrap();
    let arc = "first <= md5($1)::uuid AND last >= md5($1)::uuid";
    let range = format!("SELECT first::text, last::text FROM ringshard.arc WHERE {arc}");
    let range = &test.query(3, &range, &[&lost.to_string()])[0];
    let hex = |at: usize| range.get::<_, String>(at).replace('-', "");
    test.client(3).execute(&format!("DELETE FROM ringshard.arc WHERE {arc}"), &[&lost.to_string()]).unwrap();
    for words in [&["count"][..], &["list-users"], &["export"]] {
        run(&[words, &["--allow-partial"]].concat()).fails(6).says(&format!(
            "`shard_2` (33.05 % of the ring), the arc {}..={}, which no shard holds",
            hex(0),
            hex(1)
        ));
    }
    let restore = "INSERT INTO ringshard.arc (first, last, epoch) VALUES ($1::text::uuid, $2::text::uuid, 1)";
    test.client(3).execute(restore, &[&hex(0), &hex(1)]).unwrap();
    let json = run(&["-o", "json", "count", "--allow-partial"]).fails(6);
    let last = json.stderr.lines().last().unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(last).unwrap()["error"]["kind"], "partial");
}

#[test]
fn one_statement_runs_on_all_shards_and_only_reads() {
    let test = with_users(100);
    let counts = test.run(&[
        "-o",
        "json",
        "sql",
        "SELECT count(*) AS n, NULL AS nothing, true AS yes FROM users;",
        "--per-shard",
    ]);
    let counts = counts.success().json();
    let rows: Vec<i64> = (0..3).map(|at| counts[at]["n"].as_i64().unwrap()).collect();
    assert_eq!(rows.iter().sum::<i64>(), 100);
    assert_eq!(
        (&counts[0]["shard"], &counts[0]["nothing"], &counts[0]["yes"]),
        (&"shard_1".into(), &().into(), &true.into())
    );
    let one = test.run(&["sql", "VALUES ('a\tb', 1.50, 'x\\y')", "--shard", "shard_2"]).success();
    assert_eq!(one.stdout, "shard_2\ta\\tb\t1.50\tx\\\\y\n");
    assert_eq!(
        test.run(&["sql", "SHOW server_encoding", "--shard", "shard_1"]).success().stdout,
        "shard_1\tUTF8\n"
    );
    assert!(test.run(&["sql", "EXPLAIN SELECT 1"]).success().stdout.contains("shard_3\tResult"));
    assert_eq!(
        test.run(&["sql", "SELECT 'NaN'::float8 AS x", "-o", "jsonl", "--shard", "shard_1"]).success().stdout,
        "{\"shard\": \"shard_1\", \"x\": \"NaN\"}\n"
    );

    let files = test.home.path().join("made");
    let program = format!("SELECT 1) TO PROGRAM 'touch {}' --", files.display());
    for (statement, code, words) in [
        ("DELETE FROM users RETURNING 1", 2, "names no sharding key"),
        ("SELECT set_config('transaction_read_only', 'off', true)", 1, "read-write mode"),
        ("DROP TABLE users", 2, "neither reads nor changes rows"),
        ("COMMIT", 2, "no transaction is open"),
        ("", 2, "returns no rows"),
        ("SELECT 1; SELECT 2", 1, "multiple commands"),
        (&program, 1, "syntax error"),
        ("COPY users TO PROGRAM 'true'", 2, "neither reads nor changes rows"),
        ("SELECT 1 /", 1, "syntax error"),
        ("SELECT nextval('x')", 1, "does not exist"),
        ("SELECT pg_sleep(0) FROM missing", 1, "does not exist"),
        ("SELECT 1/0", 1, "division by zero"),
    ] {
        test.run(&["sql", statement]).fails(code).says(words);
    }
    assert!(!files.exists());
    test.run(&["sql", "SELECT 1", "--shard", "shard_9"]).fails(4).says("there is no shard `shard_9`");
    assert_eq!(test.run(&["count"]).success().stdout, "100\n");
}

#[test]
fn a_statement_of_many_rows_streams() {
    let test = Test::initialised();
    let many = test.run(&["sql", "SELECT g FROM generate_series(1, 20000) AS g"]).success();
    assert_eq!(many.fields().len(), 60_000);
    assert_eq!(many.fields()[20_000], ["shard_2", "1"]);
}

/// The states of a cluster while a chunk moves from `source` to `target`.
fn step(state: &State, arc: Arc, source: usize, target: usize, epoch: i64) -> Vec<State> {
    let mut states = Vec::new();
    let mut now = state.clone();
    let epoch = Epoch::new(epoch);
    let fenced = ArcState::Fenced(shard_names(target + 1)[target].clone());
    cut(&mut now.arcs[source], arc);
    now.arcs[source].push(ShardArc { arc, epoch, state: fenced });
    states.push(now.clone());
    now.arcs[target].push(ShardArc::owned(arc, epoch));
    now.rows[target] |= mask(arc);
    states.push(now.clone());
    cut(&mut now.arcs[source], arc);
    now.rows[source] &= !mask(arc);
    states.push(now);
    states
}

/// Which shard holds which arcs and which rows. Rows are the positions 0 to 63.
#[derive(Debug, Clone)]
struct State {
    arcs: Vec<Vec<ShardArc>>,
    rows: Vec<u64>,
}

fn mask(arc: Arc) -> u64 {
    (0..64).filter(|at| arc.contains(Position::new(*at))).fold(0, |mask, at| mask | 1 << at)
}

/// Removes a range from the arcs.
fn cut(arcs: &mut Vec<ShardArc>, hole: Arc) {
    let mut left = Vec::new();
    for held in arcs.drain(..) {
        let (first, last) = (held.arc.first().number(), held.arc.last().number());
        let (from, to) = (hole.first().number(), hole.last().number());
        if to < first || last < from {
            left.push(held);
            continue;
        }
        if first < from {
            left.push(ShardArc {
                arc: Arc::new(Position::new(first), Position::new(from - 1)),
                ..held.clone()
            });
        }
        if to < last {
            left.push(ShardArc { arc: Arc::new(Position::new(to + 1), Position::new(last)), ..held });
        }
    }
    *arcs = left;
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    /// After any moves, with each shard read in any state: a position is served once, by a shard that has the row, or
    /// it is a gap.
    #[test]
    fn each_position_is_served_by_one_shard_during_any_move(
        moves in prop::collection::vec((0_u128..64, 1_u128..20, 0_usize..3), 1..6),
        asked in prop::collection::vec(any::<prop::sample::Index>(), 3),
    ) {
        let whole = Arc::new(Position::FIRST, Position::LAST);
        let owned = ShardArc::owned(whole, Epoch::FIRST);
        let mut states = vec![State { arcs: vec![vec![owned], vec![], vec![]], rows: vec![u64::MAX, 0, 0] }];
        for ((first, length, target), epoch) in moves.into_iter().zip(2..) {
            let now = states.last().unwrap();
            let source = now.arcs.iter().position(|arcs| {
                arcs.iter().any(|held| held.arc.contains(Position::new(first)))
            }).unwrap();
            if source == target {
                continue;
            }
            // Within the arc of its first position.
            let arc = now.arcs[source].iter().find(|held| held.arc.contains(Position::new(first))).unwrap().arc;
            let last = Position::new(first + length).min(arc.last());
            let chunk = Arc::new(Position::new(first), last);
            let next = step(now, chunk, source, target, epoch);
            states.extend(next);
        }
        let names: Vec<ShardName> = ["a", "b", "c"].iter().map(|name| name.parse().unwrap()).collect();
        let seen: Vec<&State> = asked.iter().map(|index| index.get(&states)).collect();
        let held: BTreeMap<ShardName, Vec<ShardArc>> =
            (0..3).map(|at| (names[at].clone(), seen[at].arcs[at].clone())).collect();
        let coverage = Coverage::of(&held);
        for at in 0..64_u128 {
            let position = Position::new(at);
            let shown: Vec<usize> = (0..3)
                .filter(|shard| seen[*shard].rows[*shard] & (1 << at) != 0)
                .filter(|shard| !coverage.left_out(&names[*shard]).iter().any(|arc| arc.contains(position)))
                .collect();
            if let Some(route) = coverage.route(position) {
                let server = names.iter().position(|name| *name == route.shard).unwrap();
                prop_assert_eq!(shown, vec![server]);
            } else {
                prop_assert!(coverage.gaps().iter().any(|arc| arc.contains(position)));
                prop_assert_eq!(shown, Vec::<usize>::new());
            }
        }
    }
}

#[test]
fn an_arc_with_two_owners_is_an_error_that_names_both() {
    let test = Test::initialised();
    fill(&test, 60);
    let all = |test: &Test| test.run(&["count"]).success().stdout;
    assert_eq!(all(&test), "60\n");
    let arc =
        &test.query(1, "SELECT first::text, last::text FROM ringshard.arc ORDER BY last LIMIT 1", &[])[0];
    let (first, last): (&str, &str) = (arc.get(0), arc.get(1));
    let plain = |text: &str| text.replace('-', "");
    // As of one change, as of a later one, and a part of it by a shard that knows that its ring is not stable.
    for (number, damage) in [
        (
            2,
            format!(
                "INSERT INTO ringshard.arc (first, last, state, epoch) VALUES ('{first}', '{last}', 'owned', 1)"
            ),
        ),
        (
            3,
            format!(
                "INSERT INTO ringshard.arc (first, last, state, epoch) VALUES ('{first}', '{last}', 'owned', 2)"
            ),
        ),
        (
            2,
            format!(
                "INSERT INTO ringshard.arc (first, last, state, epoch) VALUES ('{last}', '{last}', 'owned', 1); \
                 UPDATE ringshard.meta SET topology_md5 = NULL"
            ),
        ),
    ] {
        // Its own arc may begin there.
        let undo = "DELETE FROM ringshard.arc WHERE last = '{last}'".replace("{last}", last);
        test.execute(number, &damage);
        let owners = format!("shards `shard_1` and `shard_{number}` both own the arc");
        for words in [&["count"][..], &["list-users"], &["export", "-"], &["count", "--by", "region"]] {
            test.run(words).fails(1).says(&owners).says(&plain(last)).says("ringshard doctor");
        }
        test.run(&["doctor"]).fails(1).says(&format!("arcs of `shard_{number}`"));
        test.run(&["verify"]).fails(1);
        test.execute(number, &undo);
        assert_eq!(all(&test), "60\n");
    }
}
