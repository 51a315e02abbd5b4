//! `ring`, `shards` and `count`, over real shards.

use crate::support::harness::{BINARY, Test};
use crate::support::rings::{owner, prototype_ring};

fn with_users(count: i64) -> Test {
    let test = Test::initialised();
    for number in 1..=3 {
        let mut client = test.client(number);
        for id in (1..=count).filter(|id| owner(*id) == number) {
            let region = ["EU", "US", "APAC"][usize::try_from(id % 3).unwrap()];
            client.execute("INSERT INTO users VALUES ($1, 'N', $2, NULL)", &[&id, &region]).unwrap();
        }
    }
    test
}

#[test]
fn counts_add_up_in_every_breakdown() {
    let test = with_users(60);
    test.execute(1, "INSERT INTO users VALUES (4000, 'no region', NULL, NULL)");
    assert_eq!(test.run(&["count"]).success().stdout, "61\n");
    assert_eq!(test.run(&["count", "-o", "json"]).success().json(), serde_json::json!({"rows": 61}));
    let by_shard = test.run(&["count", "--by", "shard"]).success();
    let expected: String = (1..=3).map(|n| format!("shard_{n}\t{}\n", test.ids(n).len())).collect();
    assert_eq!(by_shard.stdout, expected);
    let by_region = test.run(&["count", "--by", "region"]).success();
    assert_eq!(by_region.stdout, "\\N\t1\nAPAC\t20\nEU\t20\nUS\t20\n");
    assert_eq!(test.run(&["count", "--region", "EU"]).success().stdout, "20\n");
    assert_eq!(test.run(&["count", "--region", "nowhere"]).success().stdout, "0\n");
    let both = test.run(&["count", "--region", "EU", "--by", "shard"]).success();
    assert_eq!(both.fields().iter().map(|fields| fields[1].parse::<i64>().unwrap()).sum::<i64>(), 20);
}

#[test]
fn a_locked_table_holds_up_neither_shards_nor_status() {
    let test = with_users(9);
    let mut other = test.client(1);
    other.batch_execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").unwrap();
    let ran = test.run(&["shards"]).success().says("shard `shard_1`").says("lock timeout");
    let rows: Vec<bool> = ran.fields().iter().map(|fields| fields[1] == "\\N").collect();
    assert_eq!(rows, [true, false, false]);
    assert!(ran.fields().iter().all(|fields| fields[5] == "active"), "{ran:?}");
    let ran = test.run(&["status"]).success();
    assert!(ran.stdout.contains("shard_3"), "{ran:?}");
    test.run(&["table", "list"]).fails(75).says("lock timeout");
}

#[test]
fn an_empty_cluster_counts_to_zero() {
    let test = Test::initialised();
    assert_eq!(test.run(&["count"]).success().stdout, "0\n");
    assert_eq!(test.run(&["count", "--by", "region"]).success().stdout, "");
    assert_eq!(test.run(&["count", "--by", "region", "-o", "json"]).success().stdout, "[]\n");
    assert_eq!(test.run(&["count", "--region", "EU"]).success().stdout, "0\n");
}

#[test]
fn shards_are_listed_with_the_columns_of_the_contract() {
    let test = with_users(30);
    let listed = test.run(&["shards", "-o", "json"]).success().json();
    let columns = [
        "shard",
        "rows",
        "share_pct",
        "vnodes",
        "weight",
        "state",
        "size_bytes",
        "url",
        "target_pct",
        "down_since",
    ];
    for (number, shard) in (1..).zip(listed.as_array().unwrap()) {
        let keys: Vec<&String> = shard.as_object().unwrap().keys().collect();
        let mut sorted = columns.to_vec();
        sorted.sort_unstable();
        assert_eq!(keys, sorted);
        assert_eq!(shard["shard"], format!("shard_{number}"));
        assert_eq!(shard["rows"], test.ids(number).len());
        assert_eq!(shard["state"], "active");
        assert!(shard["size_bytes"].as_i64().unwrap() > 0);
        assert_eq!(shard["url"], test.url(number));
    }
    let header = test.run(&["shards", "-o", "csv"]).success();
    assert_eq!(header.stdout.lines().next().unwrap(), columns.join(","));
}

#[test]
fn shell_loops_over_shards_work() {
    let test = with_users(30);
    let script = format!(
        "set -e\n\
         {BINARY} shards | while read -r shard rows share vnodes weight state size url _; do\n\
           echo \"$shard: $(psql \"$url\" -t -A -c 'SELECT count(*) FROM users;' </dev/null)\"\n\
         done\n\
         {BINARY} shards | while read -r shard rows _; do echo \"$shard: $rows\"; done\n\
         {BINARY} count --by shard | while read -r shard rows; do echo \"$shard: $rows\"; done\n",
    );
    let mut shell = std::process::Command::new("/bin/sh");
    let out = shell.args(["-c", &script]).env("RINGSHARD_HOME", test.home.path()).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let expected: String = (1..=3).map(|n| format!("shard_{n}: {}\n", test.ids(n).len())).collect();
    assert_eq!(String::from_utf8(out.stdout).unwrap(), expected.repeat(3));
}

#[test]
fn ring_show_lists_shares_and_virtual_nodes() {
    let test = with_users(30);
    let shown = test.run(&["ring", "show", "-o", "json"]).success().json();
    for (shard, (name, share)) in shown.as_array().unwrap().iter().zip(prototype_ring(3).shares()) {
        assert_eq!(shard["shard"], name.as_str());
        assert!((shard["share_pct"].as_f64().unwrap() - share * 100.0).abs() < 0.01);
        assert_eq!(shard["vnodes"], 100);
        assert!((shard["ratio"].as_f64().unwrap() - share * 3.0).abs() < 0.001);
    }
    let points = test.run(&["ring", "show", "--vnodes"]).success();
    let fields = points.fields();
    assert_eq!(fields.len(), 300);
    assert_eq!(fields[0][0], "1087510197202025856218102516356415008");
    assert_eq!(fields[0][2], "shard_2");
    assert_eq!(fields[299][0], "338892232135147403433223753552897515079");
    let sum: f64 = fields.iter().map(|fields| fields[3].parse::<f64>().unwrap()).sum();
    assert!((sum - 100.0).abs() < 0.05, "{sum}");
}

#[test]
fn locate_shows_the_owner_and_the_shards_that_hold_the_row() {
    let test = with_users(5);
    // A row on a shard that does not own it.
    let other = owner(1) % 3 + 1;
    test.execute(other, "INSERT INTO users VALUES (1, 'misplaced', NULL, NULL)");
    let located = test.run(&["ring", "locate", "1", "US", "99", "007", "-7", "-o", "json"]).success().json();
    let ring = prototype_ring(3);
    for (row, key) in located.as_array().unwrap().iter().zip(["1", "US", "99", "007", "-7"]) {
        let position = ringshard::model::ring::position::Position::of_key(key);
        assert_eq!(row["key"], key);
        assert_eq!(row["hash"], position.to_string());
        assert_eq!(row["owner"], ring.owner(position).as_str());
        let node = ring.locate(position);
        assert_eq!(row["point"], format!("{}#{}", node.shard, node.index));
        assert_eq!(row["moving_to"], serde_json::Value::Null);
    }
    let mut both = vec![format!("shard_{}", owner(1)), format!("shard_{other}")];
    both.sort();
    assert_eq!(located[0]["found_on"], serde_json::json!(both));
    assert_eq!(located[1]["found_on"], serde_json::json!([]));
    let one = test.run(&["ring", "locate", "1", "-o", "json"]).success().json();
    assert_eq!(one, located[0], "one key, one object");
    let why = test.run(&["ring", "locate", "1", "-o", "table"]).success();
    assert!(why.stderr.contains("md5 is c4ca4238a0b923820dcc509a6f75849b"), "{why:?}");
    assert!(why.stderr.contains("the owner is `shard_2`"), "{why:?}");
}

#[test]
fn the_ring_of_assumed_shards_needs_no_cluster() {
    let (test, none) = (Test::initialised(), Test::new());
    let names = ["--shards", "shard_1,shard_2,shard_3"];
    let simulate = ["ring", "simulate", "--add", "shard_4"];
    let assumed = none.run(&[&simulate[..], &names].concat()).success();
    assert_eq!(assumed.stdout, test.run(&simulate).success().stdout);
    let located = none.run(&[&["ring", "locate", "13", "14", "15", "373"][..], &names].concat()).success();
    let owners: Vec<&str> = located.fields().iter().map(|fields| fields[3]).collect();
    assert_eq!(owners, ["shard_2", "shard_3", "shard_1", "shard_2"]);
    let why =
        none.run(&["ring", "locate", "373", "--shards", "shard_1,shard_2,shard_3", "-o", "table"]).success();
    why.says("past the last virtual node; the first one").says("so the owner is `shard_2`\n");
    // With a cluster as well, which is not asked.
    let other = test.run(&["ring", "locate", "1", "--shards", "a:0.5,b"]).success();
    assert!(["a", "b"].contains(&other.fields()[0][3]), "{other:?}");
    none.run(&["ring", "locate", "1", "--shards", "a,a"]).fails(2);
    none.run(&["ring", "locate", "1", "--shards", "a b"]).fails(2).says("letters");
}

#[test]
fn simulate_agrees_with_the_ring() {
    let test = Test::initialised();
    let run = |words: &[&str]| {
        let words: Vec<&str> = ["ring", "simulate", "-o", "json"].iter().chain(words).copied().collect();
        test.run(&words).success().json()
    };
    let sum = |rows: &serde_json::Value, column: &str| -> f64 {
        rows.as_array().unwrap().iter().map(|row| row[column].as_f64().unwrap()).sum()
    };
    let added = run(&["--add", "shard_4"]);
    assert_eq!(added[3]["shard"], "shard_4");
    // 229,270 of the first million keys are 22.93 %.
    assert!((added[3]["in_pct"].as_f64().unwrap() - 22.93).abs() < 0.02, "{added}");
    assert!((sum(&added, "out_pct") - 22.93).abs() < 0.03);
    assert!((sum(&added, "modulo_pct") - 75.0).abs() < 0.05);
    assert!((sum(&added, "before_pct") - 100.0).abs() < 0.03);
    assert!((sum(&added, "after_pct") - 100.0).abs() < 0.03);
    let removed = run(&["--remove", "shard_2"]);
    assert_eq!(removed[1]["after_pct"], 0.0);
    assert_eq!(removed[1]["out_pct"], removed[1]["before_pct"]);
    let heavy = run(&["--add", "big:3"]);
    assert!(heavy[0]["in_pct"].as_f64().unwrap() > 40.0, "{heavy}");
    let finer = run(&["--vnodes", "1000"]);
    assert!(sum(&finer, "in_pct") > 0.0);
    assert!(sum(&finer, "modulo_pct").abs() < 0.001);
    // Nothing was changed by any of this.
    assert_eq!(test.run(&["shards"]).success().fields().len(), 3);
}
