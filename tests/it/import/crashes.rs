//! Imports into shards on separate servers, one of which crashes.

use std::thread;
use std::time::Duration;

use ringshard::bulk::FileFormat;

use crate::support::harness::Ran;
use crate::support::servers::Servers;
use crate::support::user_files::{file_of, users};

/// The warning when all users are stored and the final cleanup of a shard failed.
const UNFORGOTTEN: &str = "all users are stored, but";

/// Asserts that the shards hold the users of the file, each once.
fn assert_file_is_stored(servers: &Servers, text: &[u8], count: usize, when: &str) {
    let exported = servers.run(&["export"]).success();
    assert!(exported.stdout.as_bytes() == text, "after a crash {when}: not the file");
    assert_eq!(servers.run(&["count"]).success().stdout, format!("{count}\n"), "after a crash {when}");
    for number in 1..=3 {
        let left: i64 =
            servers.client(number).query_one("SELECT count(*) FROM ringshard.import", &[]).unwrap().get(0);
        assert_eq!(left, 0, "after a crash {when}: leftover words on shard {number}");
    }
}

fn empty(servers: &Servers) {
    for number in 1..=3 {
        servers.client(number).batch_execute("TRUNCATE users; DELETE FROM ringshard.import").unwrap();
    }
}

/// Makes a shard sleep in a change (`INSERT OR UPDATE`, `DELETE`) of a checkpoint for which the condition holds.
fn hold_back(servers: &Servers, number: usize, change: &str, condition: &str) {
    let sql = format!(
        "CREATE FUNCTION public.hold_back() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_catalog.pg_sleep(30); RETURN coalesce(NEW, OLD); END $$; \
         CREATE TRIGGER hold_back BEFORE {change} ON ringshard.import FOR EACH ROW \
         WHEN ({condition}) EXECUTE FUNCTION public.hold_back()"
    );
    servers.client(number).batch_execute(&sql).unwrap();
}

/// Waits until the shard sleeps.
fn is_held_back(servers: &Servers, number: usize) {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    let mut held = servers.client(number);
    while held.query_one(waits, &[]).unwrap().get::<_, i64>(0) == 0 {
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_crash_while_the_other_shards_finish_loses_nothing() {
    let servers = Servers::initialised(3);
    let text = file_of(&users(1..3_000), FileFormat::Csv);
    servers.write("f.csv", &text);
    let words = ["import", "f.csv", "--batch-kib", "8"];
    for number in 1..=3 {
        // The others write `done` at once; this one never does.
        hold_back(&servers, number, "INSERT OR UPDATE", "NEW.routing = 'done'");
        let child = servers.command().args(words).spawn().unwrap();
        is_held_back(&servers, number);
        for other in (1..=3).filter(|other| *other != number) {
            let done = "SELECT count(*) FROM ringshard.import WHERE routing = 'done'";
            let mut client = servers.client(other);
            while client.query_one(done, &[]).unwrap().get::<_, i64>(0) == 0 {
                thread::sleep(Duration::from_millis(5));
            }
        }
        servers.crash(number);
        Ran::of(child).fails(69);
        servers.start(number);
        servers.client(number).batch_execute("DROP FUNCTION public.hold_back CASCADE").unwrap();
        servers.run(&words).success();
        assert_file_is_stored(&servers, &text, 2_999, &format!("of shard {number} at `done`"));
        empty(&servers);
    }
}

#[test]
fn a_crash_during_final_cleanup_does_not_fail_an_import() {
    let servers = Servers::initialised(3);
    let text = file_of(&users(1..3_000), FileFormat::Csv);
    servers.write("f.csv", &text);
    let words = ["import", "f.csv", "--batch-kib", "8"];
    hold_back(&servers, 2, "DELETE", "true");
    let child = servers.command().args(words).spawn().unwrap();
    is_held_back(&servers, 2);
    servers.crash(2);
    let ran = Ran::of(child).success();
    assert!(ran.stderr.contains(UNFORGOTTEN) && ran.stderr.contains("`shard_2`"), "{ran:?}");
    assert!(ran.stdout.contains("\t2999\t2999\t0\t0\t0\t0\n"), "{ran:?}");
    servers.start(2);
    servers.client(2).batch_execute("DROP FUNCTION public.hold_back CASCADE").unwrap();
    // The checkpoint is still there and is used: nothing is stored twice, and it is deleted in the end.
    let again = servers.run(&words).success();
    assert!(again.stdout.contains("\t2999\t0\t0\t0\t0\t2999\n"), "{again:?}");
    assert_file_is_stored(&servers, &text, 2_999, "before forgetting");
}

#[test]
fn a_crash_at_any_moment_loses_nothing() {
    let servers = Servers::initialised(3);
    let text = file_of(&users(1..20_000), FileFormat::Csv);
    servers.write("f.csv", &text);
    let words = ["import", "f.csv", "--batch-kib", "8"];
    let mut crashes = 0;
    for (round, pause_ms) in [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 100, 200].into_iter().enumerate()
    {
        let number = round % 3 + 1;
        let child = servers.command().args(words).spawn().unwrap();
        thread::sleep(Duration::from_millis(pause_ms));
        servers.crash(number);
        let ran = Ran::of(child);
        servers.start(number);
        match ran.code {
            69 => crashes += 1,
            0 => {}
            _ => panic!("{ran:?}"),
        }
        if ran.code != 0 {
            servers.run(&words).success();
        } else if ran.stderr.contains(UNFORGOTTEN) {
            // All users are stored, and whether the checkpoint was deleted is unknown: the hint is right in both
            // cases.
            servers.run(&["import", "f.csv", "--restart", "--on-conflict", "skip"]).success();
        }
        assert_file_is_stored(&servers, &text, 19_999, &format!("of shard {number} after {pause_ms} ms"));
        empty(&servers);
    }
    assert!(crashes > 0, "no run was interrupted");
}
