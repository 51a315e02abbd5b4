//! Locks of other programs that are not released: a command ends after its limit and says who holds them, and what needs none of
//! them works.

use std::process::Command;
use std::time::{Duration, Instant};

use postgres::Client;

use crate::support::clusters::with_users;
use crate::support::harness::Ran;
use crate::support::rings::owner;
use crate::support::servers::Servers;

/// A generous bound: the limit of a statement is 4 s here.
const PATIENCE: Duration = Duration::from_secs(40);

/// Runs a command whose statements may take 4 s.
#[track_caller]
fn run(mut command: Command, words: &[&str]) -> Ran {
    let begun = Instant::now();
    command.args(words).env("RINGSHARD_STATEMENT_TIMEOUT_MS", "4000");
    let ran = Ran::of(command.spawn().unwrap());
    assert!(begun.elapsed() < PATIENCE, "{words:?} took {:?}: {ran:?}", begun.elapsed());
    ran
}

fn pid(client: &mut Client) -> i32 {
    client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0)
}

/// An id on a shard.
fn id_on(number: usize) -> String {
    (1..=30).find(|id| owner(*id) == number).unwrap().to_string()
}

#[test]
fn a_lock_on_the_catalog_of_one_shard_stops_no_other() {
    let test = with_users(30);
    let mut holder = test.client(1);
    let blocker = format!("blocked by pid {} (", pid(&mut holder));
    let mut lock = holder.transaction().unwrap();
    lock.batch_execute("LOCK TABLE ringshard.meta, ringshard.arc").unwrap();
    let (here, elsewhere) = (id_on(1), id_on(2));
    for words in [
        &["get-user", &here][..],
        &["create-user", "--id", &here, "--name", "x"],
        &["update-user", &here, "--name", "x"],
        &["count"],
        &["list-users", "--limit", "1"],
        &["export"],
        &["verify"],
    ] {
        run(test.command(), words).fails(75).says("shard_1").says(&blocker);
    }
    run(test.command(), &["get-user", &elsewhere]).success();
    run(test.command(), &["update-user", &elsewhere, "--name", "x"]).success();
    let doctor = run(test.command(), &["doctor"]).fails(1);
    assert!(doctor.stdout.contains("shard_1"), "{doctor:?}");
    lock.rollback().unwrap();
    drop(holder);
    assert_eq!(test.run(&["count"]).success().stdout, "30\n");
    test.run(&["verify"]).success();
}

#[test]
fn a_locked_row_can_be_read_and_its_writes_name_the_holder() {
    let test = with_users(30);
    let id = id_on(1);
    let mut holder = test.client(1);
    let blocker = format!("blocked by pid {} (", pid(&mut holder));
    let mut lock = holder.transaction().unwrap();
    lock.query("SELECT FROM users WHERE user_id = $1::text::bigint FOR UPDATE", &[&id]).unwrap();
    for words in [&["update-user", &id, "--name", "x"][..], &["delete-user", &id]] {
        run(test.command(), words).fails(75).says("shard_1").says(&blocker);
    }
    for words in [&["get-user", &id][..], &["count"], &["export"], &["verify", "--deep"]] {
        run(test.command(), words).success();
    }
    lock.rollback().unwrap();
    let read = test.run(&["get-user", &id]).success();
    assert!(!read.stdout.contains("\tx\t"), "{read:?}");
    test.run(&["delete-user", &id]).success();
}

#[test]
fn a_prepared_transaction_that_nobody_ends_is_named() {
    let servers = Servers::initialised(1);
    servers.client(1).batch_execute("ALTER SYSTEM SET max_prepared_transactions = 3").unwrap();
    servers.server(1).stop().unwrap();
    servers.start(1);
    servers.run(&["create-user", "--id", "1", "--name", "a"]).success();
    let mut client = servers.client(1);
    let prepare = |client: &mut Client, sql: &str, name: &str| {
        client.batch_execute(&format!("BEGIN; {sql}; PREPARE TRANSACTION '{name}'")).unwrap();
    };
    // The oldest one does not block anybody.
    prepare(&mut client, "CREATE TABLE other ()", "harmless");
    for (lock, words) in [
        ("LOCK TABLE users", &["get-user", "1"][..]),
        ("UPDATE users SET region = 'EU'", &["update-user", "1", "--name", "b"]),
    ] {
        prepare(&mut client, lock, "forgotten");
        let ran = run(servers.command(), words).fails(75).says("`shard_1`");
        assert!(ran.stderr.contains("blocked by the prepared transaction 'forgotten'"), "{ran:?}");
        client.batch_execute("ROLLBACK PREPARED 'forgotten'").unwrap();
        servers.run(words).success();
    }
    client.batch_execute("ROLLBACK PREPARED 'harmless'").unwrap();
    servers.assert_healthy(1);
}
