//! `get-user` and its family where `users` has other columns than those of the Python prototype.

use std::thread;
use std::time::Duration;

use crate::support::harness::{Ran, Test};
use crate::support::proxy::{Cut, Proxy};
use crate::support::rings::owner_among;

/// An application's users, with columns of many kinds.
const USERS: &str = "\
    CREATE TYPE mood AS ENUM ('sad', 'ok'); \
    CREATE DOMAIN label AS varchar(5); \
    CREATE DOMAIN settings AS json; \
    CREATE TABLE users ( \
        email text, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \"full name\" text NOT NULL, \
        created_at timestamptz NOT NULL DEFAULT '2026-01-02 03:04:05+00', born date, \
        balance numeric(8, 2) CHECK (balance >= 0), tags text[], data jsonb, raw settings, active boolean, \
        mood mood, short label, code varchar(3), \
        initial text GENERATED ALWAYS AS (left(\"full name\", 1)) STORED)";

const NAMES: [&str; 3] = ["main", "s2", "s3"];

/// Three shards with a table of the application.
fn with_table(sql: &str, key: &str) -> Test {
    let test = Test::new();
    test.execute(1, sql);
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    test.run(&["table", "add", "users", "--key", key]).success();
    super::sharded::grow(&test).success();
    test
}

/// The user as the object that `-o json` prints.
fn json(test: &Test, words: &[&str]) -> serde_json::Value {
    test.run(&[words, &["-o", "json"]].concat()).success().json()
}

#[test]
fn a_user_of_any_columns_is_created_read_updated_and_deleted_on_its_owner() {
    let test = with_table(USERS, "id");
    for id in 1..=40_i64 {
        let name = format!("full name=Name {id}");
        test.run(&["create-user", &id.to_string(), "--set", &name, "--email", "e@x.org"]).success();
        let shard = NAMES.iter().position(|shard| *shard == owner_among(&NAMES, id)).unwrap() + 1;
        assert_eq!(test.query(shard, "SELECT FROM users WHERE id = $1", &[&id]).len(), 1);
    }
    let words =
        ["create-user", "--id", "-7", "--set", "full name=O'Brien = \"x\"", "--set", "born=1999-12-31"];
    let more = ["--set", "balance=12.5", "--set", "tags={a,\"b c\"}", "--set", "data={\"a\": [1, null]}"];
    let others =
        ["--set", "raw={\"b\":  1}", "--set", "active=yes", "--set", "mood=ok", "--set", "short=abcde"];
    let created = json(&test, &[&words[..], &more, &others].concat());
    let expected = serde_json::json!({
        "id": -7, "email": null, "full name": "O'Brien = \"x\"", "created_at": "2026-01-02 03:04:05+00",
        "born": "1999-12-31", "balance": 12.50, "tags": "{a,\"b c\"}", "data": "{\"a\": [1, null]}",
        "raw": "{\"b\":  1}", "active": true, "mood": "ok", "short": "abcde", "code": null, "initial": "O",
    });
    assert_eq!(created, expected);
    assert_eq!(json(&test, &["get-user", "--id=-7"]), expected);
    let shown = test.run(&["get-user", "--id=-7", "-o", "csv"]).success();
    assert!(shown.stdout.starts_with("id,email,full name,created_at,"), "{shown:?}");

    let updated = json(
        &test,
        &[
            "update-user",
            "--id=-7",
            "--set",
            "full name=Ann",
            "--set-null",
            "born",
            "--no-email",
            "--set",
            "code=",
        ],
    );
    assert_eq!((&updated["full name"], &updated["initial"]), (&"Ann".into(), &"A".into()));
    assert_eq!((&updated["born"], &updated["code"]), (&serde_json::Value::Null, &"".into()));
    assert_eq!(updated["tags"], expected["tags"]);
    assert_eq!(json(&test, &["delete-user", "--id=-7"]), updated);
    test.run(&["get-user", "--id=-7"]).fails(4).says("user `-7` not found");
    // Without an id, the owner makes one.
    let made = json(&test, &["create-user", "--set", "full name=New"])["id"].as_i64().unwrap();
    test.run(&["get-user", &made.to_string()]).success();
    test.run(&["verify", "--deep"]).success();
}

#[test]
fn what_a_column_does_not_take_is_refused_and_nothing_is_stored() {
    let test = with_table(USERS, "id");
    let create = |set: &[&str]| test.run(&[&["create-user", "1", "--set", "full name=A"], set].concat());
    create(&["--set", "nonsense=1"]).fails(2).says("has no column `nonsense`");
    create(&["--set", "born=tomorrowish"]).fails(65).says("invalid input syntax for type date");
    create(&["--set", "born=01/02/2020"]).fails(65);
    create(&["--set", "code=abcd"]).fails(65).says("value too long");
    create(&["--set", "short=abcdef"]).fails(65).says("value too long");
    create(&["--set", "data={"]).fails(65);
    create(&["--set", "balance=-1"]).fails(1).says("users_balance_check");
    create(&["--set", "initial=B"]).fails(1).says("initial");
    create(&["--set", "id=2"]).fails(2).says("`id` is the id");
    create(&["--set", "code=a", "--set", "code=b"]).fails(2).says("set twice");
    create(&["--set", "code"]).fails(2).says("COLUMN=VALUE");
    create(&["--name", "A"]).fails(2).says("has no column `name`");
    test.run(&["create-user", "1"]).fails(2).says("--name");
    test.run(&["create-user", "1", "--set", "code=a"]).fails(1).says("null value in column \"full name\"");
    test.run(&["get-user", "x"]).fails(2).says("`x` is no bigint");
    assert_eq!(test.run(&["count"]).success().stdout, "0\n");
    create(&[]).success();
    let again = create(&["--set", "code=a'b"]).fails(5).says("user `1` exists already");
    let hint = "ringshard update-user 1 --set \"code=a'b\" --set 'full name=A' changes it";
    assert!(again.stderr.contains(hint), "{again:?}");
    test.run(&["update-user", "1", "--set", "code=a'b"]).success();
    test.run(&["update-user", "1", "--set", "id=2"]).fails(2).says("cannot be changed");
    test.run(&["update-user", "2", "--set", "code=x"]).fails(4);
    test.run(&["update-user", "1", "--set", "code=abcd"]).fails(65);
    test.run(&["update-user", "1"]).fails(2);
    test.run(&["delete-user", "2"]).fails(4);
    // A trigger that changes a value, one that keeps the row, and one that gives it another key.
    let trigger = |body: &str| {
        for number in 1..=3 {
            let sql = format!(
                "CREATE OR REPLACE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$; \
                 DROP TRIGGER IF EXISTS t ON users; \
                 CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION t()"
            );
            test.execute(number, &sql);
        }
    };
    trigger("NEW.code := 'z'; RETURN NEW;");
    let changed = test.run(&["update-user", "1", "--set", "code=y"]).success();
    assert!(changed.stderr.contains("stored other values than were given"), "{changed:?}");
    trigger("RETURN NULL;");
    test.run(&["update-user", "1", "--set", "code=y"]).fails(1).says("a trigger or a rule of users");
    test.run(&["delete-user", "1"]).fails(1).says("a trigger or a rule of users");
    test.run(&["create-user", "2", "--set", "full name=B"]).fails(1).says("a trigger or a rule of users");
    assert_eq!(test.run(&["count"]).success().stdout, "1\n");
}

#[test]
fn the_key_of_users_may_be_of_any_type_but_must_be_unique() {
    let uuid = "0F0E0D0C-0B0A-0908-0706-050403020100";
    for (of, key, canonical) in [
        ("uuid", uuid, uuid.to_lowercase()),
        ("text", "a 'b", "a 'b".into()),
        ("smallint", "007", "7".into()),
    ] {
        let test = with_table(&format!("CREATE TABLE users (name text, id {of} PRIMARY KEY)"), "id");
        let created = test.run(&["create-user", "--id", key, "--name", "A"]).success();
        assert_eq!(created.fields()[0], [canonical.as_str(), "A"]);
        test.run(&["update-user", "--id", key, "--name", "B"]).success();
        assert_eq!(test.run(&["get-user", "--id", key]).success().fields()[0][1], "B");
        let exists = test.run(&["create-user", "--id", key, "--name", "A"]).fails(5);
        assert!(exists.stderr.contains("ringshard get-user "), "{exists:?}");
        // The default of these commands is the table, too.
        assert_eq!(test.run(&["list-users", "-o", "csv"]).success().stdout.lines().count(), 2);
        let file = test.home.path().join("users.csv");
        let file = file.to_str().unwrap();
        test.run(&["export", file]).success();
        test.run(&["delete-user", "--id", key]).success();
        test.run(&["import", file]).success();
        assert_eq!(test.run(&["get-user", "--id", key]).success().fields()[0][1], "B");
        let steps = test.run(&["explain", "get-user", "--id", key]).success();
        assert!(steps.stdout.contains("ringshard.read_row"), "{steps:?}");
        test.run(&["create-user", "--name", "A"]).fails(2).says("the user id is missing");
        test.run(&["verify", "--deep"]).success();
    }
    let test = with_table("CREATE TABLE users (name text, id bigint NOT NULL)", "id");
    test.run(&["create-user", "1", "--name", "A"]).fails(78).says("is not unique");
    test.run(&["get-user", "1"]).fails(78).says("is not unique");
}

#[test]
fn values_are_stored_as_postgres_itself_would() {
    let sql = "CREATE DOMAIN cents AS integer NOT NULL; \
               CREATE DOMAIN yes AS boolean; \
               CREATE TABLE users ( \
                   id bigint PRIMARY KEY, t text, sent text, balance cents DEFAULT 7, data jsonb, ok yes, \
                   day date DEFAULT CURRENT_DATE, at timestamp DEFAULT now(), zoned timestamptz, span interval)";
    let test = with_table(sql, "id");
    for number in 1..=3 {
        let database = test.database(number);
        // A day later than in UTC, and styles in which a date has another meaning.
        for setting in ["timezone TO 'UTC-24'", "datestyle TO 'SQL, DMY'", "intervalstyle TO 'sql_standard'"]
        {
            test.execute(number, &format!("ALTER DATABASE \"{database}\" SET {setting}"));
        }
    }
    let set = ["--set", "t=x", "--set", "sent=y", "--set", "data=null", "--set", "ok=t"];
    let more = ["--set", "zoned=2026-02-03 00:00", "--set", "span=-1 day +02:00"];
    let created = json(&test, &[&["create-user", "1"], &set[..], &more].concat());
    assert_eq!((&created["t"], &created["sent"]), (&"x".into(), &"y".into()));
    assert_eq!((&created["balance"], &created["ok"]), (&7.into(), &true.into()));
    assert_eq!((&created["data"], &created["zoned"]), (&"null".into(), &"2026-02-03 00:00:00+00".into()));
    assert_eq!(created["span"], "-1 days +02:00:00");
    let shard = NAMES.iter().position(|shard| *shard == owner_among(&NAMES, 1)).unwrap() + 1;
    let as_by_default = "SELECT day = CURRENT_DATE AND at BETWEEN now()::timestamp - interval '1 hour' AND now()::timestamp \
                                AND data = 'null' FROM users";
    assert!(test.query(shard, as_by_default, &[])[0].get::<_, bool>(0));
    assert_eq!(json(&test, &["update-user", "1", "--set", "t=z"])["t"], "z");
}

#[test]
fn a_key_is_found_by_its_text_alone() {
    let sql = "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
               CREATE TABLE users (id text COLLATE ci PRIMARY KEY, name text)";
    let test = Test::new();
    // A build of Postgres without ICU has none.
    if test.client(1).batch_execute(sql).is_err() {
        return;
    }
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    test.run(&["table", "add", "users", "--key", "id"]).success();
    test.run(&["create-user", "--id", "Ann", "--name", "A"]).success();
    test.run(&["get-user", "--id", "ann"]).fails(4);
    test.run(&["delete-user", "--id", "ann"]).fails(4);
    test.run(&["update-user", "--id", "ann", "--name", "B"]).fails(4);
    test.run(&["create-user", "--id", "ann", "--name", "B"]).fails(5);
    assert_eq!(test.run(&["get-user", "--id", "Ann"]).success().fields()[0][1], "A");
}

#[test]
fn a_client_that_knows_an_earlier_table_finds_the_present_one() {
    let test = Test::new();
    test.execute(1, "CREATE TABLE users (id uuid PRIMARY KEY, name text, born date)");
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    let file = test.home.path().join(format!("state/topology-{}.json", test.cluster_id(1)));
    test.run(&["count"]).success();
    let before = std::fs::read(&file).unwrap();
    test.run(&["table", "add", "users", "--key", "id"]).success();
    let id = "0f0e0d0c-0b0a-0908-0706-050403020100";
    let set = ["--set", "born=2000-01-01"];
    for words in
        [&["create-user", id, "--name", "A"][..], &["get-user", id], &["list-users"], &["delete-user", id]]
    {
        std::fs::write(&file, &before).unwrap();
        let more = if words[0] == "create-user" { &set[..] } else { &[] };
        let ran = test.run(&[words, more].concat()).success();
        assert!(ran.stdout.contains("2000-01-01"), "{ran:?}");
    }
}

#[test]
fn a_lost_reply_is_looked_up_and_a_stale_client_finds_the_table() {
    let test = with_table(USERS, "id");
    let shard = NAMES.iter().position(|shard| *shard == owner_among(&NAMES, 1)).unwrap() + 1;
    for (cut, committed) in [(Cut::Answer, true), (Cut::Request, false)] {
        let proxy = Proxy::new(&test.database(shard), "write_row", cut);
        let urls: Vec<String> = (1..=3)
            .map(|number| if number == shard { proxy.url() } else { test.url(number) })
            .zip(NAMES)
            .map(|(url, name)| format!("{name}={url}"))
            .collect();
        let run = |words: &[&str]| {
            Ran::of(test.command().env("RINGSHARD_SHARDS", urls.join(" ")).args(words).spawn().unwrap())
        };
        let ran = run(&["create-user", "1", "--set", "full name=A", "--set", "balance=1.5"]);
        if committed {
            ran.success();
            proxy.arm();
            run(&["update-user", "1", "--set", "born=2000-01-01"]).success();
            assert!(proxy.has_cut());
            proxy.arm();
            run(&["delete-user", "1"]).success().says("deleted user `1`");
        } else {
            ran.fails(69).says("the write was not done");
            run(&["get-user", "1"]).fails(4);
        }
        assert!(proxy.has_cut());
    }
    // No process knows the topology, or one knows it from before.
    for file in std::fs::read_dir(test.home.path().join("state")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    test.run(&["create-user", "1", "--set", "full name=A"]).success();
}

#[test]
fn writes_of_users_of_any_columns_are_right_while_they_move() {
    let test = Test::new();
    test.execute(1, USERS);
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    test.run(&["table", "add", "users", "--key", "id"]).success();
    test.execute(
        1,
        "INSERT INTO users (id, \"full name\") OVERRIDING SYSTEM VALUE SELECT i, 'A' FROM generate_series(1, 60) AS i",
    );
    for number in [2, 3] {
        test.run(&["add-shard", &format!("s{number}"), &test.url(number)]).success();
    }
    let mut mover = test.command();
    mover.args(["rebalance", "-y", "--chunk-rows", "3", "--max-rows-per-sec", "10"]);
    let mover = mover.spawn().unwrap();
    thread::sleep(Duration::from_millis(500));
    let script: String = (1..=60)
        .flat_map(|id| [format!("update-user {id} --set code={id}\n"), format!("get-user {id}\n")])
        .chain((61..=80).map(|id| format!("create-user {id} --set 'full name=B'\n")))
        .chain((1..=20).map(|id| format!("delete-user {id}\n")))
        .collect();
    let file = test.home.path().join("script");
    std::fs::write(&file, script).unwrap();
    test.run(&["-f", file.to_str().unwrap()]).success();
    Ran::of(mover).success();
    let rows = super::sharded::rows(&test, "(SELECT id, code FROM users)", &[1, 2, 3]);
    let mut expected: Vec<String> =
        (21..=60).map(|id| format!("({id},{id})")).chain((61..=80).map(|id| format!("({id},)"))).collect();
    expected.sort();
    assert_eq!(rows, expected);
    test.run(&["verify", "--deep"]).success();
}

#[test]
fn a_column_that_was_added_to_the_prototypes_table_is_served_once_the_table_is_added() {
    let test = Test::initialised();
    test.run(&["create-user", "1", "--name", "A"]).success();
    test.run(&["schema", "apply", "-y", "-c", "ALTER TABLE users ADD COLUMN born date"]).success();
    test.run(&["create-user", "2", "--name", "B"]).success();
    test.run(&["update-user", "1", "--set", "born=2000-01-01"])
        .fails(2)
        .says("table add users --key user_id");
    test.run(&["table", "add", "users", "--key", "user_id"]).success();
    let updated = json(&test, &["update-user", "1", "--set", "born=2000-01-01", "--set", "region=EU"]);
    let expected = serde_json::json!({
        "user_id": 1, "name": "A", "region": "EU", "email": null, "born": "2000-01-01",
    });
    assert_eq!(updated, expected);
    assert_eq!(json(&test, &["get-user", "2"])["born"], serde_json::Value::Null);
    test.run(&["doctor"]).success();
}
