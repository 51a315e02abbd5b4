//! What a table may have: each kind of column and key arrives as it was, and what cannot move is refused.

use crate::support::harness::Test;
use crate::support::rings::owner_among;

/// Columns of many types, whose text depends on settings, or whose OIDs differ between databases.
const ODD: &str = "\
    CREATE SCHEMA shop; \
    CREATE TYPE shop.mood AS ENUM ('sad', 'so-so', 'it''s \"fine\"'); \
    CREATE DOMAIN shop.positive AS integer CHECK (VALUE > 0); \
    CREATE TYPE shop.pair AS (a integer, b text); \
    CREATE TABLE shop.\"Odd, really\" ( \
        \"Key\" text NOT NULL, n bigint GENERATED ALWAYS AS IDENTITY, dropped integer, \
        doubled bigint GENERATED ALWAYS AS (small * 2) STORED, small smallint, \
        mood shop.mood, moods shop.mood[], positive shop.positive, pair shop.pair, pairs shop.pair[], \
        f4 real, f8 float8, num numeric, cash money, raw bytea, at timestamptz, day date, span interval, \
        numbers int4range, bits bit(5), doc jsonb, doc_text json, mark xml, net inet, words text[], big text, \
        PRIMARY KEY (\"Key\", n)); \
    ALTER TABLE shop.\"Odd, really\" DROP COLUMN dropped; \
    INSERT INTO shop.\"Odd, really\" (\"Key\", small, mood, moods, positive, pair, pairs, f4, f8, num, cash, raw, at, day, span, \
        numbers, bits, doc, doc_text, mark, net, words, big) \
    SELECT (ARRAY['', ' ', 'a,b', 'quote\"', 'it''s', E'back\\\\slash', E'new\\nline', '(x)', '{y}', 'NULL', 'é', '日本', E'\\t', '1e3'])[i % 14 + 1] || i / 14, \
        i % 100, 'it''s \"fine\"', ARRAY['sad', NULL, 'so-so']::shop.mood[], i, (i, 'b,\"')::shop.pair, ARRAY[(1, NULL), (NULL, '')]::shop.pair[], \
        0.1::real * i, 1.0::float8 / 3 * i, 'NaN', i::money, decode('00ff0a5c', 'hex'), '2024-02-29 12:34:56.789+02', '4713-01-01 BC', \
        '-1 year 2 days -03:04:05.6', int4range(i, NULL), B'10101', '{\"a\": [1, null, \"\\\\u00e9\\\"\"]}', '{\"b\" : 1,  \"b\": 2}', \
        '<a b=\"c\">&amp;</a>', '192.168.0.1/24', ARRAY[['a', 'NULL'], ['\"', NULL]], repeat('x', CASE WHEN i = 7 THEN 3000000 ELSE i END) \
    FROM generate_series(1, 280) AS i";

/// A text of each row, in an order of its own.
const ROWS: &str = "SELECT t::text FROM shop.\"Odd, really\" AS t ORDER BY 1";

fn grown_to_two(test: &Test, tables: &[(&str, &str)]) {
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    for (table, key) in tables {
        test.run(&["table", "add", table, "--key", key]).success();
    }
    test.run(&["add-shard", "s2", &test.url(2)]).success();
    test.run(&["rebalance", "-y"]).success();
}

fn rows(test: &Test, sql: &str, databases: &[usize]) -> Vec<String> {
    let mut all: Vec<String> =
        databases.iter().flat_map(|number| test.query(*number, sql, &[])).map(|row| row.get(0)).collect();
    all.sort();
    all
}

#[test]
fn values_of_every_type_arrive_as_they_were() {
    let test = Test::new();
    test.execute(1, ODD);
    // Settings of the databases that change how values are written.
    for (number, settings) in [
        (
            1,
            "DateStyle = 'SQL, DMY'; IntervalStyle = 'iso_8601'; extra_float_digits = 0; TimeZone = 'Asia/Tokyo'",
        ),
        (
            2,
            "DateStyle = 'German'; bytea_output = 'escape'; IntervalStyle = 'sql_standard'; TimeZone = 'America/Lima'",
        ),
    ] {
        for setting in settings.split("; ") {
            test.execute(number, &format!("ALTER DATABASE {} SET {setting}", test.database(number)));
        }
    }
    let plain = format!(
        "SET DateStyle = ISO; SET TimeZone = UTC; SET bytea_output = hex; SET IntervalStyle = postgres; SET extra_float_digits = 3; {ROWS}"
    );
    let read = |databases: &[usize]| {
        let mut all = Vec::new();
        for number in databases {
            for message in test.client(*number).simple_query(&plain).unwrap() {
                if let postgres::SimpleQueryMessage::Row(row) = message {
                    all.push(row.get(0).unwrap().to_owned());
                }
            }
        }
        all.sort();
        all
    };
    let before = read(&[1]);
    assert_eq!(before.len(), 280);
    grown_to_two(&test, &[("shop.\"Odd, really\"", "Key")]);
    assert_eq!(read(&[1, 2]), before);
    for (number, name) in [(1, "main"), (2, "s2")] {
        let keys = test.query(number, "SELECT \"Key\" FROM shop.\"Odd, really\"", &[]);
        assert!(keys.len() > 50);
        assert!(keys.iter().all(|row| owner_among(&["main", "s2"], row.get::<_, &str>(0)) == name));
    }
    test.run(&["verify", "--deep"]).success();
    test.run(&["remove-shard", "s2"]).success();
    test.run(&["rebalance", "-y", "--chunk-rows", "7"]).success();
    assert_eq!(read(&[1]), before);
}

#[test]
fn keys_of_each_type_lie_where_their_texts_do() {
    let test = Test::new();
    let types = ["smallint", "integer", "bigint", "text", "character varying(40)", "uuid"];
    let mut tables = Vec::new();
    for (at, of) in types.iter().enumerate() {
        let key = if *of == "uuid" { "md5(i::text)::uuid".into() } else { format!("(i * 7 - 500)::{of}") };
        test.execute(
            1,
            &format!("CREATE TABLE t{at} (k {of} NOT NULL); INSERT INTO t{at} SELECT {key} FROM generate_series(1, 100) AS i"),
        );
        tables.push(format!("t{at}"));
    }
    let tables: Vec<(&str, &str)> = tables.iter().map(|table| (table.as_str(), "k")).collect();
    grown_to_two(&test, &tables);
    for (table, _) in &tables {
        let mut count = 0;
        for (number, name) in [(1, "main"), (2, "s2")] {
            for row in test.query(number, &format!("SELECT k::text FROM {table}"), &[]) {
                assert_eq!(owner_among(&["main", "s2"], row.get::<_, &str>(0)), name, "{table}");
                count += 1;
            }
        }
        assert_eq!(count, 100, "{table}");
    }
    test.run(&["verify"]).success();
}

#[test]
fn a_key_with_more_rows_than_fit_into_memory_is_streamed() {
    let test = Test::new();
    test.execute(
        1,
        "CREATE TABLE t (k integer NOT NULL, i integer, v text); \
         INSERT INTO t SELECT i % 3, i, repeat(md5(i::text), 10) FROM generate_series(1, 40000) AS i",
    );
    let sum = "SELECT coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM t AS t";
    let whole: String = test.query(1, sum, &[])[0].get(0);
    grown_to_two(&test, &[("t", "k")]);
    let parts: Vec<String> = rows(&test, sum, &[1, 2]);
    let total: i128 = parts.iter().map(|part| part.parse::<i128>().unwrap()).sum();
    assert_eq!(total.to_string(), whole);
    assert!(rows(&test, "SELECT k::text FROM t LIMIT 1", &[2]).len() == 1, "no key of 0 to 2 belongs to s2");
    test.run(&["verify", "--deep"]).success();
}

#[test]
fn tables_that_cannot_be_sharded_are_refused_with_the_reason() {
    let test = Test::new();
    test.execute(
        1,
        "CREATE TABLE nullable (k bigint); CREATE UNLOGGED TABLE unlogged (k bigint NOT NULL); \
         CREATE TABLE parent (k bigint NOT NULL); CREATE TABLE child () INHERITS (parent); \
         CREATE VIEW seen AS SELECT 1::bigint AS k; \
         CREATE TABLE dated (k date NOT NULL); CREATE TABLE other (k bigint NOT NULL, id bigint PRIMARY KEY); \
         CREATE FOREIGN DATA WRAPPER elsewhere; CREATE SERVER far FOREIGN DATA WRAPPER elsewhere; \
         CREATE FOREIGN TABLE remote (k bigint NOT NULL) SERVER far; \
         CREATE TABLE ruled (k bigint NOT NULL); CREATE RULE r AS ON DELETE TO ruled DO INSTEAD NOTHING",
    );
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    for (table, why) in [
        ("nullable", "`k` may be NULL"),
        ("unlogged", "is unlogged"),
        ("parent", "parent or child"),
        ("seen", "is a view"),
        ("remote", "is a foreign table"),
        ("dated", "a sharding key of type date is not supported"),
        ("other", "other_pkey does not contain `k`"),
        ("ruled", "has a rule"),
        ("ruled", "run on each shard, with psql: DROP RULE r ON "),
    ] {
        test.run(&["table", "add", table, "--key", "k"]).fails(78).says(why);
    }
    test.run(&["table", "add", "other", "--key", "k", "--unchecked-unique", "other_pkey"]).success();
    assert_eq!(test.run(&["table", "list"]).success().fields().len(), 1);
    test.run(&["doctor"]).success();
}

#[test]
fn rows_of_other_shards_keep_a_table_from_being_added() {
    let test = Test::initialised();
    for number in 1..=3 {
        test.execute(number, "CREATE TABLE t (k bigint NOT NULL)");
    }
    test.execute(1, "INSERT INTO t SELECT generate_series(1, 10)");
    test.run(&["table", "add", "t", "--key", "k"]).fails(1).says("belong to other shards");
    assert_eq!(test.run(&["table", "list"]).success().fields().len(), 1);
    let triggers = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass";
    assert_eq!(test.query(1, triggers, &[])[0].get::<_, i64>(0), 0);
    test.execute(1, "TRUNCATE t");
    test.run(&["table", "add", "t", "--key", "k"]).success();
    test.run(&["doctor"]).success();
}

#[test]
fn a_column_that_each_shard_numbers_for_itself_is_warned_of() {
    let test = Test::new();
    test.execute(
        1,
        "CREATE TABLE serials (k bigint NOT NULL, \"Id\" serial PRIMARY KEY); \
         CREATE TABLE identities (k bigint NOT NULL, id integer GENERATED ALWAYS AS IDENTITY UNIQUE); \
         CREATE TABLE apart (k bigint NOT NULL, id bigint PRIMARY KEY); CREATE SEQUENCE odd INCREMENT 2; \
         ALTER TABLE apart ALTER COLUMN id SET DEFAULT nextval('odd'); \
         CREATE TABLE within (k bigint, n serial, PRIMARY KEY (k, n)); \
         CREATE TABLE keyed (k bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, n text); \
         INSERT INTO serials SELECT generate_series(1, 50); INSERT INTO identities SELECT generate_series(1, 50)",
    );
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    for (table, index, column, consequence) in [
        ("serials", "serials_pkey", "\"Id\"", "will have equal values"),
        ("identities", "identities_id_key", "id", "will have equal values"),
        ("apart", "apart_pkey", "", ""),
        ("within", "", "n", "that they already have"),
        ("keyed", "", "k", "refuses most of these keys"),
    ] {
        let mut words = vec!["table", "add", table, "--key", "k"];
        words.extend(["--unchecked-unique", index].into_iter().filter(|_| !index.is_empty()));
        let ran = test.run(&words).success().says(consequence);
        assert_eq!(ran.stderr.contains("warning: each shard numbers"), !column.is_empty(), "{ran:?}");
        let seen = test.run(&["doctor"]).success();
        let found = format!("each shard numbers `{column}` of `{table}` for itself");
        assert_eq!(seen.stdout.contains(&found), !column.is_empty(), "{seen:?}");
        // The hint works as it is printed.
        for hint in ran.stderr.lines().filter_map(|line| line.strip_prefix("hint: ringshard ")) {
            let mut child = test.command().args(["-y"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), hint.as_bytes()).unwrap();
            crate::support::harness::Ran::of(child).success();
        }
    }
    assert!(!test.run(&["doctor"]).success().stdout.contains("for itself"));
    test.run(&["add-shard", "s2", &test.url(2)]).success();
    test.run(&["rebalance", "-y"]).success();
    assert!(
        (1..=2)
            .all(|shard| test.query(shard, "INSERT INTO keyed (n) VALUES ('x') RETURNING 1", &[]).len() == 1)
    );
    for table in ["serials", "identities"] {
        let next = format!("INSERT INTO {table} SELECT k FROM {table} RETURNING 1");
        assert!((1..=2).map(|shard| test.query(shard, &next, &[]).len()).sum::<usize>() == 50);
    }
    // All on one shard again: their ids differ.
    test.run(&["remove-shard", "s2"]).success();
    test.run(&["rebalance", "-y"]).success();
    assert_eq!(test.query(1, "SELECT FROM serials", &[]).len(), 100);
}
