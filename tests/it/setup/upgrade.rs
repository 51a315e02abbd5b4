//! Catalogs of other versions, and tables that change during the initialisation.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::catalogs::assert_catalogs_are_complete;
use crate::support::harness::{Ran, Test};
use crate::support::rings::owner;

/// The migrations to versions 1 to 12.
const MIGRATIONS: [&str; 13] = [
    include_str!("../../../sql/migrations/0001_catalog.sql"),
    include_str!("../../../sql/migrations/0002_imports.sql"),
    include_str!("../../../sql/migrations/0003_rebalancing.sql"),
    include_str!("../../../sql/migrations/0004_replicas.sql"),
    include_str!("../../../sql/migrations/0005_fast_path.sql"),
    include_str!("../../../sql/migrations/0006_names.sql"),
    include_str!("../../../sql/migrations/0007_left_behind.sql"),
    include_str!("../../../sql/migrations/0008_timeline.sql"),
    include_str!("../../../sql/migrations/0009_tables.sql"),
    include_str!("../../../sql/migrations/0010_schema_changes.sql"),
    include_str!("../../../sql/migrations/0011_ids_and_partitions.sql"),
    include_str!("../../../sql/migrations/0012_import_files.sql"),
    include_str!("../../../sql/migrations/0013_routes.sql"),
];

/// `write_user` as versions 1 to 5 of the catalog declared it, with a body that does nothing. `CREATE OR REPLACE` refuses
/// to rename its column `peer`, so migration 6 has to drop it.
const WRITE_USER: &str = "\
    CREATE FUNCTION ringshard.write_user( \
        the_cluster text, the_shard text, operation text, id bigint, \
        set_name boolean, new_name text, set_region boolean, new_region text, set_email boolean, new_email text, \
        OUT answer text, OUT epoch bigint, OUT peer text, \
        OUT user_id bigint, OUT name text, OUT region text, OUT email text) \
    LANGUAGE plpgsql AS $$ BEGIN END $$";

/// A cluster of 50 users whose catalogs have this version. Versions 3 and 4 have the functions of version 5.
fn of_version(version: usize) -> Test {
    let test = Test::new();
    let made = Test::initialised();
    for number in 1..=3 {
        test.prototype_table(number, (1..=50).filter(|id| owner(*id) == number));
        test.execute(number, "CREATE INDEX idx_users_region ON users (region)");
        test.execute(number, MIGRATIONS[0]);
        test.execute(number, WRITE_USER);
        let topology: serde_json::Value =
            made.query(number, "SELECT topology FROM ringshard.meta", &[])[0].get(0);
        test.client(number)
            .execute(
                "INSERT INTO ringshard.meta (catalog_version, cluster, shard, epoch, topology) \
                 VALUES (1, $1::text::uuid, $2, 1, $3)",
                &[&made.cluster_id(1), &format!("shard_{number}"), &topology],
            )
            .unwrap();
        let arcs = made.query(number, "SELECT first::text, last::text FROM ringshard.arc", &[]);
        for arc in arcs {
            test.client(number)
                .execute(
                    "INSERT INTO ringshard.arc (first, last, epoch) VALUES ($1::text::uuid, $2::text::uuid, 1)",
                    &[&arc.get::<_, &str>(0), &arc.get::<_, &str>(1)],
                )
                .unwrap();
        }
        for migration in &MIGRATIONS[1..version] {
            test.execute(number, migration);
        }
        match version {
            8 => test.execute(number, include_str!("functions_8.sql")),
            7 => test.execute(number, include_str!("functions_7.sql")),
            6 => test.execute(number, include_str!("functions_6.sql")),
            3..=5 => test.execute(number, include_str!("functions_5.sql")),
            _ => {}
        }
    }
    let shards: Vec<String> =
        (1..=3).map(|n| format!("\n[shards.shard_{n}]\nurl = \"{}\"\n", test.url(n))).collect();
    std::fs::write(test.config(), format!("cluster = \"{}\"\n{}", made.cluster_id(1), shards.concat()))
        .unwrap();
    test
}

/// All that a catalog holds, as text.
fn shape(test: &Test, number: usize) -> Vec<String> {
    let sql = "SELECT format('column %s.%s.%s %s %s %s', table_schema, table_name, column_name, data_type, \
                             is_nullable, column_default) \
               FROM information_schema.columns WHERE table_schema IN ('ringshard', 'public') \
               UNION SELECT 'trigger ' || pg_get_triggerdef(oid) || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal \
               UNION SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'ringshard'::regnamespace \
                     AND prokind = 'f' AND prolang <> 12 \
               UNION SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname IN ('ringshard', 'public') \
               UNION SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint \
                     WHERE connamespace = 'ringshard'::regnamespace \
               UNION SELECT obj_description(oid) FROM pg_class WHERE relnamespace = 'ringshard'::regnamespace \
                     AND obj_description(oid) IS NOT NULL \
               UNION SELECT 'version ' || catalog_version FROM ringshard.meta ORDER BY 1";
    test.query(number, sql, &[]).iter().map(|row| row.get(0)).collect()
}

#[test]
fn a_catalog_of_each_older_version_is_refused_and_upgraded_with_its_rows() {
    let new = Test::initialised();
    for version in 1..=13 {
        let old = of_version(version);
        std::fs::write(old.home.path().join("f.csv"), "user_id\n52\n").unwrap();
        let commands: [&[&str]; 6] = [
            &["count"],
            &["shards"],
            &["get-user", "1"],
            &["create-user", "--id", "51", "--name", "x"],
            &["import", "f.csv"],
            &["rebalance", "--yes"],
        ];
        for words in commands {
            old.run(words).fails(78).says("ringshard init-shards");
        }
        let message = format!("has version {version}, and this ringshard needs version 14");
        old.run(&["rebalance", "status"]).fails(78).says(&message).says("ringshard init-shards upgrades it");
        let seen = old.run(&["doctor"]).fails(1);
        let message = format!("version {version}; this ringshard needs 14\tringshard init-shards");
        assert_eq!(seen.stdout.matches(&message).count(), 3, "{seen:?}");
        if version >= 3 {
            let desired = if version >= 6 { "desired_topology" } else { "wanted" };
            old.execute(
                1,
                &format!(
                    "UPDATE ringshard.meta SET {desired} = jsonb_set(topology, '{{shards,0,weight}}', '2')"
                ),
            );
        }

        let ran = old.run(&["init-shards"]).success();
        assert!(ran.fields().iter().all(|fields| fields[1] == "upgraded"), "{ran:?}");
        old.run(&["doctor"]).success();
        assert!(old.run(&["init-shards"]).success().fields().iter().all(|fields| fields[1] == "unchanged"));
        assert_catalogs_are_complete(&old);
        assert_eq!(old.run(&["count"]).success().stdout, "50\n");
        for number in 1..=3 {
            assert_eq!(shape(&old, number), shape(&new, number), "version {version}");
        }
        assert!(shape(&old, 1).contains(&"version 14".to_owned()));
        let mut client = old.other_program("postgres", owner(1));
        assert!(client.execute("DELETE FROM users WHERE user_id = 1", &[]).unwrap() == 1);
        assert!(client.execute("INSERT INTO users SELECT generate_series(1000, 1100)", &[]).is_err());
        if version >= 3 {
            // The desired topology of the old catalog is carried out.
            old.run(&["rebalance", "--yes"]).success();
            assert_eq!(old.run(&["shards"]).success().fields()[0][4], "2.00");
            old.run(&["verify"]).success();
        }
    }
}

#[test]
fn a_catalog_without_numbers_is_not_upgraded_while_shards_change() {
    let old = of_version(10);
    let desired = "UPDATE ringshard.meta SET desired_topology = jsonb_set(topology, '{shards}', (topology -> 'shards') - 1)";
    old.execute(1, desired);
    old.run(&["init-shards"]).fails(75).says("a shard is being added or removed").says("version 10");
    old.execute(1, "UPDATE ringshard.meta SET desired_topology = NULL");
    old.run(&["init-shards"]).success();
}

#[test]
fn a_newer_catalog_is_refused_by_every_command() {
    let test = Test::initialised();
    for number in 1..=3 {
        test.execute(number, "UPDATE ringshard.meta SET catalog_version = 99");
    }
    for words in [
        &["shards"][..],
        &["count"],
        &["get-user", "1"],
        &["init-shards"],
        &["ring", "show"],
        &["ring", "locate", "1"],
        &["ring", "simulate", "--add", "x"],
    ] {
        test.run(words).fails(78).says("version 99").says("newer ringshard");
    }
}

#[test]
fn dropped_or_disabled_triggers_are_restored() {
    let test = Test::initialised();
    let whole = shape(&test, 1);
    for damage in [
        "DROP TRIGGER ringshard_insert ON users",
        "ALTER TABLE users DISABLE TRIGGER ringshard_update",
        "ALTER TABLE users ENABLE TRIGGER ringshard_delete",
        "CREATE OR REPLACE TRIGGER ringshard_truncate BEFORE INSERT ON users EXECUTE FUNCTION ringshard.guard_truncate()",
        "CREATE OR REPLACE FUNCTION ringshard.guard_insert() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    ] {
        test.execute(1, damage);
        assert_ne!(shape(&test, 1), whole);
        let ran = test.run(&["init-shards"]).success();
        // Functions are replaced each time.
        let result = if damage.starts_with("CREATE OR REPLACE FUNCTION") { "unchanged" } else { "repaired" };
        assert_eq!(ran.fields()[0][1], result, "{damage}");
        assert_eq!(shape(&test, 1), whole, "{damage}");
    }
    // Nothing is to be repaired: no lock that would block readers or writers is taken.
    let mut writer = test.client(1);
    let id = (1..1_000).find(|id| owner(*id) == 1).unwrap();
    writer.batch_execute(&format!("BEGIN; INSERT INTO users VALUES ({id})")).unwrap();
    test.run(&["init-shards"]).success();
    writer.batch_execute("COMMIT").unwrap();
}

#[test]
fn a_row_written_during_initialisation_is_checked() {
    let test = Test::new();
    test.prototype_table(1, []);
    test.execute(
        1,
        "ALTER DATABASE DB SET default_transaction_isolation = 'repeatable read'"
            .replace("DB", &test.database(1))
            .as_str(),
    );
    let misplaced = (1..1_000).find(|id| owner(*id) == 2).unwrap();
    let mut writer = test.client(1);
    writer.batch_execute(&format!("BEGIN; INSERT INTO users VALUES ({misplaced})")).unwrap();
    let mut command = test.command();
    command.arg("init-shards").args(test.shard_flags());
    let child = command.spawn().unwrap();
    let begun = Instant::now();
    let sql =
        "SELECT FROM pg_locks JOIN pg_database AS d ON d.oid = database WHERE datname = $1 AND NOT granted";
    while test.query(1, sql, &[&test.database(1)]).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "init-shards does not wait for the writer");
        thread::sleep(Duration::from_millis(5));
    }
    writer.batch_execute("COMMIT").unwrap();
    Ran::of(child)
        .fails(1)
        .says(&format!("user `{misplaced}` is on `shard_1`, its owner is `shard_2`"))
        .says("shard `shard_1` was not changed");
    assert!(test.query(1, "SELECT FROM pg_namespace WHERE nspname = 'ringshard'", &[]).is_empty());
    test.execute(1, "DELETE FROM users");
    test.init().success();
    assert_catalogs_are_complete(&test);
}
