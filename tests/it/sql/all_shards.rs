//! Statements that write on all shards: as one Postgres would, and on all of them or on none.

use std::thread;

use ringshard::pg::sql::{Request, run};

use super::shop::{SHARDS, Shop, cluster, rows_of};
use crate::support::clusters::filled;
use crate::support::harness::{Ran, Test};
use crate::support::servers::Servers;

fn on_all(sql: &str) -> Request<'_> {
    Request { sql, all_shards: true, ..Request::default() }
}

/// All rows of a table, in some order.
fn rows(shop: &mut Shop, table: &str) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    let sql = format!("SELECT * FROM {table}");
    let mut ours =
        run(&shop.cluster, &Request { sql: &sql, ..Request::default() }).and_then(rows_of).unwrap();
    let mut expected = shop.truth(&sql).unwrap();
    ours.sort();
    expected.sort();
    (ours, expected)
}

#[test]
fn they_do_what_they_do_in_one_postgres() {
    let mut shop = Shop::new();
    let statements = [
        "UPDATE users SET score = score + 1 WHERE region = 'EU'",
        "UPDATE users SET name = upper(name), active = NOT active",
        "UPDATE users SET score = 0 WHERE user_id IN (1, 2, 3, 4, 5)",
        "DELETE FROM orders WHERE total < 20",
        "DELETE FROM orders USING users WHERE orders.user_id = users.user_id AND users.region IS NULL",
        "UPDATE orders AS o SET total = total * 2 FROM users u WHERE u.user_id = o.user_id AND u.name LIKE 'A%'",
        "UPDATE orders SET weight = p.price FROM plans p WHERE p.plan = orders.plan",
        "UPDATE users SET score = -1 WHERE EXISTS (SELECT FROM orders o WHERE o.user_id = users.user_id AND o.number > 3)",
        "UPDATE users SET score = -2 WHERE user_id IN (SELECT user_id FROM orders WHERE plan = 2)",
        "INSERT INTO users (name, user_id, region) VALUES ('one', 1001, 'EU'), ('it''s; --', 1002, NULL), (E'a\\nb', 1003, 'US')",
        "INSERT INTO users (user_id, name) VALUES (1001, 'again'), (1004, 'new') ON CONFLICT (user_id) DO UPDATE SET name = excluded.name",
        "INSERT INTO orders (user_id, number, tags, doc) VALUES (1001, 1, ARRAY['x', 'y'], '{\"a\": [1, null]}'), (1004, 1, NULL, DEFAULT)",
        "DELETE FROM users WHERE user_id > 1000 AND NOT EXISTS (SELECT FROM orders o WHERE o.user_id = users.user_id)",
        "UPDATE plans SET price = price + 1 WHERE title IS NOT NULL",
        "INSERT INTO plans VALUES (7, 'seven', 7.5), (8, NULL, NULL)",
        "DELETE FROM plans AS p WHERE p.plan = 4",
    ];
    for sql in statements {
        shop.truth(sql).unwrap();
        let answer = run(&shop.cluster, &on_all(sql)).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        assert!(answer.done.is_some(), "{sql}");
        for table in ["users", "orders", "plans"] {
            let (ours, expected) = rows(&mut shop, table);
            assert_eq!(ours, expected, "{table} after {sql}");
        }
    }
    // Each shard has all rows of a reference table.
    for (_, number) in SHARDS {
        let count: i64 = shop.test().query(number, "SELECT count(*) FROM plans", &[])[0].get(0);
        assert_eq!(count, 5);
    }
    for sql in [
        "UPDATE users SET score = 1 WHERE user_id < 3 RETURNING user_id, score + 1, name AS who",
        "DELETE FROM plans WHERE plan > 6 RETURNING title, plan",
        "INSERT INTO users (user_id) VALUES (2001), (2002), (2003), (2004) RETURNING user_id",
    ] {
        let mut expected = shop.truth(sql).unwrap();
        let mut ours = run(&shop.cluster, &on_all(sql)).and_then(rows_of).unwrap();
        ours.sort();
        expected.sort();
        assert_eq!(ours, expected, "{sql}");
    }
    shop.test().run(&["verify", "--deep"]).success();
}

#[test]
fn what_cannot_be_done_on_each_shard_is_refused_with_the_reason() {
    let shop = Shop::new();
    let cases = [
        (
            "UPDATE users SET score = o.total FROM orders o WHERE o.number = 1",
            "not joined over their sharding keys",
        ),
        (
            "DELETE FROM users WHERE score > (SELECT avg(score) FROM users)",
            "a subquery reads rows of other shards",
        ),
        (
            "UPDATE plans SET price = u.score FROM users u WHERE u.user_id = plans.plan",
            "by rows that are not",
        ),
        ("INSERT INTO users SELECT * FROM users", "must be in VALUES"),
        ("INSERT INTO users (user_id) VALUES (3001), (3002), (3003) LIMIT 1", "must be in VALUES"),
        ("INSERT INTO users (name) VALUES ('x')", "must be in VALUES, each with its sharding key"),
        (
            "INSERT INTO plans SELECT user_id, name, 1 FROM users WHERE user_id = 1",
            "does not write rows of one table",
        ),
        ("DELETE FROM pg_class", "does not write rows of one table"),
        ("DROP TABLE users", "neither reads nor changes rows"),
        ("SELECT 1", "--all-shards is for a statement that writes"),
        (
            "UPDATE plans SET title = random()::text",
            "would have other rows in a table that is the same on all",
        ),
        ("INSERT INTO users (user_id, name) VALUES (3001, 'x'), (1, 'y'), (3002, 'z')", "duplicate key"),
        ("UPDATE users SET score = 1 / 0", "division by zero"),
    ];
    let count =
        |sql: &str| run(&shop.cluster, &Request { sql, ..Request::default() }).and_then(rows_of).unwrap();
    let before = count("SELECT count(*), sum(score), min(name) FROM users");
    for (sql, why) in cases {
        let error = run(&shop.cluster, &on_all(sql)).err().unwrap_or_else(|| panic!("{sql} was run"));
        assert!(error.message().contains(why), "{sql}: {error:?}");
        assert!(error.hint_text().is_some(), "{sql}");
    }
    assert_eq!(count("SELECT count(*), sum(score), min(name) FROM users"), before);
    shop.test().run(&["verify", "--deep"]).success();
}

#[test]
fn each_row_is_changed_once_while_rows_move() {
    let shop = Shop::new();
    run(&shop.cluster, &on_all("UPDATE users SET score = 0")).unwrap();
    let name = SHARDS[2].0;
    let mut times = 0;
    for words in [&["remove-shard", name][..], &["add-shard", "s4", &shop.test().url(5)]] {
        shop.test().run(words).success();
        let mut command = shop.test().command();
        command.args(["rebalance", "-y", "--chunk-rows", "4", "--max-rows-per-sec", "400"]);
        let mut mover = command.spawn().unwrap();
        while mover.try_wait().unwrap().is_none() {
            let sql = "UPDATE users SET score = score + 1000";
            let answer = run(&shop.cluster, &on_all(sql)).unwrap();
            assert!(answer.done.unwrap().starts_with("UPDATE 201 on "));
            times += 1;
        }
        Ran::of(mover).success();
    }
    assert!(times > 5, "{times}");
    let sql = "SELECT DISTINCT div(score, 1000), count(*) FROM users GROUP BY 1";
    let counts = run(&shop.cluster, &Request { sql, ..Request::default() }).and_then(rows_of).unwrap();
    assert_eq!(counts, [[times.to_string(), "201".to_owned()]]);
    shop.test().run(&["verify", "--deep"]).success();
}

#[test]
fn two_at_once_do_not_wait_for_each_other_for_ever() {
    let shop = Shop::new();
    run(&shop.cluster, &on_all("UPDATE users SET score = 0")).unwrap();
    let test = shop.test();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let cluster = cluster(test);
                for _ in 0..10 {
                    run(&cluster, &on_all("UPDATE users SET score = score + 1000")).unwrap();
                }
            });
        }
    });
    let sql = "SELECT min(div(score, 1000)), max(div(score, 1000)) FROM users";
    let ran = run(&shop.cluster, &Request { sql, ..Request::default() }).and_then(rows_of).unwrap();
    assert_eq!(ran, [["40", "40"]]);
}

/// The failpoints of a two-phase commit on three shards, and whether the transaction is committed behind each.
const POINTS: [(&str, bool); 7] = [
    ("before-prepare:1", false),
    ("after-prepare:1", false),
    ("after-prepare:2", false),
    ("before-decide:1", false),
    ("after-decide:1", true),
    ("after-finish:1", true),
    ("after-finish:2", true),
];

fn regions(test: &Test) -> String {
    test.run(&["sql", "SELECT region, count(*) FROM users GROUP BY region ORDER BY 1"]).success().stdout
}

/// The transactions that are prepared, and the commit records.
fn leftovers(test: &Test) -> [i64; 2] {
    let sql = "SELECT (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()), \
               (SELECT count(*) FROM ringshard.committed_transaction)";
    let counts = (1..=3).map(|number| {
        let row = &test.query(number, sql, &[])[0];
        [row.get::<_, i64>(0), row.get(1)]
    });
    counts.reduce(|one, other| [one[0] + other[0], one[1] + other[1]]).unwrap()
}

#[test]
fn a_crash_at_any_point_leaves_it_done_on_all_shards_or_on_none() {
    let test = filled(100);
    let finishers: [&[&str]; 3] = [
        &["doctor"],
        &["sql", "--all-shards", "DELETE FROM users WHERE region = 'none'"],
        &["rebalance", "-y"],
    ];
    let mut weight = 1;
    for (round, (point, is_committed)) in POINTS.iter().enumerate() {
        let before = regions(&test);
        let region = format!("r{round}");
        let sql = format!("UPDATE users SET region = '{region}'");
        let mut command = test.command();
        command.args(["sql", "--all-shards", &sql]).env("RINGSHARD_CRASH", point);
        let ran = Ran::of(command.spawn().unwrap());
        assert!(ran.code != 0 && ran.stdout.is_empty(), "{point}: {ran:?}");
        let finisher = finishers[round % 3];
        if finisher[0] == "rebalance" {
            weight += 1;
            test.run(&["add-shard", "shard_2", "--weight", &weight.to_string()]).success();
        }
        test.run(finisher).success();
        assert_eq!(leftovers(&test)[0], 0, "{point}, {finisher:?}");
        let expected = if *is_committed { format!("{region}\t99\n") } else { before };
        assert_eq!(regions(&test), expected, "{point}");
    }
    // A record may stay until the next one.
    test.run(finishers[1]).success();
    assert_eq!(leftovers(&test), [0, 0]);
    test.run(&["verify", "--deep"]).success();
}

#[test]
fn a_transaction_whose_process_is_at_work_is_left_alone() {
    let test = filled(10);
    let id = "a3b1c2d4-0000-4000-8000-000000000007";
    let mut decider = test.other_program("postgres", 1);
    let mut decision = decider.transaction().unwrap();
    let record =
        format!("INSERT INTO ringshard.committed_transaction VALUES ('{id}', '{{shard_1,shard_2}}')");
    decision.batch_execute(&record).unwrap();
    let name = format!("ringshard:{id}:shard_1:shard_2");
    let key = test.ids(2)[0];
    let prepare =
        format!("BEGIN; UPDATE users SET name = 'both' WHERE user_id = {key}; PREPARE TRANSACTION '{name}'");
    test.other_program("postgres", 2).batch_execute(&prepare).unwrap();
    let ran = test.run(&["doctor"]).success().says("still at work: 1");
    assert!(ran.stdout.contains(&name), "{ran:?}");
    assert_eq!(leftovers(&test), [1, 0]);
    decision.commit().unwrap();
    test.run(&["doctor"]).success().says("committed: 1");
    assert_eq!(leftovers(&test), [0, 0]);
    assert!(test.run(&["get-user", &key.to_string()]).success().stdout.contains("both"));
    // With a run that only reads, nothing is finished.
    test.other_program("postgres", 2).batch_execute(&prepare.replace("both", "none")).unwrap();
    test.run(&["--read-only", "doctor"]).success();
    assert_eq!(leftovers(&test), [1, 0]);
    test.run(&["doctor"]).success().says("rolled back: 1");
    assert!(test.run(&["get-user", &key.to_string()]).success().stdout.contains("both"));
}

#[test]
fn without_prepared_transactions_one_commits_after_the_other() {
    let servers = Servers::filled();
    servers.client(2).batch_execute("ALTER SYSTEM SET max_prepared_transactions = 0").unwrap();
    servers.server(2).stop().unwrap();
    servers.start(2);
    let sql = "UPDATE users SET region = 'all'";
    servers
        .run(&["sql", "--all-shards", sql])
        .success()
        .says("UPDATE 200 on 3 shards")
        .says("max_prepared_transactions is 0");
    // A constraint that is checked at the commit.
    let refuse = "CREATE TABLE no (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED); \
                  CREATE FUNCTION twice() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO no VALUES (1), (1); RETURN NULL; END $$; \
                  CREATE TRIGGER twice AFTER UPDATE ON users FOR EACH STATEMENT EXECUTE FUNCTION twice()";
    servers.client(2).batch_execute(refuse).unwrap();
    let ran = servers.run(&["sql", "--all-shards", "UPDATE users SET region = 'part'"]).fails(6);
    assert!(
        ran.stderr.contains("committed on `shard_1`") && ran.stderr.contains("rolled back on `shard_3`"),
        "{ran:?}"
    );
    let count = "SELECT region, count(*) > 0 FROM users GROUP BY 1 ORDER BY 1";
    assert_eq!(servers.run(&["sql", count]).success().stdout, "all\tyes\npart\tyes\n");
    // In two phases it is refused by all.
    servers.client(2).batch_execute("ALTER SYSTEM SET max_prepared_transactions = 10").unwrap();
    servers.server(2).stop().unwrap();
    servers.start(2);
    servers.run(&["sql", "--all-shards", "UPDATE users SET region = 'none'"]).fails(5).says("shard_2");
    assert_eq!(servers.run(&["sql", count]).success().stdout, "all\tyes\npart\tyes\n");
}

#[test]
fn a_shard_that_will_join_gets_the_changes_of_reference_tables() {
    let shop = Shop::new();
    let test = shop.test();
    test.run(&["add-shard", "s4", &test.url(5)]).success();
    test.run(&["sql", "--all-shards", "INSERT INTO plans VALUES (9, 'nine', 9)"])
        .success()
        .says("on 4 shards");
    // Another program has changed one of them.
    test.execute(5, "UPDATE plans SET title = 'x' WHERE plan = 9");
    test.run(&["rebalance", "-y"]).fails(1).says("`plans` is not the same on all shards");
    test.execute(5, "UPDATE plans SET title = 'nine' WHERE plan = 9");
    test.run(&["rebalance", "-y"]).success();
    test.run(&["verify", "--deep"]).success();
}

#[test]
fn a_shard_that_decides_and_is_lost_holds_nothing_up() {
    let servers = Servers::filled();
    for number in [2, 3] {
        let name = format!("ringshard:a3b1c2d4-0000-4000-8000-000000000007:shard_1:shard_{number}");
        let sql =
            format!("BEGIN; SELECT pg_advisory_xact_lock_shared(7283001); PREPARE TRANSACTION '{name}'");
        servers.client(number).batch_execute(&sql).unwrap();
    }
    servers.server(1).stop().unwrap();
    servers
        .run(&["remove-shard", "shard_1", "--dead", "-y"])
        .success()
        .says("rolled back, as `shard_1` had to decide");
    servers.run(&["sql", "--all-shards", "UPDATE users SET region = 'all'"]).success().says("on 2 shards");
    servers.run(&["verify", "--deep"]).success();
}
