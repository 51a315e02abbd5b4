//! Import and export: every row is stored once, on its owner.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use ringshard::bulk::{FileFormat, HEADER};

use crate::support::harness::{Ran, Test};
use crate::support::random::Random;
use crate::support::user_files::{
    Fields, counts, empty, file_of, import_up_to, stored, unfinished, users, write,
};

#[test]
fn every_file_format_is_read() {
    let test = Test::initialised();
    let all = users(-200..200);
    let gzip = |bytes: &[u8]| {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    };
    let (csv, json) = (file_of(&all, FileFormat::Csv), file_of(&all, FileFormat::JsonLines));
    // As spreadsheets write it: "Unicode text", and the separator of a country with decimal commas.
    let wide = |text: &str, unit: fn(u16) -> [u8; 2]| {
        format!("\u{feff}{text}").encode_utf16().flat_map(unit).collect::<Vec<u8>>()
    };
    let text = String::from_utf8(csv.clone()).unwrap().replace('\n', "\r\n");
    let tabs = text.replace(',', "\t").replacen("user_id", "User_ID", 1);
    let semicolons = format!("sep=;\r\n{}\r\n;;;\r\n;;;\r\n", text.replace(',', ";"));
    for (name, bytes) in [
        ("a.csv", csv.clone()),
        ("a.jsonl", json.clone()),
        ("a.csv.gz", gzip(&csv)),
        ("b", gzip(&json)),
        ("tabs.txt", wide(&tabs, u16::to_le_bytes)),
        ("tabs.gz", gzip(&wide(&tabs, u16::to_be_bytes))),
        ("wide.jsonl", wide(std::str::from_utf8(&json).unwrap(), u16::to_be_bytes)),
        ("semicolons.csv", semicolons.clone().into_bytes()),
        ("marked.csv", [b"\xef\xbb\xbf", semicolons.as_bytes()].concat()),
        ("bars.csv", text.replace(',', "|").into_bytes()),
    ] {
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
fn empty_and_invalid_files_are_handled() {
    let test = Test::initialised();
    write(&test, "none.csv", HEADER);
    assert_eq!(counts(&test.run(&["import", "none.csv"]).success()), [0; 6]);
    write(&test, "empty", "");
    write(&test, "half.gz", [0x1f, 0x8b, 8, 0, 0, 0]);
    write(&test, "array.json", "[{\"user_id\": 1}]");
    write(&test, "headless.csv", "1,Alice,EU,\n");
    write(&test, "mac.csv", "user_id,name\r1,a\r");
    write(&test, "half.txt", b"\xff\xfeu\0s\0e\0r\0_\0i\0d\0\n\0\x31\0\n\0\x32\0\x00\xd8\n\0");
    for (file, words) in [
        ("empty", "empty:1: the file is empty"),
        ("half.gz", "cannot read `half.gz`"),
        ("array.json", "jq -c"),
        ("headless.csv", "headless.csv:1: the header has the column `1`"),
        ("mac.csv", "hint: tr '\\r' '\\n' <mac.csv | ringshard import -"),
        ("half.txt", "half.txt:3: not UTF-8"),
        ("missing", "cannot read `missing`"),
        (".", "cannot read `.`"),
    ] {
        test.run(&["import", file]).fails(65).says(words);
    }
    test.run(&["import"]).fails(2);
    assert!(stored(&test).is_empty());
}

/// Texts that are hard to parse or to quote, and some that fit no column.
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
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut next = |below: usize| usize::try_from(random.below(below as u64)).unwrap();
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
fn hostile_values_round_trip_or_are_rejected() {
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
        assert!(!ran.stderr.contains(['\u{1b}', '\u{202e}']), "stderr contains control characters");
        assert_eq!(stored(&test), good);
        assert_eq!(fs::read(test.home.path().join("bad")).unwrap(), file_of(&bad, format));
        // An export can be imported into another cluster unchanged.
        let other = Test::initialised();
        for file in ["out", "out.csv", "out.csv.gz", "out.json", "out.ndjson", "out.jsonl.gz"] {
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
fn existing_users_follow_on_conflict() {
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

    // Columns that the file lacks are unchanged.
    let ran = test.run(&["import", "f.csv", "--on-conflict", "update"]).success();
    assert_eq!(counts(&ran), [3, 0, 3, 0, 0, 0]);
    assert_eq!(stored(&test), BTreeMap::from([(4, new(None)), (5, new(Some("old@x"))), (6, old())]));
    write(&test, "ids.csv", "user_id\n4\n7\n");
    let ran = test.run(&["import", "ids.csv", "--on-conflict", "update"]).success();
    assert_eq!(counts(&ran), [2, 1, 0, 1, 0, 0]);
}

#[test]
fn duplicate_users_in_one_file_follow_on_conflict() {
    let test = Test::initialised();
    write(&test, "f.csv", "user_id,name\n1,first\n2,x\n1,last\n");
    test.run(&["import", "f.csv"]).fails(5).says("f.csv:4: user `1` is in line 2 already");
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
fn an_import_stops_at_a_bad_line_and_resumes_with_the_corrected_file() {
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
    // Several batches: what is stored stays, and is not sent again.
    let ran = import_up_to(&test, &text, 2_500, 8).says("f.csv:2501:").says("continue from there");
    let some = stored(&test).len() as u64;
    assert!(some > 0 && some < 2_500, "{ran:?}");
    write(&test, "f.csv", &text);
    let ran = test.run(&["import", "f.csv"]).success();
    assert_eq!(counts(&ran), [2_999, 2_999 - some, 0, 0, 0, some]);
    assert_eq!(stored(&test), all);
    assert_eq!(unfinished(&test), 0);
}

#[test]
fn a_different_file_does_not_resume_an_interrupted_import() {
    let test = Test::initialised();
    let text = String::from_utf8(file_of(&users(1..3_000), FileFormat::Csv)).unwrap();
    import_up_to(&test, &text, 2_500, 8);
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

#[test]
fn an_export_replaces_the_file_only_when_complete() {
    let test = Test::initialised();
    let all = users(1..2_000);
    write(&test, "f.csv", file_of(&all, FileFormat::Csv));
    test.run(&["import", "f.csv"]).success();
    assert_eq!(test.run(&["export", "-"]).success().stdout.as_bytes(), file_of(&all, FileFormat::Csv));
    test.run(&["export", "out.csv"]).success().says("wrote 1,999 users to `out.csv`");
    assert_eq!(fs::read(test.home.path().join("out.csv")).unwrap(), file_of(&all, FileFormat::Csv));
    test.run(&["export", "out.jsonl"]).success();
    assert_eq!(fs::read(test.home.path().join("out.jsonl")).unwrap(), file_of(&all, FileFormat::JsonLines));
    test.run(&["-o", "tsv", "export"]).fails(2).says("CSV or JSON lines");
    test.run(&["export", "missing/out.csv"]).fails(1).says("cannot write `missing/out.csv`");
    test.run(&["export", "/dev/null"]).success();
    // A failure leaves the old file and no temporary file.
    test.execute(2, "ALTER TABLE users RENAME COLUMN email TO mail");
    test.run(&["export", "out.csv"]).fails(1).says("cannot read users on shard `shard_2`");
    assert_eq!(fs::read(test.home.path().join("out.csv")).unwrap(), file_of(&all, FileFormat::Csv));
    let scraps = fs::read_dir(test.home.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".part"));
    assert_eq!(scraps.count(), 0);
}
