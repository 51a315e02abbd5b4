//! Movers that are killed at every step, are stopped during a whole change, lose sessions, shards or replies, or meet
//! a full disk: the next run always resumes, and each user is stored once.

use std::process::Child;
use std::thread;
use std::time::Duration;

use ringshard::bulk::FileFormat;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::clusters::filled;
use crate::support::harness::Ran;
use crate::support::proxy::{Cut, Proxy};
use crate::support::rebalances::{
    STEPS, add_shard, assert_settled, assert_users, create_position_indexes, rebalance_to_failpoint,
    start_slow_rebalance, wait_for_moved_rows,
};
use crate::support::rings::topology_of;
use crate::support::user_files::{file_of, users, write};

#[test]
fn a_rebalance_killed_at_any_step_is_resumed() {
    let test = filled(600);
    let (mut has_four, mut crashes) = (false, 0);
    for (step, pass) in STEPS {
        for side in ["before", "after"] {
            // Adding and removing the same shard in turn.
            if has_four {
                test.run(&["remove-shard", "shard_4"]).success();
            } else {
                add_shard(&test, 4).success();
            }
            has_four = !has_four;
            let point = format!("{side}-{step}:{pass}");
            let ran = rebalance_to_failpoint(&test, &point, &[]);
            assert_eq!(ran.code, -1, "{point} was not reached: {ran:?}");
            crashes += 1;
            // Every user is served by the one shard that owns it.
            assert_eq!(test.run(&["count"]).success().stdout, "599\n", "{point}");
            for id in ["5", "7", "13"] {
                test.run(&["get-user", id]).success();
            }
            test.run(&["rebalance", "-y"]).success();
            let ring = if has_four { topology_of(&[1, 2, 3, 4]) } else { topology_of(&[1, 2, 3]) };
            assert_settled(&test, &ring, 1..600);
            assert_users(&test, &[1, 2, 3, 4], 600);
        }
    }
    assert_eq!(crashes, 26);
}

#[test]
fn a_cancellation_killed_at_any_step_is_resumed() {
    let test = filled(600);
    add_shard(&test, 4).success();
    for (step, pass) in
        [("announce", 1), ("announce", 3), ("release", 1), ("fence", 1), ("receive", 2), ("finish", 2)]
    {
        // Some chunks have moved, and one is fenced.
        assert_eq!(rebalance_to_failpoint(&test, "before-receive:9", &[]).code, -1);
        let point = format!("after-{step}:{pass}");
        let ran = rebalance_to_failpoint(&test, &point, &["cancel"]);
        assert_eq!(ran.code, -1, "{point} was not reached: {ran:?}");
        assert_eq!(test.run(&["count"]).success().stdout, "599\n", "{point}");
        // Until the first shard records the cancellation, the change can be completed; afterwards only undone.
        test.run(&["rebalance", "cancel", "-y"]).success();
        let held = test.query(4, "SELECT count(*) FROM ringshard.arc", &[])[0].get::<_, i64>(0);
        assert_eq!(held, 0, "{point}");
        assert_users(&test, &[1, 2, 3, 4], 600);
    }
    test.run(&["remove-shard", "shard_4"]).success();
    assert_settled(&test, &topology_of(&[1, 2, 3]), 1..600);
}

#[test]
fn a_stopped_mover_that_resumes_later_does_no_harm() {
    let test = filled(600);
    add_shard(&test, 4).success();
    let start = || -> Child {
        test.command().args(["rebalance", "-y", "--chunk-rows", "10", "--unlocked"]).spawn().unwrap()
    };
    let mut ghosts = Vec::new();
    for rows in [1, 30, 60] {
        let ghost = start();
        wait_for_moved_rows(&test, &[4], rows);
        kill_process(Pid::from_child(&ghost), Signal::STOP).unwrap();
        ghosts.push(ghost);
    }
    // A stopped process may hold a lock at a server: ending its session there is safe.
    test.run(&["rebalance", "-y", "--unlocked"]).success();
    assert_settled(&test, &topology_of(&[1, 2, 3, 4]), 1..600);
    test.run(&["delete-user", "5"]).success();
    test.run(&["create-user", "--id", "5", "--name", "new"]).success();
    test.run(&["remove-shard", "shard_4"]).success();
    let other = test
        .command()
        .args(["rebalance", "-y", "--max-rows-per-sec", "100", "--chunk-rows", "10"])
        .spawn()
        .unwrap();
    wait_for_moved_rows(&test, &[1, 2, 3], 20);
    for ghost in &ghosts {
        kill_process(Pid::from_child(ghost), Signal::CONT).unwrap();
    }
    for ghost in ghosts {
        let ran = Ran::of(ghost);
        assert!([0, 75].contains(&ran.code), "{ran:?}");
    }
    let ran = Ran::of(other);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_settled(&test, &topology_of(&[1, 2, 3]), 1..600);
    assert_eq!(test.run(&["get-user", "5"]).success().stdout, "5\tnew\t\\N\t\\N\n");
}

#[test]
fn a_rebalance_reconnects_terminated_sessions() {
    let test = filled(1_500);
    add_shard(&test, 4).success();
    let mut child = start_slow_rebalance(&test, 40);
    wait_for_moved_rows(&test, &[4], 10);
    let mut ended = 0;
    while child.try_wait().unwrap().is_none() {
        for number in 1..=4 {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE datname = current_database() AND application_name LIKE 'ringshard%'";
            ended += test.query(number, sql, &[]).len();
        }
        thread::sleep(Duration::from_millis(40));
    }
    // It continues by itself; at worst the reply to the last request is lost.
    let ran = Ran::of(child);
    if ran.code != 0 {
        assert_eq!(ran.code, 69, "{ran:?}");
        test.run(&["rebalance", "-y"]).success();
    }
    assert!(ended > 10, "{ended}");
    assert_settled(&test, &topology_of(&[1, 2, 3, 4]), 1..1_500);
    assert_users(&test, &[1, 2, 3, 4], 1_500);
}

#[test]
fn a_request_with_a_lost_reply_is_repeated() {
    for cut in [Cut::Answer, Cut::Request, Cut::Both] {
        for (statement, number) in [
            ("ringshard.fence", 2),
            ("ringshard.receive_chunk", 4),
            ("ringshard.purge", 2),
            ("ringshard.finish", 1),
            ("ringshard.announce", 1),
        ] {
            let test = filled(200);
            add_shard(&test, 4).success();
            let proxy = Proxy::new(&test.database(number), statement, cut);
            let config = std::fs::read_to_string(test.config()).unwrap();
            std::fs::write(test.config(), config.replace(&test.url(number), &proxy.url())).unwrap();
            test.run(&["rebalance", "-y", "--chunk-rows", "20"]).success();
            assert!(proxy.has_cut(), "{statement}");
            assert_settled(&test, &topology_of(&[1, 2, 3, 4]), 1..200);
            assert_users(&test, &[1, 2, 3, 4], 200);
        }
    }
}

#[test]
fn a_full_disk_at_the_target_stops_a_rebalance_without_loss() {
    let test = filled(600);
    add_shard(&test, 4).success();
    let full = "CREATE FUNCTION public.brim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                IF (SELECT count(*) FROM public.users) > 60 THEN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END IF; \
                RETURN NULL; END $$; \
                CREATE TRIGGER brim AFTER INSERT OR UPDATE ON ringshard.migration_progress \
                FOR EACH STATEMENT EXECUTE FUNCTION public.brim(); \
                ALTER TABLE ringshard.migration_progress ENABLE ALWAYS TRIGGER brim";
    test.execute(4, full);
    test.run(&["rebalance", "-y", "--chunk-rows", "20"])
        .fails(1)
        .says("no space left on device")
        .says("free disk space");
    assert_eq!(test.run(&["count"]).success().stdout, "599\n");
    test.execute(4, "DROP TRIGGER brim ON ringshard.migration_progress");
    test.run(&["rebalance", "-y"]).success();
    assert_settled(&test, &topology_of(&[1, 2, 3, 4]), 1..600);
    assert_users(&test, &[1, 2, 3, 4], 600);
}

#[test]
fn a_rebalance_stops_at_an_unreachable_shard_and_resumes() {
    let test = filled(800);
    add_shard(&test, 4).success();
    let child = start_slow_rebalance(&test, 100);
    wait_for_moved_rows(&test, &[4], 20);
    test.allow(4, false);
    Ran::of(child).fails(69).says("shard_4");
    test.allow(4, true);
    test.run(&["rebalance", "-y"]).success();
    assert_settled(&test, &topology_of(&[1, 2, 3, 4]), 1..800);
    assert_users(&test, &[1, 2, 3, 4], 800);
}

#[test]
fn a_blocked_write_completes_the_chunk_of_a_dead_mover() {
    let test = filled(3_000);
    add_shard(&test, 4).success();
    assert_eq!(rebalance_to_failpoint(&test, "before-receive:1", &[]).code, -1);
    let fenced = "SELECT user_id FROM users, ringshard.arc WHERE state = 'fenced' \
                  AND md5(user_id::text)::uuid BETWEEN first AND last ORDER BY 1 LIMIT 1";
    let (number, id) = (1..=3)
        .find_map(|number| test.query(number, fenced, &[]).first().map(|row| (number, row.get::<_, i64>(0))))
        .unwrap();
    test.run(&["update-user", &id.to_string(), "--name", "moved on"]).success();
    assert!(test.ids(4).contains(&id) && !test.ids(number).contains(&id));
    test.run(&["rebalance", "-y"]).success();
    assert_settled(&test, &topology_of(&[1, 2, 3, 4]), 1..3_000);
}

#[test]
fn a_shard_restored_from_an_old_backup_is_detected() {
    let test = filled(300);
    let arcs = "CREATE TABLE public.old_arc AS TABLE ringshard.arc; CREATE TABLE public.old_meta AS TABLE ringshard.meta";
    test.execute(2, arcs);
    add_shard(&test, 4).success();
    test.run(&["rebalance", "-y"]).success();
    // The state of a database restored from an old backup.
    test.execute(
        2,
        "DELETE FROM ringshard.arc; INSERT INTO ringshard.arc SELECT * FROM public.old_arc; \
         UPDATE ringshard.meta SET epoch = 1, topology = (SELECT topology FROM public.old_meta)",
    );
    test.run(&["remove-shard", "shard_4"]).fails(1).says("`shard_2` is at epoch 1").says("old backup");
    test.run(&["rebalance", "-y"]).fails(1).says("old backup");
    test.run(&["doctor"]).fails(1).says("epoch");
}

#[test]
fn one_of_two_concurrent_topology_changes_fails() {
    let test = filled(50);
    for round in 0..100 {
        // Both have looked, and both wait for the row.
        let mut gate = test.client(1);
        let mut held = gate.transaction().unwrap();
        held.batch_execute("SELECT FROM ringshard.meta FOR UPDATE").unwrap();
        let weight = format!("1.{round:02}");
        let rivals: Vec<Child> = ["shard_2", "shard_3"]
            .into_iter()
            .map(|name| {
                test.command().args(["add-shard", name, "--weight", &format!("{weight}5")]).spawn().unwrap()
            })
            .collect();
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND wait_event_type = 'Lock' AND query LIKE 'UPDATE ringshard.meta%'";
        while test.query(1, waiting, &[])[0].get::<_, i64>(0) < 2 {
            thread::sleep(Duration::from_millis(2));
        }
        held.commit().unwrap();
        let mut rans: Vec<Ran> = rivals.into_iter().map(Ran::of).collect();
        rans.sort_by_key(|ran| ran.code);
        assert_eq!((rans[0].code, rans[1].code), (0, 75), "{rans:?}");
        assert!(rans[1].stderr.contains("another client changed the topology"), "{rans:?}");
    }
}

#[test]
fn an_interrupted_import_ignores_checkpoints_after_a_shard_has_left() {
    let test = filled(2);
    test.run(&["remove-shard", "shard_3"]).success();
    assert_eq!(rebalance_to_failpoint(&test, "after-announce:3", &[]).code, -1);
    // The leaving shard is blocked, so its checkpoint stays behind those of the others.
    let mut held = test.client(3);
    let mut transaction = held.transaction().unwrap();
    transaction.batch_execute("LOCK TABLE users IN SHARE MODE").unwrap();
    let all = users(2..6_000);
    write(&test, "g.csv", file_of(&all, FileFormat::Csv));
    let mut child = test.command().args(["import", "g.csv", "--batch-kib", "8"]).spawn().unwrap();
    // It soon waits for the blocked shard.
    thread::sleep(Duration::from_millis(1_500));
    assert!(test.ids(1).len() + test.ids(2).len() > 50);
    child.kill().unwrap();
    Ran::of(child);
    transaction.rollback().unwrap();
    test.run(&["rebalance", "-y"]).success();
    test.run(&["import", "g.csv"]).success();
    assert_users(&test, &[1, 2, 3], 6_000);
    assert_settled(&test, &topology_of(&[1, 2]), 1..6_000);
}

#[test]
fn the_last_remaining_shard_finishes_with_the_leaving_one() {
    let test = filled(100);
    for number in [3, 2] {
        test.run(&["remove-shard", &format!("shard_{number}")]).success();
        if number == 3 {
            test.run(&["rebalance", "-y"]).success();
        }
    }
    // The remaining shard has finished, and only the leaving one still knows of the change.
    assert_eq!(rebalance_to_failpoint(&test, "after-finish:1", &[]).code, -1);
    test.run(&["rebalance", "cancel", "-y"]).fails(5).says("finished before it could be canceled");
    test.run(&["rebalance", "-y"]).success();
    test.run(&["doctor"]).success();
    assert_settled(&test, &topology_of(&[1]), 1..100);
    test.run(&["add-shard", "shard_2", &test.url(2)]).success();
    test.run(&["rebalance", "-y"]).success();
    assert_settled(&test, &topology_of(&[1, 2]), 1..100);
}

#[test]
fn misplaced_rows_do_not_prevent_a_rebalance_from_finishing() {
    let test = filled(300);
    add_shard(&test, 4).success();
    assert_eq!(rebalance_to_failpoint(&test, "after-receive:5", &[]).code, -1);
    test.execute(2, "INSERT INTO users VALUES (1000000, 'lost', NULL, NULL), (1000001, 'lost', NULL, NULL), (1000002, 'lost', NULL, NULL)");
    let ran = test.run(&["rebalance", "-y"]);
    assert!([0, 1].contains(&ran.code), "{ran:?}");
    test.run(&["verify", "--fix", "-y"]).success();
    assert_eq!(test.run(&["count"]).success().stdout, "302\n");
}

#[test]
fn a_rebalance_does_not_wait_forever_for_row_locks() {
    let test = filled(300);
    add_shard(&test, 4).success();
    // A session that does not hold the barrier locks rows of a source.
    let mut other = test.client(2);
    let mut transaction = other.transaction().unwrap();
    transaction.batch_execute("SELECT FROM users FOR UPDATE").unwrap();
    create_position_indexes(&test);
    test.run(&["rebalance", "-y"]).fails(75).says("on shard `shard_2`");
    transaction.rollback().unwrap();
    test.run(&["rebalance", "-y"]).success();
    assert_settled(&test, &topology_of(&[1, 2, 3, 4]), 1..300);
}
