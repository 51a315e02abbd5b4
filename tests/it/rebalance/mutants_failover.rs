//! Mutants of what keeps a server from serving that somebody else promoted: see `mutants`.

use crate::support::move_fixture::{MOVES, MoveFixture, is_caught};

const WRITE: &str = include_str!("../../../sql/functions/write_user.sql");
const FAILOVER: &str = include_str!("../../../sql/functions/failover.sql");

/// Makes a server look as if it was promoted: the catalog was confirmed on an earlier timeline.
const PROMOTED: &str = "UPDATE ringshard.meta SET timeline = '00000000'";

/// Whether a call is refused, by its answer or with RS008.
fn is_refused(answer: Result<String, postgres::Error>) -> bool {
    match answer {
        Ok(answer) => answer == "stale",
        Err(cause) => cause.code().is_some_and(|code| code.code() == "RS008"),
    }
}

/// The target fails over to a server that lacks the chunk, just before the source purges it. The change goes on in a new
/// epoch.
fn a_target_that_forgets(fixture: &mut MoveFixture) -> bool {
    fixture.announce(2, "shard_1", "decided");
    assert_eq!(fixture.step("fence", 0, 2).unwrap(), "done");
    let before = "CREATE TABLE arc_before AS SELECT * FROM ringshard.arc";
    fixture.target.batch_execute(before).unwrap();
    let read = fixture.read(0, 2);
    assert_eq!(fixture.receive(0, 2, &read).unwrap(), "done");
    let forget = "DELETE FROM ringshard.arc; INSERT INTO ringshard.arc SELECT * FROM arc_before; \
                  SET ringshard.guard = 'checked'; DELETE FROM users; RESET ringshard.guard";
    fixture.target.batch_execute(forget).unwrap();
    assert_eq!(fixture.announce(3, "shard_1", "decided"), ["done", "done"]);
    let (first, last) = (fixture.chunk.first.clone(), fixture.chunk.last.clone());
    let purge = "SELECT ringshard.purge(2, $1::text::uuid, $2::text::uuid, $3, 2)";
    fixture.source.query_one(purge, &[&first, &last, &fixture.names[1]]).unwrap();
    fixture.source.query_one("SELECT count(*) FROM users", &[]).unwrap().get::<_, i64>(0) == 1
}

/// A server that was promoted without a fence writes a user that it gave away.
fn a_write_to_an_unconfirmed_server(fixture: &mut MoveFixture) -> bool {
    fixture.source.batch_execute(PROMOTED).unwrap();
    fixture.write(0, "update", "second") == "unconfirmed"
}

/// A write by a client that knows a later epoch, as a server that was replaced is not in.
fn a_write_to_a_stale_primary(fixture: &mut MoveFixture) -> bool {
    let (cluster, shard) = (fixture.test.cluster_id(1), fixture.names[0].clone());
    let sql = "SELECT answer FROM ringshard.write_user($1, $2, 14, 2, 'update', $3, true, 'second', false, NULL, false, NULL)";
    fixture.source.query_one(sql, &[&cluster, &shard, &fixture.user]).unwrap().get::<_, String>(0) == "late"
}

fn a_fence_of_an_unconfirmed_server(fixture: &mut MoveFixture) -> bool {
    fixture.announce(2, "shard_1", "decided");
    fixture.source.batch_execute(PROMOTED).unwrap();
    is_refused(fixture.step("fence", 0, 2))
}

fn a_hand_over_to_an_unconfirmed_server(fixture: &mut MoveFixture) -> bool {
    fixture.announce(2, "shard_1", "decided");
    assert_eq!(fixture.step("fence", 0, 2).unwrap(), "done");
    let read = fixture.read(0, 2);
    fixture.target.batch_execute(PROMOTED).unwrap();
    is_refused(fixture.receive(0, 2, &read))
}

fn a_purge_of_an_unconfirmed_server(fixture: &mut MoveFixture) -> bool {
    fixture.announce(2, "shard_1", "decided");
    assert_eq!(fixture.step("fence", 0, 2).unwrap(), "done");
    let read = fixture.read(0, 2);
    assert_eq!(fixture.receive(0, 2, &read).unwrap(), "done");
    fixture.source.batch_execute(PROMOTED).unwrap();
    is_refused(fixture.step("purge", 0, 2))
}

/// A client confirms a server in the state that it compared, while another one announces an epoch.
fn a_confirmation_of_another_state(fixture: &mut MoveFixture) -> bool {
    fixture.source.batch_execute(PROMOTED).unwrap();
    let begin = "SELECT ringshard.begin_to_confirm(1)";
    // Two clients at once get the same incarnation.
    for _ in 0..2 {
        assert_eq!(fixture.source.query_one(begin, &[]).unwrap().get::<_, i64>(0), 2);
    }
    fixture.announce(2, "shard_1", "decided");
    let confirm = "SELECT ringshard.confirm_primary(1, 2, 0)";
    fixture.source.query_one(confirm, &[]).unwrap().get::<_, String>(0) == "stale"
}

/// Another server of the same timeline, as a restored dump of the shard is.
fn a_fence_of_another_server(fixture: &mut MoveFixture) -> bool {
    fixture.announce(2, "shard_1", "decided");
    let other = "UPDATE ringshard.meta SET system_identifier = system_identifier + 1";
    fixture.source.batch_execute(other).unwrap();
    is_refused(fixture.step("fence", 0, 2))
}

/// The text from the beginning of a function to the check that a mutant lacks.
fn without_check(function: &str) -> (String, String) {
    let begin = MOVES.find(&format!("FUNCTION ringshard.{function}(")).unwrap();
    let check = "    PERFORM ringshard.require_confirmed();\n";
    let end = begin + MOVES[begin..].find(check).unwrap();
    (MOVES[begin..end + check.len()].to_owned(), MOVES[begin..end].to_owned())
}

#[test]
fn a_purge_that_was_decided_in_an_earlier_epoch_deletes_the_only_copy() {
    let check = "WHERE epoch = decided_in FOR SHARE";
    is_caught(MOVES, &[(check, "FOR SHARE")], a_target_that_forgets);
}

#[test]
fn a_write_without_the_timeline_reaches_a_server_that_owns_too_much() {
    let check = "WHEN meta.timeline <> pg_catalog.left(pg_catalog.pg_walfile_name(\
                 pg_catalog.pg_current_wal_insert_lsn()), 8) THEN 'unconfirmed'";
    is_caught(WRITE, &[(check, "")], a_write_to_an_unconfirmed_server);
}

#[test]
fn a_write_without_the_epoch_reaches_a_stale_primary() {
    is_caught(WRITE, &[("WHEN meta.epoch < known_epoch THEN 'late'", "")], a_write_to_a_stale_primary);
}

#[test]
fn steps_without_the_check_use_a_server_that_was_not_compared() {
    let caught = |function, interleaving| {
        let (before, after) = without_check(function);
        is_caught(MOVES, &[(&before, &after)], interleaving);
    };
    caught("fence", a_fence_of_an_unconfirmed_server);
    caught("begin_receive", a_hand_over_to_an_unconfirmed_server);
    caught("purge", a_purge_of_an_unconfirmed_server);
}

#[test]
fn a_confirmation_without_comparison_confirms_what_nobody_compared() {
    is_caught(
        FAILOVER,
        &[("WHERE epoch = seen_epoch AND timeline", "WHERE timeline")],
        a_confirmation_of_another_state,
    );
}

#[test]
fn a_server_is_known_by_more_than_its_timeline() {
    let check = "AND coalesce(system_identifier = ringshard.system_identifier(), true) END\n    FROM";
    is_caught(FAILOVER, &[(check, "END\n    FROM")], a_fence_of_another_server);
}
