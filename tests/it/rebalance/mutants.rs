//! Mutants of the move protocol, each of which must be detected. A mutant is a patch of the functions that
//! `init-shards` installs. The interleaving that reveals it is forced, and must be harmless with the unchanged
//! functions.
//!
//! (Mutants of readers are in `tests/interleavings.rs`: they are not SQL.)

use crate::support::move_fixture::{MOVES, MoveFixture, is_caught, write_user};
use crate::support::rings::owner;

const FUNCTIONS: &str = include_str!("../../../sql/functions/write_user.sql");

/// A writer is in the middle of its transaction when the chunk is fenced.
fn a_writer_in_flight(fixture: &mut MoveFixture) -> bool {
    fixture.announce(2, "shard_1", "decided");
    let mut writer = fixture.test.client(owner(fixture.user));
    let mut transaction = writer.transaction().unwrap();
    let (cluster, shard) = (fixture.test.cluster_id(1), fixture.names[0].clone());
    assert_eq!(write_user(&mut transaction, &cluster, &shard, "update", fixture.user, "second"), "done");
    fixture.move_chunk_under(transaction);
    fixture.owners_and_names() == (vec![1], vec!["second".into()])
}

/// A writer starts when the chunk is fenced and the fence is not committed yet.
fn a_fence_in_flight(fixture: &mut MoveFixture) -> bool {
    fixture.announce(2, "shard_1", "decided");
    let (cluster, shard, user) = (fixture.test.cluster_id(1), fixture.names[0].clone(), fixture.user);
    let mut mover = fixture.test.client(owner(user));
    let mut fence = mover.transaction().unwrap();
    let sql = "SELECT ringshard.fence(2, $1::text::uuid, $2::text::uuid, $1::text::uuid, $2::text::uuid, $3)";
    fence.query_one(sql, &[&fixture.chunk.first, &fixture.chunk.last, &fixture.names[1]]).unwrap();
    let mut writer = fixture.test.client(owner(user));
    let mut transaction = writer.transaction().unwrap();
    transaction.batch_execute("SET LOCAL lock_timeout = '200ms'").unwrap();
    let sql = "SELECT answer FROM ringshard.write_user($1, $2, 14, 0, 'update', $3, true, 'second', false, NULL, false, NULL)";
    // The unchanged function waits for the barrier.
    let written = transaction.query_one(sql, &[&cluster, &shard, &user]).is_ok();
    fence.commit().unwrap();
    fixture.finish_move_under(transaction, written)
}

/// A delayed purge arrives two epochs later, when the chunk is back.
fn a_late_purge(fixture: &mut MoveFixture) -> bool {
    fixture.announce(2, "shard_1", "decided");
    fixture.move_chunk(0, 2);
    fixture.announce(3, "shard_2", "decided");
    fixture.move_chunk(1, 3);
    fixture.step("purge", 0, 2).unwrap();
    fixture.owners_and_names() == (vec![0], vec!["first".into()])
}

/// Rows that were read before arrive again after the target has accepted a write.
fn a_late_receive_chunk(fixture: &mut MoveFixture) -> bool {
    fixture.announce(2, "shard_1", "decided");
    assert_eq!(fixture.step("fence", 0, 2).unwrap(), "done");
    let read = fixture.read(0, 2);
    assert_eq!(fixture.receive(0, 2, &read).unwrap(), "done");
    assert_eq!(fixture.write(1, "update", "second"), "done");
    fixture.receive(0, 2, &read).unwrap();
    fixture.owners_and_names() == (vec![1], vec!["second".into()])
}

/// The rows arrive after the change was cancelled and the chunk released.
fn a_receive_chunk_of_a_cancelled_change(fixture: &mut MoveFixture) -> bool {
    fixture.announce(2, "shard_1", "decided");
    assert_eq!(fixture.step("fence", 0, 2).unwrap(), "done");
    let read = fixture.read(0, 2);
    fixture.announce(3, "shard_2", "decided");
    assert_eq!(fixture.step("release", 0, 2).unwrap(), "done");
    assert_eq!(fixture.write(0, "update", "second"), "done");
    fixture.receive(0, 2, &read).unwrap();
    fixture.owners_and_names() == (vec![0], vec!["second".into()])
}

/// Two changes are announced for one epoch.
fn a_rival_announcement(fixture: &mut MoveFixture) -> bool {
    assert_eq!(fixture.announce(2, "shard_1", "decided"), ["done", "done"]);
    fixture.announce(2, "shard_2", "decided");
    let target = "SELECT next_topology -> 'shards' -> 0 ->> 'weight' FROM ringshard.meta";
    [&mut fixture.source, &mut fixture.target]
        .into_iter()
        .all(|client| client.query_one(target, &[]).unwrap().get::<_, String>(0) == "2.0")
}

/// A chunk that has moved in this epoch is fenced again, for another target.
fn a_fence_of_what_was_moved_in_this_epoch(fixture: &mut MoveFixture) -> bool {
    fixture.announce(2, "shard_1", "decided");
    fixture.move_chunk(0, 2);
    // By a mover that knows the previous ring.
    let answer = fixture.step("fence", 1, 2).unwrap();
    answer == "stale" && fixture.owners_and_names() == (vec![1], vec!["first".into()])
}

/// A change is finished while a chunk is in flight.
fn a_finish_too_early(fixture: &mut MoveFixture) -> bool {
    fixture.announce(2, "shard_1", "decided");
    let arcs = "SELECT coalesce(array_agg(first ORDER BY last), '{}')::text, coalesce(array_agg(last ORDER BY last), '{}')::text, \
                       coalesce(array_agg(epoch ORDER BY last), '{}')::text FROM ringshard.arc";
    assert_eq!(fixture.step("fence", 0, 2).unwrap(), "done");
    let seen = fixture.source.query_one(arcs, &[]).unwrap();
    let [firsts, lasts, epochs]: [String; 3] = [seen.get(0), seen.get(1), seen.get(2)];
    let finish = "SELECT ringshard.finish(2, $1::text::uuid[], $2::text::uuid[], $3::text::bigint[], $1::text::uuid[], $2::text::uuid[])";
    fixture.source.query_one(finish, &[&firsts, &lasts, &epochs]).unwrap();
    let fenced = "SELECT count(*) FROM ringshard.arc WHERE state = 'fenced'";
    fixture.source.query_one(fenced, &[]).unwrap().get::<_, i64>(0) == 1
}

const BARRIER: &str = "    PERFORM pg_catalog.pg_advisory_xact_lock(7283001);\n";

#[test]
fn fence_without_the_barrier_loses_a_write() {
    is_caught(MOVES, &[(BARRIER, "")], a_writer_in_flight);
}

#[test]
fn a_write_without_the_barrier_is_lost() {
    let barrier = "pg_catalog.pg_advisory_xact_lock_shared(7283001) IS NULL;\nBEGIN";
    is_caught(FUNCTIONS, &[(barrier, "true;\nBEGIN")], a_fence_in_flight);
}

#[test]
fn purge_without_comparison_deletes_returned_rows() {
    is_caught(
        MOVES,
        &[(
            "    IF NOT FOUND THEN\n        RETURN 'already';\n    END IF;\n    -- Everything",
            "    -- Everything",
        )],
        a_late_purge,
    );
}

#[test]
fn receive_chunk_that_overwrites_revives_old_rows() {
    let changes = [
        ("    IF FOUND THEN\n        RETURN 'already';\n    END IF;\n    -- Held", "    -- Held"),
        (
            "RETURN CASE WHEN FOUND THEN 'already' ELSE 'stale' END;\n    END IF;\n    tables",
            "NULL;\n    END IF;\n    tables",
        ),
    ];
    is_caught(MOVES, &changes, a_late_receive_chunk);
}

#[test]
fn receive_chunk_in_any_epoch_makes_two_owners() {
    let check = "    PERFORM FROM ringshard.meta WHERE epoch = the_epoch AND status = 'pending' FOR SHARE;\n    IF NOT FOUND THEN\n        RETURN 'stale';\n    END IF;\n    -- Waits";
    is_caught(MOVES, &[(check, "    -- Waits")], a_receive_chunk_of_a_cancelled_change);
}

#[test]
fn announce_without_comparison_makes_two_changes_of_one_epoch() {
    is_caught(
        MOVES,
        &[("WHEN 'decided' THEN epoch < the_epoch", "WHEN 'decided' THEN true")],
        a_rival_announcement,
    );
}

#[test]
fn fencing_an_arc_of_this_epoch_moves_it_again() {
    let changes = [("AND own_arc.epoch < the_epoch)", ")")];
    is_caught(MOVES, &changes, a_fence_of_what_was_moved_in_this_epoch);
}

#[test]
fn finish_without_comparison_loses_a_chunk_in_flight() {
    let changes = [("       AND coalesce(pg_catalog.bool_and(state = 'owned'), true)", "")];
    is_caught(MOVES, &changes, a_finish_too_early);
}

#[test]
fn conflicting_rows_at_the_target_are_quarantined() {
    let mut fixture = MoveFixture::new(None);
    fixture.announce(2, "shard_1", "decided");
    let misplaced = "INSERT INTO users VALUES ($1, 'misplaced', NULL, 'x')";
    fixture.target.execute(misplaced, &[&fixture.user]).unwrap();
    fixture.move_chunk(0, 2);
    assert_eq!(fixture.owners_and_names(), (vec![1], vec!["first".into()]));
    let quarantined =
        "SELECT (contents::users).user_id, (contents::users).name, reason FROM ringshard.quarantine";
    let row = fixture.target.query_one(quarantined, &[]).unwrap();
    assert_eq!((row.get(0), row.get(1)), (fixture.user, "misplaced"));
    assert!(row.get::<_, &str>(2).contains("in epoch 2"));
}

#[test]
fn rows_that_differ_from_those_sent_are_refused() {
    let mut fixture = MoveFixture::new(None);
    fixture.announce(2, "shard_1", "decided");
    // A trigger at the target would change the stored rows, and cannot be suppressed.
    let change = "CREATE FUNCTION public.change() RETURNS trigger LANGUAGE plpgsql AS \
                  $$ BEGIN NEW.name := 'changed'; RETURN NEW; END $$; \
                  CREATE TRIGGER change BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION public.change(); \
                  ALTER TABLE users ENABLE ALWAYS TRIGGER change";
    fixture.target.batch_execute(change).unwrap();
    assert_eq!(fixture.step("fence", 0, 2).unwrap(), "done");
    let mut read = fixture.read(0, 2);
    let refused = fixture.receive(0, 2, &read).unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "RS006");
    fixture.target.batch_execute("DROP TRIGGER change ON users").unwrap();
    let digests = std::mem::replace(&mut read.digests, vec!["1".into()]);
    let refused = fixture.receive(0, 2, &read).unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "RS005");
    read.digests = digests;
    assert_eq!(fixture.receive(0, 2, &read).unwrap(), "done");
}
