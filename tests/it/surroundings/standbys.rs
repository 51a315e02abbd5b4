//! A hand-over counts only when every server that may take a shard over has it.

use std::collections::BTreeSet;

use postgres::Client;
use rustix::process::Signal;

use crate::support::clusters::{cut_off, with_standby};
use crate::support::harness::Ran;
use crate::support::rings::owner;
use crate::support::servers::{Servers, Standby};

/// Connects a standby again that was cut off.
fn reconnect(servers: &Servers, standby: &Standby, number: usize) {
    let primary = servers.server(number);
    let from = primary.socket_dir().display();
    let info = format!("host={from} port={} user=postgres", primary.port());
    let mut client = standby.client();
    client.batch_execute(&format!("ALTER SYSTEM SET primary_conninfo = '{info}'")).unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
}

fn rebalance(servers: &Servers) -> Ran {
    let mut command = servers.command();
    command.args(["rebalance", "-y"]).env("RINGSHARD_STANDBY_TIMEOUT_MS", "300");
    Ran::of(command.spawn().unwrap())
}

#[test]
fn nothing_moves_while_a_named_replica_is_behind() {
    let (servers, standby) = with_standby();
    cut_off(&standby);
    // The source of the moves has something that the replica has not.
    servers.run(&["update-user", "1", "--name", "late"]).success();
    servers.run(&["add-shard", "shard_4", &servers.url(4)]).success();
    rebalance(&servers).fails(75).says("`shard_2`").says(&standby.url()).says("--ignore-standbys");
    assert!(servers.run(&["rebalance", "status"]).success().stdout.starts_with("planned"));
    assert_eq!(servers.rows_on(4), 0);
    reconnect(&servers, &standby, 2);
    standby.wait_until_caught_up(&mut servers.client(2));
    rebalance(&servers).success();
    servers.assert_healthy(200);
    // Whatever the primary handed over, the standby knows: it takes over without --force.
    servers.crash(2);
    servers.run(&["promote", "shard_2", "-y"]).success();
    servers.assert_healthy(200);
}

#[test]
fn a_standby_that_nobody_named_is_waited_for_while_it_streams() {
    for number in [2, 4] {
        let servers = Servers::filled();
        servers.run(&["add-shard", "shard_4", &servers.url(4)]).success();
        let standby = servers.standby_of(number);
        standby.wait_until_caught_up(&mut servers.client(number));
        standby.signal_receiver(Signal::STOP);
        let paused = rebalance(&servers).fails(75);
        standby.signal_receiver(Signal::CONT);
        assert!(paused.stderr.contains("standby `walreceiver`"), "{paused:?}");
        rebalance(&servers).success();
        servers.assert_healthy(200);
    }
}

#[test]
fn a_slot_that_is_not_in_use_stands_for_a_standby() {
    let servers = Servers::filled();
    servers.run(&["add-shard", "shard_4", &servers.url(4)]).success();
    let create = "SELECT pg_create_physical_replication_slot('away', true)";
    servers.client(1).batch_execute(create).unwrap();
    servers.run(&["update-user", "4", "--name", "later"]).success();
    rebalance(&servers).fails(75).says("slot away").says("`shard_1`");
    servers.client(1).batch_execute("SELECT pg_drop_replication_slot('away')").unwrap();
    rebalance(&servers).success();
    servers.assert_healthy(200);
}

#[test]
fn the_other_host_of_a_url_counts_also_when_it_is_not_connected() {
    let servers = Servers::filled();
    let standby = servers.standby_of(2);
    standby.wait_until_caught_up(&mut servers.client(2));
    let config = std::fs::read_to_string(servers.home().join("ringshard.toml")).unwrap();
    let alone = servers.url(2);
    let host = |url: &str| url.rsplit_once('=').unwrap().1.to_owned();
    let both = format!(
        "postgresql://postgres@/users?host={},{}&target_session_attrs=read-write",
        host(&alone),
        host(&standby.url())
    );
    servers.write("ringshard.toml", config.replace(&alone, &both).as_bytes());
    servers.run(&["add-shard", "shard_4", &servers.url(4)]).success();
    cut_off(&standby);
    servers.run(&["update-user", "1", "--name", "late"]).success();
    rebalance(&servers).fails(75).says("`shard_2`").says(&host(&standby.url()));
    reconnect(&servers, &standby, 2);
    rebalance(&servers).success();
    servers.assert_healthy(200);
}

/// The ids that a server has.
fn ids(mut client: Client) -> BTreeSet<i64> {
    client.query("SELECT user_id FROM users", &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn each_chunk_waits_between_fence_hand_over_and_purge() {
    // The standby of a source, then that of the target, stops receiving while a rebalance is under way.
    for number in [2, 4] {
        let servers = Servers::filled();
        servers.run(&["add-shard", "shard_4", &servers.url(4)]).success();
        let standby = servers.standby_of(number);
        standby.wait_until_caught_up(&mut servers.client(number));
        let mut command = servers.command();
        command.args(["rebalance", "-y", "--chunk-rows", "1", "--jobs", "1", "--max-rows-per-sec", "20"]);
        let child = command.env("RINGSHARD_STANDBY_TIMEOUT_MS", "300").spawn().unwrap();
        while servers.rows_on(4) < 3 {
            assert!(servers.run(&["rebalance", "status"]).code == 0);
        }
        standby.signal_receiver(Signal::STOP);
        Ran::of(child).fails(75).says("walreceiver");
        assert_eq!(servers.run(&["count"]).success().stdout, "200\n");
        let replayed = "SELECT pg_last_wal_replay_lsn() = pg_last_wal_receive_lsn()";
        while !standby.client().query_one(replayed, &[]).unwrap().get::<_, bool>(0) {}
        let received = ids(servers.client(4));
        assert!(received.len() < 45, "all have moved");
        if number == 2 {
            // The standby knows of each chunk that was received that its own server does not own it any more.
            let sql = "SELECT count(*) FROM ringshard.arc WHERE state = 'owned' \
                       AND md5($1::bigint::text)::uuid BETWEEN first AND last";
            for id in received.iter().filter(|id| owner(**id) == 2) {
                assert_eq!(standby.client().query_one(sql, &[id]).unwrap().get::<_, i64>(0), 0, "user {id}");
            }
        } else {
            // It has each row that its source has deleted.
            let of_standby = ids(standby.client());
            for id in received {
                let is_left = ids(servers.client(owner(id))).contains(&id);
                assert!(is_left || of_standby.contains(&id), "user {id}");
            }
        }
        standby.signal_receiver(Signal::CONT);
        rebalance(&servers).success();
        servers.assert_healthy(200);
    }
}
