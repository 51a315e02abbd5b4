//! Errors of clap about a command line, turned into errors of ringshard.
//!
//! clap's message is taken apart only here, so that the terminal, scripts and `explain` print the same.

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::repl_command::ReplCommand;
use crate::error::{Error, Kind};

/// The first words of statements of SQL, which are no commands.
const SQL: [&str; 9] = ["select", "with", "values", "table", "show", "insert", "update", "delete", "begin"];

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
        } else if let Some(usage) = block.strip_prefix("Usage: ") {
            hints.push(usage.lines().next().unwrap_or_default().to_owned());
        }
    }
    let error = Error::new(Kind::Usage, message.to_owned());
    if cause.kind() == ErrorKind::InvalidSubcommand && path_of(words).is_empty() {
        let is_sql = matches!(
            cause.get(ContextKind::InvalidSubcommand),
            Some(ContextValue::String(word)) if SQL.contains(&word.to_ascii_lowercase().as_str())
        );
        if is_sql {
            hints =
                vec!["a read-only statement is run so: ringshard sql 'SELECT count(*) FROM users'".into()];
        } else {
            hints.retain(|hint| !hint.starts_with("ringshard "));
            hints.push("ringshard help lists the commands".into());
        }
    }
    if hints.is_empty() {
        hints.push(format!("ringshard {} --help", path_of(words)).replace("  ", " "));
    }
    error.hint(hints.join("; "))
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
