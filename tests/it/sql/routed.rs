//! `sql` on the command line: by its key, merged, by shard, or refused.

use crate::support::clusters::with_users;
use crate::support::harness::{Ran, Test};
use crate::support::rings::owner;

fn sql(test: &Test, words: &[&str]) -> Ran {
    test.run(&[&["sql"], words].concat())
}

/// The shards on which statements ran, by the log.
fn asked(ran: &Ran) -> Vec<usize> {
    let sessions = ran.stderr.lines().filter(|line| line.contains("Creating session for shard: shard_"));
    let mut shards: Vec<usize> =
        sessions.map(|line| line.chars().last().unwrap().to_digit(10).unwrap() as usize).collect();
    shards.sort_unstable();
    shards
}

#[test]
fn a_statement_that_names_its_key_goes_to_its_owner_alone() {
    let test = with_users(60);
    for id in [1, 2, 3, 7, 42] {
        for statement in [
            format!("SELECT user_id FROM users WHERE user_id = {id}"),
            format!("select U.user_id from Users as U where ((U.USER_ID = '{id}'::int8)) and true;"),
            format!("SELECT user_id FROM users WHERE {id} = users.user_id ORDER BY name LIMIT 3"),
            format!("SELECT user_id, rank() OVER (ORDER BY name) FROM users WHERE user_id IN ({id})"),
            format!("WITH w AS (SELECT * FROM users WHERE user_id = {id}) SELECT max(user_id) FROM w"),
            format!("SELECT a.user_id FROM users a JOIN users b USING (user_id) WHERE a.user_id = {id}"),
        ] {
            let ran = sql(&test, &[&statement, "-vv"]).success();
            assert_eq!(ran.fields()[0][0], id.to_string(), "{statement}");
            assert_eq!(asked(&ran), [owner(id)], "{statement}");
        }
        let by_flag = sql(
            &test,
            &["SELECT count(*) FROM users WHERE abs(user_id) = 1", "--key", &id.to_string(), "-vv"],
        );
        assert_eq!(asked(&by_flag.success()), [owner(id)]);
    }
    // These do not restrict the table to one key.
    for statement in [
        "SELECT count(*) FROM users WHERE user_id = 1 OR true",
        "SELECT count(*) FROM users WHERE NOT user_id = 1",
        "SELECT count(*) FROM users WHERE user_id + 0 = 1",
        "SELECT count(*) FROM users a LEFT JOIN users b ON b.user_id = a.user_id AND b.user_id = 1",
        "SELECT count(*) FROM users a WHERE NOT EXISTS (SELECT FROM users b WHERE b.user_id = a.user_id AND b.user_id = 1)",
    ] {
        assert_eq!(asked(&sql(&test, &[statement, "-vv"]).success()).len(), 3, "{statement}");
    }
}

#[test]
fn writes_go_to_the_owner_of_their_key_or_nowhere() {
    let test = with_users(60);
    let (id, other) = (1, (2..60).find(|id| owner(*id) != owner(1)).unwrap());
    assert_eq!(
        sql(&test, &[&format!("UPDATE users SET name = 'new' WHERE user_id = {id}")]).success().stderr,
        format!("UPDATE 1 on shard shard_{}\n", owner(id))
    );
    let returned = sql(
        &test,
        &[&format!("DELETE FROM users WHERE user_id = {id} RETURNING name, region"), "-o", "json"],
    );
    assert_eq!(returned.success().json()[0]["name"], "new");
    let insert = format!("INSERT INTO users (user_id, name) VALUES ({id}, 'it''s'), ({id} + 0, NULL)");
    sql(&test, &[&insert]).fails(2).says("names no sharding key");
    sql(&test, &[&format!("INSERT INTO users (name, user_id) VALUES ('it''s', {id})")]).success();
    assert_eq!(
        test.query(owner(id), "SELECT name FROM users WHERE user_id = 1", &[])[0].get::<_, &str>(0),
        "it's"
    );
    // Nothing of these is done.
    let count = test.run(&["count"]).success().stdout;
    for (statement, code, words) in [
        (format!("DELETE FROM users WHERE user_id IN ({id}, {other})"), 2, "writes rows of two shards"),
        ("DELETE FROM users".to_owned(), 2, "names no sharding key"),
        (format!("DELETE FROM users WHERE user_id = {id} OR name = 'x'"), 2, "names no sharding key"),
        (format!("UPDATE users SET user_id = {other} WHERE user_id = {id}"), 1, "does not belong on shard"),
        (format!("WITH d AS (DELETE FROM users WHERE user_id = {id} RETURNING 1) SELECT * FROM d"), 2, ""),
        ("TRUNCATE users".to_owned(), 2, "neither reads nor changes rows"),
        ("ALTER TABLE users ADD COLUMN x int".to_owned(), 2, "ringshard help schema apply"),
        (format!("INSERT INTO users (user_id) VALUES ({id})"), 1, "duplicate key"),
    ] {
        sql(&test, &[&statement]).fails(code).says(words);
    }
    assert_eq!(test.run(&["count"]).success().stdout, count);
    test.run(&["--read-only", "sql", "DELETE FROM users WHERE user_id = 1"]).says("only reads");
    assert_eq!(test.run(&["count"]).success().stdout, count);
}

#[test]
fn what_cannot_be_split_says_why_and_runs_when_gathered() {
    let test = with_users(60);
    let ranked = "SELECT user_id, rank() OVER (ORDER BY user_id) FROM users ORDER BY 1";
    sql(&test, &[ranked])
        .fails(2)
        .says("a window function looks at rows of different shards")
        .says("--gather ROWS");
    let gathered = sql(&test, &[ranked, "--gather", "60"]).success();
    assert_eq!(gathered.fields()[59], ["60", "60"]);
    sql(&test, &[ranked, "--gather", "59"]).fails(2).says("more than 59 rows").says("--gather 590");
    let by_shard = sql(&test, &[ranked, "--per-shard"]).success();
    assert_eq!(by_shard.fields().len(), 60);
    assert!(by_shard.stdout.starts_with("shard_1\t"));
    let other = "SELECT count(*) FROM users a, users b WHERE a.name < b.name";
    sql(&test, &[other]).fails(2).says("`a` and `b` are not joined over their sharding keys");
    assert_eq!(sql(&test, &[other, "--gather", "100"]).success().stdout, "1770\n");
    // A relation that is no table of the cluster differs between the shards.
    sql(&test, &["SELECT count(*) FROM users, pg_class"])
        .fails(2)
        .says("`pg_class` is no table of this cluster");
    assert_eq!(sql(&test, &["SELECT count(*) FROM ringshard.meta"]).success().fields().len(), 3);
}

#[test]
fn a_plan_shows_the_route_the_parts_and_the_merge() {
    let test = with_users(20);
    let plan =
        sql(&test, &["EXPLAIN (COSTS OFF) SELECT region, avg(user_id) FROM users GROUP BY 1 ORDER BY 2"])
            .success();
    let lines = plan.fields();
    assert_eq!(lines[0][..2], ["route", "-"]);
    for number in 1..=3 {
        let shard = format!("shard_{number}");
        assert!(
            lines.iter().any(|line| line[..2] == ["part", &shard] && line[2].contains("Aggregate")),
            "{plan:?}"
        );
    }
    let merge = lines.last().unwrap();
    assert_eq!(merge[0], "merge");
    assert!(merge[2].contains("sum(ringshard_p1) / nullif(sum(ringshard_p2), 0)"), "{merge:?}");
    let plan = sql(&test, &["EXPLAIN SELECT * FROM users WHERE user_id = 5"]).success();
    assert_eq!(plan.fields()[0][1], format!("shard_{}", owner(5)));
    assert!(plan.stdout.contains("Index Cond: (user_id = 5)"));
    let refused = sql(&test, &["EXPLAIN SELECT rank() OVER (ORDER BY name) FROM users"]).success();
    assert!(refused.stdout.contains("refused"), "{refused:?}");
}

#[test]
fn a_client_with_an_old_topology_finds_the_tables_of_the_present_one() {
    let test = with_users(20);
    let file = test.home.path().join(format!("state/topology-{}.json", test.cluster_id(1)));
    test.run(&["count"]).success();
    let old = std::fs::read(&file).unwrap();
    for number in 1..=3 {
        test.execute(
            number,
            "CREATE TABLE orders (user_id bigint, number integer, PRIMARY KEY (user_id, number))",
        );
    }
    test.run(&["table", "add", "orders", "--key", "user_id"]).success();
    for (statement, answer) in [
        ("UPDATE users SET name = 'new' WHERE user_id = 1", ""),
        ("INSERT INTO orders (user_id, number) VALUES (1, 5)", ""),
        ("SELECT name FROM users WHERE user_id = 1", "new\n"),
        ("SELECT number FROM orders WHERE user_id = 1", "5\n"),
        ("SELECT count(*) FROM users JOIN orders USING (user_id)", "1\n"),
        ("DELETE FROM orders WHERE user_id = 1", ""),
    ] {
        std::fs::write(&file, &old).unwrap();
        assert_eq!(sql(&test, &[statement]).success().stdout, answer, "{statement}");
    }
}
