//! The columns of the matrix: what surrounds the shards.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use postgres::{Client, Row};
use ringshard::bulk::FileFormat;
use rustix::process::Signal;

use super::Column;
use super::world::{Cluster, Users, World};
use crate::support::clusters::{fill, with_standby, with_users};
use crate::support::harness::{BINARY, Ran, Test, admin, connect, socket_dir, url};
use crate::support::pooler::Pooler;
use crate::support::rings::ids_of;
use crate::support::servers::{Servers, Standby};
use crate::support::user_files::{file_of, users};

/// How many users a cluster has at the beginning.
const USERS: i64 = 60;

/// The program with another configuration: that of the home with other words in it.
fn with_config(test: &Test, change: impl Fn(&str) -> String) -> impl Fn(&[String]) -> Command {
    move |words| {
        let config = fs::read_to_string(test.config()).unwrap();
        let around = test.home.path().join("around.toml");
        fs::write(&around, change(&config)).unwrap();
        let mut command = test.command();
        command.args(words).env("RINGSHARD_CONFIG", around);
        command
    }
}

/// The shards' URLs, through a pooler; with the direct URLs if asked for.
fn through(pooler: &Pooler, test: &Test, config: &str, is_direct: bool) -> String {
    let mut config = config.to_owned();
    for number in 1..=3 {
        let direct =
            if is_direct { format!("\ndirect_url = \"{}\"", test.url(number)) } else { String::new() };
        let pooled = pooler.url(&test.database(number));
        config = config.replace(&format!("\"{}\"", test.url(number)), &format!("\"{pooled}\"{direct}"));
    }
    config
}

fn pooler(name: &'static str, mode: &str, is_direct: bool) {
    let pooler = Pooler::start(mode, 6);
    let test = with_users(USERS);
    let mut column = Column::of(name, World::new(&test, 3));
    column.program = Box::new(with_config(&test, |config| through(&pooler, &test, config, is_direct)));
    column.reasons = &[(78, "direct_url"), (1, "direct_url")];
    column.run();
}

#[test]
fn a_pooler_in_session_mode() {
    pooler("session", "session", false);
}

#[test]
fn a_pooler_in_transaction_mode() {
    pooler("transaction", "transaction", false);
}

#[test]
fn a_pooler_with_direct_urls() {
    pooler("direct", "transaction", true);
}

/// A role of this test.
fn role(test: &Test, options: &str) -> String {
    let role = format!("{}_role", test.database(1));
    admin().batch_execute(&format!("CREATE ROLE {role} LOGIN {options}")).unwrap();
    role
}

/// The shards' URLs with another role.
fn with_role(test: &Test, role: &str) -> impl Fn(&[String]) -> Command {
    with_config(test, move |config| config.replace("postgres@", &format!("{role}@")))
}

/// A cluster that a role owns which is no superuser.
fn owned_by_role() -> (Test, String) {
    let test = Test::new();
    let role = role(&test, "");
    let mut command = test.command();
    command.arg("init-shards");
    for number in 1..=3 {
        let database = test.database(number);
        admin().batch_execute(&format!("ALTER DATABASE {database} OWNER TO {role}")).unwrap();
        command.args(["--shard", &format!("shard_{number}={}", url(&role, &database))]);
    }
    Ran::of(command.spawn().unwrap()).success();
    let config = fs::read_to_string(test.config()).unwrap();
    fs::write(test.config(), config.replace(&format!("{role}@"), "postgres@")).unwrap();
    fill(&test, USERS);
    (test, role)
}

#[test]
fn a_read_only_role() {
    let test = with_users(USERS);
    let role = role(&test, "SUPERUSER");
    admin().batch_execute(&format!("ALTER ROLE {role} SET default_transaction_read_only = on")).unwrap();
    let mut column = Column::of("read-only", World::new(&test, 3));
    column.program = Box::new(with_role(&test, &role));
    column.reasons = &[
        (69, "in a read-only transaction"),
        (6, "in a read-only transaction"),
        (77, "read_only"),
        (78, "read_only is on"),
        (1, "read_only is on"),
    ];
    column.run();
}

#[test]
fn a_role_without_rights() {
    let test = with_users(USERS);
    let role = role(&test, "");
    let mut column = Column::of("no rights", World::new(&test, 3));
    column.program = Box::new(with_role(&test, &role));
    column.reasons = &[(77, "permission denied"), (1, "permission denied"), (6, "permission denied")];
    column.run();
}

#[test]
fn a_role_with_few_connections() {
    let (test, role) = owned_by_role();
    admin().batch_execute(&format!("ALTER ROLE {role} CONNECTION LIMIT 3")).unwrap();
    let mut column = Column::of("3 connections", World::new(&test, 3));
    // The sessions of a process end a moment after it.
    let of_role = role.clone();
    column.put = Box::new(move |_| {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1";
        while admin().query_one(sql, &[&of_role]).unwrap().get::<_, i64>(0) > 0 {
            thread::sleep(Duration::from_millis(2));
        }
    });
    column.program = Box::new(with_role(&test, &role));
    column.reasons =
        &[(69, "too many connections"), (1, "too many connections"), (6, "too many connections")];
    column.run();
}

#[test]
fn forced_row_level_security() {
    let (test, role) = owned_by_role();
    for number in 1..=3 {
        test.execute(number, "CREATE POLICY eu ON users USING (region = 'EU') WITH CHECK (true)");
    }
    let mut column = Column::of("policies", World::new(&test, 3));
    column.put = Box::new(|is_on| {
        for number in 1..=3 {
            let sql = if is_on {
                "ALTER TABLE users ENABLE ROW LEVEL SECURITY; ALTER TABLE users FORCE ROW LEVEL SECURITY"
            } else {
                "ALTER TABLE users DISABLE ROW LEVEL SECURITY; ALTER TABLE users NO FORCE ROW LEVEL SECURITY"
            };
            test.execute(number, sql);
        }
    });
    column.program = Box::new(with_role(&test, &role));
    column.reasons = &[(77, "row-level security"), (6, "row-level security"), (1, "policies hide rows")];
    column.run();
}

#[test]
fn a_foreign_key_to_users() {
    let test = with_users(USERS);
    for number in 1..=3 {
        let sql = "CREATE TABLE orders (user_id bigint); INSERT INTO orders SELECT user_id FROM users";
        test.execute(number, sql);
    }
    let mut column = Column::of("foreign key", World::new(&test, 3));
    column.put = Box::new(|is_on| {
        for number in 1..=3 {
            let sql = if is_on {
                "ALTER TABLE orders ADD CONSTRAINT own FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE NOT VALID"
            } else {
                "ALTER TABLE orders DROP CONSTRAINT own"
            };
            test.execute(number, sql);
        }
    });
    // Only the orders of a user that was deleted are gone.
    column.check = Box::new(|users: &Users| {
        let sql = "SELECT user_id FROM orders";
        let mut orders: Vec<i64> =
            (1..=3).flat_map(|number| test.query(number, sql, &[])).map(|row| row.get(0)).collect();
        orders.sort_unstable();
        assert_eq!(orders, users.keys().copied().filter(|id| *id <= USERS).collect::<Vec<_>>());
    });
    column.reasons = &[(78, "`own`"), (1, "`own`"), (1, "error: misplaced: ")];
    column.run();
}

#[test]
fn a_trigger_that_always_fires() {
    let test = with_users(USERS);
    for number in 1..=3 {
        test.execute(
            number,
            "CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF coalesce(NEW.user_id, OLD.user_id) IN (3, 1001, 1102, 2001, 3001) THEN RETURN NULL; END IF; \
                 IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$; \
             CREATE TRIGGER own BEFORE INSERT OR UPDATE OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION own()",
        );
    }
    let mut column = Column::of("trigger", World::new(&test, 3));
    column.put = Box::new(|is_on| {
        for number in 1..=3 {
            let how = if is_on { "ENABLE ALWAYS" } else { "DISABLE" };
            test.execute(number, &format!("ALTER TABLE users {how} TRIGGER own"));
        }
    });
    column.reasons = &[(1, "trigger"), (65, "trigger"), (78, "`own`")];
    column.run();
}

/// A small file system that is unmounted in the end.
struct Small {
    path: PathBuf,
}

impl Small {
    /// One of so many KiB; `None`, with a notice, where none may be mounted.
    #[expect(clippy::print_stderr, reason = "a column that is not tested is named")]
    fn mount(kib: u32) -> Option<Self> {
        let path = tempfile::Builder::new().prefix("rsd").tempdir_in("/tmp").unwrap().keep();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={kib}k,mode=755"), "tmpfs"]).arg(&path);
        if !mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            fs::remove_dir(&path).unwrap();
            eprintln!("a full disk is not tested: this user cannot mount a file system");
            return None;
        }
        Some(Self { path })
    }

    /// Leaves no block free in it, or frees them again.
    fn fill(&self, is_on: bool) {
        let file = self.path.join("filler");
        if is_on {
            let _ = fs::write(&file, vec![1; 1 << 27]).unwrap_err();
        } else {
            fs::remove_file(&file).unwrap();
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
        let _ = fs::remove_dir(&self.path);
    }
}

#[test]
fn a_full_disk_at_a_shard() {
    let Some(small) = Small::mount(32 << 10) else { return };
    let owner = fs::metadata(socket_dir()).unwrap();
    chown(&small.path, Some(owner.uid()), Some(owner.gid())).unwrap();
    let test = with_users(USERS);
    let (database, space) = (test.database(2), format!("{}_space", test.database(2)));
    let location = small.path.display();
    admin().batch_execute(&format!("CREATE TABLESPACE {space} LOCATION '{location}'")).unwrap();
    test.allow(2, false);
    admin().batch_execute(&format!("ALTER DATABASE {database} SET TABLESPACE {space}")).unwrap();
    test.allow(2, true);
    // No page of the table has room for another row, and none gets any by itself while the test goes on.
    let mut client = test.client(2);
    client.batch_execute("ALTER TABLE users SET (autovacuum_enabled = off)").unwrap();
    let size = "SELECT pg_relation_size('users')";
    for id in ids_of(2, 10_000, 500) {
        client.execute("INSERT INTO users VALUES ($1, 'p', NULL, NULL)", &[&id]).unwrap();
        if client.query_one(size, &[]).unwrap().get::<_, i64>(0) > 8_192 {
            client.execute("DELETE FROM users WHERE user_id = $1", &[&id]).unwrap();
            client.batch_execute("VACUUM users").unwrap();
            break;
        }
    }
    assert_eq!(client.query_one(size, &[]).unwrap().get::<_, i64>(0), 8_192);
    drop(client);
    let mut column = Column::of("full disk", World::new(&test, 3));
    column.put = Box::new(|is_on| small.fill(is_on));
    column.reasons = &[(1, "No space left on device"), (6, "No space left on device")];
    // A session that is the first since the server changed its catalogs (as a vacuum does) writes a file.
    column.no_session = Some("could not write init file");
    column.run();
    drop(test);
    admin().batch_execute(&format!("DROP TABLESPACE {space}")).unwrap();
}

#[test]
fn a_full_disk_at_home() {
    let Some(small) = Small::mount(256) else { return };
    let test = with_users(USERS);
    let home: &Path = &small.path;
    let mut column = Column::of("full home", World::new(&test, 3));
    column.put = Box::new(|is_on| {
        if is_on {
            fs::copy(test.config(), home.join("ringshard.toml")).unwrap();
        }
        small.fill(is_on);
    });
    column.program = Box::new(|words| {
        let mut command = test.command();
        command.args(words).env("RINGSHARD_HOME", home).env("RINGSHARD_CONFIG", home.join("ringshard.toml"));
        command
    });
    column.reasons = &[(1, "No space left on device"), (78, "No space left on device")];
    column.run();
}

#[test]
fn a_clock_that_jumped() {
    let test = with_users(USERS);
    let state = test.home.path().join("state");
    let later = std::time::SystemTime::now() + Duration::from_hours(24 * 365);
    let seconds = later.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut column = Column::of("clock", World::new(&test, 3));
    // What earlier processes left is of next year.
    column.put = Box::new(|_| {
        let cluster = test.cluster_id(1);
        let down = format!("{{\"shard_1\": {seconds}, \"shard_2\": {seconds}}}");
        fs::write(state.join(format!("down-{cluster}.json")), down).unwrap();
        let rows = format!("{{\"shard_1\": [999, {seconds}]}}");
        fs::write(state.join(format!("rows-{cluster}.json")), rows).unwrap();
        for entry in fs::read_dir(&state).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file())
        {
            fs::File::options().write(true).open(entry.path()).unwrap().set_modified(later).unwrap();
        }
    });
    column.run();
}

#[test]
fn few_open_files() {
    let test = with_users(USERS);
    let mut column = Column::of("64 files", World::new(&test, 3));
    column.program = Box::new(|words| {
        let program = test.command();
        let mut command = Command::new("/bin/bash");
        command.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\"", BINARY]).args(words).env_clear();
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(test.home.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    });
    column.reasons = &[(1, "Too many open files")];
    column.run();
}

#[test]
fn a_standby_that_is_behind() {
    let (servers, standby) = with_standby();
    let mut column = Column::of("behind", World::new(&servers, 3));
    column.put = Box::new(|is_on| {
        if is_on {
            standby.signal_receiver(Signal::STOP);
            servers.client(2).execute("SELECT pg_logical_emit_message(true, 'matrix', 'it')", &[]).unwrap();
        } else {
            standby.signal_receiver(Signal::CONT);
            standby.wait_until_caught_up(&mut servers.client(2));
        }
    });
    column.program = Box::new(|words| {
        let mut command = servers.command();
        command.args(words).env("RINGSHARD_STANDBY_TIMEOUT_MS", "300");
        command
    });
    column.reasons = &[(75, "standby `walreceiver`")];
    column.run();
}

/// A cluster whose second shard is now on what was its standby.
struct FailedOver {
    servers: Servers,
    standby: Standby,
}

impl Cluster for FailedOver {
    fn home(&self) -> &Path {
        self.servers.home()
    }
    fn command(&self) -> Command {
        self.servers.command()
    }
    fn client(&self, number: usize) -> Client {
        if number == 2 { self.standby.client() } else { self.servers.client(number) }
    }
    fn url(&self, number: usize) -> String {
        if number == 2 { self.standby.url() } else { self.servers.url(number) }
    }
}

#[test]
fn a_failover_by_somebody_else() {
    let servers = Servers::filled();
    let standby = servers.standby_of(2);
    standby.wait_until_caught_up(&mut servers.client(2));
    servers.crash(2);
    standby.client().execute("SELECT pg_promote()", &[]).unwrap();
    let config = fs::read_to_string(servers.home().join("ringshard.toml")).unwrap();
    servers.write("ringshard.toml", config.replace(&servers.url(2), &standby.url()).as_bytes());
    let cluster = FailedOver { servers, standby };
    Column::of("failed over", World::new(&cluster, 3)).run();
}

/// Shards in databases of one server.
struct Many {
    servers: Servers,
    /// Sessions that were used before.
    sessions: RefCell<BTreeMap<usize, Client>>,
}

impl Cluster for Many {
    fn home(&self) -> &Path {
        self.servers.home()
    }
    fn command(&self) -> Command {
        self.servers.command()
    }
    fn client(&self, number: usize) -> Client {
        connect(self.servers.server(1), &format!("many_{number}"))
    }
    fn url(&self, number: usize) -> String {
        self.servers.url(1).replace("/users?", &format!("/many_{number}?"))
    }
    fn query(&self, number: usize, sql: &str) -> Vec<Row> {
        let mut sessions = self.sessions.borrow_mut();
        let session = sessions.entry(number).or_insert_with(|| self.client(number));
        session.query(sql, &[]).unwrap()
    }
}

#[test]
fn two_hundred_shards() {
    let servers = Servers::initialised(1);
    let mut admin = servers.client(1);
    for setting in ["max_connections = 600", "fsync = off"] {
        admin.batch_execute(&format!("ALTER SYSTEM SET {setting}")).unwrap();
    }
    drop(admin);
    servers.server(1).stop().unwrap();
    servers.start(1);
    let mut admin = servers.client(1);
    for number in 1..=200 {
        admin.batch_execute(&format!("CREATE DATABASE many_{number}")).unwrap();
    }
    admin.batch_execute("ALTER SYSTEM RESET fsync").unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").unwrap();
    fs::remove_file(servers.home().join("ringshard.toml")).unwrap();
    let cluster = Many { servers, sessions: RefCell::default() };
    let mut command = cluster.command();
    command.args(["init-shards", "--vnodes", "10"]);
    for number in 1..=200 {
        command.args(["--shard", &format!("shard_{number}={}", cluster.url(number))]);
    }
    Ran::of(command.spawn().unwrap()).success();
    cluster.servers.write("all.csv", &file_of(&users(1..USERS), FileFormat::Csv));
    cluster.servers.run(&["import", "all.csv"]).success();
    Column::of("200 shards", World::new(&cluster, 200)).run();
}
