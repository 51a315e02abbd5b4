//! The screen of the REPL: prompts that show the state, notices, unusual terminals and characters.

use crate::support::clusters::filled;
use crate::support::harness::{Test, admin};
use crate::support::prompts::{prompt, repl_at_prompt};
use crate::support::pty::Terminal;
use crate::support::rebalances::add_shard;
use crate::support::servers::Servers;

#[test]
fn the_prompt_marks_a_rebalance_and_a_down_shard() {
    let test = filled(300);
    let mut terminal = repl_at_prompt(&test, 100, &[]);
    terminal.wait_for_last_line(&prompt(&test, ""));
    test.allow(2, false);
    terminal.press_enter_until(&prompt(&test, "!"));
    // The other shards are not affected.
    let id = test.ids(1)[0];
    terminal.enter_line(&format!("get-user {id} -o csv"));
    terminal.wait_for_text(&format!("\n{id},"));
    test.allow(2, true);
    terminal.press_enter_until(&prompt(&test, ""));
    add_shard(&test, 4).success();
    test.command().args(["rebalance", "-y"]).env("RINGSHARD_CRASH", "after-receive:1").status().unwrap();
    terminal.press_enter_until(&prompt(&test, "*"));
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn notices_of_shard_state_keep_the_typed_line() {
    let test = Test::initialised();
    let mut terminal = repl_at_prompt(&test, 100, &[]);
    terminal.send_keys("create-user --id 1 --na");
    let typed = format!("{} create-user --id 1 --na", prompt(&test, ""));
    terminal.wait_for_last_line(&typed);
    test.allow(3, false);
    terminal.wait_for_text("notice: shard `shard_3` is down: ");
    terminal.wait_for_last_line(&typed);
    test.allow(3, true);
    terminal.wait_for_text("notice: shard `shard_3` is back");
    terminal.wait_for_last_line(&typed);
    terminal.send_keys("me Ann\r");
    terminal.wait_for_text("│       1 ┆ Ann  ┆");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn terminated_sessions_are_reopened_silently() {
    let test = Test::initialised();
    let mut terminal = repl_at_prompt(&test, 100, &[]);
    terminal.enter_line("create-user --id 1 --name Ann -o csv");
    terminal.wait_for_text("1,Ann,,");
    terminal.wait_for_last_line(&prompt(&test, ""));
    for _ in 0..2 {
        for number in 1..=3 {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
            admin().query(sql, &[&test.database(number)]).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(600));
        terminal.enter_line("update-user 1 --name Bea -o jsonl");
        terminal.wait_for_text("\"name\": \"Bea\"");
        terminal.enter_line("update-user 1 --name Cyd -o jsonl");
        terminal.wait_for_text("\"name\": \"Cyd\"");
        terminal.send_keys("\u{c}");
        terminal.wait_for_last_line(&prompt(&test, ""));
    }
    assert!(
        !terminal.screen().contains("error") && !terminal.screen().contains("notice"),
        "{}",
        terminal.screen()
    );
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn narrow_and_resized_terminals_work() {
    let test = Test::initialised();
    test.run(&["create-user", "--id", "1", "--name", "Ann", "--email", "ann@example.com"]).success();
    let mut terminal = repl_at_prompt(&test, 40, &[]);
    terminal.wait_for_last_line("3>");
    terminal.enter_line("get-user 1");
    terminal.wait_for_text("ann");
    terminal.wait_for_last_line("3>");
    for line in terminal.screen().lines().filter(|line| line.starts_with('│')) {
        assert!(line.ends_with('│'), "{}", terminal.screen());
    }
    terminal.send_keys("create-user --id 2 --name 'Bea of the long name'");
    terminal.wait_for_text("long name'");
    terminal.resize(100);
    terminal.send_keys(" --region EU");
    terminal.wait_for_text("--region EU");
    terminal.send_keys("\r");
    terminal.wait_for_text("Bea of the long name");
    terminal.wait_for_last_line(&prompt(&test, ""));
    assert_eq!(
        test.run(&["get-user", "2", "-o", "csv", "--no-header"]).stdout,
        "2,Bea of the long name,EU,\n"
    );
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn wide_and_combining_characters_do_not_break_a_table() {
    let test = Test::initialised();
    let mut terminal = repl_at_prompt(&test, 100, &[]);
    let names = ["漢字テスト", "e\u{301}te\u{301}", "🚀 Ada", "Ann"];
    for (id, name) in (1..).zip(names) {
        terminal.enter_line(&format!("create-user --id {id} --name '{name}' -q -o csv"));
        terminal.wait_for_text(&format!("\n{id},"));
    }
    terminal.send_keys("\u{c}");
    terminal.enter_line("list-users");
    terminal.wait_for_text("└─");
    terminal.wait_for_prompt();
    // The column of the right border, in cells of the screen.
    let columns = terminal.columns_of("│");
    let last: Vec<u16> = columns.iter().filter(|row| row.len() == 2).map(|row| row[1]).collect();
    assert!(last.len() >= names.len(), "{}", terminal.screen());
    assert!(last.iter().all(|column| *column == last[0]), "{last:?}\n{}", terminal.screen());
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

/// Whether the text contains an SGR sequence: parameters that end with an `m`.
fn has_colors(text: &str) -> bool {
    let parameters = |c: char| c.is_ascii_digit() || c == ';';
    text.split("\u{1b}[").skip(1).any(|rest| rest.trim_start_matches(parameters).starts_with('m'))
}

#[test]
fn dumb_colourless_and_ascii_terminals_work() {
    let test = Test::initialised();
    test.run(&["create-user", "--id", "1", "--name", "Ann"]).success();
    for (name, value) in [("TERM", "dumb"), ("NO_COLOR", "1"), ("LANG", "C")] {
        let mut terminal = Terminal::repl(&test, 100, &[(name, value)]);
        terminal.wait_for_last_line(&prompt(&test, ""));
        terminal.enter_line("get-user 1");
        terminal.wait_for_text("Ann");
        terminal.wait_for_last_line(&prompt(&test, ""));
        if name != "TERM" {
            terminal.send_keys("get-user 2");
            terminal.clear_line();
            let (code, seen) = terminal.exit_at_prompt();
            assert_eq!(code, 0, "{name}");
            assert_eq!(has_colors(&seen), name == "LANG", "{name}: {seen:?}");
            if name == "LANG" {
                assert!(seen.is_ascii(), "{seen:?}");
            }
            continue;
        }
        let (code, seen) = terminal.exit_at_prompt();
        assert_eq!(code, 0, "{name}");
        assert!(!seen.contains('\u{1b}'), "{seen:?}");
    }
}

#[test]
fn a_server_restart_between_commands_is_transparent() {
    let servers = Servers::initialised(2);
    let mut terminal = Terminal::run_in_session(&servers.command(), 100, &[], &[]);
    terminal.enter_line("create-user --id 1 --name Ann -o csv");
    terminal.wait_for_text("1,Ann,,");
    for name in ["Bea", "Cyd"] {
        for number in 1..=2 {
            servers.crash(number);
            servers.start(number);
        }
        terminal.enter_line(&format!("update-user 1 --name {name} -o jsonl"));
        terminal.wait_for_text(&format!("\"name\": \"{name}\""));
        terminal.enter_line("count -o jsonl");
        terminal.wait_for_text("{\"rows\": 1}");
    }
    let screen = terminal.screen();
    assert!(!screen.contains("error") && !screen.contains("notice"), "{screen}");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn a_shard_that_refuses_sessions_is_reported_at_start() {
    let test = Test::initialised();
    test.allow(2, false);
    let mut terminal = Terminal::repl(&test, 160, &[]);
    terminal.wait_for_prompt();
    terminal.press_enter_until(&prompt(&test, "!"));
    terminal.wait_for_text("`shard_2` is down (FATAL: database");
    terminal.wait_for_text("users on the shards that answer: shard_1 0");
    test.allow(2, true);
    assert_eq!(terminal.exit_at_prompt().0, 0);
}
