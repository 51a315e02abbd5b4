//! `stats`: its values are right, for any role, with shards that are down, and in the format of Prometheus.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::clusters::filled;
use crate::support::harness::{Ran, Test, url};
use crate::support::pty::Terminal;
use crate::support::rebalances::{add_shard, start_slow_rebalance, wait_for_moved_rows};
use crate::support::servers::Servers;

const HEADER: &str = "shard,state,role,rows,size_bytes,commits,rollbacks,tps,connections,connections_allowed,\
    cache_hit_pct,wal_bytes,disk_used_bytes,disk_total_bytes,replicas,lag_bytes,lag_seconds,latency_ms,moved_rows,\
    deadlocks,temp_bytes";
const PATIENCE: Duration = Duration::from_secs(20);

/// The arguments for one sample.
const AT_ONCE: &[&str] = &["stats", "--interval", "100ms"];

fn stats(test: &Test) -> Vec<Value> {
    let words = [AT_ONCE, &["-o", "json"]].concat();
    test.run(&words).success().json().as_array().unwrap().clone()
}

/// Samples until the condition holds: servers publish their counters with a delay.
#[track_caller]
fn until(test: &Test, what: &str, is_so: impl Fn(&[Value]) -> bool) {
    let begun = Instant::now();
    loop {
        let seen = stats(test);
        if is_so(&seen) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "timeout: {what}: {seen:?}");
    }
}

fn sum(seen: &[Value], key: &str) -> i64 {
    seen.iter().map(|shard| shard[key].as_i64().unwrap()).sum()
}

#[test]
fn stats_columns_are_a_contract() {
    let test = Test::initialised();
    // A new database starts to count during the first samples.
    until(&test, "all with a rate", |seen| seen.iter().all(|shard| shard["tps"].is_f64()));
    // The server may report its counters later than the second sample: then the rate is not known.
    let sample = || test.run(&["stats", "--interval", "600ms", "-o", "csv"]).success();
    let has_rates = |ran: &Ran| ran.stdout.lines().all(|line| line.split(',').nth(7) != Some(""));
    let ran = (0..20).map(|_| sample()).find(has_rates).expect("a sample with all rates");
    assert_eq!(ran.stderr, "");
    let (header, lines) = ran.stdout.split_once('\n').unwrap();
    assert_eq!(header, HEADER);
    // Numbers differ between runs.
    let is_number = |field: &str| field.parse::<f64>().is_ok();
    let redacted = lines.lines().map(|line| {
        let fields = line.split(',').map(|field| if is_number(field) { "N" } else { field });
        fields.collect::<Vec<_>>().join(",")
    });
    insta::assert_snapshot!("stats", redacted.collect::<Vec<_>>().join("\n"));
    let seen = stats(&test);
    for (shard, number) in seen.iter().zip(1..) {
        assert_eq!(shard["shard"], format!("shard_{number}"));
        assert!(shard["size_bytes"].as_i64().unwrap() > 1_000_000, "{shard}");
        assert!(shard["wal_bytes"].as_i64().unwrap() > 0, "{shard}");
        assert!(shard["connections"].as_i64().unwrap() >= 1, "{shard}");
        assert!(shard["connections"].as_i64() < shard["connections_allowed"].as_i64(), "{shard}");
        assert!((0.0..=100.0).contains(&shard["cache_hit_pct"].as_f64().unwrap()), "{shard}");
        assert!(shard["tps"].as_f64().unwrap() >= 0.0, "{shard}");
        assert!(shard["latency_ms"].as_f64().unwrap() > 0.0, "{shard}");
        assert!(shard["disk_used_bytes"].as_i64() < shard["disk_total_bytes"].as_i64(), "{shard}");
    }
    // A table that is too wide is transposed.
    let (_, screen) = Terminal::run(&test, 80, AT_ONCE, &[("NO_COLOR", "1")]).wait_for_exit();
    let head = screen.lines().find(|line| line.contains("shard_1")).unwrap();
    assert!(head.contains("shard_2") && head.contains("shard_3"), "{screen}");
    let size = screen.lines().find(|line| line.contains("size_bytes")).unwrap();
    assert_eq!(size.matches(" MiB").count(), 3, "{screen}");
}

#[test]
fn stats_count_rows_and_commits() {
    let test = Test::initialised();
    let before = sum(&stats(&test), "commits");
    let users: String = (1..=60).map(|id| format!("create-user --id {id} --name N\n")).collect();
    std::fs::write(test.home.path().join("users.ring"), users).unwrap();
    test.run(&["-f", "users.ring"]).success();
    until(&test, "60 rows", |seen| sum(seen, "rows") == 60);
    until(&test, "more commits", |seen| sum(seen, "commits") > before);
    for number in 1..=3 {
        let estimate = stats(&test)[number - 1]["rows"].as_u64().unwrap();
        assert_eq!(usize::try_from(estimate).unwrap(), test.ids(number).len());
    }
    // A client that is busy all the time. It reads a table: without that Postgres 15 counts nothing.
    let deadline = Instant::now() + PATIENCE * 2;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = test.client(1);
            while !is_over.load(Ordering::Relaxed) && Instant::now() < deadline {
                client.batch_execute("SELECT count(*) FROM users").unwrap();
            }
        });
        until(&test, "busier than the others", |seen| {
            let tps = |at: usize| seen[at]["tps"].as_f64().unwrap_or(0.0);
            tps(0) > 20.0 && tps(0) > tps(1) && tps(0) > tps(2)
        });
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn an_ordinary_role_sees_the_values_it_may_read() {
    let test = Test::initialised();
    for number in 1..=3 {
        test.execute(
            number,
            "GRANT USAGE ON SCHEMA ringshard TO plain; GRANT SELECT ON ringshard.meta, ringshard.shard_endpoint TO plain",
        );
    }
    let shards: Vec<String> =
        (1..=3).map(|number| format!("shard_{number}={}", url("plain", &test.database(number)))).collect();
    let mut command = test.command();
    command.env("RINGSHARD_SHARDS", shards.join(" ")).args(AT_ONCE).args(["-o", "json"]);
    let seen = Ran::of(command.spawn().unwrap()).success().json();
    for shard in seen.as_array().unwrap() {
        assert_eq!((&shard["state"], &shard["role"]), (&"active".into(), &"primary".into()));
        assert!(
            shard["size_bytes"].is_i64() && shard["commits"].is_i64() && shard["rows"].is_i64(),
            "{shard}"
        );
        assert_eq!(shard["replicas"], 0);
        assert!(shard["disk_total_bytes"].is_null(), "where the data are is not its business: {shard}");
    }
}

#[test]
fn a_down_shard_does_not_delay_stats() {
    let test = Test::initialised();
    test.allow(2, false);
    let ran = test.run(&["stats", "--interval", "100ms", "-o", "json"]).success().says("shard_2");
    let seen = ran.json();
    assert_eq!((&seen[0]["state"], &seen[1]["state"]), (&"active".into(), &"down".into()));
    let given = seen[1].as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
    assert_eq!(given.map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["shard", "state"]);
    until(&test, "with a rate", |seen| seen[2]["tps"].is_f64() && seen[1]["tps"].is_null());
    let text = test.run(&["stats", "--prometheus"]).success().stdout;
    assert!(text.contains("ringshard_shard_up{shard=\"shard_2\"} 0\n"), "{text}");
    assert!(text.contains("ringshard_shard_up{shard=\"shard_3\"} 1\n"), "{text}");
    for number in [1, 3] {
        test.allow(number, false);
    }
    test.run(AT_ONCE).fails(69).says("shard_3");
    let text = test.run(&["stats", "--prometheus"]).fails(69).stdout;
    assert_eq!(metrics(&text).len(), 1, "{text}");
    for number in 1..=3 {
        test.allow(number, true);
    }
    // A server that accepts connections and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let shards =
        format!("shard_1={} shard_2={} shard_3=postgresql://u@127.0.0.1:{port}/d", test.url(1), test.url(2));
    let mut command = test.command();
    command.env("RINGSHARD_SHARDS", shards).env("RINGSHARD_CONNECT_TIMEOUT_MS", "300");
    let ran = Ran::of(command.args(AT_ONCE).args(["-o", "json"]).spawn().unwrap()).success();
    let states =
        ran.json().as_array().unwrap().iter().map(|shard| shard["state"].to_string()).collect::<Vec<_>>();
    assert_eq!(states, ["\"active\"", "\"active\"", "\"down\""], "{ran:?}");
}

#[test]
fn a_wrong_database_and_invalid_arguments_are_refused() {
    let test = Test::initialised();
    let swapped = format!("shard_1={} shard_2={} shard_3={}", test.url(2), test.url(1), test.url(3));
    let mut command = test.command();
    command.env("RINGSHARD_SHARDS", swapped).args(AT_ONCE);
    Ran::of(command.spawn().unwrap()).fails(78).says("shard_1");
    for words in [
        &["--interval", "5"][..],
        &["--interval", "0s"],
        &["--interval", "10ms"],
        &["--interval", "2h"],
        &["--interval", "-1s"],
        &["--prometheus", "--interval", "1s"],
        &["host"],
    ] {
        let ran = test.run(&[&["stats"], words].concat()).fails(2);
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn stats_show_moved_rows() {
    let test = filled(2_000);
    assert!(stats(&test).iter().all(|shard| shard["moved_rows"].is_null()));
    add_shard(&test, 4).success();
    let mut mover = start_slow_rebalance(&test, 100);
    wait_for_moved_rows(&test, &[4], 20);
    let seen = stats(&test);
    assert_eq!(seen[3]["state"], "joining");
    assert!(seen[3]["moved_rows"].as_i64().unwrap() >= 20, "{seen:?}");
    assert_eq!(seen[0]["moved_rows"], 0);
    let text = test.run(&["stats", "--prometheus"]).success().stdout;
    assert!(text.contains("ringshard_change_under_way 1\n"), "{text}");
    assert!(
        text.contains("ringshard_shard_info{shard=\"shard_4\",state=\"joining\",role=\"primary\"} 1\n"),
        "{text}"
    );
    mover.kill().unwrap();
    mover.wait().unwrap();
}

#[test]
fn host_stats_cover_the_machine() {
    let test = Test::initialised();
    let seen = test.run(&["stats", "--host", "--interval", "200ms", "-o", "json"]).success().json();
    let of = |item: &str, measure: &str| -> Vec<Value> {
        let rows = seen.as_array().unwrap().iter();
        rows.filter(|row| row["item"] == item && row["measure"] == measure).cloned().collect()
    };
    let is_part = |row: &Value| row["value"].as_f64().unwrap() <= row["total"].as_f64().unwrap();
    let cpu = &of("cpu", "busy")[0];
    assert!(cpu["total"].as_i64().unwrap() >= 1 && is_part(cpu), "{cpu}");
    assert_eq!(cpu["unit"], "cores");
    let keys: Vec<&String> = cpu.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["item", "measure", "name", "total", "unit", "value"]);
    let memory = &of("memory", "used")[0];
    assert!(memory["value"].as_i64().unwrap() > 0 && is_part(memory), "{memory}");
    let disks = of("disk", "used");
    assert!(disks.iter().all(is_part), "{disks:?}");
    assert!(disks.iter().any(|disk| disk["name"].as_str().unwrap().ends_with("/data")), "{disks:?}");
    for row in [of("network", "in"), of("network", "out")].concat() {
        assert!(row["value"].as_f64().unwrap() >= 0.0, "{row}");
    }
    for measure in ["count", "memory"] {
        let rows = of("processes", measure);
        let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["postgres", "ringshard"]);
        assert!(rows.iter().all(|row| row["value"].as_i64().unwrap() > 0), "{rows:?}");
    }
    // The table fits a screen of 80 columns.
    let (_, screen) =
        Terminal::run(&test, 80, &["stats", "--host", "--interval", "200ms"], &[]).wait_for_exit();
    assert!(screen.lines().any(|line| line.contains("memory") && line.contains("used")), "{screen}");
}

#[test]
fn stats_show_a_standby_from_both_sides() {
    let servers = Servers::initialised(1);
    // Writes are replicated at once.
    servers.client(1).batch_execute("ALTER SYSTEM RESET ALL").unwrap();
    let standby = servers.standby_of(1);
    let look = |command: &mut std::process::Command| {
        let ran = Ran::of(command.args(AT_ONCE).args(["-o", "json"]).spawn().unwrap()).success();
        ran.json()[0].clone()
    };
    let until = |what: &str, is_so: &dyn Fn(&Value) -> bool| {
        let begun = Instant::now();
        loop {
            let seen = look(&mut servers.command());
            if is_so(&seen) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "timeout: {what}: {seen}");
        }
    };
    until("streaming", &|seen| seen["replicas"] == 1 && seen["lag_bytes"] == 0);
    let mut replica = standby.client();
    // The standby reports its role, and estimates rows only of analysed tables.
    let url = format!("shard_1={}", standby.url());
    let seen = look(servers.command().env("RINGSHARD_SHARDS", &url));
    assert_eq!((&seen["role"], &seen["state"]), (&"replica".into(), &"active".into()));
    assert!(seen["rows"].is_null() && seen["lag_bytes"].is_i64() && seen["wal_bytes"].is_i64(), "{seen}");
    // The standby receives WAL and does not replay it.
    replica.batch_execute("SELECT pg_wal_replay_pause()").unwrap();
    let users: String = (1..=50).map(|id| format!("create-user --id {id} --name N\n")).collect();
    servers.write("users.ring", users.as_bytes());
    servers.run(&["-f", "users.ring"]).success();
    until("behind", &|seen| seen["lag_bytes"].as_i64() > Some(0));
    servers.client(1).batch_execute("ANALYZE users").unwrap();
    replica.batch_execute("SELECT pg_wal_replay_resume()").unwrap();
    until("level again", &|seen| seen["lag_bytes"] == 0);
    let begun = Instant::now();
    while look(servers.command().env("RINGSHARD_SHARDS", &url))["rows"] != 50 {
        assert!(begun.elapsed() < PATIENCE, "the standby does not receive the estimate");
    }
}

/// A metric of the text format: its type, and each value with its labels.
#[derive(Debug, Default)]
struct Metric {
    kind: String,
    values: Vec<(BTreeMap<String, String>, f64)>,
}

/// Parses the text format of Prometheus, version 0.0.4, as far as it is used.
#[track_caller]
fn metrics(text: &str) -> BTreeMap<String, Metric> {
    let is_name = |name: &str| {
        let plain = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
        name.starts_with(plain) && name.chars().all(|c| plain(c) || c.is_ascii_digit())
    };
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    let mut helped: Option<String> = None;
    let mut current = String::new();
    assert!(text.ends_with('\n'), "the last line has no line break");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(is_name(name) && !help.is_empty(), "{line}");
            helped = Some(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(helped.take().as_deref(), Some(name), "TYPE without HELP");
            assert!(["counter", "gauge"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            let metric = Metric { kind: kind.into(), values: Vec::new() };
            assert!(metrics.insert(name.into(), metric).is_none(), "`{name}` comes twice");
            name.clone_into(&mut current);
        } else {
            let end = line.find(['{', ' ']).unwrap();
            assert_eq!(&line[..end], current, "a value without its TYPE line");
            let (labels, rest) = labels(&line[end..]);
            let value = rest.strip_prefix(' ').unwrap();
            let value = value.parse::<f64>().unwrap_or_else(|why| panic!("{why}: {line}"));
            assert!(labels.keys().all(|name| is_name(name)), "{line}");
            let metric = metrics.get_mut(&current).unwrap();
            assert!(metric.values.iter().all(|(other, _)| *other != labels), "twice: {line}");
            metric.values.push((labels, value));
        }
    }
    assert!(metrics.values().all(|metric| !metric.values.is_empty()));
    metrics
}

/// The labels at the start of a line, and the rest of the line.
fn labels(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut labels = BTreeMap::new();
    let Some(mut rest) = text.strip_prefix('{') else { return (labels, text) };
    loop {
        let (name, behind) = rest.split_once("=\"").unwrap();
        let mut value = String::new();
        let mut chars = behind.char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    c => panic!("`\\{c}` is no escape: {text}"),
                }),
                (_, c) => value.push(c),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none(), "{text}");
        rest = &behind[end + 1..];
        match rest.split_at(1) {
            (",", more) => rest = more,
            ("}", more) => return (labels, more),
            _ => panic!("{text}"),
        }
    }
}

#[test]
fn the_prometheus_output_is_valid() {
    let test = Test::initialised();
    let ran = test.run(&["stats", "--prometheus", "--host", "-o", "json"]).success();
    assert_eq!(ran.stderr, "");
    let metrics = metrics(&ran.stdout);
    let by_shard = metrics.iter().filter(|(name, _)| name.starts_with("ringshard_shard_"));
    for (name, metric) in by_shard.filter(|(name, _)| !name.contains("_lag_") && !name.contains("_moved_")) {
        let shards: Vec<&str> = metric.values.iter().map(|(labels, _)| labels["shard"].as_str()).collect();
        assert_eq!(shards, ["shard_1", "shard_2", "shard_3"], "{name}");
    }
    let value = |name: &str| metrics[name].values[0].1;
    assert!(value("ringshard_shard_size_bytes") > 1e6);
    assert!((value("ringshard_epoch") - 1.0).abs() < f64::EPSILON);
    assert_eq!(metrics["ringshard_shard_commits_total"].kind, "counter");
    assert!(value("ringshard_host_memory_size_bytes") > 1e6);
    assert!(metrics["ringshard_host_disk_size_bytes"].values[0].0["folder"].starts_with('/'));
    assert_eq!(metrics["ringshard_host_processes"].values.len(), 2);
}
