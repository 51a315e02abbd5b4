//! `init-shards`: on empty databases, repeated, and on existing tables.

use std::os::unix::fs::PermissionsExt as _;

use ringshard::model::ring::position::Position;
use ringshard::model::user::UserId;

use crate::support::catalogs::assert_catalogs_are_complete;
use crate::support::harness::{Ran, Test, admin, socket_dir, url};
use crate::support::proxy::{Cut, Proxy};
use crate::support::rings::owner;

#[test]
fn three_shards_own_the_ring_between_them() {
    let test = Test::new();
    let ran = test.init().success();
    let results: Vec<&str> = ran.fields().iter().map(|fields| fields[1]).collect();
    assert_eq!(results, ["created", "created", "created"]);
    assert_catalogs_are_complete(&test);
    assert_eq!(std::fs::metadata(test.config()).unwrap().permissions().mode() & 0o777, 0o600);

    // Repeated with and without the flags: nothing is changed.
    let id = test.cluster_id(1);
    let config = std::fs::read_to_string(test.config()).unwrap();
    for ran in [test.init(), test.run(&["init-shards"])] {
        assert!(ran.success().fields().iter().all(|fields| fields[1] == "unchanged"));
    }
    assert_eq!(test.cluster_id(1), id);
    assert_eq!(std::fs::read_to_string(test.config()).unwrap(), config);
}

#[test]
fn postgres_computes_the_same_positions() {
    let mut ids: Vec<i64> =
        (0..2_000).map(|n| n * 7_919_i64.wrapping_mul(1_000_003) - 5_000_000_000).collect();
    ids.extend([0, -1, i64::MIN, i64::MAX]);
    let sql = "SELECT id, replace(md5(id::text)::uuid::text, '-', '') FROM unnest($1::bigint[]) AS id";
    for row in admin().query(sql, &[&ids]).unwrap() {
        let theirs = u128::from_str_radix(row.get(1), 16).unwrap();
        assert_eq!(Position::of_user(UserId::new(row.get(0))).number(), theirs);
    }
    // And uuids compare as positions do.
    let sql = "SELECT id FROM unnest($1::bigint[]) AS id ORDER BY md5(id::text)::uuid";
    let theirs: Vec<i64> = admin().query(sql, &[&ids]).unwrap().iter().map(|row| row.get(0)).collect();
    ids.sort_by_key(|id| Position::of_user(UserId::new(*id)));
    assert_eq!(theirs, ids);
}

#[test]
fn tables_of_the_prototype_become_shards() {
    let test = Test::new();
    for number in 1..=3 {
        test.prototype_table(number, (1..=50).filter(|id| owner(*id) == number));
    }
    let ran = test.init().success();
    let rows: i64 = ran.fields().iter().map(|fields| fields[2].parse::<i64>().unwrap()).sum();
    assert_eq!(rows, 50);
    assert!(ran.fields().iter().all(|fields| fields[1] == "adopted"));
    assert_catalogs_are_complete(&test);
    assert_eq!(test.run(&["get-user", "5"]).success().fields()[0][1], "N");
    assert_eq!(test.run(&["count"]).success().stdout, "50\n");
}

#[test]
fn misplaced_rows_are_reported_and_nothing_is_changed() {
    let test = Test::new();
    // 1 is shard_2's, 9 is shard_3's.
    test.prototype_table(1, [1, 4, 9]);
    test.init()
        .fails(1)
        .says("user `1` is on `shard_1`, its owner is `shard_2`")
        .says("user `9`")
        .says("2 users");
    for number in 1..=3 {
        let schemas = test.query(number, "SELECT FROM pg_namespace WHERE nspname = 'ringshard'", &[]);
        assert!(schemas.is_empty());
    }
    assert!(!test.config().exists());
    assert_eq!(test.ids(1), [1, 4, 9]);
}

#[test]
fn an_incompatible_users_table_is_not_changed() {
    let test = Test::new();
    test.execute(
        2,
        "CREATE TABLE users (user_id bigint, name varchar(100), region varchar(50), email varchar(100))",
    );
    test.init().fails(78).says("shard_2").says("other columns").says("user_id bigint primary key");
    assert!(!test.config().exists());
    // Other columns are those of an application, which says later by what its table is sharded.
    test.execute(2, "DROP TABLE users; CREATE TABLE users (id serial PRIMARY KEY, login text)");
    test.init().success();
    assert_eq!(test.run(&["table", "list"]).success().stdout, "");
    test.run(&["get-user", "1"]).fails(78).says("this cluster has no table `users` with the columns");
    test.run(&["doctor"]).success();
}

#[test]
fn one_database_under_two_names_is_refused() {
    let test = Test::new();
    let proxy = Proxy::new(&test.database(1), "never sent", Cut::Request);
    for second in [
        test.url(1),
        proxy.url(),
        format!("host={} user=postgres dbname={}", socket_dir().display(), test.database(1)),
    ] {
        let one = format!("one={}", test.url(1));
        let two = format!("two={second}");
        test.run(&["init-shards", "--shard", &one, "--shard", &two]).fails(78).says("`one`").says("`two`");
    }
}

#[test]
fn shards_of_different_clusters_are_refused() {
    let (test, other) = (Test::initialised(), Test::initialised());
    let fresh = Test::new();
    let flag = |name: &str, url: String| format!("{name}={url}");
    // A shard of another cluster.
    let ran = fresh.run(&[
        "init-shards",
        "--shard",
        &flag("shard_1", test.url(1)),
        "--shard",
        &flag("shard_2", other.url(2)),
        "--shard",
        &flag("shard_3", test.url(3)),
    ]);
    ran.fails(78).says(&test.cluster_id(1)).says(&other.cluster_id(1));
    // A shard under another's name.
    let ran = fresh.run(&[
        "init-shards",
        "--shard",
        &flag("shard_1", test.url(2)),
        "--shard",
        &flag("shard_2", test.url(1)),
        "--shard",
        &flag("shard_3", test.url(3)),
    ]);
    ran.fails(78).says("belongs to shard `shard_2`");
    // Only a part of a cluster.
    let ran = fresh.run(&[
        "init-shards",
        "--shard",
        &flag("shard_1", test.url(1)),
        "--shard",
        &flag("shard_2", test.url(2)),
    ]);
    ran.fails(78).says("shard_3");
    // One more than the cluster has.
    let ran = test.run(&["init-shards", "--shards", "4"]);
    ran.fails(5).says("a cluster of 3 shards");
    // Other shards than the configuration has.
    let ran = test.run(&["init-shards", "--shard", &flag("x", fresh.url(1))]);
    ran.fails(5).says("already describes another cluster");
    assert!(!fresh.config().exists());
}

#[test]
fn the_number_of_virtual_nodes_is_fixed_for_a_cluster() {
    let test = Test::new();
    let mut command = test.command();
    command.args(["init-shards", "--vnodes", "7"]).args(test.shard_flags());
    Ran::of(command.spawn().unwrap()).success();
    let shown = test.run(&["shards"]).success();
    assert!(shown.fields().iter().all(|fields| fields[3] == "7"), "{shown:?}");
    test.run(&["init-shards", "--vnodes", "8"]).fails(5).says("7 virtual nodes");
    test.run(&["init-shards", "--vnodes", "7"]).success();
}

#[test]
fn init_shards_keeps_comments_and_settings() {
    let test = Test::new();
    std::fs::write(test.config(), "# mine\npool_size = 2 # few\n").unwrap();
    test.init().success();
    let text = std::fs::read_to_string(test.config()).unwrap();
    assert!(text.starts_with("# mine\npool_size = 2 # few\n"), "{text}");
    assert!(text.contains("[shards.shard_1]"));
}

#[test]
fn init_shards_creates_databases_on_a_server() {
    let test = Test::new();
    let server = url("postgres", "postgres");
    let words = ["init-shards", "--server", &server, "--shards", "2"];
    let ran = test.run(&words).success();
    assert_eq!(ran.fields().len(), 2);
    assert!(ran.stdout.contains("/shard_1?host="));
    test.run(&["create-user", "--id", "1", "--name", "x"]).success();
    assert!(test.run(&words).success().fields().iter().all(|fields| fields[1] == "unchanged"));
    // More shards than the cluster has, from another configuration: refused before a database is made.
    let other = Test::new();
    other.run(&["init-shards", "--server", &server, "--shards", "3"]).fails(78).says("shard_1");
    let made = "SELECT FROM pg_database WHERE datname = 'shard_3'";
    assert!(admin().query(made, &[]).unwrap().is_empty());
    // A missing database is not created again, empty.
    admin().batch_execute("DROP DATABASE shard_2 WITH (FORCE)").unwrap();
    test.run(&words).fails(78).says("of shard `shard_2` is missing");
    admin().batch_execute("DROP DATABASE shard_1 WITH (FORCE)").unwrap();
}

#[test]
fn a_role_needs_to_own_its_database_and_no_more() {
    let test = Test::new();
    let flags: Vec<String> = (1..=3)
        .flat_map(|n| ["--shard".into(), format!("shard_{n}={}", url("plain", &test.database(n)))])
        .collect();
    let run = || {
        let mut command = test.command();
        command.arg("init-shards").args(&flags);
        Ran::of(command.spawn().unwrap())
    };
    // Nothing was granted: the schema cannot be made.
    run().fails(77).says("shard_1").says("permission denied");
    for number in 1..=3 {
        admin().batch_execute(&format!("ALTER DATABASE {} OWNER TO plain", test.database(number))).unwrap();
    }
    run().success();
    test.run(&["create-user", "--id", "1", "--name", "x"]).success();
    test.run(&["count"]).success();
}

#[test]
fn a_newer_catalog_is_refused() {
    let test = Test::initialised();
    test.execute(2, "UPDATE ringshard.meta SET catalog_version = 99");
    test.run(&["shards"]).fails(78).says("version 99").says("newer ringshard");
    test.run(&["init-shards"]).fails(78).says("version 99");
}
