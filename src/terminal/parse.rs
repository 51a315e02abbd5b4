//! Parses a line.

use std::cell::RefCell;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};

use super::lexer::{Lexer, Open};
use crate::commands::repl_command::ReplCommand;
use crate::commands::{usage, with_help};
use crate::error::{Error, Kind, Result};

/// A parsed line.
#[derive(Debug)]
pub(super) enum Parsed {
    /// Nothing, or a comment.
    Nothing,
    /// A command.
    Line(Box<ReplCommand>),
    /// Help or a version, which clap formats itself.
    Text(String),
}

/// Commands of psql, whether an argument follows, and the command here.
pub(super) const META: [(&str, bool, &str); 13] = [
    ("\\gx", false, "again --expanded"),
    ("\\gx", true, "again --expanded"),
    (
        "\\di",
        false,
        "sql \"SELECT schemaname AS schema, tablename AS table, indexname AS index, indexdef AS definition FROM pg_catalog.pg_indexes \
         WHERE schemaname NOT IN ('pg_catalog', 'ringshard') ORDER BY 1, 2, 3\"",
    ),
    ("\\d", false, "table list"),
    ("\\d", true, "schema show"),
    ("\\dt", false, "table list"),
    ("\\dt", true, "schema show"),
    ("\\d+", false, "table list"),
    ("\\d+", true, "schema show"),
    ("\\l", false, "shards"),
    ("\\conninfo", false, "config show"),
    ("\\h", false, "help"),
    ("\\h", true, "help"),
];

thread_local! {
    /// The grammar, built once: that takes longer than parsing a line.
    static DEFINITION: RefCell<clap::Command> = RefCell::new(ReplCommand::command());
}

fn parsed(arguments: &[String]) -> std::result::Result<ReplCommand, clap::Error> {
    let arguments = std::iter::once("ringshard").chain(arguments.iter().map(String::as_str));
    DEFINITION.with_borrow_mut(|definition| {
        let matches = definition.try_get_matches_from_mut(arguments.clone());
        let mut matches = matches.map_err(|cause| with_help::<ReplCommand>(cause, arguments))?;
        ReplCommand::from_arg_matches_mut(&mut matches).map_err(|cause| cause.format(definition))
    })
}

/// Parses a line.
pub(super) fn parse(text: &str) -> Result<Parsed> {
    parse_arguments(&arguments(text)?)
}

/// The arguments of a line: a trailing `;` is dropped, and `~/` at the beginning of a token is the user's home.
pub(super) fn arguments(text: &str) -> Result<Vec<String>> {
    let Lexer { mut tokens, open, .. } = Lexer::of(text);
    let problem = match open {
        Some(Open::Quote(_)) => Some("a quote is not closed"),
        Some(Open::Backslash) => Some("the line ends with a backslash, and no line follows"),
        Some(Open::Statement) | None => None,
    };
    if let Some(message) = problem {
        return Err(Error::new(Kind::Usage, message).hint("lines are quoted as in a shell"));
    }
    if let Some(last) = tokens.last_mut()
        && !text.trim_start().starts_with("\\!")
        // It is not quoted, because a quote would end behind it.
        && text[last.span.clone()].ends_with(';')
        && !text[last.span.clone()].ends_with("\\;")
        && let Some(stripped) = last.text.strip_suffix(';')
    {
        last.text = stripped.to_owned();
    }
    for token in tokens.iter_mut().filter(|token| text[token.span.clone()].starts_with("~/")) {
        if let Ok(home) = std::env::var("HOME") {
            token.text.replace_range(..1, &home);
        }
    }
    tokens.retain(|token| token.is_quoted || !token.text.is_empty());
    let has_argument = tokens.get(1).is_some_and(|token| !token.text.starts_with('-'));
    if let Some(first) = tokens.first().filter(|token| token.text.starts_with('\\'))
        && let Some((.., words)) =
            META.iter().find(|(name, takes, _)| *name == first.text && *takes == has_argument)
    {
        let words = shlex::split(words).unwrap_or_default();
        return Ok(words.into_iter().chain(tokens.into_iter().skip(1).map(|token| token.text)).collect());
    }
    Ok(tokens.into_iter().map(|token| token.text).collect())
}

/// Parses the arguments of a line; a leading `ringshard` is dropped.
pub(super) fn parse_arguments(arguments: &[String]) -> Result<Parsed> {
    let arguments = arguments.strip_prefix(&["ringshard".to_owned()]).unwrap_or(arguments);
    if arguments.is_empty() {
        return Ok(Parsed::Nothing);
    }
    match parsed(arguments) {
        Ok(line) => Ok(Parsed::Line(Box::new(line))),
        Err(cause) if matches!(cause.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Ok(Parsed::Text(cause.render().to_string()))
        }
        Err(cause) => Err(usage::error_of(&cause, arguments)),
    }
}
