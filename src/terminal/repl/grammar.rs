//! The meaning of an incomplete line, by the definition of the command line: for hints, colours and completion.

use std::any::TypeId;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::sync::Arc;

use clap::{Arg, Command};
use clap_complete::CompletionCandidate;
use clap_complete::engine::ArgValueCompleter;
use parking_lot::Mutex;

use crate::commands::repl_command::ReplCommand;
use crate::commands::users::one_user::IdText;
use crate::commands::{Cli, definition};
use crate::model::names::ShardName;
use crate::terminal::lexer::Token;
use crate::terminal::parse::META;

/// The most ids that are remembered.
const IDS_MAX: usize = 20;

/// Values that the session has seen, for completion.
#[derive(Debug, Default)]
pub(super) struct SeenValues {
    /// The names of the shards.
    pub(super) shards: Vec<String>,
    /// The names of the tables and their columns; `None` if they were not read yet.
    pub(super) sql: Option<Vec<String>>,
    /// The ids used last, the newest first.
    ids: VecDeque<i64>,
}

impl SeenValues {
    /// Remembers an id.
    pub(super) fn note(&mut self, id: i64) {
        self.ids.retain(|other| *other != id);
        self.ids.push_front(id);
        self.ids.truncate(IDS_MAX);
    }
}

/// The role of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Command,
    Flag,
    Value,
    /// Not allowed here.
    Unknown,
}

/// The state of the grammar at the end of a line.
pub(super) struct CursorContext<'a> {
    /// The current command.
    pub(super) command: &'a Command,
    /// The role of each token.
    pub(super) roles: Vec<Role>,
    /// The flag whose value comes next.
    pub(super) pending: Option<&'a Arg>,
    /// The arguments given so far.
    given: Vec<&'a Arg>,
    /// The number of tokens before the command that is explained or watched.
    pub(super) outer: usize,
    /// The user ids in the line.
    pub(super) ids: Vec<i64>,
}

/// The grammar of a line, completed with the values that the session has seen.
pub(super) struct Grammar {
    pub(super) tree: Command,
    /// The names of the commands about the session.
    of_session: Vec<String>,
}

impl Grammar {
    /// With completion of the shards and ids seen.
    pub(super) fn new(seen: &Arc<Mutex<SeenValues>>) -> Self {
        let tree = with_completers(definition::<ReplCommand>(), seen);
        let outside = definition::<Cli>();
        let of_session = tree.get_subcommands().map(Command::get_name);
        let of_session = of_session.filter(|name| outside.find_subcommand(name).is_none());
        let of_session = of_session.map(str::to_owned).collect();
        Self { tree, of_session }
    }

    /// The backslash commands that begin like this.
    pub(super) fn metas(&self, typed: &str) -> Vec<String> {
        let commands = self.tree.get_subcommands().flat_map(Command::get_all_aliases);
        let all = commands.chain(META.iter().map(|(name, ..)| *name)).filter(|alias| alias.starts_with('\\'));
        let mut metas: Vec<String> = all.filter(|alias| alias.starts_with(typed)).map(Into::into).collect();
        metas.sort_unstable();
        metas.dedup();
        metas
    }

    /// Candidates for the next token of a command, its own options before the global ones. A command about the session takes
    /// none of these.
    pub(super) fn in_order<T>(&self, mut found: Vec<(String, T)>, tokens: &[Token]) -> Vec<(String, T)> {
        let is_global = |value: &str| {
            self.tree.get_arguments().filter(|argument| argument.is_global_set()).any(|argument| {
                let short = argument.get_short().is_some_and(|short| value == format!("-{short}"));
                short || argument.get_long().is_some_and(|long| value == format!("--{long}"))
            })
        };
        let command = tokens.first().and_then(|first| self.tree.find_subcommand(&first.text));
        if command.is_some_and(|command| self.of_session.iter().any(|name| name == command.get_name())) {
            found.retain(|(value, _)| !is_global(value));
        }
        // Stable: otherwise they stay in their order.
        found.sort_by_key(|(value, _)| is_global(value));
        found
    }

    /// Parses these tokens.
    pub(super) fn context(&self, tokens: &[Token]) -> CursorContext<'_> {
        let mut context = CursorContext {
            command: &self.tree,
            roles: Vec::with_capacity(tokens.len()),
            pending: None,
            given: Vec::new(),
            outer: 0,
            ids: Vec::new(),
        };
        for (at, token) in tokens.iter().enumerate() {
            let role = if at == 0 && token.text == "ringshard" {
                context.outer = 1;
                Role::Command
            } else if at == 0 && META.iter().any(|(name, ..)| *name == token.text) {
                Role::Command
            } else {
                context.step(&self.tree, at, token)
            };
            context.roles.push(role);
        }
        context
    }
}

impl<'a> CursorContext<'a> {
    fn step(&mut self, tree: &'a Command, at: usize, token: &Token) -> Role {
        let text = token.text.as_str();
        if let Some(arg) = self.pending.take() {
            self.value(arg, text);
            return Role::Value;
        }
        if self.takes_a_command() {
            // `watch 2 shards`: the interval comes first.
            if self.command.get_name() == "watch" && text.parse::<f64>().is_ok() {
                return Role::Value;
            }
            self.outer = at;
            self.command = tree;
            self.given.clear();
        }
        let is_number = text.parse::<f64>().is_ok();
        if let Some(name) = text.strip_prefix("--").filter(|name| !name.is_empty()) {
            let (name, value) =
                name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
            let found = self.command.get_arguments().find(|arg| arg.get_long() == Some(name));
            return self.flag(found, value);
        }
        if text.starts_with('-') && text.len() > 1 && !is_number {
            let mut role = Role::Unknown;
            for (start, short) in text.char_indices().skip(1) {
                let found = self.command.get_arguments().find(|arg| arg.get_short() == Some(short));
                let rest = &text[start + short.len_utf8()..];
                role = self.flag(found, Some(rest).filter(|rest| !rest.is_empty()));
                if role == Role::Unknown || found.is_some_and(takes_value) {
                    break;
                }
                self.pending = None;
            }
            return role;
        }
        if let Some(inner) = self.command.find_subcommand(text) {
            self.command = inner;
            return Role::Command;
        }
        let taken = self.given.iter().filter(|arg| arg.is_positional()).count();
        let mut positionals = self.command.get_positionals();
        let many = |arg: &&Arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1);
        match positionals.nth(taken).or_else(|| self.command.get_positionals().last().filter(many)) {
            Some(arg) => {
                self.value(arg, text);
                Role::Value
            }
            None => Role::Unknown,
        }
    }

    fn flag(&mut self, found: Option<&'a Arg>, value: Option<&str>) -> Role {
        let Some(arg) = found else { return Role::Unknown };
        if takes_value(arg) {
            match value {
                Some(value) => self.value(arg, value),
                None => self.pending = Some(arg),
            }
        } else {
            self.given.push(arg);
        }
        Role::Flag
    }

    fn value(&mut self, arg: &'a Arg, text: &str) {
        if is_of::<IdText>(arg)
            && let Ok(id) = text.parse()
        {
            self.ids.push(id);
        }
        self.given.push(arg);
    }

    /// The number of these tokens before the command that the next token belongs to.
    pub(super) fn outer_of(&self, tokens: &[Token]) -> usize {
        if self.takes_a_command() { tokens.len() } else { self.outer }
    }

    /// Whether the next token begins a command that is explained or watched.
    fn takes_a_command(&self) -> bool {
        ["explain", "watch"].contains(&self.command.get_name())
    }

    /// The required arguments that are missing, as in a usage line.
    pub(super) fn missing(&self) -> Vec<String> {
        if self.takes_a_command() {
            return vec!["COMMAND".into()];
        }
        let is_given = |id: &clap::Id| self.given.iter().any(|arg| arg.get_id() == id);
        let mut missing = Vec::new();
        // Before a command is typed, nothing is reported as missing.
        let has_begun = self.roles.iter().skip(self.outer).any(|role| *role == Role::Command);
        if self.command.is_subcommand_required_set() && has_begun {
            missing.push("COMMAND".to_owned());
        }
        for arg in self.command.get_arguments().filter(|arg| arg.is_required_set()) {
            if !is_given(arg.get_id()) {
                missing.push(shape(arg));
            }
        }
        for group in self.command.get_groups().filter(|group| group.is_required_set()) {
            let members: Vec<&clap::Id> = group.get_args().collect();
            if members.iter().any(|id| is_given(id)) {
                continue;
            }
            let shapes =
                self.command.get_arguments().filter(|arg| members.contains(&arg.get_id())).map(shape);
            missing.push(shapes.collect::<Vec<_>>().join(" | "));
        }
        missing
    }
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// An argument as in a usage line.
pub(super) fn shape(arg: &Arg) -> String {
    let value = arg.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    let value = value.unwrap_or_else(|| arg.get_id().to_string().to_uppercase());
    match (arg.get_long(), takes_value(arg)) {
        (Some(long), true) => format!("--{long} {value}"),
        (Some(long), false) => format!("--{long}"),
        (None, _) => value,
    }
}

fn is_of<T: 'static>(arg: &Arg) -> bool {
    arg.get_value_parser().type_id() == TypeId::of::<T>()
}

/// Adds completion with the values seen to every argument that is a shard or a user id.
fn with_completers(command: Command, seen: &Arc<Mutex<SeenValues>>) -> Command {
    let of_arg = |arg: Arg| {
        let seen = Arc::clone(seen);
        if is_of::<ShardName>(&arg) {
            let names = move |seen: &SeenValues| seen.shards.clone();
            return arg.add(completer(seen, names));
        }
        if is_of::<IdText>(&arg) {
            let ids = move |seen: &SeenValues| seen.ids.iter().map(ToString::to_string).collect();
            return arg.add(completer(seen, ids));
        }
        arg
    };
    command.mut_args(of_arg).mut_subcommands(|inner| with_completers(inner, seen))
}

fn completer(
    seen: Arc<Mutex<SeenValues>>,
    all: impl Fn(&SeenValues) -> Vec<String> + Send + Sync + 'static,
) -> ArgValueCompleter {
    ArgValueCompleter::new(move |typed: &OsStr| {
        let typed = typed.to_string_lossy();
        let all = all(&seen.lock());
        let order = (0..).zip(all.into_iter().filter(|name| name.starts_with(&*typed)));
        order.map(|(at, name)| CompletionCandidate::new(name).display_order(Some(at))).collect()
    })
}
