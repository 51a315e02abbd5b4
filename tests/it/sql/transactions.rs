//! `BEGIN` to `COMMIT`: one transaction on the owner of its keys.

use std::collections::BTreeMap;

use crate::support::clusters::filled;
use crate::support::harness::{Ran, Test};
use crate::support::prompts::repl_at_prompt;
use crate::support::rebalances::add_shard;
use crate::support::rings::{ids_of, owner};

/// Runs these lines as a script.
fn script(test: &Test, flags: &[&str], lines: &[String]) -> Ran {
    std::fs::write(test.home.path().join("script"), lines.join("\n") + "\n").unwrap();
    test.run(&[flags, &["-f", "script"]].concat())
}

fn lines(text: &[&str]) -> Vec<String> {
    text.iter().map(|line| (*line).to_owned()).collect()
}

fn name(test: &Test, id: i64) -> String {
    test.run(&["sql", &format!("SELECT name FROM users WHERE user_id = {id}")])
        .success()
        .stdout
        .trim_end()
        .to_owned()
}

#[test]
fn all_of_a_transaction_is_done_or_nothing() {
    let test = filled(50);
    let [one, other] = ids_of(2, 1, 2)[..] else { panic!() };
    let change = |id: i64, to: &str| format!("UPDATE users SET name = '{to}' WHERE user_id = {id};");
    let read = format!("SELECT name FROM users WHERE user_id = {one};");
    let begin_to = |end: &str| {
        [&["BEGIN;".to_owned(), change(one, "a"), change(other, "b"), read.clone()][..], &lines(&[end])]
            .concat()
    };
    let ran = script(&test, &[], &begin_to("ROLLBACK;")).success();
    assert_eq!(ran.stdout, "a\n");
    assert!(ran.stderr.contains("UPDATE 1 on shard shard_2, not yet committed"), "{ran:?}");
    assert_ne!(name(&test, one), "a");
    assert_eq!(script(&test, &[], &begin_to("COMMIT;")).success().stdout, "a\n");
    assert_eq!([name(&test, one), name(&test, other)], ["a", "b"]);
    // Savepoints, an isolation level, and END.
    let text = [
        lines(&["START TRANSACTION ISOLATION LEVEL SERIALIZABLE;"]),
        vec![change(one, "c")],
        lines(&["SAVEPOINT s;"]),
        vec![change(one, "d"), format!("DELETE FROM users WHERE user_id = {other};")],
        lines(&["ROLLBACK TO s;", "RELEASE s;", "END;"]),
    ];
    script(&test, &[], &text.concat()).success();
    assert_eq!([name(&test, one), name(&test, other)], ["c", "b"]);
    // Nothing in it.
    script(&test, &[], &lines(&["BEGIN;", "COMMIT;"])).success().says("COMMIT of nothing");
}

#[test]
fn what_is_not_part_of_it_is_refused() {
    let test = filled(50);
    let (here, there) = (ids_of(2, 1, 1)[0], ids_of(3, 1, 1)[0]);
    let begin = format!("UPDATE users SET name = 'x' WHERE user_id = {here};");
    let cases = [
        (format!("DELETE FROM users WHERE user_id = {there};"), format!("the key `{there}` is on `shard_3`")),
        ("SELECT count(*) FROM users;".into(), "names no sharding key".into()),
        ("UPDATE users SET name = 'y';".into(), "names no sharding key".into()),
        ("sql --per-shard 'select 1'".into(), "a transaction is on one shard".into()),
        ("sql --all-shards \"DELETE FROM users\"".into(), "a transaction is on one shard".into()),
        ("create-user --id 1000 --name x".into(), "a transaction is open".into()),
        ("sql \"DROP TABLE users\"".into(), "neither reads nor changes".into()),
        ("BEGIN;".into(), "a transaction is open already".into()),
        ("COMMIT AND CHAIN;".into(), "AND CHAIN is not supported".into()),
        (format!("SELECT 1/0 FROM users WHERE user_id = {here};"), "division by zero".into()),
        ("EXPLAIN ANALYZE DELETE FROM users;".into(), "names no sharding key".into()),
        (
            format!(
                "sql --key {here} \"WITH gone AS (DELETE FROM users RETURNING 1) SELECT count(*) FROM gone\""
            ),
            "names no sharding key".into(),
        ),
    ];
    let before = name(&test, here);
    for (line, why) in cases {
        let text = [lines(&["BEGIN;"]), vec![begin.clone(), line.clone()], lines(&["COMMIT;"])].concat();
        let ran = script(&test, &[], &text);
        assert!(ran.code != 0 && ran.stderr.contains(&why), "{line}: {ran:?}");
        assert!(ran.stderr.contains("it was not committed"), "{line}: {ran:?}");
        assert_eq!(name(&test, here), before, "{line}");
    }
    // An error that is passed over does not make half of it.
    let fails = format!("SELECT 1/0 FROM users WHERE user_id = {here};");
    let text = [lines(&["BEGIN;"]), vec![begin.clone(), fails, begin.clone()], lines(&["COMMIT;"])].concat();
    let ran = script(&test, &["--keep-going"], &text);
    assert!(ran.code == 1 && ran.stderr.contains("can only be rolled back"), "{ran:?}");
    assert!(ran.stderr.contains("is rolled back, as a statement of it has failed"), "{ran:?}");
    assert_eq!(name(&test, here), before);
    // Nor does a savepoint behind an error that no shard has seen.
    let refused = "UPDATE users SET name = 'y';".to_owned();
    let text =
        [lines(&["BEGIN;"]), vec![begin.clone(), refused], lines(&["SAVEPOINT s;", "COMMIT;"])].concat();
    let ran = script(&test, &["--keep-going"], &text);
    assert!(
        ran.code == 1 && ran.stderr.contains("is rolled back, as a statement of it has failed"),
        "{ran:?}"
    );
    assert_eq!(name(&test, here), before);
    // A run that only reads.
    let explained = format!("EXPLAIN ANALYZE DELETE FROM users WHERE user_id = {here};");
    let function = "CREATE FUNCTION gone(id bigint) RETURNS bigint LANGUAGE sql AS 'DELETE FROM users WHERE user_id = id RETURNING user_id'";
    (1..=3).for_each(|number| test.execute(number, function));
    let called = format!("SELECT gone(user_id) FROM users WHERE user_id = {here};");
    for (line, code) in [(explained, 77), (called, 2)] {
        let text = [lines(&["BEGIN;"]), vec![line], lines(&["COMMIT;"])].concat();
        script(&test, &["--read-only"], &text).fails(code);
        assert_eq!(name(&test, here), before);
    }
    script(&test, &[], &lines(&["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"]))
        .fails(2)
        .says("cannot prove");
    // Not committed at the end.
    let text = [lines(&["BEGIN;"]), vec![begin]].concat();
    script(&test, &[], &text).fails(6).says("rolled back, as it was not committed");
    assert_eq!(name(&test, here), before);
    test.run(&["sql", "COMMIT"]).fails(2).says("no transaction is open");
    // The key of the option, and a query of other tables.
    let key = here.to_string();
    let text = [
        format!("sql --key {key} BEGIN"),
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = pg_backend_pid();".into(),
        "ROLLBACK;".into(),
    ];
    assert_eq!(script(&test, &[], &text).success().says("BEGIN on shard shard_2").stdout, "yes\n");
    script(&test, &[], &lines(&["BEGIN;", "SELECT 1;", "ROLLBACK;"])).fails(2).says("on no shard yet");
}

#[test]
fn transactions_find_their_shard_while_rows_move() {
    let test = filled(400);
    add_shard(&test, 4).success();
    let mut command = test.command();
    command.args(["rebalance", "-y", "--chunk-rows", "5", "--max-rows-per-sec", "15"]);
    let mut mover = command.spawn().unwrap();
    let mut written = BTreeMap::new();
    let mut ids = (1..400_i64).cycle();
    let mut rounds = 0;
    while mover.try_wait().unwrap().is_none() {
        rounds += 1;
        let mut text = Vec::new();
        for id in ids.by_ref().take(40) {
            text.push("BEGIN;".to_owned());
            for part in ["name", "region"] {
                text.push(format!("UPDATE users SET {part} = '{rounds}' WHERE user_id = {id};"));
            }
            text.push("COMMIT;".to_owned());
            written.insert(id, rounds.to_string());
        }
        script(&test, &["-q"], &text).success();
    }
    Ran::of(mover).success();
    let sql = "SELECT user_id, name FROM users WHERE name = region ORDER BY 1";
    let stored = test.run(&["sql", sql]).success();
    let stored = stored.fields().into_iter().map(|fields| (fields[0].parse().unwrap(), fields[1].to_owned()));
    assert_eq!(stored.collect::<BTreeMap<i64, String>>(), written);
    test.run(&["verify", "--deep"]).success();
}

#[test]
fn the_prompt_shows_it() {
    let test = filled(10);
    let mut terminal = repl_at_prompt(&test, 100, &[]);
    terminal.enter_line("begin;");
    terminal.wait_for_text("BEGIN>");
    terminal.enter_line("update users set name = 'new' where user_id = 7;");
    terminal.wait_for_text(&format!("BEGIN shard_{}>", owner(7)));
    terminal.enter_line("select nonsense from users where user_id = 7;");
    terminal.wait_for_text(&format!("BEGIN shard_{} failed>", owner(7)));
    terminal.enter_line("rollback;");
    terminal.wait_for_text("ROLLBACK on shard");
    terminal.enter_line("clear");
    assert!(!terminal.screen().contains("BEGIN"), "{}", terminal.screen());
    terminal.enter_line("begin;");
    terminal.enter_line("update users set name = 'new' where user_id = 7;");
    let (code, seen) = terminal.exit_at_prompt();
    assert!(code == 6 && seen.contains("it was not committed"), "{seen}");
    assert_ne!(name(&test, 7), "new");
}
