//! The tutorial: what its first half says to type gives what it prints.

use std::process::{Command, Stdio};

use crate::support::harness::{BINARY, Test, command_in};
use crate::support::pty::{Terminal, plain};

/// The width of the terminal on which the tutorial was written.
const COLUMNS: u16 = 100;

/// The commands of the parts from one to before another, each with what it prints.
fn commands(from: &str, to: &str) -> Vec<(String, Vec<String>)> {
    let text = include_str!("../../../docs/tutorial.md");
    let part = &text[text.find(from).unwrap()..text.find(to).unwrap()];
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for block in part.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
        for line in block.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => commands.push((command.into(), Vec::new())),
                None => commands.last_mut().unwrap().1.push(line.into()),
            }
        }
    }
    commands
}

/// The words of a text, wherever its lines are wrapped.
fn words(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || "─═┌┬┐╞╪╡└┴┘".contains(c));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What does not depend on the speed of the machine.
fn stable(line: &str) -> &str {
    line.find(" chunks, ").map_or(line, |at| &line[..at])
}

#[test]
fn the_tutorial_prints_what_it_says() {
    let test = Test::new();
    let folder = std::path::Path::new(BINARY).parent().unwrap().display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    let shell = |command: &str| {
        let mut shell = Command::new("sh");
        let like = command_in(test.home.path());
        shell.args(["-c", command]).env_clear();
        shell.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("PATH", &path).env("TERM", "xterm").env("NO_COLOR", "1").current_dir(test.home.path());
        shell.env("RINGSHARD_PG_BIN", std::env::var_os("RINGSHARD_PG_BIN").unwrap_or_default());
        shell
    };
    let made = shell("ringshard init-shards").stdin(Stdio::null()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let commands = commands("## 2. One user", "## 5. A rebalance");
    assert!(commands.len() > 8, "{commands:?}");
    for (command, expected) in commands {
        let mut terminal = Terminal::spawn(COLUMNS, shell(&command));
        if expected.iter().any(|line| line.ends_with("[y/N] y")) {
            terminal.wait_for_text("[y/N]");
            terminal.send_keys("y\r");
        }
        let (code, seen) = terminal.wait_for_exit();
        let seen = plain(&seen);
        assert_eq!(code, 0, "{command}: {seen}");
        let seen = words(&seen);
        let mut rest = seen.as_str();
        for line in expected.iter().map(|line| words(stable(line))) {
            let Some(at) = rest.find(&line) else {
                panic!("{command} does not print `{line}` here:\n{seen}")
            };
            rest = &rest[at + line.len()..];
        }
    }
    let gone = shell("ringshard local destroy -y").stdin(Stdio::null()).output().unwrap();
    assert!(gone.status.success(), "{}", String::from_utf8_lossy(&gone.stderr));
}
