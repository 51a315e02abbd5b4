//! `drill`: each fault takes effect, and is undone however the drill ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::harness::{Ran, Test, admin, connect, socket_dir, url};
use crate::support::prompts::{prompt, repl_at_prompt};
use crate::support::proxy::{Cut, Proxy};
use crate::support::pty::Terminal;
use crate::support::rings::owner;
use crate::support::servers::Servers;

/// How long the tests wait for anything.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until the condition holds.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "timeout: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Three shards with one user each, and their ids.
fn cluster() -> (Test, [i64; 3]) {
    let test = Test::initialised();
    let ids = [1, 2, 3].map(|shard| (1..1_000).find(|id| owner(*id) == shard).unwrap());
    for id in ids {
        test.run(&["create-user", "--id", &id.to_string(), "--name", "N"]).success();
    }
    // The server may notice late that a client has disconnected.
    until("alone", || sessions(&test) == 0);
    (test, ids)
}

fn get(test: &Test, id: i64) -> Ran {
    test.run(&["get-user", &id.to_string()])
}

fn begin(test: &Test, words: &[&str]) -> Child {
    test.command().arg("drill").args(words).args(["-y", "-o", "json"]).spawn().unwrap()
}

fn is_open(test: &Test, number: usize) -> bool {
    let sql = "SELECT datallowconn FROM pg_database WHERE datname = $1";
    admin().query_one(sql, &[&test.database(number)]).unwrap().get(0)
}

/// How many sessions of ringshard there are on the first shard.
fn sessions(test: &Test) -> i64 {
    let sql =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE 'ringshard%'";
    admin().query_one(sql, &[&test.database(1)]).unwrap().get(0)
}

/// Whether a proxy override is announced.
fn is_announced(test: &Test) -> bool {
    let Ok(files) = std::fs::read_dir(test.home.path().join("state")) else { return false };
    let names = files.map(|file| file.unwrap()).filter(|file| file.metadata().is_ok_and(|it| it.len() > 0));
    names
        .map(|file| file.file_name().into_string().unwrap())
        .any(|name| name.starts_with("proxy_override-") && std::path::Path::new(&name).extension().is_none())
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn kill_connections_ends_the_sessions_of_one_shard() {
    let (test, ids) = cluster();
    let mut here = [test.other_program("postgres", 1), test.other_program("postgres", 1)];
    let mut named =
        Client::connect(&(url("postgres", &test.database(1)) + "&application_name=billing"), NoTls).unwrap();
    let mut elsewhere = test.other_program("postgres", 2);
    let ran = Ran::of(begin(&test, &["kill-connections", "shard_1"])).success();
    let rows = ran.json();
    assert_eq!(
        rows,
        serde_json::json!([
            {"shard": "shard_1", "application": "", "sessions": 2},
            {"shard": "shard_1", "application": "billing", "sessions": 1},
        ])
    );
    for client in here.iter_mut().chain([&mut named]) {
        assert!(client.simple_query("SELECT 1").is_err());
    }
    elsewhere.simple_query("SELECT 1").unwrap();
    get(&test, ids[0]).success();
}

#[test]
fn an_outage_affects_one_shard_and_ends() {
    let (test, ids) = cluster();
    let mut other = test.other_program("postgres", 1);
    let drill = begin(&test, &["outage", "shard_1", "--for", "3s"]);
    until("closed", || !is_open(&test, 1));
    until("ended", || other.simple_query("SELECT 1").is_err());
    get(&test, ids[0]).fails(69).says("not currently accepting connections");
    get(&test, ids[1]).success();
    let ran = Ran::of(drill).success().says("Try meanwhile").says("ringshard shards");
    let row = ran.json();
    assert_eq!((&row["shard"], &row["database"]), (&"shard_1".into(), &test.database(1).into()));
    assert_eq!(row["undone"], true);
    assert!(row["seconds"].as_f64().unwrap() >= 3.0 && row["sessions_ended"].as_i64().unwrap() >= 1, "{row}");
    assert!(is_open(&test, 1));
    get(&test, ids[0]).success();
}

#[test]
fn a_signal_ends_an_outage_at_once() {
    let (test, ids) = cluster();
    for end in [Signal::INT, Signal::TERM] {
        let drill = begin(&test, &["outage", "shard_1", "--for", "1h"]);
        until("closed", || !is_open(&test, 1));
        signal(&drill, end);
        let ran = Ran::of(drill).fails(6).says("it is undone");
        assert_eq!(ran.json()["undone"], true);
        assert!(is_open(&test, 1));
        get(&test, ids[0]).success();
    }
}

#[test]
fn an_outage_ends_when_the_drill_process_is_killed() {
    let (test, ids) = cluster();
    let mut drill = begin(&test, &["outage", "shard_1", "--for", "1h"]);
    until("closed", || !is_open(&test, 1));
    signal(&drill, Signal::KILL);
    drill.wait().unwrap();
    until("open", || is_open(&test, 1));
    get(&test, ids[0]).success();
}

#[test]
fn an_outage_ends_when_the_drill_process_hangs() {
    let (test, ids) = cluster();
    let drill = begin(&test, &["outage", "shard_1", "--for", "1s"]);
    until("closed", || !is_open(&test, 1));
    signal(&drill, Signal::STOP);
    until("open", || is_open(&test, 1));
    get(&test, ids[0]).success();
    signal(&drill, Signal::CONT);
    Ran::of(drill).success();
    assert!(is_open(&test, 1));
}

#[test]
fn a_second_outage_of_a_shard_fails() {
    let (test, _) = cluster();
    let first = begin(&test, &["outage", "shard_2", "--for", "1h"]);
    until("closed", || !is_open(&test, 2));
    // A second drill neither takes over nor ends the outage of the first.
    Ran::of(begin(&test, &["outage", "shard_2"])).fails(69);
    assert!(!is_open(&test, 2));
    signal(&first, Signal::INT);
    Ran::of(first).fails(6);
    assert!(is_open(&test, 2));
}

#[test]
fn missing_privileges_are_reported_before_a_drill_starts() {
    let (test, _) = cluster();
    let database = test.database(1);
    test.execute(
        1,
        "GRANT USAGE ON SCHEMA ringshard TO plain; GRANT SELECT ON ALL TABLES IN SCHEMA ringshard TO plain",
    );
    let as_plain = |words: &[&str]| {
        let mut command = test.command();
        command.env("RINGSHARD_SHARDS", format!("shard_1={}", url("plain", &database)));
        Ran::of(command.arg("drill").args(words).arg("-y").spawn().unwrap())
    };
    let mut other = test.other_program("postgres", 1);
    as_plain(&["outage", "shard_1"]).fails(77).says("as it does not own it").says("OWNER TO \"plain\"");
    as_plain(&["kill-connections", "shard_1"])
        .fails(77)
        .says("may not end 1 of the sessions")
        .says("pg_signal_backend");
    assert!(is_open(&test, 1));
    other.simple_query("SELECT 1").unwrap();
}

#[test]
fn unconfirmed_unknown_and_malformed_drills_are_refused() {
    let (test, _) = cluster();
    for words in [
        &["kill-connections", "shard_1"][..],
        &["outage", "shard_1"],
        &["slow", "shard_1", "--delay", "50ms"],
    ] {
        let words: Vec<&str> = ["drill"].iter().chain(words).copied().collect();
        let refused = test.run(&words).fails(3);
        refused.says(&format!("Database `{}`", test.database(1)));
        assert!(is_open(&test, 1) && !is_announced(&test));
    }
    for words in [
        &["kill-connections", "shard_9"][..],
        &["outage", "shard_9"],
        &["slow", "shard_9", "--delay", "50ms"],
    ] {
        Ran::of(begin(&test, words)).fails(4).says("no shard is called `shard_9`");
    }
    for words in [
        &["outage", "shard_1", "--for", "10"][..],
        &["outage", "shard_1", "--for", "2h"],
        &["slow", "shard_1"],
        &["slow", "shard_1", "--delay", "11s"],
        &["slow", "shard_1", "--delay", "50"],
    ] {
        Ran::of(begin(&test, words)).fails(2);
    }
}

#[test]
fn a_slow_drill_delays_every_process_until_it_ends() {
    let (test, ids) = cluster();
    let delay = Duration::from_millis(300);
    // A session that was opened before the drill reconnects through the proxy.
    let mut script = test.command().args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut lines = script.stdin.take().unwrap();
    let mut answers = BufReader::new(script.stdout.take().unwrap()).lines();
    let mut ask = || {
        let begun = Instant::now();
        writeln!(lines, "get-user {}", ids[0]).unwrap();
        assert!(answers.next().unwrap().unwrap().starts_with(&ids[0].to_string()));
        begun.elapsed()
    };
    ask();
    let drill = begin(&test, &["slow", "shard_1", "--delay", "300ms", "--for", "1h"]);
    until("announced", || is_announced(&test));
    // Only the drill's own session is left.
    until("ended", || sessions(&test) == 1);
    // The delay applies in both directions.
    assert!(ask() >= delay * 2);
    let begun = Instant::now();
    get(&test, ids[0]).success();
    assert!(begun.elapsed() >= delay * 2);
    get(&test, ids[1]).success();
    signal(&drill, Signal::INT);
    let ran = Ran::of(drill).fails(6).says("it is undone");
    let row = ran.json();
    assert_eq!((&row["delay_ms"], &row["undone"]), (&300.into(), &true.into()));
    assert!(row["connections"].as_i64().unwrap() >= 2, "{row}");
    assert!(!is_announced(&test));
    ask();
    drop(lines);
    assert_eq!(script.wait().unwrap().code(), Some(0));
}

#[test]
fn a_slow_drill_ends_when_its_process_is_killed() {
    let (test, ids) = cluster();
    // Longer than the connection timeout.
    let mut drill = begin(&test, &["slow", "shard_1", "--delay", "10s", "--for", "1h"]);
    until("announced", || is_announced(&test));
    let impatient = |id: i64| {
        let mut command = test.command();
        command.env("RINGSHARD_CONNECT_TIMEOUT_MS", "1000").args(["get-user", &id.to_string()]);
        Ran::of(command.spawn().unwrap())
    };
    impatient(ids[0]).fails(69).says("no answer in");
    impatient(ids[1]).success();
    signal(&drill, Signal::KILL);
    drill.wait().unwrap();
    impatient(ids[0]).success();
    // What it left does not prevent another drill.
    let next = begin(&test, &["slow", "shard_1", "--delay", "1ms", "--for", "100ms"]);
    assert_eq!(Ran::of(next).success().json()["undone"], true);
    let left = std::fs::read_dir(test.home.path().join("state")).unwrap();
    let names: Vec<String> = left.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| !name.starts_with("proxy_override-")), "{names:?}");
}

#[test]
fn a_slow_drill_ends_no_busy_session() {
    let (test, _) = cluster();
    let connect = |name: &str| {
        let text = format!("{}&application_name={name}", url("postgres", &test.database(1)));
        Client::connect(&text, NoTls).unwrap()
    };
    let mut idle = connect("ringshard%201.1.a");
    let mut busy = connect("ringshard%201.2.a");
    let mut locked = connect("ringshard%201.3.a");
    let mut other_program = connect("billing%201.4.a");
    busy.batch_execute("BEGIN").unwrap();
    locked.batch_execute("SELECT pg_advisory_lock(4711)").unwrap();
    let drill = begin(&test, &["slow", "shard_1", "--delay", "1ms", "--for", "500ms"]);
    let row = Ran::of(drill).success().json();
    assert_eq!(row["sessions_ended"], 1);
    assert!(idle.simple_query("SELECT 1").is_err());
    for client in [&mut busy, &mut locked, &mut other_program] {
        client.simple_query("SELECT 1").unwrap();
    }
}

#[test]
fn a_slow_drill_works_over_tcp_and_a_second_one_fails() {
    let (test, ids) = cluster();
    let proxy = Proxy::new(&test.database(1), "never sent", Cut::Request);
    let over_tcp = |words: &[&str]| {
        let mut command = test.command();
        let others = [2, 3].map(|number| format!("shard_{number}={}", test.url(number))).join(" ");
        command.env("RINGSHARD_SHARDS", format!("shard_1={} {others}", proxy.url())).args(words);
        command.spawn().unwrap()
    };
    let words = ["drill", "slow", "shard_1", "--delay", "200ms", "--for", "1h", "-y"];
    let drill = over_tcp(&words);
    until("announced", || is_announced(&test));
    let begun = Instant::now();
    Ran::of(over_tcp(&["get-user", &ids[0].to_string()])).success();
    assert!(begun.elapsed() >= Duration::from_millis(400));
    Ran::of(over_tcp(&words)).fails(75).says("another drill");
    signal(&drill, Signal::TERM);
    Ran::of(drill).fails(6);
    Ran::of(over_tcp(&["get-user", &ids[0].to_string()])).success();
}

#[test]
fn ctrl_c_at_the_prompt_ends_the_drill_but_not_the_session() {
    let (test, _) = cluster();
    let mut terminal: Terminal = repl_at_prompt(&test, 100, &[]);
    terminal.send_keys("drill outage shard_1 --for 1h\r");
    terminal.wait_for_text("Begin? [y/N]");
    assert!(terminal.screen().contains(&socket_dir().display().to_string()));
    terminal.send_keys("y\r");
    terminal.wait_for_text("Ctrl-C ends the drill");
    assert!(!is_open(&test, 1));
    terminal.send_keys("\x03");
    terminal.wait_for_text("it is undone");
    terminal.press_enter_until(&prompt(&test, ""));
    assert!(is_open(&test, 1));
    assert_eq!(terminal.exit_at_prompt().0, 0);
}

#[test]
fn an_outage_that_a_crash_of_the_server_left_is_undone() {
    let servers = Servers::initialised(2);
    let id = (1..1_000).find(|id| {
        servers.run(&["create-user", "--id", &id.to_string(), "--name", "N"]).success();
        !servers.client(1).query("SELECT FROM users WHERE user_id = $1", &[id]).unwrap().is_empty()
    });
    let id: i64 = id.unwrap();
    let get = || servers.run(&["get-user", &id.to_string()]);
    let outage = |words: &[&str]| {
        let words = [&["drill", "outage", "shard_1", "-y"][..], words].concat();
        servers.command().args(words).spawn().unwrap()
    };
    let is_open = || {
        let sql = "SELECT datallowconn FROM pg_database WHERE datname = 'users'";
        connect(servers.server(1), "postgres").query_one(sql, &[]).unwrap().get::<_, bool>(0)
    };
    assert!(Ran::of(outage(&["--undo"])).success().stderr.contains("nothing to undo"));
    let mut drill = outage(&["--for", "1h"]);
    until("closed", || !is_open());
    // Not while it runs.
    Ran::of(outage(&["--undo"])).fails(75).says("a drill that runs");
    assert!(!is_open());
    // The server and the drill end at the same time: nobody is left who opens the database.
    signal(&drill, Signal::STOP);
    servers.crash(1);
    signal(&drill, Signal::KILL);
    drill.wait().unwrap();
    servers.start(1);
    assert!(!is_open());
    get().fails(69).says("ringshard drill outage shard_1 --undo");
    servers.run(&["drill", "outage", "shard_1", "--undo"]).fails(3).says("accepts no connections");
    assert!(!is_open());
    Ran::of(outage(&["--undo"])).success();
    get().success();
    servers.run(&["drill", "outage", "shard_1", "--undo", "--for", "1s"]).fails(2);
}
