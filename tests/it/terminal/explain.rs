//! `explain`: it describes what the command does, and does nothing.

use std::collections::BTreeSet;

use ringshard::model::ring::VirtualNode;
use ringshard::model::ring::position::Position;
use ringshard::model::user::UserId;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::clusters::filled;
use crate::support::command_paths::command_paths;
use crate::support::harness::{Ran, Test};
use crate::support::rebalances::{add_shard, start_slow_rebalance, wait_for_moved_rows};
use crate::support::rings::{prototype_ring, shard_names};

/// A command line for each command, and more where an argument changes the plan.
const CASES: &[&[&str]] = &[
    &["repl"],
    &["tour"],
    &["init-shards"],
    &["init-shards", "--server", "postgresql://u:hunter2@h"],
    &["init-shards", "--shard", "a=postgresql://u:hunter2@h/d"],
    &["create-user", "--id", "1", "--name", "x"],
    &["create-user", "--name", "x"],
    &["get-user", "1"],
    &["update-user", "1", "--region", "EU"],
    &["delete-user", "1"],
    &["list-users"],
    &["list-users", "--limit", "2", "--after", "-5", "--region", "EU", "--allow-partial"],
    &["count"],
    &["count", "--by", "region", "--region", "EU"],
    &["count", "--by", "shard"],
    &["import", "no-such-file.csv"],
    &["import", "-", "--rejects", "r", "--restart", "--on-conflict", "update"],
    &["import", "list"],
    &["import", "forget", "users.csv"],
    &["export"],
    &["export", "x.jsonl.gz"],
    &["load", "fill", "1000", "--seed", "7", "--start", "-5"],
    &["load", "run"],
    &["load", "run", "--rate", "500", "--mix", "get=1", "--users", "1..9", "--async-replica", "shard_1"],
    &["load", "clean"],
    &["sql", "SELECT 1"],
    &["sql", "SELECT 1", "--shard", "shard_2"],
    &["sql", "SELECT count(*) FROM users"],
    &["sql", "SELECT name FROM users WHERE user_id = 1"],
    &["sql", "--all-shards", "UPDATE users SET name = NULL"],
    &["sql", "BEGIN"],
    &["table", "add", "orders", "--key", "user_id"],
    &["table", "list"],
    &["table", "show", "users"],
    &["table", "remove", "users"],
    &["schema", "apply", "no-such-file.sql"],
    &["schema", "apply", "-c", "SELECT 1", "--dry-run"],
    &["schema", "status"],
    &["schema", "show", "users"],
    &["schema", "diff"],
    &["shards"],
    &["status"],
    &["stats"],
    &["stats", "--host", "--interval", "5s"],
    &["stats", "--prometheus"],
    &["monitor", "--interval", "500ms"],
    &["doctor"],
    &["drill", "kill-connections", "shard_1"],
    &["drill", "outage", "shard_1", "--for", "3s"],
    &["drill", "slow", "shard_1", "--delay", "50ms"],
    &["add-shard", "shard_4"],
    &["add-shard", "shard_4", "postgresql://u:hunter2@h/d", "--weight", "2"],
    &["add-shard", "shard_1"],
    &["remove-shard", "shard_1"],
    &["remove-shard", "shard_9"],
    &["rebalance"],
    &["rebalance", "--dry-run"],
    &["rebalance", "--max-rows-per-sec", "5"],
    &["rebalance", "status"],
    &["rebalance", "cancel"],
    &["verify"],
    &["verify", "--deep"],
    &["verify", "--fix"],
    &["remove-shard", "shard_1", "--dead"],
    &["remove-shard", "shard_1", "--dead", "--recover-from", "postgresql://h/d"],
    &["replica", "list"],
    &["replica", "add", "shard_1", "postgresql://h/d"],
    &["replica", "remove", "shard_1", "postgresql://h/d"],
    &["promote", "shard_1"],
    &["promote", "shard_1", "--force"],
    &["ring", "show"],
    &["ring", "show", "--vnodes"],
    &["ring", "show", "--svg", "ring.svg", "--keys", "1,2", "--add", "shard_4"],
    &["report", "page.html"],
    &["ring", "locate", "1", "EU", "007"],
    &["ring", "simulate", "--add", "shard_4"],
    &["ring", "export", "--format", "json"],
    &["route", "1", "2"],
    &["local", "start"],
    &["local", "stop"],
    &["local", "status"],
    &["local", "destroy"],
    &["config", "show"],
    &["completions", "bash"],
    &["man", "pages"],
    &["explain", "count"],
    &["help"],
];

fn explained(test: &Test, words: &[&str]) -> Ran {
    let words: Vec<&str> = ["-o", "json", "explain"].iter().chain(words).copied().collect();
    test.run(&words).success()
}

/// The detail of the first step of this name.
#[track_caller]
fn detail(steps: &Value, what: &str) -> String {
    let mut steps = steps.as_array().unwrap().iter();
    let step = steps.find(|step| step["what"] == what).unwrap_or_else(|| panic!("no step `{what}`"));
    step["detail"].as_str().unwrap().to_owned()
}

#[test]
fn every_command_can_be_explained_without_effect() {
    let test = Test::initialised();
    let files = || -> BTreeSet<_> {
        std::fs::read_dir(test.home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    let before = files();
    let config = std::fs::read(test.config()).unwrap();
    for case in CASES {
        let ran = explained(&test, case);
        let steps = ran.json();
        for (step, number) in steps.as_array().unwrap().iter().zip(1..) {
            let keys: Vec<&String> = step.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["detail", "step", "what"], "{case:?}");
            assert_eq!(step["step"], number);
        }
        assert!(!steps.as_array().unwrap().is_empty(), "{case:?}");
        assert!(!ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"), "{case:?}");
    }
    assert_eq!(files(), before);
    assert_eq!(std::fs::read(test.config()).unwrap(), config);
    for number in 1..=3 {
        assert!(test.ids(number).is_empty());
        assert!(
            test.query(number, "SELECT FROM ringshard.meta WHERE desired_topology IS NOT NULL", &[])
                .is_empty()
        );
    }
}

#[test]
fn every_command_has_a_case_here() {
    let paths = command_paths();
    let families: Vec<&str> =
        paths.iter().filter(|path| path.len() > 1).map(|path| path[0].as_str()).collect();
    for path in &paths {
        // These are commands, and have subcommands.
        let is_family = path.len() == 1
            && families.contains(&path[0].as_str())
            && !["rebalance", "import"].contains(&path[0].as_str());
        let has_case =
            CASES.iter().any(|case| case.len() >= path.len() && path.iter().zip(*case).all(|(a, b)| a == b));
        assert!(is_family || has_case, "`{}` has no case", path.join(" "));
    }
}

/// The search of the prototype: point by point, from 0.
fn scan(nodes: &[VirtualNode<'_>], position: Position) -> String {
    for (passed, node) in nodes.iter().enumerate() {
        if node.position >= position {
            return format!(
                "{passed} of {} virtual nodes have lower positions; the next one clockwise is {}#{} at {}",
                nodes.len(),
                node.shard,
                node.index,
                node.position
            );
        }
    }
    let first = nodes[0];
    format!(
        "all {} virtual nodes have lower positions; the ring wraps around to the first one, {}#{} at {}",
        nodes.len(),
        first.shard,
        first.index,
        first.position
    )
}

#[test]
fn the_explained_owner_is_where_the_user_is_stored() {
    let test = Test::initialised();
    let ring = prototype_ring(3);
    let mut nodes: Vec<VirtualNode<'_>> = ring.virtual_nodes().collect();
    nodes.sort_by_key(|node| node.position);
    // The last point of the ring is followed by a gap, and some ids fall into it.
    let wraps = |id: &i64| ring.locate(Position::of_user(UserId::new(*id))).wrapped;
    let ids: Vec<i64> =
        (1..=40).chain([i64::MIN, -1, 0, i64::MAX]).chain((100..).filter(wraps).take(2)).collect();
    let script: String = ids
        .iter()
        .map(|id| format!("explain -o jsonl get-user {id}\ncreate-user --id {id} --name x\n"))
        .collect();
    std::fs::write(test.home.path().join("script"), script).unwrap();
    let stdout = test.run(&["-f", "script"]).success().stdout;
    let steps: Vec<Value> = stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |what: &str| -> Vec<String> {
        let steps = steps.iter().filter(|step| step["what"] == what);
        steps.map(|step| step["detail"].as_str().unwrap().to_owned()).collect()
    };
    let (walks, owners, hashes) = (of("ring"), of("owner"), of("hash"));
    assert_eq!(walks.len(), ids.len());
    let stored: Vec<Vec<i64>> = (1..=3).map(|number| test.ids(number)).collect();
    for (at, id) in ids.iter().enumerate() {
        let position = Position::of_user(UserId::new(*id));
        assert_eq!(walks[at], scan(&nodes, position), "{id}");
        assert_eq!(hashes[at], format!("md5(\"{id}\") = {:032x} = {position}", position.number()));
        let number = stored.iter().position(|ids| ids.contains(id)).unwrap() + 1;
        assert!(owners[at].starts_with(&format!("`shard_{number}`, which has ")), "{id}: {}", owners[at]);
    }
    assert!(walks.iter().any(|walk| walk.contains("wraps around")));
}

#[test]
fn the_explained_statement_is_the_one_sent() {
    let test = Test::initialised();
    for words in [
        &["get-user", "1"][..],
        &["create-user", "--id", "1", "--name", "x"],
        &["list-users", "--region", "EU", "--limit", "3"],
        &["count", "--by", "region"],
    ] {
        let steps = explained(&test, words).json();
        let mut statements = steps.as_array().unwrap().iter().filter(|step| step["what"] == "statement");
        let last = statements.next_back().unwrap()["detail"].as_str().unwrap();
        let loud: Vec<&str> = ["-vv"].iter().chain(words).copied().collect();
        let ran = test.run(&loud);
        assert!(ran.stderr.contains(&format!(": {last}\n")), "{words:?}: {last}\n{}", ran.stderr);
    }
    let steps = explained(&test, &["create-user", "--id", "9", "--name", "O'Hara"]).json();
    assert!(detail(&steps, "values").contains("$1 id = 9, $2 name = 'O''Hara'"));
}

#[test]
fn no_server_is_needed_once_the_topology_is_known() {
    let test = Test::initialised();
    let dead: Vec<String> = shard_names(3)
        .iter()
        .map(|name| format!("{name}=postgresql://u:hunter2@127.0.0.1:1/{name}"))
        .collect();
    let run = |words: &[&str]| {
        Ran::of(test.command().env("RINGSHARD_SHARDS", dead.join(" ")).args(words).spawn().unwrap())
    };
    run(&["get-user", "1"]).fails(69);
    for case in CASES {
        let words: Vec<&str> = ["explain"].iter().chain(*case).copied().collect();
        let ran = run(&words).success();
        assert!(!ran.stdout.contains("hunter2"), "{case:?}");
        assert!(!ran.stdout.contains("a guess"), "{case:?}");
    }
    std::fs::remove_dir_all(test.home.path().join("state")).unwrap();
    assert!(
        run(&["explain", "get-user", "1"]).success().stdout.contains("a guess, as no shard was asked yet")
    );
}

#[test]
fn explain_reports_usage_errors_like_the_command() {
    let test = Test::initialised();
    for words in [
        &["get-user"][..],
        &["get-usr", "1"],
        &["get-user", "abc"],
        &["ring"],
        &["ring", "turn"],
        &["ring", "simulate"],
        &["update-user", "1"],
        &["count", "--by", "moon"],
    ] {
        let itself = test.run(words).fails(2);
        let explained: Vec<&str> = ["explain"].iter().chain(words).copied().collect();
        assert_eq!(test.run(&explained).fails(2).stderr, itself.stderr, "{words:?}");
    }
    assert_eq!(
        test.run(&["explain", "get-user", "--help"]).success().stdout,
        test.run(&["get-user", "--help"]).success().stdout
    );
    test.run(&["explain", "ringshard", "get-user", "1"]).success();
    test.run(&["explain"]).fails(2);
    test.run(&["explain", "-c", "count"]).fails(2).says("explain takes one command");
    test.run(&["explain", "count", "--config", "x"]).fails(2).says("--config stands before explain");
    test.run(&["explain", "sql", "SELECT 1", "--shard", "moon"]).fails(4).says("no shard `moon`");
    assert_eq!(Test::new().run(&["explain", "get-user", "1"]).code, 78);
}

#[test]
fn explain_includes_a_known_topology_change() {
    let test = filled(1_000);
    add_shard(&test, 4).success();
    let (now, then) = (prototype_ring(3), prototype_ring(4));
    let stays = |id: &i64| {
        let position = Position::of_user(UserId::new(*id));
        now.owner(position) == then.owner(position)
    };
    let (staying, moving) = ((1..100).find(stays).unwrap(), (1..100).find(|id| !stays(id)).unwrap());
    let explained = |id: i64| {
        let explain = format!("explain get-user {id}");
        test.run(&["-c", "shards", "-c", &explain, "-c", "explain rebalance"]).success().stdout
    };
    let stdout = explained(moving);
    assert!(stdout.contains("\tchange\tplanned; a rebalance would move this user to `shard_4`"), "{stdout}");
    assert!(stdout.contains("by what is known here, 22.93 % of all keys are to move"), "{stdout}");
    assert!(!explained(staying).contains("\tchange\tplanned"));

    let child = start_slow_rebalance(&test, 100);
    wait_for_moved_rows(&test, &[4], 20);
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    drop(Ran::of(child));
    let stdout = explained(moving);
    assert!(stdout.contains("\tchange\tunder way; it moves this user to `shard_4`"), "{stdout}");
    let stdout = explained(staying);
    assert!(stdout.contains("\tchange\tunder way; `shard_"), "{stdout}");
    // The next process: what the cache does not hold is not explained.
    assert!(!test.run(&["explain", "get-user", &moving.to_string()]).success().stdout.contains("\tchange\t"));
}
