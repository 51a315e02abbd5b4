//! A replica takes over a shard whose primary has failed.

use crate::support::clusters::{cut_off, with_standby};
use crate::support::harness::{Ran, command_in};
use crate::support::rings::{owner, topology_of};
use crate::support::servers::Servers;

fn promote(servers: &Servers, flags: &[&str]) -> Ran {
    servers.run(&[&["promote", "shard_2", "-y"], flags].concat())
}

#[test]
fn a_replica_is_added_on_every_shard_and_removed() {
    let (servers, standby) = with_standby();
    let listed = servers.run(&["replica", "list", "-o", "json"]).success().json();
    assert_eq!(
        (&listed[0]["shard"], &listed[0]["state"], &listed[0]["url"]),
        (&"shard_2".into(), &"standby".into(), &standby.url().into())
    );
    assert_eq!(listed[0]["lag_bytes"], 0, "{listed}");
    let config = std::fs::read_to_string(servers.home().join("ringshard.toml")).unwrap();
    assert!(config.contains(&format!("replicas = [\"{}\"]", standby.url())), "{config}");
    let sql = "SELECT replicas[1] FROM ringshard.shard_endpoint WHERE shard = 'shard_2'";
    for number in 1..=3 {
        let known_url: String = servers.client(number).query_one(sql, &[]).unwrap().get(0);
        assert_eq!(known_url, standby.url());
    }
    servers.run(&["replica", "add", "shard_1", &standby.url()]).fails(78).says("belongs to shard `shard_2`");
    servers.run(&["replica", "add", "shard_2", &servers.url(2)]).fails(78).says("accepts writes");
    servers.run(&["replica", "remove", "shard_1", &standby.url()]).fails(4);
    servers.run(&["replica", "remove", "shard_2", &standby.url()]).success();
    assert_eq!(servers.run(&["replica", "list"]).success().stdout, "");
    let config = std::fs::read_to_string(servers.home().join("ringshard.toml")).unwrap();
    assert!(!config.contains("replicas"), "{config}");
}

#[test]
fn every_client_finds_the_promoted_primary() {
    let (servers, standby) = with_standby();
    // Another machine, which does not take part in the promotion.
    let elsewhere = tempfile::Builder::new().prefix("rso").tempdir_in("/tmp").unwrap();
    let copy = elsewhere.path().join("ringshard.toml");
    std::fs::copy(servers.home().join("ringshard.toml"), &copy).unwrap();
    let there = |words: &[&str]| {
        let mut command = command_in(elsewhere.path());
        Ran::of(command.args(words).spawn().unwrap())
    };
    there(&["get-user", "1"]).success();
    promote(&servers, &[]).fails(5).says("is not down: a server answers at");
    servers.crash(2);
    servers.run(&["promote", "shard_9", "-y"]).fails(4);
    servers.run(&["promote", "shard_2", "--no-input"]).fails(3);
    servers
        .run(&["promote", "shard_2", "-y", "--replica", &servers.url(3)])
        .fails(4)
        .says("is not a known replica");
    let ran = promote(&servers, &[]).success();
    assert_eq!(ran.stdout, format!("shard_2\t{}\t2\t2\n", standby.url()));
    servers.assert_healthy(200);
    servers.run(&["update-user", "1", "--name", "new"]).success();
    assert_eq!(there(&["get-user", "1", "-o", "csv", "--no-header"]).success().stdout, "1,new,,\n");
    there(&["update-user", "1", "--name", "newer"]).success();
    promote(&servers, &[]).fails(5);
    // The ring can be changed with the new primary.
    servers.run(&["add-shard", "shard_4", &servers.url(4)]).success();
    servers.run(&["rebalance", "-y"]).success();
    servers.assert_healthy(200);
}

#[test]
fn an_interrupted_promotion_is_completed_by_the_next_run() {
    let (servers, standby) = with_standby();
    servers.crash(2);
    // The state after the server was promoted and the process was killed.
    standby.client().batch_execute("SELECT pg_promote(true, 60)").unwrap();
    // The new primary and the first of the other shards have recorded it as well.
    let sql = "SELECT ringshard.replace_primary('shard_2', 2, $1, '{}', $2, 2)";
    standby.client().query_one(sql, &[&standby.url(), &servers.url(2)]).unwrap();
    servers.client(1).query_one(sql, &[&standby.url(), &servers.url(2)]).unwrap();
    assert_eq!(servers.run(&["get-user", "1", "-o", "csv", "--no-header"]).success().stdout, "1,n1,,\n");
    let ran = promote(&servers, &[]).success();
    assert_eq!(ran.stdout, format!("shard_2\t{}\t2\t2\n", standby.url()));
    servers.assert_healthy(200);
    promote(&servers, &[]).fails(5);
}

#[test]
fn a_promotion_after_an_interrupted_confirmation_leaves_no_shard_behind() {
    let (servers, standby) = with_standby();
    // Somebody else's new primary of shard_2 was compared with the others, began an epoch on the arbiter alone, and was lost.
    let begun = "SELECT ringshard.record_incarnation('shard_2', 2, topology, 2) FROM ringshard.meta";
    assert_eq!(servers.client(1).query_one(begun, &[]).unwrap().get::<_, String>(0), "done");
    servers.crash(2);
    assert_eq!(promote(&servers, &[]).success().stdout, format!("shard_2\t{}\t3\t3\n", standby.url()));
    let sql = "SELECT epoch FROM ringshard.meta";
    let epochs = [servers.client(1), standby.client(), servers.client(3)]
        .map(|mut client| client.query_one(sql, &[]).unwrap().get::<_, i64>(0));
    assert_eq!(epochs, [3, 3, 3]);
    let user = (1..=200).find(|id| owner(*id) == 3).unwrap().to_string();
    servers.run(&["update-user", &user, "--name", "after"]).success();
    servers.assert_healthy(200);
}

#[test]
fn a_replica_without_a_hand_over_is_promoted_only_with_force() {
    let (servers, standby) = with_standby();
    cut_off(&standby);
    servers.run(&["add-shard", "shard_4", &servers.url(4)]).success();
    servers.run(&["rebalance", "-y", "--ignore-standbys"]).success();
    let moved = servers.rows_on(4);
    assert!(moved > 20, "{moved}");
    servers.run(&["update-user", "5", "--name", "new"]).success();
    servers.crash(2);
    let ran = promote(&servers, &[]).fails(5);
    assert!(ran.stderr.contains("has not replayed a hand-over of arcs"), "{ran:?}");
    assert!(
        ran.stderr.contains("that `shard_4` has received") && ran.stderr.contains("it is in epoch 1"),
        "{ran:?}"
    );
    let question = servers.run(&["promote", "shard_2", "--force", "--no-input"]).fails(3);
    assert!(question.stderr.contains("lost: "), "{question:?}");
    promote(&servers, &["--force"]).success();
    // Rows that had moved stay on their new owner; the old copies here are quarantined.
    servers.assert_healthy(200);
    assert_eq!(servers.run(&["get-user", "5", "-o", "csv", "--no-header"]).success().stdout, "5,new,,\n");
    let aside = "SELECT count(*) FROM ringshard.quarantine";
    let aside: i64 = standby.client().query_one(aside, &[]).unwrap().get(0);
    let ring = topology_of(&[1, 2, 3, 4]).ring();
    let has_left = |id: &i64| {
        let position = ringshard::model::ring::position::Position::of_key(&id.to_string());
        owner(*id) == 2 && ring.owner(position).as_str() == "shard_4"
    };
    assert_eq!(usize::try_from(aside).unwrap(), (1..=200).filter(has_left).count());
}

#[test]
fn forced_promotion_reports_the_users_on_arcs_the_replica_lacks() {
    let (servers, standby) = with_standby();
    cut_off(&standby);
    servers.run(&["remove-shard", "shard_3"]).success();
    servers.run(&["rebalance", "-y", "--ignore-standbys"]).success();
    let had = servers.rows_on(2);
    let has = standby.rows();
    assert!(had > has);
    servers.crash(2);
    let ran = promote(&servers, &[]).fails(5);
    assert!(ran.stderr.contains("the users on them are lost"), "{ran:?}");
    promote(&servers, &["--force"]).success();
    servers.assert_healthy(200 - (had - has));
}

#[test]
fn a_promotion_during_a_rebalance_lets_it_continue() {
    let (servers, standby) = with_standby();
    servers.run(&["add-shard", "shard_4", &servers.url(4)]).success();
    // The rebalance stops after the first chunks and leaves a fence.
    servers.rebalance_to_failpoint("after-receive:3");
    standby.wait_until_caught_up(&mut servers.client(2));
    servers.crash(2);
    assert_eq!(servers.run(&["count", "--read-replica", "auto"]).success().stdout, "200\n");
    // The other shards say that a change is under way.
    servers.run(&["rebalance", "status"]).fails(6);
    promote(&servers, &[]).success();
    // The epoch is new, so a client that read rows of the old primary in the previous epoch can no longer hand them
    // over.
    let standing = "SELECT epoch, status FROM ringshard.meta";
    for mut client in [servers.client(1), standby.client(), servers.client(3), servers.client(4)] {
        let row = client.query_one(standing, &[]).unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1)), (3, "pending"));
    }
    let late = "SELECT ringshard.receive_chunk(2, $1, $2, 'shard_2', '{}', '{}', '{}', '{}', 0, '{}')";
    let arc = "SELECT first, last FROM ringshard.arc WHERE state = 'owned' LIMIT 1";
    let arc =
        standby.client().query_one(&arc.replace("first, last", "first::text, last::text"), &[]).unwrap();
    let late = late.replace("$1", "$1::text::uuid").replace("$2", "$2::text::uuid");
    let (first, last): (&str, &str) = (arc.get(0), arc.get(1));
    let answer: String = servers.client(4).query_one(&late, &[&first, &last]).unwrap().get(0);
    assert_eq!(answer, "stale");
    assert_eq!(servers.run(&["count"]).success().stdout, "200\n");
    servers.run(&["rebalance", "-y"]).success();
    servers.assert_healthy(200);
}

#[test]
fn a_change_announced_on_one_shard_only_survives_its_promotion() {
    let (servers, standby) = with_standby();
    servers.run(&["add-shard", "shard_4", &servers.url(4)]).success();
    let desired = "SELECT desired_topology FROM ringshard.meta";
    let desired: serde_json::Value = servers.client(1).query_one(desired, &[]).unwrap().get(0);
    let participants = serde_json::json!(["shard_1", "shard_2", "shard_3", "shard_4"]);
    let announce = "SELECT ringshard.announce(2, topology, $1, $2, 'decided') FROM ringshard.meta";
    let answer: String = servers.client(2).query_one(announce, &[&desired, &participants]).unwrap().get(0);
    assert_eq!(answer, "done");
    standby.wait_until_caught_up(&mut servers.client(2));
    servers.crash(2);
    promote(&servers, &[]).success();
    let standing = "SELECT epoch, status, topology_md5 IS NOT NULL FROM ringshard.meta";
    // It is announced to all in a new epoch, in which the old primary takes no part.
    for mut client in [servers.client(1), standby.client(), servers.client(3)] {
        let row = client.query_one(standing, &[]).unwrap();
        let is = (row.get::<_, i64>(0), row.get::<_, &str>(1), row.get::<_, bool>(2));
        assert_eq!(is, (3, "pending", false));
    }
    servers.run(&["rebalance", "-y"]).success();
    servers.assert_healthy(200);
}
