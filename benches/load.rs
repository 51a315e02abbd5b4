//! `load run` against pgbench with the same mix, as ratios in the same run: `scripts/bench load`.
//!
//! All have eight clients, the same number of users and prepared statements, on private servers:
//!
//! - `load run` over three shards. In addition it routes, each statement reports the shard and whether it owns the
//!   key, and every answer is checked.
//! - pgbench on one plain database: the goal is about this one.
//! - pgbench on the database of a cluster's only shard: the cost of writing to a shard without ringshard, where the
//!   guard looks at each row.
//! - The plain statements over three plain databases with the same driver, and nothing else: what the driver, and three
//!   databases instead of one, cost.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may fail by panicking, and prints")]

mod common;

use std::thread;
use std::time::{Duration, Instant};

use common::{Home, median, run};
use postgres::{Client, NoTls};
use ringshard::local::PrivateServer;

const USERS: u32 = 100_000;
const ROUNDS: usize = 5;
const SECONDS: u32 = 5;
const CLIENTS: u32 = 8;
const GOAL: f64 = 0.8;

/// What a user of a plain database would write, and how often each comes.
const SCRIPTS: [(&str, u32, &str); 3] = [
    (
        "get.sql",
        80,
        "\\set id random(1, 100000)\nSELECT user_id, name, region, email FROM users WHERE user_id = :id;\n",
    ),
    (
        "create.sql",
        15,
        "\\set n random(1, 1000000)\nINSERT INTO users (user_id, name, region, email) \
         VALUES (nextval('ids'), 'Alice Baker', 'US', concat('alice.baker.', :n::int, '@load.example'));\n",
    ),
    (
        "update.sql",
        5,
        "\\set id random(1, 100000)\n\\set n random(1, 1000000)\n\
         UPDATE users SET email = concat('alice.baker.', :n::int, '@load.example') WHERE user_id = :id;\n",
    ),
];

fn main() {
    let home = Home::new();
    let alone = Home::with(&["--shards", "1"]);
    for home in [&home, &alone] {
        run(home.ringshard().args(["load", "fill", &USERS.to_string()]));
        for (name, _, script) in SCRIPTS {
            std::fs::write(home.folder.path().join(name), script).unwrap();
        }
    }
    run(home.ringshard().args(["export", "users.csv"]));
    for name in ["plain", "plain_1", "plain_2", "plain_3"] {
        home.script(&format!(
            "CREATE DATABASE {name};\n\\c {name}\n{};\nCREATE INDEX ON users (region);\n\
             CREATE SEQUENCE ids START {};\n\\copy users FROM 'users.csv' WITH (FORMAT csv, HEADER)\n\
             VACUUM ANALYZE users;\n",
            include_str!("../sql/queries/users.sql"),
            USERS + 1
        ));
    }
    for name in ["shard_1", "shard_2", "shard_3"] {
        home.script(&format!("\\c {name}\nVACUUM ANALYZE users;\n"));
    }
    alone.script(&format!("\\c shard_1\nCREATE SEQUENCE ids START {};\nVACUUM ANALYZE users;\n", USERS + 1));

    let ways: [&dyn Fn() -> f64; 4] =
        [&|| load_run(&home), &|| pgbench(&home, "plain"), &|| pgbench(&alone, "shard_1"), &|| {
            driver(&home, &["plain_1", "plain_2", "plain_3"])
        }];
    let mut rates = ways.map(|_| Vec::new());
    for round in 0..ROUNDS {
        // Each one is the first of a round in turn.
        for turn in 0..ways.len() {
            let way = (round + turn) % ways.len();
            home.script("CHECKPOINT");
            alone.script("CHECKPOINT");
            rates[way].push(ways[way]());
        }
        let [ours, plain, guarded, driver] = [0, 1, 2, 3].map(|way| rates[way][round]);
        println!(
            "round {}: load run {ours:.0}/s, pgbench {plain:.0}/s, pgbench on a shard {guarded:.0}/s, driver {driver:.0}/s",
            round + 1
        );
    }
    // Ratios of the runs within a round, which follow each other: the load of the machine changes over time.
    let ratio =
        |way: usize| median(rates[0].iter().zip(&rates[way]).map(|(ours, theirs)| ours / theirs).collect());
    let verdict = if ratio(1) >= GOAL { "reached" } else { "MISSED" };
    let rate = |way: usize| median(rates[way].clone());
    println!("load run, {CLIENTS} clients, three shards            {:>9.0}/s", rate(0));
    for (way, what, end) in [
        (1, "pgbench -M prepared, one plain table ", format!("  (goal at least {GOAL}: {verdict})")),
        (2, "pgbench -M prepared, a shard's table ", String::new()),
        (3, "crate postgres, three plain databases", String::new()),
    ] {
        println!("  against {what} {:>9.0}/s: ratio {:.3}{end}", rate(way), ratio(way));
    }
}

/// Operations a second.
fn load_run(home: &Home) -> f64 {
    let (clients, duration) = (CLIENTS.to_string(), format!("{SECONDS}s"));
    let users = format!("1..{USERS}");
    let words =
        ["load", "run", "--clients", &clients, "--duration", &duration, "--users", &users, "-o", "json"];
    let out = run(home.ringshard().args(words));
    let whole: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((whole["errors"].as_u64(), whole["wrong"].as_u64()), (Some(0), Some(0)));
    whole["per_sec"].as_f64().unwrap()
}

/// Transactions a second.
fn pgbench(home: &Home, database: &str) -> f64 {
    let mut command = home.client("pgbench");
    command.args(["-n", "-M", "prepared", "-c", &CLIENTS.to_string(), "-T", &SECONDS.to_string()]);
    for (name, weight, _) in SCRIPTS {
        command.args(["-f", &format!("{name}@{weight}")]);
    }
    let out = run(command.arg(database));
    let tps = out.lines().find_map(|line| line.strip_prefix("tps = ")).unwrap();
    tps.split_whitespace().next().unwrap().parse().unwrap()
}

/// Statements a second: each client has a connection to each database, and uses them at random.
fn driver(home: &Home, databases: &[&str]) -> f64 {
    let connect = |database: &str| {
        let mut config = Client::configure();
        config.host_path(home.server.socket_dir()).port(home.server.port());
        config.user(PrivateServer::USER).dbname(database).connect(NoTls).unwrap()
    };
    let (mut clients, mut statements) = (Vec::new(), 0_u64);
    for _ in 0..CLIENTS {
        clients.push(databases.iter().map(|name| connect(name)).collect::<Vec<Client>>());
    }
    let begun = Instant::now();
    let end = begun + Duration::from_secs(SECONDS.into());
    thread::scope(|scope| {
        let threads: Vec<_> = (1_u64..)
            .zip(clients)
            .map(|(seed, clients)| scope.spawn(move || statements_until(end, clients, seed)))
            .collect();
        statements = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    });
    #[expect(clippy::cast_precision_loss, reason = "a rate for the eye")]
    let statements = statements as f64;
    statements / begun.elapsed().as_secs_f64()
}

fn statements_until(end: Instant, clients: Vec<Client>, seed: u64) -> u64 {
    let mut clients: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let get = client.prepare("SELECT user_id, name, region, email FROM users WHERE user_id = $1").unwrap();
            let create = client
                .prepare(
                    "INSERT INTO users (user_id, name, region, email) \
                     VALUES (nextval('ids'), 'Alice Baker', 'US', concat('alice.baker.', $1::int, '@load.example'))",
                )
                .unwrap();
            let update = client
                .prepare("UPDATE users SET email = concat('alice.baker.', $2::int, '@load.example') WHERE user_id = $1")
                .unwrap();
            (client, get, create, update)
        })
        .collect();
    let mut statements = 0;
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    while Instant::now() < end {
        // xorshift64 (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let at = usize::try_from((state >> 40) % clients.len() as u64).unwrap();
        let (client, get, create, update) = &mut clients[at];
        let id = i64::try_from(state % u64::from(USERS)).unwrap() + 1;
        let n = i32::try_from(state >> 44).unwrap();
        match (state >> 33) % 100 {
            0..80 => {
                let rows = client.query(&*get, &[&id]).unwrap();
                assert!(rows[0].get::<_, Option<&str>>(1).is_some());
            }
            80..95 => assert_eq!(client.execute(&*create, &[&n]).unwrap(), 1),
            _ => assert_eq!(client.execute(&*update, &[&id, &n]).unwrap(), 1),
        }
        statements += 1;
    }
    statements
}
