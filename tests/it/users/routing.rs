//! Routing to the owner: fences, a changed ring, a held barrier, a lost reply.

use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use ringshard::model::ring::topology::Topology;

use crate::support::blocking::wait_until_blocked;
use crate::support::catalogs::{change_topology, fence_user};
use crate::support::harness::{Ran, Test};
use crate::support::proxy::{Cut, Proxy};
use crate::support::rings::{heavier_first_shard, id_that_moves, owner, shard_names};

#[test]
fn a_stale_client_finds_the_new_owner_within_the_same_command() {
    let test = Test::initialised();
    // Fills the cache with epoch 1.
    test.run(&["create-user", "--id", "1", "--name", "x"]).success();
    let topology = heavier_first_shard();
    let (id, before, after) = id_that_moves(&topology.ring());
    change_topology(&test, 2, &topology);

    let text = id.to_string();
    test.run(&["create-user", "--id", &text, "--name", "moved"]).success();
    assert!(test.ids(after).contains(&id));
    assert!(!test.ids(before).contains(&id));
    test.run(&["get-user", &text]).success();

    // The same from the cache of the old epoch.
    change_topology(&test, 3, &Topology::of_equals(100, shard_names(3)).unwrap());
    test.run(&["get-user", &text]).fails(4).says(&format!("shard_{before}"));
    let shown = test.run(&["ring", "show"]).success();
    assert_eq!(shown.fields()[0][3], "100");
}

#[test]
fn without_a_cache_the_weights_come_from_the_shards() {
    let test = Test::initialised();
    let topology = heavier_first_shard();
    let (id, _, after) = id_that_moves(&topology.ring());
    change_topology(&test, 2, &topology);
    std::fs::remove_dir_all(test.home.path().join("state")).ok();
    test.run(&["create-user", "--id", &id.to_string(), "--name", "x"]).success();
    assert!(test.ids(after).contains(&id));
}

#[test]
fn a_write_waits_for_a_fence_and_succeeds() {
    let test = Test::initialised();
    let shard = owner(1);
    test.execute(shard, &fence_user(1, "shard_9"));
    let words = ["create-user", "--id", "1", "--name", "late", "-vv", "--log-file", "log"];
    let writer = test.command().args(words).spawn().unwrap();
    thread::sleep(Duration::from_millis(300));
    assert!(test.ids(shard).is_empty(), "a fenced arc accepted a row");
    test.execute(shard, "UPDATE ringshard.arc SET state = 'owned', transfer_to = NULL");
    Ran::of(writer).success();
    let log = std::fs::read_to_string(test.home.path().join("log")).unwrap();
    assert!(log.matches("Added user 1 to session").count() > 1, "the write was not repeated: {log}");
    assert_eq!(test.ids(shard), [1]);
}

#[test]
fn a_read_at_a_fence_follows_the_target() {
    let test = Test::initialised();
    let (source, id) = (owner(1), 1);
    test.run(&["create-user", "--id", "1", "--name", "old"]).success();
    let target = source % 3 + 1;
    test.execute(source, &fence_user(id, &format!("shard_{target}")));
    // The target does not own the key yet: the fenced row is valid.
    assert_eq!(test.run(&["get-user", "1"]).success().fields()[0][1], "old");
    // Nor does it when it holds the key fenced itself, with an older row.
    test.execute(
        target,
        &format!(
            "INSERT INTO users VALUES (1, 'misplaced', NULL, NULL); \
             INSERT INTO ringshard.arc SELECT md5('1')::uuid, md5('1')::uuid, 'fenced', 1, 'shard_{source}'"
        ),
    );
    assert_eq!(test.run(&["get-user", "1"]).success().fields()[0][1], "old");
    // But a target that fenced it in a later epoch has owned it since.
    test.execute(target, "UPDATE ringshard.arc SET epoch = 2 WHERE state = 'fenced'");
    assert_eq!(test.run(&["get-user", "1"]).success().fields()[0][1], "misplaced");
    test.execute(target, "DELETE FROM users; DELETE FROM ringshard.arc WHERE state = 'fenced'");
    // The target owns it, and has changed it since.
    test.execute(
        target,
        "INSERT INTO users VALUES (1, 'new', NULL, NULL); \
         INSERT INTO ringshard.arc SELECT md5('1')::uuid, md5('1')::uuid, 'owned', 1, NULL",
    );
    assert_eq!(test.run(&["get-user", "1"]).success().fields()[0][1], "new");
    // And has deleted it: the source's row must not reappear.
    test.execute(target, "DELETE FROM users");
    test.run(&["get-user", "1"]).fails(4);
}

#[test]
fn a_write_that_waited_for_the_barrier_sees_the_fence() {
    // If the lock and the check of the arc used one snapshot, the row would be inserted.
    for level in ["read committed", "repeatable read", "serializable"] {
        let test = Test::initialised();
        let shard = owner(1);
        let database = test.database(shard);
        test.execute(
            shard,
            &format!("ALTER DATABASE {database} SET default_transaction_isolation = '{level}'"),
        );
        // As a change that was announced, which the fast path would wait for.
        test.execute(shard, "UPDATE ringshard.meta SET topology_md5 = NULL");
        let mut mover = test.client(shard);
        mover.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(7283001)").unwrap();
        let writer = test.command().args(["create-user", "--id", "1", "--name", "x"]).spawn().unwrap();
        wait_until_blocked(&test, shard);
        mover.batch_execute(&fence_user(1, "shard_9")).unwrap();
        mover.batch_execute("COMMIT").unwrap();
        thread::sleep(Duration::from_millis(200));
        assert!(test.ids(shard).is_empty(), "{level}: a row went into a fenced arc");
        test.execute(shard, "UPDATE ringshard.arc SET state = 'owned', transfer_to = NULL");
        Ran::of(writer).success();
        assert_eq!(test.ids(shard), [1]);
    }
}

#[test]
fn a_key_without_an_owner_is_an_error() {
    let test = Test::initialised();
    test.execute(owner(1), "DELETE FROM ringshard.arc; UPDATE ringshard.meta SET topology_md5 = NULL");
    test.run(&["create-user", "--id", "1", "--name", "x"]).fails(1).says("does not own it");
    test.run(&["get-user", "1"]).fails(1);
}

#[test]
fn swapped_copied_and_foreign_databases_are_refused_by_name() {
    let (test, other) = (Test::initialised(), Test::initialised());
    let shards = |urls: [&str; 3]| format!("shard_1={} shard_2={} shard_3={}", urls[0], urls[1], urls[2]);
    let (one, two, three, foreign) = (test.url(1), test.url(2), test.url(3), other.url(2));
    let swapped = shards([&two, &one, &three]);
    let mixed = shards([&one, &foreign, &three]);
    // User 1 is shard_2's.
    for words in [["create-user", "--id=1", "--name=x"], ["get-user", "--id=1", "-q"], ["count", "-q", "-v"]]
    {
        let run =
            |value: &str| Ran::of(test.command().env("RINGSHARD_SHARDS", value).args(words).spawn().unwrap());
        run(&swapped).fails(78).says("shard_1").says("shard_2");
        run(&mixed).fails(78).says(&other.cluster_id(2)).says(&test.cluster_id(1));
    }
    for number in 1..=3 {
        assert!(test.ids(number).is_empty() && other.ids(number).is_empty());
    }
    // Two names for one database.
    let doubled = shards([&one, &one, &three]);
    let ran = Ran::of(test.command().env("RINGSHARD_SHARDS", doubled).arg("shards").spawn().unwrap());
    ran.fails(78).says("shard_1").says("shard_2");
}

#[test]
fn a_single_command_needs_only_the_owner() {
    let test = Test::initialised();
    test.run(&["create-user", "--id", "1", "--name", "x"]).success();
    let dead = |n: usize| format!("shard_{n}=postgresql://postgres@127.0.0.1:1/{n}");
    let shards: Vec<String> =
        (1..=3).map(|n| if n == owner(1) { format!("shard_{n}={}", test.url(n)) } else { dead(n) }).collect();
    let run = |words: &[&str]| {
        Ran::of(test.command().env("RINGSHARD_SHARDS", shards.join(" ")).args(words).spawn().unwrap())
    };
    run(&["get-user", "1"]).success();
    // Another shard's user: that shard is named, with the cause and what to do.
    let id = (1..1_000).find(|id| owner(*id) != owner(1)).unwrap();
    let ran = run(&["get-user", &id.to_string()]).fails(69).says("hint: ").says("refused");
    assert!(ran.stderr.contains(&format!("shard_{}", owner(id))), "{ran:?}");
    run(&["count"]).fails(69);
    let shown = run(&["shards"]).success();
    let states: Vec<&str> = shown.fields().iter().map(|fields| fields[5]).collect();
    assert_eq!(states.iter().filter(|state| **state == "down").count(), 2, "{shown:?}");
    assert_eq!(shown.fields()[0][3], "100", "the share of a down shard is missing");
    run(&["ring", "locate", "1"]).fails(6);
    // Without any shard or cache, nothing is shown.
    let nothing = Test::new();
    let shards = format!("{} {}", dead(1), dead(2));
    let run = |words: &[&str]| {
        Ran::of(nothing.command().env("RINGSHARD_SHARDS", &shards).args(words).spawn().unwrap())
    };
    let shown = run(&["shards"]).fails(69);
    assert!(shown.fields().iter().all(|fields| fields[2] == "\\N" && fields[5] == "down"), "{shown:?}");
    for words in
        [&["ring", "show"][..], &["ring", "simulate", "--add", "x"], &["ring", "locate", "1"], &["count"]]
    {
        assert_eq!(run(words).fails(69).stdout, "", "{words:?}");
    }
}

#[test]
fn a_write_with_a_lost_reply_is_looked_up_and_not_repeated() {
    let test = Test::initialised();
    let shard = owner(1);
    // Fills the cache, so that the command is the first statement of its connection.
    test.run(&["count"]).success();
    for (cut, committed) in [(Cut::Answer, true), (Cut::Request, false)] {
        let proxy = Proxy::new(&test.database(shard), "fast_path_lock", cut);
        let shards = test.shards_with(shard, &proxy.url());
        let run = |words: &[&str]| {
            Ran::of(test.command().env("RINGSHARD_SHARDS", &shards).args(words).spawn().unwrap())
        };
        let ran = run(&["create-user", "--id", "1", "--name", "x"]);
        if committed {
            ran.success();
            assert_eq!(test.ids(shard), [1]);
            proxy.arm();
            run(&["update-user", "--id", "1", "--name", "y"]).success();
            proxy.arm();
            run(&["delete-user", "--id", "1"]).success();
        } else {
            ran.fails(69).says("the write was not done");
            assert!(test.ids(shard).is_empty());
        }
        assert!(proxy.has_cut(), "the connection was not cut");
        test.execute(shard, "DELETE FROM users");
    }
}

#[test]
fn a_lost_session_is_terminated_before_the_outcome_is_reported() {
    let test = Test::initialised();
    let shard = owner(1);
    for words in [
        &["create-user", "--id", "1", "--name", "x"][..],
        &["delete-user", "1"],
        &["update-user", "1", "--name", "y"],
    ] {
        let is_creation = words[0] == "create-user";
        if !is_creation {
            test.execute(shard, "INSERT INTO users VALUES (1, 'was', NULL, NULL) ON CONFLICT DO NOTHING");
        }
        // The statement reaches the server, waits there for the mover's lock, and its connection is cut.
        let mut mover = test.client(shard);
        mover.batch_execute("BEGIN; LOCK TABLE ringshard.fast_path_lock IN EXCLUSIVE MODE").unwrap();
        let proxy = Proxy::new(&test.database(shard), "fast_path_lock", Cut::Both);
        let shards = test.shards_with(shard, &proxy.url());
        let child = test.command().env("RINGSHARD_SHARDS", shards).args(words).spawn().unwrap();
        Ran::of(child).fails(69).says("the write was not done");
        assert!(proxy.has_cut());
        // Releases the lock: a session that was left behind would commit now.
        mover.batch_execute("COMMIT").unwrap();
        thread::sleep(Duration::from_millis(300));
        let names = test.query(shard, "SELECT name FROM users", &[]);
        let names: Vec<&str> = names.iter().map(|row| row.get(0)).collect();
        assert_eq!(names, if is_creation { vec![] } else { vec!["was"] }, "{words:?}");
    }
}

#[test]
fn a_broken_cache_is_ignored() {
    let test = Test::initialised();
    let file = format!("state/topology-{}.json", test.cluster_id(1));
    let file = test.home.path().join(file);
    let good = std::fs::read_to_string(&file).unwrap();
    for bad in [
        "nonsense".to_owned(),
        good.replace("\"virtual_nodes\":100", "\"virtual_nodes\":7"),
        good.replace("\"epoch\":1", "\"epoch\":99").replace("\"virtual_nodes\":100", "\"virtual_nodes\":7"),
    ] {
        assert_ne!(bad, good);
        for id in 1..=10 {
            std::fs::write(&file, &bad).unwrap();
            let id = id.to_string();
            test.run(&["create-user", "--id", &id, "--name", "x"]).success();
            test.run(&["delete-user", &id]).success();
        }
        std::fs::write(&file, &bad).unwrap();
        let shown = test.run(&["ring", "show"]).success();
        assert!(shown.fields().iter().all(|fields| fields[3] == "100"), "{shown:?}");
    }
}

#[test]
fn a_transaction_that_always_conflicts_fails() {
    let test = Test::initialised();
    test.execute(
        owner(1),
        "CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$; \
         CREATE TRIGGER conflict BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION conflict()",
    );
    test.run(&["create-user", "--id", "1", "--name", "x"]).fails(1).says("SQLSTATE 40001");
}

#[test]
fn another_constraint_is_not_reported_as_an_existing_user() {
    let test = Test::initialised();
    for number in 1..=3 {
        test.execute(number, "CREATE UNIQUE INDEX ON users (email)");
    }
    let same = (2..1_000).find(|id| owner(*id) == owner(1)).unwrap().to_string();
    test.run(&["create-user", "--id", "1", "--name", "x", "--email", "e"]).success();
    test.run(&["create-user", "--id", &same, "--name", "x", "--email", "e"]).fails(5).says("users_email_idx");
}

#[test]
fn an_unexpected_column_type_is_an_error() {
    let test = Test::initialised();
    test.run(&["create-user", "--id", "1", "--name", "x"]).success();
    test.execute(
        owner(1),
        "ALTER TABLE users ALTER name TYPE bytea USING 'x'; UPDATE ringshard.meta SET topology_md5 = NULL",
    );
    test.run(&["get-user", "1"]).fails(1).says("shard_2");
}

#[test]
fn count_includes_unconfigured_shards_and_refuses_mixed_clusters() {
    let test = Test::initialised();
    for id in 1..=9 {
        test.run(&["create-user", "--id", &id.to_string(), "--name", "x"]).success();
    }
    // The configuration lacks a shard that the catalog knows.
    let config = std::fs::read_to_string(test.config()).unwrap();
    let (before, _) = config.split_once("[shards.shard_3]").unwrap();
    std::fs::write(test.config(), before).unwrap();
    assert_eq!(test.run(&["count"]).success().stdout, "9\n");
    assert_eq!(test.run(&["count", "--by", "shard"]).success().fields().len(), 3);
    // Databases of two clusters, without a configuration that says which is meant.
    let other = Test::initialised();
    let shards = format!("shard_1={} shard_2={} shard_3={}", test.url(1), other.url(2), test.url(3));
    for words in [&["count"][..], &["create-user", "--id", "11", "--name", "x"], &["get-user", "1"]] {
        let fresh = Test::new();
        let child = fresh.command().env("RINGSHARD_SHARDS", &shards).args(words).spawn().unwrap();
        Ran::of(child).fails(78).says("different clusters");
    }
}

#[test]
fn a_silent_server_times_out() {
    let test = Test::initialised();
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    let mute = format!("shard_1=postgresql://postgres@127.0.0.1:{port}/x");
    let ran = test
        .command()
        .env("RINGSHARD_SHARDS", mute)
        .env("RINGSHARD_CONNECT_TIMEOUT_MS", "200")
        .args(["get-user", "1"])
        .spawn()
        .unwrap();
    Ran::of(ran).fails(69).says("no answer in");
}

#[test]
fn pools_replace_terminated_sessions() {
    let test = Test::initialised();
    // One process, more than one command on a shard, its session killed by the server in between.
    let mut child = test.command().args(["-f", "-"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "create-user --id 1 --name x\ncreate-user --id 2 --name y").unwrap();
    let begun = Instant::now();
    while test.ids(owner(2)).len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(5));
    }
    let database = test.database(owner(1));
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()";
    test.query(owner(1), sql, &[&database]);
    // Longer than an idle session is used without a check.
    thread::sleep(Duration::from_millis(700));
    writeln!(stdin, "get-user 1\nupdate-user 1 --name z").unwrap();
    drop(stdin);
    let ran = Ran::of(child).success();
    assert_eq!(ran.fields().last().unwrap()[1], "z");
}
