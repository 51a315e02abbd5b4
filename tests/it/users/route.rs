//! The route for other programs: `ringshard.route` and `require_owner` on the shards, and `ringshard route`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use postgres::{Client, SimpleQueryMessage};
use ringshard::model::ring::position::Position;
use ringshard::model::ring::topology::Topology;
use serde_json::Value;

use crate::support::clusters::filled;
use crate::support::guard_errors::refused;
use crate::support::harness::Test;
use crate::support::rebalances::{add_shard, rebalance_to_failpoint, start_slow_rebalance};
use crate::support::rings::{owner, owner_of_four, shard_names};

/// The owner that a shard tells of a key, and its number.
fn route(client: &mut Client, id: i64) -> (String, i32) {
    let row = client
        .query_one("SELECT shard, number, url, epoch FROM ringshard.route($1::bigint)", &[&id])
        .unwrap();
    assert!(row.get::<_, &str>("url").starts_with("postgresql://"), "{row:?}");
    (row.get("shard"), row.get("number"))
}

/// The DETAIL of the error with which a shard denies a key.
fn denied(client: &mut Client, id: i64, code: &str) -> Value {
    let db = refused(client.query("SELECT ringshard.require_owner($1::bigint)", &[&id]), code);
    serde_json::from_str(db.detail().unwrap()).unwrap()
}

#[test]
fn each_shard_tells_the_route_and_proves_what_it_owns() {
    let test = filled(100);
    for number in 1..=3 {
        let mut client = test.client(number);
        for id in (1..=60).chain([-1, i64::MIN, i64::MAX]) {
            let owner = owner(id);
            assert_eq!(
                route(&mut client, id),
                (format!("shard_{owner}"), i32::try_from(owner).unwrap()),
                "{id}"
            );
            if owner == number {
                client.query("SELECT ringshard.require_owner($1::bigint)", &[&id]).unwrap();
                continue;
            }
            let detail = denied(&mut client, id, "RS001");
            assert_eq!(detail["owner"], format!("shard_{owner}"));
            assert_eq!((&detail["number"], &detail["epoch"]), (&owner.into(), &1.into()), "{detail}");
            assert_eq!(
                (&detail["key"], detail.get("refused_rows")),
                (&id.to_string().into(), None),
                "{detail}"
            );
            let mut there = Client::connect(detail["url"].as_str().unwrap(), postgres::NoTls).unwrap();
            there.query("SELECT ringshard.require_owner($1::bigint)", &[&id]).unwrap();
        }
    }
}

#[test]
fn a_large_ring_is_told_without_the_table() {
    let test = Test::new();
    let mut init = test.command();
    init.args(["init-shards", "--vnodes", "2000"]).args(test.shard_flags());
    assert!(init.status().unwrap().success());
    let ring = Topology::of_equals(2_000, shard_names(3)).unwrap().ring();
    let mut client = test.client(1);
    assert_eq!(client.query_one("SELECT count(*) FROM ringshard.ring", &[]).unwrap().get::<_, i64>(0), 0);
    let ranges = client.query("SELECT last::text, shard FROM ringshard.ranges()", &[]).unwrap();
    for id in 1..=40 {
        let position = Position::of_key(&id.to_string());
        let owner = ring.owner(position).to_string();
        assert_eq!(route(&mut client, id).0, owner, "{id}");
        assert_eq!(proof(&mut client, id).map_or("shard_1".into(), |(_, named)| named), owner, "{id}");
        let hex = format!("{:032x}", position.number());
        let range = ranges.iter().find(|range| range.get::<_, String>(0).replace('-', "") >= hex).unwrap();
        assert_eq!(range.get::<_, &str>(1), owner, "{id}");
    }
}

#[test]
fn a_key_is_hashed_by_its_text_whatever_its_type() {
    let test = Test::initialised();
    let mut client = test.client(1);
    let mut number = |key: &str| -> i32 {
        client.query_one(&format!("SELECT ringshard.shard_number({key})"), &[]).unwrap().get(0)
    };
    let of_42 = i32::try_from(owner(42)).unwrap();
    for key in ["42", "'42'", "42::smallint", "42::bigint", "'42'::varchar", "'42'::text"] {
        assert_eq!(number(key), of_42, "{key}");
    }
    // An untyped parameter is read as the type of the sharding keys.
    assert_eq!(number("' 0042'"), of_42);
    let uuid = "'6F9619FF-8B86-D011-B42D-00C04FC964FF'";
    let by_ring = format!(
        "(SELECT number FROM ringshard.ring WHERE last >= md5(lower({uuid}))::uuid ORDER BY last LIMIT 1)"
    );
    assert_eq!(
        number(&format!("{uuid}::uuid")),
        test.client(1).query_one(&format!("SELECT {by_ring}"), &[]).unwrap().get::<_, i32>(0)
    );
    for (key, code) in
        [("'x'", "22P02"), ("42.0", "42804"), ("true", "42804"), ("NULL::bigint", "22004"), ("NULL", "22004")]
    {
        for function in ["route", "shard_number", "require_owner"] {
            refused(client.query(&format!("SELECT ringshard.{function}({key})"), &[]), code);
        }
    }
}

#[test]
fn a_shard_that_is_behind_the_known_epoch_refuses() {
    let test = Test::initialised();
    let id = (1..100).find(|id| owner(*id) == 1).unwrap();
    let mut client = test.client(1);
    client.query("SELECT ringshard.require_owner($1::bigint, 1)", &[&id]).unwrap();
    refused(client.query("SELECT ringshard.require_owner($1::bigint, 2)", &[&id]), "RS014");
}

#[test]
fn a_role_of_an_application_needs_no_more_than_the_schema() {
    let test = Test::initialised();
    test.execute(1, "CREATE ROLE reads_routes; GRANT USAGE ON SCHEMA ringshard TO reads_routes; SET ROLE reads_routes; \
                     SELECT * FROM ringshard.route(1); RESET ROLE; DROP OWNED BY reads_routes; DROP ROLE reads_routes");
}

/// What a shard says of a key: `None` if it owns it, else the SQLSTATE and the owner that it names.
fn proof(client: &mut Client, id: i64) -> Option<(String, String)> {
    let cause = client.query("SELECT ringshard.require_owner($1::bigint)", &[&id]).err()?;
    let db = cause.as_db_error().unwrap();
    let detail: Value = serde_json::from_str(db.detail().unwrap()).unwrap();
    Some((db.code().code().to_owned(), detail["owner"].as_str().unwrap().to_owned()))
}

#[test]
fn during_a_change_the_old_owner_names_the_new_one() {
    let test = filled(300);
    add_shard(&test, 4);
    // Most of them are no users, but each arc has some.
    let moving: Vec<i64> = (1..5_000).filter(|id| owner_of_four(*id) == 4).collect();
    assert_eq!(rebalance_to_failpoint(&test, "after-fence:12", &[]).code, -1);
    let mut clients: Vec<Client> = (1..=4).map(|number| test.client(number)).collect();
    let said_by_route = |id: i64| -> String {
        let said = test.run(&["route", &id.to_string(), "-o", "json"]).success().json();
        said["shard"].as_str().unwrap().to_owned()
    };
    let by_ring = |id: i64| (format!("shard_{}", owner(id)), i32::try_from(owner(id)).unwrap());
    let mut examples: BTreeMap<&str, i64> = BTreeMap::new();
    let mut moved = Vec::new();
    for id in &moving {
        let old = &mut clients[owner(*id) - 1];
        let (found, told) = (proof(old, *id), route(old, *id));
        let state = match found.as_ref().map(|(code, named)| (code.as_str(), named.as_str())) {
            None => "waiting",
            Some(("RS001", "shard_4")) => "moved",
            Some(("RS002", "shard_4")) => "fenced",
            other => panic!("{id}: {other:?}"),
        };
        examples.insert(state, *id);
        assert_eq!(told, if state == "waiting" { by_ring(*id) } else { ("shard_4".into(), 4) }, "{id}");
        let is_there = proof(&mut clients[3], *id).is_none();
        assert!(if state == "moved" { is_there } else { state == "fenced" || !is_there }, "{id} is {state}");
        if is_there {
            moved.push(*id);
        }
    }
    assert_eq!(examples.keys().copied().collect::<Vec<_>>(), ["fenced", "moved", "waiting"]);
    assert_eq!(said_by_route(examples["moved"]), "shard_4");
    assert_eq!(said_by_route(examples["waiting"]), by_ring(examples["waiting"]).0);
    // While it is canceled, keys that had moved are still served where they are.
    let mut cancel = test.command();
    cancel.args(["rebalance", "cancel", "-y"]).env("RINGSHARD_CRASH", "after-announce:4");
    assert!(!cancel.status().unwrap().success());
    for id in &moved {
        assert_eq!(proof(&mut clients[3], *id), None, "{id}");
        assert_eq!(route(&mut clients[3], *id).0, "shard_4");
        assert_eq!(proof(&mut clients[owner(*id) - 1], *id).unwrap().1, "shard_4", "{id}");
    }
    assert_eq!(said_by_route(examples["moved"]), "shard_4");
    test.run(&["rebalance", "cancel", "--yes"]).success();
    for id in moving {
        assert_eq!(proof(&mut clients[owner(id) - 1], id), None, "{id}");
        assert_eq!(proof(&mut clients[3], id), Some(("RS001".into(), by_ring(id).0)));
    }
}

#[test]
fn the_table_of_the_ring_follows_the_topology_and_listeners_are_told() {
    let test = filled(100);
    let mut listener = test.client(2);
    listener.batch_execute("LISTEN ringshard").unwrap();
    add_shard(&test, 4);
    test.run(&["rebalance", "--yes"]).success();
    let told: Vec<Value> = {
        use postgres::fallible_iterator::FallibleIterator as _;
        listener
            .notifications()
            .timeout_iter(Duration::from_secs(2))
            .map(|notification| Ok(serde_json::from_str(notification.payload()).unwrap()))
            .collect()
            .unwrap()
    };
    let expected = [
        serde_json::json!({"epoch": 2, "status": "pending"}),
        serde_json::json!({"epoch": 2, "status": "done"}),
    ];
    assert_eq!(told, expected);
    for number in 1..=4 {
        for id in 1..=100 {
            assert_eq!(
                route(&mut test.client(number), id).0,
                format!("shard_{}", owner_of_four(id)),
                "on {number}"
            );
        }
    }
}

/// Reads a user as an application does: proof and read in one round trip. `None`: this shard denies the key.
fn read(client: &mut Client, id: i64) -> Option<usize> {
    let sql = format!("SELECT ringshard.require_owner({id}); SELECT name FROM users WHERE user_id = {id}");
    match client.simple_query(&sql) {
        Ok(messages) => Some(
            messages
                .iter()
                .filter(|message| matches!(message, SimpleQueryMessage::Row(row) if row.columns()[0].name() == "name"))
                .count(),
        ),
        Err(cause) => {
            let code = cause.code().unwrap().code();
            assert!(code == "RS001" || code == "RS002", "{cause:?}");
            None
        }
    }
}

#[test]
fn readers_with_the_proof_miss_no_user_through_a_rebalance() {
    let test = filled(400);
    add_shard(&test, 4);
    let is_over = AtomicBool::new(false);
    let (reads, denials) = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut clients: BTreeMap<usize, Client> =
                (1..=4).map(|number| (number, test.client(number))).collect();
            let (mut reads, mut denials) = (0, 0);
            while !is_over.load(Ordering::SeqCst) || reads < 400 {
                let id = 1 + reads % 399;
                let candidates = [owner(id), owner_of_four(id)];
                let mut tries = 0;
                loop {
                    match read(clients.get_mut(&candidates[tries % 2]).unwrap(), id) {
                        Some(found) => {
                            assert_eq!(found, 1, "user {id}");
                            break;
                        }
                        None => denials += 1,
                    }
                    tries += 1;
                    thread::sleep(Duration::from_millis(2));
                }
                reads += 1;
            }
            (reads, denials)
        });
        let mut rebalance = start_slow_rebalance(&test, 100);
        let ended = rebalance.wait().unwrap();
        is_over.store(true, Ordering::SeqCst);
        assert!(ended.success());
        reader.join().unwrap()
    });
    assert!(reads >= 400 && denials > 0, "{reads} {denials}");
}

#[test]
fn scripts_are_told_the_route() {
    let test = Test::initialised();
    let ran = test.run(&["route", "42", "-1", "007"]).success();
    for (fields, id) in ran.fields().iter().zip([42, -1, 7]) {
        let number = owner(id).to_string();
        assert_eq!(fields[..4], [id.to_string(), format!("shard_{number}"), number, "1".into()], "{ran:?}");
        assert!(fields[4].starts_with("postgresql://"), "{ran:?}");
    }
    let one = test.run(&["route", "42", "-o", "json"]).success().json();
    assert_eq!((&one["key"], &one["number"], &one["epoch"]), (&"42".into(), &owner(42).into(), &1.into()));
    test.run(&["route", "x"]).fails(2).says("the sharding key `x` is no bigint");
    test.run(&["route", "1", "--table", "nothing"]).fails(4).says("ringshard table list");
    test.run(&["route"]).fails(2);
}
