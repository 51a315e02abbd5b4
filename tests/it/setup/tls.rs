//! TLS and addresses as libpq users know them, against a real server with a real chain of certificates.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::harness::Ran;
use crate::support::rings::owner;
use crate::support::tls_server::{PASSWORD, Server};

/// The host that the certificate names, and one that it does not name.
const RIGHT: &str = "host=localhost&hostaddr=127.0.0.1";
const WRONG: &str = "host=elsewhere.example&hostaddr=127.0.0.1";

#[test]
fn each_sslmode_demands_what_libpq_documents() {
    let (server, _guard) = Server::get();
    let root = |name: &str| format!("sslrootcert={}", server.file(name));
    let (right, wrong, missing) = (&root("root.crt"), &root("other.crt"), &root("missing.crt"));
    let (none, impostor) = (&String::new(), &root("impostor.crt"));
    for (mode, root, host, code, tls, words) in [
        ("disable", right, RIGHT, 0, Some(false), ""),
        ("disable", wrong, WRONG, 0, Some(false), ""),
        ("allow", none, RIGHT, 0, Some(false), ""),
        ("allow", wrong, WRONG, 0, Some(false), ""),
        ("prefer", none, RIGHT, 0, Some(true), ""),
        ("prefer", wrong, WRONG, 0, Some(true), ""),
        ("prefer", missing, RIGHT, 0, Some(true), ""),
        ("require", none, WRONG, 0, Some(true), ""),
        ("require", missing, WRONG, 0, Some(true), "is not verified"),
        ("require", right, WRONG, 0, Some(true), ""),
        ("require", wrong, RIGHT, 77, None, "other.crt` signed it"),
        ("verify-ca", right, RIGHT, 0, Some(true), ""),
        ("verify-ca", right, WRONG, 0, Some(true), ""),
        ("verify-ca", wrong, RIGHT, 77, None, "other.crt` signed it"),
        ("verify-ca", impostor, RIGHT, 77, None, "impostor.crt` signed it"),
        ("verify-ca", none, RIGHT, 78, None, "empty/.postgresql/root.crt` does not exist"),
        ("verify-ca", missing, RIGHT, 78, None, "missing.crt` does not exist"),
        ("verify-full", right, RIGHT, 0, Some(true), ""),
        ("verify-full", right, "host=127.0.0.1", 0, Some(true), ""),
        ("verify-full", right, "hostaddr=127.0.0.1", 0, Some(true), ""),
        (
            "verify-full",
            right,
            WRONG,
            77,
            None,
            "is for `localhost`, `127.0.0.1`, not for `elsewhere.example`",
        ),
        ("verify-full", wrong, RIGHT, 77, None, "hint: if this is the right server"),
        ("verify-full", none, RIGHT, 78, None, "sslmode=require"),
    ] {
        let url = server.url("either", "", &format!("{host}&sslmode={mode}&{root}"));
        let url = url.replace(&format!(":{}/", server.port), "/") + &format!("&port={}", server.port);
        server.read(&url, &[]).is(code, tls).says(words);
    }
}

#[test]
fn the_server_rules_decide_for_allow_and_prefer() {
    let (server, _guard) = Server::get();
    for (user, mode, code, tls, words) in [
        ("tls_only", "disable", 77, None, "set sslmode=require"),
        ("tls_only", "allow", 0, Some(true), ""),
        ("tls_only", "prefer", 0, Some(true), ""),
        ("tls_only", "require", 0, Some(true), ""),
        ("plain_only", "disable", 0, Some(false), ""),
        ("plain_only", "allow", 0, Some(false), ""),
        ("plain_only", "prefer", 0, Some(false), ""),
        ("plain_only", "require", 77, None, "no pg_hba.conf entry"),
        ("nobody", "prefer", 77, None, "; without TLS: FATAL"),
    ] {
        let url = server.url(user, "127.0.0.1", &format!("sslmode={mode}"));
        server.read(&url, &[]).is(code, tls).says(words);
    }
}

#[test]
fn other_server_certificates_are_verified() {
    let (server, _guard) = Server::get_alone();
    let url = |host: &str, mode: &str, root: &str| {
        server.url("either", host, &format!("sslmode={mode}&sslrootcert={}", server.file(root)))
    };
    server.show(Some("self_signed"));
    server.read(&url("localhost", "verify-full", "self_signed.crt"), &[]).is(0, true);
    server.read(&url("127.0.0.1", "verify-ca", "self_signed.crt"), &[]).is(0, true);
    server
        .read(&url("127.0.0.1", "verify-full", "self_signed.crt"), &[])
        .is(77, None)
        .says("is for `localhost`");
    server.read(&url("localhost", "verify-full", "root.crt"), &[]).is(77, None).says("no authority in");
    server.show(Some("self_signed_expired"));
    server.read(&url("localhost", "verify-ca", "self_signed_expired.crt"), &[]).is(77, None).says("expired");
    server.show(Some("expired"));
    server.read(&url("localhost", "verify-ca", "root.crt"), &[]).is(77, None).says("has expired");
    server.read(&url("localhost", "prefer", "root.crt"), &[]).is(0, true);
    server.show(Some("common_name"));
    server.read(&url("localhost", "verify-full", "root.crt"), &[]).is(0, true);
    server
        .read(&url("127.0.0.1", "verify-full", "root.crt"), &[])
        .is(77, None)
        .says("is for `localhost`, not for");
    server.show(Some("version_1"));
    for protocol in ["TLSv1.3", "TLSv1.2"] {
        server.limit(protocol);
        server.read(&url("localhost", "verify-full", "root.crt"), &[]).is(0, true);
        server.read(&url("localhost", "verify-full", "other.crt"), &[]).is(77, None).says("no authority in");
        server.read(&url("localhost", "verify-ca", "impostor.crt"), &[]).is(77, None).says("no authority in");
        server
            .read(&url("127.0.0.1", "verify-full", "root.crt"), &[])
            .is(77, None)
            .says("is for `localhost`");
        server.read(&url("localhost", "require", "missing.crt"), &[]).is(0, true);
    }
    // Refused in the handshake itself, so that `prefer` goes on without TLS.
    let foreign =
        format!("sslcert={}&sslkey={}", server.file("self_signed.crt"), server.file("self_signed.key"));
    let refused = "the server refused the client's certificate";
    server
        .read(&server.url("either", "localhost", &format!("sslmode=require&{foreign}")), &[])
        .is(77, None)
        .says(refused);
    server.read(&server.url("either", "localhost", &foreign), &[]).is(0, false);
    server.limit("TLSv1.3");
    server.show(None);
    server.read(&url("localhost", "require", "root.crt"), &[]).is(78, None).says("set ssl = on");
    server.read(&url("localhost", "prefer", "root.crt"), &[]).is(0, false);
    server.show(Some("server"));
    server.read(&url("localhost", "verify-full", "root.crt"), &[]).is(0, true);
}

#[test]
fn tls_settings_come_from_the_environment_and_the_home_folder() {
    let (server, _guard) = Server::get();
    let root = server.file("root.crt");
    let url = server.url("either", "localhost", "");
    server.read(&url, &[("PGSSLMODE", "disable")]).is(0, false);
    server.read(&url, &[("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", &root)]).is(0, true);
    server
        .read(&url, &[("PGSSLMODE", "sometimes")])
        .is(78, None)
        .says("`PGSSLMODE` is `sometimes`, which is not one of `disable`");
    // The system's authorities: `verify-full` is the default.
    let system = server.url("either", "localhost", "sslrootcert=system");
    server.read(&system, &[("SSL_CERT_FILE", &root)]).is(0, true);
    server
        .read(&system, &[("SSL_CERT_FILE", &server.file("other.crt"))])
        .is(77, None)
        .says("the system's root");

    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".postgresql");
    fs::create_dir(&folder).unwrap();
    let home = &[("HOME", home.path().to_str().unwrap())];
    let required = server.url("either", "localhost", "sslmode=require");
    let full = server.url("either", "localhost", "sslmode=verify-full");
    fs::copy(&root, folder.join("root.crt")).unwrap();
    server.read(&full, home).is(0, true);
    fs::copy(server.file("other.crt"), folder.join("root.crt")).unwrap();
    server.read(&required, home).is(77, None).says("/.postgresql/root.crt` signed");
    server.read(&url, home).is(0, true);
    fs::write(folder.join("root.crt"), "nothing").unwrap();
    server.read(&full, home).is(78, None).says("holds no certificate");
    fs::remove_file(folder.join("root.crt")).unwrap();

    let certified = server.url("with_certificate", "localhost", "sslmode=require");
    server.read(&certified, home).is(77, None).says("`sslcert` and `sslkey`");
    fs::copy(server.file("client.crt"), folder.join("postgresql.crt")).unwrap();
    fs::copy(server.file("client.key"), folder.join("postgresql.key")).unwrap();
    server.read(&certified, home).is(0, true);
    fs::set_permissions(folder.join("postgresql.key"), Permissions::from_mode(0o644)).unwrap();
    server.read(&required, home).is(78, None).says("has group or world access").says("chmod");
    server.read(&url, home).is(0, true).says("Ignored the client's certificate");
}

/// The TLS version of a session, as the server sees it.
fn version(server: &Server, query: &str, environment: &[(&str, &str)]) -> Ran {
    let mut command = server.command();
    let url = server.url("either", "localhost", query);
    command.env("RINGSHARD_SHARDS", format!("shard_{}={url}", owner(1))).envs(environment.iter().copied());
    let sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    Ran::of(command.args(["sql", "-o", "csv", sql]).spawn().unwrap())
}

#[test]
fn limits_of_the_tls_version_are_kept() {
    let (server, _guard) = Server::get_alone();
    let newest = version(server, "", &[]).success();
    assert!(newest.stdout.contains("TLSv1.3"), "{newest:?}");
    for (query, environment) in [
        ("ssl_max_protocol_version=TLSv1.2", &[][..]),
        ("", &[("PGSSLMAXPROTOCOLVERSION", "tlsv1.2")]),
        ("ssl_max_protocol_version=TLSv1.2", &[("PGSSLMAXPROTOCOLVERSION", "TLSv1.3")]),
    ] {
        let ran = version(server, query, environment).success();
        assert!(ran.stdout.contains("TLSv1.2"), "{ran:?}");
    }
    server.limit("TLSv1.2");
    let oldest = [("PGSSLMINPROTOCOLVERSION", "TLSv1.3")];
    let refused = server.read(&server.url("either", "localhost", "sslmode=require"), &oldest);
    refused.is(78, None).says("no common TLS version");
    server.limit("TLSv1.3");
    server.read(&server.url("either", "localhost", "sslmode=require"), &oldest).is(0, true);
}

#[test]
fn other_demands_on_tls_are_kept_or_refused() {
    let (server, _guard) = Server::get();
    let url = server.url("tls_only", "localhost", "");
    server.read(&server.url("either", "localhost", "sslmode=allow"), &[]).is(0, false);
    server.read(&server.url("either", "localhost", "requiressl=1"), &[]).is(0, true);
    // Only over TLS, as `require` tries nothing else.
    server.read(&server.url("plain_only", "localhost", ""), &[("PGREQUIRESSL", "1")]).is(77, None);
    server.read(&server.url("plain_only", "localhost", ""), &[("PGREQUIRESSL", "0")]).is(0, false);
    let both = [("PGREQUIRESSL", "1"), ("PGSSLMODE", "prefer")];
    server.read(&server.url("plain_only", "localhost", ""), &both).is(0, false);

    let files = format!("sslcert={}&sslkey={}", server.file("client.crt"), server.file("client.key"));
    let certified = server.url("with_certificate", "localhost", &files);
    server.read(&certified, &[("PGSSLCERTMODE", "allow")]).is(0, true);
    server.read(&certified, &[("PGSSLCERTMODE", "disable")]).is(77, None).says("certificate");
    server
        .read(&certified, &[("PGSSLCERTMODE", "require")])
        .is(78, None)
        .says("`PGSSLCERTMODE` is `require`");

    // A revocation list in its default place is not ignored where a certificate is verified.
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".postgresql");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("root.crl"), "a list").unwrap();
    let home = &[("HOME", home.path().to_str().unwrap())];
    server.read(&url, home).is(0, true);
    let root = format!("sslmode=verify-ca&sslrootcert={}", server.file("root.crt"));
    let verified = server.url("either", "localhost", &root);
    server.read(&verified, home).is(78, None).says("revocation lists").says("/.postgresql/root.crl");
    server.read(&verified, &[]).is(0, true);
}

#[test]
fn client_certificates_work() {
    let (server, _guard) = Server::get();
    let read = |user: &str, certificate: &str, key: &str| {
        let (certificate, key) = (server.file(certificate), server.file(key));
        server.read(&server.url(user, "localhost", &format!("sslcert={certificate}&sslkey={key}")), &[])
    };
    read("with_certificate", "client.crt", "client.key").is(0, true);
    read("with_certificate", "client_version_1.crt", "client_version_1.key").is(0, true);
    read("either", "client_version_1.crt", "client.key").is(78, None).says("is not that of");
    read("either", "client.crt", "server.key").is(78, None).says("is not that of");
    read("either", "missing.crt", "client.key").is(78, None).says("missing.crt");
    read("either", "client.crt", "missing.key").is(78, None).says("missing.key");
    read("either", "client.crt", "client.crt").is(78, None).says("not in PEM form");
    for text in ["-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n", "Proc-Type: 4,ENCRYPTED\n"] {
        let encrypted = tempfile::NamedTempFile::new().unwrap();
        fs::write(encrypted.path(), text).unwrap();
        read("either", "client.crt", encrypted.path().to_str().unwrap()).is(78, None).says("is encrypted");
    }
}

#[test]
fn passwords_are_bound_to_the_channel() {
    let (server, _guard) = Server::get();
    let query = "sslmode=require&channel_binding=require";
    let url = server.url(&format!("with_password:{PASSWORD}"), "localhost", query);
    let ran = server.read(&url, &[]).is(0, true);
    assert!(!ran.stderr.contains(PASSWORD));
    // Without TLS there is no channel to bind to; and the server takes no password that way.
    let plain = server.url("either", "localhost", "sslmode=disable&channel_binding=require");
    assert!(!server.read(&plain, &[]).ran.stderr.contains("panicked"));
    let wrong = server.url("with_password:wr0ng", "localhost", "");
    let ran = server.read(&wrong, &[]).is(77, None).says("password authentication failed");
    assert!(!ran.stderr.contains("wr0ng"), "{ran:?}");
}

#[test]
fn several_hosts_are_tried_in_order() {
    let (server, _guard) = Server::get();
    let (port, database) = (server.port, format!("shard_{}", owner(1)));
    let hosts = format!("127.0.0.1:1,localhost:{port}");
    server.read(&format!("postgresql://either@{hosts}/{database}?sslmode=require"), &[]).is(0, true);
    // As `key=value`, by a client that knows nothing of the cluster yet.
    let home = tempfile::tempdir().unwrap();
    let mut command = server.command();
    command.env("RINGSHARD_HOME", home.path()).current_dir(home.path()).arg("init-shards");
    for n in 1..=3 {
        let pairs =
            format!("host='127.0.0.1, localhost' port=1,{port} user=either dbname=shard_{n} sslmode=require");
        command.args(["--shard", &format!("shard_{n}={pairs}")]);
    }
    Ran::of(command.spawn().unwrap()).success();
    let ports = format!("1,{port}");
    let variables = [("PGHOST", "127.0.0.1,127.0.0.1"), ("PGPORT", ports.as_str())];
    server.read(&format!("postgresql:///{database}?user=either"), &variables).is(0, true);
    let socket = server.socket_dir();
    let mixed =
        format!("postgresql://either@/{database}?host=/nowhere,{socket}&port={port}&sslmode=verify-full");
    server.read(&mixed, &[]).is(0, false);

    let ran =
        server.read(&format!("postgresql://either@127.0.0.1:1,127.0.0.1:2/{database}"), &[]).is(69, None);
    let ran = ran.says(&format!("at postgresql://either@127.0.0.1:1,127.0.0.1:2/{database}: 127.0.0.1:1: "));
    ran.says("; 127.0.0.1:2: ").says("refused");
    // A server that refuses the login ends the search.
    let ran = server.read(&format!("postgresql://nobody@127.0.0.1:{port},127.0.0.1:1/{database}"), &[]);
    assert!(!ran.is(77, None).stderr.contains("127.0.0.1:1: "));
}

#[test]
fn each_host_has_its_own_password() {
    let (server, _guard) = Server::get();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".pgpass");
    fs::write(&file, format!("127.0.0.1:*:*:*:wr0ng\nlocalhost:{}:*:*:{PASSWORD}\n", server.port)).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let hosts = format!("127.0.0.1:1,localhost:{}", server.port);
    let url = format!("postgresql://with_password@{hosts}/shard_{}?sslmode=require", owner(1));
    server.read(&url, &[("HOME", home.path().to_str().unwrap())]).is(0, true);
}

#[test]
fn target_session_attrs_choose_the_server() {
    let (server, _guard) = Server::get();
    let read_only = "options=-c%20default_transaction_read_only%3Don";
    for (target, options, code, words) in [
        ("any", "", 0, ""),
        ("read-write", "", 0, ""),
        ("primary", "", 0, ""),
        ("prefer-standby", "", 0, ""),
        ("read-only", read_only, 0, ""),
        ("primary", read_only, 0, ""),
        ("read-write", read_only, 69, "session is read-only"),
        ("read-only", "", 69, "session is not read-only"),
        ("standby", "", 69, "server is not in hot standby mode"),
    ] {
        let url = server.url("either", "localhost", &format!("target_session_attrs={target}&{options}"));
        server.read(&url, &[]).is(code, true).says(words);
    }
    let variable = [("PGTARGETSESSIONATTRS", "standby")];
    server.read(&server.url("either", "localhost", ""), &variable).is(69, true).says("standby");
    let two = format!("localhost:{0},127.0.0.1", server.port);
    let url = server.url("either", &two, "target_session_attrs=standby");
    server.read(&url, &[]).is(69, true).says("mode; 127.0.0.1:").says("set another target_session_attrs");
}

#[test]
fn options_reach_the_server_and_addresses_are_shown_as_psql_takes_them() {
    let (server, _guard) = Server::get();
    // The log of the server shows that the options were applied.
    let slow = "options=-c%20statement_timeout%3D1234%20-c%20log_statement%3Dall";
    server.read(&server.url("either", "localhost", slow), &[]).is(0, true);
    let log = fs::read_to_string(server.folder.join("tls.log")).unwrap();
    assert!(log.contains("LOG:  execute"), "no statement was logged");

    let root = server.file("root.crt");
    let given = format!(
        "postgresql://either:{PASSWORD}@h1,localhost:{}/d?sslmode=verify-full&sslrootcert={root}&{slow}",
        server.port
    );
    let mut command = server.command();
    command.env("RINGSHARD_SHARDS", format!("a={given}")).args(["config", "show"]);
    let shown = Ran::of(command.spawn().unwrap()).success();
    let expected = given.replace(&format!(":{PASSWORD}"), "").replace("@h1,", "@h1:5432,");
    assert!(shown.stdout.contains(&expected), "{expected} in {shown:?}");
    assert!(!shown.stdout.contains(PASSWORD));
}

#[test]
fn a_socket_has_no_tls_whatever_sslmode_says() {
    let (server, _guard) = Server::get();
    for mode in ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] {
        let query = format!("host={}&port={}&sslmode={mode}", server.socket_dir(), server.port);
        let url = format!("postgresql://postgres@/shard_{}?{query}", owner(1));
        server.read(&url, &[]).is(0, false);
    }
}

#[test]
fn a_proxy_override_keeps_certificate_verification() {
    let (server, _guard) = Server::get();
    let delay = Duration::from_millis(300);
    let root = server.file("root.crt");
    let url = |host| {
        let query = format!("{host}&sslmode=verify-full&sslrootcert={root}&port={}", server.port);
        server.url("either", "", &query).replace(&format!(":{}/", server.port), "/")
    };
    let shard = format!("shard_{}", owner(1));
    let mut drill = server.command();
    drill.env("RINGSHARD_SHARDS", format!("{shard}={}", url(RIGHT)));
    let drill =
        drill.args(["drill", "slow", &shard, "--delay", "300ms", "--for", "1h", "-y"]).spawn().unwrap();
    let begun = Instant::now();
    loop {
        let asked = Instant::now();
        server.read(&url(RIGHT), &[]).is(0, true);
        if asked.elapsed() >= delay * 2 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "the drill has no effect");
    }
    kill_process(Pid::from_child(&drill), Signal::INT).unwrap();
    Ran::of(drill).fails(6);
    server.read(&url(RIGHT), &[]).is(0, true);
}
