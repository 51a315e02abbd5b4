//! pgbench's own tables, grown and shrunk while TPC-B transactions within a branch run.

use std::path::Path;
use std::process::Command;

use crate::support::harness::socket_dir;
use crate::support::unsharded_copy::{Application, Writer, with_tables_of};

const PGBENCH: &str = "/usr/lib/postgresql/15/bin/pgbench";
const ACCOUNTS_PER_BRANCH: i64 = 100_000;
const TELLERS_PER_BRANCH: i64 = 10;

/// The tables. Their primary keys are unique without the branch.
const fn application(step: fn(&mut Writer)) -> Application {
    Application {
        sharded: &[
            ("pgbench_accounts", "bid", Some("pgbench_accounts_pkey")),
            ("pgbench_branches", "bid", None),
            ("pgbench_history", "bid", None),
            ("pgbench_tellers", "bid", Some("pgbench_tellers_pkey")),
        ],
        references: &[],
        changes: &[],
        step,
    }
}

/// pgbench's transaction, with the branch in its history, which is first, so that the guard names the owner.
fn step<const SCALE: u64, const EVERY: i64>(writer: &mut Writer) {
    let branch = writer.below(SCALE);
    let teller = branch * TELLERS_PER_BRANCH + writer.below(TELLERS_PER_BRANCH.unsigned_abs()) + 1;
    let accounts = (ACCOUNTS_PER_BRANCH / EVERY).unsigned_abs();
    let account = branch * ACCOUNTS_PER_BRANCH + (writer.below(accounts) + 1) * EVERY;
    let [bid, tid, aid, delta, mark] =
        [branch + 1, teller, account, writer.below(10_001) - 5_000, writer.below(1 << 30)]
            .map(|number| i32::try_from(number).unwrap());
    writer.transact(|work| {
        let history = "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime, filler) \
                       VALUES ($1, $2, $3, $4, '2024-01-01', $5::integer::text)";
        work.write(history, &[&tid, &bid, &aid, &delta, &mark])?;
        let accounts = "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2 AND bid = $3";
        work.write(accounts, &[&delta, &aid, &bid])?;
        let tellers = "UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2 AND bid = $3";
        work.write(tellers, &[&delta, &tid, &bid])?;
        let branches = "UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2";
        work.write(branches, &[&delta, &bid])
    });
}

/// With so many branches, and of the accounts each one whose number is a multiple of `EVERY`.
fn grow_and_shrink<const SCALE: u64, const EVERY: i64>() {
    if !Path::new(PGBENCH).exists() {
        #[expect(clippy::print_stderr, reason = "what is not tested is named")]
        {
            eprintln!("pgbench's tables are not tested: there is no {PGBENCH}");
        }
        return;
    }
    let test = with_tables_of(|test, number| {
        let mut command = Command::new(PGBENCH);
        command.args(["-i", "-q", "-s", &SCALE.to_string(), "-U", "postgres", "-h"]).arg(socket_dir());
        let output = command.arg(test.database(number)).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let keys = "ALTER TABLE pgbench_accounts ALTER COLUMN bid SET NOT NULL; \
                    ALTER TABLE pgbench_tellers ALTER COLUMN bid SET NOT NULL; \
                    ALTER TABLE pgbench_history ALTER COLUMN bid SET NOT NULL";
        test.execute(number, keys);
        test.execute(number, &format!("DELETE FROM pgbench_accounts WHERE aid % {EVERY} <> 0"));
    });
    application(step::<SCALE, EVERY>).grow_and_shrink(&test, 50);
}

#[test]
fn pgbench_grows_to_four_shards_and_shrinks_to_two_while_it_runs() {
    grow_and_shrink::<4, 10>();
}

#[test]
#[ignore = "2,000,000 accounts take minutes"]
fn pgbench_of_twenty_branches_grows_to_four_shards_and_shrinks_to_two_while_it_runs() {
    grow_and_shrink::<20, 1>();
}
