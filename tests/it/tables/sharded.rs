//! Three tables with foreign keys over the key: from one database to three shards and back.

use crate::support::harness::{Ran, Test};
use crate::support::rings::owner_among;

/// An application's tables in the first database: users, their orders, and what was paid for these.
const TABLES: &str = "\
    CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, created_at timestamptz NOT NULL DEFAULT now()); \
    CREATE TABLE orders ( \
        user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, number integer, data jsonb, total numeric(12, 2), \
        PRIMARY KEY (user_id, number)); \
    CREATE INDEX orders_total ON orders (total); \
    CREATE TABLE payments ( \
        user_id bigint NOT NULL, number integer NOT NULL, paid money, \
        FOREIGN KEY (user_id, number) REFERENCES orders ON DELETE CASCADE)";

const ROWS: &str = "\
    INSERT INTO users SELECT i, 'Name ' || i FROM generate_series(1, 300) AS i; \
    INSERT INTO orders SELECT i % 300 + 1, i, jsonb_build_object('i', i, 't', repeat('\"x', i % 50)), i / 7.0 \
        FROM generate_series(1, 900) AS i; \
    INSERT INTO payments SELECT user_id, number, number::money FROM orders WHERE number % 2 = 0";

pub(super) const ALL: [&str; 3] = ["users", "orders", "payments"];

/// A cluster of the one shard `main`, an application's database, which is `test`'s first.
pub(super) fn adopted() -> Test {
    let test = Test::new();
    test.execute(1, TABLES);
    test.execute(1, ROWS);
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    assert_eq!(test.run(&["table", "list"]).success().stdout, "");
    for (table, key) in [("users", "id"), ("orders", "user_id"), ("payments", "user_id")] {
        test.run(&["table", "add", table, "--key", key]).success();
    }
    test
}

pub(super) fn grow(test: &Test) -> Ran {
    for number in [2, 3] {
        test.run(&["add-shard", &format!("s{number}"), &test.url(number)]).success();
    }
    test.run(&["rebalance", "-y"])
}

/// All rows of a table on some of the databases, as texts.
pub(super) fn rows(test: &Test, table: &str, databases: &[usize]) -> Vec<String> {
    let sql = format!("SELECT t::text FROM {table} AS t");
    let mut all: Vec<String> =
        databases.iter().flat_map(|number| test.query(*number, &sql, &[])).map(|row| row.get(0)).collect();
    all.sort();
    all
}

#[test]
fn an_application_grows_from_one_database_to_three_and_back() {
    let test = adopted();
    let listed = test.run(&["table", "list"]).success();
    let kinds: Vec<_> = listed.fields().iter().map(|fields| fields[..5].join(" ")).collect();
    assert_eq!(
        kinds,
        [
            "orders sharded user_id bigint 900",
            "payments sharded user_id bigint 450",
            "users sharded id bigint 300"
        ]
    );
    let before = ALL.map(|table| rows(&test, table, &[1]));
    grow(&test).success();
    assert_eq!(ALL.map(|table| rows(&test, table, &[1, 2, 3])), before);
    let names = ["main", "s2", "s3"];
    for number in 1..=3 {
        for (table, key) in [("users", "id"), ("orders", "user_id"), ("payments", "user_id")] {
            let keys = test.query(number, &format!("SELECT DISTINCT {key} FROM {table}"), &[]);
            assert!(keys.len() > 20, "{table} of {number}");
            for row in keys {
                assert_eq!(owner_among(&names, row.get::<_, i64>(0)), names[number - 1], "{table}");
            }
        }
        let indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = 'orders'";
        assert_eq!(test.query(number, indexes, &[])[0].get::<_, i64>(0), 2);
    }
    test.run(&["verify", "--deep"]).success();
    test.run(&["doctor"]).success();
    let located = test.run(&["ring", "locate", "7", "x"]).success();
    assert_eq!(located.fields()[0][3..5], [owner_among(&names, 7), owner_among(&names, 7)]);
    assert_eq!(located.fields()[1][4], "\\N");
    assert_eq!(test.run(&["table", "list"]).success().fields().len(), 3);
    for number in [2, 3] {
        test.run(&["remove-shard", &format!("s{number}")]).success();
    }
    test.run(&["rebalance", "-y"]).success();
    assert_eq!(ALL.map(|table| rows(&test, table, &[1])), before);
    assert_eq!(ALL.map(|table| rows(&test, table, &[2, 3])).concat(), Vec::<String>::new());
    test.run(&["verify", "--deep"]).success();
}

#[test]
fn the_guard_watches_each_table() {
    let test = adopted();
    grow(&test).success();
    let names = ["main", "s2", "s3"];
    let foreign = (1..=300_i64).find(|id| owner_among(&names, *id) == "s2").unwrap();
    let mut client = test.other_program("postgres", 1);
    // The foreign key would refuse it first.
    client.batch_execute("SET session_replication_role = replica").unwrap();
    let refused = client.execute("INSERT INTO orders VALUES ($1, 5000)", &[&foreign]).unwrap_err();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code().code(), "RS001");
    let expected =
        format!("key `{foreign}` of table public.orders does not belong on shard `main`: its owner is `s2`");
    assert_eq!(refused.message(), expected);
    let own = (1..=300_i64).find(|id| owner_among(&names, *id) == "main").unwrap();
    client.execute("INSERT INTO orders VALUES ($1, 5000)", &[&own]).unwrap();
    let moved = "UPDATE orders SET user_id = $1 WHERE number = 5000";
    assert_eq!(client.execute(moved, &[&foreign]).unwrap_err().code().unwrap().code(), "RS001");
    client.batch_execute("TRUNCATE users, orders, payments").unwrap();
    let refused = client.execute("INSERT INTO users VALUES ($1, 'x')", &[&foreign]).unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "RS001");
}

#[test]
fn misplaced_rows_of_any_table_are_found_and_repaired() {
    let test = adopted();
    grow(&test).success();
    let before = ALL.map(|table| rows(&test, table, &[1, 2, 3]));
    let names = ["main", "s2", "s3"];
    let ids: Vec<i64> = (1..=300).filter(|id| owner_among(&names, *id) == "s2").take(3).collect();
    // One user with everything is only on a wrong shard; one is there too, equal; of one an order differs.
    for (at, id) in ids.iter().enumerate() {
        for table in ALL {
            let key = if table == "users" { "id" } else { "user_id" };
            let found = test.query(2, &format!("SELECT t::text FROM {table} AS t WHERE {key} = $1"), &[id]);
            for row in found {
                let put = format!("INSERT INTO {table} SELECT ($1::text::{table}).*");
                test.client(1).execute(&put, &[&row.get::<_, &str>(0)]).unwrap();
            }
        }
        match at {
            0 => test.execute(2, &format!("DELETE FROM users WHERE id = {id}")),
            2 => test.execute(1, &format!("UPDATE orders SET total = -1 WHERE user_id = {id}")),
            _ => {}
        }
    }
    test.run(&["rebalance", "-y"]).success();
    let found = test.run(&["verify", "--deep"]).fails(1);
    let main: Vec<i64> = found.fields()[0][1..].iter().take(5).map(|field| field.parse().unwrap()).collect();
    // 1 user, 3 orders and 1 or 2 payments each.
    assert!(main[1] >= 15 && main[2] >= 10 && main[3] == 3, "{found:?}");
    test.run(&["verify", "--deep", "--fix", "-y"]).success();
    assert_eq!(ALL.map(|table| rows(&test, table, &[1, 2, 3])), before);
    test.run(&["verify", "--deep"]).success();
    let aside =
        test.query(1, "SELECT table_name, (contents::orders).total::text FROM ringshard.quarantine", &[]);
    assert_eq!(aside.len(), 3);
    assert!(aside.iter().all(|row| (row.get(0), row.get(1)) == ("public.orders", "-1.00")));
}

#[test]
fn a_table_is_removed_and_added_again() {
    let test = adopted();
    test.run(&["table", "add", "users", "--key", "id"]).fails(5).says("is sharded by `id` already");
    test.run(&["table", "add", "nothing", "--key", "id"]).fails(4).says("no table `nothing`");
    test.run(&["table", "add", "users", "--key", "x"]).fails(4);
    test.run(&["table", "remove", "payments"]).success();
    test.run(&["table", "remove", "payments"]).fails(4);
    assert_eq!(test.run(&["table", "list"]).success().fields().len(), 2);
    let triggers =
        "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'payments'::regclass AND tgname LIKE 'ringshard%'";
    assert_eq!(test.query(1, triggers, &[])[0].get::<_, i64>(0), 0);
    // A foreign key of a table that does not move with the others.
    for number in [2, 3] {
        test.run(&["add-shard", &format!("s{number}"), &test.url(number)]).success();
    }
    test.run(&["rebalance", "-y"])
        .fails(78)
        .says("foreign key `payments_user_id_number_fkey` of table payments");
    test.run(&["table", "add", "payments", "--key", "user_id"]).fails(75).says("ringshard rebalance");
    for number in [2, 3] {
        test.run(&["remove-shard", &format!("s{number}")]).success();
    }
    test.run(&["table", "add", "payments", "--key", "user_id"]).success();
    test.run(&["verify"]).success();
}

#[test]
fn reference_tables_are_the_same_on_every_shard() {
    let test = Test::new();
    test.execute(
        1,
        "CREATE TABLE countries (code text PRIMARY KEY, name text); \
         INSERT INTO countries VALUES ('FR', 'France'), ('JP', E'Jap\\tan'); \
         CREATE TABLE people (id bigint PRIMARY KEY, country text REFERENCES countries); \
         INSERT INTO people SELECT i, CASE i % 3 WHEN 0 THEN 'FR' WHEN 1 THEN 'JP' END FROM generate_series(1, 100) AS i",
    );
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    test.run(&["table", "add", "people", "--key", "id"]).success();
    test.run(&["add-shard", "s2", &test.url(2)]).fails(78).says("countries").says("ringshard table add");
    test.run(&["table", "add", "countries", "--reference"]).success();
    let listed = test.run(&["table", "list"]).success();
    assert_eq!(listed.fields()[0][..5], ["countries", "reference", "\\N", "\\N", "2"]);
    test.run(&["add-shard", "s2", &test.url(2)]).success();
    assert_eq!(rows(&test, "countries", &[2]), rows(&test, "countries", &[1]));
    test.run(&["rebalance", "-y"]).success();
    assert_eq!(rows(&test, "people", &[1, 2]).len(), 100);
    test.run(&["verify", "--deep"]).success();
    let change = "UPDATE countries SET name = 'Nippon' WHERE code = 'JP'";
    test.execute(2, change);
    test.run(&["verify"]).fails(1).says("countries").says("not the same on all shards");
    test.execute(1, change);
    test.run(&["verify"]).success();
    test.run(&["table", "remove", "countries"]).success();
    test.execute(2, "UPDATE countries SET name = 'x' WHERE code = 'FR'");
    test.run(&["table", "add", "countries", "--reference"]).fails(1).says("not the same on all shards");
}
