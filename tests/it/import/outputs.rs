//! The files that commands write: their modes and links, devices and pipes, and what a signal leaves.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::harness::{BINARY, Ran, Test};
use crate::support::user_files::write;

/// Every way to write a file: the words before its name, and the beginning of the file.
const WRITERS: [(&[&str], &str); 4] = [
    (&["export"], "user_id,"),
    (&["report"], "<!DOCTYPE html>"),
    (&["ring", "show", "--svg"], "<svg"),
    (&["import", "bad.csv", "--on-conflict", "skip", "--rejects"], "user_id,name\nx,"),
];

/// A cluster with one user, and `bad.csv` with a record that is rejected.
fn prepared() -> Test {
    let test = Test::initialised();
    test.run(&["create-user", "--id", "1", "--name", "Ada"]).success();
    write(&test, "bad.csv", "user_id,name\nx,bad\n1,Ada\n");
    test
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// Runs a shell's line in which `$R` is the program.
fn shell(test: &Test, line: &str) -> Ran {
    let mut command = Command::new("/bin/sh");
    let program = test.command();
    command.args(["-c", line]).env_clear().current_dir(test.home.path()).env("R", BINARY);
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ran::of(command.spawn().unwrap())
}

#[test]
fn a_file_that_is_there_keeps_its_mode_and_its_links() {
    let test = prepared();
    let at = |name: &str| test.home.path().join(name);
    for (words, begin) in WRITERS {
        let run = |name: &str| {
            test.run(&[words, &[name]].concat()).success();
            let text = fs::read_to_string(at(name)).unwrap();
            assert!(text.starts_with(begin), "{words:?}: {text}");
        };
        write(&test, "secret", "before");
        fs::set_permissions(at("secret"), Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(at("real")).unwrap();
        symlink("../secret", at("real/link")).unwrap();
        symlink("real/new", at("dangling")).unwrap();
        write(&test, "one", "before");
        fs::hard_link(at("one"), at("other")).unwrap();
        for name in ["real/link", "secret", "dangling", "one"] {
            run(name);
        }
        assert_eq!(mode(&at("secret")), 0o600, "{words:?}");
        assert!(fs::symlink_metadata(at("real/link")).unwrap().is_symlink());
        assert!(fs::symlink_metadata(at("dangling")).unwrap().is_symlink());
        assert!(fs::read_to_string(at("real/new")).unwrap().starts_with(begin));
        assert!(fs::read_to_string(at("other")).unwrap().starts_with(begin));
        fs::remove_dir_all(at("real")).unwrap();
        for name in ["secret", "dangling", "one", "other"] {
            fs::remove_file(at(name)).unwrap();
        }
        // A new file follows the umask.
        shell(&test, &format!("umask 027; $R {} fresh", words.join(" "))).success();
        assert_eq!(mode(&at("fresh")), 0o640, "{words:?}");
        fs::remove_file(at("fresh")).unwrap();
    }
}

#[test]
fn the_configuration_and_man_pages_keep_their_modes_and_links() {
    let test = prepared();
    let at = |name: &str| test.home.path().join(name);
    assert_eq!(mode(&test.config()), 0o600);
    fs::rename(test.config(), at("elsewhere.toml")).unwrap();
    symlink("elsewhere.toml", test.config()).unwrap();
    fs::set_permissions(at("elsewhere.toml"), Permissions::from_mode(0o640)).unwrap();
    let before = fs::read_to_string(test.config()).unwrap();
    test.run(&["add-shard", "shard_4", &test.url(3).replace("_3?", "_4?")]).success();
    assert_ne!(fs::read_to_string(at("elsewhere.toml")).unwrap(), before);
    assert!(fs::symlink_metadata(test.config()).unwrap().is_symlink());
    assert_eq!(mode(&at("elsewhere.toml")), 0o640);

    test.run(&["man", "pages"]).success();
    let page = at("pages/ringshard.1");
    fs::rename(&page, at("page")).unwrap();
    symlink("../page", &page).unwrap();
    write(&test, "page", "before");
    fs::set_permissions(at("page"), Permissions::from_mode(0o600)).unwrap();
    test.run(&["man", "pages"]).success();
    assert!(fs::symlink_metadata(&page).unwrap().is_symlink());
    assert!(fs::read_to_string(at("page")).unwrap().contains("ringshard"));
    assert_eq!(mode(&at("page")), 0o600);
}

#[test]
fn descriptors_and_pipes_are_written_directly() {
    let test = prepared();
    let read = |name: &str| fs::read_to_string(test.home.path().join(name)).unwrap();
    for (words, begin) in WRITERS {
        let words = words.join(" ");
        // Never `/dev/stdout` itself, which a fault here would let root replace.
        for (line, file) in [
            ("echo head >f; $W /dev/fd/1 >>f", "f"),
            ("echo head >f; ln -s /dev/stdout l; $W l >>f; test -L l && rm l", "f"),
            ("{ echo head; $W /dev/fd/3 3>&1; } >f", "f"),
            ("exec 3>f; echo head >&3; $W /dev/fd/3 && echo tail >&3", "f"),
            ("echo head >f; mkfifo p; cat p >>f & $W p && wait; test -p p && rm p", "f"),
        ] {
            let line = line.replace("$W", &format!("$R -q {words}"));
            let ran = shell(&test, &line).success();
            let rest = read(file).strip_prefix("head\n").map(str::to_owned);
            let rest = rest.unwrap_or_else(|| panic!("{line}: {ran:?}"));
            // The report of an import goes to standard output, too.
            assert!(rest.contains(begin), "{line}: {rest}");
            assert!(!line.contains("tail") || rest.ends_with("tail\n"), "{line}: {rest}");
        }
    }
    // A reader that has gone is no failure, whatever the name of the pipe.
    for words in ["-q export", "-q report", "-q ring show --svg"] {
        for name in ["-", "/dev/fd/1", "/dev/fd/3"] {
            let line = format!("{{ $R {words} {name} 3>&1; echo $? >code; }} | true");
            assert_eq!(shell(&test, &line).success().stderr, "", "{line}");
            assert_eq!(read("code"), "0\n", "{line}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_an_error_and_leaves_nothing() {
    let test = prepared();
    symlink("/dev/full", test.home.path().join("full")).unwrap();
    let names = || fs::read_dir(test.home.path()).unwrap().count();
    let before = names();
    for (words, _) in WRITERS {
        for name in ["/dev/full", "full", "/dev/fd/1", "/dev/fd/3"] {
            let line = format!("$R {} {name} >/dev/full 3>&1", words.join(" "));
            shell(&test, &line).fails(1).says("No space left on device");
        }
    }
    assert!(fs::symlink_metadata("/dev/full").unwrap().mode() & 0o20_000 != 0);
    assert_eq!(names(), before);
}

/// Whether a process has a file of this folder open, with or without a name.
#[cfg(target_os = "linux")]
fn writes_below(pid: u32, folder: &Path) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target.starts_with(folder))
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_leaves_no_temporary_file() {
    let test = prepared();
    // Enough for a second of work.
    test.execute(2, "INSERT INTO users SELECT id, repeat('x', 90) FROM generate_series(2, 400000) AS id");
    fs::create_dir(test.home.path().join("out")).unwrap();
    write(&test, "out/users.csv", "before");
    let out = test.home.path().join("out").canonicalize().unwrap();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        for name in ["out/users.csv", "out/new.jsonl.gz"] {
            let child = test.command().args(["export", name]).spawn().unwrap();
            let begun = Instant::now();
            while !writes_below(child.id(), &out) {
                assert!(begun.elapsed() < Duration::from_secs(20), "the export does not begin");
                thread::sleep(Duration::from_millis(5));
            }
            kill_process(Pid::from_child(&child), signal).unwrap();
            assert_eq!(Ran::of(child).code, -1);
            let names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, ["users.csv"], "after {signal:?}");
            assert_eq!(fs::read_to_string(out.join("users.csv")).unwrap(), "before");
        }
    }
}
