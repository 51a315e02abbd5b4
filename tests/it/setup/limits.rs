//! Few open files and few threads: a command works, or fails with an error that says so.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use crate::support::gate::Gate;
use crate::support::harness::{BINARY, Ran, Test, admin, connect_to, url};
use crate::support::servers::Servers;
use crate::support::user_files::{file_of, users, write};
use ringshard::bulk::FileFormat;

/// Commands that ask one shard, or all of them, in every way that there is.
const COMMANDS: [&str; 16] = [
    "get-user 5",
    "update-user 5 --region EU",
    "count",
    "list-users --limit 1",
    "export -",
    "import f.csv --on-conflict skip",
    "sql 'SELECT 1'",
    "shards",
    "ring locate 5",
    "stats",
    "verify --deep",
    "rebalance --dry-run",
    "report -",
    "init-shards",
    "load run --clients 2 --duration 200ms --users 1..50",
    "-c count -c 'get-user 5' -c 'get-user 6' -c shards",
];

/// A cluster with some users, which are also in `f.csv`.
fn prepared() -> Test {
    let test = Test::initialised();
    write(&test, "f.csv", file_of(&users(1..100), FileFormat::Csv));
    test.run(&["import", "f.csv"]).success();
    test
}

/// The program below a limit, such as `-n 64`; `$R` is the program.
fn limited(test: &Test, limit: &str, words: &str) -> Command {
    let mut command = Command::new("/bin/bash");
    let program = test.command();
    command.args(["-c", &format!("ulimit {limit} && exec $R {words}")]).env_clear().env("R", BINARY);
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    // A connection waits for half of it.
    command.env("RINGSHARD_CONNECT_TIMEOUT_MS", "1000").current_dir(test.home.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Asserts that a run has worked, or has failed with this message and hint.
#[track_caller]
fn works_or_says(ran: &Ran, messages: &[&str], what: &str) -> bool {
    assert!(!ran.stderr.contains("panicked"), "{what}: {ran:?}");
    if ran.code != 0 {
        // Some commands tell what they can without a shard.
        assert!([1, 6].contains(&ran.code), "{what}: {ran:?}");
        assert!(messages.iter().any(|message| ran.stderr.contains(message)), "{what}: {ran:?}");
    }
    ran.code == 0
}

#[test]
fn few_open_files_are_an_error_and_no_panic() {
    let test = prepared();
    let mut worked = 0;
    let limits = [5, 19, 25, 64];
    for limit in limits {
        for words in COMMANDS {
            let what = format!("{words} with {limit} files");
            let ran = Ran::of(limited(&test, &format!("-n {limit}"), words).spawn().unwrap());
            let says = ["Too many open files", "were answered wrong or not at all", "failed"];
            let works = works_or_says(&ran, &says, &what);
            worked += usize::from(works);
            assert!(works || limit < 64, "{what}: {ran:?}");
        }
    }
    assert!((COMMANDS.len()..limits.len() * COMMANDS.len()).contains(&worked), "{worked}");
    let ran = Ran::of(limited(&test, "-n 10", "count").spawn().unwrap()).fails(1);
    assert!(ran.says("this process may have 10").stderr.contains("in another shell: ulimit -n 8192;"));
    Ran::of(limited(&test, "-n 8192", "count").spawn().unwrap()).success();
}

#[test]
fn a_soft_limit_is_raised_when_that_is_needed() {
    let test = prepared();
    for words in COMMANDS {
        Ran::of(limited(&test, "-S -n 10", words).spawn().unwrap()).success();
    }
}

#[test]
fn a_load_has_as_many_clients_as_open_files_allow() {
    let test = prepared();
    let run = |clients: &str| {
        let words = format!("load run --duration 300ms --users 1..50 --clients {clients}");
        Ran::of(limited(&test, "-n 128", &words).spawn().unwrap())
    };
    let ran =
        run("40").fails(1).says("this process has no room for the connections of").says("of 40 clients");
    assert_eq!(ran.stdout, "");
    let fewer = ran.says("ulimit -n 8192").stderr;
    run(fewer.split("--clients ").nth(1).unwrap().split(',').next().unwrap()).success();
}

#[test]
fn many_shards_and_few_open_files() {
    let test = Test::new();
    let mut admin = test.client(1);
    let names: Vec<String> = (0..40).map(|number| format!("{}_many_{number}", test.database(1))).collect();
    for name in &names {
        admin.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    }
    let url = |name: &str| test.url(1).replace(&format!("/{}?", test.database(1)), &format!("/{name}?"));
    let flags: Vec<String> = names.iter().map(|name| format!("--shard '{name}={}'", url(name))).collect();
    let init = format!("init-shards {}", flags.join(" "));
    Ran::of(limited(&test, "-n 100", &init).spawn().unwrap()).fails(1).says("this process may have 100");
    Ran::of(limited(&test, "-n 1000", &init).spawn().unwrap()).success();
    Ran::of(limited(&test, "-n 100", "get-user 5").spawn().unwrap()).fails(4);
    // Connections that end make room for others.
    let ran = Ran::of(limited(&test, "-n 100", "doctor").spawn().unwrap());
    assert!(!ran.stdout.contains("open files"), "{ran:?}");
    assert!(names.iter().all(|name| ran.stdout.contains(name)), "{ran:?}");
    // All users as of one moment need all connections at once.
    Ran::of(limited(&test, "-n 100", "count").spawn().unwrap()).fails(1).says("this process may have 100");
    Ran::of(limited(&test, "-n 1000", "count").spawn().unwrap()).success();
    for name in &names {
        admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).unwrap();
    }
}

#[test]
fn a_server_whose_connections_are_all_in_use_works_again_at_once() {
    let servers = Servers::initialised(2);
    let sql = "ALTER SYSTEM SET max_connections = 12; ALTER SYSTEM SET max_wal_senders = 2";
    for statement in sql.split("; ") {
        servers.client(1).batch_execute(statement).unwrap();
    }
    servers.server(1).stop().unwrap();
    servers.start(1);
    for id in ["1", "2", "3", "4", "5", "6"] {
        servers.run(&["create-user", "--id", id, "--name", "x"]).success();
    }
    let mut config: postgres::Config = servers.url(1).parse().unwrap();
    config.connect_timeout(std::time::Duration::from_secs(20));
    let mut others: Vec<_> = std::iter::from_fn(|| connect_to(config.clone()).ok()).collect();
    let on_it = others[0].query_one("SELECT min(user_id)::text FROM users", &[]).unwrap().get::<_, String>(0);
    let elsewhere = servers.client(2).query_one("SELECT min(user_id)::text FROM users", &[]).unwrap();
    servers.run(&["get-user", elsewhere.get(0)]).success();
    for words in [&["get-user", &on_it][..], &["update-user", &on_it, "--name", "y"], &["count"], &["export"]]
    {
        servers.run(words).fails(69).says("too many clients").says("raise max_connections on that server");
    }
    servers.run(&["count", "--allow-partial"]).fails(6).says("too many clients");
    // One more is enough for one shard.
    others.pop();
    while servers.run(&["get-user", &on_it]).code != 0 {
        // The server ends a session a moment after the client.
        assert!(others.len() > 1);
        others.pop();
    }
    assert_eq!(servers.run(&["count"]).success().stdout, "6\n");
    drop(others);
    servers.assert_healthy(6);
}

#[test]
fn a_database_with_one_connection_is_named_with_the_statement_that_helps() {
    let test = Test::new();
    let role = format!("{}_owner", test.database(1));
    admin().batch_execute(&format!("CREATE ROLE {role} LOGIN")).unwrap();
    let mut command = test.command();
    command.arg("init-shards");
    for number in 1..=3 {
        let database = test.database(number);
        admin().batch_execute(&format!("ALTER DATABASE {database} OWNER TO {role}")).unwrap();
        command.args(["--shard", &format!("shard_{number}={}", url(&role, &database))]);
    }
    Ran::of(command.spawn().unwrap()).success();
    write(&test, "f.csv", file_of(&users(1..100), FileFormat::Csv));
    test.run(&["import", "f.csv"]).success();
    let limited = test.database(2);
    admin().batch_execute(&format!("ALTER DATABASE {limited} CONNECTION LIMIT 1")).unwrap();
    let hint = format!("ALTER DATABASE \"{limited}\" CONNECTION LIMIT -1");
    let mut refused = 0;
    for words in [
        &["count"][..],
        &["export"],
        &["import", "f.csv", "--on-conflict", "update"],
        &["add-shard", "shard_2", "--weight", "2"],
        &["rebalance", "-y"],
        &["verify"],
    ] {
        let ran = test.run(words);
        if ran.code != 0 {
            refused += 1;
            let ran = ran.fails(69).says("too many connections for database").says(&hint);
            assert!(ran.stderr.contains("shard_2"), "{words:?}: {ran:?}");
        }
    }
    assert!(refused > 0);
    admin().batch_execute(&hint).unwrap();
    test.run(&["add-shard", "shard_2", "--weight", "3"]).success();
    test.run(&["rebalance", "-y"]).success();
    assert_eq!(test.run(&["count"]).success().stdout, "99\n");
    test.run(&["verify", "--deep"]).success();
}

#[test]
fn few_threads_are_an_error_and_no_panic() {
    let test = prepared();
    if !rustix::process::geteuid().is_root() {
        // The limit counts all threads of a user, and does not hold for root: another user is needed.
        return;
    }
    let gates: Vec<Gate> = (1..=3).map(|number| Gate::new(&test.database(number), "never sent")).collect();
    let shards: Vec<String> =
        gates.iter().enumerate().map(|(at, gate)| format!("shard_{}={}", at + 1, gate.url())).collect();
    for limit in [1, 2, 3, 4, 5, 7, 10, 14] {
        for words in ["get-user 5", "count", "shards", "export -", "-c count -c count"] {
            let mut command = limited(&test, &format!("-u {limit}"), words);
            command.uid(65534).gid(65534).current_dir("/").env_remove("RINGSHARD_HOME");
            command.env("RINGSHARD_SHARDS", shards.join(" "));
            // The program may lie where only root can run it.
            let Ok(child) = command.spawn() else { return };
            let what = format!("{words} with {limit} threads");
            let ran = Ran::of(child);
            works_or_says(&ran, &["cannot start a thread", "Permission denied"], &what);
        }
    }
}
