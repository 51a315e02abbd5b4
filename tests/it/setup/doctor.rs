//! `doctor`: each fault is detected by its own check, and repaired by the command of the hint.

use std::io::Write as _;
use std::process::{Command, Stdio};

use ringshard::bulk::FileFormat;
use serde_json::Value;

use crate::support::harness::{BINARY, Ran, Test, admin, url};
use crate::support::proxy::{Cut, Proxy};
use crate::support::rings::owner;
use crate::support::user_files::{file_of, unfinished, users};

/// A check that failed.
#[derive(Debug, PartialEq)]
struct FailedCheck {
    shard: Option<String>,
    check: String,
    found: String,
    hint: String,
}

fn rows(ran: &Ran) -> Vec<Value> {
    ran.json().as_array().unwrap().clone()
}

fn failed_checks(ran: &Ran) -> Vec<FailedCheck> {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    rows(ran)
        .iter()
        .filter(|row| row["ok"] == false)
        .map(|row| FailedCheck {
            shard: text(&row["shard"]),
            check: text(&row["check"]).unwrap(),
            found: text(&row["found"]).unwrap(),
            hint: text(&row["hint"]).expect("a failed check has a hint"),
        })
        .collect()
}

fn doctor(test: &Test) -> Ran {
    test.run(&["doctor", "-o", "json"])
}

fn doctor_of(test: &Test, shards: &[String]) -> Ran {
    let mut command = test.command();
    command.env("RINGSHARD_SHARDS", shards.join(" ")).args(["doctor", "-o", "json"]);
    Ran::of(command.spawn().unwrap())
}

/// Asserts that exactly this check failed.
#[track_caller]
fn only_failure(ran: Ran, shard: Option<&str>, check: &str) -> FailedCheck {
    let mut found = failed_checks(&ran.fails(1));
    assert!(found.len() == 1 && found[0].check == check && found[0].shard.as_deref() == shard, "{found:?}");
    found.remove(0)
}

#[track_caller]
fn assert_all_pass(test: &Test, after: &str) {
    let ran = doctor(test);
    assert_eq!((ran.code, failed_checks(&ran)), (0, vec![]), "{after}");
}

/// Runs a shell command, `ringshard` or `psql`.
#[track_caller]
fn run_shell(test: &Test, command: &str) {
    let folder = std::path::Path::new(BINARY).parent().unwrap().display();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    let mut shell = Command::new("/bin/sh");
    shell.env_clear().env("PATH", path).env("RINGSHARD_HOME", test.home.path());
    let out = shell.args(["-c", command]).output().unwrap();
    assert!(out.status.success(), "{command}: {out:?}");
}

#[test]
fn a_healthy_cluster_passes_every_check() {
    let test = Test::initialised();
    let ran = doctor(&test).success();
    assert_eq!(failed_checks(&ran), []);
    let rows = rows(&ran);
    for check in ["reachable", "version", "privileges", "triggers", "functions", "clock", "disk", "leftovers"]
    {
        let of_check = rows.iter().filter(|row| row["check"] == check && row["ok"] == true);
        assert_eq!(of_check.count(), 3, "{check}");
    }
    for check in ["databases", "cluster", "members", "epoch", "ring"] {
        assert!(rows.iter().any(|row| row["check"] == check && row["shard"].is_null() && row["ok"] == true));
    }
    // A table has ticks; words where a tick cannot be shown, and in a script.
    let table = test.run(&["doctor", "-o", "table"]).success();
    assert!(table.stdout.contains('✓') && table.stderr.contains("checks passed"), "{table:?}");
    let ascii = Ran::of(test.command().env("LANG", "C").args(["doctor", "-o", "table"]).spawn().unwrap());
    assert!(ascii.success().stdout.contains("| yes |"));
    let lines = test.run(&["doctor"]).success();
    assert!(lines.fields().iter().all(|fields| fields.len() == 5 && fields[2] == "yes"), "{lines:?}");
}

/// A fault on the first shard, the check that must detect it, and a part of its message.
const BREAKAGES: &[(&str, &str, &str)] = &[
    ("DROP INDEX idx_users_region", "region_index", "none"),
    ("ALTER TABLE users DISABLE TRIGGER ringshard_insert", "triggers", "`ringshard_insert` is disabled"),
    ("ALTER TABLE users ENABLE TRIGGER ringshard_update", "triggers", "is not enabled as ALWAYS"),
    ("DROP TRIGGER ringshard_truncate ON users", "triggers", "`ringshard_truncate` is missing"),
    ("DROP FUNCTION ringshard.raise_wrong_shard", "functions", "`raise_wrong_shard` is missing"),
    (
        "CREATE OR REPLACE FUNCTION ringshard.shard_number(key anycompatible) RETURNS integer LANGUAGE sql \
         AS $$ SELECT 1 $$",
        "functions",
        "`shard_number` is not that of this ringshard",
    ),
    (
        "ALTER FUNCTION ringshard.guard_insert() SECURITY INVOKER",
        "functions",
        "`guard_insert` is not that of this ringshard",
    ),
    ("ALTER TABLE users ALTER email TYPE text", "table", "`email` is text"),
    ("ALTER TABLE users DROP COLUMN email", "table", "`email` is missing"),
    ("ALTER TABLE users SET UNLOGGED", "relation", "unlogged"),
    ("CREATE UNIQUE INDEX \"own One\" ON users (email)", "unique", "\"own One\""),
    ("ALTER TABLE users DROP CONSTRAINT users_pkey", "primary_key", "none"),
    (
        "ALTER TABLE users DROP CONSTRAINT users_pkey, ADD CONSTRAINT \"P k\" PRIMARY KEY (user_id, name)",
        "primary_key",
        "user_id, name",
    ),
    (
        "CREATE INDEX \"half made\" ON users (email); \
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = '\"half made\"'::regclass",
        "leftovers",
        "is not valid",
    ),
    (
        "CREATE INDEX ringshard_position ON users ((md5(user_id::text)::uuid)); \
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ringshard_position'::regclass",
        "position_index",
        "`ringshard_position` is not valid",
    ),
    (
        "INSERT INTO ringshard.import (source, committed_through, high_water_mark, digest, routing) VALUES (md5('x')::uuid, 77, 80, 0, '')",
        "imports",
        "one was interrupted, at record 77",
    ),
    (
        "SELECT pg_catalog.set_config('x.y', 'z', false); DO $$ BEGIN EXECUTE format( \
      'ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$",
        "writable",
        "is on",
    ),
];

#[test]
fn a_running_import_is_not_reported_as_a_leftover() {
    let test = Test::initialised();
    let mut child =
        test.command().args(["import", "-", "--batch-kib", "1"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&file_of(&users(1..500), FileFormat::Csv)).unwrap();
    while unfinished(&test) < 3 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let ran = doctor(&test).success();
    let found = |row: &Value| row["found"].as_str().is_some_and(|found| found.contains("`stdin` is running"));
    assert_eq!(rows(&ran).iter().filter(|row| found(row)).count(), 3, "{ran:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    drop(input);
    // Its sessions end soon.
    while doctor(&test).code == 0 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(failed_checks(&doctor(&test)).iter().all(|failed| failed.check == "imports"));
}

#[test]
fn each_fault_fails_one_check_and_its_hint_repairs_it() {
    let test = Test::initialised();
    let id = (1..1_000).find(|id| owner(*id) == 1).unwrap();
    test.execute(1, &format!("INSERT INTO users VALUES ({id}, 'N', 'EU', 'e')"));
    assert_all_pass(&test, "nothing");
    for (damage, check, words) in BREAKAGES {
        test.execute(1, damage);
        let failed = only_failure(doctor(&test), Some("shard_1"), check);
        assert!(failed.found.contains(words), "{damage}: {failed:?}");
        // The command is the whole hint, follows `then`, or is in brackets at the end.
        let hint = failed.hint.strip_suffix(')').unwrap_or(&failed.hint);
        let at = hint.rfind("psql '").or_else(|| hint.rfind("ringshard import forget"));
        let command = at.map_or(hint, |at| &hint[at..]);
        run_shell(&test, command);
        assert_all_pass(&test, damage);
    }
    assert_eq!(test.ids(1), [id]);
}

#[test]
fn inconsistent_catalogs_are_reported() {
    let broken = |number: usize, damage: &str| {
        let test = Test::initialised();
        test.execute(number, damage);
        test
    };
    let failed = only_failure(doctor(&broken(2, "UPDATE ringshard.meta SET epoch = 5")), None, "epoch");
    assert_eq!(failed.found, "`shard_2` is at 5, `shard_1` is at 1, `shard_3` is at 1");
    assert!(failed.hint.contains("old backup"), "{failed:?}");

    let change = "UPDATE ringshard.meta SET topology = jsonb_set(topology, '{virtual_nodes}', '7')";
    let ran = doctor(&broken(2, change)).fails(1);
    let checks: Vec<String> = failed_checks(&ran).into_iter().map(|failed| failed.check).collect();
    assert_eq!(checks, ["epoch", "arcs"], "{ran:?}");

    let failed = only_failure(
        doctor(&broken(3, "UPDATE ringshard.meta SET shard = 'shard_9'")),
        Some("shard_3"),
        "identity",
    );
    assert!(failed.found.contains("belongs to shard `shard_9`"), "{failed:?}");
    assert!(failed.hint.contains("ringshard config show"));

    let lost =
        "DELETE FROM ringshard.arc WHERE last = (SELECT last FROM ringshard.arc ORDER BY last LIMIT 1)";
    let failed = only_failure(doctor(&broken(1, lost)), Some("shard_1"), "arcs");
    assert!(failed.found.starts_with("69 arcs") && failed.found.contains("has 70"), "{failed:?}");
    assert!(failed.hint.contains("pg_restore --schema=ringshard"));

    let fenced = "UPDATE ringshard.arc SET state = 'fenced', transfer_to = 'shard_2' WHERE last = (SELECT last FROM ringshard.arc ORDER BY last LIMIT 1)";
    let test = broken(1, fenced);
    let failed = only_failure(doctor(&test), Some("shard_1"), "leftovers");
    assert_eq!(failed.found, "1 fenced arc");
    // Received by its target and not purged yet: each position still has one owner.
    let arc = test.query(1, "SELECT first::text, last::text FROM ringshard.arc WHERE state = 'fenced'", &[]);
    let (first, last): (&str, &str) = (arc[0].get(0), arc[0].get(1));
    for number in 1..=3 {
        test.execute(
            number,
            "UPDATE ringshard.meta SET status = 'pending', topology_md5 = NULL, next_topology = topology, participants = '[]', epoch = 2",
        );
    }
    let receive = format!("INSERT INTO ringshard.arc (first, last, epoch) VALUES ('{first}', '{last}', 2)");
    test.execute(2, &receive);
    let ran = doctor(&test).fails(1);
    assert!(failed_checks(&ran).iter().all(|failed| failed.check == "leftovers"), "{ran:?}");
    assert!(
        failed_checks(&ran)[0].found.contains("a change of the ring is not finished; 1 fenced arc"),
        "{ran:?}"
    );
    // Owned by two shards, and then by none: the ring is inconsistent.
    test.execute(1, "UPDATE ringshard.arc SET state = 'owned', transfer_to = NULL");
    let ran = doctor(&test).fails(1);
    assert!(
        failed_checks(&ran).iter().any(|failed| failed.found.starts_with("more than one shard owns")),
        "{ran:?}"
    );
    test.execute(1, &format!("DELETE FROM ringshard.arc WHERE last = '{last}'"));
    test.execute(2, &format!("DELETE FROM ringshard.arc WHERE last = '{last}'"));
    let ran = doctor(&test).fails(1);
    assert!(failed_checks(&ran).iter().any(|failed| failed.found.starts_with("nobody owns")), "{ran:?}");
}

#[test]
fn other_catalog_versions_and_missing_catalogs_are_reported() {
    let test = Test::initialised();
    test.execute(2, "UPDATE ringshard.meta SET catalog_version = 99");
    let failed = only_failure(doctor(&test), Some("shard_2"), "catalog");
    assert!(failed.found.contains("version 99") && failed.hint.contains("newer ringshard"), "{failed:?}");

    // Nothing is set up, and the configuration does not claim it.
    let fresh = Test::new();
    let shards: Vec<String> = (1..=3).map(|n| format!("shard_{n}={}", fresh.url(n))).collect();
    let ran = doctor_of(&fresh, &shards).fails(1);
    let found = failed_checks(&ran);
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|failed| failed.check == "catalog" && failed.hint == "ringshard init-shards"));

    // The configuration says that it was.
    test.execute(2, "UPDATE ringshard.meta SET catalog_version = 5");
    test.execute(2, "DROP SCHEMA ringshard CASCADE");
    let failed = only_failure(doctor(&test), Some("shard_2"), "catalog");
    assert!(failed.hint.contains("restore that database from a backup"), "{failed:?}");
    test.execute(1, "DROP TABLE users CASCADE");
    let ran = doctor(&test).fails(1);
    assert!(
        failed_checks(&ran).iter().any(|failed| failed.found.contains("the table `users` is missing")),
        "{ran:?}"
    );

    // A database that cannot hold every name.
    let ascii = Test::new();
    let database = ascii.database(3);
    admin()
        .batch_execute(&format!("DROP DATABASE {database}"))
        .and_then(|()| {
            admin().batch_execute(&format!(
                "CREATE DATABASE {database} ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
            ))
        })
        .unwrap();
    let ran = doctor_of(&ascii, &[format!("shard_1={}", ascii.url(3))]).fails(1);
    let encoding = failed_checks(&ran).into_iter().find(|failed| failed.check == "encoding").unwrap();
    assert_eq!(encoding.found, "SQL_ASCII");
}

#[test]
fn down_shards_do_not_hide_the_results_of_others() {
    let test = Test::initialised();
    test.execute(2, "DROP INDEX idx_users_region");
    let shards = [
        format!("shard_1={}", test.url(1)),
        format!("shard_2={}", test.url(2)),
        "shard_3=postgresql://postgres@127.0.0.1:1/x".to_owned(),
    ];
    let ran = doctor_of(&test, &shards).fails(69).says("shard `shard_3` cannot be reached; 2 of");
    let found = failed_checks(&ran);
    let checks: Vec<&str> = found.iter().map(|failed| failed.check.as_str()).collect();
    assert_eq!(checks, ["region_index", "reachable"]);
    assert!(found[1].found.contains("refused") && found[1].hint.contains("psql"), "{found:?}");
    let ring = rows(&ran).into_iter().find(|row| row["check"] == "ring").unwrap();
    assert!(ring["ok"].is_null(), "an unknown result is reported as a failure");
    // All of them down.
    let ran = doctor_of(&test, &shards[2..]).fails(69);
    assert_eq!(failed_checks(&ran).len(), 1);
    // A database that does not exist.
    let missing = format!("shard_1={}", url("postgres", "no_such_database"));
    let ran = doctor_of(&test, &[missing]).fails(69);
    assert!(failed_checks(&ran)[0].found.contains("does not exist"), "{ran:?}");
}

#[test]
fn wrong_urls_are_identified() {
    let test = Test::initialised();
    let (one, two, three) = (test.url(1), test.url(2), test.url(3));
    let swapped = [format!("shard_1={two}"), format!("shard_2={one}"), format!("shard_3={three}")];
    let ran = doctor_of(&test, &swapped).fails(1);
    let checks: Vec<String> = failed_checks(&ran).into_iter().map(|failed| failed.check).collect();
    assert_eq!(checks, ["identity", "identity"]);
    // One database under two names, reached in two ways.
    let proxy = Proxy::new(&test.database(1), "never sent", Cut::Request);
    let twice = [format!("shard_1={one}"), format!("shard_2={}", proxy.url()), format!("shard_3={three}")];
    let ran = doctor_of(&test, &twice).fails(1);
    let found = failed_checks(&ran);
    let checks: Vec<&str> = found.iter().map(|failed| failed.check.as_str()).collect();
    assert_eq!(checks, ["databases", "identity"]);
    assert_eq!(found[0].found, "`shard_1` and `shard_2` are one database");
    // One shard less than the topology has, and one more.
    let failed = only_failure(
        doctor_of(&test, &[format!("shard_1={one}"), format!("shard_2={two}")]),
        None,
        "members",
    );
    assert_eq!(failed.hint, format!("RINGSHARD_SHARDS=\"$RINGSHARD_SHARDS shard_3={three}\""));
    let config = std::fs::read_to_string(test.config()).unwrap();
    let (before, of_the_third) = config.split_once("[shards.shard_3]").unwrap();
    std::fs::write(test.config(), before).unwrap();
    let failed = only_failure(doctor(&test), None, "members");
    let added: Vec<&str> = failed.hint.split('`').skip(1).step_by(2).take(2).collect();
    assert_eq!(added, ["[shards.shard_3]", of_the_third.trim()]);
    std::fs::write(test.config(), format!("{before}{}\n{}\n", added[0], added[1])).unwrap();
    assert_all_pass(&test, "the lines of the hint");
    let other = Test::new();
    let more = format!("{config}\n[shards.x]\nurl = \"{}\"\n", other.url(1));
    std::fs::write(test.config(), more).unwrap();
    let ran = doctor(&test).fails(1);
    let hints: Vec<String> = failed_checks(&ran).into_iter().map(|failed| failed.hint).collect();
    assert!(hints[0].starts_with("take `[shards.x]` out of `"), "{hints:?}");
}

#[test]
fn missing_privileges_are_reported_with_the_grants() {
    let test = Test::initialised();
    let shards: Vec<String> =
        (1..=3).map(|n| format!("shard_{n}={}", url("plain", &test.database(n)))).collect();
    // Nothing was granted: each query that fails is a failed check, with the server's message.
    let ran = doctor_of(&test, &shards).fails(1);
    let found = failed_checks(&ran);
    assert!(found.iter().any(|failed| failed.check == "privileges"), "{found:?}");
    assert!(
        found.iter().any(|failed| failed.check == "catalog" && failed.found.contains("permission denied"))
    );
    assert!(rows(&ran).iter().any(|row| row["check"] == "version" && row["ok"] == true));
    // After the owner has run the hint, all checks pass.
    for number in 1..=3 {
        let name = format!("shard_{number}");
        let of_shard =
            |failed: &&FailedCheck| failed.shard.as_deref() == Some(&name) && failed.check == "privileges";
        let hint = &found.iter().find(of_shard).unwrap().hint;
        let (_, grants) = hint.split_once("\": ").unwrap();
        test.execute(number, grants);
    }
    assert_eq!(failed_checks(&doctor_of(&test, &shards).success()), []);
    test.execute(1, "REVOKE INSERT ON users FROM plain");
    let failed = only_failure(doctor_of(&test, &shards), Some("shard_1"), "privileges");
    assert_eq!(failed.found, "\"plain\" lacks INSERT on TABLE public.users");
    assert!(failed.hint.ends_with("GRANT INSERT ON TABLE public.users TO \"plain\""), "{failed:?}");
    // With these rights ringshard works.
    test.execute(1, "GRANT INSERT ON users TO plain");
    for id in ["1", "4", "9"] {
        let words = ["create-user", "--id", id, "--name", "x"];
        let mut command = test.command();
        command.env("RINGSHARD_SHARDS", shards.join(" ")).args(words);
        Ran::of(command.spawn().unwrap()).success();
    }
}

#[test]
fn doctor_does_not_start_a_stopped_private_server() {
    let test = Test::new();
    let programs = std::env::var_os("RINGSHARD_PG_BIN").unwrap_or_default();
    let run = |words: &[&str]| {
        let mut command = test.command();
        if !programs.is_empty() {
            command.env("RINGSHARD_PG_BIN", &programs);
        }
        Ran::of(command.args(words).spawn().unwrap())
    };
    run(&["init-shards", "--shards", "1"]).success();
    run(&["doctor"]).success();
    run(&["local", "stop"]).success();
    let ran = run(&["doctor", "-o", "json"]).fails(69);
    let found = failed_checks(&ran);
    let checks: Vec<&str> = found.iter().map(|failed| failed.check.as_str()).collect();
    assert_eq!(checks, ["private_postgres", "reachable"]);
    assert!(found.iter().all(|failed| failed.hint.contains("ringshard local start")), "{found:?}");
    assert_eq!(run(&["local", "status", "-o", "json"]).json()["running"], false);
    // A prepared transaction that was left behind holds the barrier, which blocks every move.
    let conf = test.home.path().join("postgres/data/postgresql.conf");
    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, text + "max_prepared_transactions = 5\n").unwrap();
    run(&["local", "start"]).success();
    run(&["doctor"]).success();
    let socket = run(&["local", "status", "-o", "json"]).json()["socket"].as_str().unwrap().to_owned();
    let psql = format!("psql -qX 'postgresql://postgres@/shard_1?host={socket}'");
    let prepare = "BEGIN; INSERT INTO users VALUES (1); PREPARE TRANSACTION 'left behind'";
    run_shell(&test, &format!("{psql} -c \"{prepare}\""));
    let failed = only_failure(run(&["doctor", "-o", "json"]), Some("shard_1"), "leftovers");
    assert!(failed.found.starts_with("the transaction `left behind` of role `postgres`"), "{failed:?}");
    run_shell(&test, failed.hint.strip_suffix(" (or COMMIT PREPARED)").unwrap());
    run(&["doctor"]).success();
    run(&["local", "destroy", "-y"]).success();
    let found = failed_checks(&run(&["doctor", "-o", "json"]).fails(69));
    assert!(found.iter().all(|failed| failed.hint.contains("ringshard init-shards")), "{found:?}");
}

#[test]
fn a_read_only_default_is_ended_where_it_is_set() {
    let test = Test::initialised();
    let role = format!("{}_role", test.database(1));
    admin().batch_execute(&format!("CREATE ROLE {role} LOGIN SUPERUSER")).unwrap();
    let config = std::fs::read_to_string(test.config()).unwrap();
    std::fs::write(test.config(), config.replace(&test.url(2), &url(&role, &test.database(2)))).unwrap();
    let of_database = format!("DATABASE {}", test.database(2));
    for of in [&format!("ROLE {role}"), &format!("ROLE {role} IN {of_database}"), &of_database] {
        admin().batch_execute(&format!("ALTER {of} SET default_transaction_read_only = on")).unwrap();
        let failed = only_failure(doctor(&test), Some("shard_2"), "writable");
        run_shell(&test, &failed.hint);
        assert_all_pass(&test, of);
        admin().batch_execute(&format!("ALTER {of} RESET default_transaction_read_only")).unwrap();
    }
    let mut command = test.command();
    command.env("PGOPTIONS", "-c default_transaction_read_only=on").args(["doctor", "-o", "json"]);
    let failed = failed_checks(&Ran::of(command.spawn().unwrap()).fails(1));
    assert!(failed.len() == 3 && failed[0].hint.contains("PGOPTIONS"), "{failed:?}");
}
