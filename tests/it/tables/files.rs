//! Rows of any table from and to files, and their counts.

use super::sharded::{ALL, adopted, grow, rows};
use crate::support::harness::Test;
use crate::support::rings::owner_among;

#[test]
fn an_export_is_imported_to_the_same_rows() {
    let test = adopted();
    grow(&test).success();
    let before = ALL.map(|table| rows(&test, table, &[1, 2, 3]));
    for suffix in ["csv", "jsonl.gz"] {
        for table in ALL {
            test.run(&["export", "--table", table, &format!("{table}.{suffix}")]).success();
        }
        // The children's rows first.
        for table in ALL.iter().rev() {
            for number in 1..=3 {
                test.execute(number, &format!("DELETE FROM {table}"));
            }
        }
        for (table, count) in ALL.iter().zip(["300", "900", "450"]) {
            let ran = test.run(&["import", "--table", table, &format!("{table}.{suffix}")]).success();
            assert_eq!(ran.fields()[0][1..], [count, count, "0"], "{table}");
        }
        assert_eq!(ALL.map(|table| rows(&test, table, &[1, 2, 3])), before, "{suffix}");
    }
    test.run(&["verify"]).success();
    let csv = test.run(&["export", "--table", "users", "-o", "csv"]).success().stdout;
    assert_eq!(csv.lines().next(), Some("id,name,created_at"));
    assert_eq!(csv.lines().count(), 301);
}

#[test]
fn values_survive_a_file() {
    let test = Test::new();
    test.execute(
        1,
        "CREATE TABLE t (k text PRIMARY KEY, n bigint GENERATED ALWAYS AS IDENTITY, g integer GENERATED ALWAYS AS (length(k)) STORED, \
                         a text[], j jsonb, b bytea, d date, f float8); \
         INSERT INTO t (k, a, j, b, d, f) VALUES ('', '{}', '[null]', '', '0044-03-15 BC', 'NaN'), ('x\"y,', ARRAY['', NULL], NULL, '\\x00ff', NULL, 0.1), \
            (E'line\\nbreak;', NULL, '{\"a\": \"\\\\n\"}', NULL, 'infinity', -0.0)",
    );
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    test.run(&["table", "add", "t", "--key", "k"]).success();
    let before = rows(&test, "t", &[1]);
    for file in ["t.csv", "t.jsonl"] {
        test.run(&["export", "--table", "t", file]).success();
        test.execute(1, "DELETE FROM t");
        test.run(&["import", "--table", "t", file]).success();
        assert_eq!(rows(&test, "t", &[1]), before, "{file}");
    }
}

#[test]
fn rows_that_are_there_or_wrong_are_refused_by_their_line() {
    let test = adopted();
    grow(&test).success();
    let write = |text: &str| std::fs::write(test.home.path().join("f.csv"), text).unwrap();
    let import = |more: &[&str]| test.run(&[&["import", "--table", "users", "f.csv"], more].concat());
    write("id,name\n1001,a\n1,again\n");
    import(&[]).fails(5).says("f.csv:3: ").says("--on-conflict");
    // The other row is on another shard, and was stored.
    let ran = import(&["--on-conflict", "skip"]).success();
    assert_eq!(ran.fields()[0][1..], ["2", "0", "2"]);
    import(&["--on-conflict", "update"]).success();
    let again = |id: i64| {
        let number = ["main", "s2", "s3"]
            .iter()
            .position(|name| *name == owner_among(&["main", "s2", "s3"], id))
            .unwrap()
            + 1;
        test.query(number, "SELECT name FROM users WHERE id = $1", &[&id])[0].get::<_, String>(0)
    };
    assert_eq!(again(1), "again");
    write("id,name,created_at\n2001,a,now\n2002,b,never\n");
    import(&[]).fails(65).says("f.csv:3: ").says("never");
    write("id;name\n2003;a;b\n");
    import(&[]).fails(65).says("f.csv:2: ");
    write("name\nx\n");
    import(&[]).fails(65).says("no column `id`");
    write("id,nothing\n1,x\n");
    import(&[]).fails(1).says("nothing");
    test.run(&["import", "--table", "none", "f.csv"]).fails(4).says("ringshard table list");
}

#[test]
fn counts_are_of_all_tables_or_of_one() {
    let test = adopted();
    grow(&test).success();
    let count = |words: &[&str]| test.run(&[&["count"], words].concat()).success().stdout;
    assert_eq!(count(&[]), "1650\n");
    assert_eq!(count(&["--table", "orders"]), "900\n");
    assert_eq!(count(&["--by", "table"]), "orders\t900\npayments\t450\nusers\t300\n");
    let by_shard = count(&["--by", "shard", "--table", "users"]);
    let sum: i64 =
        by_shard.lines().map(|line| line.split('\t').nth(1).unwrap().parse::<i64>().unwrap()).sum();
    assert_eq!((by_shard.lines().count(), sum), (3, 300));
    test.run(&["count", "--region", "EU"]).fails(2);
    // What serves the users of the prototype alone says so; the report does not.
    for words in [&["load", "fill", "9"][..], &["load", "run"]] {
        test.run(words).fails(78).says("no table `users` with the columns").says("ringshard table list");
    }
    test.run(&["report", "r.html"]).success();
    test.run(&["count", "--table", "orders", "--by", "region"]).fails(2);
}
