//! Files of users in and out: every row once and on its owner, whatever happened on the way.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use ringshard::bulk::{FileFormat, HEADER, encode};
use ringshard::model::user::{UserId, UserRef};
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Ran, Test, owner};
use crate::mover::{Chunk, Mover, adopt, fence, purge};

type Fields = (Option<String>, Option<String>, Option<String>);

/// All users on all shards, each of which must lie on its owner alone.
fn stored(test: &Test) -> BTreeMap<i64, Fields> {
    let mut all = BTreeMap::new();
    for number in 1..=3 {
        for row in test.query(number, "SELECT user_id, name, region, email FROM users", &[]) {
            let id: i64 = row.get(0);
            let before = all.insert(id, (row.get(1), row.get(2), row.get(3)));
            assert_eq!(before, None, "user {id} lies twice");
            let holds = "SELECT count(*) FROM ringshard.arc WHERE state = 'owned' \
                         AND first <= md5($1)::uuid AND last >= md5($1)::uuid";
            if all.len() % 50 == 1 {
                let held: i64 = test.query(number, holds, &[&id.to_string()])[0].get(0);
                assert_eq!(held, 1, "user {id} is not on its owner");
            }
        }
    }
    all
}

fn user(id: i64) -> Fields {
    let region = ["EU", "US", "APAC"][usize::try_from(id.rem_euclid(3)).unwrap()];
    (Some(format!("Name {id}")), Some(region.into()), Some(format!("user{id}@example.com")))
}

fn users(ids: impl IntoIterator<Item = i64>) -> BTreeMap<i64, Fields> {
    ids.into_iter().map(|id| (id, user(id))).collect()
}

fn file_of(users: &BTreeMap<i64, Fields>, format: FileFormat) -> Vec<u8> {
    let mut bytes = if format == FileFormat::Csv { HEADER.as_bytes().to_vec() } else { Vec::new() };
    for (id, (name, region, email)) in users {
        let (name, region, email) = (name.as_deref(), region.as_deref(), email.as_deref());
        encode(format, UserRef { user_id: UserId::new(*id), name, region, email }, &mut bytes);
    }
    bytes
}

fn write(test: &Test, name: &str, bytes: impl AsRef<[u8]>) {
    fs::write(test.home.path().join(name), bytes).unwrap();
}

/// The columns of an import's report behind `file`: records, inserted, updated, skipped, rejected, resumed.
fn counts(ran: &Ran) -> Vec<u64> {
    ran.fields()[0][1..].iter().map(|number| number.parse().unwrap()).collect()
}

fn unfinished(test: &Test) -> i64 {
    (1..=3).map(|n| test.query(n, "SELECT count(*) FROM ringshard.import", &[])[0].get::<_, i64>(0)).sum()
}

fn empty(test: &Test) {
    for number in 1..=3 {
        test.execute(number, "TRUNCATE users; DELETE FROM ringshard.import");
    }
}

#[test]
fn every_kind_of_file_is_read() {
    let test = Test::initialised();
    let all = users(-200..200);
    let gzip = |bytes: &[u8]| {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    };
    let (csv, json) = (file_of(&all, FileFormat::Csv), file_of(&all, FileFormat::JsonLines));
    for (name, bytes) in
        [("a.csv", csv.clone()), ("a.jsonl", json.clone()), ("a.csv.gz", gzip(&csv)), ("b", gzip(&json))]
    {
        write(&test, name, bytes);
        let ran = test.run(&["import", name]).success();
        assert_eq!(ran.stdout, format!("{name}\t400\t400\t0\t0\t0\t0\n"));
        assert_eq!(stored(&test), all);
        assert_eq!(unfinished(&test), 0);
        empty(&test);
    }
    let mut child = test.command().args(["-o", "json", "import", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let text = "region,user_id\r\nEU,1\r\n\"\",2\r\n,3";
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let json = Ran::of(child).success().json();
    assert_eq!((&json["file"], &json["records"]), (&"stdin".into(), &3.into()));
    let region = |text: &str| (None, Some(text.to_owned()), None);
    let expected = BTreeMap::from([(1, region("EU")), (2, region("")), (3, (None, None, None))]);
    assert_eq!(stored(&test), expected);
}

#[test]
fn files_without_records_and_files_that_are_none() {
    let test = Test::initialised();
    write(&test, "none.csv", HEADER);
    assert_eq!(counts(&test.run(&["import", "none.csv"]).success()), [0; 6]);
    write(&test, "empty", "");
    write(&test, "half.gz", [0x1f, 0x8b, 8, 0, 0, 0]);
    write(&test, "array.json", "[{\"user_id\": 1}]");
    write(&test, "headless.csv", "1,Alice,EU,\n");
    for (file, words) in [
        ("empty", "empty:1: the file is empty"),
        ("half.gz", "cannot read `half.gz`"),
        ("array.json", "jq -c"),
        ("headless.csv", "headless.csv:1: the header names a column `1`"),
        ("missing", "cannot read `missing`"),
        (".", "cannot read `.`"),
    ] {
        test.run(&["import", file]).fails(65).says(words);
    }
    test.run(&["import"]).fails(2);
    assert!(stored(&test).is_empty());
}

/// Texts that break what is not careful, and some that no column holds.
fn hostile(seed: u64) -> Option<String> {
    const PIECES: [&str; 24] = [
        "",
        "\"",
        "\"\"",
        ",",
        "\n",
        "\r\n",
        "\t",
        "\\N",
        "\\",
        "'",
        "'; DROP TABLE users; --",
        "NULL",
        "é",
        "漢字",
        "\u{202e}",
        "\u{1b}[31m",
        "😀",
        "\u{300}",
        " ",
        "{\"a\": 1}",
        "$1",
        "%s",
        "\u{7f}",
        "x",
    ];
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let pieces = match next(10) {
        0 => return None,
        1 => 0,
        // Longer than any column.
        2 => 150,
        _ => next(6) + 1,
    };
    let text: String = (0..pieces).map(|_| PIECES[next(PIECES.len())]).collect();
    Some(if next(40) == 0 { text + "\0" } else { text })
}

#[test]
fn five_thousand_hostile_values_come_back_or_are_refused() {
    let test = Test::initialised();
    let all: BTreeMap<i64, Fields> = (0..5_000_i64)
        .map(|id| {
            let seed = u64::try_from(id).unwrap() * 3;
            (id * 7 - 9_000, (hostile(seed + 1), hostile(seed + 2), hostile(seed + 3)))
        })
        .collect();
    let fits = |text: &Option<String>, max| {
        text.as_ref().is_none_or(|text| text.chars().count() <= max && !text.contains('\0'))
    };
    let (good, bad): (BTreeMap<i64, Fields>, BTreeMap<i64, Fields>) = all
        .clone()
        .into_iter()
        .partition(|(_, (name, region, email))| fits(name, 100) && fits(region, 50) && fits(email, 100));
    assert!(good.len() > 2_000 && bad.len() > 500, "{} and {}", good.len(), bad.len());
    for (name, format) in [("all.csv", FileFormat::Csv), ("all.jsonl", FileFormat::JsonLines)] {
        write(&test, name, file_of(&all, format));
        test.run(&["import", name]).fails(65).says("the column holds");
        empty(&test);
        let ran = test.run(&["import", name, "--rejects", "bad"]).success();
        let (records, inserted, rejected) = (all.len() as u64, good.len() as u64, bad.len() as u64);
        assert_eq!(counts(&ran), [records, inserted, 0, 0, rejected, 0]);
        assert!(!ran.stderr.contains(['\u{1b}', '\u{202e}']), "raw controls reach stderr");
        assert_eq!(stored(&test), good);
        assert_eq!(fs::read(test.home.path().join("bad")).unwrap(), file_of(&bad, format));
        // What is exported goes into another cluster as it was.
        let other = Test::initialised();
        for file in ["out.csv", "out.jsonl.gz"] {
            let path = test.home.path().join(file).display().to_string();
            test.run(&["export", &path]).success();
            other.run(&["import", &path]).success();
            assert_eq!(stored(&other), good, "{file}");
            empty(&other);
        }
        assert_eq!(
            test.run(&["-o", "jsonl", "export"]).success().stdout.as_bytes(),
            file_of(&good, FileFormat::JsonLines)
        );
        empty(&test);
    }
}

#[test]
fn users_that_are_there_already() {
    let test = Test::initialised();
    for id in [5, 6] {
        test.run(&["create-user", "--id", &id.to_string(), "--name", "old", "--email", "old@x"]).success();
    }
    write(&test, "f.csv", "user_id,name\n4,new\n5,new\n6,old\n");
    let before = stored(&test);
    test.run(&["import", "f.csv"])
        .fails(5)
        .says("f.csv:")
        .says("exists already on shard")
        .says("--on-conflict skip");
    let is_only_prefix =
        |now: &BTreeMap<i64, Fields>| now.iter().all(|(id, user)| *id == 4 || before[id] == *user);
    assert!(is_only_prefix(&stored(&test)));

    assert_eq!(counts(&test.run(&["import", "f.csv", "--on-conflict", "skip", "--restart"]).success())[0], 3);
    let old = || (Some("old".to_owned()), None, Some("old@x".to_owned()));
    let new = |email: Option<&str>| (Some("new".to_owned()), None, email.map(ToOwned::to_owned));
    assert_eq!(stored(&test), BTreeMap::from([(4, new(None)), (5, old()), (6, old())]));

    // Columns that the file does not have stay.
    let ran = test.run(&["import", "f.csv", "--on-conflict", "update"]).success();
    assert_eq!(counts(&ran), [3, 0, 3, 0, 0, 0]);
    assert_eq!(stored(&test), BTreeMap::from([(4, new(None)), (5, new(Some("old@x"))), (6, old())]));
    write(&test, "ids.csv", "user_id\n4\n7\n");
    let ran = test.run(&["import", "ids.csv", "--on-conflict", "update"]).success();
    assert_eq!(counts(&ran), [2, 1, 0, 1, 0, 0]);
}

#[test]
fn users_that_come_twice_in_one_file() {
    let test = Test::initialised();
    write(&test, "f.csv", "user_id,name\n1,first\n2,x\n1,last\n");
    test.run(&["import", "f.csv"]).fails(5).says("f.csv:4: user `1` stands in line 2 already");
    empty(&test);
    let ran = test.run(&["import", "f.csv", "--on-conflict", "skip"]).success();
    assert_eq!(counts(&ran), [3, 2, 0, 1, 0, 0]);
    assert_eq!(stored(&test)[&1].0.as_deref(), Some("first"));
    empty(&test);
    let ran = test.run(&["import", "f.csv", "--on-conflict", "update"]).success();
    assert_eq!(counts(&ran)[0], 3);
    assert_eq!(stored(&test)[&1].0.as_deref(), Some("last"));
}

#[test]
fn a_bad_line_stops_before_anything_is_half_done_and_the_corrected_file_goes_on() {
    let test = Test::initialised();
    let all = users(1..3_000);
    let text = String::from_utf8(file_of(&all, FileFormat::Csv)).unwrap();
    // Less than a batch: nothing is imported.
    write(&test, "f.csv", text.replacen("\n2500,", "\nxxx,", 1));
    test.run(&["import", "f.csv"])
        .fails(65)
        .says("f.csv:2501: `xxx`: a user id")
        .says("nothing was imported");
    assert!(stored(&test).is_empty());
    // Several batches: what is in stays, and is not sent again.
    let ran = test
        .run(&["import", "f.csv", "--batch-kib", "8"])
        .fails(65)
        .says("f.csv:2501:")
        .says("goes on from there");
    let some = stored(&test).len() as u64;
    assert!(some > 0 && some < 2_500, "{ran:?}");
    write(&test, "f.csv", &text);
    let ran = test.run(&["import", "f.csv"]).success();
    assert_eq!(counts(&ran), [2_999, 2_999 - some, 0, 0, 0, some]);
    assert_eq!(stored(&test), all);
    assert_eq!(unfinished(&test), 0);
}

#[test]
fn another_file_that_begins_alike_is_not_taken_for_the_interrupted_one() {
    let test = Test::initialised();
    let text = String::from_utf8(file_of(&users(1..3_000), FileFormat::Csv)).unwrap();
    write(&test, "f.csv", text.replacen("\n2500,", "\nxxx,", 1));
    test.run(&["import", "f.csv", "--batch-kib", "8"]).fails(65);
    write(&test, "f.csv", text.replacen("\n3,", "\n9003,", 1));
    test.run(&["import", "f.csv"]).fails(5).says("this file differs before that").says("--restart");
    write(&test, "f.csv", text.lines().take(3).collect::<Vec<_>>().join("\n"));
    test.run(&["import", "f.csv"]).fails(5).says("this file differs before that");
    let all = users((1..3_000).map(|id| if id == 3 { 9_003 } else { id }));
    write(&test, "f.csv", text.replacen("\n3,", "\n9003,", 1));
    test.run(&["import", "f.csv", "--restart", "--on-conflict", "skip"]).success();
    let now = stored(&test);
    assert!(all.keys().all(|id| now.contains_key(id)));
    assert_eq!(unfinished(&test), 0);
}

fn import(test: &Test, words: &[&str]) -> Child {
    test.command().args(["import", "f.csv", "--batch-kib", "8"]).args(words).spawn().unwrap()
}

/// A number below `below`, another one each time.
fn random(state: &mut u64, below: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % below
}

#[test]
fn killed_fifty_times_at_any_moment_it_is_the_file_in_the_end() {
    let test = Test::initialised();
    let all = users(1..20_000);
    write(&test, "f.csv", file_of(&all, FileFormat::Csv));
    let (mut kills, mut state, mut resumed) = (0, 0x2545_F491_4F6C_DD1D, 0);
    while kills < 50 {
        let mut child = import(&test, &[]);
        thread::sleep(Duration::from_millis(5 + random(&mut state, 120)));
        child.kill().unwrap();
        let ran = Ran::of(child);
        match ran.code {
            -1 => kills += 1,
            0 => {
                // It was faster. The next ones begin from nothing again.
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
    assert!(resumed > 0, "no run went on where another one ended");
}

#[test]
fn a_killed_session_is_a_shard_that_cannot_be_reached_and_the_next_run_goes_on() {
    let test = Test::initialised();
    let all = users(1..20_000);
    write(&test, "f.csv", file_of(&all, FileFormat::Csv));
    let mut state = 0x9E37_79B9_7F4A_7C15;
    let mut lost = 0;
    for round in 0..60 {
        let child = import(&test, &[]);
        thread::sleep(Duration::from_millis(10 + random(&mut state, 60)));
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
fn stopped_by_a_signal_it_says_so_and_goes_on_next_time() {
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
            // Before it listens, or after it was done.
            0 | -1 => continue,
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
fn a_stalled_input_holds_no_transaction_and_can_be_stopped() {
    let test = Test::initialised();
    let mut child =
        test.command().args(["import", "-", "--batch-kib", "1"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&file_of(&users(1..500), FileFormat::Csv)).unwrap();
    // Some batches are in, and the rest waits for more.
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
    // The same input again, whole this time.
    let mut child = test.command().args(["import", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&file_of(&users(1..600), FileFormat::Csv)).unwrap();
    assert!(counts(&Ran::of(child).success())[5] > 0);
    assert_eq!(stored(&test), users(1..600));
}

#[test]
fn two_imports_of_one_file_at_once_store_it_once() {
    let test = Test::initialised();
    let all = users(1..5_000);
    write(&test, "f.csv", file_of(&all, FileFormat::Csv));
    let both = [import(&test, &["--on-conflict", "skip"]), import(&test, &["--on-conflict", "skip"])];
    let sum: u64 = both.into_iter().map(|child| counts(&Ran::of(child).success())[1]).sum();
    assert_eq!(sum, 4_999);
    assert_eq!(stored(&test), all);
}

#[test]
fn rows_find_their_owner_while_arcs_move() {
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
fn killed_while_arcs_move_it_goes_on_by_the_new_owners() {
    let test = Test::initialised();
    let all = users(1..8_000);
    write(&test, "f.csv", file_of(&all, FileFormat::Csv));
    let (mut kills, mut state) = (0, 0xD1B5_4A32_D192_ED03);
    let mover = Mover::start(&test, Duration::from_millis(2));
    while kills < 25 {
        let mut child = import(&test, &[]);
        thread::sleep(Duration::from_millis(20 + random(&mut state, 150)));
        child.kill().unwrap();
        let ran = Ran::of(child);
        match ran.code {
            -1 => kills += 1,
            0 => break,
            _ => panic!("{ran:?}"),
        }
    }
    if kills == 25 {
        Ran::of(import(&test, &[])).success();
    }
    mover.stop();
    assert!(kills > 0);
    assert_eq!(stored(&test), all);
    assert_eq!(unfinished(&test), 0);
}

#[test]
fn an_arc_that_moved_between_two_runs_takes_its_rows_along() {
    let test = Test::initialised();
    let text = String::from_utf8(file_of(&users(1..3_000), FileFormat::Csv)).unwrap();
    write(&test, "f.csv", text.replacen("\n2900,", "\nxxx,", 1));
    test.run(&["import", "f.csv", "--batch-kib", "8"]).fails(65);
    let source = owner(1);
    let target = source % 3 + 1;
    let (mut from, mut to) = (test.client(source), test.client(target));
    for (epoch, id) in (2..).zip((1..2_900).filter(|id| owner(*id) == source).step_by(7).take(30)) {
        // Two users of one arc: it moved with the first of them.
        if chunk_is_here(&mut from, id) {
            let chunk = Chunk::around(&mut from, id);
            fence(&mut from, &chunk, target, epoch);
            adopt(&mut from, &mut to, &chunk, epoch);
            purge(&mut from, &chunk);
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
fn killed_between_the_end_and_forgetting_it_knows_that_all_is_in() {
    let test = Test::initialised();
    let all = users(1..1_000);
    let text = String::from_utf8(file_of(&all, FileFormat::Csv)).unwrap();
    write(&test, "f.csv", text.replacen("\n900,", "\nxxx,", 1));
    test.run(&["import", "f.csv", "--batch-kib", "4"]).fails(65);
    let number = (1..=3).find(|n| !test.query(*n, "SELECT FROM ringshard.import", &[]).is_empty()).unwrap();
    let row = &test.query(number, "SELECT source::text FROM ringshard.import", &[])[0];
    let source: String = row.get(0);
    write(&test, "f.csv", &text);
    test.run(&["import", "f.csv"]).success();
    // As it was just before the last shard forgot: that shard says `done`, the others nothing.
    let digest: i64 = {
        let mut digest = 0_u64;
        for id in all.keys() {
            let position = ringshard::model::position::Position::of_user(UserId::new(*id));
            let mark = u64::try_from(position.number() & u128::from(u64::MAX)).unwrap();
            digest = digest.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(mark).wrapping_add(1);
        }
        digest.cast_signed()
    };
    let sql = "INSERT INTO ringshard.import (source, records, high, digest, routing) VALUES ($1::text::uuid, 999, 999, $2, 'done')";
    test.client(number).execute(sql, &[&source, &digest]).unwrap();
    assert_eq!(counts(&test.run(&["import", "f.csv"]).success()), [999, 0, 0, 0, 0, 999]);
    assert_eq!(unfinished(&test), 0);
    // And a longer file of the same beginning goes on behind it.
    test.client(number).execute(sql, &[&source, &digest]).unwrap();
    write(&test, "f.csv", file_of(&users(1..1_200), FileFormat::Csv));
    assert_eq!(counts(&test.run(&["import", "f.csv"]).success()), [1_199, 200, 0, 0, 0, 999]);
    assert_eq!(stored(&test), users(1..1_200));
}

#[test]
fn an_export_is_there_when_it_is_whole() {
    let test = Test::initialised();
    let all = users(1..2_000);
    write(&test, "f.csv", file_of(&all, FileFormat::Csv));
    test.run(&["import", "f.csv"]).success();
    assert_eq!(test.run(&["export", "-"]).success().stdout.as_bytes(), file_of(&all, FileFormat::Csv));
    test.run(&["export", "out.csv"]).success().says("wrote 1,999 users into `out.csv`");
    assert_eq!(fs::read(test.home.path().join("out.csv")).unwrap(), file_of(&all, FileFormat::Csv));
    test.run(&["export", "out.jsonl"]).success();
    assert_eq!(fs::read(test.home.path().join("out.jsonl")).unwrap(), file_of(&all, FileFormat::JsonLines));
    test.run(&["-o", "tsv", "export"]).fails(2).says("CSV or JSON lines");
    test.run(&["export", "missing/out.csv"]).fails(1).says("cannot write `missing/out.csv`");
    test.run(&["export", "/dev/null"]).success();
    // A failure leaves the old file, and no scrap.
    test.execute(2, "ALTER TABLE users RENAME COLUMN email TO mail");
    test.run(&["export", "out.csv"]).fails(1).says("cannot read users on shard `shard_2`");
    assert_eq!(fs::read(test.home.path().join("out.csv")).unwrap(), file_of(&all, FileFormat::Csv));
    let scraps = fs::read_dir(test.home.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".part"));
    assert_eq!(scraps.count(), 0);
}
