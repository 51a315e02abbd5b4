//! What people who know psql reach for at the prompt: the pager, `\o`, `\g`, `\e`, `\c`, `\d`, a statement without quotes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::clusters::filled;
use crate::support::harness::Test;
use crate::support::prompts::{prompt, repl_at_prompt};
use crate::support::pty::Terminal;
use crate::support::user_files::write;

fn read(test: &Test, name: &str) -> String {
    fs::read_to_string(test.home.path().join(name)).unwrap()
}

#[test]
fn data_longer_than_the_screen_goes_through_the_pager() {
    let test = filled(300);
    let pager = ("PAGER", "sed s/^/paged:/");
    let (code, seen) = Terminal::run(&test, 100, &["list-users", "--limit", "200"], &[pager]).wait_for_exit();
    assert_eq!(code, 0);
    assert!(seen.contains("paged:") && seen.contains("│     200 ┆"), "{seen}");
    for words in [&["list-users", "--limit", "3"][..], &["list-users", "--limit", "200", "-o", "json"]] {
        let short = words[2] == "3";
        let (_, seen) = Terminal::run(&test, 100, words, &[pager]).wait_for_exit();
        assert_eq!(seen.contains("paged:"), !short, "{words:?}: {seen}");
    }
    // A pager that leaves early is no failure, and one that is off or `cat` is none.
    let (code, _) = Terminal::run(&test, 100, &["list-users"], &[("PAGER", "head -1")]).wait_for_exit();
    assert_eq!(code, 0);
    let mut terminal = repl_at_prompt(&test, 100, &[("PAGER", "true")]);
    terminal.enter_line("list-users -x");
    terminal.enter_line("count -o jsonl");
    terminal.wait_for_text("{\"rows\": 299}");
    assert_eq!(terminal.exit_at_prompt().0, 0);
    let mut terminal = repl_at_prompt(&test, 100, &[pager]);
    terminal.enter_line("set pager off");
    terminal.enter_line("list-users --limit 60");
    terminal.wait_for_last_line(&prompt(&test, ""));
    assert!(!terminal.screen().contains("paged:"), "{}", terminal.screen());
    terminal.enter_line("unset pager");
    terminal.enter_line("list-users --limit 60");
    terminal.wait_for_text("paged:");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn data_goes_to_a_file_or_to_a_program() {
    let test = filled(50);
    let mut terminal = repl_at_prompt(&test, 120, &[]);
    terminal.enter_line("\\o out.tsv");
    terminal.enter_line("list-users --limit 2");
    terminal.enter_line("count");
    terminal.enter_line("\\o");
    terminal.enter_line("count -o csv");
    terminal.wait_for_text("rows\n49");
    let written = read(&test, "out.tsv");
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(lines.len(), 3, "{written}");
    assert!(lines[0].starts_with("1\t") && lines[2] == "49", "{written}");
    terminal.enter_line("list-users --limit 3");
    terminal.enter_line("\\o");
    terminal.enter_line("\\g |tr a-z A-Z | sed 's/^/upper: /'");
    terminal.wait_for_text("upper: 3 ");
    terminal.enter_line("\\g again.tsv");
    terminal.enter_line("count -o jsonl");
    terminal.wait_for_text("{\"rows\": 49}");
    assert_eq!(read(&test, "again.tsv").lines().count(), 3);
    // As in psql, these two are about the last command, and not about each other.
    terminal.enter_line("clear");
    terminal.enter_line("count -o csv");
    terminal.send_keys("\\watch 0.1\r");
    terminal.wait_for_text("every 0.1 s: count -o csv\nrows\n49");
    terminal.send_keys("\u{3}");
    terminal.enter_line("\\g |sed 's/^/once more: /'");
    terminal.wait_for_text("once more: 49");
    terminal.enter_line("\\o /no/such/folder/file");
    terminal.wait_for_text("error: cannot write to `/no/such/folder/file`");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn the_last_command_can_be_edited_and_run() {
    let test = filled(50);
    let editor = test.home.path().join("editor");
    write(&test, "editor", "#!/bin/sh\nsed -i 's/get-user 7/get-user 8/' \"$1\"\n");
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    let mut terminal = repl_at_prompt(&test, 120, &[("VISUAL", editor.to_str().unwrap())]);
    terminal.enter_line("get-user 7 -o jsonl");
    terminal.wait_for_text("{\"user_id\": 7,");
    terminal.enter_line("\\e");
    terminal.wait_for_text("{\"user_id\": 8,");
    write(&test, "commands", "get-user 7 -o jsonl\ncount -o jsonl\n");
    terminal.enter_line("\\e commands");
    terminal.wait_for_text("{\"rows\": 49}");
    assert_eq!(terminal.exit_at_prompt().0, 0);
    let mut terminal = repl_at_prompt(&test, 120, &[("VISUAL", "false")]);
    terminal.enter_line("\\e");
    terminal.wait_for_text("hint: the variables VISUAL and EDITOR name the editor");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn commands_of_psql_and_statements_without_quotes_work() {
    let test = filled(50);
    let mut terminal = repl_at_prompt(&test, 120, &[]);
    for (typed, seen) in [
        ("\\d", "│ users ┆ sharded ┆ user_id"),
        ("\\d+ users", "│ owner "),
        ("\\d users", "│ column     ┆ user_id          ┆ bigint NOT NULL"),
        ("\\dt -o jsonl", "{\"table\": \"users\""),
        ("\\l", "│ shard_3 ┆"),
        ("?", "ringshard COMMAND [OPTIONS]"),
        ("sql -o csv SELECT count(*), 'it''s #1' AS text FROM users WHERE name <> 'x';", "it's #1"),
        ("sql select 41 + 1 as answer", "42"),
        ("status", "nothing is wrong"),
    ] {
        terminal.enter_line("clear");
        terminal.enter_line(typed);
        terminal.wait_for_text(seen);
        assert!(!terminal.screen().contains("error"), "{typed}: {}", terminal.screen());
    }
    terminal.enter_line("set keys vi");
    terminal.enter_line("set");
    terminal.wait_for_text("│ keys         ┆ vi ");
    // Escape, to the beginning of the line, delete a word.
    terminal.send_keys("nonsense count -o jsonl\u{1b}0dw\r");
    terminal.wait_for_text("{\"rows\": 49}");
    terminal.enter_line("\\pset null (null)");
    terminal.enter_line("sql SELECT NULL AS nothing, 'more' AS next");
    terminal.wait_for_text("┆ (null)  ┆ more");
    terminal.enter_line("unset null");
    terminal.enter_line("count -o csv");
    terminal.wait_for_text("rows\n49");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn named_clusters_are_changed_between() {
    let test = Test::initialised();
    let config = read(&test, "ringshard.toml");
    fs::create_dir(test.home.path().join("clusters")).unwrap();
    write(&test, "clusters/live.toml", format!("access = \"read-only\"\n{config}"));
    write(&test, "clusters/trial.toml", &config);
    test.run(&["--cluster", "trial", "create-user", "--id", "1", "--name", "Ann"]).success();
    let refused = test.run(&["--cluster", "live", "create-user", "--id", "2", "--name", "Bea"]);
    refused.fails(77).says("only reads");
    test.run(&["--cluster", "live", "get-user", "1"]).success();
    test.run(&["--cluster", "other", "count"]).fails(78).says("clusters/other.toml");
    test.run(&["--cluster", "../x", "count"]).fails(2);
    let mut terminal = repl_at_prompt(&test, 120, &[]);
    terminal.enter_line("\\c live");
    terminal.wait_for_last_line("ringshard live read-only 3>");
    terminal.enter_line("delete-user 1");
    terminal.wait_for_text("error: the command writes, and this run only reads");
    terminal.enter_line("\\c");
    terminal.wait_for_text("│ live    ┆ ✓");
    terminal.enter_line("connect nowhere");
    terminal.wait_for_text("hint: connect live, connect trial");
    terminal.enter_line("\\c trial");
    terminal.wait_for_last_line("ringshard trial 3>");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn every_command_that_writes_is_refused_in_a_run_that_only_reads() {
    let test = filled(50);
    write(&test, "f.csv", "user_id,name\n900,Zoe\n");
    let before = test.run(&["export"]).success().stdout.clone();
    for words in [
        &["init-shards"][..],
        &["create-user", "--id", "900", "--name", "Zoe"],
        &["update-user", "1", "--name", "Zoe"],
        &["delete-user", "1"],
        &["import", "f.csv"],
        &["import", "forget", "f.csv"],
        &["load", "fill", "5"],
        &["load", "run"],
        &["load", "clean"],
        &["table", "add", "orders", "--reference"],
        &["table", "remove", "users"],
        &["schema", "apply", "-c", "SELECT 1"],
        &["add-shard", "shard_4"],
        &["remove-shard", "shard_3"],
        &["rebalance"],
        &["rebalance", "cancel"],
        &["verify", "--fix"],
        &["replica", "add", "shard_1", "postgresql://x/y"],
        &["replica", "remove", "shard_1", "postgresql://x/y"],
        &["promote", "shard_1"],
        &["drill", "kill-connections", "shard_1"],
        &["local", "stop"],
        &["local", "destroy"],
    ] {
        let line = [&["--read-only", "--yes"], words].concat();
        test.run(&line).fails(77).says("--read-only");
    }
    // Also where lines are stored together.
    let script = "count\ncount\ncreate-user --id 901 --name A\ncreate-user --id 902 --name B\n";
    write(&test, "script", script);
    test.run(&["--read-only", "-f", "script", "--keep-going"]).fails(77);
    assert_eq!(test.run(&["export"]).success().stdout, before);
    for words in [&["count"][..], &["verify"], &["doctor"], &["rebalance", "--dry-run"], &["import", "list"]]
    {
        test.run(&[&["--read-only"], words].concat()).success();
    }
}

#[test]
fn commands_are_kept_under_names() {
    let test = filled(50);
    let mut terminal = repl_at_prompt(&test, 120, &[]);
    terminal.enter_line("alias eu list-users -o csv --region 'EU'");
    terminal.enter_line("eu --limit 2");
    terminal.wait_for_text("user_id,name,region,email");
    terminal.enter_line("alias count list-users");
    terminal.wait_for_text("error: `count` cannot be an alias");
    assert_eq!(terminal.exit_at_prompt().0, 0);
    let mut terminal = repl_at_prompt(&test, 120, &[]);
    terminal.enter_line("alias");
    terminal.wait_for_text("│ eu    ┆ list-users -o csv --region EU │");
    terminal.enter_line("unalias eu");
    terminal.enter_line("eu");
    terminal.wait_for_text("error: unrecognized subcommand 'eu'");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn a_failed_line_is_not_proposed_and_a_hint_goes_with_its_line() {
    let test = filled(50);
    let mut terminal = repl_at_prompt(&test, 100, &[]);
    terminal.enter_line("get-user 4242");
    terminal.wait_for_text("error: user `4242` not found");
    terminal.enter_line("get-user 7 -o jsonl");
    terminal.wait_for_text("{\"user_id\": 7,");
    terminal.wait_for_prompt();
    terminal.send_keys("get-user 4");
    terminal.wait_until("typed", |terminal| terminal.last_line().contains("get-user 4"));
    assert!(!terminal.last_line().contains("4242"), "{}", terminal.screen());
    terminal.clear_line();
    terminal.send_keys("create-user ");
    terminal.wait_until("a hint", |terminal| terminal.last_line().contains("--name S"));
    terminal.clear_line();
    let screen = terminal.screen();
    assert!(screen.contains("> create-user") && !screen.contains("--name S"), "{screen}");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}
