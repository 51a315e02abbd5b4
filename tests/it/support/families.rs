//! Families: a user with orders and what was paid for these, in three sharded tables. Writers create, change and delete whole
//! families straight at the shards, each in one transaction, and a model knows what must be there in the end.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use postgres::Transaction;

use super::harness::Test;
use super::random::Random;
use super::shard_clients::{Refusal, ShardClients, Shared, found};

/// The tables.
pub(crate) const FAMILIES: &str = "\
    CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, created_at timestamptz NOT NULL DEFAULT now()); \
    CREATE TABLE orders ( \
        user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, number integer, data jsonb, \
        PRIMARY KEY (user_id, number)); \
    CREATE TABLE payments ( \
        user_id bigint NOT NULL, number integer NOT NULL, paid money, \
        FOREIGN KEY (user_id, number) REFERENCES orders ON DELETE CASCADE)";

/// The same tables in partitions: by the key and by other columns, at two levels, with defaults, and with columns in another order
/// or dropped.
pub(crate) const PARTITIONED_FAMILIES: &str = "\
    CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, created_at timestamptz NOT NULL DEFAULT now()) \
        PARTITION BY HASH (id); \
    CREATE TABLE users_0 PARTITION OF users FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
    CREATE TABLE users_1 PARTITION OF users FOR VALUES WITH (MODULUS 2, REMAINDER 1); \
    CREATE TABLE orders ( \
        dropped text, user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, number integer, data jsonb, \
        PRIMARY KEY (user_id, number)) PARTITION BY LIST (number); \
    ALTER TABLE orders DROP COLUMN dropped; \
    CREATE TABLE orders_1 (data jsonb, number integer NOT NULL, dropped integer, user_id bigint NOT NULL); \
    ALTER TABLE orders_1 DROP COLUMN dropped; \
    ALTER TABLE orders ATTACH PARTITION orders_1 FOR VALUES IN (1); \
    CREATE TABLE orders_2 PARTITION OF orders FOR VALUES IN (2) PARTITION BY RANGE (user_id); \
    CREATE TABLE orders_2_low PARTITION OF orders_2 FOR VALUES FROM (0) TO (70); \
    CREATE TABLE orders_2_rest PARTITION OF orders_2 DEFAULT; \
    CREATE TABLE orders_rest PARTITION OF orders DEFAULT; \
    CREATE TABLE payments ( \
        user_id bigint NOT NULL, number integer NOT NULL, paid money, \
        FOREIGN KEY (user_id, number) REFERENCES orders ON DELETE CASCADE) PARTITION BY RANGE (number); \
    CREATE TABLE payments_1 PARTITION OF payments FOR VALUES FROM (0) TO (2); \
    CREATE TABLE payments_rest PARTITION OF payments FOR VALUES FROM (2) TO (MAXVALUE)";

/// The tables with their keys.
pub(crate) const FAMILY_KEYS: [(&str, &str); 3] =
    [("users", "id"), ("orders", "user_id"), ("payments", "user_id")];

/// The families that there must be: the version of each; `None` if it was deleted.
pub(crate) type Model = BTreeMap<i64, Option<i64>>;

/// The number of orders of a family.
fn orders_of(id: i64) -> i64 {
    id % 3 + 1
}

/// A cluster of the shard `main`, whose database is the first, with the families `1..=count` in version 0.
pub(crate) fn adopted_families(count: i64) -> (Test, Model) {
    adopted_families_in(FAMILIES, count)
}

/// The same, in these tables.
pub(crate) fn adopted_families_in(tables: &str, count: i64) -> (Test, Model) {
    let test = Test::new();
    test.execute(1, tables);
    let mut client = test.client(1);
    let mut transaction = client.transaction().unwrap();
    (1..=count).for_each(|id| insert(&mut transaction, id, 0).unwrap());
    transaction.commit().unwrap();
    // Fewer virtual nodes make fewer chunks, each of which takes time.
    let main = format!("main={}", test.url(1));
    test.run(&["init-shards", "--vnodes", "20", "--shard", &main]).success();
    for (table, key) in FAMILY_KEYS {
        test.run(&["table", "add", table, "--key", key]).success();
    }
    (test, (1..=count).map(|id| (id, Some(0))).collect())
}

fn insert(transaction: &mut Transaction<'_>, id: i64, version: i64) -> Result<(), postgres::Error> {
    transaction.execute("INSERT INTO users VALUES ($1, 'v' || $2::bigint)", &[&id, &version])?;
    let orders = "INSERT INTO orders SELECT $1, n, jsonb_build_object('v', $2::bigint, 'x', repeat('\"', n * 20)) \
                  FROM generate_series(1, $3::bigint::integer) AS n";
    transaction.execute(orders, &[&id, &version, &orders_of(id)])?;
    let payments = "INSERT INTO payments SELECT $1, number, $2::bigint::money FROM orders WHERE user_id = $1 AND number <> 2";
    transaction.execute(payments, &[&id, &version]).map(drop)
}

/// What a writer does with a family.
#[derive(Debug, Clone, Copy)]
enum Change {
    Create,
    Update,
    Delete,
}

/// Does it in a transaction. The guard fails it on a shard that does not own the key.
fn change(transaction: &mut Transaction<'_>, of: Change, id: i64, version: i64) -> Result<(), Refusal> {
    match of {
        Change::Create => insert(transaction, id, version)?,
        Change::Update => {
            let users = "UPDATE users SET name = 'v' || $2::bigint WHERE id = $1";
            found(transaction.execute(users, &[&id, &version])?)?;
            let orders =
                "UPDATE orders SET data = jsonb_set(data, '{v}', to_jsonb($2::bigint)) WHERE user_id = $1";
            let count = transaction.execute(orders, &[&id, &version])?;
            assert_eq!(count.cast_signed(), orders_of(id), "orders of user {id}");
            transaction.execute(
                "UPDATE payments SET paid = $2::bigint::money WHERE user_id = $1",
                &[&id, &version],
            )?;
        }
        Change::Delete => {
            found(transaction.execute("DELETE FROM users WHERE id = $1", &[&id])?)?;
        }
    }
    Ok(())
}

/// Writers at work until they are stopped.
pub(crate) struct FamilyWriters {
    shared: Shared,
    threads: Vec<JoinHandle<Model>>,
}

impl FamilyWriters {
    /// Starts `count` writers on the shards of these numbers and names; each has its own families of the model, and makes more.
    pub(crate) fn start(test: &Test, shards: &[(usize, &'static str)], model: &Model, count: usize) -> Self {
        let shared = Shared::default();
        shared.joined.store(shards.len(), Ordering::SeqCst);
        let latest = model.keys().next_back().copied().unwrap_or_default();
        let writer = |number: usize| {
            let of = i64::try_from(count).unwrap();
            let own = model.iter().filter(|(id, _)| usize::try_from(*id % of).unwrap() == number);
            let mut writer = Writer {
                shards: ShardClients::new(test, shards, &shared, number as u64 * 104_729 + 11),
                model: own.map(|(id, version)| (*id, *version)).collect(),
                next: (latest / 1_000_000 + 1 + i64::try_from(number).unwrap()) * 1_000_000,
                random: Random(number as u64 * 7_919 + 1),
            };
            let shared = shared.clone();
            thread::spawn(move || {
                while !shared.is_over.load(Ordering::SeqCst) {
                    writer.step();
                    thread::sleep(Duration::from_millis(2));
                }
                writer.model
            })
        };
        let threads = (0..count).map(writer).collect();
        Self { shared, threads }
    }

    /// Stops them; returns the families that there must be now, and how many changes were made.
    pub(crate) fn stop(self) -> (Model, usize) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let model = self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        (model, self.shared.committed.load(Ordering::SeqCst))
    }
}

struct Writer {
    shards: ShardClients,
    model: Model,
    /// The next new id.
    next: i64,
    random: Random,
}

impl Writer {
    /// Changes one family, unless all is over before.
    fn step(&mut self) {
        let at = self.random.below(self.model.len() as u64 + 1);
        let known = self.model.iter().nth(usize::try_from(at).unwrap()).map(|(id, version)| (*id, *version));
        let (of, id, version) = match known {
            Some((id, None)) => (Change::Create, id, 0),
            Some((id, Some(_))) if self.random.below(4) == 0 => (Change::Delete, id, 0),
            Some((id, Some(version))) => (Change::Update, id, version + 1),
            None => {
                self.next += 1;
                (Change::Create, self.next, 0)
            }
        };
        if self.shards.transact(|transaction| change(transaction, of, id, version)).is_some() {
            self.model.insert(id, (!matches!(of, Change::Delete)).then_some(version));
        }
    }
}

/// What is wrong with the families on these shards; empty if they are those of the model, each whole and once.
pub(crate) fn faults(test: &Test, numbers: &[usize], model: &Model) -> Vec<String> {
    let mut faults = Vec::new();
    let mut found: BTreeMap<i64, i64> = BTreeMap::new();
    for number in numbers {
        let orphans = "SELECT (SELECT count(*) FROM orders AS o WHERE NOT EXISTS (SELECT FROM users WHERE id = o.user_id)) \
                            + (SELECT count(*) FROM payments AS p WHERE NOT EXISTS \
                                  (SELECT FROM orders AS o WHERE (o.user_id, o.number) = (p.user_id, p.number)))";
        let orphans: i64 = test.query(*number, orphans, &[])[0].get(0);
        if orphans > 0 {
            faults.push(format!("{orphans} orphans on {number}"));
        }
        let families = "SELECT id, substr(name, 2)::bigint, \
                   (SELECT count(*) FILTER (WHERE data ->> 'v' = substr(name, 2) AND length(data ->> 'x') = number * 20) \
                    FROM orders WHERE user_id = id), (SELECT count(*) FROM orders WHERE user_id = id), \
                   (SELECT count(*) FILTER (WHERE paid = substr(name, 2)::bigint::money) FROM payments WHERE user_id = id), \
                   (SELECT count(*) FROM payments WHERE user_id = id) FROM users";
        for row in test.query(*number, families, &[]) {
            let (id, version): (i64, i64) = (row.get(0), row.get(1));
            if found.insert(id, version).is_some() {
                faults.push(format!("family {id} is stored twice"));
            }
            let counts: [i64; 4] = [2, 3, 4, 5].map(|at| row.get(at));
            let orders = orders_of(id);
            let payments = orders - i64::from(orders >= 2);
            if counts != [orders, orders, payments, payments] {
                faults.push(format!("family {id} in version {version} on {number} has {counts:?}"));
            }
        }
    }
    let expected: BTreeMap<i64, i64> =
        model.iter().filter_map(|(id, version)| Some((*id, (*version)?))).collect();
    for id in found.keys().chain(expected.keys()) {
        if found.get(id) != expected.get(id) {
            faults.push(format!("family {id}: {:?} instead of {:?}", found.get(id), expected.get(id)));
        }
    }
    faults
}

/// Asserts that the families are those of the model, and that the program finds nothing wrong either.
#[track_caller]
pub(crate) fn assert_whole(test: &Test, numbers: &[usize], model: &Model) {
    let faults = faults(test, numbers, model);
    assert!(faults.is_empty(), "{} faults: {:?}", faults.len(), &faults[..faults.len().min(5)]);
    for number in numbers {
        let aside = "SELECT (SELECT count(*) FROM ringshard.quarantine) + (SELECT count(*) FROM ringshard.left_behind)";
        assert_eq!(test.query(*number, aside, &[])[0].get::<_, i64>(0), 0, "{number}");
    }
    test.run(&["verify", "--deep"]).success();
}
