//! Formats, streams, and the files that are made from the definition of the command line.

use std::io::Read as _;
use std::path::Path;

use clap_complete::Shell;
use ringshard::commands::setup::completions::{man_pages, script};

use crate::support::harness::{Ran, Test};

#[test]
fn formats_of_one_user() {
    let test = Test::initialised();
    test.run(&["create-user", "--id", "1", "--name", "A, \"B\"", "--email", ""]).success();
    let run = |words: &[&str]| {
        let words: Vec<&str> = ["get-user", "1"].iter().chain(words).copied().collect();
        test.run(&words).success().stdout
    };
    assert_eq!(run(&[]), "1\tA, \"B\"\t\\N\t\n");
    assert_eq!(run(&["-o", "tsv"]), "user_id\tname\tregion\temail\n1\tA, \"B\"\t\\N\t\n");
    assert_eq!(run(&["-o", "tsv", "--no-header"]), "1\tA, \"B\"\t\\N\t\n");
    assert_eq!(run(&["-o", "csv"]), "user_id,name,region,email\n1,\"A, \"\"B\"\"\",,\"\"\n");
    assert_eq!(
        run(&["-o", "jsonl"]),
        "{\"user_id\": 1, \"name\": \"A, \\\"B\\\"\", \"region\": null, \"email\": \"\"}\n"
    );
    assert_eq!(run(&["-x"]), "user_id\t1\nname\tA, \"B\"\nregion\t\\N\nemail\t\n");
    assert!(
        run(&["-o", "table"]).contains("│ user_id ┆ name   ┆ region ┆ email │"),
        "{}",
        run(&["-o", "table"])
    );
    assert!(!run(&["-o", "table"]).contains('\u{1b}'));
    assert!(run(&["-o", "table", "--color", "always"]).contains('\u{1b}'));
    let ascii =
        Ran::of(test.command().env("LANG", "C").args(["get-user", "1", "-o", "table"]).spawn().unwrap());
    assert!(ascii.success().stdout.is_ascii());
    let from_environment = test.command().env("RINGSHARD_FORMAT", "json").args(["get-user", "1"]).spawn();
    assert!(Ran::of(from_environment.unwrap()).success().stdout.starts_with('{'));
}

#[test]
fn quiet_leaves_data_and_errors() {
    let test = Test::initialised();
    let loud = test.run(&["ring", "show", "-o", "table"]).success();
    let quiet = test.run(&["ring", "show", "-o", "table", "-q"]).success();
    assert_eq!(loud.stdout, quiet.stdout);
    assert!(loud.stderr.contains("virtual nodes"));
    assert_eq!(quiet.stderr, "");
    test.run(&["get-user", "1", "-q"]).fails(4).says("not found");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let test = Test::initialised();
    let mut child =
        test.command().args(["-c", "ring show --vnodes", "-c", "ring show --vnodes"]).spawn().unwrap();
    let mut some = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    // The pipe is closed now.
    let ran = Ran::of(child);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn help_and_version_go_to_stdout() {
    let test = Test::new();
    let help = test.run(&["--help"]).success();
    for words in ["Exit codes", "69", "a shard cannot be reached", "init-shards", "RINGSHARD_HOME"] {
        assert!(help.stdout.contains(words), "{words}");
    }
    assert!(test.run(&["--version"]).success().stdout.starts_with("ringshard "));
    assert_eq!(test.run(&[]).code, 2);
    for words in [&["create-user", "--help"][..], &["ring", "locate", "--help"], &["help", "count"]] {
        assert!(test.run(words).success().stdout.contains("Usage"));
    }
}

/// Compares the committed files with those generated from the definition of the command line. With
/// `RINGSHARD_WRITE_COMPLETIONS` set they are written instead.
#[test]
fn committed_completions_and_man_pages_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    let shells = [
        (Shell::Bash, "ringshard.bash"),
        (Shell::Zsh, "_ringshard"),
        (Shell::Fish, "ringshard.fish"),
        (Shell::PowerShell, "_ringshard.ps1"),
        (Shell::Elvish, "ringshard.elv"),
    ];
    let scripts = shells.map(|(shell, name)| (name.to_owned(), script(shell).into_bytes()));
    let pages = man_pages().unwrap().into_iter().map(|(name, text)| (format!("man/{name}"), text));
    let files: Vec<(String, Vec<u8>)> = scripts.into_iter().chain(pages).collect();
    if std::env::var_os("RINGSHARD_WRITE_COMPLETIONS").is_some() {
        std::fs::create_dir_all(folder.join("man")).unwrap();
        for (name, text) in &files {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    for (name, text) in &files {
        let committed = std::fs::read(folder.join(name)).unwrap_or_default();
        assert!(
            committed == *text,
            "{name} is stale: RINGSHARD_WRITE_COMPLETIONS=1 cargo test writes it anew"
        );
    }
    let man = std::fs::read_dir(folder.join("man")).unwrap().count();
    assert_eq!(man + shells.len(), files.len(), "a page of a removed command");
}

#[test]
fn completions_and_man_pages_are_installed_by_commands() {
    let test = Test::new();
    assert_eq!(test.run(&["completions", "bash"]).success().stdout, script(Shell::Bash));
    let folder = test.home.path().join("man");
    test.run(&["man", folder.to_str().unwrap()]).success();
    assert!(std::fs::read_to_string(folder.join("ringshard-create-user.1")).unwrap().contains("create"));
}

#[test]
fn shard_names_are_completed() {
    let test = Test::initialised();
    let mut command = test.command();
    command.env("COMPLETE", "fish").args(["--", "ringshard", "ring", "simulate", "--remove", "sh"]);
    let ran = Ran::of(command.spawn().unwrap()).success();
    let names: Vec<&str> = ran.stdout.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(names, ["shard_1", "shard_2", "shard_3"]);
}

#[test]
fn text_that_cannot_be_written_is_a_failure() {
    let test = Test::initialised();
    for words in [&["--help"][..], &["--version"], &["help", "sharding"], &["count"], &["ring", "show"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = test.command();
        command.args(words).stdout(full);
        Ran::of(command.spawn().unwrap()).fails(1).says("cannot write to standard output");
    }
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = test.command();
    command.args(["create-user", "1", "--name", "x"]).stdout(full);
    Ran::of(command.spawn().unwrap()).fails(1).says("the command itself was carried out");
    test.run(&["get-user", "1"]).success();
}
