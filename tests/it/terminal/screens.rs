//! Screens of single commands in a pseudo-terminal.

use std::process::Command;

use crate::support::blocking::begin_update;
use crate::support::clusters::filled;
use crate::support::harness::{BINARY, Test};
use crate::support::pty::{Terminal, plain};
use crate::support::rebalances::{add_shard, create_position_indexes};

#[test]
fn ring_show_draws_in_colour() {
    let test = Test::initialised();
    let (code, seen) = Terminal::run(&test, 100, &["ring", "show"], &[]).wait_for_exit();
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains('\u{1b}'), "{seen}");
    insta::assert_snapshot!("ring_show", plain(&seen));
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let (_, seen) = Terminal::run(&test, 100, &["ring", "show"], &[(name, value)]).wait_for_exit();
        assert!(!seen.contains('\u{1b}'), "{name}: {seen:?}");
    }
    let (_, seen) = Terminal::run(&test, 100, &["ring", "show"], &[("LANG", "C")]).wait_for_exit();
    assert!(plain(&seen).is_ascii(), "{seen}");
}

#[test]
fn locate_and_simulate_explain_their_results() {
    let test = Test::initialised();
    let (_, seen) = Terminal::run(&test, 120, &["ring", "locate", "1", "US"], &[]).wait_for_exit();
    insta::assert_snapshot!("ring_locate", plain(&seen));
    let (_, seen) = Terminal::run(&test, 130, &["ring", "simulate", "--add", "shard_4"], &[]).wait_for_exit();
    insta::assert_snapshot!("ring_simulate", plain(&seen));
}

#[test]
fn tables_fit_a_narrow_terminal() {
    let test = Test::initialised();
    for columns in [40, 60] {
        for words in [&["ring", "locate", "1"][..], &["shards"], &["ring", "show"]] {
            let (code, seen) = Terminal::run(&test, columns, words, &[("NO_COLOR", "1")]).wait_for_exit();
            assert_eq!(code, 0);
            let table = seen.lines().filter(|line| line.starts_with(['│', '┌', '╞', '└']));
            let widest = table.map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= usize::from(columns), "{words:?} at {columns}: {widest}\n{seen}");
        }
    }
}

#[test]
fn a_terminal_of_unknown_size_has_the_columns_of_the_environment_or_80() {
    let test = Test::initialised();
    let at = |columns, variables: &[(&str, &str)]| {
        plain(&Terminal::run(&test, columns, &["ring", "show"], variables).wait_for_exit().1)
    };
    assert_eq!(at(0, &[]), at(80, &[]));
    assert_eq!(at(0, &[("COLUMNS", "100")]), at(100, &[]));
    assert_eq!(at(0, &[("COLUMNS", "wide")]), at(80, &[("COLUMNS", "100")]));
    assert_ne!(at(80, &[]), at(100, &[]));
}

#[test]
fn messages_are_wrapped_at_words() {
    let test = Test::initialised();
    for columns in [40, 60, 80] {
        let (code, seen) = Terminal::run(&test, columns, &["promote", "shard_1"], &[]).wait_for_exit();
        let seen = plain(&seen);
        assert_eq!(code, 5, "{seen}");
        for line in seen.lines() {
            assert!(line.chars().count() <= usize::from(columns) || !line.trim().contains(' '), "{seen}");
        }
        let joined = seen.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            joined.contains(
                "hint: nothing is to be done while it serves; to replace it, stop its server first, and make"
            ),
            "{seen}"
        );
    }
}

#[test]
fn data_cannot_control_the_terminal() {
    let test = Test::initialised();
    test.run(&["create-user", "--id", "1", "--name", "\u{1b}]0;owned\u{7}\u{1b}[2J"]).success();
    for format in ["table", "csv", "tsv", "json", "jsonl"] {
        let (_, seen) = Terminal::run(&test, 120, &["get-user", "1", "-o", format, "--color", "never"], &[])
            .wait_for_exit();
        assert!(!seen.contains(['\u{1b}', '\u{7}']), "{format}: {seen:?}");
        assert!(seen.contains("owned"));
    }
    for words in
        [&["export"][..], &["export", "-o", "jsonl"], &["list-users"], &["sql", "SELECT name FROM users"]]
    {
        let (_, seen) = Terminal::run(&test, 120, words, &[("NO_COLOR", "1")]).wait_for_exit();
        assert!(!seen.contains(['\u{1b}', '\u{7}']), "{words:?}: {seen:?}");
        assert!(seen.contains("owned"));
    }
    let (_, seen) =
        Terminal::run(&test, 120, &["get-user", "\u{1b}[2J"], &[("NO_COLOR", "1")]).wait_for_exit();
    assert!(!seen.contains('\u{1b}'), "{seen:?}");
}

#[test]
fn an_import_shows_progress_and_removes_the_bar() {
    let test = Test::initialised();
    let lines: String = (1..60_000).map(|id| format!("{id},Name {id}\n")).collect();
    std::fs::write(test.home.path().join("f.csv"), format!("user_id,name\n{lines}")).unwrap();
    let (code, seen) = Terminal::run(&test, 100, &["import", "f.csv"], &[]).wait_for_exit();
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains(" rows, ") && seen.contains(" s left"), "{seen:?}");
    assert!(plain(&seen).contains("59999"), "{seen}");
}

#[test]
fn a_rebalance_shows_its_plan_progress_and_waits() {
    let test = filled(3_000);
    add_shard(&test, 4).success();
    // Another session has written in an open transaction: the index and the fences wait for its end.
    let mut other = test.other_program("postgres", 2);
    let (transaction, pid) = begin_update(&mut other, test.ids(2)[0]);
    let words = ["rebalance", "--chunk-rows", "50", "--max-rows-per-sec", "2000"];
    let mut terminal = Terminal::run(&test, 200, &words, &[("NO_COLOR", "1")]);
    terminal.wait_for_output("by modulo 75.00 %");
    terminal.wait_for_output("Carry this out? [y/N] ");
    terminal.send_keys("y\r");
    terminal.wait_for_output(&format!("waiting: session {pid} on shard `shard_2` has an older transaction"));
    transaction.commit().unwrap();
    terminal.wait_for_output("-> shard_4");
    let (code, seen) = terminal.wait_for_exit();
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("verified: 2,999 users, each on its owner"), "{seen}");
    assert!(seen.contains(" s left") && seen.contains(" KiB, "), "{seen}");
}

#[test]
fn only_the_confirmed_plan_is_carried_out() {
    let test = filled(300);
    add_shard(&test, 4).success();
    let mut terminal = Terminal::run(&test, 200, &["rebalance"], &[("NO_COLOR", "1")]);
    terminal.wait_for_output("Carry this out? [y/N] ");
    test.run(&["remove-shard", "shard_1"]).success();
    terminal.send_keys("y\r");
    let (code, seen) = terminal.wait_for_exit();
    assert_eq!(code, 75, "{seen}");
    assert!(seen.contains("is not the one that was planned"), "{seen}");
    assert_eq!(test.ids(4), Vec::<i64>::new());
}

#[test]
fn a_session_that_holds_the_barrier_is_named() {
    let test = filled(3_000);
    add_shard(&test, 4).success();
    create_position_indexes(&test);
    let mut other = test.other_program("postgres", 2);
    let (transaction, pid) = begin_update(&mut other, test.ids(2)[0]);
    let mut terminal = Terminal::run(&test, 250, &["rebalance", "-y"], &[("NO_COLOR", "1")]);
    terminal.wait_for_output(&format!("waiting: session {pid} "));
    terminal.wait_for_output("holds a lock on shard `shard_2`");
    transaction.commit().unwrap();
    assert_eq!(terminal.wait_for_exit().0, 0);
}

#[test]
fn an_error_is_red_and_its_hint_is_not() {
    let test = Test::initialised();
    let (code, seen) = Terminal::run(&test, 120, &["get-user", "1"], &[]).wait_for_exit();
    assert_eq!(code, 4);
    insta::assert_snapshot!("not_found", seen.replace('\u{1b}', "<ESC>"));
}

#[test]
fn only_yes_confirms_a_question() {
    let test = Test::new();
    let programs = std::env::var("RINGSHARD_PG_BIN").unwrap_or_default();
    let more = [("RINGSHARD_PG_BIN", programs.as_str())];
    let run = |words: &[&str]| Terminal::run(&test, 120, words, &more);
    assert_eq!(run(&["local", "start"]).wait_for_exit().0, 0);
    for (keys, code) in [("n\r", 3), ("\r", 3), ("maybe\r", 3), ("y\r", 0)] {
        let mut terminal = run(&["local", "destroy"]);
        terminal.wait_for_output("[y/N] ");
        terminal.send_keys(keys);
        assert_eq!(terminal.wait_for_exit().0, code, "{keys:?}");
    }
}

#[test]
fn a_long_script_shows_progress() {
    let test = Test::initialised();
    let file = test.home.path().join("script");
    std::fs::write(&file, "count\n".repeat(300)).unwrap();
    // stdout is a file, stderr the terminal.
    let line = format!("'{BINARY}' -f script > out");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &line]).env("RINGSHARD_HOME", test.home.path()).env("TERM", "xterm-256color");
    shell.current_dir(test.home.path());
    let (code, seen) = Terminal::spawn(100, shell).wait_for_exit();
    assert_eq!(code, 0, "{seen}");
    assert!(plain(&seen).contains("/300 commands"), "{seen}");
}

/// What a command shows at this width, in which each line has room.
fn shown(test: &Test, columns: u16, words: &[&str]) -> String {
    let (code, seen) = Terminal::run(test, columns, words, &[("NO_COLOR", "1")]).wait_for_exit();
    assert_eq!(code, 0, "{seen}");
    let seen = plain(&seen);
    for line in seen.lines() {
        assert!(line.chars().count() <= usize::from(columns), "{words:?} at {columns}: {line}");
    }
    seen
}

#[test]
fn screens_of_two_thousand_users_at_three_widths() {
    let test = filled(2_000);
    let snapshot = |columns, name: &str, all: &[&[&str]]| {
        let screens = all.iter().map(|words| {
            // The names of the databases and folders differ between runs.
            let same = shown(&test, columns, words)
                .lines()
                .map(|line| line.split("postgresql:").next().unwrap().trim_end().to_owned())
                .collect::<Vec<_>>();
            format!("$ {}\n{}\n", words.join(" "), same.join("\n"))
        });
        insta::assert_snapshot!(format!("{name}{columns}"), screens.collect::<String>());
    };
    for columns in [60, 80, 120] {
        snapshot(columns, "at_", &[&["ring", "show"], &["help"], &["help", "beyond"], &["help", "sharding"]]);
        // Their figures vary.
        let explained = ["explain", "create-user", "--id", "9000", "--name", "Ann"];
        let load = ["load", "run", "--duration", "1s", "--clients", "2", "-qy"];
        for words in [&["doctor"][..], &["status"], &explained, &load] {
            let seen = shown(&test, columns, words);
            assert!(seen.contains('┌') && !seen.contains("shard_\n"), "{words:?} at {columns}: {seen}");
        }
    }
    test.run(&["add-shard", "shard_4", &test.url(4)]).success();
    for columns in [60, 80, 120] {
        snapshot(columns, "change_at_", &[&["explain", "rebalance"], &["rebalance", "--dry-run"]]);
    }
}
