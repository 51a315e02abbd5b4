//! Imports that are killed, disconnected, stopped, run twice at once, or overtaken by a rebalance.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ringshard::bulk::FileFormat;
use ringshard::model::digest::of_users;
use ringshard::model::user::{UserId, UserRef};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::harness::{BINARY, Ran, Test};
use crate::support::move_steps::{Chunk, Mover, fence, move_chunk, purge, receive};
use crate::support::random::Random;
use crate::support::rings::owner;
use crate::support::user_files::{counts, empty, file_of, import_up_to, stored, unfinished, users, write};

fn import(test: &Test, words: &[&str]) -> Child {
    test.command().args(["import", "f.csv", "--batch-kib", "8"]).args(words).spawn().unwrap()
}

#[test]
fn an_import_killed_fifty_times_stores_the_file() {
    let test = Test::initialised();
    let all = users(1..20_000);
    write(&test, "f.csv", file_of(&all, FileFormat::Csv));
    let (mut kills, mut random, mut resumed) = (0, Random(0x2545_F491_4F6C_DD1D), 0);
    while kills < 50 {
        let mut child = import(&test, &[]);
        thread::sleep(Duration::from_millis(5 + random.below(120)));
        child.kill().unwrap();
        let ran = Ran::of(child);
        match ran.code {
            -1 => kills += 1,
            0 => {
                // It completed first. The next runs start with an empty cluster.
                assert_eq!(stored(&test), all);
                resumed += counts(&ran)[5];
                empty(&test);
            }
            _ => panic!("{ran:?}"),
        }
    }
    let ran = Ran::of(import(&test, &[])).success();
    resumed += counts(&ran)[5];
    assert_eq!(stored(&test), all);
    assert_eq!(unfinished(&test), 0);
    assert!(resumed > 0, "no run resumed another one");
}

#[test]
fn a_terminated_session_fails_the_import_and_the_next_run_resumes() {
    let test = Test::initialised();
    let all = users(1..20_000);
    write(&test, "f.csv", file_of(&all, FileFormat::Csv));
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut lost = 0;
    for round in 0..60 {
        let child = import(&test, &[]);
        thread::sleep(Duration::from_millis(10 + random.below(60)));
        let number = round % 3 + 1;
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = $1 AND application_name LIKE 'ringshard%'";
        test.query(number, sql, &[&test.database(number)]);
        let ran = Ran::of(child);
        match ran.code {
            69 => {
                assert!(ran.stderr.contains("hint: "), "{ran:?}");
                lost += 1;
            }
            0 => {
                assert_eq!(stored(&test), all);
                empty(&test);
            }
            _ => panic!("{ran:?}"),
        }
        if lost == 15 {
            break;
        }
    }
    assert!(lost > 0);
    Ran::of(import(&test, &[])).success();
    assert_eq!(stored(&test), all);
}

#[test]
fn an_import_stopped_by_a_signal_resumes_on_the_next_run() {
    let test = Test::initialised();
    let all = users(1..60_000);
    write(&test, "f.csv", file_of(&all, FileFormat::Csv));
    let mut stopped = 0;
    for signal in [Signal::INT, Signal::TERM, Signal::INT, Signal::TERM] {
        let child = import(&test, &[]);
        thread::sleep(Duration::from_millis(150));
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ran = Ran::of(child);
        match ran.code {
            6 => stopped += 1,
            // The signal came before the handler was installed.
            -1 => continue,
            // It came after the end. The next run starts with an empty cluster.
            0 => {
                empty(&test);
                continue;
            }
            _ => panic!("{ran:?}"),
        }
        assert!(ran.stderr.contains("run this again with the same file"), "{ran:?}");
    }
    assert!(stopped > 0);
    let ran = test.run(&["import", "f.csv", "--on-conflict", "skip"]).success();
    assert_eq!(counts(&ran)[0], 59_999);
    assert_eq!(stored(&test), all);
}

#[test]
fn a_signal_stops_an_import_that_waits_for_a_fence() {
    let test = Test::initialised();
    let all = users(1..3_000);
    write(&test, "f.csv", file_of(&all, FileFormat::Csv));
    let source = owner(1);
    let target = source % 3 + 1;
    let (mut from, mut to) = (test.client(source), test.client(target));
    let chunk = Chunk::around(&mut from, 1);
    fence(&mut from, &chunk, target, 2);
    let child = import(&test, &[]);
    // The first batch is stored except for the rows on the fenced arc.
    while test.ids(source).is_empty() {
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    Ran::of(child).fails(6).says("run this again with the same file");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    receive(&mut from, &mut to, &chunk, 2);
    purge(&mut from, &chunk);
    Ran::of(import(&test, &[])).success();
    assert_eq!(stored(&test), all);
}

#[test]
fn a_stalled_input_holds_no_transaction_and_can_be_stopped() {
    let test = Test::initialised();
    let mut child =
        test.command().args(["import", "-", "--batch-kib", "1"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&file_of(&users(1..500), FileFormat::Csv)).unwrap();
    // Some batches are stored, and the import waits for more input.
    while stored(&test).is_empty() {
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(200));
    for number in 1..=3 {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE 'ringshard%' \
                   AND (xact_start IS NOT NULL OR state <> 'idle')";
        assert_eq!(test.query(number, sql, &[&test.database(number)])[0].get::<_, i64>(0), 0);
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    Ran::of(child).fails(6);
    drop(input);
    // The same input again, complete this time.
    let mut child = test.command().args(["import", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&file_of(&users(1..600), FileFormat::Csv)).unwrap();
    assert!(counts(&Ran::of(child).success())[5] > 0);
    assert_eq!(stored(&test), users(1..600));
}

#[test]
fn two_concurrent_imports_of_one_file_store_it_once() {
    let test = Test::initialised();
    let all = users(1..5_000);
    write(&test, "f.csv", file_of(&all, FileFormat::Csv));
    let both = [import(&test, &["--on-conflict", "skip"]), import(&test, &["--on-conflict", "skip"])];
    let sum: u64 = both.into_iter().map(|child| counts(&Ran::of(child).success())[1]).sum();
    assert_eq!(sum, 4_999);
    assert_eq!(stored(&test), all);
}

/// Otherwise two imports could each hold the locks of some shards and wait for those of the other.
#[test]
fn an_import_that_waits_for_another_holds_no_lock() {
    let test = Test::initialised();
    write(&test, "f.csv", file_of(&users(1..50), FileFormat::Csv));
    let locks = |number: usize| {
        let sql = "SELECT objid::int8 FROM pg_locks WHERE locktype = 'advisory' AND classid = 7283003 \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        test.query(number, sql, &[]).iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>()
    };
    // The lock's key is read while another session blocks the import.
    let mut other = test.client(1);
    other.batch_execute("BEGIN; LOCK TABLE ringshard.import").unwrap();
    let child = import(&test, &[]);
    let key = loop {
        if let [key] = locks(1)[..] {
            break key;
        }
        thread::sleep(Duration::from_millis(5));
    };
    other.batch_execute("COMMIT").unwrap();
    Ran::of(child).success();
    empty(&test);
    let key = i32::from_ne_bytes(u32::try_from(key).unwrap().to_ne_bytes());
    other.execute("SELECT pg_advisory_lock(7283003, $1)", &[&key]).unwrap();
    let child = import(&test, &[]);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND query LIKE '%pg_try_advisory_lock($1, $2)%' AND pid <> pg_backend_pid()";
    while test.query(1, waiting, &[])[0].get::<_, i64>(0) == 0 {
        thread::sleep(Duration::from_millis(5));
    }
    for _ in 0..50 {
        assert_eq!((locks(2), locks(3)), (vec![], vec![]));
        thread::sleep(Duration::from_millis(10));
    }
    other.execute("SELECT pg_advisory_unlock(7283003, $1)", &[&key]).unwrap();
    Ran::of(child).success();
}

#[test]
fn rows_reach_their_owners_while_arcs_move() {
    let test = Test::initialised();
    let all = users(1..6_000);
    write(&test, "f.csv", file_of(&all, FileFormat::Csv));
    for words in [&[][..], &["--on-conflict", "skip"], &["--on-conflict", "update"]] {
        let mover = Mover::start(&test, Duration::from_millis(1));
        while mover.moves() == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let ran = Ran::of(import(&test, words)).success();
        assert_eq!(counts(&ran)[..2], [5_999, 5_999], "{ran:?}");
        mover.stop();
        assert_eq!(stored(&test), all);
        assert_eq!(unfinished(&test), 0);
        empty(&test);
    }
}

#[test]
fn an_import_killed_while_arcs_move_resumes_with_the_new_owners() {
    let test = Test::initialised();
    let all = users(1..8_000);
    write(&test, "f.csv", file_of(&all, FileFormat::Csv));
    let (mut kills, mut random) = (0, Random(0xD1B5_4A32_D192_ED03));
    let mover = Mover::start(&test, Duration::from_millis(2));
    while kills < 25 {
        let mut child = import(&test, &[]);
        thread::sleep(Duration::from_millis(20 + random.below(150)));
        child.kill().unwrap();
        let ran = Ran::of(child);
        match ran.code {
            -1 => kills += 1,
            0 => break,
            // The ring changed after the start: the old checkpoints must not be used.
            6 => assert!(ran.stderr.contains("the ring changed"), "{ran:?}"),
            _ => panic!("{ran:?}"),
        }
    }
    mover.stop();
    if kills == 25 {
        Ran::of(import(&test, &[])).success();
    }
    assert!(kills > 0);
    assert_eq!(stored(&test), all);
    assert_eq!(unfinished(&test), 0);
}

#[test]
fn a_resumed_import_accounts_for_arcs_that_moved() {
    let test = Test::initialised();
    let text = String::from_utf8(file_of(&users(1..3_000), FileFormat::Csv)).unwrap();
    import_up_to(&test, &text, 2_900, 8);
    let source = owner(1);
    let target = source % 3 + 1;
    let (mut from, mut to) = (test.client(source), test.client(target));
    for (epoch, id) in (2..).zip((1..2_900).filter(|id| owner(*id) == source).step_by(7).take(30)) {
        // An arc with two of the users moved with the first of them.
        if chunk_is_here(&mut from, id) {
            let chunk = Chunk::around(&mut from, id);
            move_chunk(&mut from, &mut to, &chunk, target, epoch);
        }
    }
    write(&test, "f.csv", &text);
    let ran = test.run(&["import", "f.csv", "--batch-kib", "8"]).success();
    assert!(counts(&ran)[5] > 0);
    assert_eq!(stored(&test), users(1..3_000));
    assert_eq!(unfinished(&test), 0);
}

fn chunk_is_here(client: &mut postgres::Client, id: i64) -> bool {
    let sql = "SELECT count(*) FROM ringshard.arc WHERE first <= md5($1)::uuid AND last >= md5($1)::uuid";
    client.query_one(sql, &[&id.to_string()]).unwrap().get::<_, i64>(0) == 1
}

#[test]
fn an_import_killed_before_cleanup_knows_that_it_is_complete() {
    let test = Test::initialised();
    let all = users(1..1_000);
    let text = String::from_utf8(file_of(&all, FileFormat::Csv)).unwrap();
    import_up_to(&test, &text, 900, 4);
    let number = (1..=3).find(|n| !test.query(*n, "SELECT FROM ringshard.import", &[]).is_empty()).unwrap();
    let row = &test.query(number, "SELECT source::text FROM ringshard.import", &[])[0];
    let source: String = row.get(0);
    write(&test, "f.csv", &text);
    test.run(&["import", "f.csv"]).success();
    // The state just before the last shard deletes its checkpoint: it says `done`, the others hold none.
    let refs = all.iter().map(|(id, (name, region, email))| {
        let (name, region, email) = (name.as_deref(), region.as_deref(), email.as_deref());
        (UserId::new(*id), UserRef { user_id: UserId::new(*id), name, region, email })
    });
    let digest = of_users(refs).number();
    let sql = "INSERT INTO ringshard.import (source, committed_through, high_water_mark, digest, routing) VALUES ($1::text::uuid, 999, 999, $2, 'done')";
    test.client(number).execute(sql, &[&source, &digest]).unwrap();
    assert_eq!(counts(&test.run(&["import", "f.csv"]).success()), [999, 0, 0, 0, 0, 999]);
    assert_eq!(unfinished(&test), 0);
    // A longer file with the same beginning continues after it.
    test.client(number).execute(sql, &[&source, &digest]).unwrap();
    write(&test, "f.csv", file_of(&users(1..1_200), FileFormat::Csv));
    assert_eq!(counts(&test.run(&["import", "f.csv"]).success()), [1_199, 200, 0, 0, 0, 999]);
    assert_eq!(stored(&test), users(1..1_200));
}

#[test]
fn a_server_crash_loses_no_committed_record() {
    // A private server, which the program starts again when it is down.
    let home = tempfile::Builder::new().prefix("rsc").tempdir_in("/tmp").unwrap();
    let run = |words: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(words).env("RINGSHARD_HOME", home.path()).current_dir(home.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let text = String::from_utf8(file_of(&users(1..60_000), FileFormat::Csv)).unwrap();
    std::fs::write(home.path().join("f.csv"), &text).unwrap();
    Ran::of(run(&["init-shards"]).spawn().unwrap()).success();
    let mut crashes = 0;
    for pause_ms in [150, 250, 350, 450, 100, 200] {
        // The server is up before the next round, so that a running server crashes and not one that starts.
        Ran::of(run(&["count"]).spawn().unwrap()).success();
        let child = run(&["import", "f.csv", "--batch-kib", "16"]).spawn().unwrap();
        thread::sleep(Duration::from_millis(pause_ms));
        let status = Ran::of(run(&["-o", "json", "local", "status"]).spawn().unwrap()).success().json();
        let pid = i32::try_from(status["pid"].as_i64().unwrap()).unwrap();
        // As `pg_ctl stop -m immediate` does: without a checkpoint, and unflushed commits are lost.
        kill_process(Pid::from_raw(pid).unwrap(), Signal::QUIT).unwrap();
        let ran = Ran::of(child);
        match ran.code {
            // A worker may also find the server shutting down or starting up.
            69 => crashes += 1,
            0 => break,
            _ => panic!("{ran:?}"),
        }
    }
    assert!(crashes > 0, "no run was interrupted");
    let ran = Ran::of(run(&["import", "f.csv"]).spawn().unwrap());
    assert!(ran.code == 0 || ran.stderr.contains("exists already"), "{ran:?}");
    let exported = Ran::of(run(&["export"]).spawn().unwrap()).success();
    assert_eq!(exported.stdout, text);
    Ran::of(run(&["local", "destroy", "-y"]).spawn().unwrap()).success();
}
