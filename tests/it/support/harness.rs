//! One server for each run, three databases for each test, and the program as a user or a script runs it.

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use postgres::types::ToSql;
use postgres::{Client, NoTls, Row};
use ringshard::local::PrivateServer;
use tempfile::TempDir;

use super::hints;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_ringshard");

/// A role that must give this password, on the unix socket too.
pub(crate) const PASSWORD_ROLE: &str = "keeper";
pub(crate) const PASSWORD: &str = "hunter2 /@:?#%";

/// The server of this run. It is removed when this process ends in any way: a child waits for the end of a pipe that
/// only this process holds.
struct Server {
    private: PrivateServer,
    _watched: ChildStdin,
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let (private, watched) = private_server("rst");
    let server = Server { private, _watched: watched };
    #[expect(clippy::print_stderr, reason = "which version ran is part of the result")]
    {
        eprintln!("Postgres {}", server.private.status().unwrap().version.unwrap());
    }

    let hba = server.private.data().join("pg_hba.conf");
    let rules = std::fs::read_to_string(&hba).unwrap();
    std::fs::write(&hba, format!("local all {PASSWORD_ROLE} scram-sha-256\n{rules}")).unwrap();
    let mut client = connect(&server.private, "postgres");
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
    let quoted = PASSWORD.replace('\'', "''");
    let role =
        format!("CREATE ROLE {PASSWORD_ROLE} LOGIN SUPERUSER PASSWORD '{quoted}'; CREATE ROLE plain LOGIN");
    client.batch_execute(&role).unwrap();
    server
});

/// Where servers keep their data: in memory where there is enough of it, as the tests would mostly wait for the disk, else in
/// `/tmp`. The operating system never crashes in a test, so what a server has flushed there lasts as long.
pub(crate) fn server_folders() -> &'static str {
    const IN_MEMORY: &str = "/dev/shm";
    const ENOUGH: u64 = 8 << 30;
    let is_enough = |found: rustix::fs::StatVfs| found.f_bavail * found.f_frsize >= ENOUGH;
    if rustix::fs::statvfs(IN_MEMORY).is_ok_and(is_enough) { IN_MEMORY } else { "/tmp" }
}

/// A running server in a folder of its own, and what removes both when this process ends.
pub(crate) fn private_server(prefix: &str) -> (PrivateServer, ChildStdin) {
    let programs = std::env::var_os("RINGSHARD_PG_BIN").map(PathBuf::from);
    private_server_of(prefix, programs.as_deref())
}

/// The same, with the programs in this folder.
pub(crate) fn private_server_of(prefix: &str, programs: Option<&Path>) -> (PrivateServer, ChildStdin) {
    let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(server_folders()).unwrap().keep();
    let server = PrivateServer::at(Some(&folder), programs).unwrap();
    let watched = clean_up_after(&folder);
    server.ensure_running().unwrap();
    (server, watched)
}

/// Ends the private server of a folder, and removes the folder, when this process has ended.
pub(crate) fn clean_up_after(folder: &Path) -> ChildStdin {
    let mut watcher = Command::new("/bin/sh");
    watcher.args(["-c", r#"cat >/dev/null; "$1" local destroy -y; rm -rf "$RINGSHARD_HOME""#, "sh", BINARY]);
    watcher.env("RINGSHARD_HOME", folder).current_dir("/tmp").stdin(Stdio::piped());
    watcher.stdout(Stdio::null()).stderr(Stdio::null());
    std::os::unix::process::CommandExt::process_group(&mut watcher, 0);
    watcher.spawn().unwrap().stdin.take().unwrap()
}

/// A connection that bypasses the guard, to arrange a test.
pub(crate) fn connect(server: &PrivateServer, database: &str) -> Client {
    let mut config = postgres::Config::new();
    config.host_path(server.socket_dir()).user("postgres").dbname(database);
    connect_to(config).unwrap()
}

/// The same, wherever the server is.
pub(crate) fn connect_to(mut config: postgres::Config) -> Result<Client, postgres::Error> {
    config.options("-c ringshard.guard=checked -c row_security=off");
    config.connect(NoTls)
}

pub(crate) fn admin() -> Client {
    connect(&SERVER.private, "postgres")
}

pub(crate) fn socket_dir() -> &'static Path {
    SERVER.private.socket_dir()
}

/// The URL of a database of the run's server.
pub(crate) fn url(user: &str, database: &str) -> String {
    format!("postgresql://{user}@/{database}?host={}", socket_dir().display())
}

/// The result of a run of the program.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The end of a run. Asserts that its hints can be typed.
    #[track_caller]
    pub(crate) fn of(child: Child) -> Self {
        let out = child.wait_with_output().unwrap();
        let ran = Self {
            code: out.status.code().unwrap_or(-1),
            stdout: String::from_utf8(out.stdout).unwrap(),
            stderr: String::from_utf8(out.stderr).unwrap(),
        };
        hints::assert_can_be_typed(&ran.stderr);
        ran
    }

    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.contains("error"), "{self:?}");
        self
    }

    /// Asserts that stderr contains this.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "no `{words}` in {self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }

    /// The fields of the lines of stdout, as TSV.
    pub(crate) fn fields(&self) -> Vec<Vec<&str>> {
        self.stdout.lines().map(|line| line.split('\t').collect()).collect()
    }
}

/// The program in a home, with an environment that holds nothing else.
pub(crate) fn command_in(home: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.env_clear().env("RINGSHARD_HOME", home).env("HOME", home);
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("LANG", "C.UTF-8");
    // A pager waits for keys.
    command.env("PAGER", "cat");
    // A slow machine must not look like a shard that is down.
    command.env("RINGSHARD_CONNECT_TIMEOUT_MS", "20000");
    command.current_dir(home);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A home, and three databases that no other test uses.
pub(crate) struct Test {
    pub(crate) home: TempDir,
    prefix: String,
}

impl Test {
    /// Empty databases.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let test = Self {
            prefix: format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed)),
            home: tempfile::Builder::new().prefix("rsh").tempdir_in("/tmp").unwrap(),
        };
        let mut admin = admin();
        for number in 1..=3 {
            admin.batch_execute(&format!("CREATE DATABASE {}", test.database(number))).unwrap();
        }
        test
    }

    /// A cluster of three shards.
    pub(crate) fn initialised() -> Self {
        let test = Self::new();
        test.init().success();
        test
    }

    pub(crate) fn database(&self, number: usize) -> String {
        format!("{}_{number}", self.prefix)
    }

    pub(crate) fn url(&self, number: usize) -> String {
        url("postgres", &self.database(number))
    }

    /// `--shard shard_1=URL` and so on.
    pub(crate) fn shard_flags(&self) -> Vec<String> {
        (1..=3).flat_map(|n| ["--shard".to_owned(), format!("shard_{n}={}", self.url(n))]).collect()
    }

    /// `RINGSHARD_SHARDS` for the three shards, one of which is reached at another URL.
    pub(crate) fn shards_with(&self, number: usize, url: &str) -> String {
        let url_of = |n| if n == number { url.to_owned() } else { self.url(n) };
        (1..=3).map(|n| format!("shard_{n}={}", url_of(n))).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn init(&self) -> Ran {
        let mut command = self.command();
        command.arg("init-shards").args(self.shard_flags());
        Ran::of(command.spawn().unwrap())
    }

    /// The program in this home, with an environment that holds nothing else.
    pub(crate) fn command(&self) -> Command {
        command_in(self.home.path())
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        Ran::of(self.command().args(words).spawn().unwrap())
    }

    /// Forbids or allows connections to a shard's database.
    pub(crate) fn allow(&self, number: usize, is_allowed: bool) {
        let database = self.database(number);
        let mut admin = admin();
        admin.batch_execute(&format!("ALTER DATABASE {database} ALLOW_CONNECTIONS {is_allowed}")).unwrap();
        if !is_allowed {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
            admin.query(sql, &[&database]).unwrap();
        }
    }

    pub(crate) fn client(&self, number: usize) -> Client {
        connect(&SERVER.private, &self.database(number))
    }

    /// A connection of another program, which the guard checks.
    pub(crate) fn other_program(&self, user: &str, number: usize) -> Client {
        Client::connect(&url(user, &self.database(number)), NoTls).unwrap()
    }

    pub(crate) fn query(&self, number: usize, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        self.client(number).query(sql, parameters).unwrap()
    }

    pub(crate) fn execute(&self, number: usize, sql: &str) {
        self.client(number).batch_execute(sql).unwrap();
    }

    /// The ids on a shard.
    pub(crate) fn ids(&self, number: usize) -> Vec<i64> {
        self.query(number, "SELECT user_id FROM users ORDER BY 1", &[]).iter().map(|row| row.get(0)).collect()
    }

    pub(crate) fn cluster_id(&self, number: usize) -> String {
        self.query(number, "SELECT cluster::text FROM ringshard.meta", &[])[0].get(0)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.home.path().join("ringshard.toml")
    }

    /// Makes a table as the prototype does, with these users.
    pub(crate) fn prototype_table(&self, number: usize, ids: impl IntoIterator<Item = i64>) {
        let mut client = self.client(number);
        client
            .batch_execute(
                "CREATE TABLE users (user_id BIGINT PRIMARY KEY, name VARCHAR(100), region VARCHAR(50), email VARCHAR(100))",
            )
            .unwrap();
        for id in ids {
            client.execute("INSERT INTO users VALUES ($1, 'N', 'EU', NULL)", &[&id]).unwrap();
        }
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        let mut admin = admin();
        // Also the databases that `add-shard` created.
        for number in 1..=6 {
            let _ = admin
                .batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database(number)));
        }
    }
}
