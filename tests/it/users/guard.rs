//! The guard: what other programs may write to a shard, and the errors for other writes.

use std::io::Write as _;

use postgres::error::DbError;
use postgres::{Client, Error};
use ringshard::model::ring::Ring;
use ringshard::model::ring::position::Position;
use ringshard::model::ring::topology::{ShardSpec, Topology};
use ringshard::model::user::UserId;

use crate::support::catalogs::fence_user;
use crate::support::guard_errors::refused;
use crate::support::harness::Test;
use crate::support::rings::{owner, shard_names};

/// Ids that the prototype's ring assigns to a shard of three, and ids of the other shards.
fn own_and_foreign(shard: usize) -> (Vec<i64>, Vec<i64>) {
    (1..=300).partition(|id| owner(*id) == shard)
}

/// Asserts that a write was refused because another shard owns the user.
#[track_caller]
fn not_owner<T: std::fmt::Debug>(result: Result<T, Error>, id: i64, shard: usize) -> DbError {
    let db = refused(result, "RS001");
    let owner = owner(id);
    let message =
        format!("user `{id}` does not belong on shard `shard_{shard}`: its owner is `shard_{owner}`");
    assert_eq!(db.message(), message);
    assert!(db.hint().unwrap().contains(&format!("connect to `shard_{owner}`")), "{db:?}");
    db
}

fn copy(client: &mut Client, ids: &[i64]) -> Result<u64, Error> {
    let mut writer = client.copy_in("COPY users (user_id, name) FROM STDIN")?;
    for id in ids {
        writeln!(writer, "{id}\tcopied").unwrap();
    }
    writer.finish()
}

#[test]
fn the_guard_accepts_own_rows_and_refuses_others_in_every_isolation_level() {
    let test = Test::initialised();
    let (own, foreign) = own_and_foreign(2);
    let mut client = test.other_program("postgres", 2);
    for level in ["read committed", "repeatable read", "serializable"] {
        client.batch_execute(&format!("SET default_transaction_isolation = '{level}'")).unwrap();
        // As the prototype does through SQLAlchemy.
        let sqlalchemy = "INSERT INTO users (user_id, name, region, email) VALUES ($1, $2, $3, $4)";
        let insert = |client: &mut Client, id: i64| client.execute(sqlalchemy, &[&id, &"N", &"EU", &"e"]);
        assert_eq!(insert(&mut client, own[0]).unwrap(), 1);
        not_owner(insert(&mut client, foreign[0]), foreign[0], 2);
        // Several own rows at once; then foreign ones among them, and the whole statement fails.
        let many = "INSERT INTO users SELECT unnest($1::bigint[]), 'many'";
        client.execute(many, &[&&own[1..]]).unwrap();
        client.execute("DELETE FROM users WHERE name = 'many'", &[]).unwrap();
        for good in [3, 40, own.len() - 1] {
            let mixed = [&own[1..=good], &foreign[1..3]].concat();
            let db = not_owner(client.execute(many, &[&mixed]), foreign[1], 2);
            assert!(db.detail().unwrap().ends_with("\"refused_rows\":2}"), "{db:?}");
        }
        // An upsert of an own row and of a foreign one.
        let upsert = "INSERT INTO users (user_id, name) VALUES ($1, 'up') ON CONFLICT (user_id) DO UPDATE SET name = excluded.name";
        assert_eq!(client.execute(upsert, &[&own[0]]).unwrap(), 1);
        not_owner(client.execute(upsert, &[&foreign[0]]), foreign[0], 2);
        assert_eq!(client.execute("UPDATE users SET name = 'new'", &[]).unwrap(), 1);
        not_owner(client.execute("UPDATE users SET user_id = $1", &[&foreign[2]]), foreign[2], 2);
        assert_eq!(client.execute("UPDATE users SET user_id = $1", &[&own[1]]).unwrap(), 1);
        assert_eq!(copy(&mut client, &own[2..]).unwrap(), own.len() as u64 - 2);
        not_owner(copy(&mut client, &[foreign[4], own[0]]), foreign[4], 2);
        not_owner(copy(&mut client, &[&own[..1], &foreign[..]].concat()), foreign[0], 2);
        assert_eq!(client.execute("TRUNCATE users", &[]).unwrap(), 0);
        assert_eq!(client.execute("DELETE FROM users WHERE user_id = $1", &[&foreign[0]]).unwrap(), 0);
        assert!(test.ids(2).is_empty());
    }
}

#[test]
fn a_misplaced_row_cannot_be_changed_deleted_or_truncated() {
    let test = Test::initialised();
    let (own, foreign) = own_and_foreign(1);
    // As a crash or an older version left it.
    test.execute(1, &format!("INSERT INTO users VALUES ({}, 'misplaced'), ({}, 'good')", foreign[0], own[0]));
    let mut client = test.other_program("postgres", 1);
    for sql in ["UPDATE users SET name = 'x'", "DELETE FROM users", "TRUNCATE users"] {
        for level in ["read committed", "serializable"] {
            client.batch_execute(&format!("SET default_transaction_isolation = '{level}'")).unwrap();
            not_owner(client.execute(sql, &[]), foreign[0], 1);
        }
    }
    let bring_home = "UPDATE users SET user_id = $1 WHERE user_id = $2";
    not_owner(client.execute(bring_home, &[&own[1], &foreign[0]]), foreign[0], 1);
    assert_eq!(client.execute("DELETE FROM users WHERE name = 'good'", &[]).unwrap(), 1);
    assert_eq!(test.ids(1), [foreign[0]]);
}

#[test]
fn a_write_to_a_fenced_row_is_refused_with_a_retry_hint() {
    let test = Test::initialised();
    let (own, foreign) = own_and_foreign(3);
    let (id, other) = (own[0], own[1]);
    test.execute(3, &format!("INSERT INTO users VALUES ({id}, 'moving')"));
    test.execute(3, &fence_user(id, "shard_1"));
    let mut client = test.other_program("postgres", 3);
    for level in ["read committed", "repeatable read", "serializable"] {
        client.batch_execute(&format!("SET default_transaction_isolation = '{level}'")).unwrap();
        for sql in [
            format!("INSERT INTO users VALUES ({id}, 'x') ON CONFLICT (user_id) DO UPDATE SET name = 'x'"),
            "UPDATE users SET name = 'x'".into(),
            "DELETE FROM users".into(),
            "TRUNCATE users".into(),
        ] {
            let db = refused(client.batch_execute(&sql), "RS002");
            assert_eq!(db.message(), format!("user `{id}` is being moved from shard `shard_3` to `shard_1`"));
            assert_eq!(db.hint(), Some("try again in a moment"));
        }
        // A row beside the fence is not affected.
        client.execute("INSERT INTO users VALUES ($1, 'beside')", &[&other]).unwrap();
        client.execute("DELETE FROM users WHERE user_id = $1", &[&other]).unwrap();
        not_owner(client.execute("INSERT INTO users VALUES ($1)", &[&foreign[0]]), foreign[0], 3);
    }
    assert_eq!(test.ids(3), [id]);
}

#[test]
fn during_a_rebalance_the_message_names_the_new_owner() {
    let test = Test::initialised();
    let topology = Topology::of_equals(100, shard_names(2)).unwrap();
    let (before, after) = (weighted_topology(&[1.0, 1.0, 1.0]).ring(), topology.ring());
    let leaves = |id: &i64| owner(*id) == 3 && before.owner(place(*id)) != after.owner(place(*id));
    let id = (1..1_000).find(leaves).unwrap();
    let target = serde_json::to_value(&topology).unwrap();
    let mut admin = test.client(3);
    admin
        .execute(
            "UPDATE ringshard.meta SET status = 'pending', topology_md5 = NULL, epoch = 2, next_topology = $1, participants = '[]'",
            &[&target],
        )
        .unwrap();
    admin.batch_execute("DELETE FROM ringshard.arc").unwrap();
    let sql = format!("INSERT INTO users VALUES ({id})");
    let db = refused(test.other_program("postgres", 3).batch_execute(&sql), "RS001");
    assert!(db.message().ends_with(&format!("its owner is `{}`", after.owner(place(id)))), "{db}");
    assert!(db.detail().unwrap().contains("\"epoch\":2"));
    // A missing arc without a change under way.
    admin
        .batch_execute("UPDATE ringshard.meta SET status = 'done', next_topology = NULL, participants = NULL")
        .unwrap();
    let db = refused(test.other_program("postgres", 3).batch_execute(&sql), "RS001");
    assert_eq!(
        db.message(),
        format!("user `{id}` belongs on shard `shard_3`, but the catalog of that shard lacks its arc")
    );
    assert_eq!(db.hint(), Some("run ringshard doctor"));
}

#[test]
fn replication_roles_do_not_bypass_the_guard() {
    let test = Test::initialised();
    let (own, foreign) = own_and_foreign(1);
    let mut client = test.other_program("postgres", 1);
    client.batch_execute("SET session_replication_role = replica").unwrap();
    not_owner(client.execute("INSERT INTO users VALUES ($1)", &[&foreign[0]]), foreign[0], 1);
    client.execute("INSERT INTO users VALUES ($1)", &[&own[0]]).unwrap();
    // ringshard's setting for a checked write; it ends with the transaction.
    client.batch_execute("BEGIN; SELECT set_config('ringshard.guard', 'checked', true)").unwrap();
    client.execute("INSERT INTO users VALUES ($1)", &[&foreign[0]]).unwrap();
    client.batch_execute("ROLLBACK").unwrap();
    not_owner(client.execute("INSERT INTO users VALUES ($1)", &[&foreign[0]]), foreign[0], 1);
    // A write by ringshard within another transaction does not leave the setting behind.
    let (cluster, id) = (test.cluster_id(1), own[1]);
    client.batch_execute("BEGIN; SET LOCAL row_security = off").unwrap();
    let write = "SELECT answer FROM ringshard.write_user($1, 'shard_1', 14, 0, 'create', $2, true, 'x', true, 'x', true, 'x')";
    assert_eq!(client.query_one(write, &[&cluster, &id]).unwrap().get::<_, &str>(0), "done");
    not_owner(client.execute("INSERT INTO users VALUES ($1)", &[&foreign[0]]), foreign[0], 1);
}

#[test]
fn a_role_needs_only_write_privileges_on_users() {
    let test = Test::initialised();
    let (own, foreign) = own_and_foreign(2);
    test.execute(2, "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON users TO plain");
    let mut client = test.other_program("plain", 2);
    client.execute("INSERT INTO users VALUES ($1, 'x')", &[&own[0]]).unwrap();
    client.execute("UPDATE users SET name = 'y'", &[]).unwrap();
    copy(&mut client, &own[1..]).unwrap();
    not_owner(client.execute("INSERT INTO users VALUES ($1)", &[&foreign[0]]), foreign[0], 2);
    client.execute("DELETE FROM users WHERE user_id = $1", &[&own[0]]).unwrap();
    client.batch_execute("BEGIN ISOLATION LEVEL SERIALIZABLE; TRUNCATE users; COMMIT").unwrap();
    // Objects of the same names that come first in the search path do not mislead the guard.
    client
        .batch_execute(
            "CREATE TEMP TABLE arc (last uuid, first uuid, state text); CREATE TEMP TABLE new_rows (user_id bigint); \
             SET search_path = pg_temp, ringshard, public",
        )
        .unwrap();
    not_owner(client.execute("INSERT INTO public.users VALUES ($1)", &[&foreign[0]]), foreign[0], 2);
    let looked = client.query("SELECT FROM ringshard.arc", &[]).unwrap_err();
    assert_eq!(looked.code().unwrap().code(), "42501");
}

fn place(id: i64) -> Position {
    Position::of_user(UserId::new(id))
}

fn weighted_topology(weights: &[f64]) -> Topology {
    let names = shard_names(weights.len());
    let spec = |(name, weight): (_, &f64)| ShardSpec { name, weight: (*weight).try_into().unwrap() };
    Topology::new(100, names.into_iter().zip(weights).map(spec).collect()).unwrap()
}

#[test]
fn the_ring_in_sql_equals_the_ring() {
    let test = Test::initialised();
    let mut ids: Vec<i64> = (0..500).map(|n| n * 7_919_i64.wrapping_mul(1_000_003) - 5_000_000_000).collect();
    ids.extend((1..=500).chain([0, -1, i64::MIN, i64::MAX]));
    let sql = "SELECT id, (SELECT shard FROM ringshard.ring WHERE last >= md5(id::text)::uuid ORDER BY last LIMIT 1) \
               FROM unnest($1::bigint[]) AS id";
    for topology in [
        weighted_topology(&[1.0, 1.0, 1.0]),
        weighted_topology(&[1.0]),
        weighted_topology(&[0.01, 0.015, 0.025, 0.145, 3.335, 0.5]),
        weighted_topology(&[2.5, 0.994_999, 0.995, 1.005, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        Topology::of_equals(1, shard_names(5)).unwrap(),
        Topology::of_equals(7, ["a", "B", "a_b", "A-1"].map(|name| name.parse().unwrap())).unwrap(),
    ] {
        let ring: Ring = topology.ring();
        test.client(1)
            .execute("UPDATE ringshard.meta SET topology = $1", &[&serde_json::to_value(&topology).unwrap()])
            .unwrap();
        let rows = test.query(1, sql, &[&ids]);
        assert_eq!(rows.len(), ids.len());
        for row in rows {
            let id: i64 = row.get(0);
            assert_eq!(row.get::<_, &str>(1), ring.owner(place(id)).as_str(), "user {id} of {topology:?}");
        }
        // At, before and after virtual nodes, and at both ends of the ring.
        let points = ring.virtual_nodes().take(40).flat_map(|node| {
            let point = node.position.number();
            [point.wrapping_sub(1), point, point.wrapping_add(1)]
        });
        for point in points.chain([0, u128::MAX]) {
            let owner: String = owner_in_sql(&test, point);
            assert_eq!(owner, ring.owner(Position::new(point)).as_str());
        }
    }
}

fn owner_in_sql(test: &Test, point: u128) -> String {
    let sql = "SELECT shard FROM ringshard.ring WHERE last >= $1::text::uuid ORDER BY last LIMIT 1";
    test.query(1, sql, &[&format!("{point:032x}")])[0].get(0)
}
