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
            assert_eq!(ran.fields()[0][1..], [count, count, "0", "0"], "{table}");
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
    assert_eq!(ran.fields()[0][1..], ["2", "0", "2", "0"]);
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
fn rejected_rows_are_collected_and_imported_once_they_are_corrected() {
    let test = Test::new();
    let tables =
        "CREATE TABLE t (k bigint PRIMARY KEY, n smallint CHECK (n > 0), name text NOT NULL, e text UNIQUE)";
    test.execute(1, tables);
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    test.run(&["table", "add", "t", "--key", "k", "--unchecked-unique", "t_e_key"]).success();
    grow(&test).success();
    let path = |name: &str| test.home.path().join(name);
    let good = |k: i64| (k, 1 + k % 9, format!("Name {k}"), format!("e{k}"));
    let csv: String = (1..=400)
        .map(|k| {
            let (k, n, name, e) = good(k);
            match k {
                7 => format!("{k},99999,{name},{e}\n"),
                8 => format!("{k},many,{name},{e}\n"),
                90 => format!("{k},0,{name},{e}\n"),
                91 => format!("{k},{n},,{e}\n"),
                // Of a row that is on the same shard.
                200 => {
                    format!("{k},{n},{name},e{}\n", (1..200).find(|other| same_owner(*other, 200)).unwrap())
                }
                300 => format!("x,{n},{name},{e}\n"),
                301 => format!("{k},{n}\n"),
                _ => format!("{k},{n},{name},{e}\n"),
            }
        })
        .collect();
    std::fs::write(path("f.csv"), format!("k,n,name,e\n{csv}")).unwrap();
    let import = |more: &[&str]| test.run(&[&["import", "--table", "t", "f.csv"], more].concat());
    import(&[]).fails(65);
    import(&["--rejects", "f.csv"]).fails(2);
    import(&["--on-conflict", "error", "--rejects", "bad.csv"]).fails(5);
    assert!(!path("bad.csv").exists());
    for number in 1..=3 {
        test.execute(number, "DELETE FROM t");
    }
    let ran = import(&["--on-conflict", "update", "--rejects", "bad.csv"]).success();
    assert_eq!(ran.fields()[0][1..], ["400", "393", "0", "7"]);
    for line in [8, 9, 91, 92, 201, 301, 302] {
        assert!(ran.stderr.contains(&format!("f.csv:{line}: ")), "{line}: {ran:?}");
    }
    assert!(ran.stderr.contains("ringshard import bad.csv --table t"), "{ran:?}");
    assert_eq!(test.run(&["count"]).success().stdout, "393\n");
    let rejected = std::fs::read_to_string(path("bad.csv")).unwrap();
    assert_eq!(rejected.lines().count(), 8, "{rejected}");
    let corrected: String = [7, 8, 90, 91, 200, 300, 301]
        .map(good)
        .map(|(k, n, name, e)| format!("{k},{n},{name},{e}\n"))
        .concat();
    std::fs::write(path("bad.csv"), format!("k,n,name,e\n{corrected}")).unwrap();
    test.run(&["import", "bad.csv", "--table", "t"]).success();
    let all: Vec<String> = {
        let mut all: Vec<String> =
            (1..=400).map(good).map(|(k, n, name, e)| format!("({k},{n},\"{name}\",{e})")).collect();
        all.sort();
        all
    };
    assert_eq!(rows(&test, "t", &[1, 2, 3]), all);
    // JSON lines, and bytes that are no text.
    let mut lines = b"{\"k\": 501, \"n\": 1, \"name\": \"a\"}\n{\"k\": 502, \"n\": 3, \"name\": null}\n{\"k\": \"\xff\"}\n{\"n\": 1, \"name\": \"c\"}\n{\"k\": 504, \"n\": 1, \"name\": \"c\", \"e\": \"e\"}\n".to_vec();
    lines.extend(b"{\"k\": 503, \"n\": 2, \"name\": \"b\"}\n");
    std::fs::write(path("f.jsonl"), lines).unwrap();
    let ran = test.run(&["import", "f.jsonl", "--table", "t", "--rejects", "bad.jsonl"]).success();
    assert_eq!(ran.fields()[0][1..], ["6", "2", "0", "4"]);
    let rejected = std::fs::read(path("bad.jsonl")).unwrap();
    assert_eq!(rejected.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 4);
    // A row that is refused in halves, as the one that it refers to comes later.
    for number in 1..=3 {
        test.execute(number, "ALTER TABLE t ADD COLUMN parent bigint REFERENCES t");
    }
    let family: Vec<i64> = (600..).filter(|k| same_owner(*k, 600)).take(3).collect();
    let [parent, child, bad] = family[..] else { panic!("there are three") };
    let lines = format!("k,n,name,parent\n{child},1,c,{parent}\n{bad},0,b,\n{parent},1,p,\n");
    std::fs::write(path("g.csv"), lines).unwrap();
    let ran = test.run(&["import", "g.csv", "--table", "t", "--rejects", "bad.csv"]).success();
    assert_eq!(ran.fields()[0][1..], ["3", "2", "0", "1"]);
}

/// Whether two keys lie on one of the three shards.
fn same_owner(one: i64, other: i64) -> bool {
    let names = ["main", "s2", "s3"];
    owner_among(&names, one) == owner_among(&names, other)
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
