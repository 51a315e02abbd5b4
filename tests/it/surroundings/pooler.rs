//! Shards behind a real `PgBouncer`. In transaction mode each transaction may run in another backend, which other clients used
//! before.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use postgres::Client;
use ringshard::bulk::FileFormat;

use crate::support::harness::{Ran, Test};
use crate::support::pooler::{Pooler, add_direct_urls};
use crate::support::rings::owner;
use crate::support::user_files::{file_of, users, write};

const MODES: [&str; 2] = ["session", "transaction"];

/// Runs lines in one process.
fn script(test: &Test, lines: &str) -> Ran {
    let mut child = test.command().arg("--keep-going").stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    Ran::of(child)
}

/// Asserts that no backend of the pooler holds what outlives a transaction.
#[track_caller]
fn assert_nothing_left(pooler: &Pooler, test: &Test, number: usize, backends: usize) {
    let mut clients: Vec<Client> = (0..backends).map(|_| pooler.client(&test.database(number))).collect();
    // Each in a transaction, so that they have all backends.
    for client in &mut clients {
        client.batch_execute("BEGIN").unwrap();
        let rows = client.simple_query(
            "SELECT (SELECT count(*) FROM pg_prepared_statements WHERE from_sql IS NOT NULL), \
                    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()), \
                    (SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relnamespace = pg_my_temp_schema()), \
                    current_setting('statement_timeout'), current_setting('ringshard.guard', true)",
        );
        let rows = rows.unwrap();
        let row = rows.iter().find_map(|message| match message {
            postgres::SimpleQueryMessage::Row(row) => {
                Some((0..5).map(|at| row.get(at).unwrap_or("")).collect::<Vec<_>>())
            }
            _ => None,
        });
        assert_eq!(row.unwrap(), ["0", "0", "0", "0", ""]);
    }
}

#[test]
fn reads_writes_scatter_import_and_sql_work_in_both_modes() {
    for mode in MODES {
        let pooler = Pooler::start(mode, 4);
        let test = pooler.initialised();
        test.run(&["create-user", "--id", "1", "--name", "A"]).success();
        assert_eq!(test.run(&["get-user", "1"]).success().stdout, "1\tA\t\\N\t\\N\n");
        test.run(&["update-user", "1", "--region", "EU"]).success();
        test.run(&["delete-user", "1"]).success();
        test.run(&["get-user", "1"]).fails(4);
        let made = test.run(&["create-user", "--name", "A"]).success();
        test.run(&["delete-user", made.fields()[0][0]]).success();
        // In one process: creates that are batched, and statements that are repeated.
        let ids = 10..60;
        let line = |id: i64| {
            format!("create-user --id {id} --name U{id}\nget-user {id}\nupdate-user {id} --region EU\n")
        };
        let creates: String =
            ids.clone().map(|id| format!("create-user --id {} --name B\n", id + 100)).collect();
        let ran = script(&test, &(ids.map(line).collect::<String>() + &creates)).success();
        assert_eq!(ran.stdout.lines().count(), 200, "{ran:?}");
        assert_eq!(test.run(&["count"]).success().stdout, "100\n");
        write(&test, "f.csv", file_of(&users(1_000..9_000), FileFormat::Csv));
        test.run(&["import", "f.csv"]).success();
        test.run(&["import", "f.csv"]).fails(5);
        test.run(&["import", "f.csv", "--on-conflict", "update"]).success();
        assert_eq!(test.run(&["count"]).success().stdout, "8100\n");
        assert_eq!(test.run(&["list-users", "--limit", "10000"]).success().stdout.lines().count(), 8_100);
        assert_eq!(test.run(&["export"]).success().stdout.lines().count(), 8_101);
        for number in 1..=3 {
            test.execute(number, "CREATE TYPE mood AS ENUM ('fine'); CREATE DOMAIN short AS text");
        }
        let typed = ["sql", "SELECT 'fine'::mood AS mood, 'x'::short AS text, ARRAY['fine'::mood] AS moods"];
        for _ in 0..3 {
            assert!(test.run(&typed).success().stdout.contains("shard_2\tfine\tx\t{fine}"));
        }
        let both = format!("sql \"{}\"\nsql \"{}\"\n", typed[1], typed[1]);
        assert_eq!(script(&test, &both).success().stdout.lines().count(), 6);
        let lines = "BEGIN;\nUPDATE users SET name = 'x' WHERE user_id = 10;\nSAVEPOINT s;\nDELETE FROM users WHERE user_id = 10;\n\
                     ROLLBACK TO s;\nCOMMIT;\nSELECT name FROM users WHERE user_id = 10;\n";
        assert_eq!(script(&test, lines).success().stdout, "x\n");
        test.run(&["sql", "--all-shards", "UPDATE users SET region = 'all'"])
            .success()
            .says("UPDATE 8100 on 3 shards (");
        assert_eq!(test.run(&["count", "--region", "all"]).success().stdout, "8100\n");
        test.run(&["load", "fill", "100", "--start", "20000"]).success();
        test.run(&["load", "run", "--duration", "1s", "--clients", "1"]).success();
        test.run(&["verify"]).success();
        test.run(&["shards"]).success();
        test.run(&["init-shards"]).success();
        for number in 1..=3 {
            assert_nothing_left(&pooler, &test, number, 4);
        }
    }
}

#[test]
fn a_read_is_never_carried_out_as_another_processs_delete() {
    let pooler = Pooler::start("transaction", 2);
    let test = pooler.initialised();
    write(&test, "f.csv", file_of(&users(1..801), FileFormat::Csv));
    test.run(&["import", "f.csv"]).success();
    let start = |command: &str, ids: std::ops::Range<i64>| {
        let mut child = test.command().arg("--keep-going").stdin(Stdio::piped()).spawn().unwrap();
        let lines: String = ids.map(|id| format!("{command} {id}\n")).collect();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        child
    };
    let readers = [start("get-user", 1..201), start("get-user", 201..401)];
    let deleters = [start("delete-user", 401..601), start("delete-user", 601..801)];
    for (reader, first) in readers.into_iter().zip([1, 201]) {
        let ran = Ran::of(reader).success();
        for (fields, id) in ran.fields().iter().zip(first..) {
            assert_eq!(fields[0], id.to_string());
        }
    }
    for deleter in deleters {
        assert_eq!(Ran::of(deleter).success().stdout.lines().count(), 200);
    }
    let left: Vec<i64> = (1..=3).flat_map(|number| test.ids(number)).collect();
    assert_eq!(left.len(), 400);
    assert!(left.iter().all(|id| *id <= 400));
}

#[test]
fn statements_that_others_left_behind_are_never_run() {
    let first = Pooler::start("transaction", 4);
    let test = first.initialised();
    let pooler = Pooler::start("transaction", 1);
    pooler.replace(&test, |database| first.url(database));
    let lines: String = (1..=60).map(|id| format!("create-user --id {id} --name n\n")).collect();
    script(&test, &lines).success();
    // Another program in transaction mode left statements of these names in the only backend.
    for number in 1..=3 {
        let mut client = pooler.client(&test.database(number));
        for at in 0..40 {
            let delete = format!("PREPARE s{at} AS DELETE FROM users WHERE user_id > $1::bigint - 1000");
            client
                .batch_execute(&format!("SET ringshard.guard = 'checked'; {delete}; RESET ringshard.guard"))
                .unwrap();
        }
    }
    let reads: String = (1..=60).map(|id| format!("get-user {id}\n")).collect();
    assert_eq!(script(&test, &(reads.clone() + &reads)).success().stdout.lines().count(), 120);
    assert_eq!(test.run(&["count"]).success().stdout, "60\n");
    assert_eq!(test.run(&["list-users", "--limit", "10000"]).success().stdout.lines().count(), 60);
    assert_eq!(
        test.run(&["sql", "SELECT count(*) FROM users"]).success().stdout,
        test.run(&["count"]).success().stdout
    );
    test.run(&["verify"]).success();
    assert_eq!(test.run(&["export"]).success().stdout.lines().count(), 61);
}

#[test]
fn an_import_is_locked_against_a_second_one_through_a_pooler() {
    let pooler = Pooler::start("transaction", 4);
    let test = pooler.initialised();
    let text = file_of(&users(1..2_000), FileFormat::Csv);
    write(&test, "f.csv", text.clone());
    // The first import waits for the end of its input.
    let mut first =
        test.command().args(["import", "-", "--format", "csv"]).stdin(Stdio::piped()).spawn().unwrap();
    first.stdin.as_mut().unwrap().write_all(&text).unwrap();
    let pipe = first.stdin.take().unwrap();
    let held = || -> i64 {
        let sql = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database \
                   WHERE locktype = 'advisory' AND classid = 7283003 AND datname = $1";
        test.query(1, sql, &[&test.database(1)])[0].get(0)
    };
    while held() == 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    drop(pipe);
    Ran::of(first).success();
    assert_eq!(held(), 0);
}

#[test]
fn what_needs_a_session_of_its_own_is_refused_or_uses_the_direct_url() {
    for mode in MODES {
        let pooler = Pooler::start(mode, 4);
        let test = pooler.initialised();
        write(&test, "f.csv", file_of(&users(1..301), FileFormat::Csv));
        test.run(&["import", "f.csv"]).success();
        let weight = ["add-shard", "shard_2", "--weight", "2"];
        let apply = ["schema", "apply", "-y", "-c", "SELECT 1"];
        let outage = ["drill", "outage", "shard_1", "--for", "1s"];
        for words in [&weight[..], &["verify", "--fix", "-y"], &outage, &apply] {
            test.run(words).fails(78).says("connection pooler").says("direct_url");
        }
        assert!(test.run(&["rebalance", "status"]).success().stdout.starts_with("idle\t"));
        let config = fs::read_to_string(test.config()).unwrap();
        add_direct_urls(&test);
        let with_direct = fs::read_to_string(test.config()).unwrap();
        test.run(&weight).success();
        fs::write(test.config(), &config).unwrap();
        let status = test.run(&["rebalance", "status", "-o", "json"]).success().stdout;
        assert!(status.contains("\"planned\""), "{status}");
        fs::write(test.config(), &with_direct).unwrap();
        test.run(&["rebalance", "-y"]).success();
        test.run(&["verify", "--fix", "-y"]).success();
        assert_eq!(test.run(&["count"]).success().stdout, "300\n");
        assert!((1..=300).any(|id| !test.ids(owner(id)).contains(&id)), "nothing moved");
        // A direct URL that is none.
        let wrong = with_direct.replace(&test.url(1), &pooler.url(&test.database(1)));
        fs::write(test.config(), wrong).unwrap();
        test.run(&["verify", "--fix", "-y"]).fails(78).says("leads to a connection pooler, too");
    }
}
