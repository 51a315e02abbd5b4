//! The fast path: reads and writes of a stable ring do not read the arcs, and are as safe as others.

use ringshard::pg::rows::Router;
use ringshard::pg::scan;
use std::thread;
use std::time::{Duration, Instant};

use ringshard::error::Kind;
use ringshard::model::report::Cell;
use ringshard::model::ring::topology::Topology;
use ringshard::model::user::{UserId, UserPatch};
use ringshard::pg::catalog::TopologyMd5;
use ringshard::pg::cluster::Cluster;
use serde_json::json;

use crate::support::blocking::wait_until_blocked;
use crate::support::catalogs::assert_catalogs_are_complete;
use crate::support::clusters::filled;
use crate::support::harness::{Ran, Test, url};
use crate::support::library::{all_ids, cluster, cluster_of, user};
use crate::support::rebalances::{add_shard, assert_users, create_position_indexes, users_on};
use crate::support::rings::owner;

fn on_all(test: &Test, sql: &str) {
    for number in 1..=3 {
        test.execute(number, sql);
    }
}

fn region(region: &str) -> UserPatch {
    UserPatch { region: Some(Some(region.parse().unwrap())), ..UserPatch::default() }
}

/// Creates, changes, deletes and reads these users. In the end the even ones are left, with the region `there`.
fn work(cluster: &Cluster, ids: std::ops::RangeInclusive<i64>) {
    for id in ids {
        let key = UserId::new(id);
        Router(cluster).create_user(&user(id)).unwrap();
        assert_eq!(Router(cluster).get_user(key).unwrap(), user(id));
        let (changed, shard) = Router(cluster).update_user(key, &region("there")).unwrap();
        assert_eq!((changed.region.as_deref(), changed.name), (Some("there"), user(id).name));
        assert_eq!(shard.as_str(), format!("shard_{}", owner(id)));
        if id % 2 == 1 {
            let (was, _) = Router(cluster).delete_user(key).unwrap();
            assert_eq!(was.unwrap().region.as_deref(), Some("there"));
            assert_eq!(Router(cluster).get_user(key).unwrap_err().kind(), Kind::NotFound);
        }
    }
}

#[test]
fn the_fast_path_does_not_read_the_arcs() {
    let test = Test::initialised();
    let cluster = cluster(&test);
    on_all(&test, "ALTER TABLE ringshard.arc RENAME TO elsewhere");
    work(&cluster, 1..=40);
    on_all(&test, "ALTER TABLE ringshard.elsewhere RENAME TO arc");
    assert_eq!(all_ids(&test), (2..=40).step_by(2).collect::<Vec<i64>>());
    // A statement without effect is repeated on the slow path, which finds the reason.
    assert_eq!(Router(&cluster).create_user(&user(2)).unwrap_err().kind(), Kind::Conflict);
    assert_eq!(
        Router(&cluster).update_user(UserId::new(1), &region("x")).unwrap_err().kind(),
        Kind::NotFound
    );
    assert_eq!(Router(&cluster).delete_user(UserId::new(1)).unwrap_err().kind(), Kind::NotFound);
    let user_2 = Router(&cluster).get_user(UserId::new(2)).unwrap();
    assert_eq!((user_2.name, user_2.region.as_deref()), (user(2).name, Some("there")));
}

/// A cached topology is relied on as far as the shard has the same: its digest is computed, and compared by the shard.
#[test]
fn the_first_statement_of_a_process_uses_the_fast_path() {
    let test = Test::initialised();
    test.run(&["create-user", "--id", "1", "--name", "x"]).success();
    on_all(&test, "ALTER TABLE ringshard.arc RENAME TO elsewhere");
    test.run(&["create-user", "--id", "2", "--name", "y"]).success();
    test.run(&["update-user", "2", "--region", "EU"]).success();
    assert_eq!(test.run(&["get-user", "2"]).success().stdout, "2\ty\tEU\t\\N\n");
    test.run(&["delete-user", "1", "-y"]).success();
    on_all(&test, "ALTER TABLE ringshard.elsewhere RENAME TO arc");
    // With a cache that names other owners the arcs decide, as before.
    let file = test.home.path().join(format!("state/topology-{}.json", test.cluster_id(1)));
    let cached = std::fs::read_to_string(&file).unwrap();
    let other = cached.replacen("\"weight\":1.0", "\"weight\":9.0", 1);
    assert_ne!(cached, other);
    for id in 10..30 {
        std::fs::write(&file, &other).unwrap();
        test.run(&["create-user", "--id", &id.to_string(), "--name", "z"]).success();
        std::fs::write(&file, &other).unwrap();
        test.run(&["get-user", &id.to_string()]).success();
    }
    for number in 1..=3 {
        assert!(test.ids(number).iter().all(|id| owner(*id) == number));
    }
}

#[test]
fn the_digest_of_a_topology_is_that_of_postgres() {
    let test = Test::initialised();
    let spec = |name: &str, weight: f64| json!({"name": name, "weight": weight});
    let table = |name: &str, column: &str| json!({"name": name, "key": column, "type": "text"});
    for topology in [
        json!({"hash": "md5", "virtual_nodes": 100, "shards": [spec("a", 1.0)]}),
        json!({"hash": "md5", "virtual_nodes": 1, "shards": [spec("a", 0.01), spec("b-2", 99.999), spec("c", 1.0 / 3.0)]}),
        json!({"hash": "md5", "virtual_nodes": 10_000, "shards": [spec("a", 100.0), spec("b", 0.1)], "numbers": [7, 2]}),
    ]
    .into_iter()
    .chain(["public.t", "public.\"T\"\"é\\\u{7f}\"", "s.\"\u{1}\u{8}\t\""].map(|name| {
        let tables = [table("public.users", "id"), table(name, "a \"b\" \\ ü\u{1f}")];
        json!({"hash": "md5", "virtual_nodes": 100, "shards": [spec("a", 1.0)], "tables": tables})
    })) {
        let parsed: Topology = serde_json::from_value(topology.clone()).unwrap_or_else(|why| panic!("{why}: {topology}"));
        let text = serde_json::to_string(&parsed).unwrap();
        let row = &test.query(1, "SELECT md5($1::text::jsonb::text)::uuid", &[&text])[0];
        assert_eq!(TopologyMd5::of(&parsed), Some(TopologyMd5(row.get(0))), "{text}");
    }
}

#[test]
fn a_process_reads_the_topology_after_some_reads() {
    let test = Test::new();
    // So many that a process takes an owner from the cache, until a shard confirms the topology.
    let mut command = test.command();
    command.arg("init-shards").args(test.shard_flags()).args(["--vnodes", "1000"]);
    Ran::of(command.spawn().unwrap()).success();
    test.run(&["create-user", "--id", "1", "--name", "x"]).success();
    std::fs::write(test.home.path().join("script"), "get-user 1\n".repeat(60)).unwrap();
    let ran = test.run(&["-f", "script", "-vv"]).success();
    let sent: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("Executing in shard")).collect();
    let by_arcs = |line: &&str| line.contains("FROM ringshard.arc");
    let asks = |line: &&str| line.contains("meta.topology, ");
    let first = sent.iter().position(asks).unwrap();
    assert!(first > 1 && sent[..first].iter().all(by_arcs), "{sent:?}");
    assert!(sent.len() > first + 2 && !sent[first + 1..].iter().any(|line| by_arcs(line) || asks(line)));
    assert_eq!(sent.len(), 61);
}

#[test]
fn a_fast_path_write_is_durable_and_guarded() {
    let test = Test::initialised();
    on_all(
        &test,
        "CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             NEW.region := current_setting('synchronous_commit'); RETURN NEW; END $$; \
         CREATE TRIGGER say BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION say()",
    );
    for (default, expected) in
        [("off", "on"), ("local", "on"), ("on", "on"), ("remote_apply", "remote_apply")]
    {
        for number in 1..=3 {
            let name = test.database(number);
            test.execute(number, &format!("ALTER DATABASE {name} SET synchronous_commit = {default}"));
        }
        let cluster = cluster(&test);
        on_all(&test, "ALTER TABLE ringshard.arc RENAME TO elsewhere");
        for id in 1..=12 {
            Router(&cluster).create_user(&user(id)).unwrap();
        }
        on_all(&test, "ALTER TABLE ringshard.elsewhere RENAME TO arc");
        let regions =
            (1..=3).flat_map(|number| test.query(number, "DELETE FROM users RETURNING region", &[]));
        let regions: Vec<String> = regions.map(|row| row.get(0)).collect();
        assert_eq!(regions, [expected; 12]);
    }
    // Only for that transaction.
    let cluster = cluster(&test);
    Router(&cluster).create_user(&user(1)).unwrap();
    let guard = "SELECT current_setting('ringshard.guard', true), current_setting('synchronous_commit')";
    let answers =
        scan::run_statement(&cluster, guard, &[format!("shard_{}", owner(1)).parse().unwrap()], false)
            .unwrap();
    let rows: Vec<Vec<Cell>> = answers.rows.map(|row| row.unwrap().1).collect();
    assert_eq!(rows, [[Cell::Text(String::new()), "remote_apply".into()]]);
}

#[test]
fn another_topology_of_the_same_epoch_disables_the_fast_path() {
    let test = Test::initialised();
    let cluster = cluster(&test);
    let key = UserId::new(1);
    Router(&cluster).create_user(&user(1)).unwrap();
    test.execute(owner(1), "ALTER TABLE ringshard.arc RENAME TO elsewhere");
    Router(&cluster).get_user(key).unwrap();
    // As after a restored backup and another change: then the arcs are read, and are missing here.
    let another = "UPDATE ringshard.meta SET topology_md5 = md5('another')::uuid";
    test.execute(owner(1), another);
    Router(&cluster).get_user(key).unwrap_err();
    Router(&cluster).update_user(key, &region("x")).unwrap_err();
    Router(&cluster).delete_user(key).unwrap_err();
    test.execute(owner(1), "ALTER TABLE ringshard.elsewhere RENAME TO arc");
    assert_eq!(Router(&cluster).get_user(key).unwrap(), user(1));
    assert!(
        Router(&cluster).update_user(key, &region("x")).is_ok() && Router(&cluster).delete_user(key).is_ok()
    );
    // Without a topology digest the arcs are read.
    test.execute(
        owner(1),
        "UPDATE ringshard.meta SET topology_md5 = NULL; ALTER TABLE ringshard.arc RENAME TO elsewhere",
    );
    Router(&cluster).create_user(&user(1)).unwrap_err();
    test.execute(owner(1), "ALTER TABLE ringshard.elsewhere RENAME TO arc");
    Router(&cluster).create_user(&user(1)).unwrap();
    assert_eq!(test.run(&["init-shards"]).success().fields()[0][1], "unchanged");
    assert_catalogs_are_complete(&test);
}

#[test]
fn stricter_isolation_levels_do_not_use_the_fast_path() {
    for level in ["repeatable read", "serializable"] {
        let test = Test::initialised();
        for number in 1..=3 {
            let name = test.database(number);
            test.execute(
                number,
                &format!("ALTER DATABASE {name} SET default_transaction_isolation = '{level}'"),
            );
        }
        let cluster = cluster(&test);
        work(&cluster, 1..=20);
        assert_eq!(all_ids(&test), (2..=20).step_by(2).collect::<Vec<i64>>());
        on_all(&test, "ALTER TABLE ringshard.arc RENAME TO elsewhere");
        Router(&cluster).create_user(&user(21)).unwrap_err();
    }
}

#[test]
fn a_role_without_rights_on_the_new_table_can_write() {
    let test = Test::initialised();
    on_all(
        &test,
        "GRANT USAGE ON SCHEMA ringshard TO plain; GRANT SELECT, INSERT, UPDATE, DELETE ON users TO plain; \
         GRANT SELECT ON ringshard.meta, ringshard.arc, ringshard.shard_endpoint TO plain",
    );
    let cluster = cluster_of(&test, |number| url("plain", &test.database(number)));
    work(&cluster, 1..=20);
    assert_eq!(all_ids(&test), (2..=20).step_by(2).collect::<Vec<i64>>());
}

#[test]
fn a_fence_waits_for_a_write_and_names_the_blocking_session() {
    let test = filled(300);
    add_shard(&test, 4).success();
    create_position_indexes(&test);
    let id = (300..1_000).find(|id| owner(*id) == 1).unwrap();
    // A session that bypasses the guard, and so does not hold the writers' barrier.
    let mut other = test.client(1);
    let mut transaction = other.transaction().unwrap();
    transaction.execute("INSERT INTO users VALUES ($1, 'not yet')", &[&id]).unwrap();
    let pid: i32 = transaction.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let writer = {
        let cluster = cluster(&test);
        thread::spawn(move || Router(&cluster).create_user(&user(id)))
    };
    wait_until_blocked(&test, 1);
    let child = test.command().args(["rebalance", "-y"]).spawn().unwrap();
    let begun = Instant::now();
    let waits =
        "SELECT count(*) FROM pg_locks WHERE relation = 'ringshard.fast_path_lock'::regclass AND NOT granted";
    while test.query(1, waits, &[])[0].get::<_, i64>(0) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no session waits");
        thread::sleep(Duration::from_millis(5));
    }
    // Reads continue meanwhile, and the session that blocks all others is named.
    let read = test.ids(1)[0];
    test.run(&["get-user", &read.to_string()]).success();
    let holder = include_str!("../../../sql/queries/lock_holder.sql");
    assert_eq!(test.query(1, holder, &[&7_283_001_i64])[0].get::<_, i32>(0), pid);
    let fenced = "SELECT count(*) FROM ringshard.arc WHERE epoch > 1";
    assert_eq!(test.query(1, fenced, &[])[0].get::<_, i64>(0), 0);
    transaction.rollback().unwrap();
    writer.join().unwrap().unwrap();
    Ran::of(child).success();
    assert_eq!(users_on(&test, &[1, 2, 3, 4])[&id].0.as_deref(), user(id).name.as_deref());
    test.execute(owner_now(&test, id), &format!("DELETE FROM users WHERE user_id = {id}"));
    assert_users(&test, &[1, 2, 3, 4], 300);
}

fn owner_now(test: &Test, id: i64) -> usize {
    (1..=4).find(|number| test.ids(*number).contains(&id)).unwrap()
}
