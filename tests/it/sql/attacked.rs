//! Statements by which an attack got a wrong answer, or wrote where it should not: each agrees with one Postgres now, or is refused.

use ringshard::error::Kind;
use ringshard::pg::sql::{Request, run};

use super::shop::{SHARDS, Shop, rows_of};

const READS: [&str; 46] = [
    "SELECT user_id FROM users WHERE user_id = 5 UNION ALL SELECT user_id FROM (TABLE orders) x",
    "SELECT u.user_id, g FROM users u, generate_series(1, (SELECT count(*) FROM orders)) g WHERE u.user_id = 5",
    "SELECT user_id FROM users WHERE user_id = 5 ORDER BY 1 LIMIT (SELECT count(*) FROM orders WHERE user_id = 7)",
    "SELECT count(*) FROM plans CROSS JOIN (TABLE users) u",
    "SELECT count(*) FROM plans, generate_series(1, (SELECT count(*) FROM users)) g",
    "SELECT title FROM plans LIMIT (SELECT count(*) FROM orders WHERE number = 3 AND user_id = 3)",
    "SELECT count(*) FROM (SELECT * FROM plans LIMIT (SELECT count(*) FROM users WHERE user_id < 3)) x",
    "SELECT number % 2, count(*) FROM orders GROUP BY (number % 2)",
    "SELECT o.number % 2, count(*) FROM orders o GROUP BY number % 2",
    "SELECT ((number)) % 2, count(*) FROM orders GROUP BY number % 2 ORDER BY 1",
    "SELECT number % 2 AS x, count(*) FROM orders GROUP BY 1 ORDER BY orders.number % 2",
    "SELECT number % 2 AS x, count(*) FROM orders GROUP BY 1 HAVING orders.number % 2 >= 0",
    "SELECT CASE WHEN number = 1 THEN 1 END, count(*) FROM orders GROUP BY (CASE WHEN number = 1 THEN 1 END)",
    "SELECT NOT number = 1, count(*) FROM orders GROUP BY (NOT number = 1)",
    "SELECT o.user_id, count(*) FROM users u LEFT JOIN orders o ON u.user_id = o.user_id GROUP BY o.user_id",
    "SELECT DISTINCT o.user_id FROM users u LEFT JOIN orders o ON u.user_id = o.user_id",
    "SELECT o.user_id, row_number() OVER (PARTITION BY o.user_id ORDER BY u.user_id) FROM users u LEFT JOIN orders o ON u.user_id = o.user_id",
    "SELECT u.user_id FROM users u LEFT JOIN orders o USING (user_id) WHERE o.user_id NOT IN (SELECT user_id FROM orders x WHERE x.number = 1 AND x.user_id < 3)",
    "SELECT a.user_id, a.number, b.user_id FROM orders a LEFT JOIN orders b ON a.number = b.number LEFT JOIN plans p ON a.user_id = b.user_id",
    "SELECT a.user_id, a.number, u.name FROM orders a LEFT JOIN users u ON a.number = u.user_id LEFT JOIN plans p ON a.user_id = u.user_id AND p.price = 1 WHERE a.user_id = 7",
    "SELECT u.user_id, (SELECT count(*) FROM orders o LEFT JOIN plans p ON o.user_id = u.user_id) FROM users u",
    "SELECT (SELECT count(*) FROM orders o LEFT JOIN plans p ON o.user_id = u.user_id) FROM users u WHERE u.user_id = 5",
    "SELECT u.user_id FROM orders o JOIN plans p ON o.user_id = 5 RIGHT JOIN users u USING (user_id)",
    "SELECT u.user_id FROM users u LEFT JOIN (orders o JOIN plans p ON o.user_id = 5) USING (user_id)",
    "SELECT user_id, count(*) FROM (SELECT user_id, number FROM orders UNION ALL SELECT number, user_id FROM orders) x GROUP BY user_id",
    "SELECT u.user_id, x.z FROM users u JOIN (SELECT number AS z, user_id FROM orders UNION ALL SELECT user_id, number FROM orders) x ON x.user_id = u.user_id",
    "SELECT (SELECT count(u.user_id)) FROM users u",
    "SELECT (SELECT max(u.region) FROM plans LIMIT 1) FROM users u",
    "SELECT (SELECT max(region) FROM plans LIMIT 1) FROM users",
    "SELECT array(SELECT count(u.user_id)) FROM users u",
    "SELECT user_id FROM users WHERE user_id IN (SELECT DISTINCT ON (number) user_id FROM orders ORDER BY number, user_id)",
    "SELECT user_id FROM users WHERE user_id IN ((SELECT user_id FROM orders) ORDER BY user_id LIMIT 1)",
    "SELECT region, 1 AS one, count(*) FROM users GROUP BY region, one ORDER BY 1",
    "SELECT region, 2 AS two, count(*) FROM users GROUP BY region, two ORDER BY 2, 3",
    "SELECT DISTINCT ON (2) p.*, o.user_id FROM orders o CROSS JOIN plans p ORDER BY 2, 1, 3, 4",
    "SELECT DISTINCT ON (count(*)) 1 FROM orders",
    "SELECT DISTINCT ON (row_number() OVER (ORDER BY user_id)) 1 FROM users",
    "SELECT count(*) FROM (TABLE orders) x, users",
    "WITH orders AS (SELECT * FROM orders) SELECT count(*) FROM orders o, users u",
    "WITH orders AS (SELECT * FROM orders) SELECT count(*) FROM orders",
    "SELECT 1 FROM users HAVING true",
    "SELECT u.user_id, (SELECT sum(i.total) FROM orders i WHERE i.user_id = u.user_id) FROM users u",
    "SELECT user_id, (SELECT avg(price) FROM plans) FROM users WHERE user_id < 9",
    "SELECT region AS ringshard_g1, count(*) FROM users GROUP BY 1",
    "SELECT u.name, count(*) FROM users u JOIN orders o USING (user_id) GROUP BY u.user_id",
    "SELECT count(*) FROM view_of_orders v, users u WHERE u.user_id = 5",
];

#[test]
fn reads_agree_or_are_refused() {
    let mut shop = Shop::new();
    for number in SHARDS.map(|(_, number)| number).into_iter().chain([3]) {
        shop.test().execute(number, "CREATE VIEW view_of_orders AS SELECT * FROM orders");
    }
    let mut answered = 0;
    for sql in READS {
        let mut expected = shop.truth(sql).unwrap_or_else(|why| panic!("{sql}: {why}"));
        expected.sort();
        for gather in [None, Some(100_000)] {
            match run(&shop.cluster, &Request { sql, gather, ..Request::default() }).and_then(rows_of) {
                Ok(mut rows) => {
                    rows.sort();
                    assert_eq!(rows, expected, "{sql}");
                    answered += 1;
                }
                Err(error) => {
                    assert!([Kind::Usage, Kind::Failed].contains(&error.kind()), "{sql}: {error:?}");
                }
            }
        }
    }
    assert!(answered > READS.len(), "{answered}");
    let sorted = "(SELECT user_id FROM users ORDER BY user_id)";
    let rows = rows_of(run(&shop.cluster, &Request { sql: sorted, ..Request::default() }).unwrap()).unwrap();
    assert_eq!(rows, shop.truth(sorted).unwrap());
}

#[test]
fn writes_change_what_their_key_names_or_nothing() {
    let shop = Shop::new();
    for (_, number) in SHARDS {
        shop.test().execute(number, "CREATE VIEW view_of_orders AS SELECT * FROM orders");
    }
    let state = || -> Vec<Vec<String>> {
        let of = |sql| rows_of(run(&shop.cluster, &Request { sql, ..Request::default() }).unwrap()).unwrap();
        let plans = "SELECT sum(price), count(*) FROM plans";
        let by_shard = |(name, _): (&str, usize)| {
            let request =
                Request { sql: plans, per_shard: vec![name.parse().unwrap()], ..Request::default() };
            rows_of(run(&shop.cluster, &request).unwrap()).unwrap()
        };
        let tables = [
            "SELECT count(*), sum(total), max(number) FROM orders",
            "SELECT count(*), max(region) FROM users",
        ];
        tables.map(of).into_iter().chain(SHARDS.map(by_shard)).flatten().collect()
    };
    let before = state();
    for (sql, key) in [
        (
            "DELETE FROM orders USING orders o JOIN plans p ON o.user_id = 5 RIGHT JOIN users u USING (user_id) WHERE orders.user_id = u.user_id",
            None,
        ),
        (
            "UPDATE orders SET total = 3 FROM users u JOIN plans p ON u.user_id = 1 RIGHT JOIN users v USING (user_id) WHERE orders.user_id = v.user_id",
            None,
        ),
        ("UPDATE plans SET price = 99 FROM users WHERE users.user_id = 5", None),
        ("DELETE FROM plans USING users WHERE users.user_id = 5", None),
        ("UPDATE plans SET price = (SELECT 7 FROM users WHERE user_id = 5)", None),
        ("UPDATE plans SET price = 55", Some("5")),
        ("INSERT INTO plans VALUES (9, 'x', 1)", Some("5")),
        ("UPDATE view_of_orders SET total = 0 FROM users WHERE users.user_id = 5", None),
        ("UPDATE users SET region = (SELECT count(*)::text FROM view_of_orders) WHERE user_id = 5", None),
        (
            "INSERT INTO orders (user_id, number, total) VALUES (5, 100, (SELECT sum(total) FROM orders))",
            None,
        ),
        (
            "INSERT INTO orders (user_id, number) VALUES (5, 1) ON CONFLICT (user_id, number) DO UPDATE SET total = (SELECT count(*) FROM users)",
            None,
        ),
        ("INSERT INTO orders (user_id, number) VALUES (5, 100) RETURNING (SELECT count(*) FROM users)", None),
        (
            "UPDATE orders SET total = g FROM generate_series(1, (SELECT count(*) FROM users)) g WHERE user_id = 5",
            None,
        ),
        (
            "UPDATE orders o SET total = (SELECT count(*) FROM orders x LEFT JOIN plans p ON x.user_id = o.user_id) WHERE o.user_id = 5",
            None,
        ),
        ("DELETE FROM users", Some("12")),
        ("DELETE FROM orders WHERE user_id = 5", Some("6")),
    ] {
        let answer = run(&shop.cluster, &Request { sql, key, ..Request::default() });
        assert_eq!(answer.map(|answer| answer.done).unwrap_err().kind(), Kind::Usage, "{sql}");
        assert_eq!(state(), before, "{sql}");
    }
    // These are as they say.
    for (sql, key, done) in [
        (
            "UPDATE orders o SET total = u.score FROM users u WHERE u.user_id = o.user_id AND o.user_id = 6",
            None,
            "UPDATE 1",
        ),
        (
            "DELETE FROM orders WHERE user_id = 7 AND number IN (SELECT max(number) FROM orders WHERE user_id = 7)",
            None,
            "DELETE 1",
        ),
        ("INSERT INTO orders (user_id, number) VALUES (2 + 6, 77)", Some("8"), "INSERT 0 1"),
    ] {
        let answer = run(&shop.cluster, &Request { sql, key, ..Request::default() }).unwrap();
        assert!(answer.done.clone().unwrap().starts_with(done), "{sql}: {:?}", answer.done);
    }
}
