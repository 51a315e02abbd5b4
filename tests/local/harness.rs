//! A home for each test, queries to its server, and processes that disturb it.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use ringshard::error::{Error, Kind};
use ringshard::local::PrivateServer;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;
pub(crate) const NOBODY: u32 = 65534;

pub(crate) fn programs() -> Option<PathBuf> {
    std::env::var_os("RINGSHARD_PG_BIN").filter(|value| !value.is_empty()).map(PathBuf::from)
}

pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A folder in `/tmp` that all users may enter.
pub(crate) fn open_folder() -> TempDir {
    let folder = tempfile::Builder::new().prefix("rs").tempdir_in("/tmp").unwrap();
    set_mode(folder.path(), 0o755);
    folder
}

/// A home with a server that is removed in the end.
pub(crate) struct Home {
    pub(crate) server: PrivateServer,
    pub(crate) path: PathBuf,
    pub(crate) above: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::named("home")
    }

    pub(crate) fn named(name: impl AsRef<OsStr>) -> Self {
        let above = open_folder();
        let path = above.path().join(name.as_ref());
        let server = PrivateServer::at(Some(&path), programs().as_deref()).unwrap();
        Self { server, path, above }
    }

    pub(crate) fn with_programs(&self, programs: &Path) -> PrivateServer {
        PrivateServer::at(Some(&self.path), Some(programs)).unwrap()
    }

    pub(crate) fn connect(&self) -> Client {
        connect(&self.server)
    }

    pub(crate) fn query(&self, sql: &str) -> String {
        let row = self.connect().query_one(sql, &[]).unwrap();
        row.get(0)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.status().unwrap().pid.expect("the server runs")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.server.data().parent().unwrap()
    }

    /// A child process that calls `ensure_running` here and tells the outcome on its stdout.
    pub(crate) fn starter(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["child_process", "--exact", "--nocapture"]).env("RINGSHARD_TEST_HOME", &self.path);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let destroyed = self.server.destroy();
        if std::thread::panicking() {
            let _ = fs::remove_dir_all(self.server.socket_dir());
        } else {
            destroyed.unwrap();
            assert!(!self.server.socket_dir().exists());
        }
    }
}

pub(crate) fn connect(server: &PrivateServer) -> Client {
    let mut config = postgres::Config::new();
    config.host_path(server.socket_dir()).port(server.port()).user(PrivateServer::USER).dbname("postgres");
    config.connect(NoTls).unwrap()
}

pub(crate) fn outcome(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("outcome: "));
    line.unwrap_or_else(|| panic!("no outcome: {text}{}", String::from_utf8_lossy(&output.stderr))).to_owned()
}

/// Polls until the condition holds.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn pid(number: u32) -> Pid {
    Pid::from_raw(number.cast_signed()).unwrap()
}

pub(crate) fn kill(number: u32, signal: Signal) {
    kill_process(pid(number), signal).unwrap();
}

pub(crate) fn kill_hard(home: &Home) {
    kill(home.pid(), Signal::KILL);
}

pub(crate) fn failure<T: std::fmt::Debug>(result: Result<T, Error>, kind: Kind, words: &[&str]) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.message().contains(word), "`{word}` in: {error}");
    }
    assert!(!error.message().contains('\n') && !error.message().ends_with('.'), "{error}");
    error
}

/// A running process of the server's user, which is killed on drop.
pub(crate) struct Sleeper(pub(crate) Child);

impl Sleeper {
    pub(crate) fn of_owner(path: &Path) -> Self {
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

/// The real programs, with an `initdb` that first writes its process id to a file.
pub(crate) fn watched_programs(home: &Home, initdb: &str) -> (PathBuf, PathBuf) {
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
    let text = notes.join("initdb.sh");
    fs::write(&text, script).unwrap();
    copy_program(&text, &folder.join("initdb"));
    (folder, note)
}

pub(crate) const WATCHED_INITDB: &str =
    "#!/bin/sh\necho $$ > 'NOTE.new'; mv 'NOTE.new' 'NOTE'\nexec 'REAL/initdb' \"$@\"\n";

/// Waits until initdb has written half of the data, and returns its process id.
pub(crate) fn half_way(home: &Home, note: &Path) -> u32 {
    let number = until("initdb", || fs::read_to_string(note).ok()?.trim().parse().ok());
    until("half a cluster", || {
        let children = fs::read_dir(home.folder()).ok()?.flatten();
        let mut unfinished = children.filter(|child| child.file_name().as_bytes().starts_with(b"new-"));
        unfinished.next()?.path().join("postgresql.conf").exists().then_some(())
    });
    number
}

pub(crate) fn server_user() -> u32 {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let uid = |name: &str| {
        users.lines().find(|line| line.starts_with(&format!("{name}:")))?.split(':').nth(2)?.parse().ok()
    };
    uid("postgres").or_else(|| uid("_postgres")).unwrap_or(NOBODY)
}

/// Whether a server's folder holds unfinished data.
pub(crate) fn holds_unfinished(folder: &Path) -> bool {
    let mut children = fs::read_dir(folder).unwrap().flatten();
    children.any(|child| child.file_name().as_bytes().starts_with(b"new-"))
}

/// Waits until a killed server has ended.
pub(crate) fn wait_for_end(home: &Home) {
    until("the end of the server", || {
        (home.server.status().unwrap().pid.is_none() && !home.server.accepts()).then_some(())
    });
}

/// A process that is stopped until this is dropped, also on panic: a client of it would wait forever.
pub(crate) struct Stopped(u32);

impl Stopped {
    pub(crate) fn new(number: u32) -> Self {
        kill(number, Signal::STOP);
        Self(number)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill_process(pid(self.0), Signal::CONT);
    }
}

/// Copies a program by another process: one that was written here is busy while a child of another test, on its way
/// to its own program, still holds it open.
pub(crate) fn copy_program(from: &Path, to: &Path) {
    assert!(Command::new("cp").args([from, to]).status().unwrap().success());
    set_mode(to, 0o755);
}
