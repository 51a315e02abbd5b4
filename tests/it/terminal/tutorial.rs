//! The tutorial and the README: what they say to type gives what they print.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::harness::{BINARY, Test, command_in};
use crate::support::pty::{Terminal, plain};

const TUTORIAL: &str = include_str!("../../../docs/tutorial.md");
const README: &str = include_str!("../../../README.md");

/// The part of a text from one title to another.
fn part<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    &text[text.find(from).unwrap()..text.find(to).unwrap()]
}

/// The code of this kind in a text, each block by itself.
fn blocks<'a>(text: &'a str, kind: &str) -> Vec<&'a str> {
    text.split(&format!("```{kind}\n")).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The commands of a text, each with what it prints.
fn commands(text: &str) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in blocks(text, "console").into_iter().flat_map(str::lines) {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.into(), Vec::new())),
            (None, Some((_, printed))) => printed.push(line.into()),
            // What an earlier command prints when it is stopped.
            (None, None) => {}
        }
    }
    commands
}

/// The words of a text, wherever its lines are wrapped.
fn words(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || "─═┌┬┐╞╪╡└┴┘".contains(c));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The parts of a line that do not depend on the speed of the machine, nor on what `…` stands for.
fn stable(line: &str) -> Vec<String> {
    let varying = ["phase_seconds", "runner", "rows_moved", "bytes_moved", "│ seconds", "moved 794 users"];
    if varying.iter().any(|what| line.contains(what)) {
        return Vec::new();
    }
    let line = line.find(" chunks, ").map_or(line, |at| &line[..at]);
    line.split('…').map(words).collect()
}

/// Who types what a text says, in a folder of their own.
struct Reader {
    test: Test,
    /// The width of the terminal on which the text was written.
    columns: u16,
    /// The variables that they have set.
    variables: String,
    /// The exit code of the last command.
    code: i32,
}

impl Reader {
    fn new(columns: u16) -> Self {
        Self { test: Test::new(), columns, variables: String::new(), code: 0 }
    }

    /// A shell for this command, after these words.
    fn shell(&self, words: &[&str], command: &str) -> Command {
        let folder = Path::new(BINARY).parent().unwrap().display();
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
        let mut shell = Command::new(words[0]);
        let like = command_in(self.test.home.path());
        shell.args(&words[1..]).arg("-c").arg(format!("{}{command}", self.variables)).env_clear();
        shell.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("PATH", &path).env("TERM", "xterm").env("NO_COLOR", "1");
        shell.env("RINGSHARD_PG_BIN", std::env::var_os("RINGSHARD_PG_BIN").unwrap_or_default());
        shell.current_dir(self.test.home.path());
        shell
    }

    /// Runs a command without a terminal; returns its data.
    fn run(&self, command: &str) -> String {
        let ran = self.shell(&["sh"], command).stdin(Stdio::null()).output().unwrap();
        assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }

    /// Begins the commands of a block, the last of which runs for a while.
    fn begin(&self, block: &str) -> Terminal {
        let (before, last) = block.trim_end().rsplit_once('\n').unwrap_or(("true", block));
        self.run(before);
        self.terminal(&format!("exec {last}"))
    }

    fn terminal(&self, command: &str) -> Terminal {
        // The leader of a session, so that its terminal sends signals.
        Terminal::spawn(self.columns, self.shell(&["setsid", "-c", "sh"], command))
    }

    /// Types a command, and compares what it prints.
    fn type_command(&mut self, command: &str, expected: &[String]) {
        if command.split_once('=').is_some_and(|(name, _)| name.chars().all(char::is_alphabetic)) {
            self.variables = format!("{command}; ");
            return;
        }
        if command == "echo $?" {
            assert_eq!(expected, [self.code.to_string()]);
            return;
        }
        let mut terminal = self.terminal(command);
        if expected.iter().any(|line| line.ends_with("[y/N] y")) {
            terminal.wait_for_text("[y/N]");
            terminal.send_keys("y\r");
        }
        let (code, seen) = terminal.wait_for_exit();
        self.code = code;
        let seen = words(&plain(&seen));
        let fails = expected.iter().any(|line| line.to_lowercase().starts_with("error:"));
        // A pipe ends with the code of its last command.
        assert!((code != 0) == fails || command.contains('|'), "{command} ended with {code}: {seen}");
        let mut rest = seen.as_str();
        for text in expected.iter().flat_map(|line| stable(line)) {
            let Some(at) = rest.find(&text) else {
                panic!("{command} does not print `{text}` here:\n{seen}")
            };
            // Through a pipe, errors and data come in any order.
            if !command.contains('|') {
                rest = &rest[at + text.len()..];
            }
        }
    }

    fn type_all(&mut self, text: &str) {
        for (command, expected) in commands(text) {
            self.type_command(&command, &expected);
        }
    }
}

#[test]
fn the_tutorial_prints_what_it_says() {
    let mut reader = Reader::new(100);
    reader.run("ringshard init-shards");
    reader.type_all(part(TUTORIAL, "## 2. One user", "## 5. A rebalance"));

    let interrupted = part(TUTORIAL, "## 5. A rebalance", "## 6. A row");
    let [begin] = blocks(interrupted, "sh")[..] else { panic!("the fifth part begins with one block") };
    let mut first = reader.begin(begin);
    while !reader.run("ringshard rebalance status -o json").contains("\"moving\"") {}
    let before = interrupted.find("Press Ctrl-C").unwrap();
    reader.type_all(&interrupted[..before]);
    first.send_keys("\u{3}");
    let (code, seen) = first.wait_for_exit();
    let [stopped, ..] = blocks(&interrupted[before..], "console")[..] else { panic!("it shows how it ends") };
    assert_eq!(code, 6, "{seen}");
    assert!(words(&plain(&seen)).contains(&words(stopped)), "{seen}");
    reader.type_all(&interrupted[before..]);

    reader.type_all(part(TUTORIAL, "## 6. A row", "## 7. A shard"));

    let down = part(TUTORIAL, "## 7. A shard", "## 8. The prompt");
    let [begin] = blocks(down, "sh")[..] else { panic!("the seventh part begins with one block") };
    let mut first = reader.begin(begin);
    first.wait_for_text("refuses connections");
    reader.type_all(down);
    first.send_keys("\u{3}");
    assert_eq!(first.wait_for_exit().0, 6);
    reader.run("ringshard local destroy -y");
}

#[test]
fn the_readme_prints_what_it_says() {
    let mut reader = Reader::new(110);
    let [_, by_hand] = blocks(part(README, "## Quick start", "## Features"), "sh")[..] else {
        panic!("the quick start has two blocks")
    };
    reader.run("mkdir target");
    let (begin, end) = by_hand.split_once("ringshard local destroy").unwrap();
    // The program is built, and found by the variables of the test.
    let (_, begin) = begin.split_once("\n\n").unwrap();
    reader.run(&format!("set -e\n{begin}"));
    let examples = part(README, "## Example", "## From one Postgres");
    let (grow, look) = examples.split_once("See why a user").unwrap();
    reader.type_all(look);
    reader.run(&format!("ringshard local destroy{end}"));
    let mut reader = Reader::new(110);
    reader.run("ringshard init-shards && ringshard load fill 100000");
    reader.type_all(grow);
    reader.run("ringshard local destroy -y");
}
