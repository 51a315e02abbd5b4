//! The client for Rust programs, `ringshard::client`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use postgres::Row;
use postgres::error::SqlState;
use ringshard::client::{Client, Transaction};
use ringshard::error::{Error, Kind};

use crate::support::clusters::filled;
use crate::support::harness::Test;
use crate::support::rebalances::{add_shard, reads_of_a_long_run, rebalance_until, start_slow_rebalance};
use crate::support::rings::owner;

type Done<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const SELECT: &str = "SELECT name FROM users WHERE user_id = $1";
const UPDATE: &str = "UPDATE users SET name = $1 WHERE user_id = $2";

fn client(test: &Test) -> Client {
    Client::connect([test.url(2)]).unwrap()
}

/// What one thread does with its users: it writes one, and reads ten in two ways, until there is nothing left to do. Each answer
/// has to be what was last acknowledged. Returns how many it has read and written.
fn write_and_read(client: &Client, users: &[i64], is_over: impl Fn(usize) -> bool) -> (usize, usize) {
    let mut names: Vec<String> = users.iter().map(|user| format!("Name {user}")).collect();
    let (mut reads, mut writes) = (0, 0);
    while !is_over(reads) || writes < users.len() {
        let (at, name) = (writes % users.len(), format!("name {writes}"));
        let update =
            |tx: &mut Transaction<'_>| -> Done<u64> { Ok(tx.execute(UPDATE, &[&name, &users[at]])?) };
        assert_eq!(client.with_key(users[at], update).unwrap(), 1, "user {}", users[at]);
        writes += 1;
        names[at] = name;
        for step in 0..10 {
            let at = (at + step * 7) % users.len();
            let user = users[at];
            let rows = if step % 2 == 0 {
                client.get(user, SELECT, &[&user]).unwrap()
            } else {
                client.with_key(user, |tx| -> Done<Vec<Row>> { Ok(tx.query(SELECT, &[&user])?) }).unwrap()
            };
            assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<&str>>(), [&names[at]], "user {user}");
            reads += 1;
        }
    }
    for (user, name) in users.iter().zip(names) {
        assert_eq!(client.get(user, SELECT, &[user]).unwrap()[0].get::<_, String>(0), name, "user {user}");
    }
    (reads, writes)
}

/// Four threads with a client, through rebalances: one if `least_reads` is not given.
fn through_rebalances(least_reads: Option<usize>) -> (usize, usize) {
    const USERS: i64 = 299;
    const THREADS: usize = 4;
    let test = filled(USERS + 1);
    let (client, is_over) = (client(&test), AtomicBool::new(false));
    add_shard(&test, 4);
    let counts = thread::scope(|scope| {
        let (client, is_over) = (&client, &is_over);
        let threads: Vec<_> = (1..=THREADS)
            .map(|first| {
                scope.spawn(move || {
                    let users: Vec<i64> = (1..=USERS).skip(first - 1).step_by(THREADS).collect();
                    write_and_read(client, &users, |reads| match least_reads {
                        Some(least) => reads >= least / THREADS,
                        None => is_over.load(Ordering::SeqCst),
                    })
                })
            })
            .collect();
        let ended = start_slow_rebalance(&test, 60).wait().unwrap();
        is_over.store(true, Ordering::SeqCst);
        assert!(ended.success());
        if least_reads.is_some() {
            rebalance_until(&test, || threads.iter().all(thread::ScopedJoinHandle::is_finished));
        }
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(client.route(1).unwrap().epoch > 1, "it has never noticed the change");
    test.run(&["verify", "--deep"]).success();
    assert_eq!(test.run(&["count"]).success().stdout, "299\n");
    counts.into_iter().fold((0, 0), |(reads, writes), (more, others)| (reads + more, writes + others))
}

#[test]
fn the_client_in_rust_misses_nothing() {
    through_rebalances(None);
}

#[test]
#[ignore = "takes minutes"]
#[expect(clippy::print_stderr, reason = "the figures are what a long run is for")]
fn the_client_in_rust_misses_nothing_in_a_long_run() {
    let (reads, writes) = through_rebalances(Some(reads_of_a_long_run()));
    eprintln!("Rust: {reads} reads, {writes} writes");
}

#[test]
fn a_route_names_the_shard_and_hides_passwords() {
    let test = filled(10);
    let with_password = test.url(3).replace("postgres@", "postgres:secret@");
    let client = Client::connect([with_password, test.url(1)]).unwrap();
    for key in 1..10 {
        let route = client.route(key).unwrap();
        let number = i32::try_from(owner(key)).unwrap();
        assert_eq!((route.shard, route.number, route.epoch), (format!("shard_{number}"), number, 1));
        assert!(
            !route.url.contains("secret") && route.url.contains(&test.database(owner(key))),
            "{}",
            route.url
        );
    }
    assert!(!format!("{client:?}").contains("secret"));
}

#[test]
fn what_fails_in_a_transaction_is_rolled_back() {
    let test = filled(10);
    let client = client(&test);
    let name = || client.get(1, SELECT, &[&1_i64]).unwrap()[0].get::<_, String>(0);
    let before = name();
    // An error of the caller's own.
    let failed = client.with_key(1, |tx| -> Done<()> {
        tx.execute(UPDATE, &[&"x", &1_i64])?;
        Err("no".into())
    });
    assert_eq!((failed.unwrap_err().to_string().as_str(), name()), ("no", before.clone()));
    // One of Postgres, which stays what it is.
    let failed =
        client.with_key(1, |tx| -> Done<u64> { Ok(tx.execute("INSERT INTO users VALUES (1)", &[])?) });
    let failed = failed.unwrap_err().downcast::<postgres::Error>().unwrap();
    assert_eq!(failed.code(), Some(&SqlState::UNIQUE_VIOLATION));
    // One that is ignored.
    let failed = client.with_key(1, |tx| {
        tx.execute(UPDATE, &[&"x", &1_i64]).unwrap();
        let _ = tx.execute("SELECT 1 / 0", &[]);
        Ok::<_, Error>(())
    });
    let failed = failed.unwrap_err();
    assert!(failed.message().ends_with("; that error was ignored"), "{failed}");
    assert_eq!(name(), before);
    // A panic.
    let panicked = thread::scope(|scope| {
        let work = || {
            client.with_key(1, |tx| -> Done<()> {
                tx.execute(UPDATE, &[&"x", &1_i64])?;
                panic!("on purpose")
            })
        };
        scope.spawn(work).join().is_err()
    });
    assert!(panicked);
    assert_eq!(name(), before);
    // The session that it had serves the next one.
    client.with_key(1, |tx| -> Done<u64> { Ok(tx.execute(UPDATE, &[&"y", &1_i64])?) }).unwrap();
    assert_eq!(name(), "y");
}

#[test]
fn a_row_of_another_key_is_refused_and_not_tried_again() {
    let test = filled(10);
    let other = (11..99_i64).find(|key| owner(*key) != owner(1)).unwrap();
    let mut calls = 0;
    let failed = client(&test).with_key(1, |tx| -> Done<u64> {
        calls += 1;
        Ok(tx.execute("INSERT INTO users (user_id) VALUES ($1)", &[&other])?)
    });
    let failed = failed.unwrap_err().downcast::<postgres::Error>().unwrap();
    assert_eq!((failed.code().unwrap().code(), calls), ("RS001", 1));
}

#[test]
fn what_is_no_shard_is_an_error() {
    let test = filled(10);
    let no_url: [&str; 0] = [];
    assert_eq!(Client::connect(no_url).unwrap_err().kind(), Kind::Configuration);
    let nobody = "postgresql://postgres:secret@/x?host=/nonexistent";
    let failed = Client::connect([nobody]).unwrap_err();
    assert_eq!((failed.kind(), failed.shard()), (Kind::Unreachable, Some("url_1")));
    assert!(!failed.message().contains("secret"));
    // Another one is enough.
    Client::connect([nobody, &test.url(1)]).unwrap();
    let failed =
        Client::connect([test.url(1), test.url(1).replace(&test.database(1), "postgres")]).unwrap_err();
    assert_eq!((failed.kind(), failed.shard()), (Kind::Configuration, Some("url_2")));
    assert_eq!(failed.hint_text(), Some("ringshard init-shards"));
    // Of another cluster.
    let failed = Client::connect([test.url(1), filled(10).url(2)]).unwrap_err();
    assert_eq!(failed.kind(), Kind::Configuration);
}
