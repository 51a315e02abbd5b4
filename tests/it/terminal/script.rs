//! Lines from `-c`, `-f`, `source` and a pipe: one grammar, the location of an error, and where a script stops.

use std::io::Write as _;
use std::process::{Command, Stdio};

use clap::Parser as _;
use ringshard::commands::Cli;
use ringshard::commands::repl_command::{Action, ReplCommand};

use crate::support::harness::{BINARY, Ran, Test};
use crate::support::pty::Terminal;

/// Runs the program with these lines on its standard input.
fn piped(test: &Test, words: &[&str], lines: &str) -> Ran {
    let mut child = test.command().args(words).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    Ran::of(child)
}

fn write(test: &Test, name: &str, text: &str) {
    std::fs::write(test.home.path().join(name), text).unwrap();
}

#[test]
fn the_shell_and_the_repl_have_one_grammar() {
    let readme = include_str!("../../../README.md");
    let topics = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/commands/topics")).unwrap();
    let topics = topics.map(|topic| std::fs::read_to_string(topic.unwrap().path()).unwrap());
    let mut compared = 0;
    for text in std::iter::once(readme.to_owned()).chain(topics) {
        for line in text.lines().map(|line| line.trim().trim_start_matches("$ ")) {
            let Some(words) =
                shlex::split(line).filter(|words| words.first().is_some_and(|w| w == "ringshard"))
            else {
                continue;
            };
            // The rest of such a line is interpreted by the shell.
            if words.iter().any(|word| ["|", ">", "<", "&&", "2>", "-c", "-f"].contains(&word.as_str())) {
                continue;
            }
            let of_shell = Cli::try_parse_from(&words);
            let of_repl = ReplCommand::try_parse_from(&words);
            match (of_shell, of_repl) {
                (Ok(Cli { globals, command: Some(command), .. }), Ok(line)) => {
                    let Action::Invocation(invocation) = &line.action else {
                        panic!("{words:?} means something else in the repl")
                    };
                    assert_eq!(format!("{invocation:?}"), format!("{command:?}"), "{words:?}");
                    assert_eq!(format!("{:?}", line.globals), format!("{globals:?}"), "{words:?}");
                    compared += 1;
                }
                (Err(one), Err(other)) => assert_eq!(one.kind(), other.kind(), "{words:?}"),
                (Ok(Cli { command: None, .. }), _) => {}
                (one, other) => panic!("{words:?}: {one:?} and {other:?}"),
            }
        }
    }
    assert!(compared > 25, "only {compared} documented lines were found");
}

#[test]
fn piped_lines_are_a_script() {
    let test = Test::initialised();
    for words in [&["repl"][..], &[], &["-f", "-"]] {
        let ran = piped(&test, words, "# nothing\n\nringshard count ;\nget-user 7\ncount\n").fails(4);
        assert_eq!(ran.stdout, "0\n", "{words:?}");
        assert!(ran.stderr.starts_with("stdin:4: error: user `7` not found"), "{ran:?}");
        assert!(!ran.stderr.contains("help lists"), "{ran:?}");
    }
    let ran = piped(&test, &["repl", "--keep-going"], "get-user 7\ncount\n").fails(4);
    assert_eq!(ran.stdout, "0\n");
    assert_eq!(piped(&test, &[], "").success().stdout, "");
    // Without a pipe, a command is missing.
    test.run(&[]).fails(2).says("a command is missing");
}

#[test]
fn a_command_can_span_lines() {
    let test = Test::initialised();
    let lines = "create-user --id 1 \\\n  --name 'Ann\nLee'\nget-user 1 -o json\nnonsense\n";
    let ran = piped(&test, &[], lines).fails(2);
    assert!(ran.stdout.contains(r#""name": "Ann\nLee""#), "{ran:?}");
    assert!(ran.stderr.starts_with("stdin:5: error:"), "{ran:?}");
    let ran = piped(&test, &[], "count\nget-user '1\ncount\n")
        .fails(2)
        .says("stdin:2: error: a quote is not closed");
    assert_eq!(ran.stdout, "1\n");
}

#[test]
fn source_reports_the_failing_line() {
    let test = Test::initialised();
    write(&test, "inner", "create-user --id 1 --name A\nget-user 2\ncount\n");
    write(&test, "outer", "source inner\ncount\n");
    let ran = test.run(&["-f", "outer"]).fails(4);
    assert!(ran.stderr.starts_with("inner:2: error: user `2` not found"), "{ran:?}");
    assert_eq!(ran.stdout.lines().count(), 1, "{ran:?}");
    let ran = piped(&test, &[], "\\i inner --keep-going\n").fails(4).says("inner:1: error: user `1` exists");
    assert_eq!(ran.stdout, "1\n");
    write(&test, "itself", "source itself\n");
    test.run(&["-f", "itself"]).fails(2).says("more than 16 files deep");
    test.run(&["-c", "source nowhere"]).fails(65).says("cannot read `nowhere`");
    test.run(&["-c", "source ."]).fails(65).says("cannot read `.`");
    std::fs::write(test.home.path().join("bytes"), b"count\n\xff\n").unwrap();
    test.run(&["-f", "bytes"]).fails(65).says("bytes:2: error: the line is not UTF-8");
}

#[test]
fn settings_last_for_the_session_and_flags_for_a_line() {
    let test = Test::initialised();
    let lines = "set format json\ncount\ncount -o csv\ncount\nunset format\ncount\nset header off\nset format csv\n\
                 count\n\\x on\nset\n";
    let ran = piped(&test, &["-q"], lines).success();
    let (begin, rest) = ran.stdout.split_at(ran.stdout.find("setting").unwrap());
    assert_eq!(begin, "{\"rows\": 0}\nrows\n0\n{\"rows\": 0}\n0\n0\n");
    assert!(rest.contains("csv") && rest.contains("expanded"), "{rest}");
    piped(&test, &[], "set format nonsense\n").fails(2).says("nonsense").says("ringshard set format --help");
    piped(&test, &[], "nonsense\n").fails(2).says("hint: ringshard help lists the commands");
    // Verbosity applies to one line.
    let ran = piped(&test, &[], "ring locate 1 -vv\nring locate 2\n").success();
    assert!(ran.stderr.contains("[DEBUG] Hashed key '1'"), "{ran:?}");
    assert!(!ran.stderr.contains("'2'"), "{ran:?}");
}

#[test]
fn timing_shows_route_wait_and_query() {
    let test = Test::initialised();
    let ran = piped(&test, &[], "\\timing\ncreate-user --id 1 --name A\ntiming off\ncount\n").success();
    let line = ran.stderr.lines().find(|line| line.starts_with("Time: ")).unwrap();
    let figures: Vec<f64> = line
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().unwrap())
        .collect();
    let [whole, route, wait, query] = figures[..] else { panic!("{line}") };
    assert!(route > 0.0 && wait > 0.0 && query > 0.0, "{line}");
    assert!(route + wait + query <= whole, "{line}");
    assert_eq!(ran.stderr.matches("Time:").count(), 1, "{ran:?}");
    let ran = piped(&test, &["-o", "json"], "\\timing\ncount\n").success();
    let spent: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    assert!(spent["timing_ms"]["query"].as_f64().unwrap() > 0.0, "{ran:?}");
}

#[test]
fn a_shell_command_can_be_run() {
    let test = Test::initialised();
    let ran = piped(&test, &[], "\\! echo 'a  b' | tr a c\n\\! exit 3\n").fails(1).says("stdin:2: error:");
    assert_eq!(ran.stdout, "c  b\n");
}

#[test]
fn help_within_a_script_goes_to_stdout() {
    let test = Test::initialised();
    let ran = piped(&test, &[], "create-user --help\ncount\n").success();
    assert!(ran.stdout.contains("--name <S>") && ran.stdout.ends_with("0\n"), "{ran:?}");
}

#[test]
fn the_editor_needs_a_terminal() {
    let test = Test::initialised();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("'{BINARY}' | cat")]);
    shell.env("RINGSHARD_HOME", test.home.path()).env("TERM", "xterm-256color").current_dir(test.home.path());
    let mut terminal = Terminal::spawn(100, shell);
    terminal.send_keys("count\n");
    terminal.wait_for_output("count\n0\n");
    terminal.send_keys("\u{4}");
    let (code, seen) = terminal.wait_for_exit();
    assert_eq!(code, 0);
    assert!(!seen.contains('\u{1b}') && !seen.contains('>'), "{seen:?}");
}

#[test]
fn a_stopped_private_server_is_started_again() {
    let test = Test::new();
    let programs = std::env::var_os("RINGSHARD_PG_BIN").unwrap_or_default();
    let command = || {
        let mut command = test.command();
        command.env("RINGSHARD_PG_BIN", &programs);
        command
    };
    let lines = format!(
        "init-shards\ncount\n\\! RINGSHARD_HOME='{}' '{}' local stop -q\ncount\nget-user 1\n",
        test.home.path().display(),
        BINARY
    );
    let mut child = command().args(["-q"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let ran = Ran::of(child);
    Ran::of(command().args(["local", "destroy", "-y"]).spawn().unwrap()).success();
    ran.fails(4).says("user `1` not found");
}
