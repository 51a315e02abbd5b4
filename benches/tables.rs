//! Moves of two tables, compared with plain COPY and DELETE in the same run: `scripts/bench tables`.
//!
//! - `rebalance` from one shard to three, 1,000,000 users and 3,000,000 orders with 200 bytes of jsonb and a foreign key, against
//!   two pipes of psql at once for each table, `COPY (the rows that move) TO STDOUT (FORMAT binary) | COPY … FROM STDIN`, then a
//!   `DELETE` of the same rows. psql finds the rows by their positions, with the fastest condition that we know, and disables
//!   the checks of the foreign key (`session_replication_role`). It is neither online nor safe.
//! - the same by hand, but chunk by chunk in the order of the ring, as whoever moves rows beside writers must: the index on the
//!   position, then two sessions at once, each with a COPY, a COPY and a DELETE for each table and 5,000 rows. It has no fence and
//!   compares nothing. The rows of a chunk lie on as many pages; so this shows how much of the ratio is due to that.
//! - how long writes take while it moves, with 8 writers at work
//! - its peak memory, also with rows of 10 MB, and with a key of 1,000,000 rows
//!
//! The raw databases have the same tables and indexes, and no guard.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may fail by panicking, and prints")]

mod common;

use std::process::{Command, Stdio};
use std::time::Duration;
use std::{io, thread};

use postgres::{Client, NoTls};
use uuid::Uuid;

use ringshard::local::PrivateServer;
use ringshard::model::names::ShardName;
use ringshard::model::ring::position::Position;
use ringshard::model::ring::topology::Topology;
use ringshard::model::user::UserId;

use common::{Home, belongs_to, latencies, median, peak_mib, run, seconds, show_latencies};

const USERS: i64 = 1_000_000;
const ORDERS_OF_EACH: i64 = 3;
const ROUNDS: usize = 1;
/// About as many rows has a chunk that is moved by hand.
const CHUNK_ROWS: u128 = 5_000;
const MEMORY_GOAL: f64 = 100.0;

/// The key that has 1,000,000 orders.
const HEAVY_ROWS: i64 = 1_000_000;

fn main() {
    let names = (1..=3).map(|n| format!("shard_{n}").parse::<ShardName>().unwrap());
    let after = Topology::of_equals(100, names).unwrap();
    let (mut ours, mut theirs, mut memory, mut moved) = (Vec::new(), Vec::new(), 0.0_f64, 0.0);
    let mut by_chunks = Vec::new();
    for round in 0..ROUNDS {
        for way in 0..3 {
            // Each on a server of its own, as the other's dead rows would be in its way.
            let home = Home::with(&["--shards", "1"]);
            if way == round % 3 {
                fill(&home, "shard_1", USERS);
                add_tables(&home);
                grow(&home);
                ours.push(seconds(|| memory = memory.max(rebalance(&home))));
                let rows = "SELECT (SELECT count(*) FROM users) + (SELECT count(*) FROM orders)";
                moved = ["shard_2", "shard_3"].iter().map(|name| number(&home, name, rows)).sum();
            } else if way == (round + 1) % 3 {
                make_raw(&home);
                theirs.push(seconds(|| move_raw(&home, &after)));
            } else {
                make_raw(&home);
                by_chunks.push(seconds(|| move_by_chunks(&home, &after)));
            }
        }
    }
    let (ours, theirs, by_chunks) = (moved / median(ours), moved / median(theirs), moved / median(by_chunks));
    let ratio = ours / theirs;
    println!(
        "rebalance 1 to 3 shards, {moved:.0} rows of users and orders move / COPY and DELETE by hand, rows"
    );
    println!("  {ours:.0} /s / {theirs:.0} /s = {ratio:.3}  (goal at least 0.6: {})", verdict(ratio >= 0.6));
    println!("  chunk by chunk by hand: {by_chunks:.0} /s, of which rebalance has {:.3}", ours / by_chunks);
    show_memory("rebalance", memory);
    stalls();
    large_rows();
    heavy_key(&after);
}

fn verdict(is_reached: bool) -> &'static str {
    if is_reached { "reached" } else { "MISSED" }
}

fn show_memory(what: &str, mib: f64) {
    println!("memory of {what}: {mib:.1} MiB  (goal at most {MEMORY_GOAL}: {})", verdict(mib <= MEMORY_GOAL));
}

fn psql(home: &Home, database: &str) -> Command {
    let mut psql = home.client("psql");
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]);
    psql.env("PGOPTIONS", "-c session_replication_role=replica");
    psql
}

fn number(home: &Home, database: &str, query: &str) -> f64 {
    run(psql(home, database).args(["-c", query])).trim().parse().unwrap()
}

const TABLES: &str = "CREATE TABLE orders (user_id bigint REFERENCES users, order_id bigint, data jsonb, \
                      PRIMARY KEY (user_id, order_id))";

/// Makes the orders, and fills both tables in one database.
fn fill(home: &Home, database: &str, users: i64) {
    let statements = [
        TABLES,
        &format!(
            "INSERT INTO users SELECT n, 'Name ' || n, 'EU', 'user' || n || '@example.com' \
             FROM generate_series(1, {users}) AS n"
        ),
        &format!(
            "INSERT INTO orders SELECT n, n * {ORDERS_OF_EACH} + m, jsonb_build_object('note', left(repeat(md5((n * m)::text), 6), 180)) \
             FROM generate_series(1, {users}) AS n, generate_series(1, {ORDERS_OF_EACH}) AS m"
        ),
        "VACUUM ANALYZE",
        "CHECKPOINT",
    ];
    for statement in statements {
        run(psql(home, database).args(["-c", statement]));
    }
}

fn add_tables(home: &Home) {
    run(home.ringshard().args(["table", "add", "orders", "--key", "user_id"]));
}

fn grow(home: &Home) {
    for name in ["shard_2", "shard_3"] {
        run(home.ringshard().args(["add-shard", name]));
    }
}

/// Returns its peak memory in MiB.
fn rebalance(home: &Home) -> f64 {
    peak_mib(home.ringshard().args(["rebalance", "-y"]))
}

/// The same tables without ringshard, one filled and two empty.
fn make_raw(home: &Home) {
    let users = include_str!("../sql/queries/users.sql");
    for n in 1..=3 {
        home.script(&format!(
            "CREATE DATABASE raw_{n};\n\\c raw_{n}\n{users};\nCREATE INDEX ON users (region);\n"
        ));
    }
    fill(home, "raw_1", USERS);
    for n in 2..=3 {
        run(psql(home, &format!("raw_{n}")).args(["-c", TABLES]));
    }
}

fn move_raw(home: &Home, after: &Topology) {
    let pipe = |n: usize| {
        let these = belongs_to(&after.ring(), &format!("shard_{n}"));
        for table in ["users", "orders"] {
            let from = format!("COPY (SELECT * FROM {table} WHERE {these}) TO STDOUT (FORMAT binary)");
            let mut source = psql(home, "raw_1").args(["-c", &from]).stdout(Stdio::piped()).spawn().unwrap();
            let into = format!("COPY {table} FROM STDIN (FORMAT binary)");
            let mut target = psql(home, &format!("raw_{n}"));
            let target = target.args(["-c", &into]).stdin(source.stdout.take().unwrap()).status().unwrap();
            assert!(source.wait().unwrap().success() && target.success());
        }
        for table in ["orders", "users"] {
            run(psql(home, "raw_1").args(["-c", &format!("DELETE FROM {table} WHERE {these}")]));
        }
    };
    thread::scope(|scope| {
        for n in 2..=3 {
            scope.spawn(move || pipe(n));
        }
    });
}

fn move_by_chunks(home: &Home, after: &Topology) {
    for table in ["users", "orders"] {
        let index = format!("CREATE INDEX CONCURRENTLY ON {table} ((md5(user_id::text)::uuid))");
        run(psql(home, "raw_1").args(["-c", &index]));
    }
    let connect = |database: &str| {
        let mut config = postgres::Config::new();
        config.host_path(home.server.socket_dir()).port(home.server.port());
        let mut client = config.user(PrivateServer::USER).dbname(database).connect(NoTls).unwrap();
        client.batch_execute("SET session_replication_role = replica; SET enable_seqscan = off").unwrap();
        client
    };
    let ring = after.ring();
    let queue = |n: usize| {
        let (mut source, mut target) = (connect("raw_1"), connect(&format!("raw_{n}")));
        let name = format!("shard_{n}");
        for owned in ring.arcs().iter().filter(|owned| owned.shard.as_str() == name) {
            let (first, last) = (owned.arc.first().number(), owned.arc.last().number());
            // The rows are spread evenly.
            let width = u128::MAX / (u128::from(USERS.unsigned_abs()) * 4 / CHUNK_ROWS);
            let mut from = first;
            loop {
                let to = last.min(from.saturating_add(width));
                move_chunk(&mut source, &mut target, from, to);
                if to == last {
                    break;
                }
                from = to + 1;
            }
        }
    };
    thread::scope(|scope| {
        for n in 2..=3 {
            scope.spawn(move || queue(n));
        }
    });
}

fn move_chunk(source: &mut Client, target: &mut Client, first: u128, last: u128) {
    let these = format!(
        "WHERE md5(user_id::text)::uuid BETWEEN '{}' AND '{}'",
        Uuid::from_u128(first),
        Uuid::from_u128(last)
    );
    let mut receiving = target.transaction().unwrap();
    for table in ["users", "orders"] {
        let rows = format!("COPY (SELECT * FROM {table} {these}) TO STDOUT (FORMAT binary)");
        let mut from = source.copy_out(&rows).unwrap();
        let mut into = receiving.copy_in(&format!("COPY {table} FROM STDIN (FORMAT binary)")).unwrap();
        io::copy(&mut from, &mut into).unwrap();
        into.finish().unwrap();
    }
    receiving.commit().unwrap();
    source.batch_execute(&format!("DELETE FROM orders {these}; DELETE FROM users {these}")).unwrap();
}

/// How long writes take beside it.
fn stalls() {
    let home = Home::with(&["--shards", "1"]);
    fill(&home, "shard_1", USERS);
    add_tables(&home);
    let alone = latencies(&home, 1, USERS, || thread::sleep(Duration::from_secs(5)));
    grow(&home);
    let moving = latencies(&home, 1, USERS, || {
        rebalance(&home);
    });
    show_latencies(&alone, &moving, 50.0, 250.0);
}

/// Rows of 10 MB.
fn large_rows() {
    let home = Home::with(&["--shards", "1"]);
    fill(&home, "shard_1", 40);
    let large = "UPDATE orders SET data = jsonb_build_object('note', repeat(md5(order_id::text), 10000000 / 32)) \
                 WHERE order_id % 3 = 0";
    run(psql(&home, "shard_1").args(["-c", large]));
    add_tables(&home);
    grow(&home);
    show_memory("rebalance with rows of 10 MB", rebalance(&home));
}

/// A key with 1,000,000 rows, which moves.
fn heavy_key(after: &Topology) {
    let ring = after.ring();
    let moves = |id: &i64| ring.owner(Position::of_user(UserId::new(*id))).as_str() != "shard_1";
    let heavy = (1..1_000).find(moves).unwrap();
    let home = Home::with(&["--shards", "1"]);
    fill(&home, "shard_1", 1_000);
    let orders = format!(
        "INSERT INTO orders SELECT {heavy}, 1000000 + n, jsonb_build_object('note', left(repeat(md5(n::text), 6), 180)) \
         FROM generate_series(1, {HEAVY_ROWS}) AS n"
    );
    run(psql(&home, "shard_1").args(["-c", &orders]));
    add_tables(&home);
    grow(&home);
    let mut memory = 0.0;
    let took = seconds(|| memory = rebalance(&home));
    println!("a key of {HEAVY_ROWS} rows moved with its shard in {took:.1} s");
    show_memory("rebalance with that key", memory);
}
