//! From the text of a line to what it asks for.

use std::cell::RefCell;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};

use super::lexer::{Lexer, Open};
use crate::commands::repl_command::ReplCommand;
use crate::commands::usage;
use crate::error::{Error, Kind, Result};

/// What a line says.
#[derive(Debug)]
pub(super) enum Parsed {
    /// Nothing, or a comment.
    Nothing,
    /// What to do.
    Line(Box<ReplCommand>),
    /// Help or a version, which clap answers itself.
    Text(String),
}

thread_local! {
    /// The definition, made once: that takes several times as long as a line.
    static DEFINITION: RefCell<clap::Command> = RefCell::new(ReplCommand::command());
}

fn parsed(words: &[String]) -> std::result::Result<ReplCommand, clap::Error> {
    let words = std::iter::once("ringshard").chain(words.iter().map(String::as_str));
    DEFINITION.with_borrow_mut(|definition| {
        let mut matches = definition.try_get_matches_from_mut(words)?;
        ReplCommand::from_arg_matches_mut(&mut matches).map_err(|cause| cause.format(definition))
    })
}

/// Parses a line: a leading `ringshard` and a trailing `;` are dropped, and `~/` at the beginning of a word is the
/// user's home.
pub(super) fn parse(text: &str) -> Result<Parsed> {
    let words = Lexer::of(text);
    if let Some(open) = words.open {
        let message = match open {
            Open::Quote => "a quote is not closed",
            Open::Backslash => "a backslash ends the line, and nothing follows",
        };
        return Err(Error::new(Kind::Usage, message).hint("quote as in a shell"));
    }
    let mut words = words.list;
    if let Some(last) = words.last_mut()
        && !text.trim_start().starts_with("\\!")
        // It is no part of a quote, as that would end behind it.
        && text[last.span.clone()].ends_with(';')
        && !text[last.span.clone()].ends_with("\\;")
        && let Some(stripped) = last.text.strip_suffix(';')
    {
        last.text = stripped.to_owned();
    }
    for word in words.iter_mut().filter(|word| text[word.span.clone()].starts_with("~/")) {
        if let Ok(home) = std::env::var("HOME") {
            word.text.replace_range(..1, &home);
        }
    }
    words.retain(|word| word.is_quoted || !word.text.is_empty());
    parse_words(&words.into_iter().map(|word| word.text).collect::<Vec<_>>())
}

/// Parses the words of a line.
pub(super) fn parse_words(words: &[String]) -> Result<Parsed> {
    let words = words.strip_prefix(&["ringshard".to_owned()]).unwrap_or(words);
    if words.is_empty() {
        return Ok(Parsed::Nothing);
    }
    match parsed(words) {
        Ok(line) => Ok(Parsed::Line(Box::new(line))),
        Err(cause) if matches!(cause.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Ok(Parsed::Text(cause.render().to_string()))
        }
        Err(cause) => Err(usage::error_of(&cause, words)),
    }
}
