//! `tour`: everything in it works, it touches nothing else, and leaves nothing behind.

use std::path::Path;
use std::process::Command;

use crate::support::harness::{Ran, Test, command_in};
use crate::support::pty::Person;

/// The program in a home, with room of its own for what it makes on the way.
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
fn every_command_of_it_works_and_nothing_is_left() {
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
    // The user's own cluster is as it was.
    assert_eq!(test.run(&["count"]).stdout, "0\n");
    let mut early = command(&test).args(["tour", "--at-once"]).spawn().unwrap();
    drop(early.stdout.take());
    assert!(early.wait().unwrap().success(), "a closed pipe is no failure");
    assert!(is_empty(test.home.path()));
    let ran = Ran::of(command(&test).arg("tour").spawn().unwrap());
    ran.fails(3).says("--at-once");
}

#[test]
fn a_key_goes_on_and_q_leaves() {
    let test = Test::initialised();
    let mut person = Person::runs(&command(&test), 100, &["tour"], &[]);
    person.reads("[1/11] a key goes on");
    assert!(!is_empty(test.home.path()));
    person.types(" ");
    person.reads("THE RING");
    person.reads("[2/11] a key goes on");
    person.types("q");
    assert_eq!(person.ends().0, 0);
    assert!(is_empty(test.home.path()));
    // A terminal that is closed cleans up as well.
    let mut person = Person::runs(&command(&test), 100, &["tour"], &[]);
    person.reads("[1/11] a key goes on");
    Command::new("kill").args(["-HUP", &person.pid().to_string()]).status().unwrap();
    person.types(" ");
    assert_eq!(person.ends().0, 6);
    assert!(is_empty(test.home.path()));
    // Ctrl-C cleans up as well, also in the middle of a command.
    let mut person = Person::runs(&command(&test), 100, &["tour"], &[]);
    person.waits_for("init-shards");
    person.types("\u{3}");
    assert_ne!(person.ends().0, 0);
    assert!(is_empty(test.home.path()));
}
