//! Tests that need root: users, modes, and a full disk.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ringshard::error::Kind;
use ringshard::local::PrivateServer;

use crate::harness::{
    Home, NOBODY, copy_program, failure, is_root, outcome, programs, server_user, set_mode,
};
/// A small file system that is unmounted in the end.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_reported() {
    let home = Home::new();
    fs::create_dir(&home.path).unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs"]).arg(&home.path).stderr(Stdio::null());
    if !is_root() || !mount.status().is_ok_and(|status| status.success()) {
        return;
    }
    let mounted = Mounted(home.path.clone());
    failure(home.server.ensure_running(), Kind::Failed, &["No space left on device"]);
    assert!(!home.server.exists().unwrap());
    home.server.destroy().unwrap();
    drop(mounted);
}

#[test]
fn root_runs_the_server_as_another_user() {
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
    // Without a user `postgres` the server runs as `nobody`, so this is another user.
    let output = as_user(NOBODY - 1, &home, None);
    assert!(
        output.starts_with("failed permission") && output.contains(home.folder().to_str().unwrap()),
        "{output}"
    );
}

/// The outcome of a child process of the user `nobody`.
fn as_nobody(home: &Home, act: Option<&str>) -> String {
    as_user(NOBODY, home, act)
}

fn as_user(user: u32, home: &Home, act: Option<&str>) -> String {
    let program = home.above.path().join("tests");
    copy_program(&std::env::current_exe().unwrap(), &program);
    let mut command = Command::new(program);
    command.args(["child_process", "--exact", "--nocapture"]).env("RINGSHARD_TEST_HOME", &home.path);
    command.uid(user).gid(user).current_dir("/").env_remove("HOME");
    command.env("RINGSHARD_TEST_ACT", act.unwrap_or_default());
    outcome(&command.output().unwrap())
}

#[test]
fn the_server_works_without_root() {
    if !is_root() {
        return; // all other tests are this one
    }
    let home = Home::new();
    let output = as_nobody(&home, None);
    assert!(output.starts_with("failed permission: cannot make folder"), "{output}");
    fs::create_dir(&home.path).unwrap();
    chown(&home.path, Some(NOBODY), Some(NOBODY)).unwrap();
    let output = as_nobody(&home, Some("whole life"));
    assert_eq!(output, format!("lived {NOBODY} (true, false, true) false"));
    // Root can use a server of another user, as that user.
    assert_eq!(as_nobody(&home, None), "started=true");
    let server = PrivateServer::at(Some(&home.path), programs().as_deref()).unwrap();
    assert_eq!(server.status().unwrap().run_as.as_deref(), Some("nobody"));
    assert!(server.accepts());
    assert!(server.stop().unwrap() && server.ensure_running().unwrap());
    assert_eq!(as_nobody(&home, None), "started=false");
    assert!(server.destroy().unwrap());
}

#[test]
fn an_unreachable_home_has_its_server_elsewhere() {
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
    // It stays there when the home becomes reachable.
    set_mode(home.above.path(), 0o755);
    let again = PrivateServer::at(Some(&home.path), None).unwrap();
    assert!(again.accepts() && again.data() == status.data);
    assert!(home.server.destroy().unwrap());
    assert!(!home.folder().exists());
}

#[test]
fn unreachable_programs_are_skipped() {
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
    let words = [closed.to_str().unwrap(), "permission denied", "as which the private server runs"];
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
