//! Passwords: read from the same places as by libpq, and shown nowhere.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::harness::{PASSWORD, PASSWORD_ROLE, Ran, Test, socket_dir, url};

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn url_with(password: &str, database: &str) -> String {
    format!("postgresql://{PASSWORD_ROLE}:{}@/{database}?host={}", percent(password), socket_dir().display())
}

/// Asserts that no stream and no file but the configuration holds the password, in any encoding.
fn assert_secret(test: &Test, ran: &Ran, password: &str) {
    for spelling in [password.to_owned(), percent(password), percent(password).to_lowercase()] {
        assert!(!ran.stdout.contains(&spelling) && !ran.stderr.contains(&spelling), "{ran:?}");
        for entry in walk(test.home.path()) {
            let name = entry.file_name().unwrap().to_string_lossy().into_owned();
            if name != "ringshard.toml" && name != ".pgpass" {
                let text = String::from_utf8_lossy(&std::fs::read(&entry).unwrap()).into_owned();
                assert!(!text.contains(&spelling), "{}", entry.display());
            }
        }
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn a_password_in_a_url_is_used_and_never_shown() {
    let test = Test::new();
    let flags: Vec<String> = (1..=3)
        .flat_map(|n| ["--shard".into(), format!("shard_{n}={}", url_with(PASSWORD, &test.database(n)))])
        .collect();
    let log = test.home.path().join("log");
    let run = |words: &[&str]| {
        let mut command = test.command();
        command.args(words).args(["-vv", "--log-file", log.to_str().unwrap()]);
        if words.first() == Some(&"init-shards") {
            command.args(&flags);
        }
        Ran::of(command.spawn().unwrap())
    };
    for words in [
        &["init-shards"][..],
        &["create-user", "--id", "1", "--name", "x"],
        &["get-user", "2"],
        &["shards"],
        &["shards", "-o", "json"],
        &["config", "show"],
        &["ring", "locate", "1"],
        &["init-shards"],
    ] {
        let ran = run(words);
        assert!(ran.code == 0 || ran.code == 4, "{ran:?}");
        assert_secret(&test, &ran, PASSWORD);
    }
    let shown = test.run(&["config", "show"]).success();
    assert!(shown.stdout.contains("shards.shard_1.password\t[redacted]\tthe URL"), "{shown:?}");
    // The catalog holds no password either.
    let urls = test.query(1, "SELECT string_agg(url, ' ') FROM ringshard.shard_endpoint", &[]);
    assert!(!urls[0].get::<_, &str>(0).contains("hunter2"));
    assert!(!urls[0].get::<_, &str>(0).contains(&percent(PASSWORD)));
}

#[test]
fn a_wrong_password_is_reported_with_the_shard_and_server_message() {
    let test = Test::initialised();
    let wrong = "wr0ng-secret";
    let shards = format!("shard_2={}", url_with(wrong, &test.database(2)));
    for words in [&["get-user", "1"][..], &["shards"], &["count"], &["get-user", "1", "-o", "json"]] {
        let ran = Ran::of(test.command().env("RINGSHARD_SHARDS", &shards).args(words).spawn().unwrap());
        if words[0] != "shards" {
            assert_eq!(ran.code, 77, "{ran:?}");
        }
        assert!(ran.stderr.contains("password authentication failed"), "{ran:?}");
        assert!(ran.stderr.contains("shard_2"));
        assert!(ran.stderr.contains("the password came from the URL"), "{ran:?}");
        assert_secret(&test, &ran, wrong);
    }
}

#[test]
fn passwords_come_from_the_environment_and_the_password_file() {
    let test = Test::initialised();
    let shards = format!("shard_2={}", url(PASSWORD_ROLE, &test.database(2)));
    let command = || {
        let mut command = test.command();
        command.env("RINGSHARD_SHARDS", &shards).args(["create-user", "--name", "x", "--id"]);
        command
    };
    Ran::of(command().arg("1").spawn().unwrap()).fails(77).says("shard_2").says("~/.pgpass");
    Ran::of(command().arg("1").env("PGPASSWORD", PASSWORD).spawn().unwrap()).success();
    let file = test.home.path().join(".pgpass");
    let line =
        format!("{}:5432:*:{PASSWORD_ROLE}:{}\n", socket_dir().display(), PASSWORD.replace(':', "\\:"));
    std::fs::write(&file, line).unwrap();
    // A file that others may read is not used.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    Ran::of(command().arg("2").spawn().unwrap()).fails(77);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    Ran::of(command().arg("2").spawn().unwrap()).success();
    let shown = test.command().env("RINGSHARD_SHARDS", &shards).args(["config", "show"]).spawn().unwrap();
    assert!(Ran::of(shown).success().stdout.contains("[redacted]\tthe password file"));
}

#[test]
fn arguments_with_passwords_are_not_echoed() {
    let test = Test::initialised();
    for words in [
        &["init-shards", "--server", "postgresql://u:hunter2@h:notaport/x"][..],
        &["init-shards", "--server", "postgresql://u:hunter2@h/x", "--shard", "a=postgresql://u:hunter2@h/x"],
        &["init-shards", "--shard", "postgresql://u:hunter2@h/x"],
        &["init-shards", "--shard", "a=password=hunter2 nonsense"],
        &["init-shards", "--server"],
        &["init-shards", "--shards", "postgresql://u:hunter2@h/x"],
        &["init-shards", "postgresql://u:hunter2@h/x"],
        &["init-shards", "a=postgresql://u:hunter2@h/x"],
        &["ring", "simulate", "--add", "a=postgresql://u:hunter2@h/x"],
        &["postgresql://u:hunter2@h/x"],
        &["-c", "init-shards postgresql://u:hunter2@h/x"],
        &["init-shards", "--shard", "a=postgresql://u:x@hunter2@127.0.0.1:1/x"],
        &["init-shards", "--server", "postgresql://u:1,hunter2/x@h/db"],
        &["get-user", "password=hunter2"],
    ] {
        let ran = test.run(words);
        assert_ne!(ran.code, 0);
        assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    }
    let ran =
        test.command().env("RINGSHARD_SHARDS", "postgresql://u:hunter2@h/x").arg("shards").spawn().unwrap();
    assert!(!Ran::of(ran).fails(78).stderr.contains("hunter2"));
}

#[test]
fn missing_parts_of_a_url_come_from_the_environment() {
    let test = Test::initialised();
    let run = |shards: &str, more: &[(&str, &str)]| {
        let mut command = test.command();
        command.env("RINGSHARD_SHARDS", shards).envs(more.iter().copied()).args(["config", "show"]);
        Ran::of(command.spawn().unwrap()).success().stdout
    };
    let socket = socket_dir().to_str().unwrap();
    let filled =
        run("a=postgresql://", &[("PGHOST", socket), ("PGUSER", "u"), ("PGDATABASE", "d"), ("PGPORT", "77")]);
    assert!(filled.contains(&format!("postgresql://u@/d?host={socket}&port=77")), "{filled}");
    let given =
        run("a=postgresql://me@host:1/db", &[("PGHOST", socket), ("PGUSER", "u"), ("PGDATABASE", "d")]);
    assert!(given.contains("postgresql://me@host:1/db"), "{given}");
}
