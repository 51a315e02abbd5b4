//! Errors of clap about a command line, turned into errors of ringshard.
//!
//! clap's message is taken apart only here, so that the terminal, scripts and `explain` print the same.

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::repl_command::ReplCommand;
use crate::error::{Error, Kind};

/// The first words of statements of SQL, which are no commands.
const SQL: [&str; 18] = [
    "select", "with", "values", "table", "show", "insert", "update", "delete", "begin", "commit", "rollback",
    "truncate", "alter", "drop", "copy", "vacuum", "analyze", "describe",
];

/// What Rust says of a number that it cannot read, and what a person would say.
const WORDS: [(&str, &str); 6] = [
    ("invalid digit found in string", "not a whole number"),
    ("cannot parse integer from empty string", "not a whole number"),
    ("number too large to fit in target type", "too large"),
    ("number too small to fit in target type", "too small"),
    ("invalid float literal", "not a number"),
    ("cannot parse float from empty string", "not a number"),
];

/// An error of clap as an error of ringshard. `words` is the whole command line.
pub fn error_of(cause: &clap::Error, words: &[String]) -> Error {
    let text = cause.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let mut blocks = text.split("\n\n").map(str::trim).filter(|block| !block.is_empty());
    let message = match cause.kind() {
        // clap shows the whole help here; the line of usage is enough for an error.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing",
        _ => blocks.next().unwrap_or("the arguments are not valid"),
    };
    let mut hints = Vec::new();
    for block in blocks {
        if let Some(tip) = block.strip_prefix("tip: ") {
            hints.push(
                tip.split('\n')
                    .map(|line| line.trim().trim_start_matches("tip: "))
                    .collect::<Vec<_>>()
                    .join("; "),
            );
        } else if block.starts_with("Usage: ") {
            // The line itself cannot be typed: it has `<NAME>` and `|`.
            hints.push(format!("ringshard {} --help shows how", path_of(words)).replace("  ", " "));
        }
    }
    let plain = |text: String, (rust, words): &(&str, &str)| text.replace(rust, words);
    let error = Error::new(Kind::Usage, WORDS.iter().fold(message.to_owned(), plain));
    if let Some(hint) = habit(cause, words) {
        return error.hint(hint);
    }
    if unknown_command(cause, words).is_some() {
        hints.retain(|hint| !hint.starts_with("ringshard "));
        hints.push("ringshard help lists the commands".into());
    }
    if hints.is_empty() {
        hints.push(format!("ringshard {} --help", path_of(words)).replace("  ", " "));
    }
    error.hint(hints.join("; "))
}

/// The word that stands in the place of a command, and is none.
fn unknown_command<'a>(cause: &'a clap::Error, words: &[String]) -> Option<&'a str> {
    let Some(ContextValue::String(word)) = cause.get(ContextKind::InvalidSubcommand) else { return None };
    let at = words.iter().position(|other| other == word)?;
    path_of(&words[..at]).is_empty().then_some(word)
}

/// A hint about words that are right elsewhere: in SQL, or where case does not matter.
fn habit(cause: &clap::Error, words: &[String]) -> Option<String> {
    let comment = "a comment begins with `#`";
    if words.first().is_some_and(|first| first == "--") {
        return Some(comment.into());
    }
    let word = unknown_command(cause, words)?;
    let lower = word.to_lowercase();
    if word.starts_with("/*") {
        return Some(comment.into());
    }
    if SQL.contains(&lower.trim_start_matches('(')) {
        return Some("a read-only statement is run so: ringshard sql 'SELECT count(*) FROM users'".into());
    }
    (lower != word && ReplCommand::command().find_subcommand(&lower).is_some())
        .then(|| format!("commands are in lower case: `{lower}`"))
}

/// The path of the command that these words name: `ring locate`.
pub(super) fn path_of(words: &[String]) -> String {
    let mut command = ReplCommand::command();
    let mut path = Vec::new();
    for word in words {
        if let Some(inner) = command.find_subcommand(word).cloned() {
            path.push(word.as_str());
            command = inner;
        }
    }
    path.join(" ")
}
