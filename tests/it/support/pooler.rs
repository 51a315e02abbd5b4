//! A real `PgBouncer` in front of the run's server.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use tempfile::TempDir;

use super::harness::{Ran, Test, socket_dir};

/// A `PgBouncer` on a Unix socket. It ends when this is dropped.
pub(crate) struct Pooler {
    folder: TempDir,
    child: Child,
}

impl Pooler {
    /// One in this `pool_mode`, with at most `size` connections to each database.
    pub(crate) fn start(mode: &str, size: u32) -> Self {
        Self::ignoring(mode, size, "")
    }

    /// The same, which ignores these parameters of a client's startup packet.
    pub(crate) fn ignoring(mode: &str, size: u32, parameters: &str) -> Self {
        Self::as_role(mode, size, parameters, "postgres")
    }

    /// The same, which connects to the server as this role.
    pub(crate) fn as_role(mode: &str, size: u32, parameters: &str, role: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("rsp").tempdir_in("/tmp").unwrap();
        let path = folder.path().display();
        let config = format!(
            "[databases]\n* = host={} user={role}\n[pgbouncer]\nignore_startup_parameters = {parameters}\nlisten_addr =\nunix_socket_dir = {path}\n\
             auth_type = any\nauth_file = {path}/users.txt\npool_mode = {mode}\ndefault_pool_size = {size}\n\
             max_client_conn = 200\nlogfile = {path}/log\nquery_wait_timeout = 30\n",
            socket_dir().display()
        );
        fs::write(folder.path().join("pgbouncer.ini"), config).unwrap();
        fs::write(folder.path().join("users.txt"), "\"postgres\" \"\"\n\"plain\" \"\"\n").unwrap();
        // It refuses to run as root, and must enter the folder of the server's socket.
        let owner = fs::metadata(socket_dir()).unwrap();
        chown(folder.path(), Some(owner.uid()), Some(owner.gid())).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
        let mut command = Command::new("pgbouncer");
        command.arg(folder.path().join("pgbouncer.ini")).env("PATH", path).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if rustix::process::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let child = command.spawn().expect("scripts/test installs pgbouncer");
        let pooler = Self { folder, child };
        let begun = Instant::now();
        while !pooler.folder.path().join(".s.PGSQL.6432").exists() {
            assert!(begun.elapsed() < Duration::from_secs(20), "pgbouncer does not start");
            thread::sleep(Duration::from_millis(5));
        }
        pooler
    }

    /// The URL of a database of the run's server, through the pooler.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@/{database}?host={}&port=6432", self.folder.path().display())
    }

    /// Another program's connection through the pooler.
    pub(crate) fn client(&self, database: &str) -> Client {
        Client::connect(&self.url(database), NoTls).unwrap()
    }

    /// Makes a test that reaches its shards by other URLs reach them through this pooler.
    pub(crate) fn replace(&self, test: &Test, other: impl Fn(&str) -> String) {
        let mut config = fs::read_to_string(test.config()).unwrap();
        for database in (1..=3).map(|number| test.database(number)) {
            config = config.replace(&other(&database), &self.url(&database));
        }
        fs::write(test.config(), config).unwrap();
    }

    /// Three shards that are reached through the pooler.
    pub(crate) fn initialised(&self) -> Test {
        let test = Test::new();
        let mut command = test.command();
        command.arg("init-shards");
        for number in 1..=3 {
            command.args(["--shard", &format!("shard_{number}={}", self.url(&test.database(number)))]);
        }
        Ran::of(command.spawn().unwrap()).success();
        test
    }
}

/// Adds the direct URLs of the shards to the configuration.
pub(crate) fn add_direct_urls(test: &Test) {
    let mut config = fs::read_to_string(test.config()).unwrap();
    for number in 1..=3 {
        let section = format!("[shards.shard_{number}]\n");
        config = config.replace(&section, &format!("{section}direct_url = \"{}\"\n", test.url(number)));
    }
    fs::write(test.config(), config).unwrap();
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
