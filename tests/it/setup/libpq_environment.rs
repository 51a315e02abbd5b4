//! What libpq reads besides the connection string: the service file, the password file, and variables.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::harness::{PASSWORD, PASSWORD_ROLE, Ran, Test, socket_dir, url};

/// `config show` with one shard.
fn show(test: &Test, shard: &str, environment: &[(&str, &str)]) -> Ran {
    let mut command = test.command();
    let shards = format!("a={shard}");
    command.env("RINGSHARD_SHARDS", shards).envs(environment.iter().copied()).args(["config", "show"]);
    Ran::of(command.spawn().unwrap())
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_service_comes_after_the_text_and_before_the_variables() {
    let test = Test::new();
    let file = test.home.path().join(".pg_service.conf");
    write(
        &file,
        "[other]\nhost=wrong\n[mine]\nhost=serving\nport=7\nuser=keeper\nport=8\n\n[next]\nuser=wrong\n",
    );
    let variables = [("PGPORT", "9"), ("PGDATABASE", "d"), ("PGSERVICE", "mine")];
    for (shard, expected) in [
        ("postgresql://", "postgresql://keeper@serving:7/d"),
        ("postgresql://u@/e", "postgresql://u@serving:7/e"),
        ("postgresql://h:1?user=u", "postgresql://u@h:1/d"),
        ("service=next", "postgresql://wrong@"),
        ("postgresql://h?service=other", "@h:9/d"),
    ] {
        let shown = show(&test, shard, &variables).success();
        assert!(shown.stdout.contains(expected), "{shard}: {expected} in {shown:?}");
    }
    // The file of PGSERVICEFILE replaces that of the home folder; the system's file is the second.
    let (named, system) = (test.home.path().join("named"), test.home.path().join("pg_service.conf"));
    write(&named, "[named]\r\nhost=n\r\n");
    write(&system, "[mine]\nhost=system\n[all]\nhost=s\nuser=u\ndbname=d");
    let home = test.home.path().to_str().unwrap();
    let with = |service: &str| {
        let variables =
            [("PGSERVICE", service), ("PGSERVICEFILE", named.to_str().unwrap()), ("PGSYSCONFDIR", home)];
        show(&test, "postgresql://x@/y", &variables).success().stdout
    };
    assert!(with("named").contains("postgresql://x@n:5432/y"));
    assert!(with("all").contains("postgresql://x@s:5432/y"));
    assert!(with("mine").contains("postgresql://x@system:5432/y"));
    let of_home = show(&test, "service=mine", &[("PGSYSCONFDIR", home)]).success();
    assert!(of_home.stdout.contains("postgresql://keeper@serving:7/keeper"), "{of_home:?}");
}

#[test]
fn an_invalid_service_is_an_error() {
    let test = Test::new();
    let file = test.home.path().join("services");
    write(
        &file,
        b"\xff\n[mine]\nhost h\n[nested]\nservice=mine\n[unknown]\nhosts=h\n[blank]\nhost =h\n\
          [auth]\nrequire_auth=md5\n[port]\nport=many\n[bytes]\nuser=\xff\n",
    );
    let path = file.to_str().unwrap();
    let run = |service: &str, file: &str| {
        let mut command = test.command();
        command.env("PGSERVICEFILE", file).args(["init-shards", "--server"]);
        Ran::of(command.arg(format!("postgresql://h/?service={service}")).spawn().unwrap()).fails(78)
    };
    for (service, words) in [
        ("mine", "line 3: it has no `=`"),
        ("nested", "line 5: a service cannot name another service"),
        ("unknown", "line 7: unknown option `hosts`"),
        ("blank", "line 9: unknown option `host `"),
        ("auth", "line 11: `require_auth` is not supported"),
        ("port", "`port` of the service `port` is not a number from 1 to 65535"),
        ("bytes", "line 15: it is not UTF-8"),
        ("missing", "the definition of the service `missing` was not found: it is not in"),
        ("min", "the definition of the service `min` was not found"),
    ] {
        run(service, path).says(words).says("hint: ");
    }
    run("mine", "/nonexistent").says("cannot read the service file `/nonexistent`");
    Ran::of(
        test.command()
            .env("PGSERVICE", "mine")
            .args(["init-shards", "--server", "postgresql://h"])
            .spawn()
            .unwrap(),
    )
    .fails(78)
    .says("there is no service file");
}

#[test]
fn shards_are_made_and_read_through_a_service_and_its_password_stays_hidden() {
    let test = Test::new();
    let lines =
        format!("[mine]\nhost={}\nuser={PASSWORD_ROLE}\npassword={PASSWORD}\n", socket_dir().display());
    write(&test.home.path().join(".pg_service.conf"), lines);
    let mut words = vec!["init-shards".to_owned(), "-vv".to_owned()];
    for n in 1..=3 {
        words.extend(["--shard".into(), format!("shard_{n}=service=mine dbname={}", test.database(n))]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut rans = vec![test.run(&words).success()];
    for words in [
        &["create-user", "--id", "1", "--name", "x", "-vv"][..],
        &["get-user", "1"],
        &["config", "show"],
        &["shards"],
    ] {
        rans.push(test.run(words).success());
    }
    assert!(rans[3].stdout.contains("[redacted]\tthe service file"), "{rans:?}");
    assert!(rans.iter().all(|ran| !format!("{ran:?}").contains("hunter2")), "{rans:?}");
    let config = fs::read_to_string(test.config()).unwrap();
    assert!(config.contains("service=mine") && !config.contains("hunter2"), "{config}");
}

#[test]
fn the_password_file_is_read_as_bytes() {
    let test = Test::initialised();
    let file = test.home.path().join(".pgpass");
    let escaped = PASSWORD.replace(':', "\\:");
    let right = format!("{}:5432:*:{PASSWORD_ROLE}:{escaped}", socket_dir().display()).into_bytes();
    let read = |query: &str, environment: &[(&str, &str)]| {
        let mut command = test.command();
        let shard = url(PASSWORD_ROLE, &test.database(2)) + query;
        command.env("RINGSHARD_SHARDS", format!("shard_2={shard}"));
        Ran::of(command.envs(environment.iter().copied()).args(["count"]).spawn().unwrap())
    };
    for before in [&b""[..], b"# Schl\xfcssel\n", b"other:1:*:u:p\xe4ss\n", b"*\n", b"\\*:*:*:*:wr0ng\n"] {
        write(&file, [before, &right[..], b"\r\nother:1:*:u:p\xe4ss"].concat());
        read("", &[]).success();
    }
    // The last backslash of a password stands for itself.
    write(&file, [&right[..], b"\\"].concat());
    read("", &[]).fails(77).says("the password came from the password file");
    // PGPASSWORD is bytes too: these are sent, not ignored.
    let mut command = test.command();
    command.env("RINGSHARD_SHARDS", format!("shard_2={}", url(PASSWORD_ROLE, &test.database(2))));
    command.env("PGPASSWORD", OsStr::from_bytes(b"wr0ng\xff")).arg("count");
    Ran::of(command.spawn().unwrap()).fails(77).says("the password came from PGPASSWORD");
    let named = test.home.path().join("named");
    write(&named, &right);
    let name = named.to_str().unwrap();
    read("", &[("PGPASSFILE", name)]).success();
    read(&format!("&passfile={name}"), &[("PGPASSFILE", "/nonexistent")]).success();
    read("&passfile=/nonexistent", &[("PGPASSFILE", name)]).fails(77);
    fs::set_permissions(&named, Permissions::from_mode(0o640)).unwrap();
    read(&format!("&passfile={name}"), &[])
        .fails(77)
        .says(&format!("`{name}` was ignored: others may read it"));
    // Nothing ever writes into this pipe.
    let pipe = test.home.path().join("pipe");
    let made = rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600));
    made.unwrap();
    read(&format!("&passfile={}", pipe.display()), &[]).fails(77).says("it is not a plain file");
}

#[test]
fn a_demand_that_ringshard_cannot_meet_is_never_ignored() {
    let test = Test::initialised();
    let run = |name: &str, value: &[u8]| {
        let mut command = test.command();
        Ran::of(command.env(name, OsStr::from_bytes(value)).args(["count"]).spawn().unwrap())
    };
    for (name, value) in [
        ("PGREQUIREAUTH", "scram-sha-256"),
        ("PGREQUIREAUTH", "!password"),
        ("PGREQUIREPEER", "nobody"),
        ("PGSSLCRL", "/nonexistent"),
        ("PGSSLCRLDIR", "/nonexistent"),
        ("PGSSLCERTMODE", "require"),
        ("PGSSLMINPROTOCOLVERSION", "TLSv1.4"),
        ("PGSSLMAXPROTOCOLVERSION", "TLSv1.1"),
        ("PGGSSENCMODE", "require"),
        ("PGGSSDELEGATION", "1"),
        ("PGGSSLIB", "gssapi"),
        ("PGKRBSRVNAME", "pg"),
        ("PGCLIENTENCODING", "LATIN1"),
        ("PGMINPROTOCOLVERSION", "3.2"),
        ("PGCHANNELBINDING", "always"),
    ] {
        let ran = run(name, value.as_bytes()).fails(78).says("hint: ");
        assert!(ran.stderr.contains(name), "{ran:?}");
    }
    for name in ["PGREQUIREAUTH", "PGSSLMODE", "PGAPPNAME", "PGSERVICE"] {
        run(name, b"\xff").fails(78).says(&format!("`{name}` is not UTF-8"));
    }
    for (name, value) in [
        ("PGREQUIREAUTH", ""),
        ("PGCLIENTENCODING", "utf8"),
        ("PGKRBSRVNAME", "postgres"),
        ("PGGSSENCMODE", "prefer"),
        ("PGMAXPROTOCOLVERSION", "latest"),
        ("PGSSLMINPROTOCOLVERSION", "TLSv1"),
    ] {
        run(name, value.as_bytes()).success();
    }
    // What the text says wins, here too.
    show(&test, "postgresql://h/d?require_auth=", &[("PGREQUIREAUTH", "md5")]).success();
    let text = format!("shard_1={}&require_auth=scram-sha-256", test.url(1));
    let refused = test.command().env("RINGSHARD_SHARDS", text).arg("count").spawn().unwrap();
    Ran::of(refused).fails(78).says("hint: remove `require_auth` from the connection string");
}

#[test]
fn the_url_of_another_program_gets_a_hint() {
    let test = Test::new();
    for (url, words) in [
        ("mysql+pymysql://u:hunter2@h/d", "does not begin with `mysql+pymysql://`"),
        ("jdbc:postgresql://h/d?user=u&password=hunter2", "does not begin with `jdbc:postgresql://`"),
        ("mysql://u:hunter2@h/d", "does not begin with `mysql://`"),
    ] {
        let ran = test.run(&["init-shards", "--shard", &format!("a={url}")]).fails(78).says(words);
        let ran = ran.says("hint: begin it with `postgresql://`, and leave the rest as it is");
        assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    }
    let ran = test.run(&["init-shards", "--shard", "a=h/d"]).fails(78);
    ran.says("hint: write it as `postgresql://USER@HOST/DATABASE`");
}
