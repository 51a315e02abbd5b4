//! The private Postgres on real programs: those in `RINGSHARD_PG_BIN`, else the machine's.
//!
//! Run as root, the servers belong to another user, and some tests also act as `nobody`; run as anybody else, the
//! tests that need root end at once. Every server is stopped and removed when its `Home` is dropped.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use ringshard::error::{Error, Kind};
use ringshard::local::PrivateServer;
use rustix::process::{Pid, Signal, geteuid, kill_process, test_kill_process};
use tempfile::TempDir;

const NOBODY: u32 = 65534;

fn programs() -> Option<PathBuf> {
    std::env::var_os("RINGSHARD_PG_BIN").filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn is_root() -> bool {
    geteuid().is_root()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A folder in `/tmp` that all users may pass.
fn open_folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("rs").tempdir_in("/tmp").unwrap();
    set_mode(folder.path(), 0o755);
    folder
}

/// A home with a server that is removed in the end.
struct Home {
    server: PrivateServer,
    path: PathBuf,
    above: TempDir,
}

impl Home {
    fn new() -> Self {
        Self::named("home")
    }

    fn named(name: impl AsRef<OsStr>) -> Self {
        let above = open_folder();
        let path = above.path().join(name.as_ref());
        let server = PrivateServer::at(Some(&path), programs().as_deref()).unwrap();
        Self { server, path, above }
    }

    fn with_programs(&self, programs: &Path) -> PrivateServer {
        PrivateServer::at(Some(&self.path), Some(programs)).unwrap()
    }

    fn connect(&self) -> Client {
        connect(&self.server)
    }

    fn query(&self, sql: &str) -> String {
        let row = self.connect().query_one(sql, &[]).unwrap();
        row.get(0)
    }

    fn pid(&self) -> u32 {
        self.server.status().unwrap().pid.expect("the server runs")
    }

    fn folder(&self) -> &Path {
        self.server.data().parent().unwrap()
    }

    /// A child process that calls `ensure_running` here and tells the outcome on its stdout.
    fn starter(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["child_process", "--exact", "--nocapture"]).env("RINGSHARD_TEST_HOME", &self.path);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let destroyed = self.server.destroy();
        if !std::thread::panicking() {
            destroyed.unwrap();
            assert!(!self.server.socket_dir().exists());
        }
    }
}

fn connect(server: &PrivateServer) -> Client {
    let mut config = postgres::Config::new();
    config.host_path(server.socket_dir()).port(server.port()).user(PrivateServer::USER).dbname("postgres");
    config.connect(NoTls).unwrap()
}

/// Not a test of its own: what the child processes of the tests do.
#[test]
fn child_process() {
    let Some(home) = std::env::var_os("RINGSHARD_TEST_HOME") else { return };
    let server = PrivateServer::at(Some(home.as_ref()), programs().as_deref()).unwrap();
    let act = std::env::var("RINGSHARD_TEST_ACT").unwrap_or_default();
    let outcome = server.ensure_running();
    let told = match (&outcome, act.as_str()) {
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
    writeln!(std::io::stdout(), "\noutcome: {told}").unwrap();
}

fn outcome(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let told = text.lines().find_map(|line| line.strip_prefix("outcome: "));
    told.unwrap_or_else(|| panic!("no outcome: {text}{}", String::from_utf8_lossy(&output.stderr))).to_owned()
}

/// Polls until the condition holds.
fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.cast_signed()).unwrap()
}

fn kill(number: u32, signal: Signal) {
    kill_process(pid(number), signal).unwrap();
}

fn kill_hard(home: &Home) {
    kill(home.pid(), Signal::KILL);
}

fn failure<T: std::fmt::Debug>(result: Result<T, Error>, kind: Kind, words: &[&str]) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.message().contains(word), "`{word}` in: {error}");
    }
    assert!(!error.message().contains('\n') && !error.message().ends_with('.'), "{error}");
    error
}

/// A living process of the server's user that ends with its owner.
struct Sleeper(Child);

impl Sleeper {
    fn of_owner(path: &Path) -> Self {
        let owner = fs::metadata(path).unwrap();
        let mut command = Command::new("sleep");
        command.arg("600").current_dir(path);
        if is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        Self(command.spawn().unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Real programs behind an `initdb` that writes its number to a file first.
fn watched_programs(home: &Home, initdb: &str) -> (PathBuf, PathBuf) {
    let real = home.server.status().unwrap().binaries.expect("Postgres is installed");
    let folder = home.above.path().join("bin");
    let notes = home.above.path().join("notes");
    for made in [&folder, &notes] {
        fs::create_dir(made).unwrap();
    }
    set_mode(&folder, 0o755);
    set_mode(&notes, 0o777);
    symlink(real.join("postgres"), folder.join("postgres")).unwrap();
    symlink(real.join("pg_ctl"), folder.join("pg_ctl")).unwrap();
    let note = notes.join("initdb.pid");
    let script = initdb.replace("NOTE", note.to_str().unwrap()).replace("REAL", real.to_str().unwrap());
    fs::write(folder.join("initdb"), script).unwrap();
    set_mode(&folder.join("initdb"), 0o755);
    (folder, note)
}

const WATCHED_INITDB: &str =
    "#!/bin/sh\necho $$ > 'NOTE.new'; mv 'NOTE.new' 'NOTE'\nexec 'REAL/initdb' \"$@\"\n";

/// Waits until initdb is half-way and tells its number.
fn half_way(home: &Home, note: &Path) -> u32 {
    let number = until("initdb", || fs::read_to_string(note).ok()?.trim().parse().ok());
    until("half a cluster", || {
        let children = fs::read_dir(home.folder()).ok()?.flatten();
        let mut unfinished = children.filter(|child| child.file_name().as_bytes().starts_with(b"new-"));
        unfinished.next()?.path().join("postgresql.conf").exists().then_some(())
    });
    number
}

#[test]
fn eight_processes_start_it_at_once() {
    let home = Home::new();
    assert!(!home.server.exists() && !home.server.accepts());
    assert!(!home.path.exists(), "looking makes nothing");
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
    let told: Vec<String> =
        children.into_iter().map(|child| outcome(&child.wait_with_output().unwrap())).collect();
    assert_eq!(told.iter().filter(|told| *told == "started=true").count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|told| *told == "started=false").count(), 7, "{told:?}");

    let status = home.server.status().unwrap();
    assert!(status.running && home.server.exists());
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
}

#[test]
fn data_outlives_kill_and_stop() {
    let home = Home::new();
    assert!(home.server.ensure_running().unwrap());
    home.connect().batch_execute("create table kept as select 'yes' as word").unwrap();
    for _ in 0..2 {
        kill_hard(&home);
        // For a moment the socket of the dead server may still answer.
        until("a living server", || {
            home.server.ensure_running().unwrap();
            Client::connect(&format!("host={} user=postgres", home.server.socket_dir().display()), NoTls).ok()
        });
        assert_eq!(home.query("select word from kept"), "yes");
    }
    let mut client = home.connect();
    assert!(home.server.stop().unwrap());
    assert!(client.simple_query("select 1").is_err());
    assert!(!home.server.stop().unwrap());
    assert!(!home.server.accepts());
    let status = home.server.status().unwrap();
    assert!(!status.running && status.pid.is_none() && home.server.exists());
    assert!(home.server.ensure_running().unwrap());
    assert_eq!(home.query("select word from kept"), "yes");
    // A server without its socket is of no use: /tmp is swept on many machines.
    fs::remove_file(home.server.socket_dir().join(".s.PGSQL.5432")).unwrap();
    assert!(!home.server.accepts());
    assert!(home.server.ensure_running().unwrap());
    assert_eq!(home.query("select word from kept"), "yes");
}

#[test]
fn initdb_killed_half_way_leaves_nothing() {
    let home = Home::new();
    let (programs, note) = watched_programs(&home, WATCHED_INITDB);
    let mut starter = home.starter();
    let child = starter.env("RINGSHARD_PG_BIN", &programs).spawn().unwrap();
    kill(half_way(&home, &note), Signal::KILL);
    let told = outcome(&child.wait_with_output().unwrap());
    assert!(told.starts_with("failed failed: cannot make the private server's data"), "{told}");
    assert!(!home.server.exists());
    assert!(home.server.ensure_running().unwrap());
    assert_eq!(home.query("select 'up'"), "up");
}

#[test]
fn initdb_that_outlives_its_parent_does_no_harm() {
    let home = Home::new();
    let (programs, note) = watched_programs(&home, WATCHED_INITDB);
    let mut starter = home.starter();
    let mut child = starter.env("RINGSHARD_PG_BIN", &programs).spawn().unwrap();
    let initdb = half_way(&home, &note);
    kill(initdb, Signal::STOP);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(home.server.ensure_running().unwrap());
    kill(initdb, Signal::CONT);
    until("the end of initdb", || {
        let gone = fs::read(format!("/proc/{initdb}/cmdline")).is_ok_and(|words| words.is_empty());
        (gone || test_kill_process(pid(initdb)).is_err()).then_some(())
    });
    assert_eq!(home.query("select 'up'"), "up");
    assert!(home.server.stop().unwrap() && home.server.ensure_running().unwrap());
    assert_eq!(home.query("select 'up'"), "up");
    assert!(home.server.destroy().unwrap());
    assert!(!home.folder().exists());
}

#[test]
fn stale_number_of_another_process_is_not_believed() {
    let home = Home::new();
    assert!(home.server.ensure_running().unwrap());
    let pid_file = home.server.data().join("postmaster.pid");
    let claim = |number: u32| {
        // As after a crash: the files of the dead server, with a number that is now another's.
        let text = fs::read_to_string(&pid_file).unwrap();
        let lock = home.server.socket_dir().join(".s.PGSQL.5432.lock");
        let lock_text = fs::read_to_string(&lock).unwrap();
        let server = home.pid();
        kill(server, Signal::KILL);
        until("the end of the server", || home.server.status().unwrap().pid.is_none().then_some(()));
        for (path, text) in [(&pid_file, text), (&lock, lock_text)] {
            fs::write(path, text.replacen(&server.to_string(), &number.to_string(), 1)).unwrap();
        }
    };

    // A process of the same user that even lives in the data folder.
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
    until("the end of the server", || home.server.status().unwrap().pid.is_none().then_some(()));
    fs::write(&pid_file, "").unwrap();
    assert!(home.server.ensure_running().unwrap());
    assert_eq!(home.query("select 'up'"), "up");
}

#[test]
fn long_home_has_its_socket_elsewhere() {
    let home = Home::named("a".repeat(120));
    let socket_dir = home.server.socket_dir().to_path_buf();
    let owner = if is_root() { server_user() } else { geteuid().as_raw() };
    assert!(socket_dir.to_str().unwrap().starts_with(&format!("/tmp/ringshard-{owner}-")), "{socket_dir:?}");
    if is_root() {
        // Somebody else was there first, and listens.
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
    // A link into a folder of ours is not followed.
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

fn server_user() -> u32 {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let uid = |name: &str| {
        users.lines().find(|line| line.starts_with(&format!("{name}:")))?.split(':').nth(2)?.parse().ok()
    };
    uid("postgres").or_else(|| uid("_postgres")).unwrap_or(NOBODY)
}

#[test]
fn home_may_have_any_name() {
    let odd = "a b'c\"d$HOME $(touch oh)`touch oh`\\e,f;g é*";
    let home = Home::named(odd);
    assert!(home.server.ensure_running().unwrap());
    assert_eq!(home.query("select current_setting('data_directory')"), home.server.data().to_str().unwrap());
    assert!(home.server.socket_dir().starts_with("/tmp/"));
    // The same home by another spelling.
    let spelled = home.above.path().join("nothing/..").join(odd).join(".");
    assert_eq!(PrivateServer::at(Some(&spelled), None).unwrap().socket_dir(), home.server.socket_dir());
    kill_hard(&home);
    until("the end of the server", || home.server.status().unwrap().pid.is_none().then_some(()));
    assert!(home.server.ensure_running().unwrap());
    assert_eq!(home.query("select 'up'"), "up");
    assert!(home.server.stop().unwrap());

    let broken = PrivateServer::at(Some(&home.above.path().join("a\nb")), None);
    failure(
        broken.map(|_| ()).map_err(|error| Error::new(error.kind(), "line break")),
        Kind::Configuration,
        &[],
    );
}

#[cfg(target_os = "linux")]
#[test]
fn home_need_not_be_utf_8() {
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
    assert!(!home.server.exists() && !home.server.accepts());
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
    failure(home.server.ensure_running(), Kind::Configuration, &["no data folder of Postgres"]);
    fs::write(&version, text).unwrap();

    let empty = home.above.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let error =
        failure(home.with_programs(&empty).ensure_running(), Kind::Configuration, &["empty` holds no"]);
    assert!(error.hint_text().unwrap().contains("RINGSHARD_PG_BIN"));
    assert!(home.server.ensure_running().unwrap());
}

#[test]
fn failing_initdb_speaks_and_leaves_nothing() {
    let home = Home::new();
    let script = "#!/bin/sh\necho 'no such luck' >&2\nexit 1\n";
    let (programs, _) = watched_programs(&home, script);
    failure(home.with_programs(&programs).ensure_running(), Kind::Failed, &["no such luck"]);
    let left: Vec<_> =
        fs::read_dir(home.folder()).unwrap().flatten().map(|child| child.file_name()).collect();
    assert!(left.iter().all(|name| name == "lock" || name == "run"), "{left:?}");
}

/// A small file system that is unmounted in the end.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn full_disk_is_told() {
    let home = Home::new();
    fs::create_dir(&home.path).unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs"]).arg(&home.path).stderr(Stdio::null());
    if !is_root() || !mount.status().is_ok_and(|status| status.success()) {
        return;
    }
    let mounted = Mounted(home.path.clone());
    failure(home.server.ensure_running(), Kind::Failed, &["No space left on device"]);
    assert!(!home.server.exists());
    home.server.destroy().unwrap();
    drop(mounted);
}

#[test]
fn root_gives_it_to_another_user() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    fs::create_dir(&home.path).unwrap();
    set_mode(&home.path, 0o700);
    assert!(home.server.ensure_running().unwrap());
    assert_eq!(fs::metadata(&home.path).unwrap().mode() & 0o7777, 0o711);
    let status = home.server.status().unwrap();
    assert!(status.data.starts_with(&home.path));
    let process = fs::read_to_string(format!("/proc/{}/status", status.pid.unwrap())).unwrap();
    let field =
        |name: &str| process.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let uid = server_user().to_string();
    assert_eq!(field("Uid:").split_whitespace().collect::<Vec<_>>(), [uid.as_str(); 4]);
    assert!(field("Groups:").split_whitespace().all(|group| group != "0"), "{process}");
    assert_eq!(fs::metadata(home.folder()).unwrap().uid(), 0);
    assert!(status.run_as.is_some());
    let told = as_nobody(&home, None);
    assert!(
        told.starts_with("failed permission") && told.contains(home.folder().to_str().unwrap()),
        "{told}"
    );
}

/// What a child of the user `nobody` tells.
fn as_nobody(home: &Home, act: Option<&str>) -> String {
    let program = home.above.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    set_mode(&program, 0o755);
    let mut command = Command::new(program);
    command.args(["child_process", "--exact", "--nocapture"]).env("RINGSHARD_TEST_HOME", &home.path);
    command.uid(NOBODY).gid(NOBODY).current_dir("/").env_remove("HOME");
    command.env("RINGSHARD_TEST_ACT", act.unwrap_or_default());
    outcome(&command.output().unwrap())
}

#[test]
fn whole_life_without_root() {
    if !is_root() {
        return; // all other tests are this one
    }
    let home = Home::new();
    let told = as_nobody(&home, None);
    assert!(told.starts_with("failed permission: cannot make folder"), "{told}");
    fs::create_dir(&home.path).unwrap();
    chown(&home.path, Some(NOBODY), Some(NOBODY)).unwrap();
    let told = as_nobody(&home, Some("whole life"));
    assert_eq!(told, format!("lived {NOBODY} (true, false, true) false"));
    // A server that belongs to somebody is also root's to use, as that somebody.
    assert_eq!(as_nobody(&home, None), "started=true");
    let server = PrivateServer::at(Some(&home.path), programs().as_deref()).unwrap();
    assert_eq!(server.status().unwrap().run_as.as_deref(), Some("nobody"));
    assert!(server.accepts());
    assert!(server.stop().unwrap() && server.ensure_running().unwrap());
    assert_eq!(as_nobody(&home, None), "started=false");
    assert!(server.destroy().unwrap());
}

#[test]
fn home_out_of_reach_has_its_server_elsewhere() {
    if !is_root() {
        return;
    }
    let mut home = Home::new();
    set_mode(home.above.path(), 0o700);
    home.server = PrivateServer::at(Some(&home.path), programs().as_deref()).unwrap();
    assert!(home.server.ensure_running().unwrap());
    let status = home.server.status().unwrap();
    assert!(status.data.starts_with("/var/lib/ringshard/homes"), "{status:?}");
    assert_eq!(home.query("select 'up'"), "up");
    assert!(!home.path.exists());
    assert_eq!(fs::metadata(home.above.path()).unwrap().mode() & 0o777, 0o700);
    // It stays there when the way is free one day.
    set_mode(home.above.path(), 0o755);
    let again = PrivateServer::at(Some(&home.path), None).unwrap();
    assert!(again.accepts() && again.data() == status.data);
    assert!(home.server.destroy().unwrap());
    assert!(!home.folder().exists());
}

#[test]
fn programs_out_of_reach_are_passed_over() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let real = home.server.status().unwrap().binaries.unwrap();
    let closed = home.above.path().join("closed");
    fs::create_dir(&closed).unwrap();
    for program in ["postgres", "initdb", "pg_ctl"] {
        symlink(real.join(program), closed.join(program)).unwrap();
    }
    set_mode(&closed, 0o700);
    let words = [closed.to_str().unwrap(), "permission denied", "whom the private server runs as"];
    failure(home.with_programs(&closed).ensure_running(), Kind::Permission, &words);
    let mut path = closed.as_os_str().to_owned();
    path.push(":");
    path.push(&real);
    path.push(":/usr/bin:/bin");
    let mut starter = home.starter();
    starter.env("PATH", path).env_remove("RINGSHARD_PG_BIN");
    assert_eq!(outcome(&starter.output().unwrap()), "started=true");
    assert_eq!(home.query("select 'up'"), "up");
}
