//! `load`: synthetic users, and runs that check every answer: right ones pass, and wrong ones are reported.

use std::process::Child;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::harness::{Ran, Test, admin, url};
use crate::support::prompts::{prompt, repl_at_prompt};
use crate::support::rebalances::{add_shard, assert_settled, start_slow_rebalance};
use crate::support::rings::{owner, topology_of};
use crate::support::servers::Servers;

const USERS: i64 = 300;

fn filled() -> Test {
    let test = Test::initialised();
    test.run(&["load", "fill", &USERS.to_string()]).success();
    test
}

pub(crate) fn started(test: &Test, words: &[&str]) -> Child {
    test.command().args(["-o", "json", "load", "run", "--clients", "4"]).args(words).spawn().unwrap()
}

/// The shard and the id of a user whose creation the run has seen acknowledged: others were created after it.
fn created(test: &Test, after: i64) -> (usize, i64) {
    loop {
        for number in 1..=3 {
            let new: Vec<i64> = test.ids(number).into_iter().filter(|id| *id > after).collect();
            if new.len() > 20 {
                return (number, new[0]);
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn number(whole: &Value, key: &str) -> u64 {
    whole[key].as_u64().unwrap_or_else(|| panic!("no number `{key}` in {whole}"))
}

/// Asserts that the run found nothing wrong, and returns its JSON.
#[track_caller]
fn nothing_wrong(ran: &Ran) -> Value {
    let whole = ran.json();
    assert_eq!((number(&whole, "wrong"), &whole["wrong_answers"]), (0, &Value::Array(Vec::new())), "{ran:?}");
    assert!(number(&whole, "operations") > 0 && number(&whole, "answers_checked") > 0, "{ran:?}");
    whole
}

#[test]
fn load_fill_is_reproducible() {
    let (test, other) = (Test::initialised(), Test::initialised());
    let ran = test.run(&["load", "fill", "700", "--seed", "7"]).success();
    assert_eq!(ran.stdout, "700\t700\t0\t0\t0\t1\t700\n");
    other.run(&["load", "fill", "200", "--seed", "7", "--start", "501"]).success();
    other.run(&["load", "fill", "500", "--seed", "7"]).success();
    let export = |test: &Test| test.run(&["export"]).success().stdout;
    assert!(export(&test) == export(&other));
    test.run(&["verify"]).success();
    let again = ["load", "fill", "700", "--seed", "8"];
    test.run(&again).fails(5).says("--on-conflict skip");
    assert!(export(&test) == export(&other));
    let skipped = test.run(&[&again[..], &["--on-conflict", "skip"]].concat()).success();
    assert_eq!(skipped.fields()[0][1..4], ["0", "0", "700"]);
    assert!(export(&test) == export(&other));
    let updated = test.run(&[&again[..], &["--on-conflict", "update"]].concat()).success();
    assert_eq!(updated.fields()[0][1..4], ["0", "700", "0"]);
    assert!(export(&test) != export(&other));
    let by_region = test.run(&["count", "--by", "region"]).success();
    let regions: Vec<&str> = by_region.fields().iter().map(|fields| fields[0]).collect();
    assert_eq!(regions, ["APAC", "EU", "US"]);
}

#[test]
fn a_run_measures_and_checks() {
    let test = filled();
    let words = ["--duration", "1500ms", "--mix", "get=60,create=20,update=15,delete=5", "--keep"];
    let ran = Ran::of(started(&test, &words)).success();
    let whole = nothing_wrong(&ran);
    let keys: Vec<&String> = whole.as_object().unwrap().keys().collect();
    insta::assert_snapshot!(keys.into_iter().map(String::as_str).collect::<Vec<_>>().join("\n"));
    assert_eq!(number(&whole, "users"), 300);
    assert_eq!((number(&whole, "errors"), number(&whole, "keys_unchecked")), (0, 0));
    assert!(number(&whole, "created") > 0 && number(&whole, "keys_written") > 0);
    let sum = |rows: &Value, key: &str| -> u64 {
        rows.as_array().unwrap().iter().map(|row| number(row, key)).sum()
    };
    let operations = number(&whole, "operations");
    assert_eq!(sum(&whole["by_shard"], "operations"), operations);
    assert_eq!(sum(&whole["throughput"], "operations"), operations);
    // Each operation also has a row for all shards together.
    assert_eq!(sum(&whole["by_operation"], "count"), 2 * operations);
    assert_eq!(whole["by_operation"].as_array().unwrap().len(), 16);
    for row in whole["by_operation"].as_array().unwrap() {
        let at = |key: &str| row[key].as_f64().unwrap();
        let quantiles = ["p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms"].map(at);
        assert!(quantiles.is_sorted() && quantiles[4] > 0.0, "{row}");
    }
    let written = test.home.path().join(format!("state/load-{}.json", test.cluster_id(1)));
    let written: Value = serde_json::from_slice(&std::fs::read(written).unwrap()).unwrap();
    assert_eq!(written, whole);
    // The number of stored users agrees with the report.
    let count: u64 = test.run(&["count"]).success().stdout.trim().parse().unwrap();
    let deleted: u64 = whole["by_operation"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["operation"] == "delete" && row["shard"].is_null())
        .map(|row| number(row, "count"))
        .sum();
    assert_eq!(count, 300 + number(&whole, "created") - deleted);
    test.run(&["verify", "--deep"]).success();
}

#[test]
fn every_key_distribution_and_rate_works() {
    let test = filled();
    for keys in ["zipf", "sequential"] {
        let ran = Ran::of(started(&test, &["--duration", "300ms", "--keys", keys, "--users", "1..200"]));
        assert_eq!(number(&nothing_wrong(&ran.success()), "users"), 200);
    }
    // All operations that were due were run or are reported as not begun.
    let ran = Ran::of(started(&test, &["--duration", "500ms", "--rate", "100", "--mix", "get=1"])).success();
    let whole = nothing_wrong(&ran);
    assert_eq!(number(&whole, "operations") + number(&whole, "not_begun"), 50);
    let ran =
        Ran::of(started(&test, &["--duration", "500ms", "--rate", "400000", "--mix", "get=1"])).success();
    let whole = nothing_wrong(&ran);
    assert!(number(&whole, "not_begun") > 0);
    assert_eq!(number(&whole, "operations") + number(&whole, "not_begun"), 200_000);
    // An empty cluster is filled by the run.
    let empty = Test::initialised();
    let ran = Ran::of(started(&empty, &["--duration", "300ms"])).success();
    assert_eq!(number(&nothing_wrong(&ran), "users"), 0);
    let none = Test::initialised();
    let words = ["load", "run", "--mix", "get=1", "--duration", "300ms"];
    none.run(&words).fails(4).says("hint: ringshard load fill");
}

#[test]
fn load_run_does_not_change_other_users() {
    let test = filled();
    test.run(&["create-user", "--id", "1000", "--name", "Real", "--email", "real@example.org"]).success();
    let export = || test.run(&["export"]).success().stdout;
    let (before, of_others) = (export(), test.run(&["get-user", "1000"]).success().stdout);
    Ran::of(started(&test, &["--duration", "400ms", "--mix", "get=1,update=1,delete=1"])).success();
    assert!(export() != before);
    assert_eq!(test.run(&["get-user", "1000"]).success().stdout, of_others);
}

#[test]
fn two_concurrent_runs_create_different_users() {
    let test = filled();
    let words = ["--duration", "1s", "--mix", "get=1,create=1", "--keep", "--seed"];
    let runs = ["1", "2"].map(|seed| started(&test, &[&words[..], &[seed]].concat()));
    let created: u64 =
        runs.map(|run| number(&nothing_wrong(&Ran::of(run).success()), "created")).into_iter().sum();
    let count: u64 = test.run(&["count"]).success().stdout.trim().parse().unwrap();
    assert_eq!(count, 300 + created);
}

#[test]
fn an_unknown_value_is_reported() {
    let test = filled();
    let run = started(&test, &["--duration", "4s", "--mix", "get=90,create=10"]);
    created(&test, USERS);
    test.execute(owner(5), "UPDATE users SET email = 'nobody@example.com' WHERE user_id = 5");
    let ran = Ran::of(run).fails(1).says("WRONG ANSWERS: 1").says("ringshard verify --deep");
    let wrong = &ran.json()["wrong_answers"][0];
    assert_eq!((&wrong["kind"], number(wrong, "user_id")), (&"unknown_value".into(), 5), "{wrong}");
    assert_eq!(wrong["shard"], format!("shard_{}", owner(5)));
    assert_eq!(wrong["seen"], "`nobody@example.com`");
}

#[test]
fn a_missing_or_changed_user_is_reported() {
    let test = filled();
    let run = started(&test, &["--duration", "4s", "--mix", "get=85,create=10,update=5"]);
    created(&test, USERS);
    test.execute(owner(6), "DELETE FROM users WHERE user_id = 6");
    test.execute(
        owner(7),
        "UPDATE users SET name = 'Mallory', email = 'user.8+c1v1@r00000001.load.example' WHERE user_id = 7",
    );
    let ran = Ran::of(run).fails(1);
    let mut kinds: Vec<(u64, String)> = ran.json()["wrong_answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wrong| (number(wrong, "user_id"), wrong["kind"].as_str().unwrap().to_owned()))
        .collect();
    kinds.sort();
    assert!(kinds[0].0 == 6 && ["missing_user", "lost_write"].contains(&kinds[0].1.as_str()), "{kinds:?}");
    assert_eq!(kinds[1..], [(7, "wrong_user".to_owned())]);
}

#[test]
fn a_lost_write_is_reported_with_its_shard_and_time() {
    let test = filled();
    let run = started(&test, &["--duration", "3s", "--mix", "get=50,create=50"]);
    let (number_of_shard, id) = created(&test, USERS);
    test.execute(number_of_shard, &format!("DELETE FROM users WHERE user_id = {id}"));
    let ran = Ran::of(run).fails(1).says("lost_write");
    let whole = ran.json();
    assert_eq!((number(&whole, "wrong"), number(&whole, "lost_unreplicated")), (1, 0));
    let wrong = &whole["wrong_answers"][0];
    assert_eq!((&wrong["kind"], number(wrong, "user_id").cast_signed()), (&"lost_write".into(), id));
    assert_eq!(wrong["acknowledged_by"], format!("shard_{number_of_shard}"));
    assert_eq!(wrong["seen"], "no user");
    assert!(wrong["acknowledged_at_s"].as_f64().unwrap() <= wrong["at_s"].as_f64().unwrap());
}

#[test]
fn writes_lost_with_an_asynchronous_replica_are_counted_separately() {
    let test = filled();
    let names = ["shard_1", "shard_2", "shard_3"];
    let mut words = vec!["--duration", "3s", "--mix", "get=50,create=50"];
    words.extend(names.iter().flat_map(|name| ["--async-replica", name]));
    // Without a promotion, a missing write is lost.
    let run = started(&test, &words);
    let (number_of_shard, id) = created(&test, USERS);
    test.execute(number_of_shard, &format!("DELETE FROM users WHERE user_id = {id}"));
    Ran::of(run).fails(1).says("lost_write 1");
    let highest = (1..=3).flat_map(|number| test.ids(number)).max().unwrap();
    let run = started(&test, &words);
    let (number_of_shard, id) = created(&test, highest);
    for number in 1..=3 {
        let taken_over = "UPDATE ringshard.shard_endpoint SET incarnation = 2 WHERE shard = ";
        test.execute(number, &format!("{taken_over}'shard_{number_of_shard}'"));
    }
    test.execute(number_of_shard, &format!("DELETE FROM users WHERE user_id = {id}"));
    let ran = Ran::of(run).success();
    let whole = ran.json();
    assert_eq!((number(&whole, "wrong"), number(&whole, "lost_unreplicated")), (0, 1), "{ran:?}");
    assert_eq!(whole["wrong_answers"][0]["kind"], "lost_unreplicated");
    // An unknown value is wrong in any case.
    let highest = (1..=3).flat_map(|number| test.ids(number)).max().unwrap();
    words.extend(["--users", "1..50"]);
    words[3] = "get=95,create=5";
    let run = started(&test, &words);
    created(&test, highest);
    test.execute(owner(5), "UPDATE users SET email = 'nobody@example.com' WHERE user_id = 5");
    Ran::of(run).fails(1).says("unknown_value 1");
    test.run(&["load", "run", "--async-replica", "shard_9"]).fails(4).says("`shard_9`");
}

/// A run on separate servers while `meddle` is called.
fn run_while(servers: &Servers, duration: &str, meddle: impl FnOnce()) -> Ran {
    servers.run(&["load", "fill", "300"]).success();
    let words = ["-o", "json", "load", "run", "--clients", "4", "--duration", duration];
    let run = servers.command().args(words).spawn().unwrap();
    let mut client = servers.client(1);
    while client.query_one("SELECT max(user_id) FROM users", &[]).unwrap().get::<_, i64>(0) <= 350 {
        thread::sleep(Duration::from_millis(5));
    }
    meddle();
    Ran::of(run)
}

/// Asserts that only the second shard has errors, none of which is a wrong answer, and that the others continued.
fn assert_only_the_second_failed(whole: &Value) {
    assert!(number(whole, "errors") > 0);
    for errors in whole["errors_by_kind"].as_array().unwrap() {
        assert_eq!(errors["shard"], "shard_2", "{errors}");
    }
    let seconds = whole["throughput"].as_array().unwrap();
    for second in &seconds[..3] {
        assert!(number(second, "operations") > 0, "{second}");
    }
}

#[test]
fn a_crash_and_restart_cause_no_wrong_answer() {
    let servers = Servers::initialised(3);
    let ran = run_while(&servers, "4s", || {
        servers.crash(2);
        thread::sleep(Duration::from_secs(1));
        servers.start(2);
    });
    let whole = nothing_wrong(&ran.fails(6).says("operations failed"));
    assert_only_the_second_failed(&whole);
    assert_eq!(number(&whole, "keys_unchecked"), 0);
}

#[test]
fn the_users_of_a_down_shard_are_left_unchecked() {
    let servers = Servers::initialised(3);
    let ran = run_while(&servers, "3s", || servers.crash(2)).fails(6).says("not checked at the end");
    let whole = nothing_wrong(&ran);
    assert_only_the_second_failed(&whole);
    let unchecked = whole["unchecked_by_shard"].as_array().unwrap();
    assert_eq!((unchecked.len(), &unchecked[0]["shard"]), (1, &"shard_2".into()));
    assert_eq!(number(&unchecked[0], "keys"), number(&whole, "keys_unchecked"));
}

#[test]
fn a_rebalance_during_a_run_causes_no_wrong_answer() {
    let test = filled();
    add_shard(&test, 4).success();
    let words = ["--duration", "6s", "--mix", "get=50,create=5,update=40,delete=5", "--keys", "zipf"];
    let run = started(&test, &words);
    created(&test, USERS);
    let moved = Ran::of(start_slow_rebalance(&test, 100)).success();
    assert!(!moved.stdout.is_empty());
    let whole = nothing_wrong(&Ran::of(run).success());
    assert_eq!(number(&whole, "errors"), 0, "{whole}");
    let shards: Vec<&Value> = whole["by_shard"].as_array().unwrap().iter().map(|row| &row["shard"]).collect();
    assert_eq!(shards, ["shard_1", "shard_2", "shard_3", "shard_4"]);
    let ids: Vec<i64> = (1..=4).flat_map(|number| test.ids(number)).collect();
    assert_settled(&test, &topology_of(&[1, 2, 3, 4]), {
        let mut ids = ids;
        ids.sort_unstable();
        ids
    });
}

#[test]
fn ctrl_c_ends_a_run_with_its_report() {
    let test = filled();
    let run = started(&test, &["--duration", "10m"]);
    created(&test, USERS);
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    let whole = nothing_wrong(&Ran::of(run).fails(6).says("stopped after"));
    assert_eq!((&whole["stopped"], number(&whole, "keys_unchecked")), (&Value::Bool(true), 0));
}

#[test]
fn a_terminal_shows_charts_and_ctrl_c_stops_a_run() {
    let test = filled();
    let mut terminal = repl_at_prompt(&test, 80, &[]);
    terminal.send_keys("load run --duration 2s\r");
    terminal.wait_for_text("operations/s, 0 errors");
    terminal.wait_for_text("operations by shard:");
    terminal.wait_for_text("that were written: no wrong");
    // Columns without room are left out.
    let screen = terminal.text();
    assert!(screen.contains("p99_ms") && screen.contains("no room for p90_ms, p999_ms"), "{screen}");
    terminal.wait_for_last_line(&prompt(&test, ""));
    terminal.send_keys("load run --duration 10m\r");
    let highest = (1..=3).flat_map(|number| test.ids(number)).max().unwrap();
    created(&test, highest);
    terminal.send_keys("\u{3}");
    terminal.wait_for_text("error: stopped after");
    terminal.wait_for_last_line(&prompt(&test, ""));
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn invalid_arguments_are_usage_errors() {
    let test = Test::initialised();
    for words in [
        &["load"][..],
        &["load", "fill"],
        &["load", "fill", "0"],
        &["load", "fill", "-1"],
        &["load", "fill", "10", "--start", "9223372036854775800"],
        &["load", "fill", "18446744073709551615"],
        &["load", "fill", "10", "--seed", "x"],
        &["load", "run", "--clients", "0"],
        &["load", "run", "--clients", "1001"],
        &["load", "run", "--duration", "10"],
        &["load", "run", "--duration", "0s"],
        &["load", "run", "--mix", "get=0"],
        &["load", "run", "--mix", "fetch=1"],
        &["load", "run", "--mix", "get=1,get=1"],
        &["load", "run", "--mix", "get"],
        &["load", "run", "--rate", "0"],
        &["load", "run", "--keys", "gauss"],
        &["load", "run", "--users", "5"],
        &["load", "run", "--users", "5..1"],
        &["load", "run", "--users", "a..b"],
        &["load", "run", "--async-replica", ""],
    ] {
        let ran = test.run(words);
        assert_eq!(ran.code, 2, "{words:?}: {ran:?}");
        assert!(words.len() == 1 || ran.stderr.contains("error: "), "{words:?}: {ran:?}");
    }
    assert_eq!(test.run(&["count"]).success().stdout, "0\n");
}

#[test]
fn more_clients_than_connections_are_refused_before_the_run() {
    let test = Test::initialised();
    // Superusers have no limits.
    admin().batch_execute("CREATE ROLE thrifty LOGIN").unwrap();
    for number in 1..=3 {
        let grants = "GRANT ALL ON ALL TABLES IN SCHEMA public, ringshard TO thrifty; \
                      GRANT USAGE ON SCHEMA ringshard TO thrifty";
        test.execute(number, grants);
    }
    let shards: Vec<String> =
        (1..=3).map(|number| format!("shard_{number}={}", url("thrifty", &test.database(number)))).collect();
    let run = |clients: &str| {
        let mut command = test.command();
        command.env("RINGSHARD_SHARDS", shards.join(" "));
        Ran::of(command.args(["load", "run", "--duration", "300ms", "--clients", clients]).spawn().unwrap())
    };
    // The room of one shard, and what all shards have together.
    let one = format!("ALTER DATABASE {} CONNECTION LIMIT", test.database(2));
    for (limit, most) in [(one.as_str(), "5"), ("ALTER ROLE thrifty CONNECTION LIMIT", "14")] {
        admin().batch_execute(&format!("{limit} {most}")).unwrap();
        let ran = run("8").fails(69).says("has no room for the connections of").says("of 8 clients");
        assert_eq!(ran.stdout, "");
        // As many as the hint says have room.
        let fewer = ran.stderr.split("--clients ").nth(1).unwrap().split(',').next().unwrap().to_owned();
        run(&fewer).success();
        admin().batch_execute(&format!("{limit} -1")).unwrap();
    }
    run("8").success();
}

#[test]
fn a_lost_reservation_of_ids_is_reported() {
    let test = filled();
    let words = ["--duration", "2s", "--mix", "get=1,create=1"];
    let mut before = 0;
    for is_lost in [false, true] {
        let run = started(&test, &words);
        let sql = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 7283006 \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let holder: i32 = loop {
            // The session of the run before may end a moment later.
            let holders = test.query(1, sql, &[]);
            if let Some(pid) = holders.iter().map(|row| row.get(0)).find(|pid| *pid != before) {
                break pid;
            }
            thread::sleep(Duration::from_millis(5));
        };
        before = holder;
        if is_lost {
            test.query(1, "SELECT pg_terminate_backend($1)", &[&holder]);
        }
        let ran = Ran::of(run).success();
        nothing_wrong(&ran);
        assert_eq!(ran.stderr.contains("may have created users with the same ids"), is_lost, "{ran:?}");
    }
}
