//! Tables and columns that are called like something else: a type, a variable or a part of ringshard's SQL.

use crate::support::harness::Test;

/// Each with its key.
const TABLES: [(&str, &str); 6] = [
    ("keys", "key"),
    ("\"Tokens\"", "API_KEY"),
    ("odd", "a$$b; KEY CHANGED_ROWS SHARDED_TABLE"),
    // Postgres has types of these names.
    ("path", "id"),
    ("\"interval\"", "refused"),
    ("audit.stored", "position"),
];

fn adopted() -> Test {
    let test = Test::new();
    let create = |(table, key): (&str, &str)| {
        format!(
            "CREATE TABLE {table} (\"{key}\" bigint PRIMARY KEY, r text, t text, text text, sent integer, \"rows\" integer, v integer); \
             INSERT INTO {table} SELECT i, 'r', 't', 'x', i, i, 0 FROM generate_series(1, 60) AS i; "
        )
    };
    test.execute(1, &format!("CREATE SCHEMA audit; {}", TABLES.map(create).concat()));
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    for (table, key) in TABLES {
        test.run(&["table", "add", table, "--key", key]).success();
    }
    test
}

#[test]
fn names_that_mean_something_else_do_no_harm() {
    let test = adopted();
    test.run(&["add-shard", "s2", &test.url(2)]).success();
    test.run(&["rebalance", "-y", "--chunk-rows", "50"]).success();
    for (table, key) in TABLES {
        let mut rows = 0;
        for number in [1, 2] {
            let mut client = test.other_program("postgres", number);
            // The guard compares the old and the new rows.
            let updated = client.execute(&format!("UPDATE {table} SET v = v + 1"), &[]).unwrap();
            assert!(updated > 10, "{table}");
            rows += updated;
            let other = test.query(3 - number, &format!("SELECT min(\"{key}\") FROM {table}"), &[]);
            let insert = format!("INSERT INTO {table} (\"{key}\") VALUES ($1)");
            let refused = client.execute(&insert, &[&other[0].get::<_, i64>(0)]).unwrap_err();
            assert_eq!(refused.code().unwrap().code(), "RS001", "{table}");
            let delete =
                format!("DELETE FROM {table} WHERE \"{key}\" = (SELECT min(\"{key}\") FROM {table})");
            assert_eq!(client.execute(&delete, &[]).unwrap(), 1, "{table}");
            client.batch_execute(&format!("BEGIN; TRUNCATE {table}; ROLLBACK")).unwrap();
        }
        assert_eq!(rows, 60, "{table}");
    }
    test.run(&["verify", "--deep"]).success();
    test.run(&["doctor"]).success();
    test.run(&["remove-shard", "s2"]).success();
    test.run(&["rebalance", "-y"]).success();
    for (table, _) in TABLES {
        let sum = test.query(1, &format!("SELECT count(*), sum(v) FROM {table}"), &[]);
        assert_eq!((sum[0].get(0), sum[0].get(1)), (58_i64, 58_i64), "{table}");
    }
}

#[test]
fn a_column_that_is_only_stored_in_an_index_is_no_part_of_the_key() {
    let test = Test::new();
    test.execute(
        1,
        "CREATE TABLE covered (id bigint, v integer, PRIMARY KEY (id) INCLUDE (v)); \
         INSERT INTO covered SELECT i, i FROM generate_series(1, 60) AS i; \
         CREATE TABLE emails (id bigint NOT NULL, email text); \
         CREATE UNIQUE INDEX emails_email ON emails (email) INCLUDE (id)",
    );
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    test.run(&["table", "add", "covered", "--key", "id"]).success();
    test.run(&["table", "add", "emails", "--key", "id"]).fails(78).says("emails_email does not contain `id`");
    test.run(&["add-shard", "s2", &test.url(2)]).success();
    test.run(&["rebalance", "-y"]).success();
    test.run(&["verify", "--deep"]).success();
    assert!(test.query(2, "SELECT FROM covered", &[]).len() > 10);
}
