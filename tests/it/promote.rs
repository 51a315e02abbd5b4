//! A replica takes over a shard whose primary is gone.

use crate::harness::Ran;
use crate::servers::{Servers, Standby};

/// Three shards with users 1 to 200, and a standby of the second that all know of.
fn with_standby() -> (Servers, Standby) {
    let servers = Servers::with_spares(3, 1);
    let standby = servers.standby_of(2);
    let lines: String = (1..=200).map(|id| format!("create-user --id {id} --name n{id} -q\n")).collect();
    servers.write("users.txt", lines.as_bytes());
    servers.run(&["-f", "users.txt"]).success();
    servers.run(&["replica", "add", "shard_2", &standby.url()]).success();
    standby.catches_up(&mut servers.client(2));
    (servers, standby)
}

fn is_well(servers: &Servers, count: i64) {
    assert_eq!(servers.run(&["count"]).success().stdout, format!("{count}\n"));
    servers.run(&["verify"]).success();
    let doctor = servers.run(&["doctor", "-o", "tsv"]);
    assert!(doctor.code == 0, "{doctor:?}");
}

fn promote(servers: &Servers, flags: &[&str]) -> Ran {
    servers.run(&[&["promote", "shard_2", "-y"], flags].concat())
}

#[test]
fn a_replica_is_made_known_to_all_and_forgotten_again() {
    let (servers, standby) = with_standby();
    let listed = servers.run(&["replica", "list", "-o", "json"]).success().json();
    assert_eq!(
        (&listed[0]["shard"], &listed[0]["state"], &listed[0]["url"]),
        (&"shard_2".into(), &"standby".into(), &standby.url().into())
    );
    assert_eq!(listed[0]["lag_bytes"], 0, "{listed}");
    let config = std::fs::read_to_string(servers.home().join("ringshard.toml")).unwrap();
    assert!(config.contains(&format!("replicas = [\"{}\"]", standby.url())), "{config}");
    let sql = "SELECT replicas[1] FROM ringshard.address WHERE shard = 'shard_2'";
    for number in 1..=3 {
        let told: String = servers.client(number).query_one(sql, &[]).unwrap().get(0);
        assert_eq!(told, standby.url());
    }
    servers.run(&["replica", "add", "shard_1", &standby.url()]).fails(78).says("is that of shard `shard_2`");
    servers.run(&["replica", "add", "shard_2", &servers.url(2)]).fails(78).says("takes writes");
    servers.run(&["replica", "remove", "shard_1", &standby.url()]).fails(4);
    servers.run(&["replica", "remove", "shard_2", &standby.url()]).success();
    assert_eq!(servers.run(&["replica", "list"]).success().stdout, "");
    let config = std::fs::read_to_string(servers.home().join("ringshard.toml")).unwrap();
    assert!(!config.contains("replicas"), "{config}");
}

#[test]
fn the_shard_goes_on_at_another_place_and_all_hear_of_it() {
    let (servers, standby) = with_standby();
    // Another machine, which hears of nothing.
    let elsewhere = tempfile::Builder::new().prefix("rso").tempdir_in("/tmp").unwrap();
    let copy = elsewhere.path().join("ringshard.toml");
    std::fs::copy(servers.home().join("ringshard.toml"), &copy).unwrap();
    let there = |words: &[&str]| {
        let mut command = crate::harness::command_in(elsewhere.path());
        Ran::of(command.args(words).spawn().unwrap())
    };
    there(&["get-user", "1"]).success();
    promote(&servers, &[]).fails(5).says("is not gone: a server answers at");
    servers.crash(2);
    servers.run(&["promote", "shard_9", "-y"]).fails(4);
    servers.run(&["promote", "shard_2", "--no-input"]).fails(3);
    servers.run(&["promote", "shard_2", "-y", "--replica", &servers.url(3)]).fails(4).says("is no replica");
    let ran = promote(&servers, &[]).success();
    assert_eq!(ran.stdout, format!("shard_2\t{}\t2\t2\n", standby.url()));
    is_well(&servers, 200);
    servers.run(&["update-user", "1", "--name", "new"]).success();
    assert_eq!(there(&["get-user", "1", "-o", "csv", "--no-header"]).success().stdout, "1,new,,\n");
    there(&["update-user", "1", "--name", "newer"]).success();
    promote(&servers, &[]).fails(5);
    // The ring can be changed with the new primary.
    servers.run(&["add-shard", "shard_4", &servers.url(4)]).success();
    servers.run(&["rebalance", "-y"]).success();
    is_well(&servers, 200);
}

#[test]
fn killed_at_any_step_the_next_run_goes_on() {
    let (servers, standby) = with_standby();
    servers.crash(2);
    // As if it had been killed behind the promotion itself.
    standby.client().batch_execute("SELECT pg_promote(true, 60)").unwrap();
    // And behind the word to the new primary, and to the first of the others.
    let sql = "SELECT ringshard.replace_primary('shard_2', 2, $1, '{}', $2, 2)";
    standby.client().query_one(sql, &[&standby.url(), &servers.url(2)]).unwrap();
    servers.client(1).query_one(sql, &[&standby.url(), &servers.url(2)]).unwrap();
    assert_eq!(servers.run(&["get-user", "1", "-o", "csv", "--no-header"]).success().stdout, "1,n1,,\n");
    let ran = promote(&servers, &[]).success();
    assert_eq!(ran.stdout, format!("shard_2\t{}\t2\t2\n", standby.url()));
    is_well(&servers, 200);
    promote(&servers, &[]).fails(5);
}

#[test]
fn a_replica_that_has_not_seen_a_hand_over_is_refused() {
    let (servers, standby) = with_standby();
    standby.pause(true);
    servers.run(&["add-shard", "shard_4", &servers.url(4)]).success();
    servers.run(&["rebalance", "-y"]).success();
    // The server of the replica gets no more of it.
    let settings = "ALTER SYSTEM SET primary_conninfo = ''; SELECT pg_reload_conf()";
    let received = "SELECT pg_last_wal_receive_lsn()::text";
    let _: String = standby.client().query_one(received, &[]).unwrap().get(0);
    for statement in settings.split("; ") {
        standby.client().batch_execute(statement).unwrap();
    }
    servers.crash(2);
    // It would replay all that it has received when it is promoted, so it is refused only while it has not.
    let ran = promote(&servers, &[]).fails(5);
    assert!(ran.stderr.contains("lags behind a hand-over of ownership"), "{ran:?}");
    assert!(
        ran.stderr.contains("that `shard_4` has taken over") && ran.stderr.contains("it is in epoch 1"),
        "{ran:?}"
    );
}
