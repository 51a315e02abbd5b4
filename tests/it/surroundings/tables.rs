//! Tables that have the right columns and are odd otherwise.

use crate::support::clusters::with_users;
use crate::support::harness::Test;

const COLUMNS: &str = "name VARCHAR(100), region VARCHAR(50), email VARCHAR(100)";

#[test]
fn tables_that_cannot_hold_users_safely_are_not_adopted() {
    let plain = format!("(user_id BIGINT PRIMARY KEY, {COLUMNS})");
    for (sql, words) in [
        (format!("CREATE UNLOGGED TABLE users {plain}"), "unlogged"),
        (format!("CREATE TABLE users {plain}; CREATE TABLE vip () INHERITS (users)"), "parent or child"),
        (
            format!(
                "CREATE TABLE people {plain}; CREATE TABLE users (PRIMARY KEY (user_id)) INHERITS (people)"
            ),
            "parent or child",
        ),
        (
            format!(
                "CREATE TABLE users (user_id BIGINT PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, {COLUMNS})"
            ),
            "deferrable",
        ),
        (
            format!(
                "CREATE TABLE users (user_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, {COLUMNS})"
            ),
            "Postgres makes the values of user_id",
        ),
        (
            "CREATE TABLE users (user_id BIGINT PRIMARY KEY, name VARCHAR(100), region VARCHAR(50), \
             email VARCHAR(100) GENERATED ALWAYS AS (name) STORED)"
                .to_owned(),
            "Postgres makes the values of email",
        ),
        (
            format!("CREATE TABLE users {plain}; CREATE RULE own AS ON INSERT TO users DO ALSO NOTIFY users"),
            "has a rule: own",
        ),
        (format!("CREATE TABLE people {plain}; CREATE VIEW users AS SELECT * FROM people"), "a view"),
    ] {
        let test = Test::new();
        test.execute(2, &sql);
        test.init().fails(78).says("shard_2").says(words);
        for number in 1..=3 {
            let made = test.query(number, "SELECT to_regclass('ringshard.meta') IS NOT NULL", &[]);
            assert!(!made[0].get::<_, bool>(0), "{words}");
        }
    }
}

#[test]
fn a_table_that_became_odd_is_named_before_anything_moves() {
    for (check, damage, repair) in [
        ("relation", "ALTER TABLE users SET UNLOGGED", "ALTER TABLE users SET LOGGED"),
        ("relation", "CREATE RULE own AS ON UPDATE TO users DO ALSO NOTIFY users", "DROP RULE own ON users"),
        ("unique", "CREATE UNIQUE INDEX own ON users (email)", "DROP INDEX own"),
        (
            "unique",
            "ALTER TABLE users ADD CONSTRAINT own EXCLUDE USING btree (email WITH =)",
            "ALTER TABLE users DROP CONSTRAINT own",
        ),
        (
            "tables",
            "ALTER TABLE users ADD CONSTRAINT own CHECK (user_id <> 7777)",
            "ALTER TABLE users DROP CONSTRAINT own",
        ),
        (
            "tables",
            "ALTER TABLE users ALTER COLUMN name SET NOT NULL",
            "ALTER TABLE users ALTER COLUMN name DROP NOT NULL",
        ),
        (
            "tables",
            "ALTER TABLE users ALTER COLUMN name TYPE varchar(100) COLLATE \"C\"",
            "ALTER TABLE users ALTER COLUMN name TYPE varchar(100) COLLATE \"default\"",
        ),
    ] {
        let test = with_users(60);
        test.run(&["add-shard", "shard_2", "--weight", "3"]).success();
        test.execute(3, damage);
        let crosses = test.run(&["doctor"]).fails(1);
        assert!(
            crosses.fields().iter().any(|fields| fields[1] == check && fields[2] == "no"),
            "{check}: {crosses:?}"
        );
        test.run(&["rebalance", "-y"]).fails(78).says("nothing was moved").says(&format!("`{check}`"));
        test.execute(3, repair);
        test.run(&["rebalance", "-y"]).success();
        test.run(&["doctor"]).success();
        assert_eq!(test.run(&["count"]).success().stdout, "60\n");
    }
}

#[test]
fn a_new_shard_accepts_what_the_others_accept() {
    let test = Test::new();
    for number in 1..=2 {
        test.execute(
            number,
            "CREATE TABLE users (user_id BIGINT PRIMARY KEY, name VARCHAR(100) NOT NULL, \
             region VARCHAR(50) COLLATE \"C\", email VARCHAR(100), CONSTRAINT at CHECK (email LIKE '%@%'))",
        );
    }
    let shards = [1, 2].map(|number| format!("shard_{number}={}", test.url(number)));
    test.run(&["init-shards", "--shard", &shards[0], "--shard", &shards[1]]).success();
    for id in 1..=30 {
        test.run(&["create-user", "--id", &id.to_string(), "--name", "x", "--email", "a@b"]).success();
    }
    test.run(&["add-shard", "shard_3", &test.url(3)]).success();
    test.run(&["rebalance", "-y"]).success();
    test.run(&["doctor"]).success();
    assert!(!test.ids(3).is_empty());
    let refused =
        test.client(3).batch_execute("INSERT INTO users VALUES (1, 'x', NULL, 'nowhere')").unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "23514");
    test.run(&["remove-shard", "shard_3"]).success();
    test.run(&["rebalance", "-y"]).success();
    assert_eq!(test.run(&["count"]).success().stdout, "30\n");
}
