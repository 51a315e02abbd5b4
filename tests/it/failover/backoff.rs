//! A shard that is down affects its own keys only.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::support::clusters::filled;
use crate::support::harness::{Ran, Test};
use crate::support::rebalances::add_shard;

/// A server that accepts connections and never answers, and the number of connections.
fn mute() -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        let mut held = Vec::new();
        for client in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            held.push(client);
        }
    });
    (format!("postgresql://postgres@127.0.0.1:{port}/x?sslmode=disable"), count)
}

#[test]
fn a_silent_shard_costs_one_timeout() {
    let test = Test::initialised();
    for id in ["1", "4", "9"] {
        test.run(&["create-user", "--id", id, "--name", "x"]).success();
    }
    let (url, count) = mute();
    let shards = [(1, test.url(1)), (2, url), (3, test.url(3))];
    let shards: Vec<String> = shards.iter().map(|(number, url)| format!("shard_{number}={url}")).collect();
    let mut child = test
        .command()
        .env("RINGSHARD_SHARDS", shards.join(" "))
        .env("RINGSHARD_CONNECT_TIMEOUT_MS", "1000")
        .args(["--keep-going", "-o", "csv", "--no-header", "-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // User 1 belongs to the silent shard, users 4 and 9 do not.
    let lines = "get-user 1\nget-user 4\nget-user 1\nget-user 9\ndelete-user 1 -y\nget-user 4\n";
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let ran = Ran::of(child).fails(69);
    assert_eq!(ran.stdout, "4,x,,\n9,x,,\n4,x,,\n", "{ran:?}");
    assert_eq!(ran.stderr.matches("no answer in 1").count(), 3, "{ran:?}");
    assert_eq!(ran.stderr.matches("it is not tried again for").count(), 2, "{ran:?}");
    assert_eq!(count.load(Ordering::SeqCst), 1, "{ran:?}");
}

#[test]
fn down_since_survives_the_process() {
    let test = Test::initialised();
    let since = |test: &Test| {
        let shards = test.run(&["shards", "-o", "json"]).success().json();
        let of = |at: usize| shards[at]["down_since"].as_str().map(ToOwned::to_owned);
        assert!(of(0).is_none() && of(2).is_none(), "{shards}");
        (shards[1]["state"].as_str().unwrap().to_owned(), of(1))
    };
    assert_eq!(since(&test), ("active".into(), None));
    test.allow(2, false);
    // The first process that finds it down.
    test.run(&["get-user", "1"]).fails(69);
    let (state, first) = since(&test);
    let first = first.unwrap();
    assert!(
        state == "down" && first.ends_with('Z') && first.len() == "2026-11-25T03:12:45Z".len(),
        "{first}"
    );
    let doctor = test.run(&["doctor", "-o", "tsv"]).fails(69);
    assert!(doctor.stdout.contains(&format!("; down since {first}")), "{doctor:?}");
    assert_eq!(since(&test), ("down".into(), Some(first)));
    test.allow(2, true);
    test.run(&["get-user", "1"]).fails(4);
    assert_eq!(since(&test), ("active".into(), None));
}

#[test]
fn rebalance_status_works_with_a_shard_down() {
    let test = filled(200);
    let state = |code: i32| {
        let ran = test.run(&["rebalance", "status", "-o", "json"]);
        assert_eq!(ran.code, code, "{ran:?}");
        (ran.json()["state"].as_str().unwrap().to_owned(), ran.stderr)
    };
    test.allow(3, false);
    let (idle, stderr) = state(6);
    assert!(idle == "idle" && stderr.contains("covers only the shards that answer"), "{stderr}");
    assert!(stderr.contains("`shard_3`"), "{stderr}");
    test.allow(3, true);
    add_shard(&test, 4);
    test.allow(3, false);
    assert_eq!(state(6).0, "planned");
    test.allow(3, true);
    assert_eq!(state(0).0, "planned");
}
