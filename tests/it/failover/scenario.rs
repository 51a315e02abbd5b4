//! One scenario: clients read and write, a shard is killed, its replica takes over, a shard is added, and the killed
//! one comes back.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::harness::Ran;
use crate::support::servers::Servers;

fn count(servers: &Servers) -> i64 {
    servers.run(&["count", "--allow-partial"]).stdout.trim().parse().unwrap()
}

fn state_of<'a>(shards: &'a Value, name: &str) -> &'a str {
    let shards = shards.as_array().unwrap();
    shards.iter().find(|shard| shard["shard"] == name).unwrap()["state"].as_str().unwrap()
}

#[test]
fn no_acknowledged_write_is_lost_through_failover_and_rebalance() {
    let servers = Servers::with_spares(3, 1);
    servers.run(&["load", "fill", "3000", "--seed", "7"]).success();
    let standby = servers.standby_of(2);
    servers.run(&["replica", "add", "shard_2", &standby.url()]).success();
    standby.wait_until_caught_up(&mut servers.client(2));
    let words = ["load", "run", "--clients", "4", "--duration", "40s", "--mix", "get=60,create=20,update=20"];
    let child =
        servers.command().args(words).args(["--async-replica", "shard_2", "-o", "json"]).spawn().unwrap();
    let begun = Instant::now();
    while count(&servers) < 3_200 {
        assert!(begun.elapsed() < Duration::from_mins(1), "the load does not start");
        thread::sleep(Duration::from_millis(50));
    }

    // The shard is killed. The others serve their users, and errors name the killed one.
    servers.kill(2);
    servers.run(&["get-user", "4"]).success();
    servers.run(&["get-user", "1"]).fails(69).says("shard_2");
    let ran = servers.run(&["get-user", "1", "--read-replica", "auto"]).success();
    assert!(ran.stderr.contains("may be stale"), "{ran:?}");
    let shards = servers.run(&["shards", "-o", "json"]).success().json();
    assert_eq!((state_of(&shards, "shard_1"), state_of(&shards, "shard_2")), ("active", "down"));
    let before = count(&servers);

    // Its replica takes over; then a shard is added while the load runs.
    let ran = servers.run(&["promote", "shard_2", "-y"]).success();
    assert!(ran.stdout.starts_with(&format!("shard_2\t{}\t2\t", standby.url())), "{ran:?}");
    servers.run(&["get-user", "1"]).success();
    let shards = servers.run(&["shards", "-o", "json"]).success().json();
    assert_eq!(state_of(&shards, "shard_2"), "active");
    servers.run(&["add-shard", "shard_4", &servers.url(4)]).success();
    servers.run(&["rebalance", "-y"]).success();
    assert!(count(&servers) > before, "the load has stopped");

    // The killed server is back with its old data, and serves no request.
    servers.start(2);
    let ran = servers.run(&["shards"]).success();
    assert!(ran.stderr.contains("an old server of shard `shard_2` is back"), "{ran:?}");
    let ran = Ran::of(child);
    let ran = ran.fails(6).says("operations failed");
    let report = ran.json();
    for wrong in ["wrong", "keys_unchecked"] {
        assert_eq!(report[wrong], 0, "{ran:?}");
    }
    assert!(
        report["operations"].as_i64() > Some(1_000) && report["keys_written"].as_i64() > Some(200),
        "{ran:?}"
    );
    // Writes that it acknowledged and had not replicated are counted separately.
    assert!(report["lost_unreplicated"].is_u64(), "{ran:?}");
    let errors = report["errors_by_kind"].as_array().unwrap();
    assert!(errors.iter().all(|error| error["shard"] == "shard_2"), "{ran:?}");

    let old = servers.rows_on(2);
    let seen = servers.run(&["verify"]).fails(1);
    assert!(seen.stdout.contains(&format!("shard_2_retired_1\t{old}\t{old}\t")), "{seen:?}");
    servers.run(&["verify", "--fix", "-y"]).success();
    servers.run(&["verify", "--deep"]).success();
    servers.run(&["doctor"]).success();
}
