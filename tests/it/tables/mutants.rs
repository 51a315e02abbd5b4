//! Mutants of what moves several tables, each of which must be detected: a patch of the functions that `init-shards` installs. What
//! reveals it must be harmless with the unchanged functions.

use crate::support::families::{FAMILIES, Model, adopted_families, faults};
use crate::support::harness::{Test, admin, url};
use crate::support::move_fixture::{MOVES, patched};
use crate::support::rebalances::rebalance_to_failpoint;

const TABLES: &str = include_str!("../../../sql/functions/tables.sql");

/// Asserts that `scenario`, which gets the functions to install, ends well with the unchanged ones and not with these changes.
#[track_caller]
fn is_caught(file: &str, changes: &[(&str, &str)], scenario: fn(&str) -> bool) {
    assert!(scenario(file), "the unchanged functions fail");
    let mutant = patched(file, changes);
    // A panic would be a fault of the scenario.
    assert!(!scenario(&mutant), "the mutant was not detected");
}

/// Installs these functions on the first two shards as soon as a change is announced: before, they would be noticed.
fn install_when_announced(test: &Test, functions: &str) {
    for number in 1..=2 {
        let mut client = test.client(number);
        let trigger = "CREATE TABLE public.mutant (functions text); GRANT SELECT ON public.mutant TO PUBLIC; \
                       CREATE FUNCTION public.mutate() RETURNS trigger LANGUAGE plpgsql AS \
                       $m$ BEGIN EXECUTE (SELECT functions FROM public.mutant); RETURN NULL; END $m$; \
                       CREATE TRIGGER mutate AFTER UPDATE OF epoch ON ringshard.meta \
                       FOR EACH STATEMENT EXECUTE FUNCTION public.mutate(); \
                       ALTER TABLE ringshard.meta ENABLE ALWAYS TRIGGER mutate";
        client.batch_execute(trigger).unwrap();
        client.execute("INSERT INTO public.mutant VALUES ($1)", &[&functions]).unwrap();
    }
}

/// The shard `main` with families, and the shard `s2`, which is to join.
fn joining() -> (Test, Model) {
    let (test, model) = adopted_families(60);
    test.run(&["add-shard", "s2", &test.url(2)]).success();
    (test, model)
}

/// The same with a chunk that has orders, fenced and not received yet, and with these functions.
fn fenced(functions: &str) -> Test {
    let (test, _) = joining();
    let mut at = 1;
    while test
        .query(1, "SELECT FROM orders, ringshard.arc WHERE state = 'fenced' AND md5(user_id::text)::uuid BETWEEN first AND last", &[])
        .is_empty()
    {
        // The first arcs may have no family.
        assert_eq!(rebalance_to_failpoint(&test, &format!("before-read:{at}"), &[]).code, -1);
        at += 1;
    }
    (1..=2).for_each(|number| test.execute(number, functions));
    test
}

/// Reads the fenced chunk at `main`, and hands it over to `s2`; returns the answer.
fn hand_over(test: &Test) -> Result<String, postgres::Error> {
    let read = "SELECT first::text, last::text, chunk.names, chunk.columns, chunk.counts, chunk.digests::text[] AS digests, \
                       chunk.bytes, chunk.rows, arc.epoch \
                FROM ringshard.arc, ringshard.read_chunk(epoch, first, last, 's2', 1000000) AS chunk WHERE state = 'fenced'";
    let row = &test.query(1, read, &[])[0];
    let receive = "SELECT ringshard.receive_chunk($1, $2::text::uuid, $3::text::uuid, 'main', $4, $5, $6, $7::text[]::numeric[], $8, $9)";
    let text = |at: usize| row.get::<_, String>(at);
    let (names, columns): (Vec<String>, Vec<String>) = (row.get(2), row.get(3));
    let (counts, digests): (Vec<i64>, Vec<String>) = (row.get(4), row.get(5));
    let (bytes, rows): (i64, Vec<String>) = (row.get(6), row.get(7));
    let epoch: i64 = row.get(8);
    test.client(2)
        .query_one(receive, &[&epoch, &text(0), &text(1), &names, &columns, &counts, &digests, &bytes, &rows])
        .map(|row| row.get(0))
}

/// Whether the answer was refused with this code.
fn is_refused(answer: Result<String, postgres::Error>, code: &str) -> bool {
    answer.is_err_and(|cause| cause.code().is_some_and(|found| found.code() == code))
}

fn families_move(functions: &str) -> bool {
    let (test, model) = joining();
    install_when_announced(&test, functions);
    let ran = test.run(&["rebalance", "-y", "--chunk-rows", "20"]);
    assert!(!test.query(2, "SELECT FROM users", &[]).is_empty(), "{ran:?}");
    faults(&test, &[1, 2], &model).is_empty() && test.run(&["verify", "--deep"]).code == 0
}

const PURGE: &str = "        EXECUTE pg_catalog.format('DELETE FROM %s AS t WHERE pg_catalog.md5(t.%I::text)::uuid BETWEEN $1 AND $2 AND %s',\n";

#[test]
fn a_purge_that_forgets_a_table_leaves_rows_on_two_shards() {
    let all = format!("FOR index IN REVERSE pg_catalog.cardinality(tables.names) .. 1 LOOP\n{PURGE}");
    let but_one = all.replace(".. 1 LOOP", ".. 2 LOOP");
    is_caught(MOVES, &[(&all, &but_one)], families_move);
}

#[test]
fn a_chunk_that_is_cut_inside_a_key_loses_rows() {
    let whole = "BETWEEN $1 AND $2 OFFSET 0) '\n            'AS stored) AS stored'";
    let cut = whole.replace("OFFSET 0", "LIMIT 4");
    is_caught(MOVES, &[(whole, &cut)], families_move);
}

#[test]
fn a_chunk_has_no_more_rows_than_asked_for_unless_a_key_has_them() {
    let is_bounded = |functions: &str| {
        let (test, _) = joining();
        test.execute(1, functions);
        let all = "SELECT ringshard.chunk_end('00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', \
                                              60, 1000000)::text";
        let end: Option<String> = test.query(1, all, &[])[0].get(0);
        let rows = "SELECT (SELECT count(*) FROM users WHERE md5(id::text)::uuid <= $1::text::uuid) \
                         + (SELECT count(*) FROM orders WHERE md5(user_id::text)::uuid <= $1::text::uuid) \
                         + (SELECT count(*) FROM payments WHERE md5(user_id::text)::uuid <= $1::text::uuid)";
        end.is_some_and(|end| (54..=60).contains(&test.query(1, rows, &[&end])[0].get::<_, i64>(0)))
    };
    let limit = "ORDER BY position LIMIT $3 + 1)";
    is_caught(MOVES, &[(limit, &limit.replace("$3 + 1", "$3 / 4"))], is_bounded);
    let whole_range = "SELECT count(*) <= $3 AND";
    is_caught(MOVES, &[(whole_range, "SELECT true AND")], is_bounded);
    let fits = "count(*) OVER until <= $3";
    is_caught(MOVES, &[(fits, "true")], is_bounded);
}

#[test]
fn receiving_without_comparing_the_tables_swaps_columns() {
    let columns_are_kept = |functions: &str| {
        let test = fenced(functions);
        // The same columns and types, in another order.
        let swapped = "DROP TABLE payments; ALTER TABLE orders ADD a text, ADD b text";
        test.execute(
            1,
            "ALTER TABLE orders ADD a text DEFAULT 'a', ADD b text DEFAULT 'b'; DELETE FROM payments",
        );
        test.execute(2, &swapped.replace("ADD a text, ADD b text", "ADD b text, ADD a text"));
        test.execute(
            2,
            "CREATE TABLE payments (user_id bigint NOT NULL, number integer NOT NULL, paid money)",
        );
        let answer = hand_over(&test);
        let swapped = test.query(2, "SELECT FROM orders WHERE a = 'b'", &[]);
        is_refused(answer, "RS009") && swapped.is_empty()
    };
    let check = "    IF FOUND THEN\n        RAISE EXCEPTION 'table % is not the same";
    is_caught(MOVES, &[(check, &check.replace("FOUND", "false"))], columns_are_kept);
}

#[test]
fn receiving_without_comparing_digests_changes_values() {
    let values_are_kept = |functions: &str| {
        let test = fenced(functions);
        test.execute(1, "ALTER TABLE orders ADD total numeric DEFAULT 1.25");
        test.execute(2, "ALTER TABLE orders ADD total numeric(10, 1)");
        let answer = hand_over(&test);
        is_refused(answer, "RS005") && test.query(2, "SELECT FROM orders WHERE total = 1.3", &[]).is_empty()
    };
    let check = "IF (stored.row_count, stored.digest) IS DISTINCT FROM (counts[index], digests[index]) THEN";
    let counts = "IF stored.row_count <> counts[index] THEN";
    is_caught(MOVES, &[(check, counts)], values_are_kept);
}

#[test]
fn children_stored_before_their_parents_are_refused_by_their_foreign_key() {
    let plain_role_moves = |functions: &str| {
        let test = Test::new();
        for number in 1..=2 {
            let own = format!("ALTER DATABASE {} OWNER TO plain", test.database(number));
            admin().batch_execute(&own).unwrap();
        }
        let mut client = test.other_program("plain", 1);
        client.batch_execute(FAMILIES).unwrap();
        let fill = "INSERT INTO users SELECT i, 'v0' FROM generate_series(1, 60) AS i; \
                    INSERT INTO orders SELECT i, 1, '{}' FROM generate_series(1, 60) AS i; \
                    INSERT INTO payments SELECT i, 1, 1 FROM generate_series(1, 60) AS i";
        client.batch_execute(fill).unwrap();
        test.run(&["init-shards", "--shard", &format!("main={}", url("plain", &test.database(1)))]).success();
        for (table, key) in crate::support::families::FAMILY_KEYS {
            test.run(&["table", "add", table, "--key", key]).success();
        }
        test.run(&["add-shard", "s2", &url("plain", &test.database(2))]).success();
        install_when_announced(&test, functions);
        let ran = test.run(&["rebalance", "-y"]);
        assert!(ran.code == 0 || ran.stderr.contains("foreign key `orders_user_id_fkey`"), "{ran:?}");
        ran.code == 0
    };
    let parents = "array_agg(sharded.name ORDER BY deepest.depth, sharded.name)";
    let changes = ["name", "key_column", "relation"].map(|column| {
        let of = parents.replacen("sharded.name", &format!("sharded.{column}"), 1);
        (of.clone(), of.replace("deepest.depth", "-deepest.depth"))
    });
    let changes: Vec<(&str, &str)> =
        changes.iter().map(|(before, after)| (before.as_str(), after.as_str())).collect();
    is_caught(TABLES, &changes, plain_role_moves);
}

#[test]
fn storing_over_a_row_of_another_key_loses_it() {
    let rows_of_others_stay = |functions: &str| {
        let test = Test::new();
        test.execute(
            1,
            "CREATE TABLE t (k bigint NOT NULL, id bigint PRIMARY KEY); INSERT INTO t SELECT i, i FROM generate_series(1, 60) AS i",
        );
        test.run(&["init-shards", "--shard", &format!("main={}", test.url(1))]).success();
        test.run(&["table", "add", "t", "--key", "k", "--unchecked-unique", "t_pkey"]).success();
        test.run(&["add-shard", "s2", &test.url(2)]).success();
        test.run(&["rebalance", "-y"]).success();
        install_when_announced(&test, functions);
        // A row of `main` with the id of one of `s2`.
        let theirs: i64 = test.query(2, "SELECT min(id) FROM t", &[])[0].get(0);
        test.client(1)
            .execute("UPDATE t SET id = $1 WHERE id = (SELECT min(id) FROM t)", &[&theirs])
            .unwrap();
        test.run(&["remove-shard", "s2"]).success();
        let ran = test.run(&["rebalance", "-y"]);
        let keys = "SELECT k FROM t";
        let mut keys: Vec<i64> =
            (1..=2).flat_map(|n| test.query(n, keys, &[])).map(|row| row.get(0)).collect();
        keys.sort_unstable();
        let is_refused = ran.stderr.contains("differ from the rows that were sent");
        assert!(is_refused || ran.code == 0, "{ran:?}");
        if is_refused {
            // The way back is open.
            test.run(&["rebalance", "cancel", "-y"]).success();
        }
        is_refused && keys == (1..=60).collect::<Vec<_>>()
    };
    let own = "DO UPDATE SET %2$s WHERE t.%3$I = excluded.%3$I'";
    is_caught(TABLES, &[(own, "DO UPDATE SET %2$s'")], rows_of_others_stay);
}

#[test]
fn fencing_while_a_table_is_removed_leaves_its_rows_behind() {
    let no_arc_moves = |functions: &str| {
        let (test, _) = adopted_families(60);
        test.run(&["add-shard", "s2", &test.url(2)]).success();
        test.run(&["rebalance", "-y"]).success();
        (1..=2).for_each(|number| test.execute(number, functions));
        let mut command = test.command();
        command.args(["table", "remove", "payments"]).env("RINGSHARD_CRASH", "after-announce:2");
        assert_eq!(crate::support::harness::Ran::of(command.spawn().unwrap()).code, -1);
        // By a mover that takes the change for one of the ring.
        let fence = "SELECT ringshard.fence((SELECT epoch FROM ringshard.meta), first, last, first, last, 's2') \
                     FROM (SELECT * FROM ringshard.arc ORDER BY last LIMIT 1) AS arc";
        is_refused(test.client(1).query_one(fence, &[]).map(|row| row.get(0)), "RS009")
    };
    let check = "IF (SELECT next_topology -> 'tables' IS DISTINCT FROM topology -> 'tables' FROM ringshard.meta) THEN";
    is_caught(MOVES, &[(check, "IF false THEN")], no_arc_moves);
}
