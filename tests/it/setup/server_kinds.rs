//! Servers that are not made for ringshard: other encodings, rights that were taken away, limits of connections.

use std::fs;
use std::process::ChildStdin;

use postgres::Client;
use ringshard::local::PrivateServer;
use tempfile::TempDir;

use crate::support::harness::{Ran, command_in, connect, private_server};

/// A server, and a home for the program. The program connects as `tenant`, who may create databases.
struct Own {
    server: PrivateServer,
    home: TempDir,
    _watched: ChildStdin,
}

impl Own {
    fn new() -> Self {
        let (server, watched) = private_server("rsk");
        let home = tempfile::Builder::new().prefix("rsh").tempdir_in("/tmp").unwrap();
        let own = Self { server, home, _watched: watched };
        own.execute("postgres", "CREATE ROLE tenant LOGIN CREATEDB");
        own
    }

    fn client(&self, database: &str) -> Client {
        connect(&self.server, database)
    }

    fn execute(&self, database: &str, sql: &str) {
        self.client(database).batch_execute(sql).unwrap();
    }

    fn url(&self, database: &str) -> String {
        format!("postgresql://tenant@/{database}?host={}", self.server.socket_dir().display())
    }

    fn run(&self, words: &[&str]) -> Ran {
        Ran::of(command_in(self.home.path()).args(words).spawn().unwrap())
    }

    /// `init-shards` on databases of these names.
    fn init(&self, databases: &[&str]) -> Ran {
        let flags = databases.iter().map(|name| format!("{name}={}", self.url(name)));
        let words: Vec<String> = flags.flat_map(|flag| ["--shard".into(), flag]).collect();
        let words: Vec<&str> =
            std::iter::once("init-shards").chain(words.iter().map(String::as_str)).collect();
        self.run(&words)
    }

    fn init_on_server(&self) -> Ran {
        self.run(&["init-shards", "--shards", "2", "--server", &self.url("postgres")])
    }

    /// Makes the templates look as after `initdb` under another locale.
    fn template(&self, encoding: &str, locale: &str) {
        let sql = format!(
            "UPDATE pg_database SET encoding = pg_char_to_encoding('{encoding}'), datcollate = '{locale}', \
             datctype = '{locale}' WHERE datname LIKE 'template%'"
        );
        self.execute("postgres", &sql);
    }

    /// The databases of shards, with their encodings.
    fn databases(&self) -> Vec<String> {
        let sql = "SELECT datname || ' ' || pg_encoding_to_char(encoding) FROM pg_database WHERE datname LIKE 'shard%' \
                   ORDER BY 1";
        self.client("postgres").query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
    }

    fn has_catalog(&self, database: &str) -> bool {
        let sql = "SELECT FROM pg_namespace WHERE nspname = 'ringshard'";
        !self.client(database).query(sql, &[]).unwrap().is_empty()
    }
}

/// The SQL of a hint, which comes after its last `: `.
fn typed(ran: &Ran) -> String {
    ran.stderr.split("hint: ").nth(1).unwrap().trim().rsplit(": ").next().unwrap().to_owned()
}

#[test]
fn databases_are_utf8_whatever_the_template_is() {
    let own = Own::new();
    own.template("SQL_ASCII", "C");
    own.init_on_server().success();
    for (encoding, locale, shard) in
        [("SQL_ASCII", "C", "shard_3"), ("LATIN1", "xx_XX.ISO-8859-1", "shard_4")]
    {
        own.template(encoding, locale);
        own.run(&["add-shard", shard]).success();
    }
    let expected = ["shard_1 UTF8", "shard_2 UTF8", "shard_3 UTF8", "shard_4 UTF8"];
    assert_eq!(own.databases(), expected);
    own.run(&["create-user", "--id", "1", "--name", "é"]).success();
}

#[test]
fn a_template_without_its_schema_does_not_matter() {
    let own = Own::new();
    own.execute("template1", "DROP SCHEMA public");
    own.init_on_server().success();
    own.run(&["add-shard", "shard_3"]).success();
}

#[test]
fn a_database_of_another_encoding_is_refused_before_anything_is_made() {
    let own = Own::new();
    own.execute("postgres", "CREATE DATABASE shard_2 OWNER tenant TEMPLATE template0 ENCODING 'SQL_ASCII'");
    let ran = own.init_on_server().fails(78).says("encoded in SQL_ASCII");
    assert_eq!(own.databases(), ["shard_2 SQL_ASCII"]);
    own.execute("postgres", &typed(&ran));
    own.execute("postgres", "ALTER DATABASE shard_2_utf8 OWNER TO tenant");
    own.init(&["shard_2_utf8"]).success();
}

#[test]
fn missing_rights_are_named_and_granting_them_is_enough() {
    let own = Own::new();
    for database in ["a", "b"] {
        own.execute("postgres", &format!("CREATE DATABASE {database}"));
    }
    // As in Postgres 15 and newer.
    own.execute("b", "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    for (database, grants) in [("a", 1), ("b", 2)] {
        let ran = own.init(&["a", "b"]).fails(77).says(&format!("database {database}"));
        let sql = typed(&ran);
        assert_eq!(sql.matches("GRANT").count(), grants, "{sql}");
        own.execute(database, &sql);
    }
    own.init(&["a", "b"]).success();
    own.run(&["create-user", "--id", "1", "--name", "x"]).success();
}

#[test]
fn a_database_without_its_schema_is_refused_and_creating_it_is_enough() {
    let own = Own::new();
    for database in ["a", "b", "c"] {
        own.execute("postgres", &format!("CREATE DATABASE {database} OWNER tenant"));
    }
    own.execute("b", "DROP SCHEMA public");
    own.execute("c", "DROP SCHEMA public");
    let ran = own.init(&["a", "b"]).fails(78).says("database b").says("no schema `public`");
    assert!(!own.has_catalog("a"));
    own.execute("b", &typed(&ran));
    own.init(&["a", "b"]).success();
    let file = fs::read_to_string(own.home.path().join("ringshard.toml")).unwrap();
    let ran = own.run(&["add-shard", "c", &own.url("c")]).fails(78).says("database c");
    assert!(!own.has_catalog("c"));
    assert_eq!(fs::read_to_string(own.home.path().join("ringshard.toml")).unwrap(), file);
    own.execute("c", &typed(&ran));
    own.run(&["add-shard", "c", &own.url("c")]).success();
}

#[test]
fn a_failed_run_leaves_no_database() {
    let own = Own::new();
    own.execute("postgres", "ALTER ROLE tenant CONNECTION LIMIT 2");
    let ran = own.init_on_server().fails(69).says("too many connections for role");
    assert_eq!(own.databases(), [""; 0]);
    assert!(!own.home.path().join("ringshard.toml").exists());
    let sql = typed(&ran);
    own.execute("postgres", sql.split(';').next().unwrap());
    // A pool of one connection is enough.
    fs::write(own.home.path().join("ringshard.toml"), "pool_size = 1\n").unwrap();
    own.init_on_server().success();
    // `add-shard` on a server that has room for no more.
    own.execute("postgres", "ALTER ROLE tenant CONNECTION LIMIT 4");
    let ran = own.run(&["add-shard", "shard_3"]).fails(69);
    assert_eq!(own.databases(), ["shard_1 UTF8", "shard_2 UTF8"], "{ran:?}");
    // A limit of a database is another one.
    own.execute(
        "postgres",
        "ALTER ROLE tenant CONNECTION LIMIT -1; ALTER DATABASE shard_1 CONNECTION LIMIT 0",
    );
    let ran = own.run(&["count"]).fails(69);
    own.execute("postgres", typed(&ran).split(';').next().unwrap());
    own.run(&["count"]).success();
}
