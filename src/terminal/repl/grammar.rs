//! What a line means so far, by the one definition of the command line: for hints, colours and completion.

use std::any::TypeId;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::sync::Arc;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::CompletionCandidate;
use clap_complete::engine::ArgValueCompleter;
use parking_lot::Mutex;

use crate::commands::repl_command::ReplCommand;
use crate::model::names::ShardName;
use crate::model::user::UserId;
use crate::terminal::lexer::Token;

/// How many ids are remembered.
const IDS_MAX: usize = 20;

/// What the session has seen, for completion.
#[derive(Debug, Default)]
pub(super) struct SeenValues {
    /// The names of the shards.
    pub(super) shards: Vec<String>,
    /// The ids that were used lately, the last one first.
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

/// What a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Command,
    Flag,
    Value,
    /// Nothing that can stand here.
    Unknown,
}

/// How far a line has come.
pub(super) struct CursorContext<'a> {
    /// The command that it is at.
    pub(super) command: &'a Command,
    /// What each word is.
    pub(super) roles: Vec<Role>,
    /// The flag whose value is next.
    pub(super) pending: Option<&'a Arg>,
    /// The arguments that are given.
    given: Vec<&'a Arg>,
    /// How many words stand before the command that is explained, or watched.
    pub(super) outer: usize,
    /// The ids of users that it names.
    pub(super) ids: Vec<i64>,
}

/// The definition of a line, and what the session knows besides.
pub(super) struct Grammar {
    pub(super) tree: Command,
}

impl Grammar {
    /// With completion of shards and ids that were seen.
    pub(super) fn new(seen: &Arc<Mutex<SeenValues>>) -> Self {
        let mut tree = with_completers(ReplCommand::command(), seen);
        tree.build();
        Self { tree }
    }

    /// The commands of psql's kind that begin like this.
    pub(super) fn metas(&self, typed: &str) -> Vec<String> {
        let commands = self.tree.get_subcommands().flat_map(Command::get_all_aliases);
        let mut metas: Vec<String> =
            commands.filter(|alias| alias.starts_with(typed)).map(Into::into).collect();
        metas.sort_unstable();
        metas
    }

    /// What these words mean.
    pub(super) fn place(&self, words: &[Token]) -> CursorContext<'_> {
        let mut place = CursorContext {
            command: &self.tree,
            roles: Vec::with_capacity(words.len()),
            pending: None,
            given: Vec::new(),
            outer: 0,
            ids: Vec::new(),
        };
        for (at, word) in words.iter().enumerate() {
            let role = if at == 0 && word.text == "ringshard" {
                place.outer = 1;
                Role::Command
            } else {
                place.step(&self.tree, at, word)
            };
            place.roles.push(role);
        }
        place
    }
}

impl<'a> CursorContext<'a> {
    fn step(&mut self, tree: &'a Command, at: usize, word: &Token) -> Role {
        let text = word.text.as_str();
        if let Some(arg) = self.pending.take() {
            self.value(arg, text);
            return Role::Value;
        }
        if self.takes_a_command() {
            // `watch 2 shards`: the pause comes first.
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
        if is_of::<UserId>(arg)
            && let Ok(id) = text.parse()
        {
            self.ids.push(id);
        }
        self.given.push(arg);
    }

    /// How many of these words stand before the command that the next word belongs to.
    pub(super) fn outer_of(&self, words: &[Token]) -> usize {
        if self.takes_a_command() { words.len() } else { self.outer }
    }

    /// Whether the next word begins a command that is explained, or watched.
    fn takes_a_command(&self) -> bool {
        ["explain", "watch"].contains(&self.command.get_name())
    }

    /// The required arguments that are still missing, as a usage line has them.
    pub(super) fn missing(&self) -> Vec<String> {
        if self.takes_a_command() {
            return vec!["COMMAND".into()];
        }
        let is_given = |id: &clap::Id| self.given.iter().any(|arg| arg.get_id() == id);
        let mut missing = Vec::new();
        // Nothing is missing before a command was typed at all.
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

/// How an argument is written.
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

/// Every argument that is a shard or a user, wherever it stands, is completed by what was seen.
fn with_completers(command: Command, seen: &Arc<Mutex<SeenValues>>) -> Command {
    let of_arg = |arg: Arg| {
        let seen = Arc::clone(seen);
        if is_of::<ShardName>(&arg) {
            let names = move |seen: &SeenValues| seen.shards.clone();
            return arg.add(completer(seen, names));
        }
        if is_of::<UserId>(&arg) {
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
