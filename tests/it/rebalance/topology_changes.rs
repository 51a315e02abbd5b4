//! Topology changes, from the request to the last row.

use std::thread;
use std::time::Duration;

use ringshard::model::ring::topology::ShardSpec;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::blocking::begin_update;
use crate::support::clusters::filled;
use crate::support::harness::{Ran, Test, admin};
use crate::support::pty::Terminal;
use crate::support::rebalances::{
    add_shard, assert_settled, assert_users, start_slow_rebalance, wait_for_moved_rows,
};
use crate::support::rings::topology_of;
use crate::support::user_files::{file_of, users, write};
use ringshard::bulk::FileFormat;

fn epochs(test: &Test) -> Vec<i64> {
    (1..=3).map(|number| test.query(number, "SELECT epoch FROM ringshard.meta", &[])[0].get(0)).collect()
}

#[test]
fn the_scenario_of_the_prototype() {
    let test = filled(100_001);
    let before: Vec<Vec<i64>> = (1..=3).map(|number| test.ids(number)).collect();
    assert_eq!(add_shard(&test, 4).success().fields()[0][..2], ["shard_4", "joining"]);
    let plan = test.run(&["rebalance", "--dry-run", "-o", "json"]).success().json();
    assert_eq!(plan["rows"], 22_953);
    assert_eq!(plan["rows_total"], 100_000);
    assert_eq!(plan["flows"].as_array().unwrap().len(), 3);
    // The dry run has moved nothing.
    assert_eq!((1..=3).map(|number| test.ids(number)).collect::<Vec<_>>(), before);
    assert_eq!(epochs(&test), [1, 1, 1]);
    let ran = test.run(&["rebalance", "-y"]).success();
    let rows: i64 = ran.fields().iter().map(|fields| fields[3].parse::<i64>().unwrap()).sum();
    assert_eq!(rows, 22_953);
    assert_settled(&test, &topology_of(&[1, 2, 3, 4]), 1..=100_000);
    assert_eq!(test.ids(4).len(), 22_953);
    for (number, before) in (1..=3).zip(before) {
        // The remaining users were there before: nothing moved between the old shards.
        let before: std::collections::BTreeSet<i64> = before.into_iter().collect();
        assert!(test.ids(number).iter().all(|id| before.contains(id)));
    }
    test.run(&["doctor"]).success();
    assert_eq!(test.run(&["remove-shard", "shard_2"]).success().fields()[0][..2], ["shard_2", "leaving"]);
    test.run(&["rebalance", "-y"]).success();
    assert_settled(&test, &topology_of(&[1, 3, 4]), 1..=100_000);
    assert_eq!(test.ids(2), Vec::<i64>::new());
    assert_users(&test, &[1, 2, 3, 4], 100_001);
    assert!(!std::fs::read_to_string(test.config()).unwrap().contains("shard_2"));
    test.run(&["doctor"]).success();
    let nothing = test.run(&["rebalance", "-y"]).success();
    assert_eq!(nothing.stdout, "");
}

#[test]
fn a_desired_topology_moves_nothing_and_can_be_undone() {
    let test = filled(300);
    let state = |name: &str| -> Option<String> {
        let ran = test.run(&["shards"]).success();
        ran.fields().iter().find(|fields| fields[0] == name).map(|fields| fields[5].to_owned())
    };
    add_shard(&test, 4).success();
    assert_eq!(state("shard_4").unwrap(), "joining");
    add_shard(&test, 4).fails(5).says("`shard_4` is joining already");
    // It serves no user yet, and reads of all shards do without it.
    assert_eq!(test.run(&["count"]).success().stdout, "299\n");
    test.run(&["init-shards"]).success();
    test.run(&["doctor"]).success();
    let shown = test.run(&["ring", "show", "-o", "json"]).success().json();
    assert_eq!(shown[3]["shard"], "shard_4");
    assert_eq!(
        (shown[3]["share_pct"].to_string(), shown[3]["target_pct"].to_string()),
        ("0.0".into(), "22.93".into())
    );
    assert_eq!(test.run(&["ring", "locate", "5"]).success().fields()[0][5], "shard_4");
    assert_eq!(test.run(&["remove-shard", "shard_4"]).success().fields()[0][1], "forgotten");
    assert_eq!(state("shard_4"), None);
    assert_eq!(test.run(&["rebalance", "-y"]).success().stdout, "");
    // The database still exists and can be added again, also if the configuration names it already, as after a run
    // that was killed before it recorded the desired topology.
    let config = std::fs::read_to_string(test.config()).unwrap();
    std::fs::write(test.config(), format!("{config}\n[shards.shard_4]\nurl = \"{}\"\n", test.url(4)))
        .unwrap();
    test.run(&["add-shard", "shard_4"]).success();
    assert!(std::fs::read_to_string(test.config()).unwrap().contains(&test.url(4)));
    test.run(&["remove-shard", "shard_4"]).success();

    assert_eq!(test.run(&["remove-shard", "shard_1"]).success().fields()[0][1], "leaving");
    assert_eq!(state("shard_1").unwrap(), "leaving");
    test.run(&["remove-shard", "shard_1"]).fails(5).says("leaving already");
    assert_eq!(test.run(&["add-shard", "shard_1"]).success().fields()[0][1], "stays");
    assert_eq!(state("shard_1").unwrap(), "active");
    test.run(&["add-shard", "shard_1"]).fails(5).says("`shard_1` is a shard of the cluster already");
    test.run(&["add-shard", "shard_1", &test.url(5), "--weight", "2"]).fails(5).says("with another database");
    assert_eq!(test.run(&["add-shard", "shard_1", "--weight", "2"]).success().fields()[0][1], "reweighed");
    assert_eq!(test.run(&["add-shard", "shard_1", "--weight", "1"]).success().fields()[0][1], "reweighed");
    assert_eq!(test.run(&["rebalance", "--dry-run"]).success().stdout, "");

    test.run(&["remove-shard", "shard_9"]).fails(4).says("no shard is called `shard_9`");
    for name in ["shard_1", "shard_2"] {
        test.run(&["remove-shard", name]).success();
    }
    test.run(&["remove-shard", "shard_3"]).fails(5).says("the last one");
    assert_eq!(epochs(&test), [1, 1, 1]);
    assert_users(&test, &[1, 2, 3], 300);
}

#[test]
fn a_new_weight_is_applied_by_a_rebalance() {
    let test = filled(2_000);
    test.run(&["add-shard", "shard_2", "--weight", "2.5"]).success();
    test.run(&["rebalance", "-y"]).success();
    let spec = ShardSpec { name: "shard_2".parse().unwrap(), weight: 2.5.try_into().unwrap() };
    assert_settled(&test, &topology_of(&[1, 2, 3]).with(spec).unwrap(), 1..2_000);
}

#[test]
fn add_shard_refuses_unsuitable_databases() {
    let test = filled(50);
    let other = Test::initialised();
    for (url, code, words) in [
        (test.url(2), 78, "have the same address"),
        (other.url(1), 78, "belongs to another cluster"),
        ("postgresql://postgres@/x?host=/nowhere".into(), 69, "cannot connect"),
        ("nonsense".into(), 78, "URL"),
    ] {
        test.run(&["add-shard", "shard_4", &url]).fails(code).says(words);
    }
    let taken = Test::new();
    taken.prototype_table(1, [1, 2, 3]);
    test.run(&["add-shard", "shard_4", &taken.url(1)]).fails(5).says("must be empty, but has users or arcs");
    taken.execute(2, "CREATE TABLE users (id int)");
    test.run(&["add-shard", "shard_4", &taken.url(2)]).fails(78).says("other columns");
    test.run(&["add-shard", "bad name", &taken.url(2)]).fails(2);
    test.run(&["add-shard", "shard_4", "--weight", "0"]).fails(2);
    assert_eq!(test.run(&["shards"]).success().fields().len(), 3);
    assert!(!std::fs::read_to_string(test.config()).unwrap().contains("shard_4"));
    test.run(&["doctor"]).success();
}

#[test]
fn nothing_moves_without_confirmation() {
    let test = filled(100);
    add_shard(&test, 4).success();
    test.run(&["rebalance"]).fails(3).says("shard_1 -> shard_4").says("by modulo 75.00 %");
    assert_eq!(epochs(&test), [1, 1, 1]);
    assert_eq!(test.ids(4), Vec::<i64>::new());
}

#[test]
fn a_stopped_rebalance_resumes() {
    let test = filled(3_000);
    add_shard(&test, 4).success();
    let child = start_slow_rebalance(&test, 100);
    wait_for_moved_rows(&test, &[4], 60);
    // What other processes see meanwhile.
    let status = test.run(&["rebalance", "status", "-o", "json"]).success().json();
    assert_eq!((status["state"].as_str(), status["at_work"].as_bool()), (Some("under way"), Some(true)));
    assert_eq!(status["phase"], "moving");
    assert!(
        status["rows_moved"].as_i64().unwrap() >= 60 && status["rows_total"].as_i64().unwrap() > 600,
        "{status}"
    );
    assert!(status["runner"].as_str().unwrap().contains(&child.id().to_string()), "{status}");
    test.run(&["rebalance", "-y"]).fails(75).says("is changing the ring").says("holds the run lock");
    // Before anything is asked.
    test.run(&["rebalance"]).fails(75).says("is changing the ring");
    test.run(&["rebalance", "cancel"]).fails(75).says("is changing the ring");
    add_shard(&test, 5).fails(75).says("a change of the ring is under way");
    assert_eq!(test.run(&["count"]).success().stdout, "2999\n");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    Ran::of(child).fails(6).says("ringshard rebalance continues");
    let status = test.run(&["rebalance", "status", "-o", "json"]).success().json();
    assert_eq!((status["state"].as_str(), status["at_work"].as_bool()), (Some("under way"), Some(false)));
    test.run(&["doctor"]).fails(1).says("leftovers");
    let left = test.run(&["rebalance", "--dry-run", "-o", "json"]).success().json();
    assert_eq!(left["under_way"], true);
    assert_eq!(left["rows_moved"], status["rows_moved"]);
    test.run(&["rebalance", "-y"]).success();
    assert_settled(&test, &topology_of(&[1, 2, 3, 4]), 1..3_000);
    assert_users(&test, &[1, 2, 3, 4], 3_000);
}

#[test]
fn a_cancelled_rebalance_restores_the_ring_and_keeps_the_desired_topology() {
    let test = filled(3_000);
    test.run(&["rebalance", "cancel", "-y"]).fails(4).says("no rebalance is under way");
    add_shard(&test, 4).success();
    test.run(&["rebalance", "cancel", "-y"])
        .fails(4)
        .says("to undo what is planned: ringshard remove-shard shard_4");
    let child = start_slow_rebalance(&test, 100);
    wait_for_moved_rows(&test, &[4], 100);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    Ran::of(child).fails(6);
    test.run(&["rebalance", "cancel"]).fails(3).says("Cancel the rebalance?");
    // After the cancellation there is nothing left to cancel.
    for (words, code) in [(&["rebalance", "cancel", "-y"][..], 0), (&["rebalance", "cancel", "-y"], 4)] {
        assert_eq!(test.run(words).code, code);
    }
    assert_eq!(epochs(&test), [3, 3, 3]);
    let status = test.run(&["rebalance", "status", "-o", "json"]).success().json();
    assert_eq!(status["state"], "planned");
    test.run(&["remove-shard", "shard_4"]).success();
    assert_settled(&test, &topology_of(&[1, 2, 3]), 1..3_000);
    assert_users(&test, &[1, 2, 3, 4], 3_000);
    test.run(&["doctor"]).success();
}

#[test]
fn preflight_checks_fail_before_rows_move() {
    let test = filled(200);
    add_shard(&test, 4).success();
    let break_and_repair = |number: usize, broken: &str, repaired: &str, code: i32, words: &str| {
        test.execute(number, broken);
        test.run(&["rebalance", "-y"]).fails(code).says("nothing was moved").says(words);
        assert_eq!(epochs(&test), [1, 1, 1], "{words}");
        test.execute(number, repaired);
    };
    break_and_repair(
        4,
        "ALTER TABLE users ADD COLUMN age int",
        "ALTER TABLE users DROP COLUMN age",
        78,
        "`users` of `shard_4` has `5. age integer`",
    );
    break_and_repair(
        2,
        "ALTER TABLE users DISABLE TRIGGER ringshard_insert",
        "ALTER TABLE users ENABLE ALWAYS TRIGGER ringshard_insert",
        78,
        "`triggers` of shard `shard_2`",
    );
    break_and_repair(
        3,
        "ALTER FUNCTION ringshard.receive_chunk RENAME TO renamed",
        "ALTER FUNCTION ringshard.renamed RENAME TO receive_chunk",
        78,
        "`functions` of shard `shard_3`",
    );
    test.run(&["rebalance", "-y"]).success();
    assert_settled(&test, &topology_of(&[1, 2, 3, 4]), 1..200);
}

#[test]
fn a_rebalance_waits_for_an_idle_transaction() {
    let test = filled(500);
    add_shard(&test, 4).success();
    let mut idle = test.other_program("postgres", 2);
    let (transaction, pid) = begin_update(&mut idle, test.ids(2)[0]);
    let child = start_slow_rebalance(&test, 100_000);
    // The index and the fences wait for older transactions.
    thread::sleep(Duration::from_millis(1_500));
    let status = test.run(&["rebalance", "status", "-o", "json"]).success().json();
    assert_eq!(status["at_work"], true, "{status}");
    assert!(pid > 0);
    transaction.commit().unwrap();
    Ran::of(child).success();
    assert_settled(&test, &topology_of(&[1, 2, 3, 4]), 1..500);
}

#[test]
fn misplaced_users_must_be_repaired_before_a_rebalance() {
    let test = filled(300);
    add_shard(&test, 4).success();
    // An older copy of a user that will move there, and one that exists nowhere else.
    test.execute(4, "INSERT INTO users VALUES (5, 'old', NULL, NULL)");
    test.execute(2, "INSERT INTO users VALUES (1000000, 'lost', NULL, NULL), (1000001, 'lost', NULL, NULL)");
    test.run(&["rebalance", "--dry-run"]).success().says("on shards that do not own them");
    test.run(&["rebalance", "-y"]).fails(1).says("nothing was moved").says("ringshard verify --fix");
    assert_eq!(epochs(&test), [1, 1, 1]);
    test.run(&["verify", "--fix", "-y"]).success();
    test.run(&["rebalance", "-y"]).success();
    assert_eq!(test.run(&["get-user", "5"]).success().fields()[0][1], "Name 5");
    assert_eq!(test.run(&["get-user", "1000000"]).success().fields()[0][1], "lost");
    assert_eq!(test.run(&["count"]).success().stdout, "301\n");
}

#[test]
fn missing_privileges_are_reported_before_rows_move() {
    let test = filled(100);
    add_shard(&test, 4).success();
    for number in 1..=4 {
        let grants = "GRANT ALL ON ALL TABLES IN SCHEMA public, ringshard TO plain; GRANT USAGE ON SCHEMA ringshard TO plain; \
                      REVOKE CREATE ON SCHEMA public FROM PUBLIC";
        test.execute(number, grants);
    }
    let config = std::fs::read_to_string(test.config()).unwrap();
    std::fs::write(test.config(), config.replace("postgres@", "plain@")).unwrap();
    test.run(&["rebalance", "-y"]).fails(77).says("belongs to postgres, not to plain");
    for number in 1..=4 {
        test.execute(number, "ALTER TABLE users OWNER TO plain");
    }
    test.run(&["rebalance", "-y"]).fails(77).says("GRANT CREATE ON SCHEMA public TO plain");
    assert_eq!(epochs(&test), [1, 1, 1]);
    for number in 1..=4 {
        test.execute(number, "GRANT CREATE ON SCHEMA public TO plain");
    }
    test.run(&["rebalance", "-y"]).success();
    assert_settled(&test, &topology_of(&[1, 2, 3, 4]), 1..100);
}

#[test]
fn one_connection_to_each_shard_is_enough() {
    let test = filled(300);
    add_shard(&test, 4).success();
    let config = std::fs::read_to_string(test.config()).unwrap();
    std::fs::write(test.config(), format!("pool_size = 1\n{config}")).unwrap();
    test.run(&["rebalance", "-y"]).success();
    test.run(&["verify", "--fix", "-y"]).success();
    assert_settled(&test, &topology_of(&[1, 2, 3, 4]), 1..300);
}

#[test]
fn one_connection_is_enough_for_a_rebalance_and_a_load_at_once() {
    let test = filled(300);
    add_shard(&test, 4).success();
    let config = std::fs::read_to_string(test.config()).unwrap();
    std::fs::write(test.config(), format!("pool_size = 1\n{config}")).unwrap();
    let words = ["load", "run", "--clients", "4", "--duration", "1500ms", "--mix", "get=60,create=40"];
    let load = test.command().args(words).args(["-o", "json"]).spawn().unwrap();
    test.run(&["rebalance", "-y", "--chunk-rows", "10"]).success();
    let report = Ran::of(load).success().json();
    assert_eq!((&report["errors"], &report["wrong"]), (&0.into(), &0.into()), "{report}");
    assert!(report["created"].as_i64() > Some(0), "{report}");
    test.run(&["verify"]).success();
    test.run(&["doctor"]).success();
}

#[test]
fn two_shards_of_one_name_are_not_added_at_once() {
    let test = filled(100);
    for round in 0..3 {
        let urls = [4, 5].map(|number| {
            let database = test.database(number);
            let statement = format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)");
            admin().batch_execute(&statement).unwrap();
            admin().batch_execute(&format!("CREATE DATABASE {database}")).unwrap();
            test.url(number)
        });
        // The same database, and another one for each.
        let urls = if round == 0 { [urls[0].clone(), urls[0].clone()] } else { urls };
        let children =
            urls.each_ref().map(|url| test.command().args(["add-shard", "shard_4", url]).spawn().unwrap());
        let ran = children.map(Ran::of);
        let winner = ran.iter().position(|ran| ran.code == 0).unwrap();
        let loser = &ran[1 - winner];
        assert!(loser.code == 5 && loser.stderr.contains("is joining already"), "{ran:?}");
        // The configuration and the catalogs have the winner's database.
        let config = std::fs::read_to_string(test.config()).unwrap();
        assert!(config.contains(&urls[winner]), "{config}");
        let sql = "SELECT url FROM ringshard.shard_endpoint WHERE shard = 'shard_4'";
        for number in 1..=3 {
            let endpoint: String = test.query(number, sql, &[])[0].get(0);
            assert_eq!(endpoint, urls[winner]);
        }
        test.run(&["doctor"]).success();
        test.run(&["remove-shard", "shard_4"]).success();
    }
}

#[test]
fn an_invalid_index_of_an_interrupted_rebalance_is_built_anew() {
    let test = filled(100);
    add_shard(&test, 4).success();
    test.execute(
        1,
        "CREATE INDEX ringshard_position ON users (name); \
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ringshard_position'::regclass",
    );
    test.run(&["doctor"]).fails(1).says("position_index of `shard_1`");
    test.run(&["rebalance", "-y"]).success();
    test.run(&["doctor"]).success();
    assert_settled(&test, &topology_of(&[1, 2, 3, 4]), 1..100);
}

#[test]
fn a_removed_shard_is_dropped_from_a_stale_configuration() {
    let test = filled(300);
    test.run(&["remove-shard", "shard_1"]).success();
    let before = std::fs::read_to_string(test.config()).unwrap();
    test.run(&["rebalance", "-y"]).success();
    let after = std::fs::read_to_string(test.config()).unwrap();
    assert!(before.contains("shards.shard_1") && !after.contains("shards.shard_1"));
    // The configuration of another machine still names it: commands work, also when its database no longer exists.
    std::fs::write(test.config(), &before).unwrap();
    assert_eq!(test.run(&["count"]).success().stdout, "299\n");
    assert_eq!(test.run(&["shards"]).success().fields()[0][5], "leaving");
    test.run(&["rebalance", "-y"]).success();
    assert_eq!(std::fs::read_to_string(test.config()).unwrap(), after);
    std::fs::write(test.config(), &before).unwrap();
    admin().batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", test.database(1))).unwrap();
    assert_eq!(test.run(&["count"]).success().stdout, "299\n");
    assert_eq!(test.run(&["list-users", "--limit", "1"]).success().fields()[0][0], "1");
    test.run(&["verify"]).success();
}

/// The chunks are cut by the numbers of rows that the plan found; the first one that has more shows that these are old.
#[test]
fn rows_that_come_after_the_plan_move_in_chunks_that_the_shards_cut() {
    let test = Test::new();
    test.run(&["init-shards", "--shard", &format!("a={}", test.url(1)), "--vnodes", "2"]).success();
    write(&test, "old.csv", file_of(&users(1..1_000), FileFormat::Csv));
    test.run(&["import", "old.csv"]).success();
    test.run(&["add-shard", "b", &test.url(2)]).success();
    write(&test, "new.csv", file_of(&users(1_000..40_000), FileFormat::Csv));
    let words = ["rebalance", "--chunk-rows", "1000", "--jobs", "1"];
    let mut terminal = Terminal::run(&test, 200, &words, &[("NO_COLOR", "1")]);
    terminal.wait_for_output("Carry this out? [y/N] ");
    test.run(&["import", "new.csv"]).success();
    terminal.send_keys("y\r");
    let (code, seen) = terminal.wait_for_exit();
    assert_eq!(code, 0, "{seen}");
    // Two arcs: had the shards not been asked, two chunks.
    assert!(seen.contains("in 8 chunks"), "{seen}");
    assert!(seen.contains("verified: 39,999 users, each on its owner and nowhere else"), "{seen}");
    let exported = test.run(&["export", "-"]).success().stdout;
    assert_eq!(exported.as_bytes(), file_of(&users(1..40_000), FileFormat::Csv));
}
