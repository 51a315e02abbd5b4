//! pgbench's own tables, adopted from one database and grown to four shards, while a driver runs TPC-B transactions within a branch
//! straight against the shards. In the end they are equal to a database that was never sharded and got the same transactions.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use postgres::{Client, NoTls};

use crate::support::harness::{Test, socket_dir, url};
use crate::support::random::Random;

const PGBENCH: &str = "/usr/lib/postgresql/15/bin/pgbench";
const TABLES: [&str; 4] = ["pgbench_accounts", "pgbench_branches", "pgbench_history", "pgbench_tellers"];
/// The numbers of the databases of the shards, with their names; the third has the unsharded copy.
const SHARDS: [(usize, &str); 4] = [(1, "main"), (2, "s2"), (4, "s4"), (5, "s5")];
const NUMBERS: [usize; 4] = [1, 2, 4, 5];
const COPY: usize = 3;
const ACCOUNTS_PER_BRANCH: u64 = 100_000;
const TELLERS_PER_BRANCH: u64 = 10;

/// A transaction that was committed.
#[derive(Debug, Clone, Copy)]
struct Done {
    bid: i32,
    tid: i32,
    aid: i32,
    delta: i32,
    /// Its place among those of its client, in the column `filler`.
    mark: i32,
}

/// pgbench's transaction, with the branch in its history. Each of its updates must find a row: where it does not, the shard has
/// become another key's owner in the middle.
fn run(client: &mut Client, done: Done) -> Result<bool, postgres::Error> {
    let Done { bid, tid, aid, delta, mark } = done;
    let mut transaction = client.transaction()?;
    let accounts = "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2 AND bid = $3";
    let tellers = "UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2 AND bid = $3";
    let branches = "UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2";
    let found = transaction.execute(accounts, &[&delta, &aid, &bid])?
        + transaction.execute(tellers, &[&delta, &tid, &bid])?
        + transaction.execute(branches, &[&delta, &bid])?;
    let history = "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime, filler) VALUES ($1, $2, $3, $4, '2024-01-01', $5::integer::text)";
    transaction.execute(history, &[&tid, &bid, &aid, &delta, &mark])?;
    if found < 3 {
        return Ok(false);
    }
    transaction.commit().map(|()| true)
}

/// Runs transactions until it is stopped; returns those that were committed, and how often it was sent to another shard.
fn drive(number: u64, branches: u64, ended: &Arc<AtomicBool>, urls: &[String; 4]) -> (Vec<Done>, u64) {
    let mut clients: Vec<Client> = urls.iter().map(|url| Client::connect(url, NoTls).unwrap()).collect();
    let mut random = Random(number * 104_729 + 11);
    let mut owners = vec![0; usize::try_from(branches).unwrap()];
    let (mut all, mut redirected) = (Vec::new(), 0);
    while !ended.load(Ordering::SeqCst) {
        let branch = random.below(branches);
        let integer = |number: u64| i32::try_from(number).unwrap();
        let done = Done {
            bid: integer(branch + 1),
            tid: integer(branch * TELLERS_PER_BRANCH + random.below(TELLERS_PER_BRANCH) + 1),
            aid: integer(branch * ACCOUNTS_PER_BRANCH + random.below(ACCOUNTS_PER_BRANCH) + 1),
            delta: integer(random.below(10_001)) - 5_000,
            mark: integer(number * 10_000_000 + all.len() as u64),
        };
        let owner = &mut owners[usize::try_from(branch).unwrap()];
        loop {
            match run(&mut clients[*owner], done) {
                Ok(true) => break all.push(done),
                // It has become the owner in the middle.
                Ok(false) => {}
                Err(cause) => match cause.code().map(postgres::error::SqlState::code) {
                    Some("RS001") => {
                        let hint = cause.as_db_error().unwrap().hint().unwrap_or_default();
                        let name = hint.split('`').nth(1);
                        *owner = SHARDS.iter().position(|(_, shard)| Some(*shard) == name).unwrap();
                        redirected += 1;
                        thread::sleep(Duration::from_millis(2));
                    }
                    // The branch is on its way: its rows are many.
                    Some("RS002") if ended.load(Ordering::SeqCst) => break,
                    Some("RS002") => thread::sleep(Duration::from_millis(10)),
                    Some("40P01") => {}
                    _ => panic!("{done:?}: {cause:?}"),
                },
            }
        }
    }
    (all, redirected)
}

fn pgbench_tables(test: &Test, number: usize, scale: u64) {
    let mut command = Command::new(PGBENCH);
    command.args(["-i", "-q", "-s", &scale.to_string(), "-U", "postgres", "-h"]).arg(socket_dir());
    let output = command.arg(test.database(number)).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let keys = "ALTER TABLE pgbench_accounts ALTER COLUMN bid SET NOT NULL; \
                ALTER TABLE pgbench_tellers ALTER COLUMN bid SET NOT NULL; \
                ALTER TABLE pgbench_history ALTER COLUMN bid SET NOT NULL";
    test.execute(number, keys);
}

/// The number and the digest of a table's rows on these databases together.
fn contents(test: &Test, table: &str, numbers: &[usize]) -> (i64, i128) {
    let sql =
        format!("SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM {table} AS t");
    let parts = numbers.iter().map(|number| {
        let row = &test.query(*number, &sql, &[])[0];
        (row.get::<_, i64>(0), row.get::<_, String>(1).parse::<i128>().unwrap())
    });
    parts.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
}

/// The sum of a column.
fn sum(test: &Test, column: &str, table: &str) -> i64 {
    let sql = format!("SELECT coalesce(sum({column}), 0)::bigint FROM {table}");
    NUMBERS.iter().map(|number| test.query(*number, &sql, &[])[0].get::<_, i64>(0)).sum()
}

/// Applies the same transactions to the unsharded copy.
fn apply(test: &Test, all: &[Done]) {
    let mut client = test.client(COPY);
    let mut transaction = client.transaction().unwrap();
    transaction
        .batch_execute(
            "CREATE TEMP TABLE done (bid integer, tid integer, aid integer, delta integer, mark integer)",
        )
        .unwrap();
    let column = |of: fn(&Done) -> i32| all.iter().map(of).collect::<Vec<_>>();
    let columns = [
        column(|done| done.bid),
        column(|done| done.tid),
        column(|done| done.aid),
        column(|done| done.delta),
        column(|done| done.mark),
    ];
    let [bids, tids, aids, deltas, marks] = &columns;
    let insert = "INSERT INTO done SELECT * FROM unnest($1::integer[], $2::integer[], $3::integer[], $4::integer[], $5::integer[])";
    transaction.execute(insert, &[bids, tids, aids, deltas, marks]).unwrap();
    for (table, id, balance) in
        [("accounts", "aid", "abalance"), ("tellers", "tid", "tbalance"), ("branches", "bid", "bbalance")]
    {
        let update = format!(
            "UPDATE pgbench_{table} AS t SET {balance} = {balance} + delta \
             FROM (SELECT {id}, sum(delta) AS delta FROM done GROUP BY {id}) AS done WHERE t.{id} = done.{id}"
        );
        transaction.execute(&update, &[]).unwrap();
    }
    let history = "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime, filler) \
                   SELECT tid, bid, aid, delta, '2024-01-01', mark::text FROM done";
    transaction.execute(history, &[]).unwrap();
    transaction.commit().unwrap();
}

fn grow(scale: u64) {
    if !Path::new(PGBENCH).exists() {
        return;
    }
    let test = Test::new();
    pgbench_tables(&test, 1, scale);
    pgbench_tables(&test, COPY, scale);
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    for (table, unchecked) in [
        ("pgbench_accounts", Some("pgbench_accounts_pkey")),
        ("pgbench_branches", None),
        ("pgbench_history", None),
        ("pgbench_tellers", Some("pgbench_tellers_pkey")),
    ] {
        let unchecked = unchecked.into_iter().flat_map(|index| ["--unchecked-unique", index]);
        let words = ["table", "add", table, "--key", "bid"].into_iter().chain(unchecked);
        test.run(&words.collect::<Vec<_>>()).success();
    }
    for (number, name) in &SHARDS[1..] {
        test.run(&["add-shard", name, &test.url(*number)]).success();
    }
    let ended = Arc::new(AtomicBool::new(false));
    let urls = NUMBERS.map(|number| url("postgres", &test.database(number)));
    let drivers: Vec<JoinHandle<(Vec<Done>, u64)>> = (0..4)
        .map(|number| {
            let (ended, urls) = (Arc::clone(&ended), urls.clone());
            thread::spawn(move || drive(number, scale, &ended, &urls))
        })
        .collect();
    thread::sleep(Duration::from_millis(500));
    let ran = test.run(&["rebalance", "-y"]);
    thread::sleep(Duration::from_millis(500));
    ended.store(true, Ordering::SeqCst);
    let (mut all, mut redirected) = (Vec::new(), 0);
    for driver in drivers {
        let (done, redirects) = driver.join().unwrap();
        all.extend(done);
        redirected += redirects;
    }
    ran.success();
    assert!(all.len() > 200 && redirected > 0, "{} transactions, {redirected} redirected", all.len());
    let deltas: i64 = all.iter().map(|done| i64::from(done.delta)).sum();
    for (column, table) in [
        ("abalance", "pgbench_accounts"),
        ("tbalance", "pgbench_tellers"),
        ("bbalance", "pgbench_branches"),
        ("delta", "pgbench_history"),
    ] {
        assert_eq!(sum(&test, column, table), deltas, "{column}");
    }
    apply(&test, &all);
    for table in TABLES {
        assert_eq!(contents(&test, table, &NUMBERS), contents(&test, table, &[COPY]), "{table}");
    }
    let branches = NUMBERS.map(|number| test.query(number, "SELECT FROM pgbench_branches", &[]).len());
    assert!(branches.iter().filter(|count| **count > 0).count() > 2, "{branches:?}");
    test.run(&["verify", "--deep"]).success();
    #[expect(clippy::print_stderr, reason = "the size of what was compared is part of the result")]
    {
        eprintln!(
            "pgbench -s {scale}: {} transactions, {redirected} redirected, branches {branches:?}",
            all.len()
        );
    }
}

#[test]
fn pgbench_grows_to_four_shards_while_it_runs() {
    grow(6);
}

#[test]
#[ignore = "2,000,000 accounts take minutes"]
fn pgbench_of_twenty_branches_grows_to_four_shards_while_it_runs() {
    grow(20);
}
