//! A shard that is removed because it is dead, and one that comes back later.

use crate::support::clusters::{cut_off, with_standby};
use crate::support::harness::{Ran, command_in};
use crate::support::rings::{owner, topology_of};
use crate::support::servers::Servers;

fn remove_dead_shard(servers: &Servers, flags: &[&str]) -> Ran {
    servers.run(&[&["remove-shard", "shard_2", "--dead", "-y"], flags].concat())
}

#[test]
fn removal_without_a_backup_reports_how_many_users_are_lost() {
    let servers = Servers::filled();
    let lost = servers.rows_on(2);
    servers.run(&["shards"]).success();
    remove_dead_shard(&servers, &[]).fails(5).says("is not down: a server answers at");
    servers.run(&["remove-shard", "shard_2", "--recover-from", &servers.url(3)]).fails(2);
    servers.crash(2);
    servers.run(&["remove-shard", "shard_9", "--dead", "-y"]).fails(4);
    let asked = servers.run(&["remove-shard", "shard_2", "--dead", "--no-input"]).fails(3);
    assert!(asked.stderr.contains(&format!("lost: {lost} users, by the count of 2")), "{asked:?}");
    assert!(asked.stderr.contains("will be removed for good, with 33.05 % of the ring"), "{asked:?}");
    let ran = remove_dead_shard(&servers, &["-o", "json"]).success().json();
    let share: f64 =
        ran.as_array().unwrap().iter().map(|recipient| recipient["share_pct"].as_f64().unwrap()).sum();
    assert!((share - 33.05).abs() < 0.02 && ran.as_array().unwrap().len() == 2, "{ran}");
    servers.assert_healthy(200 - lost);
    servers.run(&["create-user", "--id", "1", "--name", "anew"]).success();
    let config = std::fs::read_to_string(servers.home().join("ringshard.toml")).unwrap();
    assert!(!config.contains("shard_2"), "{config}");
}

#[test]
fn users_are_recovered_from_a_replica_to_the_other_shards() {
    let (servers, standby) = with_standby();
    servers.crash(2);
    remove_dead_shard(&servers, &["--recover-from", "postgresql://postgres@127.0.0.1:1/x"]).fails(69);
    remove_dead_shard(&servers, &["--recover-from", &servers.url(3)])
        .fails(78)
        .says("belongs to shard `shard_3`");
    let ran = remove_dead_shard(&servers, &["--recover-from", &standby.url(), "-v"]).success();
    // The recipients are the owners in the ring of the two shards. Keys 1, 2, 3, 5 and 6 belonged to shard 2.
    let ring = topology_of(&[1, 3]).ring();
    for id in [1, 2, 3, 5, 6] {
        let position = ringshard::model::ring::position::Position::of_key(&id.to_string());
        let line = format!("Key '{id}' reassigned to {}", ring.owner(position));
        assert!(ran.stderr.contains(&line), "{line}: {ran:?}");
    }
    servers.assert_healthy(200);
    assert_eq!(servers.run(&["get-user", "1", "-o", "csv", "--no-header"]).success().stdout, "1,n1,,\n");
}

#[test]
fn an_interrupted_removal_is_completed_by_the_next_run() {
    let (servers, standby) = with_standby();
    servers.crash(2);
    // One of the recipients cannot commit.
    let mut second = servers.client(3);
    let hold = "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$; \
                CREATE TRIGGER refuse BEFORE UPDATE ON ringshard.meta FOR EACH ROW EXECUTE FUNCTION public.refuse(); \
                ALTER TABLE ringshard.meta ENABLE ALWAYS TRIGGER refuse";
    second.batch_execute(hold).unwrap();
    remove_dead_shard(&servers, &["--recover-from", &standby.url()]).fails(1);
    second.batch_execute("DROP FUNCTION public.refuse CASCADE").unwrap();
    let asked = servers.run(&["remove-shard", "shard_2", "--dead", "--no-input"]).fails(3);
    assert!(asked.stderr.contains("an earlier run began this"), "{asked:?}");
    remove_dead_shard(&servers, &["--recover-from", &standby.url()]).success();
    servers.assert_healthy(200);
}

#[test]
fn removing_a_dead_shard_during_a_rebalance_lets_it_continue() {
    let (servers, standby) = with_standby();
    servers.run(&["add-shard", "shard_4", &servers.url(4)]).success();
    servers.rebalance_to_failpoint("after-receive:3");
    standby.wait_until_caught_up(&mut servers.client(2));
    servers.crash(2);
    let ran = remove_dead_shard(&servers, &["--recover-from", &standby.url()]).success();
    assert_eq!(servers.run(&["count"]).success().stdout, "200\n", "{ran:?}");
    servers.run(&["rebalance", "-y"]).success();
    servers.assert_healthy(200);
}

#[test]
fn a_received_chunk_is_recovered_with_its_newer_rows() {
    let servers = Servers::filled();
    servers.run(&["add-shard", "shard_4", &servers.url(4)]).success();
    let standby = servers.standby_of(4);
    servers.rebalance_to_failpoint("after-receive:1");
    // The source still holds the chunk fenced, with the rows as they were.
    let id: i64 = servers.client(4).query_one("SELECT min(user_id) FROM users", &[]).unwrap().get(0);
    let id = id.to_string();
    servers.run(&["update-user", &id, "--name", "newer"]).success();
    standby.wait_until_caught_up(&mut servers.client(4));
    servers.crash(4);
    let words = ["remove-shard", "shard_4", "--dead", "--recover-from", &standby.url(), "-y"];
    let ran = servers.run(&words).success();
    let get = ["get-user", &id, "-o", "csv", "--no-header"];
    assert_eq!(servers.run(&get).success().stdout, format!("{id},newer,,\n"), "{ran:?}");
    servers.run(&["rebalance", "-y"]).success();
    servers.assert_healthy(200);
}

#[test]
fn a_new_shard_of_the_same_name_leaves_the_old_one_fenced() {
    let servers = Servers::filled();
    servers.crash(2);
    remove_dead_shard(&servers, &[]).success();
    servers.run(&["add-shard", "shard_2", &servers.url(4)]).success();
    servers.run(&["rebalance", "-y"]).success();
    servers.start(2);
    let ran = servers.run(&["shards"]).success();
    assert!(ran.stderr.contains("`shard_2_retired_1`"), "{ran:?}");
    assert_owns_nothing(&servers);
}

#[test]
fn a_stale_primary_serves_nothing_and_its_missing_rows_are_recovered() {
    let (servers, standby) = with_standby();
    // Writes that the replica never receives: a new user and a change.
    cut_off(&standby);
    let fresh = (201..400).find(|id| owner(*id) == 2).unwrap().to_string();
    servers.run(&["create-user", "--id", &fresh, "--name", "late"]).success();
    servers.run(&["update-user", "1", "--name", "late"]).success();
    servers.crash(2);
    servers.run(&["promote", "shard_2", "-y"]).success();
    servers.run(&["update-user", "2", "--name", "newer"]).success();
    let before = standby.rows();
    servers.assert_healthy(200);
    // It comes back with its old data, as shard 2.
    servers.start(2);
    let ran = servers.run(&["shards"]).success();
    assert!(
        ran.stderr.contains("an old server of shard `shard_2` is back")
            && ran.stderr.contains("has just been fenced"),
        "{ran:?}"
    );
    let name: String = servers.client(2).query_one("SELECT shard FROM ringshard.meta", &[]).unwrap().get(0);
    assert_eq!(name, "shard_2_retired_1");
    // It refuses every write.
    let mut old = servers.client(2);
    let write = "SET ringshard.guard = ''; INSERT INTO users (user_id) VALUES (7001)";
    let refused = old.batch_execute(write).unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "RS001");
    let stale = tempfile::Builder::new().prefix("rso").tempdir_in("/tmp").unwrap();
    let config = std::fs::read_to_string(servers.home().join("ringshard.toml")).unwrap();
    std::fs::write(stale.path().join("ringshard.toml"), config.replace(&standby.url(), &servers.url(2)))
        .unwrap();
    let mut there = command_in(stale.path());
    let ran = Ran::of(there.args(["update-user", "3", "--name", "x"]).spawn().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let name = "SELECT name FROM users WHERE user_id = 3";
    assert_eq!(standby.client().query_one(name, &[]).unwrap().get::<_, String>(0), "x");
    // Its rows, compared with those of the current owners.
    let seen = servers.run(&["verify", "--deep"]).fails(1);
    let line = seen.stdout.lines().find(|line| line.starts_with("shard_2_retired_1\t")).unwrap().to_owned();
    let fields: Vec<i64> = line.split('\t').skip(1).map(|field| field.parse().unwrap()).collect();
    assert_eq!((fields[0], fields[1], fields[2]), (before + 1, before + 1, before), "{line}");
    // The rows of users 1, 2 and 3 differ.
    assert_eq!(fields[3], 3, "{line}");
    servers.run(&["verify", "--fix", "-y"]).success();
    servers.assert_healthy(201);
    let get = |id: &str| servers.run(&["get-user", id, "-o", "csv", "--no-header"]).success().stdout;
    // Missing rows are on their owners; rows that differ were not overwritten and are quarantined.
    assert_eq!(
        (get(&fresh), get("1"), get("2")),
        (format!("{fresh},late,,\n"), "1,n1,,\n".into(), "2,newer,,\n".into())
    );
    let aside = "SELECT (contents::users).name FROM ringshard.quarantine WHERE (contents::users).user_id = 1";
    assert_eq!(old.query_one(aside, &[]).unwrap().get::<_, String>(0), "late");
    assert_eq!(servers.rows_on(2), 0);
    assert!(!servers.run(&["shards"]).success().stderr.contains("an old server"));
}

#[test]
fn a_removed_shard_that_comes_back_is_fenced() {
    let servers = Servers::filled();
    let lost = servers.rows_on(2);
    servers.crash(2);
    remove_dead_shard(&servers, &[]).success();
    servers.start(2);
    let seen = servers.run(&["verify"]).fails(1);
    assert!(seen.stdout.contains(&format!("shard_2_retired_1\t{lost}\t{lost}\t0\t")), "{seen:?}");
    assert_owns_nothing(&servers);
    servers.run(&["verify", "--fix", "-y"]).success();
    servers.assert_healthy(200);
}

fn assert_owns_nothing(servers: &Servers) {
    let held: i64 = servers.client(2).query_one("SELECT count(*) FROM ringshard.arc", &[]).unwrap().get(0);
    assert_eq!(held, 0);
}
