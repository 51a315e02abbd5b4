//! The private Postgres of another home: it is found, or nothing says that its data is lost.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command};

use tempfile::TempDir;

use crate::support::harness::{BINARY, Ran, clean_up_after, command_in};

/// A home with a private server, and a folder for its user and for other homes.
struct Homes {
    above: TempDir,
    home: PathBuf,
    _watched: ChildStdin,
}

impl Homes {
    /// A cluster with user 1, whose configuration is in the folder `project` if that is not the home.
    fn new(project: &str) -> Self {
        let above = tempfile::Builder::new().prefix("rsl").tempdir_in("/tmp").unwrap();
        fs::set_permissions(above.path(), Permissions::from_mode(0o755)).unwrap();
        let (home, project) = (above.path().join("home"), above.path().join(project));
        for folder in [&home, &project, &above.path().join("other")] {
            fs::create_dir_all(folder).unwrap();
        }
        if project != home {
            fs::write(project.join("ringshard.toml"), "# mine\n").unwrap();
        }
        let homes = Self { _watched: clean_up_after(&home), above, home };
        homes.run(&homes.home, &project, &["init-shards", "--shards", "1"]).success();
        homes.run(&homes.home, &project, &["create-user", "--id", "1", "--name", "x"]).success();
        homes
    }

    fn path(&self, name: &str) -> PathBuf {
        self.above.path().join(name)
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = command_in(folder);
        command.env("HOME", self.path("other")).env_remove("RINGSHARD_HOME");
        if let Some(programs) = std::env::var_os("RINGSHARD_PG_BIN") {
            command.env("RINGSHARD_PG_BIN", programs);
        }
        command
    }

    /// With this `RINGSHARD_HOME`.
    fn run(&self, home: &Path, folder: &Path, words: &[&str]) -> Ran {
        Ran::of(self.command(folder).env("RINGSHARD_HOME", home).args(words).spawn().unwrap())
    }

    /// Without `RINGSHARD_HOME`.
    fn run_in(&self, folder: &Path, words: &[&str]) -> Ran {
        Ran::of(self.command(folder).args(words).spawn().unwrap())
    }
}

#[track_caller]
fn counts_one(ran: Ran) {
    assert_eq!(ran.success().stdout, "1\n");
}

#[test]
fn a_home_is_found_by_its_configuration() {
    let homes = Homes::new("home");
    let (home, other) = (&homes.home, homes.path("other"));
    counts_one(homes.run_in(home, &["count"]));
    homes.run_in(home, &["doctor"]).success();
    assert!(homes.run_in(home, &["init-shards"]).success().stdout.contains("unchanged"));
    // Another home is set; a stopped server is started.
    homes.run_in(home, &["local", "stop"]).success();
    counts_one(homes.run(&other, home, &["count"]));
    assert!(!other.join("postgres").exists());
    // What the commands of `local` are about is what the user named.
    assert!(homes.run(&other, home, &["local", "destroy", "-y"]).stderr.contains("no private Postgres"));
    // By another name, and under a new one.
    symlink(home, homes.path("link")).unwrap();
    counts_one(homes.run_in(&homes.path("link"), &["count"]));
    counts_one(homes.run(&homes.path("link"), &other, &["count"]));
    let moved = homes.path("moved");
    fs::rename(home, &moved).unwrap();
    counts_one(homes.run(home, &moved, &["count"]));
    counts_one(homes.run_in(&moved, &["count"]));
    assert!(!home.join("postgres").exists());
    fs::remove_dir_all(home).unwrap();
    fs::rename(&moved, home).unwrap();
}

#[test]
fn a_configuration_elsewhere_names_the_home() {
    let homes = Homes::new("project");
    let (home, project) = (&homes.home, homes.path("project"));
    counts_one(homes.run_in(&project, &["count"]));
    counts_one(homes.run(&homes.path("other"), &project, &["count"]));
    // The home is moved: nothing is made anew unasked.
    let file = fs::read_to_string(project.join("ringshard.toml")).unwrap();
    homes.run_in(&project, &["local", "stop"]).success();
    let moved = homes.path("moved");
    fs::rename(home, &moved).unwrap();
    let there = format!("there is none in `{}`", home.display());
    homes.run_in(&project, &["count"]).fails(69).says(&there).says("set RINGSHARD_HOME");
    homes.run_in(&project, &["doctor"]).fails(69);
    homes.run_in(&project, &["init-shards"]).fails(3).says("may be in another RINGSHARD_HOME");
    assert_eq!(fs::read_to_string(project.join("ringshard.toml")).unwrap(), file);
    assert!(!home.exists());
    counts_one(homes.run(&moved, &project, &["count"]));
    fs::rename(&moved, home).unwrap();
    // A file of an older version does not name it.
    let line = format!("local_home = \"{}\"\n", home.display());
    assert!(file.contains(&line), "{file}");
    fs::write(project.join("ringshard.toml"), file.replace(&line, "")).unwrap();
    homes.run(&homes.path("other"), &project, &["init-shards"]).fails(3).says("names a cluster");
    counts_one(homes.run(home, &project, &["count"]));
}

#[test]
fn a_home_that_cannot_be_looked_at_is_not_lost() {
    let homes = Homes::new("project");
    let project = homes.path("project");
    let is_root = rustix::process::geteuid().is_root();
    // Root may look anywhere.
    let program = homes.path("ringshard");
    assert!(Command::new("cp").arg(BINARY).arg(&program).status().unwrap().success());
    fs::set_permissions(project.join("ringshard.toml"), Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(&homes.home, Permissions::from_mode(0o0)).unwrap();
    for words in [&["count"][..], &["init-shards", "-y"]] {
        let mut command = Command::new(&program);
        command.env_clear().current_dir(&project).args(words);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        if is_root {
            command.uid(65534).gid(65534);
        }
        let ran = Ran::of(command.spawn().unwrap()).fails(77).says("permission denied").says("the owner of");
        assert!(!ran.stderr.contains("empty") && !ran.stderr.contains("deleted"), "{ran:?}");
    }
    fs::set_permissions(&homes.home, Permissions::from_mode(0o711)).unwrap();
}

#[test]
fn the_socket_of_a_private_server_names_its_home() {
    let homes = Homes::new("home");
    let url = format!("postgresql://postgres@/shard_1?host={}/postgres/run", homes.home.display());
    let run = || {
        let mut command = homes.command(&homes.path("other"));
        command.env("RINGSHARD_SHARDS", format!("shard_1={url}"));
        Ran::of(command.arg("count").spawn().unwrap())
    };
    counts_one(run());
    homes.run_in(&homes.home, &["local", "stop"]).success();
    let ran = run().fails(69);
    let hint = ran.stderr.split("hint: ").nth(1).unwrap().split(" starts its").next().unwrap();
    let typed = hint.replace("ringshard local", &format!("{BINARY} local"));
    let mut shell = Command::new("/bin/sh");
    for (name, value) in homes.command(&homes.path("other")).get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    assert!(shell.args(["-c", &typed]).output().unwrap().status.success(), "{typed}");
    counts_one(run());
    // Its data is missing: no server is named.
    homes.run_in(&homes.home, &["local", "destroy", "-y"]).success();
    assert!(!run().fails(69).stderr.contains("RINGSHARD_HOME"));
}
