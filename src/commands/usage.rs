//! Errors of clap about a command line, turned into errors of ringshard.
//!
//! clap's message is taken apart only here, so that the terminal, scripts and `explain` print the same.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser as _};

use super::help::nearest;
use super::repl_command::ReplCommand;
use super::{Cli, definition};
use crate::error::{Error, Kind};

/// The first words of statements of SQL, which are no commands.
const SQL: [&str; 11] = [
    "table", "begin", "commit", "rollback", "truncate", "alter", "drop", "copy", "vacuum", "analyze",
    "describe",
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

/// Commands and options of other tools, and what is typed here in their place; the command in which an option means that, or `*`.
const ELSEWHERE: [(&str, &str, &str); 25] = [
    ("", "users", "list-users"),
    ("", "list", "list-users"),
    ("", "ls", "list-users"),
    ("", "find", "get-user"),
    ("", "get", "get-user"),
    ("", "read", "get-user"),
    ("", "add", "create-user"),
    ("", "create", "create-user"),
    ("", "set", "update-user"),
    ("", "del", "delete-user"),
    ("", "rm", "delete-user"),
    ("", "nodes", "shards"),
    ("", "servers", "shards"),
    ("", "hash", "ring locate"),
    ("", "locate", "ring locate"),
    ("", "simulate", "ring simulate"),
    ("", "init", "init-shards"),
    ("", "setup", "init-shards"),
    ("", "top", "monitor"),
    ("", "backup", "export"),
    ("", "version", "--version"),
    ("*", "--json", "-o json"),
    ("*", "--csv", "-o csv"),
    ("*", "--tsv", "-o tsv"),
    ("load fill", "--users", ""),
];

/// An error of clap as an error of ringshard. `words` is the whole command line.
pub fn error_of(cause: &clap::Error, words: &[String]) -> Error {
    let text = cause.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let message = match cause.kind() {
        // clap shows the whole help here; the line of usage is enough for an error.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing",
        // Its tips and its usage follow, which cannot be typed: they have `<NAME>` and `|`.
        _ => text
            .split("\n\n")
            .map(str::trim)
            .find(|block| !block.is_empty())
            .unwrap_or("the arguments are not valid"),
    };
    let plain = |text: String, (rust, words): &(&str, &str)| text.replace(rust, words);
    let message = missing(cause).unwrap_or_else(|| message.to_owned());
    let error = Error::new(Kind::Usage, WORDS.iter().fold(range_in_words(message), plain));
    if let Some(hint) = habit(cause, words) {
        return error.hint(hint);
    }
    let help = if unknown_command(cause, words).is_some() {
        "ringshard help lists the commands".into()
    } else {
        format!("ringshard {} --help shows how", path_of(words)).replace("  ", " ")
    };
    error.hint(match corrected(cause, words) {
        Some(line) if line.ends_with(" --help") => format!("{line} shows how"),
        Some(line) => format!("{line}; {help}"),
        None => help,
    })
}

/// What must be added, if something is missing: `--id N or ID` in place of clap's `<--id <N>|ID>`.
fn missing(cause: &clap::Error) -> Option<String> {
    let Some(ContextValue::Strings(shapes)) =
        cause.get(ContextKind::InvalidArg).filter(|_| cause.kind() == ErrorKind::MissingRequiredArgument)
    else {
        return None;
    };
    let in_words = |shape: &String| {
        let choices = shape.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')).unwrap_or(shape);
        let choices: Vec<String> = choices.split('|').map(|choice| choice.replace(['<', '>'], "")).collect();
        match &choices[..] {
            [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            _ => choices.concat(),
        }
    };
    let what = if shapes.len() == 1 { "a required argument is" } else { "required arguments are" };
    Some(format!("{what} missing: {}", shapes.iter().map(in_words).collect::<Vec<_>>().join("; ")))
}

/// With `from 1 to 9` in place of Rust's `in 1..=9`.
fn range_in_words(message: String) -> String {
    let in_words = || {
        let (before, range) = message.rsplit_once(" is not in ")?;
        let (first, last) = range.split_once("..")?;
        first.parse::<i64>().ok()?;
        Some(match last.strip_prefix('=') {
            Some(last) => format!("{before} is not from {first} to {last}"),
            None => format!("{before} is less than {first}"),
        })
    };
    in_words().unwrap_or(message)
}

/// The command line with the wrong word replaced by what it most likely means.
fn corrected(cause: &clap::Error, words: &[String]) -> Option<String> {
    let (wrong, right) = meant(cause, &path_of(words))?;
    let at = words.iter().position(|word| word == wrong || word.starts_with(&format!("{wrong}=")))?;
    let mut line = words.to_vec();
    // `--optoin=VALUE`
    let value = words[at].strip_prefix(&format!("{wrong}=")).map(str::to_owned);
    line.splice(at..=at, right.split_whitespace().map(str::to_owned).chain(value));
    let typed = || std::iter::once("ringshard").chain(line.iter().map(String::as_str));
    let is_right = |parsed: Option<clap::Error>| parsed.is_none_or(|cause| !cause.use_stderr());
    if is_right(ReplCommand::try_parse_from(typed()).err()) || is_right(Cli::try_parse_from(typed()).err()) {
        return shlex::try_join(typed()).ok();
    }
    // Something else is wrong with it too.
    Some(format!("ringshard {} --help", path_of(&line)))
}

/// The wrong word, and what it most likely means in the command of this path.
fn meant<'a>(cause: &'a clap::Error, path: &str) -> Option<(&'a str, String)> {
    let text = |kind| match cause.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let command = path.split_whitespace().fold(definition::<ReplCommand>(), |command, word| {
        command.find_subcommand(word).cloned().unwrap_or(command)
    });
    let (wrong, names): (&str, Vec<String>) = match cause.kind() {
        ErrorKind::InvalidSubcommand => {
            let names = command.get_subcommands().map(|inner| inner.get_name().to_owned());
            (text(ContextKind::InvalidSubcommand)?, names.collect())
        }
        ErrorKind::UnknownArgument => {
            let root = definition::<ReplCommand>();
            let globals = root.get_arguments().filter(|argument| argument.is_global_set());
            let options = command.get_arguments().chain(globals).filter(|option| !option.is_hide_set());
            let names = options.filter_map(clap::Arg::get_long).map(|long| format!("--{long}"));
            (text(ContextKind::InvalidArg)?, names.collect())
        }
        ErrorKind::InvalidValue => {
            let Some(ContextValue::Strings(valid)) = cause.get(ContextKind::ValidValue) else { return None };
            (text(ContextKind::InvalidValue)?, valid.clone())
        }
        _ => return None,
    };
    let is_here = |place: &str| place == path || place == "*" && wrong.starts_with('-');
    let elsewhere = ELSEWHERE.iter().find(|(place, other, _)| *other == wrong && is_here(place));
    let near = || nearest(wrong, names.iter().map(String::as_str)).first().map(|name| (*name).to_owned());
    let right = elsewhere.map(|(.., here)| (*here).to_owned()).or_else(near)?;
    Some((wrong, right))
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
        return Some(
            "ringshard help sql shows which statements run here, and ringshard help schema apply how tables are changed".into(),
        );
    }
    (lower != word && ReplCommand::command().find_subcommand(&lower).is_some())
        .then(|| format!("commands are in lower case: `{lower}`"))
}

/// The path of the command that these words name: `ring locate`.
pub(super) fn path_of(words: &[String]) -> String {
    let mut command = definition::<ReplCommand>();
    let mut path = Vec::new();
    for word in words {
        if let Some(inner) = command.find_subcommand(word).cloned() {
            path.push(word.as_str());
            command = inner;
        }
    }
    path.join(" ")
}
