//! `monitor` at a terminal: what a person sees, what keys do, and that the terminal is as it was afterwards.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::clusters::filled;
use crate::support::harness::{BINARY, Test};
use crate::support::prompts::{greeted, prompt};
use crate::support::pty::Person;
use crate::support::rebalances::{add, slowly, wait_for_moves};
use crate::support::servers::Servers;

/// Runs it below a shell, which then tells the exit code and what the terminal does with keys.
fn watched(test: &Test, columns: u16) -> Person {
    let mut command = Command::new("setsid");
    command.args([
        "-c",
        "sh",
        "-c",
        "trap : TERM HUP; \"$0\" monitor --interval 200ms; echo code=$?; stty -a",
        BINARY,
    ]);
    let like = test.command();
    command.env_clear().envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("TERM", "xterm-256color").current_dir(test.home.path());
    Person::starts(columns, command)
}

/// Nothing of the picture is left, and the keys are lines again.
#[track_caller]
fn assert_restored(mut person: Person, code: i32) {
    person.reads(&format!("code={code}"));
    person.reads("icanon");
    let screen = person.screen();
    assert!(!screen.contains("-icanon") && !screen.contains("-echo "), "{screen}");
    assert!(!screen.contains("[1 shards]"), "{screen}");
    let (_, seen) = person.ends();
    let (left, shown) = (seen.rfind("\u{1b}[?1049l").unwrap(), seen.rfind("\u{1b}[?25h").unwrap());
    assert!(left > seen.rfind("\u{1b}[?1049h").unwrap() && shown > seen.rfind("\u{1b}[?25l").unwrap());
}

#[test]
fn keys_lead_from_view_to_view_and_out() {
    let test = filled(300);
    let mut person = watched(&test, 80);
    person.reads("3 of 3 up");
    person.reads("shard_2 active");
    person.types("2");
    person.reads("3 shards, 300 virtual nodes");
    person.types("\t");
    person.reads("the ring is as it is wished for");
    person.types("4");
    person.reads("cores busy");
    person.types("?");
    person.reads("any key       goes back");
    person.types(" ");
    person.reads("cores busy");
    person.types("1p");
    person.reads("PAUSED");
    person.types(" ");
    person.waits_until("going on", |person| !person.screen().contains("PAUSED"));
    person.types("+");
    person.reads("every 250 ms");
    person.types("sr");
    person.reads("statev");
    // What there is no room for is left out, and comes back.
    person.reads("conns");
    person.resizes(45);
    person.waits_until("narrow", |person| !person.screen().contains("conns"));
    person.reads("shard_3 active");
    person.resizes(30);
    person.reads("too small");
    person.resizes(120);
    person.reads("wal/s");
    person.types("q");
    assert_restored(person, 0);
}

#[test]
fn however_it_ends_the_terminal_is_as_it_was() {
    let test = Test::initialised();
    for (keys, code) in [("\u{3}", 0), ("\u{1b}", 0)] {
        let mut person = watched(&test, 80);
        person.reads("3 of 3 up");
        person.types(keys);
        assert_restored(person, code);
    }
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut person = watched(&test, 80);
        person.reads("3 of 3 up");
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", person.pid())).unwrap();
        let pid = children.split_whitespace().next().unwrap().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        assert_restored(person, code);
    }
}

#[test]
fn a_shard_that_crashes_is_seen_to_go_and_to_come_back() {
    let servers = Servers::initialised(2);
    let mut person = Person::runs(&servers.command(), 100, &["monitor", "--interval", "100ms"], &[]);
    person.reads("2 of 2 up");
    servers.crash(2);
    person.reads("shard_2 is down for");
    person.reads("1 of 2 up");
    person.reads("shard_1 active");
    // It is watched, and nothing else: nobody starts it.
    assert!(
        servers.run(&["stats", "--interval", "100ms", "-o", "json"]).success().stdout.contains("\"down\"")
    );
    servers.start(2);
    person.reads("2 of 2 up");
    person.waits_until("no word of it", |person| !person.screen().contains("is down for"));
    person.types("q");
    assert_eq!(person.ends().0, 0);
}

#[test]
fn a_change_of_the_ring_is_seen_as_it_goes() {
    let test = filled(1_000);
    let mut person =
        Person::runs(&test.command(), 80, &["monitor", "--interval", "100ms"], &[("NO_COLOR", "1")]);
    person.reads("3 of 3 up");
    person.types("3");
    person.reads("idle");
    add(&test, 4).success();
    person.reads("planned");
    person.reads("joins: shard_4");
    let mut mover = slowly(&test, 100);
    wait_for_moves(&test, &[4], 20);
    person.reads("under way, epoch 2");
    person.reads("for ");
    person.reads("users/s");
    person.reads("remaining");
    person.reads("shard_1 shard_4");
    person.types("1");
    person.reads("shard_4 joining");
    person.reads("moved");
    mover.kill().unwrap();
    mover.wait().unwrap();
    person.types("3");
    person.reads("nobody: ringshard rebalance goes on");
    test.run(&["rebalance", "-y"]).success();
    person.reads("idle, epoch 2");
    person.types("2");
    person.reads("4 shards, 400 virtual nodes");
    person.types("q");
    let (code, seen) = person.ends();
    assert_eq!(code, 0);
    // Colours of foregrounds and backgrounds: SGR 30 to 48, 90 to 107.
    let is_color = |code: &str| code.parse().is_ok_and(|code: u32| matches!(code, 30..=48 | 90..=107));
    let codes = seen.split("\u{1b}[").filter_map(|rest| rest.split_once('m').map(|(codes, _)| codes));
    let codes: Vec<&str> =
        codes.filter(|codes| codes.chars().all(|c| c.is_ascii_digit() || c == ';')).collect();
    // What takes a colour back is 39 and 49.
    let colors =
        codes.iter().flat_map(|codes| codes.split(';')).filter(|code| is_color(code) && *code != "39");
    assert_eq!(colors.collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(!codes.is_empty(), "the title is turned round");
}

#[test]
fn from_the_prompt_and_back_to_it() {
    let test = filled(30);
    let mut person = greeted(&test, 80, &[]);
    person.is_at(&prompt(&test, ""));
    for _ in 0..2 {
        person.types("monitor\r");
        person.reads("3 of 3 up");
        person.reads("q leave");
        person.types("q");
        person.is_at(&prompt(&test, ""));
    }
    person.enters("count");
    person.reads("29");
    assert_eq!(person.leaves().0, 0);
}

#[test]
fn what_is_no_screen_is_refused() {
    let test = Test::initialised();
    let ran = test.run(&["monitor"]).fails(2).says("ringshard stats");
    assert_eq!(ran.stdout, "");
    let (code, seen) = Person::runs(&test.command(), 80, &["monitor"], &[("TERM", "dumb")]).ends();
    assert_eq!(code, 2, "{seen}");
    assert!(seen.contains("watch 2 stats") && !seen.contains('\u{1b}'), "{seen:?}");
    test.run(&["monitor", "--interval", "1"]).fails(2);
    // Nothing is configured: said before the screen is taken.
    std::fs::remove_file(test.config()).unwrap();
    let (code, seen) = Person::runs(&test.command(), 80, &["monitor"], &[]).ends();
    assert_eq!(code, 78, "{seen}");
    assert!(!seen.contains("\u{1b}[?1049h"), "{seen:?}");
}
