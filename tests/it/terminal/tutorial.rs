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

    let prompt = part(TUTORIAL, "## 8. The prompt", "## 9. Clean up");
    let [session] = blocks(prompt, "console")[..] else { panic!("the eighth part has one block") };
    let mut lines = session.lines();
    let start = lines.next().unwrap().strip_prefix("$ ").unwrap();
    let mut terminal = reader.terminal(&format!("exec {start}"));
    for line in lines.filter(|line| *line != "…") {
        let Some((_, typed)) = line.split_once(" 4> ") else {
            terminal.wait_for_text(line);
            continue;
        };
        terminal.wait_until("at a prompt of four", |terminal| terminal.last_line().ends_with(" 4>"));
        terminal.send_keys(&format!("{typed}\r"));
        if typed.starts_with("watch") {
            terminal.wait_for_text("every 2 s: count --by shard");
            terminal.wait_for_text("│ shard_4 ┆");
            terminal.send_keys("\u{3}");
        }
    }
    assert_eq!(terminal.wait_for_exit().0, 0);
    reader.run("ringshard local destroy -y");
}

#[test]
fn the_readmes_application_grows_as_it_says() {
    let reader = Reader::new(80);
    reader.test.execute(
        1,
        "CREATE TABLE users (id bigint PRIMARY KEY, name text); \
         CREATE TABLE orders (user_id bigint REFERENCES users, number integer, PRIMARY KEY (user_id, number)); \
         INSERT INTO users SELECT i, 'Name ' || i FROM generate_series(1, 300) AS i; \
         INSERT INTO orders SELECT i % 300 + 1, i FROM generate_series(1, 900) AS i",
    );
    let [story] = blocks(part(README, "## From one Postgres to many", "## Install"), "sh")[..] else {
        panic!("the story has one block")
    };
    for line in story.lines() {
        let line = (1..=3).fold(line.to_owned(), |line, number| {
            line.replace(
                &format!("postgresql://app@db{number}/app"),
                &format!("'{}'", reader.test.url(number)),
            )
        });
        let mut terminal = reader.terminal(&line);
        if line == "ringshard rebalance" {
            terminal.wait_for_text("[y/N]");
            terminal.send_keys("y\r");
        }
        let (code, seen) = terminal.wait_for_exit();
        assert_eq!(code, 0, "{line}: {seen}");
    }
    assert_eq!(reader.run("ringshard count"), "1200\n");
    reader.run("ringshard verify --deep");
    for number in 1..=3 {
        let apart = "SELECT FROM orders WHERE user_id NOT IN (SELECT id FROM users)";
        assert_eq!(reader.test.query(number, apart, &[]).len(), 0);
        assert!(!reader.test.query(number, "SELECT FROM orders", &[]).is_empty(), "{number}");
    }
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
