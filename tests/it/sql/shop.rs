//! Users, orders and plans on three shards, and the same rows in one database.

use std::time::Duration;

use postgres::{Client, SimpleQueryMessage};
use ringshard::local::PrivateServer;
use ringshard::model::report::Cell;
use ringshard::pg::cluster::Cluster;
use ringshard::pg::net::conninfo::ConnectionString;
use ringshard::pg::pool::{PoolOptions, Shards};
use ringshard::pg::sql::Answer;

use crate::support::harness::Test;

/// The shards, each with the number of its database.
pub(crate) const SHARDS: [(&str, usize); 3] = [("main", 1), ("s2", 2), ("s3", 4)];
/// The database that has all rows.
const WHOLE: usize = 3;

const TABLES: &str = "\
    CREATE TABLE users (user_id bigint PRIMARY KEY, name text, region varchar(20), score numeric(12, 3), active boolean, \
        joined timestamptz); \
    CREATE TABLE orders (user_id bigint NOT NULL REFERENCES users, number integer, total numeric(12, 2), plan smallint, weight double precision, \
        waited interval, tags text[], doc jsonb, PRIMARY KEY (user_id, number)); \
    CREATE TABLE plans (plan smallint PRIMARY KEY, title text, price numeric(8, 1))";

const ROWS: &str = "\
    INSERT INTO users SELECT i, CASE WHEN i % 11 > 0 THEN (ARRAY['Ada', 'bo', 'Élan', 'cy', 'O''Hara', 'a\\b'])[i % 6 + 1] || i % 7 END, \
        (ARRAY['EU', 'US', 'apac', NULL])[i % 4 + 1], (i * 37 % 1000)::numeric / 8, \
        CASE i % 3 WHEN 0 THEN true WHEN 1 THEN false END, '2024-01-01 00:00+00'::timestamptz + i * interval '7 hours' \
        FROM generate_series(-20, 180) AS i; \
    INSERT INTO orders SELECT i, n, (i * n * 31 % 500)::numeric / 4, nullif(i % 4, 0), ((i + n) % 16)::float8 / 4, \
        (i + n) * interval '1 minute', CASE WHEN n = 1 THEN ARRAY['x', 'y' || i % 3] END, \
        jsonb_build_object('n', n, 'kind', (ARRAY['a', 'b'])[n % 2 + 1]) \
        FROM generate_series(-20, 180) AS i, generate_series(1, 4) AS n WHERE n <= abs(i) % 5; \
    INSERT INTO plans VALUES (1, 'one', 10), (2, 'two', 20.5), (3, NULL, NULL), (4, 'none', 0)";

/// A cluster of three shards with these rows.
pub(crate) struct Shop {
    test: Test,
    pub(crate) cluster: Cluster,
    whole: Client,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let test = Test::new();
        for number in [SHARDS[0].1, WHOLE] {
            test.execute(number, TABLES);
            test.execute(number, ROWS);
        }
        test.run(&["init-shards", "--shard", &format!("main={}", test.url(1)), "--vnodes", "20"]).success();
        for words in
            [&["users", "--key", "user_id"][..], &["orders", "--key", "user_id"], &["plans", "--reference"]]
        {
            test.run(&[&["table", "add"], words].concat()).success();
        }
        for (name, number) in &SHARDS[1..] {
            test.run(&["add-shard", name, &test.url(*number)]).success();
        }
        test.run(&["rebalance", "-y"]).success();
        let cluster = cluster(&test);
        let whole = test.client(WHOLE);
        Self { test, cluster, whole }
    }

    pub(crate) fn test(&self) -> &Test {
        &self.test
    }

    /// The answer of the database that has all rows, or its error.
    pub(crate) fn truth(&mut self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        let messages = self.whole.simple_query(sql).map_err(|cause| cause.to_string())?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).unwrap_or("NULL").to_owned()).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }
}

pub(crate) fn cluster(test: &Test) -> Cluster {
    let entries =
        SHARDS.map(|(name, number)| (name.parse().unwrap(), ConnectionString::new(test.url(number))));
    let private = PrivateServer::at(Some(test.home.path()), None).unwrap();
    let options = PoolOptions { connect_timeout: Duration::from_secs(5), size: 2, statement_timeout: None };
    let cluster = Cluster::open(Shards::new(entries, private, options).unwrap(), None, None).unwrap();
    cluster.refresh().unwrap();
    cluster
}

/// The rows of an answer, as psql would write the values.
pub(crate) fn rows_of(answer: Answer) -> Result<Vec<Vec<String>>, ringshard::error::Error> {
    let text = |cell: Cell| match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Text(text) | Cell::Number(text) => text,
        Cell::Bool(is_true) => if is_true { "t" } else { "f" }.to_owned(),
        other => panic!("{other:?}"),
    };
    answer.rows.map(|row| Ok(row?.1.into_iter().map(text).collect())).collect()
}
