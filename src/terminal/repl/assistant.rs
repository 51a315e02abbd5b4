//! Assistance while a line is typed: completion, hints, colours.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use clap_complete::engine::complete;
use parking_lot::Mutex;
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter, HistoryHinter};
use rustyline::validate::Validator;
use rustyline::{Context, Helper, Result};

use super::grammar::{Grammar, Role, SeenValues};
use super::sql_words;
use crate::terminal::lexer::{Lexer, Token};

/// Up to so many candidates are listed with their help.
const EXPLAINED_MAX: usize = 16;
/// The width of that list in columns.
const WIDTH: usize = 76;

/// The helper of rustyline.
pub(super) struct Assistant {
    grammar: Grammar,
    history: HistoryHinter,
    color: bool,
    /// Whether the line continues another one, of which it is no command.
    pub(super) is_further: bool,
    /// Whether that is a statement of SQL.
    pub(super) is_statement: bool,
    /// What was seen.
    seen: Arc<Mutex<SeenValues>>,
    /// Lines that failed, which are not proposed again.
    pub(super) failed: HashSet<String>,
    /// The line and its hint as they are on the screen.
    shown: Mutex<Option<(String, String)>>,
}

impl Assistant {
    /// A helper that completes with the values seen.
    pub(super) fn new(seen: &Arc<Mutex<SeenValues>>, color: bool) -> Self {
        Self {
            grammar: Grammar::new(seen),
            history: HistoryHinter::new(),
            color,
            is_further: false,
            is_statement: false,
            seen: Arc::clone(seen),
            failed: HashSet::new(),
            shown: Mutex::default(),
        }
    }

    /// The line and the hint behind it, if the screen still shows one. rustyline leaves it there after Ctrl-C.
    pub(super) fn take_shown(&self) -> Option<(String, String)> {
        self.shown.lock().take()
    }

    /// The user ids in a line.
    pub(super) fn ids(&self, text: &str) -> Vec<i64> {
        self.grammar.context(&Lexer::of(text).tokens).ids
    }

    /// Turns colours on or off.
    pub(super) fn set_color(&mut self, color: bool) {
        self.color = color;
    }
}

impl Helper for Assistant {}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> Result<(usize, Vec<Pair>)> {
        let Lexer { mut tokens, comments, .. } = Lexer::of(&line[..pos]);
        if self.is_statement || tokens.len() > 1 && is_statement(&tokens) {
            let names = self.seen.lock().sql.clone().unwrap_or_default();
            let (start, found) = sql_words::completed(&line[..pos], &names);
            let found: Vec<_> = found.into_iter().map(|name| (name, None)).collect();
            return Ok((start, pairs(&found, is_apart(line, pos))));
        }
        if self.is_further || comments.last().is_some_and(|comment| comment.end == pos) {
            return Ok((pos, Vec::new()));
        }
        let current = tokens.pop_if(|token| token.span.end == pos);
        let start = current.as_ref().map_or(pos, |token| token.span.start);
        if let Some(meta) = current.as_ref().filter(|token| tokens.is_empty() && token.text.starts_with('\\'))
        {
            let found: Vec<_> = self.grammar.metas(&meta.text).into_iter().map(|meta| (meta, None)).collect();
            return Ok((start, pairs(&found, is_apart(line, pos))));
        }
        let outer = self.grammar.context(&tokens).outer_of(&tokens);
        let mut args = vec![OsString::from("ringshard")];
        args.extend(tokens.iter().skip(outer).map(|token| OsString::from(&token.text)));
        let index = args.len();
        args.push(current.map_or_else(OsString::new, |token| token.text.into()));
        let mut tree = self.grammar.tree.clone();
        let Ok(found) = complete(&mut tree, args, index, Some(Path::new("."))) else {
            return Ok((start, Vec::new()));
        };
        let found: Vec<(String, Option<String>)> = found
            .iter()
            .map(|candidate| {
                let help = candidate.get_help().map(ToString::to_string);
                (candidate.get_value().to_string_lossy().into_owned(), help)
            })
            .collect();
        Ok((start, pairs(&self.grammar.in_order(found, &tokens[outer..]), is_apart(line, pos))))
    }
}

/// Whether a line is a statement of SQL, to which the lexer has added its command.
fn is_statement(tokens: &[Token]) -> bool {
    tokens.first().is_some_and(|first| first.text == "sql" && first.span.is_empty())
}

/// A line with these colours.
fn colored(line: &str, parts: Vec<(Range<usize>, &'static str)>) -> String {
    let mut out = String::with_capacity(line.len() * 2);
    let mut at = 0;
    for (span, color) in parts {
        let (before, text) = (&line[at..span.start], &line[span.clone()]);
        at = span.end;
        out.push_str(before);
        if color.is_empty() {
            out.push_str(text);
        } else {
            // SGR parameters of ECMA-48.
            let _ = write!(out, "\x1b[{color}m{text}\x1b[0m");
        }
    }
    out.push_str(&line[at..]);
    out
}

/// Whether a blank follows the cursor.
fn is_apart(line: &str, pos: usize) -> bool {
    line[pos..].starts_with(char::is_whitespace)
}

/// The value as it must be typed: in quotes if the lexer needs them.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_@%+=:,./-\\".contains(c);
    let (home, rest) = value.split_at(if value.starts_with("~/") { 2 } else { 0 });
    if !rest.is_empty() && rest.chars().all(is_plain) || rest.is_empty() && !home.is_empty() {
        return value.to_owned();
    }
    // A quoted tilde would not be expanded.
    shlex::try_quote(rest).map_or_else(|_| value.to_owned(), |quoted| format!("{home}{quoted}"))
}

/// Candidates as they are listed, and as they are inserted.
fn pairs(found: &[(String, Option<String>)], is_apart: bool) -> Vec<Pair> {
    let widest = found.iter().map(|(value, _)| value.chars().count()).max().unwrap_or_default();
    let is_only = found.len() == 1;
    let pair = |(value, help): &(String, Option<String>)| {
        let mut display = value.clone();
        if let Some(help) = help.as_ref().filter(|_| found.len() <= EXPLAINED_MAX) {
            let help = help.lines().next().unwrap_or_default();
            let room = WIDTH.saturating_sub(widest + 3);
            let help: String = help.chars().take(room).collect();
            display = format!("{value:widest$}   {help}");
        }
        let mut replacement = quoted(value);
        // A complete value is followed by a blank, but not a folder.
        if is_only && !is_apart && !value.ends_with(['/', '=']) {
            replacement.push(' ');
        }
        Pair { display, replacement }
    };
    found.iter().map(pair).collect()
}

/// A hint, shown dim behind the cursor.
pub(super) struct Tip {
    text: String,
    /// The text that the right arrow inserts.
    taken: Option<String>,
}

impl Hint for Tip {
    fn display(&self) -> &str {
        &self.text
    }

    fn completion(&self) -> Option<&str> {
        self.taken.as_deref()
    }
}

impl Hinter for Assistant {
    type Hint = Tip;

    fn hint(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<Tip> {
        let tip = self.tip(line, pos, context);
        *self.shown.lock() = tip.as_ref().map(|tip| (line.to_owned(), tip.text.clone()));
        tip
    }
}

impl Assistant {
    fn tip(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<Tip> {
        if self.is_further || line.trim().is_empty() || pos < line.len() {
            return None;
        }
        let Lexer { tokens, comments, open, .. } = Lexer::of(line);
        // After a blank, or a complete command or flag: what is missing. Within a token: the history.
        let missing = if open.is_some() || !comments.is_empty() { None } else { self.missing(line, &tokens) };
        if let Some(text) = missing {
            return Some(Tip { text, taken: None });
        }
        let rest = self.history.hint(line, pos, context)?;
        if self.failed.contains(&format!("{line}{rest}")) {
            return None;
        }
        let first = rest.lines().next().unwrap_or_default().to_owned();
        Some(Tip { text: first, taken: Some(rest) })
    }

    fn missing(&self, line: &str, tokens: &[Token]) -> Option<String> {
        let context = self.grammar.context(tokens);
        if context.roles.contains(&Role::Unknown) {
            return None;
        }
        let is_apart = line.ends_with([' ', '\t']);
        // A value that is still being typed may become another one.
        if !is_apart && context.roles.last() == Some(&Role::Value) {
            return None;
        }
        let blank = if is_apart { "" } else { " " };
        if let Some(arg) = context.pending {
            let names = arg.get_value_names().and_then(|names| names.first());
            return Some(format!("{blank}{}", names.map_or_else(|| "VALUE".into(), ToString::to_string)));
        }
        let missing = context.missing();
        if missing.is_empty() { None } else { Some(format!("{blank}{}", missing.join(" "))) }
    }
}

impl Validator for Assistant {}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, pos: usize) -> Cow<'l, str> {
        if !self.color || self.is_further {
            return Cow::Borrowed(line);
        }
        let Lexer { tokens, comments, .. } = Lexer::of(line);
        if is_statement(&tokens) {
            return Cow::Owned(colored(line, sql_words::colors(line)));
        }
        let roles = self.grammar.context(&tokens).roles;
        let color = |(token, role): (&Token, Role)| {
            let is_typed = token.span.end == pos && pos == line.len();
            (token.span.clone(), color_of(token, role, is_typed && self.may_become(token)))
        };
        let mut parts: Vec<_> = tokens.iter().zip(roles).map(color).collect();
        parts.extend(comments.into_iter().map(|span| (span, "2")));
        parts.sort_by_key(|(span, _)| span.start);
        Cow::Owned(colored(line, parts))
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.color { Cow::Owned(format!("\x1b[2m{hint}\x1b[0m")) } else { Cow::Borrowed(hint) }
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        self.color
    }
}

impl Assistant {
    /// Whether a token may still become a command.
    fn may_become(&self, token: &Token) -> bool {
        let begins = |name: &str| name.starts_with(&token.text);
        self.grammar.tree.get_subcommands().any(|inner| {
            begins(inner.get_name())
                || inner.get_all_aliases().any(begins)
                || inner.get_subcommands().any(|inner| begins(inner.get_name()))
        }) || token.text.starts_with('-')
    }
}

/// The SGR parameters of a token; empty without a colour.
fn color_of(token: &Token, role: Role, may_become: bool) -> &'static str {
    match role {
        Role::Unknown if may_become => "",
        Role::Unknown => "31",
        Role::Command => "1;32",
        Role::Flag => "36",
        Role::Value if token.is_quoted => "33",
        Role::Value if token.text.parse::<f64>().is_ok() => "35",
        Role::Value => "",
    }
}
