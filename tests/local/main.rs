//! The private Postgres on real programs: those in `RINGSHARD_PG_BIN`, else the machine's.
//!
//! As root, the servers belong to another user, and some tests also act as `nobody`; as another user, the tests that
//! need root end at once. Every server is stopped and removed when its `Home` is dropped.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod harness;
mod root;

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::process::Child;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use ringshard::error::Kind;
use ringshard::local::PrivateServer;
use rustix::process::{Signal, geteuid, test_kill_process};

use harness::{
    Home, Sleeper, Stopped, WATCHED_INITDB, connect, failure, half_way, holds_unfinished, is_root, kill,
    kill_hard, outcome, pid, programs, server_user, until, wait_for_end, watched_programs,
};
/// Not a test: what the child processes of the tests run.
#[test]
fn child_process() {
    let Some(home) = std::env::var_os("RINGSHARD_TEST_HOME") else { return };
    let server = PrivateServer::at(Some(home.as_ref()), programs().as_deref()).unwrap();
    let act = std::env::var("RINGSHARD_TEST_ACT").unwrap_or_default();
    let outcome = server.ensure_running();
    let output = match (&outcome, act.as_str()) {
        (Ok(_), "whole life") => {
            connect(&server).simple_query("select 1").unwrap();
            let owner = fs::metadata(server.data()).unwrap().uid();
            assert_eq!(server.status().unwrap().run_as, None);
            let ends = (server.stop().unwrap(), server.stop().unwrap(), server.destroy().unwrap());
            format!("lived {owner} {ends:?} {}", server.data().parent().unwrap().exists())
        }
        (Ok(started), _) => format!("started={started}"),
        (Err(error), _) => format!("failed {}: {error}", error.kind().name()),
    };
    writeln!(std::io::stdout(), "\noutcome: {output}").unwrap();
}

#[test]
fn eight_processes_start_it_at_once() {
    let home = Home::new();
    assert!(!home.server.exists().unwrap() && !home.server.accepts());
    assert!(!home.path.exists(), "queries create no folder");
    let children: Vec<Child> = (0..8)
        .map(|_| {
            let mut starter = home.starter();
            for (name, value) in
                [("PGDATA", "/nowhere"), ("PGHOST", "x"), ("PGPORT", "1"), ("PGOPTIONS", "-x")]
            {
                starter.env(name, value);
            }
            starter.spawn().unwrap()
        })
        .collect();
    let output: Vec<String> =
        children.into_iter().map(|child| outcome(&child.wait_with_output().unwrap())).collect();
    assert_eq!(output.iter().filter(|output| *output == "started=true").count(), 1, "{output:?}");
    assert_eq!(output.iter().filter(|output| *output == "started=false").count(), 7, "{output:?}");

    let status = home.server.status().unwrap();
    assert!(status.running && home.server.exists().unwrap());
    assert_eq!(status.data, home.path.join("postgres/data"));
    assert_eq!(status.socket_dir, home.path.join("postgres/run"));
    assert_eq!(fs::metadata(&status.socket_dir).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(fs::metadata(&status.log).unwrap().mode() & 0o7777, 0o600);
    for (name, value) in [
        ("listen_addresses", ""),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("max_connections", "200"),
        ("TimeZone", "UTC"),
        ("server_encoding", "UTF8"),
        ("lc_messages", "C"),
    ] {
        assert_eq!(home.query(&format!("select current_setting('{name}')")), value, "{name}");
    }
    let version = home.query("select current_setting('server_version')");
    assert_eq!(Some(version.split(' ').next().unwrap()), status.version.as_deref());
    assert!(!home.server.ensure_running().unwrap());
    if let Ok(raw) = fs::read(format!("/proc/{}/environ", status.pid.unwrap())) {
        let mut settings = raw.split(|byte| *byte == 0);
        assert!(
            !settings.any(|setting| setting.starts_with(b"PGHOST=")),
            "libpq's settings reach the server"
        );
    }
}

#[test]
fn data_outlives_kill_and_stop() {
    let home = Home::new();
    assert!(home.server.ensure_running().unwrap());
    home.connect().batch_execute("create table notes as select 'yes' as word").unwrap();
    for _ in 0..2 {
        kill_hard(&home);
        // For a moment the socket of the dead server may still answer.
        let word: String = until("a living server", || {
            home.server.ensure_running().unwrap();
            let socket_dir = home.server.socket_dir().display();
            let mut client = Client::connect(&format!("host={socket_dir} user=postgres"), NoTls).ok()?;
            Some(client.query_one("select word from notes", &[]).ok()?.get(0))
        });
        assert_eq!(word, "yes");
    }
    let mut client = home.connect();
    assert!(home.server.stop().unwrap());
    assert!(client.simple_query("select 1").is_err());
    assert!(!home.server.stop().unwrap());
    assert!(!home.server.accepts());
    let status = home.server.status().unwrap();
    assert!(!status.running && status.pid.is_none() && home.server.exists().unwrap());
    assert!(home.server.ensure_running().unwrap());
    assert_eq!(home.query("select word from notes"), "yes");
    // A server without its socket is unusable: /tmp is cleaned on many machines.
    let begun = Instant::now();
    fs::remove_file(home.server.socket_dir().join(".s.PGSQL.5432")).unwrap();
    assert!(!home.server.accepts());
    assert!(home.server.ensure_running().unwrap());
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(home.query("select word from notes"), "yes");
}

#[test]
fn the_server_waits_for_children_of_a_killed_one() {
    let home = Home::new();
    assert!(home.server.ensure_running().unwrap());
    let mut client = home.connect();
    let child: i32 = client.query_one("select pg_backend_pid()", &[]).unwrap().get(0);
    let child = child.cast_unsigned();
    // It cannot notice that the server has died, and keeps its shared memory.
    let stopped = Stopped::new(child);
    kill_hard(&home);
    wait_for_end(&home);
    let starting = home.starter().spawn().unwrap();
    until("a refusal", || {
        fs::read_to_string(home.server.log_file()).unwrap().contains("still in use").then_some(())
    });
    drop(stopped);
    assert_eq!(outcome(&starting.wait_with_output().unwrap()), "started=true");
    assert_eq!(home.query("select 'up'"), "up");
}

#[cfg(target_os = "linux")]
#[test]
fn a_removed_lock_file_locks_nothing() {
    let home = Home::new();
    assert!(home.server.ensure_running().unwrap());
    assert!(home.server.stop().unwrap());
    let path = home.folder().join("lock");
    let lock = fs::File::options().write(true).open(&path).unwrap();
    lock.lock().unwrap();
    let starting = home.starter().spawn().unwrap();
    until("the lock's file to be opened", || {
        let files = fs::read_dir(format!("/proc/{}/fd", starting.id())).ok()?.flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).find(|target| *target == path)
    });
    fs::remove_file(&path).unwrap();
    drop(lock);
    assert_eq!(outcome(&starting.wait_with_output().unwrap()), "started=true");
    assert!(path.exists(), "the server was started under a removed lock");
}

#[test]
fn concurrent_starts_stops_and_removals_succeed() {
    let home = Home::new();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let server = home.server.clone();
            scope.spawn(move || {
                for turn in 0..4 {
                    match (number + turn) % 6 {
                        0 => drop(server.destroy().unwrap()),
                        1 | 2 => drop(server.stop().unwrap()),
                        _ => drop(server.ensure_running().unwrap()),
                    }
                }
            });
        }
    });
    home.server.ensure_running().unwrap();
    assert_eq!(home.query("select 'up'"), "up");
    assert!(!holds_unfinished(home.folder()));
}

#[test]
fn an_interrupted_initdb_leaves_nothing() {
    let home = Home::new();
    let (programs, note) = watched_programs(&home, WATCHED_INITDB);
    let mut starter = home.starter();
    let child = starter.env("RINGSHARD_PG_BIN", &programs).spawn().unwrap();
    kill(half_way(&home, &note), Signal::KILL);
    let output = outcome(&child.wait_with_output().unwrap());
    assert!(output.starts_with("failed failed: cannot make the private server's data"), "{output}");
    assert!(!home.server.exists().unwrap());
    assert!(home.server.ensure_running().unwrap());
    assert_eq!(home.query("select 'up'"), "up");
}

#[test]
fn an_initdb_that_outlives_its_parent_does_no_harm() {
    let home = Home::new();
    let (programs, note) = watched_programs(&home, WATCHED_INITDB);
    let mut starter = home.starter();
    let mut child = starter.env("RINGSHARD_PG_BIN", &programs).spawn().unwrap();
    let initdb = half_way(&home, &note);
    kill(initdb, Signal::STOP);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(home.server.ensure_running().unwrap());
    assert!(!holds_unfinished(home.folder()));
    kill(initdb, Signal::CONT);
    until("the end of initdb", || {
        let is_gone = fs::read(format!("/proc/{initdb}/cmdline")).is_ok_and(|words| words.is_empty());
        (is_gone || test_kill_process(pid(initdb)).is_err()).then_some(())
    });
    assert_eq!(home.query("select 'up'"), "up");
    assert!(home.server.stop().unwrap() && home.server.ensure_running().unwrap());
    assert_eq!(home.query("select 'up'"), "up");
    assert!(home.server.destroy().unwrap());
    assert!(!home.folder().exists());
}

#[test]
fn a_stale_pid_file_is_not_trusted() {
    let home = Home::new();
    assert!(home.server.ensure_running().unwrap());
    let pid_file = home.server.data().join("postmaster.pid");
    let claim = |number: u32| {
        // As after a crash: the files of the dead server, with a process id that another process has now.
        let text = fs::read_to_string(&pid_file).unwrap();
        let lock = home.server.socket_dir().join(".s.PGSQL.5432.lock");
        let lock_text = fs::read_to_string(&lock).unwrap();
        let server = home.pid();
        kill(server, Signal::KILL);
        wait_for_end(&home);
        for (path, text) in [(&pid_file, text), (&lock, lock_text)] {
            fs::write(path, text.replacen(&server.to_string(), &number.to_string(), 1)).unwrap();
        }
    };

    // A process of the same user whose working directory is the data folder.
    let mut sleeper = Sleeper::of_owner(home.server.data());
    claim(sleeper.0.id());
    assert!(!home.server.stop().unwrap());
    assert!(home.server.ensure_running().unwrap());
    assert!(sleeper.0.try_wait().unwrap().is_none(), "the other process was signalled");

    // The postmaster of another cluster.
    let other = Home::new();
    assert!(other.server.ensure_running().unwrap());
    claim(other.pid());
    assert!(!home.server.stop().unwrap());
    assert!(home.server.ensure_running().unwrap());
    assert_eq!(other.query("select 'untouched'"), "untouched");

    // What a power cut may leave.
    kill_hard(&home);
    wait_for_end(&home);
    fs::write(&pid_file, "").unwrap();
    assert!(home.server.ensure_running().unwrap());
    assert_eq!(home.query("select 'up'"), "up");
}

#[test]
fn a_long_home_path_has_its_socket_elsewhere() {
    let home = Home::named("a".repeat(120));
    let socket_dir = home.server.socket_dir().to_path_buf();
    let owner = if is_root() { server_user() } else { geteuid().as_raw() };
    assert!(socket_dir.to_str().unwrap().starts_with(&format!("/tmp/ringshard-{owner}-")), "{socket_dir:?}");
    if is_root() {
        // Another user created the folder first, and listens there.
        fs::create_dir(&socket_dir).unwrap();
        let listener = UnixListener::bind(socket_dir.join(".s.PGSQL.5432")).unwrap();
        chown(&socket_dir, Some(owner + 1), None).unwrap();
        assert!(!home.server.accepts());
        failure(
            home.server.ensure_running(),
            Kind::Permission,
            &[socket_dir.to_str().unwrap(), "belongs to"],
        );
        drop(listener);
        fs::remove_dir_all(&socket_dir).unwrap();
    }
    // A link is not followed.
    let target = home.above.path().join("target");
    fs::create_dir(&target).unwrap();
    symlink(&target, &socket_dir).unwrap();
    assert!(home.server.ensure_running().is_err());
    fs::remove_file(&socket_dir).unwrap();

    assert!(home.server.ensure_running().unwrap());
    let made = fs::metadata(&socket_dir).unwrap();
    assert_eq!((made.mode() & 0o7777, made.uid()), (0o700, owner));
    assert_eq!(home.query("select 'up'"), "up");
    assert!(home.server.destroy().unwrap());
    assert!(!socket_dir.exists());
}

#[test]
fn a_home_may_have_any_name() {
    let odd = "a b'c\"d$HOME $(touch oh)`touch oh`\\e,f;g é*";
    let home = Home::named(odd);
    assert!(home.server.ensure_running().unwrap());
    assert_eq!(home.query("select current_setting('data_directory')"), home.server.data().to_str().unwrap());
    assert!(home.server.socket_dir().starts_with("/tmp/"));
    // The same home by another path.
    let spelled = home.above.path().join("nothing/..").join(odd).join(".");
    assert_eq!(PrivateServer::at(Some(&spelled), None).unwrap().socket_dir(), home.server.socket_dir());
    kill_hard(&home);
    wait_for_end(&home);
    assert!(home.server.ensure_running().unwrap());
    assert_eq!(home.query("select 'up'"), "up");
    assert!(home.server.stop().unwrap());

    let broken = PrivateServer::at(Some(&home.above.path().join("a\nb")), None);
    failure(broken, Kind::Configuration, &["a\\nb", "line break"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_home_path_need_not_be_utf_8() {
    let home = Home::named(OsStr::from_bytes(b"\xff\xfe x"));
    assert!(home.server.ensure_running().unwrap());
    assert_eq!(home.query("select 'up'"), "up");
    assert_eq!(home.pid(), home.server.status().unwrap().pid.unwrap());
    assert!(home.server.stop().unwrap());
}

#[test]
fn destroy_removes_the_server_and_nothing_else() {
    let home = Home::new();
    assert!(!home.server.destroy().unwrap());
    assert!(home.server.ensure_running().unwrap());
    let server = home.pid();
    let (setting, history) = (home.path.join("ringshard.toml"), home.path.join("postgres.log"));
    fs::write(&setting, "x").unwrap();
    fs::write(&history, "x").unwrap();
    fs::write(home.folder().join("note"), "x").unwrap();
    assert!(home.server.destroy().unwrap());
    assert!(setting.exists() && history.exists());
    let left: Vec<_> =
        fs::read_dir(home.folder()).unwrap().flatten().map(|child| child.file_name()).collect();
    assert_eq!(left, ["note"]);
    assert!(!home.server.exists().unwrap() && !home.server.accepts());
    assert!(fs::read(format!("/proc/{server}/cmdline")).unwrap_or_default().is_empty());
    assert!(!home.server.destroy().unwrap());
}

#[test]
fn programs_must_fit_the_data() {
    let home = Home::new();
    assert!(home.server.ensure_running().unwrap());
    let real = home.server.status().unwrap().binaries.unwrap();
    assert!(home.server.stop().unwrap());
    let version = home.server.data().join("PG_VERSION");
    let text = fs::read_to_string(&version).unwrap();
    fs::write(&version, "99\n").unwrap();
    let found = PrivateServer::at(Some(&home.path), None).unwrap();
    let error = failure(found.ensure_running(), Kind::Configuration, &["Postgres 99", "installed here"]);
    assert!(error.hint_text().unwrap().contains("99"), "{error:?}");
    let words = ["made by Postgres 99", real.to_str().unwrap()];
    failure(home.with_programs(&real).ensure_running(), Kind::Configuration, &words);
    assert_eq!(found.status().unwrap().binaries, None);
    assert_eq!(found.status().unwrap().version.as_deref(), Some("99"));
    fs::write(&version, "").unwrap();
    failure(home.server.ensure_running(), Kind::Configuration, &["is not a data folder of Postgres"]);
    fs::write(&version, text).unwrap();

    let empty = home.above.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let error = failure(
        home.with_programs(&empty).ensure_running(),
        Kind::Configuration,
        &["empty` has no `postgres`"],
    );
    assert!(error.hint_text().unwrap().contains("RINGSHARD_PG_BIN"));
    assert!(home.server.ensure_running().unwrap());
}

#[test]
fn a_failing_initdb_is_reported_and_leaves_nothing() {
    let home = Home::new();
    let script = "#!/bin/sh\necho 'no such luck' >&2\nexit 1\n";
    let (programs, _) = watched_programs(&home, script);
    failure(home.with_programs(&programs).ensure_running(), Kind::Failed, &["no such luck"]);
    let left: Vec<_> =
        fs::read_dir(home.folder()).unwrap().flatten().map(|child| child.file_name()).collect();
    assert!(left.iter().all(|name| name == "lock" || name == "run"), "{left:?}");
}
