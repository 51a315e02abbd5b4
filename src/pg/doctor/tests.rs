//! Tests of verdicts about faults that a test cannot cause on a real server.

use super::*;

fn server() -> ServerFacts {
    ServerFacts {
        version: "14.23".into(),
        version_number: 140_023,
        encoding: "UTF8".into(),
        in_recovery: false,
        read_only_by: None,
        fsync: true,
        full_page_writes: true,
        synchronous_commit: "on".into(),
        sessions: 3,
        sessions_most: 97,
        data_folder: None,
        role: "app".into(),
        has_catalog: true,
        has_users: true,
    }
}

fn psql(sql: &str) -> String {
    format!("psql: {sql}")
}

#[track_caller]
fn is_bad(verdict: &Verdict, found: &str, hint: &str) {
    assert_eq!(verdict.ok, Some(false), "{verdict:?}");
    assert!(verdict.found.contains(found), "{verdict:?}");
    assert!(verdict.hint.as_deref().is_some_and(|text| text.contains(hint)), "{verdict:?}");
}

#[test]
fn old_servers_are_refused_and_new_ones_taken() {
    assert_eq!(version(&server()).ok, Some(true));
    let of = |number: i32, text: &str| {
        version(&ServerFacts { version_number: number, version: text.into(), ..server() })
    };
    is_bad(&of(130_009, "13.9"), "13.9", "14 or newer");
    assert_eq!(of(190_000, "19.0").ok, Some(true));
}

#[test]
fn a_server_that_may_lose_everything_is_a_cross_and_one_that_may_lose_a_moment_is_not() {
    is_bad(&durability(&ServerFacts { fsync: false, ..server() }, &psql), "fsync is off", "SET fsync = on");
    let torn = ServerFacts { full_page_writes: false, ..server() };
    is_bad(&durability(&torn, &psql), "full_page_writes is off", "SET full_page_writes = on");
    let late = durability(&ServerFacts { synchronous_commit: "off".into(), ..server() }, &psql);
    assert!(late.ok == Some(true) && late.found.contains("those of others"), "{late:?}");
}

#[test]
fn a_clock_may_be_two_seconds_off_either_way() {
    for fine in [0.0, 1_999.0, -1_999.0] {
        assert_eq!(clock(fine).ok, Some(true));
    }
    for off in [2_001.0, -2_001.0] {
        is_bad(&clock(off), " ms", "set-ntp");
    }
    assert_eq!(clock(0.31).found, "+0.3 ms");
    assert_eq!(clock(-12.0).found, "-12.0 ms");
}

#[test]
fn a_server_with_few_sessions_left_is_a_cross() {
    assert_eq!(sessions(&ServerFacts { sessions: 87, ..server() }).ok, Some(true));
    is_bad(&sessions(&ServerFacts { sessions: 88, ..server() }), "88 of 97", "max_connections");
}

#[test]
fn idle_and_prepared_transactions_say_how_to_end_them() {
    let idle =
        |name: &str, is_prepared| Idle { name: name.into(), is_prepared, role: "app".into(), seconds: 90 };
    let (what, hint) = idle_left(&idle("4711", false), &psql);
    assert_eq!(what, "session 4711 of role `app`, idle in a transaction for 90 s");
    assert_eq!(hint, "psql: SELECT pg_terminate_backend(4711)");
    let (what, hint) = idle_left(&idle("it's", true), &psql);
    assert_eq!(what, "the transaction `it's` of role `app`, prepared 90 s ago");
    assert!(hint.contains("ROLLBACK PREPARED 'it''s'"), "{hint}");
    let (_, hint) =
        idle_left(&idle("ringshard:a3b1c2d4-0000-4000-8000-000000000007:shard_1:shard_2", true), &psql);
    assert!(hint.starts_with("ringshard doctor "), "{hint}");
}
