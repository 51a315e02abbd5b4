//! A signal that ends the program ends its statements at the servers, too.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::clusters::with_users;
use crate::support::harness::{Ran, Test, admin};

/// How many statements of ringshard run in the databases of a test.
fn running(test: &Test) -> i64 {
    let databases: Vec<String> = (1..=3).map(|number| test.database(number)).collect();
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = ANY ($1) AND state = 'active' \
               AND application_name LIKE 'ringshard%'";
    admin().query_one(sql, &[&databases]).unwrap().get(0)
}

fn wait_until(test: &Test, is_so: impl Fn(i64) -> bool) {
    let begun = Instant::now();
    while !is_so(running(test)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{} statements run", running(test));
        thread::sleep(Duration::from_millis(5));
    }
}

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_signal_cancels_the_statements_of_a_command_and_of_a_script() {
    let test = with_users(10);
    std::fs::write(test.home.path().join("script"), "count\nsql \"SELECT pg_sleep(600)\"\n").unwrap();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        for words in [&["sql", "SELECT pg_sleep(600)"][..], &["-f", "script"]] {
            let mut child = start(test.command().args(words));
            wait_until(&test, |running| running == 3);
            kill_process(Pid::from_child(&child), signal).unwrap();
            assert_eq!(child.wait().unwrap().signal(), Some(signal.as_raw()));
            wait_until(&test, |running| running == 0);
        }
    }
}

#[test]
fn an_error_names_the_signal_that_stopped_the_command() {
    let test = with_users(10);
    std::fs::write(test.home.path().join("script"), "sql \"SELECT pg_sleep(600)\"\ncount\n").unwrap();
    for (signal, name) in [
        (Signal::INT, "Ctrl-C"),
        (Signal::TERM, "SIGTERM"),
        (Signal::HUP, "SIGHUP"),
        (Signal::QUIT, "SIGQUIT"),
    ] {
        // The program may end before it has written the error.
        let said = (0..20).find_map(|_| {
            let child = test.command().args(["-f", "script"]).spawn().unwrap();
            wait_until(&test, |running| running == 3);
            kill_process(Pid::from_child(&child), signal).unwrap();
            Some(Ran::of(child).stderr).filter(|said| said.contains("stopped by "))
        });
        let said = said.expect("an error is written before the program ends");
        assert!(said.contains(&format!("stopped by {name}: ")), "{said}");
    }
}

#[test]
fn a_signal_ends_a_command_that_waits_for_a_lock() {
    let test = with_users(10);
    let mut holder = test.client(1);
    let mut lock = holder.transaction().unwrap();
    lock.batch_execute("LOCK TABLE users").unwrap();
    for words in [&["count"][..], &["list-users"], &["export"], &["shards"]] {
        let mut child = start(test.command().args(words));
        wait_until(&test, |running| running > 0);
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::TERM.as_raw()), "{words:?}");
        wait_until(&test, |running| running == 0);
    }
    drop(lock);
}
