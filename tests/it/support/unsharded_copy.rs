//! An application on the shards, beside a database that was never sharded and gets the same transactions. The cluster grows from
//! one shard to four and shrinks to two under the application's writers; then all tables are equal to those of the copy.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use postgres::types::ToSql;
use postgres::{Client, Row, Transaction};

use super::harness::{Test, admin};
use super::random::Random;
use super::shard_clients::{Refusal, ShardClients, Shared, found};

/// The numbers of the databases of the shards, with their names.
const SHARDS: [(usize, &str); 4] = [(1, "main"), (2, "s2"), (4, "s4"), (5, "s5")];
/// The shards that remain in the end.
const REMAINING: [usize; 2] = [2, 5];
/// The database of the unsharded copy.
const COPY: usize = 3;
const WRITERS: u64 = 3;

type Parameters<'a> = [&'a (dyn ToSql + Sync)];

/// The application.
pub(crate) struct Application {
    /// The sharded tables, each with its key, and with a unique index that lacks the key.
    pub(crate) sharded: &'static [(&'static str, &'static str, Option<&'static str>)],
    /// The reference tables.
    pub(crate) references: &'static [&'static str],
    /// How the schema changes once the tables are sharded.
    pub(crate) changes: &'static [&'static str],
    /// One transaction of a writer.
    pub(crate) step: fn(&mut Writer),
}

/// A transaction on a shard, or the same one on the copy.
pub(crate) struct Work<'a, 'b> {
    transaction: &'a mut Transaction<'b>,
    /// The values that the shard made; on the copy, those that it gets.
    made: Vec<i64>,
    is_copy: bool,
    /// How many rows each statement found.
    counts: Vec<u64>,
}

impl Work<'_, '_> {
    /// Runs a statement that may find no row.
    pub(crate) fn execute(&mut self, sql: &str, parameters: &Parameters<'_>) -> Result<u64, Refusal> {
        let count = self.transaction.execute(sql, parameters)?;
        self.counts.push(count);
        Ok(count)
    }

    /// Runs a statement whose rows are on the shard that owns the key.
    pub(crate) fn write(&mut self, sql: &str, parameters: &Parameters<'_>) -> Result<(), Refusal> {
        self.execute(sql, parameters).and_then(found).map(drop)
    }

    /// Inserts a row in which the shard makes the value where `DEFAULT` is, and which returns that.
    pub(crate) fn insert(&mut self, sql: &str, parameters: &Parameters<'_>) -> Result<i64, Refusal> {
        if self.is_copy {
            let made = self.made.remove(0);
            let given = sql.replacen("DEFAULT", &made.to_string(), 1);
            self.transaction.query_one(&given, parameters)?;
            return Ok(made);
        }
        let made = self.transaction.query_one(sql, parameters)?.get(0);
        self.made.push(made);
        Ok(made)
    }
}

/// A writer with keys of its own.
pub(crate) struct Writer {
    shards: ShardClients,
    shared: Shared,
    copy: Client,
    number: u64,
    random: Random,
}

impl Writer {
    fn new(test: &Test, shared: &Shared, number: u64) -> Self {
        let shards = ShardClients::new(test, &SHARDS, shared, number * 7_919 + 1);
        let random = Random(number * 104_729 + 11);
        Self { shards, shared: shared.clone(), copy: test.client(COPY), number, random }
    }

    /// One of the numbers of a writer's own, of all below `count`.
    pub(crate) fn own(&mut self, count: u64) -> i64 {
        self.below((count - self.number).div_ceil(WRITERS)) * WRITERS.cast_signed()
            + self.number.cast_signed()
    }

    pub(crate) fn below(&mut self, below: u64) -> i64 {
        self.random.below(below).cast_signed()
    }

    /// Reads from the copy, which has for the keys of this writer what the shards have.
    pub(crate) fn read(&mut self, sql: &str, parameters: &Parameters<'_>) -> Option<Row> {
        self.copy.query_opt(sql, parameters).unwrap()
    }

    /// Commits a transaction on the shard that owns its key, and then on the copy.
    pub(crate) fn transact(&mut self, work: impl Fn(&mut Work<'_, '_>) -> Result<(), Refusal>) {
        let on_shard = self.shards.transact(|transaction| {
            let mut on_shard = Work { transaction, made: Vec::new(), is_copy: false, counts: Vec::new() };
            work(&mut on_shard)?;
            Ok((on_shard.made, on_shard.counts))
        });
        let Some((made, counts)) = on_shard else { return };
        let mut transaction = self.copy.transaction().unwrap();
        let mut on_copy = Work { transaction: &mut transaction, made, is_copy: true, counts: Vec::new() };
        work(&mut on_copy).unwrap();
        assert_eq!(on_copy.counts, counts, "rows that the statements found");
        transaction.commit().unwrap();
    }
}

/// When one fails, the test need not wait for it.
impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
    }
}

/// The databases of a test, with these tables in the first one and in the copy.
pub(crate) fn with_tables(schema: &str) -> Test {
    with_tables_of(|test, number| test.execute(number, schema))
}

/// The same, with the tables that this makes in a database.
pub(crate) fn with_tables_of(make: impl Fn(&Test, usize)) -> Test {
    let test = Test::new();
    for number in [4, 5] {
        admin().batch_execute(&format!("CREATE DATABASE {}", test.database(number))).unwrap();
    }
    make(&test, SHARDS[0].0);
    make(&test, COPY);
    test
}

impl Application {
    /// Fills the first database by this many transactions of each writer, makes it the shard `main`, and lets the cluster grow and
    /// shrink.
    pub(crate) fn grow_and_shrink(&self, test: &Test, transactions: usize) {
        let shared = Shared::default();
        shared.joined.store(1, Ordering::SeqCst);
        let mut writers: Vec<Writer> =
            (0..WRITERS).map(|number| Writer::new(test, &shared, number)).collect();
        for _ in 0..transactions {
            writers.iter_mut().for_each(self.step);
        }
        self.shard(test);
        let start = |mut writer: Writer| {
            let step = self.step;
            thread::spawn(move || {
                while !writer.shared.is_over.load(Ordering::SeqCst) {
                    step(&mut writer);
                    thread::sleep(Duration::from_millis(1));
                }
                writer.shards.redirected
            })
        };
        let writers: Vec<JoinHandle<usize>> = writers.into_iter().map(start).collect();
        self.reshard(test, &shared);
        shared.is_over.store(true, Ordering::SeqCst);
        let redirected: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        assert!(redirected > 0, "the guard named no owner");
        self.assert_equal(test);
    }

    fn shard(&self, test: &Test) {
        // Fewer virtual nodes make fewer chunks, each of which takes time.
        let main = format!("main={}", test.url(1));
        test.run(&["init-shards", "--vnodes", "20", "--shard", &main]).success();
        for table in self.references {
            test.run(&["table", "add", table, "--reference"]).success();
        }
        for (table, key, unchecked) in self.sharded {
            let unchecked = unchecked.iter().flat_map(|index| ["--unchecked-unique", *index]);
            let words = ["table", "add", table, "--key", key].into_iter().chain(unchecked);
            test.run(&words.collect::<Vec<_>>()).success();
        }
        for change in self.changes {
            test.run(&["schema", "apply", "-y", "-c", change]).success();
        }
    }

    fn reshard(&self, test: &Test, shared: &Shared) {
        let add = |at: usize| {
            let (number, name) = SHARDS[at];
            test.run(&["add-shard", name, &test.url(number)]).success();
        };
        let rebalance = || {
            let committed = || shared.committed.load(Ordering::SeqCst);
            let before = committed();
            test.run(&["rebalance", "-y", "--chunk-rows", "100"]).success();
            while committed() < before + 100 && !shared.is_over.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(5));
            }
        };
        add(1);
        shared.joined.store(2, Ordering::SeqCst);
        rebalance();
        add(2);
        add(3);
        shared.joined.store(4, Ordering::SeqCst);
        rebalance();
        for (table, ..) in self.sharded {
            let has_rows = |(number, _): &&(usize, _)| digest(test, table, &[*number]).0 > 0;
            assert!(SHARDS.iter().filter(has_rows).count() > 2, "{table} is on less than three shards");
        }
        test.run(&["remove-shard", "main"]).success();
        test.run(&["remove-shard", "s4"]).success();
        rebalance();
    }

    /// Asserts that all tables are equal to those of the copy, and that the program finds nothing wrong either.
    fn assert_equal(&self, test: &Test) {
        for (table, ..) in self.sharded {
            assert_same_rows(test, table, &SHARDS.map(|(number, _)| number));
            assert_same_rows(test, table, &REMAINING);
        }
        for number in REMAINING {
            self.references.iter().for_each(|table| assert_same_rows(test, table, &[number]));
            let aside = "SELECT (SELECT count(*) FROM ringshard.quarantine) + (SELECT count(*) FROM ringshard.left_behind)";
            assert_eq!(test.query(number, aside, &[])[0].get::<_, i64>(0), 0, "{number}");
        }
        for words in [&["verify", "--deep"][..], &["doctor"], &["schema", "diff"]] {
            test.run(words).success();
        }
    }
}

/// The number and the digest of a table's rows, as text, on these databases together.
fn digest(test: &Test, table: &str, numbers: &[usize]) -> (i64, i128) {
    let sql =
        format!("SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM {table} AS t");
    let parts = numbers.iter().map(|number| {
        let row = &test.query(*number, &sql, &[])[0];
        (row.get::<_, i64>(0), row.get::<_, String>(1).parse::<i128>().unwrap())
    });
    parts.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
}

/// Asserts that these databases together have the rows of the copy, and shows some that differ.
#[track_caller]
fn assert_same_rows(test: &Test, table: &str, numbers: &[usize]) {
    let (found, expected) = (digest(test, table, numbers), digest(test, table, &[COPY]));
    assert!(expected.0 > 0, "no row of {table} was compared");
    if found == expected {
        return;
    }
    let rows = |numbers: &[usize]| -> BTreeSet<String> {
        let sql = format!("SELECT t::text FROM {table} AS t");
        numbers.iter().flat_map(|number| test.query(*number, &sql, &[])).map(|row| row.get(0)).collect()
    };
    let (on_shards, on_copy) = (rows(numbers), rows(&[COPY]));
    let other: Vec<_> = on_shards.difference(&on_copy).take(5).collect();
    let lost: Vec<_> = on_copy.difference(&on_shards).take(5).collect();
    panic!(
        "{table} on {numbers:?} has {} rows and the copy {}: {other:?} instead of {lost:?}",
        found.0, expected.0
    );
}
