//! What the REPL's screen looks like: prompts that tell the state, notices, odd terminals, odd characters.

use crate::support::clusters::filled;
use crate::support::harness::{Test, admin};
use crate::support::prompts::{greeted, prompt};
use crate::support::pty::Person;
use crate::support::rebalances::add;
use crate::support::servers::Servers;

#[test]
fn the_prompt_tells_of_a_change_and_of_a_shard_that_is_down() {
    let test = filled(300);
    let mut person = greeted(&test, 100, &[]);
    person.is_at(&prompt(&test, ""));
    test.allow(2, false);
    person.presses_enter_until(&prompt(&test, "!"));
    // The others go on as if nothing were.
    let id = test.ids(1)[0];
    person.enters(&format!("get-user {id} -o csv"));
    person.reads(&format!("\n{id},"));
    test.allow(2, true);
    person.presses_enter_until(&prompt(&test, ""));
    add(&test, 4).success();
    test.command().args(["rebalance", "-y"]).env("RINGSHARD_CRASH", "after-adopt:1").status().unwrap();
    person.presses_enter_until(&prompt(&test, "*"));
    assert_eq!(person.leaves().0, 0);
}

#[test]
fn a_shard_that_goes_and_comes_is_told_of_without_breaking_the_line() {
    let test = Test::initialised();
    let mut person = greeted(&test, 100, &[]);
    person.types("create-user --id 1 --na");
    let typed = format!("{} create-user --id 1 --na", prompt(&test, ""));
    person.is_at(&typed);
    test.allow(3, false);
    person.reads("notice: shard `shard_3` is down: ");
    person.is_at(&typed);
    test.allow(3, true);
    person.reads("notice: shard `shard_3` is back");
    person.is_at(&typed);
    person.types("me Ann\r");
    person.reads("│       1 ┆ Ann  ┆");
    assert_eq!(person.leaves().0, 0);
}

#[test]
fn sessions_that_were_ended_in_between_are_made_anew_without_a_word() {
    let test = Test::initialised();
    let mut person = greeted(&test, 100, &[]);
    person.enters("create-user --id 1 --name Ann -o csv");
    person.reads("1,Ann,,");
    person.is_at(&prompt(&test, ""));
    for _ in 0..2 {
        for number in 1..=3 {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
            admin().query(sql, &[&test.database(number)]).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(600));
        person.enters("update-user 1 --name Bea -o jsonl");
        person.reads("\"name\": \"Bea\"");
        person.enters("update-user 1 --name Cyd -o jsonl");
        person.reads("\"name\": \"Cyd\"");
        person.types("\u{c}");
        person.is_at(&prompt(&test, ""));
    }
    assert!(!person.screen().contains("error") && !person.screen().contains("notice"), "{}", person.screen());
    assert_eq!(person.leaves().0, 0);
}

#[test]
fn a_narrow_terminal_is_enough_and_may_change_its_size() {
    let test = Test::initialised();
    test.run(&["create-user", "--id", "1", "--name", "Ann", "--email", "ann@example.com"]).success();
    let mut person = greeted(&test, 40, &[]);
    person.is_at("3>");
    person.enters("get-user 1");
    person.reads("ann");
    person.is_at("3>");
    for line in person.screen().lines().filter(|line| line.starts_with('│')) {
        assert!(line.ends_with('│'), "{}", person.screen());
    }
    person.types("create-user --id 2 --name 'Bea of the long name'");
    person.reads("long name'");
    person.resizes(100);
    person.types(" --region EU");
    person.reads("--region EU");
    person.types("\r");
    person.reads("Bea of the long name");
    person.is_at(&prompt(&test, ""));
    assert_eq!(
        test.run(&["get-user", "2", "-o", "csv", "--no-header"]).stdout,
        "2,Bea of the long name,EU,\n"
    );
    assert_eq!(person.leaves().0, 0);
}

#[test]
fn wide_and_combining_characters_do_not_break_a_table() {
    let test = Test::initialised();
    let mut person = greeted(&test, 100, &[]);
    let names = ["漢字テスト", "e\u{301}te\u{301}", "🚀 Ada", "Ann"];
    for (id, name) in (1..).zip(names) {
        person.enters(&format!("create-user --id {id} --name '{name}' -q -o csv"));
        person.reads(&format!("\n{id},"));
    }
    person.types("\u{c}");
    person.enters("list-users");
    person.reads("└─");
    person.is_asked();
    // The column of the right border, in cells of the screen.
    let columns = person.columns_of("│");
    let last: Vec<u16> = columns.iter().filter(|row| row.len() == 2).map(|row| row[1]).collect();
    assert!(last.len() >= names.len(), "{}", person.screen());
    assert!(last.iter().all(|column| *column == last[0]), "{last:?}\n{}", person.screen());
    assert_eq!(person.leaves().0, 0);
}

/// Whether there is an SGR sequence in it: of parameters, and an `m` at its end.
fn has_colors(text: &str) -> bool {
    let parameters = |c: char| c.is_ascii_digit() || c == ';';
    text.split("\u{1b}[").skip(1).any(|rest| rest.trim_start_matches(parameters).starts_with('m'))
}

#[test]
fn a_dumb_terminal_and_one_without_colours_or_utf8_are_served() {
    let test = Test::initialised();
    test.run(&["create-user", "--id", "1", "--name", "Ann"]).success();
    for (name, value) in [("TERM", "dumb"), ("NO_COLOR", "1"), ("LANG", "C")] {
        let mut person = Person::at_the_repl(&test, 100, &[(name, value)]);
        person.is_at(&prompt(&test, ""));
        person.enters("get-user 1");
        person.reads("Ann");
        person.is_at(&prompt(&test, ""));
        if name != "TERM" {
            person.types("get-user 2");
            person.clears_the_line();
            let (code, seen) = person.leaves();
            assert_eq!(code, 0, "{name}");
            assert_eq!(has_colors(&seen), name == "LANG", "{name}: {seen:?}");
            if name == "LANG" {
                assert!(seen.is_ascii(), "{seen:?}");
            }
            continue;
        }
        let (code, seen) = person.leaves();
        assert_eq!(code, 0, "{name}");
        assert!(!seen.contains('\u{1b}'), "{seen:?}");
    }
}

#[test]
fn a_server_that_restarts_between_two_commands_is_no_matter() {
    let servers = Servers::initialised(2);
    let mut person = Person::runs(&servers.command(), 100, &[], &[]);
    person.enters("create-user --id 1 --name Ann -o csv");
    person.reads("1,Ann,,");
    for name in ["Bea", "Cyd"] {
        for number in 1..=2 {
            servers.crash(number);
            servers.start(number);
        }
        person.enters(&format!("update-user 1 --name {name} -o jsonl"));
        person.reads(&format!("\"name\": \"{name}\""));
        person.enters("count -o jsonl");
        person.reads("{\"rows\": 1}");
    }
    let screen = person.screen();
    assert!(!screen.contains("error") && !screen.contains("notice"), "{screen}");
    assert_eq!(person.leaves().0, 0);
}

#[test]
fn a_shard_that_refuses_sessions_is_told_of_at_once() {
    let test = Test::initialised();
    test.allow(2, false);
    let mut person = Person::at_the_repl(&test, 160, &[]);
    person.is_asked();
    person.presses_enter_until(&prompt(&test, "!"));
    person.reads("`shard_2` is down (FATAL: database");
    person.reads("on the shards that answer 0 users: shard_1");
    test.allow(2, true);
    assert_eq!(person.leaves().0, 0);
}
