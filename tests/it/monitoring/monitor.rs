//! `monitor` in a terminal: the screen, the keys, and that the terminal is restored at the end.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::clusters::filled;
use crate::support::harness::{BINARY, Test};
use crate::support::prompts::{prompt, repl_at_prompt};
use crate::support::pty::Terminal;
use crate::support::rebalances::{add_shard, start_slow_rebalance, wait_for_moved_rows};
use crate::support::servers::Servers;

/// Runs it in a shell, which then prints the exit code and the settings of the terminal.
fn watched(test: &Test, columns: u16) -> Terminal {
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
    Terminal::spawn(columns, command)
}

/// Asserts that the screen is restored and that the terminal reads lines again.
#[track_caller]
fn assert_restored(mut terminal: Terminal, code: i32) {
    terminal.wait_for_text(&format!("code={code}"));
    terminal.wait_for_text("icanon");
    let screen = terminal.screen();
    assert!(!screen.contains("-icanon") && !screen.contains("-echo "), "{screen}");
    assert!(!screen.contains("[1 shards]"), "{screen}");
    let (_, seen) = terminal.wait_for_exit();
    let (left, shown) = (seen.rfind("\u{1b}[?1049l").unwrap(), seen.rfind("\u{1b}[?25h").unwrap());
    assert!(left > seen.rfind("\u{1b}[?1049h").unwrap() && shown > seen.rfind("\u{1b}[?25l").unwrap());
}

#[test]
fn keys_switch_views_and_quit() {
    let test = filled(300);
    let mut terminal = watched(&test, 80);
    terminal.wait_for_text("3 of 3 up");
    terminal.wait_for_text("shard_2 active");
    terminal.send_keys("2");
    terminal.wait_for_text("3 shards, 300 virtual nodes");
    terminal.send_keys("\t");
    terminal.wait_for_text("nothing is planned and nothing is under way");
    terminal.send_keys("4");
    terminal.wait_for_text("cores busy");
    terminal.send_keys("?");
    terminal.wait_for_text("any key       close this help");
    terminal.send_keys(" ");
    terminal.wait_for_text("cores busy");
    terminal.send_keys("1p");
    terminal.wait_for_text("PAUSED");
    terminal.send_keys(" ");
    terminal.wait_until("going on", |terminal| !terminal.screen().contains("PAUSED"));
    terminal.send_keys("+");
    terminal.wait_for_text("every 250 ms");
    terminal.send_keys("sr");
    terminal.wait_for_text("statev");
    // Columns without room are left out, and come back.
    terminal.wait_for_text("conns");
    terminal.resize(45);
    terminal.wait_until("narrow", |terminal| !terminal.screen().contains("conns"));
    terminal.wait_for_text("shard_3 active");
    terminal.resize(30);
    terminal.wait_for_text("too small");
    terminal.resize(120);
    terminal.wait_for_text("wal/s");
    terminal.send_keys("q");
    assert_restored(terminal, 0);
}

#[test]
fn the_monitor_restores_the_terminal_on_every_exit() {
    let test = Test::initialised();
    for (keys, code) in [("\u{3}", 0), ("\u{1b}", 0)] {
        let mut terminal = watched(&test, 80);
        terminal.wait_for_text("3 of 3 up");
        terminal.send_keys(keys);
        assert_restored(terminal, code);
    }
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut terminal = watched(&test, 80);
        terminal.wait_for_text("3 of 3 up");
        let children =
            std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", terminal.pid())).unwrap();
        let pid = children.split_whitespace().next().unwrap().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        assert_restored(terminal, code);
    }
}

#[test]
fn the_monitor_shows_a_shard_crash_and_return() {
    let servers = Servers::initialised(2);
    let mut terminal =
        Terminal::run_in_session(&servers.command(), 100, &["monitor", "--interval", "100ms"], &[]);
    terminal.wait_for_text("2 of 2 up");
    servers.crash(2);
    terminal.wait_for_text("shard_2 is down for");
    terminal.wait_for_text("1 of 2 up");
    terminal.wait_for_text("shard_1 active");
    // The monitor only watches: it starts no server.
    assert!(
        servers.run(&["stats", "--interval", "100ms", "-o", "json"]).success().stdout.contains("\"down\"")
    );
    servers.start(2);
    terminal.wait_for_text("2 of 2 up");
    terminal.wait_until("without the message", |terminal| !terminal.screen().contains("is down for"));
    terminal.send_keys("q");
    assert_eq!(terminal.wait_for_exit().0, 0);
}

#[test]
fn the_monitor_shows_a_rebalance_in_progress() {
    let test = filled(1_000);
    let mut terminal = Terminal::run_in_session(
        &test.command(),
        80,
        &["monitor", "--interval", "100ms"],
        &[("NO_COLOR", "1")],
    );
    terminal.wait_for_text("3 of 3 up");
    terminal.send_keys("3");
    terminal.wait_for_text("idle");
    add_shard(&test, 4).success();
    terminal.wait_for_text("planned");
    terminal.wait_for_text("joins: shard_4");
    let mut mover = start_slow_rebalance(&test, 100);
    wait_for_moved_rows(&test, &[4], 20);
    terminal.wait_for_text("under way, epoch 2");
    terminal.wait_for_text("for ");
    terminal.wait_for_text("users/s");
    terminal.wait_for_text("remaining");
    terminal.wait_for_text("shard_1 shard_4");
    terminal.send_keys("1");
    terminal.wait_for_text("shard_4 joining");
    terminal.wait_for_text("moved");
    mover.kill().unwrap();
    mover.wait().unwrap();
    terminal.send_keys("3");
    terminal.wait_for_text("no process; to continue: ringshard rebalance");
    test.run(&["rebalance", "-y"]).success();
    terminal.wait_for_text("idle, epoch 2");
    terminal.send_keys("2");
    terminal.wait_for_text("4 shards, 400 virtual nodes");
    terminal.send_keys("q");
    let (code, seen) = terminal.wait_for_exit();
    assert_eq!(code, 0);
    // Colours of foregrounds and backgrounds: SGR 30 to 48, 90 to 107.
    let is_color = |code: &str| code.parse().is_ok_and(|code: u32| matches!(code, 30..=48 | 90..=107));
    let codes = seen.split("\u{1b}[").filter_map(|rest| rest.split_once('m').map(|(codes, _)| codes));
    let codes: Vec<&str> =
        codes.filter(|codes| codes.chars().all(|c| c.is_ascii_digit() || c == ';')).collect();
    // 39 and 49 reset a colour.
    let colors =
        codes.iter().flat_map(|codes| codes.split(';')).filter(|code| is_color(code) && *code != "39");
    assert_eq!(colors.collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(!codes.is_empty(), "the title is not in reverse video");
}

#[test]
fn the_monitor_starts_from_the_prompt_and_returns_to_it() {
    let test = filled(30);
    let mut terminal = repl_at_prompt(&test, 80, &[]);
    terminal.wait_for_last_line(&prompt(&test, ""));
    for _ in 0..2 {
        terminal.send_keys("monitor\r");
        terminal.wait_for_text("3 of 3 up");
        terminal.wait_for_text("q leave");
        terminal.send_keys("q");
        terminal.wait_for_last_line(&prompt(&test, ""));
    }
    terminal.enter_line("count");
    terminal.wait_for_text("29");
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn the_monitor_needs_a_terminal() {
    let test = Test::initialised();
    let ran = test.run(&["monitor"]).fails(2).says("ringshard stats");
    assert_eq!(ran.stdout, "");
    let (code, seen) =
        Terminal::run_in_session(&test.command(), 80, &["monitor"], &[("TERM", "dumb")]).wait_for_exit();
    assert_eq!(code, 2, "{seen}");
    assert!(seen.contains("watch 2 stats") && !seen.contains('\u{1b}'), "{seen:?}");
    test.run(&["monitor", "--interval", "1"]).fails(2);
    // A missing configuration is reported before the screen is switched.
    std::fs::remove_file(test.config()).unwrap();
    let (code, seen) = Terminal::run_in_session(&test.command(), 80, &["monitor"], &[]).wait_for_exit();
    assert_eq!(code, 78, "{seen}");
    assert!(!seen.contains("\u{1b}[?1049h"), "{seen:?}");
}
