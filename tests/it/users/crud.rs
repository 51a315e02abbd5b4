//! Users one by one: what is stored is what was given, and what is printed is what is stored.

use crate::support::harness::{Ran, Test};
use crate::support::rings::owner;

#[test]
fn a_user_is_created_read_updated_and_deleted_on_its_owner() {
    let test = Test::initialised();
    let made = test.run(&["create-user", "--id", "1", "--name", "Alice", "--region", "US"]).success();
    assert_eq!(made.stdout, "1\tAlice\tUS\t\\N\n");
    assert_eq!(test.ids(owner(1)), [1]);

    let words = ["update-user", "--id", "1", "--email", "alice@example.com"];
    assert_eq!(test.run(&words).success().stdout, "1\tAlice\tUS\talice@example.com\n");
    // Exactly as the prototype prints it.
    assert_eq!(
        test.run(&["get-user", "--id", "1", "-o", "json"]).success().stdout,
        "{\"user_id\": 1, \"name\": \"Alice\", \"region\": \"US\", \"email\": \"alice@example.com\"}\n"
    );
    assert_eq!(test.run(&["get-user", "1"]).success().stdout, "1\tAlice\tUS\talice@example.com\n");
    let words = ["update-user", "1", "--name", "Bob", "--no-region"];
    assert_eq!(test.run(&words).success().stdout, "1\tBob\t\\N\talice@example.com\n");

    assert_eq!(test.run(&["delete-user", "--id", "1"]).success().stdout, "1\tBob\t\\N\talice@example.com\n");
    test.run(&["get-user", "--id", "1"]).fails(4).says("user `1` not found").says("hint: ");
    test.run(&["update-user", "--id", "1", "--name", "X"]).fails(4);
    test.run(&["delete-user", "--id", "1"]).fails(4);
    for shard in 1..=3 {
        assert!(test.ids(shard).is_empty());
    }
}

#[test]
fn an_omitted_field_is_null() {
    let test = Test::initialised();
    test.run(&["create-user", "--id", "1", "--name", "", "--region", ""]).success();
    assert_eq!(
        test.run(&["get-user", "1", "-o", "json"]).success().stdout,
        "{\"user_id\": 1, \"name\": \"\", \"region\": \"\", \"email\": null}\n"
    );
}

#[test]
fn a_user_is_created_once() {
    let test = Test::initialised();
    test.run(&["create-user", "--id", "7", "--name", "first"]).success();
    test.run(&["create-user", "--id", "7", "--name", "second"]).fails(5).says("user `7` exists already");
    assert_eq!(test.run(&["get-user", "7"]).success().stdout, "7\tfirst\t\\N\t\\N\n");
}

#[test]
fn one_of_twenty_concurrent_creates_succeeds() {
    let test = Test::initialised();
    let children: Vec<_> = (0..20)
        .map(|n| {
            let name = format!("writer {n}");
            test.command().args(["create-user", "--id", "5", "--name", &name]).spawn().unwrap()
        })
        .collect();
    let codes: Vec<i32> = children.into_iter().map(|child| Ran::of(child).code).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 5).count(), 19, "{codes:?}");
    assert_eq!(test.ids(owner(5)), [5]);
}

#[test]
fn ids_cover_the_range_of_bigint() {
    let test = Test::initialised();
    for id in [i64::MIN, -7, -1, 0, i64::MAX] {
        let text = id.to_string();
        test.run(&["create-user", "--id", &text, "--name", "edge"]).success();
        assert_eq!(test.run(&["get-user", &text]).success().fields()[0][0], text);
        assert!(test.ids(owner(id)).contains(&id));
    }
}

#[test]
fn hostile_texts_round_trip() {
    let test = Test::initialised();
    let long = "漢".repeat(100);
    let texts = [
        "Robert'); DROP TABLE users;--",
        "\"quoted\" \\back\\slash\\",
        "tab\there, line\nbreak, return\r",
        "\u{1b}[31mred\u{1b}[0m \u{7} \u{9b}",
        "\u{202e}evil\u{2066}",
        "e\u{301} zero\u{200b}width 👩‍👩‍👧",
        "\\N",
        "null",
        " leading and trailing ",
        "--dashes",
        "%s {} $1 ${HOME} `id`",
        &long,
    ];
    for (id, text) in (1_i64..).zip(texts) {
        let (number, name) = (id.to_string(), format!("--name={text}"));
        test.run(&["create-user", "--id", &number, &name]).success();
        let stored = test.query(owner(id), "SELECT name FROM users WHERE user_id = $1", &[&id]);
        assert_eq!(stored[0].get::<_, String>(0), text);
        let shown = test.run(&["get-user", &number, "-o", "json"]).success();
        assert_eq!(shown.json()["name"], text);
        assert!(!shown.stdout.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{shown:?}");
    }
}

#[test]
fn writes_behave_alike_in_every_isolation_level() {
    let test = Test::initialised();
    for level in ["repeatable read", "serializable", "read committed"] {
        for number in 1..=3 {
            let database = test.database(number);
            let setting = format!("ALTER DATABASE {database} SET default_transaction_isolation = '{level}'");
            test.execute(number, &setting);
        }
        test.run(&["create-user", "--id", "1", "--name", level]).success();
        test.run(&["create-user", "--id", "1", "--name", level]).fails(5);
        test.run(&["update-user", "--id", "1", "--name", "changed"]).success();
        test.run(&["delete-user", "--id", "1"]).success();
    }
}

#[test]
fn an_acknowledged_write_is_durable_with_any_default() {
    let test = Test::initialised();
    let shard = owner(1);
    for (default, in_force) in
        [("off", "on"), ("local", "on"), ("on", "on"), ("remote_apply", "remote_apply")]
    {
        let mut client = test.client(shard);
        client.batch_execute(&format!("SET synchronous_commit = {default}; BEGIN")).unwrap();
        let write = "SELECT answer, current_setting('synchronous_commit') \
                     FROM ringshard.write_user(NULL, $1, 14, 0, 'create', 1, true, 'x', false, NULL, false, NULL)";
        let row = client.query_one(write, &[&format!("shard_{shard}")]).unwrap();
        assert_eq!(row.get::<_, &str>(0), "done");
        let setting = client.query_one("SELECT current_setting('synchronous_commit')", &[]).unwrap();
        assert_eq!(setting.get::<_, &str>(0), in_force, "default {default}");
        client.batch_execute("ROLLBACK").unwrap();
    }
}
