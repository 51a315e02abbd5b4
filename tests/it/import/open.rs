//! `import list` and `import forget`; and what an import that was interrupted is in the way of.

use crate::support::harness::{Ran, Test};
use crate::support::rebalances::add_shard;
use crate::support::user_files::write;

/// An import that ends at its last line, and leaves its progress.
fn interrupted() -> (Test, String) {
    let test = Test::initialised();
    let lines: Vec<String> = (1..4_000).map(|id| format!("{id},User {id}\n")).collect();
    let text = format!("user_id,name\n{}", lines.concat());
    write(&test, "f.csv", format!("{text}xxx,Bad\n"));
    test.run(&["import", "f.csv", "--batch-kib", "8"]).fails(65);
    (test, text)
}

#[test]
fn an_interrupted_import_is_listed_and_can_be_forgotten() {
    let (test, text) = interrupted();
    let listed = test.run(&["import", "list", "-o", "json"]).success().json();
    let import = &listed[0];
    assert_eq!(
        (import["state"].as_str(), listed.as_array().unwrap().len()),
        (Some("interrupted"), 1),
        "{listed}"
    );
    assert!(import["records"].as_i64().unwrap() > 0, "{listed}");
    assert_eq!(import["file"], "f.csv");
    let id = import["id"].as_str().unwrap();
    test.run(&["import", "forget", "0badc0de"]).fails(4).says("ringshard import list shows them");
    test.run(&["import", "forget", "no-such-file"]).fails(4).says("ringshard import list shows the ids");
    let forgotten = test.run(&["import", "forget", id, "-o", "json"]).success().json();
    assert_eq!(forgotten["result"], "forgotten");
    assert_eq!(test.run(&["import", "list", "-o", "json"]).success().json(), serde_json::json!([]));
    // By its file, and after that all rows of the file meet themselves.
    write(&test, "f.csv", format!("{text}yyy,Bad\n"));
    test.run(&["import", "f.csv", "--on-conflict", "skip", "--batch-kib", "8"]).fails(65);
    test.run(&["import", "forget", "f.csv"]).success();
    // By its name, as the file is another one by now.
    test.run(&["import", "f.csv", "--on-conflict", "skip", "--batch-kib", "8"]).fails(65);
    write(&test, "f.csv", text.replace("\n1,", "\n5000,"));
    test.run(&["import", "forget", "f.csv"]).success();
    assert_eq!(test.run(&["import", "list", "-o", "json"]).success().json(), serde_json::json!([]));
    write(&test, "f.csv", &text);
    test.run(&["import", "f.csv"]).fails(5).says("--on-conflict skip");
    test.run(&["import", "f.csv", "--on-conflict", "skip"]).success();
    assert_eq!(test.run(&["count"]).success().stdout, "3999\n");
}

#[test]
fn a_rebalance_does_not_wait_for_an_import_that_was_interrupted() {
    let (test, text) = interrupted();
    test.run(&["doctor"]).fails(1).says("imports");
    add_shard(&test, 4);
    test.run(&["rebalance", "--yes"]).success();
    write(&test, "f.csv", &text);
    let resumed: Ran = test.run(&["import", "f.csv", "-o", "json"]).success();
    assert_eq!(resumed.json()["records"], 3_999);
    assert_eq!(test.run(&["count"]).success().stdout, "3999\n");
    test.run(&["verify", "--deep"]).success();
}

#[test]
fn a_shard_with_the_progress_of_an_import_does_not_leave() {
    let (test, text) = interrupted();
    test.run(&["remove-shard", "shard_3"]).success();
    test.run(&["rebalance", "--yes"]).fails(75).says("import forget");
    write(&test, "f.csv", &text);
    test.run(&["import", "f.csv"]).success();
    test.run(&["rebalance", "--yes"]).success();
    assert_eq!(test.run(&["count"]).success().stdout, "3999\n");
}
