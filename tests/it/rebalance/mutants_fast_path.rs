//! Mutants of the fast path: see `mutants`.

use postgres::{IsolationLevel, Transaction};
use ringshard::pg::catalog::CATALOG_VERSION;

use crate::support::harness::admin;
use crate::support::move_fixture::{MOVES, MoveFixture, is_caught, patched};
use crate::support::rings::{owner, topology_of};

const FAILOVER: &str = include_str!("../../../sql/functions/failover.sql");
/// The update that a client sends on the fast path.
const UPDATE_FAST_PATH: &str = include_str!("../../../sql/queries/fast_path/update.sql");

/// Runs a statement of the fast path for a client that saw a stable ring in the first epoch. Whether the row was
/// changed.
fn write_fast_path(
    fixture: &MoveFixture,
    transaction: &mut Transaction<'_>,
    statement: &str,
) -> Result<bool, postgres::Error> {
    let (cluster, shard) = (fixture.test.cluster_id(1), &fixture.names[0]);
    let sql = statement
        .replace("meta.topology_md5 = $8", "meta.topology_md5 = $8::text::uuid")
        .replace("meta.cluster = $11", "meta.cluster = $11::text::uuid");
    let ring = serde_json::to_value(topology_of(&[1, 2, 3])).unwrap();
    let ring: String = admin().query_one("SELECT md5($1::jsonb::text)", &[&ring]).unwrap().get(0);
    let (name, nothing) = ("second", None::<&str>);
    let rows = transaction.query(
        &sql,
        &[
            &fixture.user,
            &true,
            &name,
            &false,
            &nothing,
            &false,
            &nothing,
            &ring,
            &1_i64,
            shard,
            &cluster,
            &CATALOG_VERSION,
        ],
    )?;
    Ok(rows.len() == 1)
}

/// A writer on the fast path is in the middle of its transaction when a change is announced and the chunk is fenced.
fn a_fast_path_writer_in_flight(fixture: &mut MoveFixture, statement: &str) -> bool {
    let mut writer = fixture.test.client(owner(fixture.user));
    let mut transaction = writer.transaction().unwrap();
    assert!(write_fast_path(fixture, &mut transaction, statement).unwrap());
    fixture.announce(2, "shard_1", "decided");
    fixture.move_chunk_under(transaction);
    fixture.owners_and_names() == (vec![1], vec!["second".into()])
}

/// A writer on the fast path starts its statement after the fence. With `is_strict` its snapshot is older than the
/// announcement.
fn a_fence_in_flight_and_a_fast_path_writer(
    fixture: &mut MoveFixture,
    is_strict: bool,
    statement: &str,
) -> bool {
    let mut writer = fixture.test.client(owner(fixture.user));
    let level = if is_strict { IsolationLevel::RepeatableRead } else { IsolationLevel::ReadCommitted };
    let mut transaction = writer.build_transaction().isolation_level(level).start().unwrap();
    transaction.batch_execute("SET LOCAL lock_timeout = '200ms'; SELECT 1").unwrap();
    fixture.announce(2, "shard_1", "decided");
    assert_eq!(fixture.step("fence", 0, 2).unwrap(), "done");
    // The unchanged statement sees the change, and changes nothing if its snapshot is older.
    let written = write_fast_path(fixture, &mut transaction, statement).unwrap_or(false);
    fixture.finish_move_under(transaction, written)
}

/// A writer on the fast path is in the middle of its transaction when the shard is fenced as a stale primary.
fn a_fast_path_writer_when_its_shard_is_fenced(fixture: &mut MoveFixture) -> bool {
    let mut writer = fixture.test.client(owner(fixture.user));
    let mut transaction = writer.transaction().unwrap();
    assert!(write_fast_path(fixture, &mut transaction, UPDATE_FAST_PATH).unwrap());
    fixture.source.batch_execute("SET lock_timeout = '200ms'").unwrap();
    let fence_stale = "SELECT ringshard.fence_stale_primary($1, 'gone', 2, topology) FROM ringshard.meta";
    let is_stale = fixture.source.query_one(fence_stale, &[&fixture.names[0]]).is_ok();
    transaction.commit().unwrap();
    !is_stale
}

const FAST_PATH_LOCK: &str = "    LOCK TABLE ringshard.fast_path_lock IN EXCLUSIVE MODE;\n";

#[test]
fn a_fence_that_does_not_wait_for_the_fast_path_loses_a_write() {
    is_caught(MOVES, &[(FAST_PATH_LOCK, "")], |fixture| {
        a_fast_path_writer_in_flight(fixture, UPDATE_FAST_PATH)
    });
}

/// Asserts that the statement of the fast path is harmless, and that it is not without one of its conditions.
#[track_caller]
fn is_caught_on_fast_path(condition: &str, interleaving: fn(&mut MoveFixture, &str) -> bool) {
    assert!(interleaving(&mut MoveFixture::new(None), UPDATE_FAST_PATH), "the unchanged protocol fails");
    let mutant = patched(UPDATE_FAST_PATH, &[(condition, "")]);
    assert!(!interleaving(&mut MoveFixture::new(None), &mutant), "the mutant was not detected");
}

#[test]
fn a_fast_path_write_without_its_lock_is_lost() {
    let lock = "  AND NOT EXISTS (SELECT FROM ringshard.fast_path_lock FOR KEY SHARE)\n";
    is_caught_on_fast_path(lock, a_fast_path_writer_in_flight);
}

#[test]
fn a_fast_path_write_in_an_old_snapshot_is_lost() {
    let level = "  AND pg_catalog.current_setting('transaction_isolation') = 'read committed'\n";
    is_caught_on_fast_path(level, |fixture, statement| {
        a_fence_in_flight_and_a_fast_path_writer(fixture, true, statement)
    });
}

#[test]
fn a_fast_path_write_during_a_change_is_lost() {
    let status = "meta.topology_md5 = $8 AND meta.epoch = $9 AND ";
    let behind_a_fence: fn(&mut MoveFixture, &str) -> bool = |fixture, statement| {
        // The parameters are still there.
        let statement =
            statement.replace("meta.shard = $10", "meta.shard = $10 AND $8::text > '' AND $9::bigint > 0");
        a_fence_in_flight_and_a_fast_path_writer(fixture, false, &statement)
    };
    is_caught_on_fast_path(status, behind_a_fence);
}

#[test]
fn fencing_a_stale_primary_waits_for_a_fast_path_write() {
    is_caught(FAILOVER, &[(FAST_PATH_LOCK, "")], a_fast_path_writer_when_its_shard_is_fenced);
}
