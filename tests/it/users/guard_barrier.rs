//! The guard and the barrier: writes of other programs wait for a mover, and then read the arcs.

use std::thread;

use postgres::Client;

use crate::support::blocking::wait_until_blocked;
use crate::support::catalogs::fence_user;
use crate::support::guard_errors::refused;
use crate::support::harness::Test;
use crate::support::rings::owner;

/// How many sessions hold the barrier in this mode.
fn holders(test: &Test, shard: usize, mode: &str) -> i64 {
    let sql = "SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database \
               WHERE datname = $1 AND locktype = 'advisory' AND objid = 7283001 AND mode = $2 AND granted";
    test.query(shard, sql, &[&test.database(shard), &mode])[0].get(0)
}

#[test]
fn a_writer_holds_the_barrier_to_its_commit() {
    let test = Test::initialised();
    let id = (1..1_000).find(|id| owner(*id) == 1).unwrap();
    let mut client = test.other_program("postgres", 1);
    client.batch_execute("BEGIN").unwrap();
    assert_eq!(holders(&test, 1, "ShareLock"), 0);
    for sql in [
        format!("INSERT INTO users VALUES ({id}, 'x')"),
        "UPDATE users SET name = 'y'".into(),
        "DELETE FROM users".into(),
        "TRUNCATE users".into(),
    ] {
        client.batch_execute(&format!("{sql}; COMMIT; BEGIN; {sql}")).unwrap_or_else(|why| {
            // The same row cannot be inserted twice.
            assert_eq!(why.code().unwrap().code(), "23505", "{why}");
            client.batch_execute("ROLLBACK; BEGIN; UPDATE users SET name = 'z'").unwrap();
        });
        assert_eq!(holders(&test, 1, "ShareLock"), 1, "{sql}");
        client.batch_execute("COMMIT; BEGIN").unwrap();
        assert_eq!(holders(&test, 1, "ShareLock"), 0, "{sql}");
    }
}

/// Writes while a mover holds the barrier and fences the rows.
fn write_behind_a_mover(level: &str, sql: &str, code: &str) {
    let test = Test::initialised();
    let id = (1..1_000).find(|id| owner(*id) == 1).unwrap();
    test.execute(1, &format!("INSERT INTO users VALUES ({id}, 'before')"));
    let other = (id + 1..1_000).find(|id| owner(*id) == 1).unwrap();
    let sql = sql.replace("ID", &id.to_string()).replace("OTHER", &other.to_string());
    let mut mover = test.client(1);
    mover.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(7283001)").unwrap();
    let mut client: Client = test.other_program("postgres", 1);
    client.batch_execute(&format!("SET default_transaction_isolation = '{level}'")).unwrap();
    let writer = thread::spawn(move || client.batch_execute(&sql));
    wait_until_blocked(&test, 1);
    mover.batch_execute(&fence_user(id, "shard_2")).unwrap();
    mover.batch_execute(&fence_user(other, "shard_2")).unwrap();
    mover.batch_execute("COMMIT").unwrap();
    refused(writer.join().unwrap(), code);
    let rows = test.query(1, "SELECT name FROM users", &[]);
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<&str>>(), ["before"], "{level}");
}

#[test]
fn a_writer_that_waited_rereads_the_arcs() {
    for sql in [
        "INSERT INTO users VALUES (OTHER, 'x')",
        "UPDATE users SET name = 'x' WHERE user_id = ID",
        "DELETE FROM users WHERE user_id = ID",
        "TRUNCATE users",
    ] {
        write_behind_a_mover("read committed", sql, "RS002");
    }
}

#[test]
fn stricter_isolation_levels_end_with_a_serialization_failure() {
    for level in ["repeatable read", "serializable"] {
        for sql in [
            "INSERT INTO users VALUES (OTHER, 'x')",
            "INSERT INTO users SELECT OTHER, 'x' WHERE EXISTS (SELECT FROM users)",
            "UPDATE users SET name = 'x' WHERE user_id = ID",
            "DELETE FROM users WHERE user_id = ID",
            "TRUNCATE users",
        ] {
            write_behind_a_mover(level, sql, "40001");
        }
    }
}
