//! `schema apply` and `schema status`: a change arrives on all shards or on none, whatever comes between.

use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;

use crate::support::blocking::wait_until_blocked;
use crate::support::harness::{Ran, Test};
use crate::support::pty::Terminal;
use crate::support::rebalances::{add_shard, rebalance_to_failpoint};
use crate::support::rings::ids_of;

fn apply(test: &Test, sql: &str) -> Ran {
    test.run(&["schema", "apply", "-y", "-c", sql])
}

fn start(test: &Test, words: &[&str]) -> Child {
    test.command().args(["schema", "apply", "-y"]).args(words).spawn().unwrap()
}

/// Whether `users` of each shard has a column.
fn has_column(test: &Test, column: &str) -> [bool; 3] {
    let sql = "SELECT FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = $1";
    [1, 2, 3].map(|number| !test.query(number, sql, &[&column]).is_empty())
}

/// The number of valid and of invalid indexes of this name on each shard.
fn indexes(test: &Test, name: &str) -> [(i64, i64); 3] {
    let sql = "SELECT count(*) FILTER (WHERE indisvalid), count(*) FILTER (WHERE NOT indisvalid) \
               FROM pg_index WHERE indexrelid::regclass::text = $1";
    [1, 2, 3].map(|number| {
        let row = &test.query(number, sql, &[&name])[0];
        (row.get(0), row.get(1))
    })
}

/// The states of the only change.
fn states(test: &Test) -> Vec<String> {
    let status = test.run(&["schema", "status"]).success();
    status.fields().iter().map(|fields| fields[2].to_owned()).collect()
}

/// A session that holds a lock on `users` until it ends.
fn holder(test: &Test, number: usize) -> Client {
    let mut client = test.client(number);
    client.batch_execute("BEGIN; LOCK TABLE users IN ACCESS SHARE MODE").unwrap();
    client
}

#[test]
fn a_file_is_applied_on_all_shards_once() {
    let test = Test::initialised();
    assert_eq!(test.run(&["schema", "status"]).success().stdout, "");
    std::fs::write(
        test.home.path().join("0001_note.sql"),
        "-- A comment; with a semicolon\nALTER TABLE users ADD COLUMN note text;\n\
         ALTER TABLE users ADD CHECK (note <> 'it''s; nothing');\nDO $$ BEGIN PERFORM 1; END $$;\n",
    )
    .unwrap();
    let plan = test.run(&["schema", "apply", "0001_note.sql", "--dry-run"]).success();
    assert_eq!(plan.fields()[0], ["0001_note.sql", "shard_1", "missing", "\\N"]);
    assert_eq!(has_column(&test, "note"), [false; 3]);
    test.run(&["schema", "apply", "0001_note.sql"])
        .fails(3)
        .says("3 statements in one transaction on each shard")
        .says("shard_1: to apply, first and alone");
    let ran = test.run(&["schema", "apply", "0001_note.sql", "-y"]).success();
    let results: Vec<String> = ran.fields().iter().map(|fields| fields.join(" ")).collect();
    assert_eq!(results, [1, 2, 3].map(|n| format!("0001_note.sql shard_{n} applied")));
    assert_eq!(has_column(&test, "note"), [true; 3]);
    assert_eq!(states(&test), ["applied"; 3]);
    let status = test.run(&["-o", "json", "schema", "status"]).success().json();
    let keys: Vec<&String> = status[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["at", "change", "shard", "state"]);
    assert!(status[2]["at"].as_str().unwrap().ends_with('Z'));
    let again = test.run(&["schema", "apply", "0001_note.sql"]).success();
    assert!(again.fields().iter().all(|fields| fields[2] == "unchanged"), "{again:?}");
    // Another text of the same name is another change, and a mistake.
    std::fs::write(test.home.path().join("0001_note.sql"), "ALTER TABLE users ADD COLUMN more text").unwrap();
    test.run(&["schema", "apply", "0001_note.sql", "-y"]).fails(5).says("--name");
    test.run(&["schema", "apply", "0001_note.sql", "-y", "--name", "more"]).success();
    assert_eq!(states(&test).len(), 6);
    test.run(&["doctor"]).success();
    test.run(&["verify"]).success();
    test.run(&["schema", "apply", "no-such-file.sql"]).fails(4).says("no-such-file.sql");
}

#[test]
fn a_change_that_fails_on_the_first_shard_changes_nothing() {
    let test = Test::initialised();
    apply(&test, "ALTER TABLE users ADD COLUMN note text; SELECT 1;\nALTER TABLE nothing ADD COLUMN x text")
        .fails(1)
        .says("cannot run `ALTER TABLE nothing ADD COLUMN x text` (line 2) on shard `shard_1`")
        .says(": ERROR: relation \"nothing\" does not exist (SQLSTATE 42P01); nothing was changed");
    assert_eq!(has_column(&test, "note"), [false; 3]);
    assert_eq!(test.run(&["schema", "status"]).success().stdout, "");
    // Tables of the cluster stay usable.
    for (sql, why) in [
        ("DROP TABLE users", "it does not exist"),
        ("ALTER TABLE users RENAME TO people", "it does not exist"),
        (
            "ALTER TABLE users RENAME COLUMN user_id TO id",
            "its column `user_id` is missing instead of bigint",
        ),
        ("ALTER TABLE users ALTER COLUMN user_id TYPE integer", "its column `user_id` is integer"),
        ("ALTER TABLE users DISABLE TRIGGER ALL", "ringshard's trigger `ringshard_insert` is disabled"),
        ("DROP TRIGGER ringshard_delete ON users", "ringshard's trigger `ringshard_delete` is missing"),
        ("ALTER TABLE users ADD UNIQUE (email)", "users_email_key does not contain `user_id`"),
        (
            "CREATE UNIQUE INDEX CONCURRENTLY one ON users (email)",
            "its unique index one does not contain `user_id`",
        ),
        ("ALTER TABLE users DROP COLUMN email", "the commands about users need its column email"),
    ] {
        apply(&test, sql).fails(1).says("was rolled back on shard `shard_1`").says(why);
    }
    assert_eq!(indexes(&test, "one"), [(0, 0); 3]);
    // What a change writes is checked by the guard.
    let foreign = ids_of(2, 1, 1)[0];
    apply(&test, &format!("INSERT INTO users VALUES ({foreign}, 'x')")).fails(1).says("RS001");
    assert_eq!(test.run(&["schema", "status"]).success().stdout, "");
    test.run(&["doctor"]).success();
    test.run(&["schema", "diff"]).success();
}

#[test]
fn what_controls_the_transaction_is_refused() {
    let test = Test::initialised();
    std::fs::write(test.home.path().join("x.sql"), "SELECT 1;\nCOMMIT;\n").unwrap();
    test.run(&["schema", "apply", "x.sql", "-y"])
        .fails(65)
        .says("x.sql:2: `COMMIT` controls the transaction")
        .says("one transaction");
    apply(&test, "BEGIN; SELECT 1").fails(65).says("-c:1: `BEGIN`");
    apply(&test, "SELECT 1; VACUUM users").fails(65).says("cannot run in a transaction");
    apply(&test, "DO $$ BEGIN COMMIT; END $$").fails(1).says("invalid transaction termination");
    apply(&test, "ALTER SYSTEM SET work_mem = '5MB'").fails(1).says("cannot run inside a transaction block");
    apply(&test, "").fails(65).says("there is no statement");
    test.run(&["schema", "apply"]).fails(2);
    assert_eq!(test.run(&["schema", "status"]).success().stdout, "");
}

#[test]
fn a_run_that_is_killed_between_shards_goes_on() {
    let test = Test::initialised();
    let holder = holder(&test, 2);
    let sql = "ALTER TABLE users ADD COLUMN note text DEFAULT 'x'";
    let mut child = start(&test, &["-c", sql]);
    wait_until_blocked(&test, 2);
    // The others do not wait for it.
    while has_column(&test, "note") != [true, false, true] {
        thread::sleep(Duration::from_millis(20));
    }
    // Nobody else may change the ring or the schema meanwhile.
    test.run(&["schema", "apply", "-y", "-c", "SELECT 1"]).fails(75).says("run lock");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(states(&test), ["applied", "missing", "applied"]);
    assert_eq!(test.run(&["schema", "diff"]).fails(1).fields().len(), 1);
    // Rows cannot move between tables that differ.
    test.run(&["remove-shard", "shard_3"]).success();
    test.run(&["rebalance", "-y"]).fails(78).says("nothing was moved: `tables`");
    let refused =
        apply(&test, sql).fails(75).says("is planned").says("ringshard add-shard shard_3 --weight 1");
    drop((holder, refused));
    test.run(&["add-shard", "shard_3", "--weight", "1"]).success();
    let ran = apply(&test, sql).success();
    let results: Vec<&str> = ran.fields().iter().map(|fields| fields[2]).collect();
    assert_eq!(results, ["unchanged", "applied", "unchanged"]);
    assert_eq!(states(&test), ["applied"; 3]);
    test.run(&["schema", "diff"]).success();
    test.run(&["doctor"]).success();
}

#[test]
fn a_failure_on_another_shard_is_told_and_can_be_mended() {
    let test = Test::initialised();
    let id = ids_of(2, 1, 1)[0].to_string();
    test.run(&["create-user", "--id", &id, "--name", "too long"]).success();
    let sql = "ALTER TABLE users ADD CONSTRAINT short CHECK (length(name) < 5)";
    test.run(&["schema", "apply", "-y", "--name", "short", "-c", sql])
        .fails(6)
        .says("`short` is on `shard_1`, `shard_3` and not on all shards yet")
        .says("(line 1 of `short`) on shard `shard_2`: ERROR: check constraint \"short\" of relation \"users\" is violated by some row")
        .says("run the same command again");
    assert_eq!(states(&test), ["applied", "missing", "applied"]);
    test.run(&["schema", "apply", "--name", "other", "-c", "SELECT 1"])
        .fails(3)
        .says("the earlier change `short` is not on all shards yet");
    test.run(&["update-user", "--id", &id, "--name", "ok"]).success();
    test.run(&["schema", "apply", "-y", "--name", "short", "-c", sql]).success();
    assert_eq!(states(&test), ["applied"; 3]);
    // A shard that is down: nothing begins, and the status says what is known.
    test.allow(3, false);
    apply(&test, "ALTER TABLE users ADD COLUMN note text").fails(69);
    let status = test.run(&["schema", "status"]).fails(6);
    assert_eq!(status.fields()[2][2], "unknown", "{status:?}");
    test.run(&["schema", "diff"]).fails(69);
    test.allow(3, true);
    assert_eq!(has_column(&test, "note"), [false; 3]);
}

#[test]
fn writers_do_not_queue_behind_a_change_that_waits() {
    let test = Test::initialised();
    let mut holder = holder(&test, 1);
    let child = start(&test, &["-c", "ALTER TABLE users ADD COLUMN note text"]);
    wait_until_blocked(&test, 1);
    let mut writer = test.client(1);
    let (begun, mut longest, mut count) = (Instant::now(), Duration::ZERO, 0);
    while begun.elapsed() < Duration::from_secs(4) {
        let one = Instant::now();
        writer.execute("UPDATE users SET name = name", &[]).unwrap();
        longest = longest.max(one.elapsed());
        count += 1;
        thread::sleep(Duration::from_millis(5));
    }
    assert!(longest < Duration::from_millis(1_500) && count > 50, "{longest:?}, {count} writes");
    assert_eq!(has_column(&test, "note"), [false; 3]);
    holder.batch_execute("COMMIT").unwrap();
    Ran::of(child).success();
    assert_eq!(has_column(&test, "note"), [true; 3]);
}

#[test]
fn indexes_are_built_concurrently_and_an_interrupted_build_is_repeated() {
    let test = Test::initialised();
    let sql = "CREATE INDEX CONCURRENTLY by_name ON users (name)";
    // An older transaction on the second shard.
    let mut holder = test.client(2);
    holder.batch_execute("BEGIN; LOCK TABLE users IN ROW EXCLUSIVE MODE").unwrap();
    let mut child = start(&test, &["-c", sql]);
    wait_until_blocked(&test, 2);
    assert_eq!(indexes(&test, "by_name")[1], (0, 1));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(states(&test)[..2], ["applied", "applying"]);
    // The server has not noticed that the client is gone, and the next run waits for it.
    let child = start(&test, &["-c", sql]);
    thread::sleep(Duration::from_millis(500));
    test.execute(
        2,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND query LIKE 'CREATE INDEX%'",
    );
    holder.batch_execute("COMMIT").unwrap();
    Ran::of(child).success();
    assert_eq!(states(&test), ["applied"; 3]);
    assert_eq!(indexes(&test, "by_name"), [(1, 0); 3]);
    test.run(&["schema", "diff"]).success();
    // An index that the server completes after its client is gone is not built again.
    let sql = "CREATE INDEX CONCURRENTLY by_region ON users (region)";
    holder.batch_execute("BEGIN; LOCK TABLE users IN ROW EXCLUSIVE MODE").unwrap();
    let mut child = start(&test, &["-c", sql]);
    wait_until_blocked(&test, 2);
    child.kill().unwrap();
    child.wait().unwrap();
    holder.batch_execute("COMMIT").unwrap();
    while indexes(&test, "by_region")[1] != (1, 0) {
        thread::sleep(Duration::from_millis(20));
    }
    let oid = || -> u32 { test.query(2, "SELECT 'by_region'::regclass::oid", &[])[0].get(0) };
    let built = oid();
    apply(&test, sql).success();
    assert_eq!((oid(), &states(&test)[3..]), (built, &["applied"; 3].map(ToOwned::to_owned)[..]));
    // A failure leaves nothing.
    for id in ids_of(1, 1, 2) {
        test.run(&["create-user", "--id", &id.to_string(), "--name", "same"]).success();
    }
    apply(&test, "CREATE INDEX CONCURRENTLY bad ON users ((1 / (length(name) - 4)))")
        .fails(1)
        .says("division by zero")
        .says("nothing was changed");
    assert_eq!(indexes(&test, "bad"), [(0, 0); 3]);
    apply(&test, "VACUUM users").success();
    apply(&test, "REINDEX TABLE CONCURRENTLY users").success();
    apply(&test, "DROP INDEX CONCURRENTLY by_name").success();
    assert_eq!(indexes(&test, "by_name"), [(0, 0); 3]);
    test.run(&["doctor"]).success();
}

#[test]
fn the_schema_does_not_change_while_the_ring_does() {
    let test = Test::initialised();
    for id in 1..=200 {
        let number = (1..=3).find(|number| ids_of(*number, id, 1)[0] == id).unwrap();
        test.execute(number, &format!("INSERT INTO users VALUES ({id}, 'x')"));
    }
    apply(&test, "ALTER TABLE users ADD COLUMN note text DEFAULT 'n'; CREATE INDEX by_note ON users (note)")
        .success();
    // The new shard gets what the change made, and its record.
    add_shard(&test, 4).success();
    let sql = "ALTER TABLE users ADD COLUMN more text";
    apply(&test, sql).fails(75).says("is planned").says("ringshard remove-shard shard_4 takes it back");
    rebalance_to_failpoint(&test, "after-receive:1", &[]);
    apply(&test, sql).fails(75).says("under way").says("ringshard rebalance completes it");
    test.run(&["rebalance", "-y"]).success();
    assert_eq!(states(&test), ["applied"; 4]);
    test.run(&["schema", "diff"]).success();
    test.run(&["verify", "--deep"]).success();
    apply(&test, sql).success();
    assert_eq!(states(&test), ["applied"; 8]);
    test.run(&["doctor"]).success();
}

#[test]
fn what_changes_while_the_user_is_asked_is_noticed() {
    let test = Test::initialised();
    let words = ["schema", "apply", "-c", "ALTER TABLE users ADD COLUMN note text"];
    let mut terminal = Terminal::run(&test, 200, &words, &[("NO_COLOR", "1")]);
    terminal.wait_for_output("Apply it? [y/N] ");
    test.run(&["remove-shard", "shard_3"]).success();
    terminal.send_keys("y\r");
    let (code, seen) = terminal.wait_for_exit();
    assert_eq!(code, 75, "{seen}");
    assert_eq!(has_column(&test, "note"), [false; 3]);

    let mut terminal = Terminal::run(&test, 200, &["rebalance"], &[("NO_COLOR", "1")]);
    terminal.wait_for_output("Carry this out? [y/N] ");
    test.execute(2, "ALTER TABLE users ADD COLUMN note text");
    terminal.send_keys("y\r");
    let (code, seen) = terminal.wait_for_exit();
    assert_eq!(code, 78, "{seen}");
    assert!(seen.contains("are not alike") && seen.contains("ringshard schema diff"), "{seen}");
    test.execute(2, "ALTER TABLE users DROP COLUMN note");
    // The column that was dropped is no difference.
    test.run(&["rebalance", "-y"]).success();
    test.run(&["schema", "diff"]).success();
}
