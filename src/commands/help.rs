//! `help`: the overview, the usage of a command, and topics.
//!
//! The texts of the topics are in `topics/`, one screen each.

use std::ffi::OsStr;

use clap::{Args, CommandFactory as _};
use clap_complete::CompletionCandidate;
use clap_complete::engine::ArgValueCompleter;

use super::repl_command::ReplCommand;
use super::{Cli, definition};
use crate::error::{Error, Kind, Result};
use crate::model::report::{Document, Report};

/// The longest line of the overview.
const LINE_CHARS: usize = 79;
/// The most names that a hint proposes.
const PROPOSALS_MAX: usize = 3;

/// A topic of the help.
#[derive(Debug, Clone, Copy)]
pub struct Topic {
    /// Its name.
    pub name: &'static str,
    /// Other names. The name of a command is not allowed here: it would mean the command.
    pub aliases: &'static [&'static str],
    /// The commands whose help refers to it.
    pub commands: &'static [&'static str],
    /// One screen of text: at most 23 lines of 79 characters, ASCII. Lines that begin with four spaces and
    /// `ringshard` are commands to try, and work as printed.
    pub text: &'static str,
}

/// All topics.
pub const TOPICS: &[Topic] = &[
    Topic {
        name: "consistent-hashing",
        aliases: &["hashing", "hash", "md5", "dartboard", "wrap-around", "modulo"],
        commands: &["ring", "ring locate"],
        text: include_str!("topics/consistent-hashing.txt"),
    },
    Topic {
        name: "virtual-nodes",
        aliases: &["virtual-node", "vnodes", "vnode", "points", "weight"],
        commands: &["ring show"],
        text: include_str!("topics/virtual-nodes.txt"),
    },
    Topic {
        name: "sharding",
        aliases: &["shard", "user-id"],
        commands: &["init-shards", "create-user", "get-user"],
        text: include_str!("topics/sharding.txt"),
    },
    Topic {
        name: "region",
        aliases: &["regions", "hotspot", "hotspots"],
        commands: &["count"],
        text: include_str!("topics/region.txt"),
    },
    Topic {
        name: "hybrid",
        aliases: &["index", "scatter"],
        commands: &["list-users"],
        text: include_str!("topics/hybrid.txt"),
    },
    Topic {
        name: "rebalancing",
        aliases: &["moving", "migration"],
        commands: &["add-shard", "remove-shard", "rebalance", "ring simulate"],
        text: include_str!("topics/rebalancing.txt"),
    },
    Topic {
        name: "failure",
        aliases: &["failures", "down", "outage", "partial", "fault-tolerance"],
        commands: &["verify"],
        text: include_str!("topics/failure.txt"),
    },
    Topic {
        name: "monitoring",
        aliases: &["metrics", "performance", "htop", "df", "netstat"],
        commands: &["shards", "stats", "monitor", "doctor"],
        text: include_str!("topics/monitoring.txt"),
    },
    Topic {
        name: "beyond",
        aliases: &[
            "redis",
            "cache",
            "citus",
            "cassandra",
            "sha256",
            "sha-256",
            "locust",
            "materialized-view",
            "materialized-views",
            "region-to-shard",
        ],
        commands: &["load run"],
        text: include_str!("topics/beyond.txt"),
    },
    Topic {
        name: "prompt",
        aliases: &["session", "keys", "history-file", "init"],
        commands: &["repl"],
        text: include_str!("topics/repl.txt"),
    },
];

/// The arguments of `help`.
#[derive(Debug, Args)]
pub struct HelpArgs {
    /// A command, such as `ring locate`, or a topic, such as `rebalancing`; without one, list them
    #[arg(value_name = "TOPIC|COMMAND", add = ArgValueCompleter::new(complete))]
    words: Vec<String>,
}

impl HelpArgs {
    /// Prints the text. A command takes precedence over a topic.
    pub fn run(&self) -> Result<Report> {
        let words = self.words.strip_prefix(&["ringshard".to_owned()]).unwrap_or(&self.words);
        if words.is_empty() {
            return Ok(Report::document(Document::Prose(overview())));
        }
        match of_command(definition::<Cli>(), words).or_else(|| of_session(words)) {
            Some(text) => Ok(Report::document(Document::Text(text))),
            None => match topic(&words.join("-")) {
                Some(topic) => Ok(Report::document(Document::Prose(topic.text.to_owned()))),
                None => Err(unknown(words)),
            },
        }
    }
}

/// Completes a topic or a command.
fn complete(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let commands = Cli::command();
    let commands = commands.get_subcommands().map(clap::Command::get_name);
    let names = TOPICS.iter().map(|topic| topic.name).chain(commands);
    names.filter(|name| name.starts_with(&*typed)).map(CompletionCandidate::new).collect()
}

/// All commands and topics, on one screen.
fn overview() -> String {
    let mut text = String::from("ringshard COMMAND [OPTIONS]\n\n");
    text += include_str!("topics/overview.txt");
    let mut line = String::from("topics    ");
    for Topic { name, .. } in TOPICS {
        if line.len() + 1 + name.len() > LINE_CHARS {
            text = text + "\n" + &line;
            line = " ".repeat(10);
        }
        line = line + " " + name;
    }
    text + "\n" + &line + "\n\nringshard help COMMAND, ringshard help TOPIC, ringshard COMMAND --help\n"
}

/// The help of the command that these words name, with its topics.
fn of_command(mut root: clap::Command, words: &[String]) -> Option<String> {
    let mut command = &mut root;
    for word in words {
        command = command.find_subcommand_mut(word)?;
    }
    let mut text = format!("{}\n", command.render_long_help().to_string().trim_end());
    let path = words.join(" ");
    for topic in TOPICS.iter().filter(|topic| topic.commands.contains(&path.as_str())) {
        text.extend(["\ntopic: help ", topic.name, "\n"]);
    }
    Some(text)
}

/// The help of a command that exists only in the REPL and in scripts.
fn of_session(words: &[String]) -> Option<String> {
    let text = of_command(definition::<ReplCommand>(), words)?;
    Some(text.replace("Usage: ringshard ", "Usage, in the REPL and in scripts: "))
}

/// The topic with this name or alias, in any spelling.
fn topic(word: &str) -> Option<&'static Topic> {
    let word = word.to_ascii_lowercase().replace(['_', ' '], "-");
    TOPICS.iter().find(|topic| topic.name == word || topic.aliases.contains(&word.as_str()))
}

/// The error for words that name no command and no topic, with the nearest names.
fn unknown(words: &[String]) -> Error {
    let root = definition::<Cli>();
    let mut command = &root;
    let mut path = String::new();
    let mut rest = words;
    while let [word, others @ ..] = rest
        && let Some(inner) = command.find_subcommand(word)
    {
        command = inner;
        path = path + word + " ";
        rest = others;
    }
    let wrong = rest.first().map_or("", String::as_str);
    let inner = command.get_subcommands().map(|inner| inner.get_name().to_owned());
    if !path.is_empty() {
        let names: Vec<String> = inner.collect();
        let message = format!("`{}` has no subcommand `{wrong}`", path.trim_end());
        let hint = match nearest(wrong, names.iter().map(String::as_str)).first() {
            Some(near) => format!("ringshard help {path}{near}"),
            None => format!("ringshard help {}", path.trim_end()),
        };
        return Error::new(Kind::Usage, message).hint(hint);
    }
    let wrong = words.join("-").to_ascii_lowercase();
    let names: Vec<String> = inner.collect();
    let topics = TOPICS.iter().flat_map(|topic| topic.aliases.iter().chain([&topic.name]).copied());
    let near = nearest(&wrong, names.iter().map(String::as_str).chain(topics));
    let hint = if near.is_empty() {
        "ringshard help lists both".to_owned()
    } else {
        let near: Vec<String> = near.iter().map(|name| format!("ringshard help {name}")).collect();
        format!("{}; ringshard help lists all", near.join(", "))
    };
    Error::new(Kind::Usage, format!("there is no command and no topic `{}`", words.join(" "))).hint(hint)
}

/// The names that a mistyped word may mean: those that begin with it, and those at a small edit distance.
pub(super) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut near: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let begins = !word.is_empty() && name.starts_with(word);
            let edits = if begins { 0 } else { strsim::levenshtein(word, name) };
            (edits * 3 <= name.len()).then_some((edits, name))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().map(|(_, name)| name).take(PROPOSALS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_their_beginning_or_by_few_edits() {
        let names = || ["rebalance", "rebalancing", "region", "ring"].into_iter();
        assert_eq!(nearest("rebal", names()), ["rebalance", "rebalancing"]);
        assert_eq!(nearest("regoin", names()), ["region"]);
        assert!(nearest("zebra", names()).is_empty());
    }
}
