//! `list-users --table`: rows of any table by key, from all shards.

use super::sharded::{adopted, grow};
use crate::support::harness::Test;

/// The first fields of a list.
fn firsts(test: &Test, words: &[&str]) -> Vec<String> {
    let ran = test.run(words).success();
    ran.fields().iter().map(|fields| fields[0].to_owned()).collect()
}

#[test]
fn rows_of_all_shards_are_merged_by_key() {
    let test = adopted();
    test.execute(1, "INSERT INTO users SELECT i, 'Name' FROM generate_series(-20, 0) AS i");
    grow(&test).success();
    let all: Vec<String> = (-20..=300).map(|id| id.to_string()).collect();
    assert_eq!(firsts(&test, &["list-users", "--table", "users"]), all);
    assert_eq!(
        firsts(&test, &["list-users", "--table", "users", "--after", "-3", "--limit", "5"]),
        all[18..23]
    );

    // Of one key by its primary key, whatever their place in the table.
    test.execute(1, "UPDATE orders SET total = total + 1 WHERE number % 2 = 1");
    let listed = test.run(&["-o", "csv", "list-users", "--table", "orders", "--limit", "7"]).success();
    let lines: Vec<&str> = listed.stdout.lines().collect();
    assert_eq!(lines[0], "user_id,number,data,total");
    let expected = [(1, 300), (1, 600), (1, 900), (2, 1), (2, 301), (2, 601), (3, 2)];
    for (line, (user, number)) in lines[1..].iter().zip(expected) {
        assert!(line.starts_with(&format!("{user},{number},")), "{listed:?}");
    }
    assert_eq!(lines.len(), 8);

    test.run(&["list-users", "--table", "orders", "--after", "x"]).fails(2).says("'--after <ID>'");
    test.run(&["list-users", "--table", "orders", "--region", "EU"])
        .fails(2)
        .says("--region needs the table");
    test.run(&["list-users", "--table", "order"]).fails(4);
    // `users` is the default, whatever its columns are.
    let listed = test.run(&["list-users", "--limit", "2"]).success();
    assert_eq!(listed.fields().iter().map(|row| row[0]).collect::<Vec<_>>(), ["-20", "-19"]);
}

#[test]
fn texts_are_sorted_by_their_bytes_on_shards_of_any_collation() {
    let test = Test::new();
    let texts = ["", " ", "A", "B", "a", "a b", "b", "Ä", "é", "日本", "z'; DROP TABLE notes --"];
    test.execute(1, "CREATE TABLE notes (n integer, \"Key\" text PRIMARY KEY)");
    let mut client = test.client(1);
    for text in texts {
        client.execute("INSERT INTO notes VALUES (1, $1)", &[&text]).unwrap();
    }
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    test.run(&["table", "add", "notes", "--key", "Key"]).success();
    test.run(&["add-shard", "s2", &test.url(2)]).success();
    test.run(&["rebalance", "-y"]).success();
    let mut sorted = texts.to_vec();
    sorted.sort_unstable();
    for at in 0..sorted.len() {
        let after = format!("--after={}", sorted[at]);
        let ran = test.run(&["-o", "json", "list-users", "--table", "notes", &after]).success();
        let keys: Vec<_> = ran.json().as_array().unwrap().iter().map(|row| row["Key"].clone()).collect();
        assert_eq!(keys, sorted[at + 1..]);
    }
}
