//! `tour`: everything in it works, it touches nothing else, and leaves nothing behind.

use std::path::Path;
use std::process::Command;

use crate::support::harness::{Ran, Test, command_in};
use crate::support::pty::Terminal;

/// The program in a home, which also holds its temporary files.
fn command(test: &Test) -> Command {
    let mut command = command_in(test.home.path());
    command.env("TMPDIR", test.home.path());
    command.env("RINGSHARD_PG_BIN", std::env::var_os("RINGSHARD_PG_BIN").unwrap_or_default());
    command
}

fn is_empty(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    !names.into_iter().any(|name| name.to_string_lossy().starts_with("ringshard-tour"))
}

#[test]
fn every_command_of_the_tour_works_and_nothing_is_left() {
    let test = Test::initialised();
    let out = command(&test).args(["tour", "--at-once"]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{text}\n{}", String::from_utf8_lossy(&out.stderr));
    let script = include_str!("../../../src/terminal/tour.txt");
    for line in script.lines().filter(|line| !line.starts_with('#') && *line != "---") {
        let line =
            line.strip_prefix("$ ").map_or_else(|| line.to_owned(), |line| format!("ringshard> {line}"));
        assert!(text.contains(&line), "no `{line}` in {text}");
    }
    assert!(text.contains("Alice") && text.contains("shard_4"), "{text}");
    assert!(is_empty(test.home.path()));
    // The user's own cluster is unchanged.
    assert_eq!(test.run(&["count"]).stdout, "0\n");
    let mut early = command(&test).args(["tour", "--at-once"]).spawn().unwrap();
    drop(early.stdout.take());
    assert!(early.wait().unwrap().success(), "a closed pipe is not a failure");
    assert!(is_empty(test.home.path()));
    let ran = Ran::of(command(&test).arg("tour").spawn().unwrap());
    ran.fails(3).says("--at-once");
}

#[test]
fn keys_advance_and_quit_the_tour() {
    let test = Test::initialised();
    let mut terminal = Terminal::run_in_session(&command(&test), 100, &["tour"], &[]);
    terminal.wait_for_text("[1/11] press a key to continue");
    assert!(!is_empty(test.home.path()));
    terminal.send_keys(" ");
    terminal.wait_for_text("THE RING");
    terminal.wait_for_text("[2/11] press a key to continue");
    terminal.send_keys("q");
    assert_eq!(terminal.wait_for_exit().0, 0);
    assert!(is_empty(test.home.path()));
    // A terminal that is closed cleans up as well.
    let mut terminal = Terminal::run_in_session(&command(&test), 100, &["tour"], &[]);
    terminal.wait_for_text("[1/11] press a key to continue");
    Command::new("kill").args(["-HUP", &terminal.pid().to_string()]).status().unwrap();
    terminal.send_keys(" ");
    assert_eq!(terminal.wait_for_exit().0, 6);
    assert!(is_empty(test.home.path()));
    // Ctrl-C cleans up as well, also in the middle of a command.
    let mut terminal = Terminal::run_in_session(&command(&test), 100, &["tour"], &[]);
    terminal.wait_for_output("init-shards");
    terminal.send_keys("\u{3}");
    assert_ne!(terminal.wait_for_exit().0, 0);
    assert!(is_empty(test.home.path()));
}
