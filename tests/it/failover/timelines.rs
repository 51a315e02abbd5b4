//! A standby that somebody else promotes, with `pg_promote`, may lack what its primary handed over.

use std::collections::BTreeSet;

use tempfile::TempDir;

use crate::support::clusters::cut_off;
use crate::support::harness::{Ran, command_in};
use crate::support::rings::{owner, owner_of_four};
use crate::support::servers::{Servers, Standby};

/// A cluster of 200 users on three shards whose fourth is to be added. The URL of one shard has two hosts: its server, and a
/// standby that follows it.
struct Failover {
    servers: Servers,
    standby: Standby,
    number: usize,
}

impl Failover {
    fn of(number: usize) -> Self {
        let servers = Servers::filled();
        let standby = servers.standby_of(number);
        let host = |url: &str| url.rsplit_once('=').unwrap().1.to_owned();
        let both = format!(
            "postgresql://postgres@/users?host={},{}&target_session_attrs=read-write",
            host(&servers.url(number)),
            host(&standby.url())
        );
        if number == 4 {
            servers.run(&["add-shard", "shard_4", &both]).success();
        } else {
            let config = std::fs::read_to_string(servers.home().join("ringshard.toml")).unwrap();
            let config = config.replace(&servers.url(number), &both);
            servers.write("ringshard.toml", config.as_bytes());
            servers.run(&["add-shard", "shard_4", &servers.url(4)]).success();
        }
        standby.wait_until_caught_up(&mut servers.client(number));
        Self { servers, standby, number }
    }

    /// Runs a rebalance in small chunks, which does not wait for standbys; it ends at a failpoint, if there is one.
    fn rebalance(&self, failpoint: Option<&str>) -> Ran {
        let mut command = self.servers.command();
        command.args(["rebalance", "-y", "--chunk-rows", "5", "--jobs", "1", "--ignore-standbys"]);
        if let Some(failpoint) = failpoint {
            command.env("RINGSHARD_CRASH", failpoint);
        }
        let ran = Ran::of(command.spawn().unwrap());
        assert_eq!(ran.code == 0, failpoint.is_none(), "{ran:?}");
        ran
    }

    fn catch_up(&self) {
        self.standby.wait_until_caught_up(&mut self.servers.client(self.number));
    }

    /// The primary is gone, and its standby is promoted.
    fn fail_over(&self) {
        self.servers.crash(self.number);
        self.standby.client().query_one("SELECT pg_promote()", &[]).unwrap();
    }

    /// Nobody is missing after the failover, and the change is completed.
    fn fail_over_and_complete(&self) {
        self.fail_over();
        assert_eq!(self.listed().len(), 200);
        self.rebalance(None);
        self.servers.assert_healthy(200);
    }

    /// A home that has the configuration, and no cache.
    fn other_home(&self) -> TempDir {
        let home = tempfile::tempdir_in("/tmp").unwrap();
        std::fs::copy(self.servers.home().join("ringshard.toml"), home.path().join("ringshard.toml"))
            .unwrap();
        home
    }

    /// The users that the program lists.
    fn listed(&self) -> BTreeSet<i64> {
        let listed = self.servers.run(&["list-users", "-o", "json"]).success().json();
        listed.as_array().unwrap().iter().map(|user| user["user_id"].as_i64().unwrap()).collect()
    }
}

fn run_in(home: &TempDir, words: &[&str]) -> Ran {
    Ran::of(command_in(home.path()).args(words).spawn().unwrap())
}

#[test]
fn a_server_that_lacks_nothing_serves_at_once_in_a_new_epoch() {
    let failover = Failover::of(2);
    let Failover { servers, standby, .. } = &failover;
    failover.rebalance(None);
    failover.catch_up();
    failover.fail_over();
    let user = (1..=200).find(|id| owner_of_four(*id) == 2).unwrap().to_string();
    let home = failover.other_home();
    run_in(&home, &["update-user", &user, "--name", "after"]).success();
    servers.assert_healthy(200);
    let sql = "SELECT incarnation, epoch, timeline FROM ringshard.meta";
    let row = standby.client().query_one(sql, &[]).unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (2, 3));
    assert_eq!(row.get::<_, String>(2), "00000002");
    // The old primary is the first host of the URL. Who knows of the new one does not take it for the shard.
    servers.start(2);
    for words in
        [&["get-user", &user][..], &["update-user", &user, "--name", "lost"], &["count"], &["list-users"]]
    {
        run_in(&home, words).fails(5).says("`shard_2`").says("incarnation 1");
    }
    let sql = "SELECT count(*) FROM users WHERE name = 'lost'";
    assert_eq!(servers.client(2).query_one(sql, &[]).unwrap().get::<_, i64>(0), 0);
    servers.crash(2);
    assert!(run_in(&home, &["get-user", &user]).success().stdout.contains("after"));
    servers.assert_healthy(200);
}

#[test]
fn a_source_that_missed_the_fences_does_not_serve_what_it_gave_away() {
    let failover = Failover::of(2);
    let Failover { servers, .. } = &failover;
    cut_off(&failover.standby);
    failover.rebalance(None);
    let moved = (1..=200).find(|id| owner(*id) == 2 && owner_of_four(*id) == 4).unwrap();
    servers.run(&["update-user", &moved.to_string(), "--name", "new"]).success();
    failover.fail_over();
    // What lies elsewhere is served, by a client that knows the ring.
    assert!(servers.run(&["get-user", &moved.to_string()]).success().stdout.contains("new"));
    let own = (1..=200).find(|id| owner_of_four(*id) == 2).unwrap().to_string();
    let refusals: [&[&str]; 5] = [
        &["get-user", &own],
        &["update-user", &own, "--name", "x"],
        &["count"],
        &["export", "f.csv"],
        &["rebalance", "-y"],
    ];
    for words in refusals {
        servers.run(words).fails(1).says("shard_2").says("`shard_4` has received").says("verify --fix");
    }
    // A client that knows nothing asks the old owner first.
    let home = failover.other_home();
    let ran = run_in(&home, &["get-user", &moved.to_string()]);
    assert!(ran.code != 0 || ran.stdout.contains("new"), "{ran:?}");
    servers.run(&["verify"]).fails(1).says("`shard_2`").says("`shard_4` has received").says("verify --fix");
    let doctor = servers.run(&["doctor"]).fails(1).says("1 of 110 checks failed: timeline of `shard_2`");
    assert!(doctor.stdout.contains("shard_2\ttimeline\tno"), "{doctor:?}");
    let before: i64 = failover.standby.rows();
    let left = (1..=200).filter(|id| owner_of_four(*id) == 2).count();
    let fixed = servers.run(&["verify", "--fix", "-y"]).success();
    assert!(fixed.stderr.contains("`shard_2` serves again"), "{fixed:?}");
    let aside = usize::try_from(before).unwrap() - left;
    assert!(fixed.stderr.contains(&format!("{aside} rows went to `ringshard.quarantine`")), "{fixed:?}");
    servers.assert_healthy(200);
    assert!(servers.run(&["get-user", &moved.to_string()]).success().stdout.contains("new"));
}

#[test]
fn a_target_that_missed_what_it_received_says_what_is_gone() {
    let failover = Failover::of(4);
    let Failover { servers, .. } = &failover;
    cut_off(&failover.standby);
    failover.rebalance(None);
    failover.fail_over();
    let gone: BTreeSet<i64> = (1..=200).filter(|id| owner_of_four(*id) == 4).collect();
    let user = gone.first().unwrap().to_string();
    for words in [&["get-user", &user][..], &["create-user", "--id", &user, "--name", "x"], &["count"]] {
        servers.run(words).fails(1).says("`shard_4`").says("the users on them are lost").says("verify --fix");
    }
    servers.run(&["verify"]).fails(1).says("the users on them are lost");
    let fixed = servers.run(&["verify", "--fix", "-y"]).success();
    assert!(fixed.stderr.contains("the users on them are lost"), "{fixed:?}");
    servers.assert_healthy(i64::try_from(200 - gone.len()).unwrap());
    let left: BTreeSet<i64> = (1..=200).filter(|id| !gone.contains(id)).collect();
    assert_eq!(failover.listed(), left);
    servers.run(&["create-user", "--id", &user, "--name", "again"]).success();
}

#[test]
fn a_target_that_missed_a_chunk_receives_it_again_from_its_source() {
    let failover = Failover::of(4);
    failover.rebalance(Some("before-receive:3"));
    failover.catch_up();
    cut_off(&failover.standby);
    failover.rebalance(Some("after-receive:1"));
    failover.fail_over_and_complete();
}

#[test]
fn a_source_that_missed_a_purge_purges_again() {
    let failover = Failover::of(2);
    failover.rebalance(Some("before-purge:3"));
    failover.catch_up();
    cut_off(&failover.standby);
    failover.rebalance(Some("after-purge:1"));
    failover.fail_over_and_complete();
}

#[test]
fn a_shard_that_missed_the_end_of_a_change_ends_it_again() {
    for number in [1, 2] {
        let failover = Failover::of(number);
        failover.rebalance(Some("before-finish:1"));
        failover.catch_up();
        cut_off(&failover.standby);
        failover.rebalance(None);
        failover.fail_over_and_complete();
    }
}

#[test]
fn an_arbiter_that_missed_the_announcement_learns_of_the_change() {
    let failover = Failover::of(1);
    cut_off(&failover.standby);
    failover.rebalance(Some("before-fence:1"));
    failover.fail_over_and_complete();
}

#[test]
fn a_failover_while_another_shard_is_down_stops_nobody() {
    let failover = Failover::of(2);
    let Failover { servers, .. } = &failover;
    servers.crash(3);
    failover.fail_over();
    let user = (1..=200).find(|id| owner(*id) == 2).unwrap().to_string();
    servers.run(&["update-user", &user, "--name", "x"]).success();
    servers.start(3);
    servers.assert_healthy(200);
}

#[test]
fn a_shard_that_missed_a_cancel_serves_what_it_had_fenced() {
    let failover = Failover::of(2);
    let Failover { servers, .. } = &failover;
    failover.rebalance(Some("before-receive:1"));
    failover.catch_up();
    cut_off(&failover.standby);
    servers.run(&["rebalance", "cancel", "-y", "--ignore-standbys"]).success();
    failover.fail_over();
    assert_eq!(failover.listed().len(), 200);
    for id in (1..=200).filter(|id| owner(*id) == 2) {
        servers.run(&["update-user", &id.to_string(), "--name", "after"]).success();
    }
    servers.run(&["verify"]).success();
    servers.run(&["rebalance", "status"]).success();
}

#[test]
fn a_primary_that_comes_back_in_the_middle_of_a_change_is_not_used() {
    let failover = Failover::of(2);
    let Failover { servers, .. } = &failover;
    failover.rebalance(Some("after-receive:1"));
    failover.catch_up();
    failover.fail_over();
    assert_eq!(failover.listed().len(), 200);
    servers.start(2);
    let stays = (1..=200).find(|id| owner(*id) == 2 && owner_of_four(*id) == 2).unwrap().to_string();
    for words in [&["update-user", &stays, "--name", "lost"][..], &["get-user", &stays], &["count"]] {
        servers.run(words).fails(5).says("`shard_2`").says("stale primary");
    }
    let mut command = servers.command();
    command.args(["rebalance", "-y", "--ignore-standbys"]);
    assert_ne!(Ran::of(command.spawn().unwrap()).code, 0);
    let sql = "SELECT count(*) FROM users WHERE name = 'lost'";
    assert_eq!(servers.client(2).query_one(sql, &[]).unwrap().get::<_, i64>(0), 0);
    servers.crash(2);
    failover.rebalance(None);
    servers.assert_healthy(200);
}

#[test]
fn a_writer_settles_a_chunk_that_a_mover_of_an_earlier_epoch_left() {
    let failover = Failover::of(4);
    let Failover { servers, .. } = &failover;
    failover.rebalance(Some("before-receive:2"));
    failover.catch_up();
    failover.fail_over();
    assert_eq!(failover.listed().len(), 200);
    let fenced = "SELECT count(*) FROM ringshard.arc \
                  WHERE state = 'fenced' AND md5($1::bigint::text)::uuid BETWEEN first AND last";
    let is_fenced =
        |id: &i64| servers.client(owner(*id)).query_one(fenced, &[id]).unwrap().get::<_, i64>(0) == 1;
    let user = (1..=200).find(is_fenced).expect("a chunk with a user is fenced");
    servers.run(&["update-user", &user.to_string(), "--name", "after"]).success();
    failover.rebalance(None);
    servers.assert_healthy(200);
    assert!(servers.run(&["get-user", &user.to_string()]).success().stdout.contains("after"));
}

#[test]
fn an_arbiter_that_ended_a_change_first_serves_while_the_others_have_not() {
    let failover = Failover::of(1);
    failover.rebalance(Some("after-finish:1"));
    failover.catch_up();
    failover.fail_over_and_complete();
}

#[test]
fn a_stale_primary_whose_successor_is_gone_for_good_can_serve_again() {
    let failover = Failover::of(2);
    let Failover { servers, standby, .. } = &failover;
    failover.catch_up();
    failover.fail_over();
    let user = (1..=200).find(|id| owner(*id) == 2).unwrap().to_string();
    let user = user.as_str();
    servers.run(&["update-user", user, "--name", "on-the-new-one"]).success();
    // No stale primary: the usual refusal.
    servers.run(&["promote", "shard_2", "--force", "-y"]).fails(5).says("is not down");
    standby.stop();
    servers.start(2);
    let words = ["update-user", user, "--name", "again"];
    servers.run(&words).fails(5).says("incarnation 1").says("ringshard promote shard_2 --force");
    servers.run(&["promote", "shard_2", "-y"]).fails(5).says("is not down");
    servers.run(&["promote", "shard_2", "--force"]).fails(3);
    let ran = servers.run(&["promote", "shard_2", "--force", "-y"]).success();
    assert!(ran.stdout.starts_with("shard_2\t") && ran.stdout.ends_with("\t3\t3\n"), "{ran:?}");
    servers.run(&words).success();
    let other = failover.other_home();
    assert!(run_in(&other, &["get-user", user]).success().stdout.contains("again"));
    // The other one is the stale primary now, also for a writer that knows its shard only from before.
    servers.crash(2);
    standby.start();
    run_in(&other, &["update-user", user, "--name", "lost"]).fails(5).says("incarnation 2");
    standby.stop();
    servers.start(2);
    assert!(run_in(&other, &["get-user", user]).success().stdout.contains("again"));
    failover.rebalance(None);
    servers.assert_healthy(200);
}
