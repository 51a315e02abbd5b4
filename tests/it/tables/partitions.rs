//! Partitioned tables: sharded by their parent, guarded in each partition, moved with writers at work.

use std::thread;
use std::time::Duration;

use postgres::Client;

use crate::support::families::{FamilyWriters, PARTITIONED_FAMILIES, adopted_families_in, assert_whole};
use crate::support::guard_errors::refused;
use crate::support::harness::{Ran, Test};
use crate::support::rebalances::rebalance_to_failpoint;
use crate::support::rings::owner_among;

/// The partitions that have rows of their own, and the positions that they have an index on.
const INDEXES: &str = "SELECT FROM pg_class WHERE relname LIKE 'ringshard\\_position%'";

const EVENTS: &str = "\
    CREATE TABLE events (account bigint NOT NULL, day integer NOT NULL, note text, PRIMARY KEY (account, day)) \
        PARTITION BY RANGE (day); \
    CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (10); \
    CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20) PARTITION BY HASH (account); \
    CREATE TABLE events_2_all PARTITION OF events_2 FOR VALUES WITH (MODULUS 1, REMAINDER 0)";

const ADD: [&str; 5] = ["table", "add", "events", "--key", "account"];
const NAMES: [&str; 2] = ["main", "s2"];

/// A cluster of the one shard `main` with the table `events`.
fn with_events() -> Test {
    let test = Test::new();
    test.execute(1, EVENTS);
    test.execute(1, "INSERT INTO events SELECT i, i % 19 + 1, 'x' FROM generate_series(1, 200) AS i");
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    test.run(&ADD).success();
    test
}

/// The same, spread over `main` and `s2`.
fn spread() -> Test {
    let test = with_events();
    test.run(&["add-shard", "s2", &test.url(2)]).success();
    test.run(&["rebalance", "-y"]).success();
    test
}

fn count(test: &Test, number: usize, from: &str) -> i64 {
    test.query(number, &format!("SELECT count(*) FROM {from}"), &[])[0].get(0)
}

/// An account on that shard, without an event.
fn account(owner: &str) -> i64 {
    (1_000..2_000).find(|id| owner_among(&NAMES, *id) == owner).unwrap()
}

#[test]
fn partitioned_families_grow_from_one_shard_to_three_and_back_to_two() {
    let (test, model) = adopted_families_in(PARTITIONED_FAMILIES, 150);
    for number in [2, 3] {
        test.run(&["add-shard", &format!("s{number}"), &test.url(number)]).success();
    }
    test.run(&["schema", "diff"]).success();
    let shards = [(1, "main"), (2, "s2"), (3, "s3")];
    let writers = FamilyWriters::start(&test, &shards, &model, 3);
    let ran = rebalance_to_failpoint(&test, "after-receive:5", &[]);
    assert_eq!(ran.code, -1, "{ran:?}");
    thread::sleep(Duration::from_millis(50));
    // Each partition with rows has an index, until the rebalance ends.
    assert_eq!(test.query(1, INDEXES, &[]).len(), 8);
    test.run(&["rebalance", "-y"]).success();
    let (model, changes) = writers.stop();
    assert!(changes > 10, "only {changes} changes");
    assert_whole(&test, &[1, 2, 3], &model);
    for number in 1..=3 {
        for partition in ["users_0", "users_1", "orders_1", "orders_2_low", "orders_2_rest", "orders_rest"] {
            assert!(count(&test, number, partition) > 0, "{partition} of {number}");
        }
        assert_eq!(test.query(number, INDEXES, &[]).len(), 0);
    }
    test.run(&["doctor"]).success();
    let writers = FamilyWriters::start(&test, &shards, &model, 2);
    test.run(&["remove-shard", "s2"]).success();
    test.run(&["rebalance", "-y"]).success();
    let (model, _) = writers.stop();
    assert_whole(&test, &[1, 2, 3], &model);
    assert_eq!(count(&test, 2, "orders"), 0);
}

/// Asserts that a row of another shard is refused in this partition, and one of this shard is not.
#[track_caller]
fn assert_guarded(client: &mut Client, partition: &str, day: i32) {
    let insert = format!("INSERT INTO {partition} (account, day) VALUES ($1, $2)");
    let error = refused(client.execute(&insert, &[&account("s2"), &day]), "RS001");
    assert!(error.message().contains("of table public.events does not belong"), "{error}");
    assert_eq!(client.execute(&insert, &[&account("main"), &day]).unwrap(), 1);
    let update = format!("UPDATE {partition} SET account = $1 WHERE account = $2");
    refused(client.execute(&update, &[&account("s2"), &account("main")]), "RS001");
    let delete = format!("DELETE FROM {partition} WHERE account = $1");
    assert_eq!(client.execute(&delete, &[&account("main")]).unwrap(), 1);
}

#[test]
fn the_guard_watches_each_partition_and_those_that_come_later() {
    let test = spread();
    let mut client = test.other_program("postgres", 1);
    client.batch_execute("SET session_replication_role = replica").unwrap();
    for (partition, day) in
        [("events", 5), ("events", 15), ("events_1", 5), ("events_2", 15), ("events_2_all", 15)]
    {
        assert_guarded(&mut client, partition, day);
    }
    // To another partition and back.
    client.execute("UPDATE events SET day = 11 WHERE day = 2", &[]).unwrap();
    assert!(client.execute("UPDATE events SET day = 2 WHERE day = 11 AND account < 100", &[]).unwrap() > 1);
    let put = format!("INSERT INTO events VALUES ({}, 12, 'misplaced')", account("s2"));
    test.execute(1, &put);
    for sql in [
        "UPDATE events SET day = 2 WHERE note = 'misplaced'",
        "DELETE FROM events WHERE note = 'misplaced'",
        "DELETE FROM events_2_all WHERE note = 'misplaced'",
        "TRUNCATE events_2_all",
        "TRUNCATE events_2",
        "TRUNCATE events",
    ] {
        refused(client.batch_execute(sql), "RS001");
    }
    client.batch_execute("TRUNCATE events_1").unwrap();
    test.execute(1, "DELETE FROM events WHERE note = 'misplaced'");
    client.batch_execute("TRUNCATE events_2").unwrap();
    // Later ones are guarded at once, but for TRUNCATE.
    for number in [1, 2] {
        test.execute(
            number,
            "CREATE TABLE events_3 PARTITION OF events FOR VALUES FROM (20) TO (30); \
             CREATE TABLE late (note text, day integer NOT NULL, extra text, account bigint NOT NULL); \
             ALTER TABLE late DROP COLUMN extra; ALTER TABLE events ATTACH PARTITION late DEFAULT",
        );
    }
    assert_guarded(&mut client, "events_3", 25);
    assert_guarded(&mut client, "late", 35);
    assert_guarded(&mut client, "events", 35);
    test.run(&["doctor"]).fails(1);
    test.run(&["init-shards"]).success();
    test.run(&["doctor"]).success();
    test.execute(1, &put.replace("12", "35"));
    refused(client.batch_execute("TRUNCATE late"), "RS001");
    // A table that is detached is nobody's.
    client.batch_execute("ALTER TABLE events DETACH PARTITION late").unwrap();
    client.execute("INSERT INTO late (account, day) VALUES ($1, 36)", &[&account("s2")]).unwrap();
    client.batch_execute("TRUNCATE late").unwrap();
    client.batch_execute("ALTER TABLE events ATTACH PARTITION late DEFAULT").unwrap();
    assert_guarded(&mut client, "late", 35);
    test.run(&["doctor"]).success();
    client.batch_execute("ALTER TABLE events_1 DISABLE TRIGGER ringshard_row").unwrap();
    let found = test.run(&["doctor"]).fails(1);
    assert!(found.stdout.contains("`ringshard_row` of partition `events_1` is disabled"), "{found:?}");
    test.run(&["init-shards"]).success();
    assert_guarded(&mut client, "events_1", 5);
    test.run(&["table", "remove", "events_1"]).fails(4);
    test.run(&["table", "remove", "events"]).success();
    let left = "pg_trigger WHERE tgname LIKE 'ringshard%'";
    assert_eq!((count(&test, 1, left), count(&test, 2, left)), (0, 0));
}

#[test]
fn rows_that_are_attached_while_their_keys_move_are_not_purged() {
    let test = with_events();
    test.run(&["add-shard", "s2", &test.url(2)]).success();
    // The target has a chunk that its source has not purged.
    assert_eq!(rebalance_to_failpoint(&test, "after-receive:1", &[]).code, -1);
    let fenced = "SELECT FROM events JOIN ringshard.arc \
                  ON md5(account::text)::uuid BETWEEN arc.first AND arc.last WHERE state = 'fenced'";
    let moving = i64::try_from(test.query(1, fenced, &[]).len()).unwrap();
    assert!(moving > 0);
    for number in [2, 1] {
        test.execute(number, "CREATE TABLE late (LIKE events INCLUDING INDEXES)");
        if number == 1 {
            test.execute(1, "INSERT INTO late SELECT i, 25, 'late' FROM generate_series(1, 200) AS i");
        }
        test.execute(number, "ALTER TABLE events ATTACH PARTITION late FOR VALUES FROM (20) TO (30)");
    }
    test.run(&["init-shards"]).success();
    test.run(&["rebalance", "-y"]).fails(1).says("misplaced").says("ringshard verify --fix");
    let total = || count(&test, 1, "events") + count(&test, 2, "events");
    assert_eq!(total(), 400);
    let left: String = test.query(1, "SELECT reason FROM ringshard.left_behind", &[])[0].get(0);
    assert!(left.contains("late"), "{left}");
    test.run(&["verify"]).fails(1).says(&moving.to_string());
    // Their owner has other rows of these keys, so it cannot be known whether these were deleted there.
    test.run(&["verify", "--fix", "-y"]).success();
    assert_eq!((total(), count(&test, 1, "ringshard.quarantine")), (400 - moving, moving));
    for (at, owner) in NAMES.iter().enumerate() {
        let rows = test.query(at + 1, "SELECT account FROM events", &[]);
        assert!(rows.iter().all(|row| owner_among(&NAMES, row.get::<_, i64>(0)) == *owner));
    }
    test.run(&["verify"]).success();
}

#[test]
fn what_a_partition_has_keeps_its_table_from_being_sharded() {
    let test = Test::new();
    test.execute(1, EVENTS);
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    for partition in ["events_1", "events_2", "events_2_all"] {
        test.run(&["table", "add", partition, "--key", "account"])
            .fails(78)
            .says(&format!("`{partition}` is a partition of `events`"))
            .says("ringshard table add events --key account");
    }
    test.execute(
        1,
        "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing",
    );
    for (damage, why, repair) in [
        (
            "ALTER TABLE events_2_all SET UNLOGGED",
            "ALTER TABLE public.events_2_all SET LOGGED",
            "ALTER TABLE events_2_all SET LOGGED",
        ),
        (
            "CREATE UNIQUE INDEX own ON events_1 (note)",
            "its unique index own does not contain `account`",
            "DROP INDEX own",
        ),
        ("CREATE RULE r AS ON DELETE TO events DO INSTEAD NOTHING", "has a rule: r", "DROP RULE r ON events"),
        (
            "ALTER TABLE events DROP CONSTRAINT events_pkey; \
             CREATE FOREIGN TABLE far PARTITION OF events DEFAULT SERVER nowhere",
            "its partition `far` is a foreign table",
            "DROP FOREIGN TABLE far",
        ),
    ] {
        test.execute(1, damage);
        test.run(&ADD).fails(78).says(why);
        test.execute(1, repair);
    }
    test.run(&ADD).success();
}

#[test]
fn side_effects_of_a_partition_are_named_and_nothing_moves() {
    let test = with_events();
    test.run(&["add-shard", "s2", &test.url(2)]).success();
    test.execute(1, "CREATE TABLE kinds (note text PRIMARY KEY); INSERT INTO kinds VALUES ('x')");
    test.execute(2, "CREATE TABLE kinds (note text PRIMARY KEY); INSERT INTO kinds VALUES ('x')");
    for (damage, why, repair) in [
        (
            "ALTER TABLE events_1 ADD FOREIGN KEY (note) REFERENCES kinds",
            "foreign key `events_1_note_fkey` to table kinds",
            "ALTER TABLE events_1 DROP CONSTRAINT events_1_note_fkey",
        ),
        (
            "ALTER TABLE kinds ADD account bigint, ADD day integer, ADD FOREIGN KEY (account, day) REFERENCES events_2_all",
            "foreign key `kinds_account_day_fkey` of table kinds",
            "ALTER TABLE kinds DROP account",
        ),
        (
            "CREATE TRIGGER own BEFORE DELETE ON events_2_all FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger(); \
             ALTER TABLE events_2_all ENABLE ALWAYS TRIGGER own",
            "trigger `own` of table events_2_all",
            "DROP TRIGGER own ON events_2_all",
        ),
    ] {
        (1..=2).for_each(|number| test.execute(number, damage));
        test.run(&["rebalance", "-y"]).fails(78).says("nothing was moved").says(why);
        (1..=2).for_each(|number| test.execute(number, repair));
    }
    test.execute(1, "CREATE PUBLICATION changes FOR TABLE events");
    let told = "the publication `changes` of shard `main` has public.events: its subscribers";
    test.run(&["rebalance", "-y"]).success().says(told);
}

#[test]
fn a_partition_that_a_shard_lacks_is_named_before_anything_moves() {
    let test = spread();
    test.run(&["add-shard", "s3", &test.url(3)]).success();
    let partition = "CREATE TABLE events_3 PARTITION OF events FOR VALUES FROM (20) TO (30)";
    for number in [1, 2] {
        test.execute(number, partition);
    }
    test.run(&["init-shards"]).success();
    test.run(&["rebalance", "-y"])
        .fails(78)
        .says("nothing was moved")
        .says("events_3 FOR VALUES FROM (20) TO (30)");
    let found = test.run(&["schema", "diff"]).fails(1);
    let expected = "table PARTITION OF public.events FOR VALUES FROM (20) TO (30)";
    assert_eq!(found.fields(), [["s3", "table events_3", "\\N", expected]]);
    // Another bound is another partition.
    test.execute(3, &partition.replace("30", "31"));
    test.run(&["init-shards"]).success();
    test.run(&["rebalance", "-y"]).fails(78).says("nothing was moved");
    test.execute(3, "DROP TABLE events_3");
    test.execute(3, partition);
    test.run(&["init-shards"]).success();
    test.run(&["rebalance", "-y"]).success();
    test.run(&["schema", "diff"]).success();
}

#[test]
fn a_change_of_the_schema_makes_partitions_with_the_guard() {
    let test = spread();
    let sql = "CREATE TABLE events_3 PARTITION OF events FOR VALUES FROM (20) TO (30) PARTITION BY LIST (day); \
               CREATE TABLE events_3_all PARTITION OF events_3 DEFAULT";
    test.run(&["schema", "apply", "-y", "-c", sql]).success();
    test.run(&["doctor"]).success();
    test.execute(1, &format!("INSERT INTO events VALUES ({}, 25)", account("s2")));
    let mut client = test.other_program("postgres", 1);
    refused(client.batch_execute("TRUNCATE events_3_all"), "RS001");
    test.run(&["schema", "apply", "-y", "-c", "ALTER TABLE events_1 DISABLE TRIGGER ringshard_row"]).fails(1);
    test.run(&["schema", "apply", "-y", "-c", "ALTER TABLE events_1 SET UNLOGGED"]).fails(1);
    test.run(&["schema", "apply", "-y", "-c", "DROP TABLE events_1"]).success();
    test.run(&["doctor"]).success();
}

#[test]
fn rows_of_partitions_are_counted_repaired_exported_and_imported() {
    let test = spread();
    let listed = test.run(&["table", "list"]).success();
    let fields = &listed.fields()[0];
    assert_eq!(fields[..5], ["events", "sharded", "account", "bigint", "200"]);
    let size: u64 = fields[5].parse().unwrap();
    assert!(size > 6 * 8192, "{size}");
    let shards = test.run(&["shards"]).success();
    assert!(shards.fields().iter().all(|fields| fields.contains(&"main") || fields.contains(&"s2")));
    let rows = |test: &Test| -> Vec<String> {
        let sql = "SELECT t::text FROM events AS t";
        let mut all: Vec<String> =
            [1, 2].iter().flat_map(|number| test.query(*number, sql, &[])).map(|row| row.get(0)).collect();
        all.sort();
        all
    };
    let before = rows(&test);
    // One row only on a wrong shard, one there too, one there with another note.
    for (at, id) in (1..=200_i64).filter(|id| owner_among(&NAMES, *id) == "s2").take(3).enumerate() {
        let note = if at == 2 { "y" } else { "x" };
        test.execute(1, &format!("INSERT INTO events VALUES ({id}, {}, '{note}')", id % 19 + 1));
        if at == 0 {
            test.execute(2, &format!("DELETE FROM events WHERE account = {id}"));
        }
    }
    test.run(&["verify", "--deep"]).fails(1);
    test.run(&["verify", "--deep", "--fix", "-y"]).success();
    assert_eq!(rows(&test), before);
    assert_eq!(test.run(&["count", "--table", "events"]).success().stdout, "200\n");
    for format in ["csv", "jsonl"] {
        let file = test.home.path().join(format!("events.{format}"));
        let file = file.to_str().unwrap();
        test.run(&["export", file, "--table", "events"]).success();
        (1..=2).for_each(|number| test.execute(number, "TRUNCATE events"));
        test.run(&["import", file, "--table", "events"]).success();
        assert_eq!(rows(&test), before, "{format}");
        test.run(&["import", file, "--table", "events", "--on-conflict", "update"]).success();
        assert_eq!(rows(&test), before, "{format}");
    }
    // Statistics of each partition are enough.
    for number in 1..=2 {
        test.execute(number, "ANALYZE events_1; ANALYZE events_2_all");
    }
    let stats = test.run(&["stats"]).success();
    let rows = stats.fields().into_iter().map(|fields| fields[3].parse::<u64>().unwrap());
    assert_eq!(rows.sum::<u64>(), 200, "{stats:?}");
}

#[test]
fn partitioned_reference_tables_and_a_partitioned_users_are_tables_as_others() {
    let test = Test::new();
    test.execute(
        1,
        "CREATE TABLE users (user_id bigint PRIMARY KEY, name varchar(100), region varchar(50), email varchar(100)) \
             PARTITION BY HASH (user_id); \
         CREATE TABLE users_0 PARTITION OF users FOR VALUES WITH (MODULUS 1, REMAINDER 0); \
         INSERT INTO users SELECT i, 'Name', 'a' FROM generate_series(1, 100) AS i; \
         CREATE TABLE regions (name text PRIMARY KEY, n integer GENERATED ALWAYS AS (1) STORED) PARTITION BY LIST (name); \
         CREATE TABLE regions_all PARTITION OF regions DEFAULT; INSERT INTO regions VALUES ('a'), ('b'); \
         ALTER TABLE users ADD FOREIGN KEY (region) REFERENCES regions",
    );
    test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
    assert_eq!(test.run(&["table", "list"]).success().stdout, "");
    test.run(&["table", "add", "regions_all", "--reference"]).fails(78).says("table add regions --reference");
    test.run(&["table", "add", "regions", "--reference"]).success();
    test.run(&["table", "add", "users", "--key", "user_id"]).success();
    test.run(&["add-shard", "s2", &test.url(2)]).success();
    let ran: Ran = test.run(&["rebalance", "-y"]);
    ran.success();
    assert_eq!(count(&test, 2, "regions"), 2);
    assert!(count(&test, 2, "users_0") > 10);
    assert_eq!(count(&test, 1, "users") + count(&test, 2, "users"), 100);
    test.run(&["verify", "--deep"]).success();
    test.run(&["doctor"]).success();
}
