//! Settings of databases and roles do not change what a command means, and what they forbid is respected.

use crate::support::clusters::with_users;
use crate::support::harness::{Ran, Test, admin};

fn set(test: &Test, setting: &str) {
    for number in 1..=3 {
        admin().batch_execute(&format!("ALTER DATABASE {} SET {setting}", test.database(number))).unwrap();
    }
}

/// What the commands that read print.
fn read(test: &Test) -> Vec<String> {
    [
        &["get-user", "1"][..],
        &["count", "--by", "region"],
        &["list-users", "--limit", "100"],
        &["export"],
        &["verify", "--deep"],
        &["sql", "SELECT max(user_id) FROM public.users"],
    ]
    .map(|words| test.run(words).success().stdout)
    .to_vec()
}

#[test]
fn settings_do_not_change_what_commands_do() {
    let test = with_users(60);
    let before = read(&test);
    for setting in [
        "statement_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1ms'",
        "idle_session_timeout = '1ms'",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_deferrable = on",
        "synchronous_commit = off",
        "search_path = nowhere",
        "client_encoding = 'LATIN1'",
        "DateStyle = 'German'",
        "standard_conforming_strings = off",
        "bytea_output = 'escape'",
        "quote_all_identifiers = on",
        "enable_indexscan = off",
        "row_security = on",
        "session_replication_role = replica",
    ] {
        set(&test, setting);
    }
    assert_eq!(read(&test), before);
    test.run(&["create-user", "--id", "100", "--name", "x"]).success();
    test.run(&["update-user", "100", "--region", "EU"]).success();
    test.run(&["delete-user", "100"]).success();
    std::fs::write(test.home.path().join("f.csv"), "user_id,name\n101,x\n102,y\n").unwrap();
    test.run(&["import", "f.csv"]).success();
    test.run(&["import", "f.csv", "--on-conflict", "update"]).success();
    test.run(&["init-shards"]).success();
    test.run(&["add-shard", "shard_2", "--weight", "2"]).success();
    test.run(&["rebalance", "-y"]).success();
    let shards = test.run(&["shards"]).success();
    assert!(shards.fields().iter().all(|fields| fields[5] == "active"), "{shards:?}");
    assert_eq!(test.run(&["count"]).success().stdout, "62\n");
    test.run(&["verify"]).success();
}

#[test]
fn a_read_only_default_is_respected_by_every_command() {
    let test = with_users(30);
    let misplaced =
        "INSERT INTO users SELECT 7777, 'x' WHERE NOT EXISTS (SELECT FROM users WHERE user_id = 7777)";
    test.execute(1, misplaced);
    test.execute(2, misplaced);
    set(&test, "default_transaction_read_only = on");
    std::fs::write(test.home.path().join("f.csv"), "user_id,name\n1001,x\n1002,y\n").unwrap();
    for words in [
        &["create-user", "--id", "1000", "--name", "x"][..],
        &["update-user", "1", "--name", "y"],
        &["delete-user", "1"],
        &["import", "f.csv"],
        &["import", "f.csv", "--on-conflict", "update"],
        &["verify", "--fix", "-y"],
        &["add-shard", "shard_2", "--weight", "2"],
        &["load", "fill", "10"],
    ] {
        let ran = test.run(words);
        assert!([69, 77, 78].contains(&ran.code), "{words:?}: {ran:?}");
        assert!(ran.stderr.contains("read-only") || ran.stderr.contains("read_only"), "{words:?}: {ran:?}");
    }
    let script = "create-user --id 1000 --name x\ncreate-user --id 1001 --name y\n";
    std::fs::write(test.home.path().join("script"), script).unwrap();
    test.run(&["-f", "script"]).fails(69);
    assert_eq!(test.run(&["get-user", "1"]).success().stdout.split('\t').next(), Some("1"));
    let mut all: Vec<i64> = (1..=3).flat_map(|number| test.ids(number)).collect();
    all.sort_unstable();
    let expected: Vec<i64> = (1..=30).chain([7777, 7777]).collect();
    assert_eq!(all, expected);
    for number in 1..=3 {
        let rows = test.query(number, "SELECT count(*) FROM users WHERE name = 'y'", &[]);
        assert_eq!(rows[0].get::<_, i64>(0), 0);
        let desired = test.query(number, "SELECT desired_topology IS NULL FROM ringshard.meta", &[]);
        assert!(desired[0].get::<_, bool>(0));
    }
}

#[test]
fn a_setting_that_the_server_does_not_know_is_no_server_that_is_down() {
    let test = with_users(3);
    for options in ["-c nonsense=1", "--bad", "-c statement_timeout=soon"] {
        let mut command = test.command();
        command.env("PGOPTIONS", options).args(["get-user", "1"]);
        Ran::of(command.spawn().unwrap()).fails(78).says("PGOPTIONS");
    }
}
