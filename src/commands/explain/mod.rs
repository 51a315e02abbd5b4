//! `explain`: what a command would do, step by step. It runs nothing.
//!
//! What is told comes from the topology that is known here, and from what makes the statements that are really
//! sent. A new command has no explanation until it stands in the one `match` below.

mod all_shards;
mod change;
mod drill;
mod failover;
mod load;
mod one_user;
mod ring;
mod servers;
mod steps;

use clap::error::ErrorKind;
use clap::{Args, Parser as _};

use super::{Cli, Command, Context, Invocation, Live, usage};
use crate::error::{Error, Kind, Result};
use crate::model::report::Report;
use steps::Steps;

/// The arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The command with its arguments; flags for the explanation itself, such as -o json, stand before it
    #[arg(value_name = "COMMAND", required = true, num_args = 1.., trailing_var_arg = true,
          allow_hyphen_values = true)]
    words: Vec<String>,
}

impl ExplainArgs {
    /// Tells what the command would do.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let words = self.words.strip_prefix(&["ringshard".to_owned()]).unwrap_or(&self.words);
        let line = std::iter::once("ringshard").chain(words.iter().map(String::as_str));
        let cli = match Cli::try_parse_from(line) {
            Ok(cli) => cli,
            Err(cause) if matches!(cause.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
                return Ok(Report::document(cause.render().to_string()));
            }
            Err(cause) => return Err(usage::error_of(&cause, words)),
        };
        let one = cli.command.as_ref().filter(|_| cli.commands.is_empty() && cli.script.is_none());
        let Some(command) = one else {
            return Err(
                Error::new(Kind::Usage, "explain takes one command").hint("ringshard explain get-user 1")
            );
        };
        if cli.globals.config.is_some() {
            return Err(Error::new(Kind::Usage, "--config stands before explain")
                .hint("ringshard --config FILE explain COMMAND"));
        }
        match command {
            Invocation::Command(command) => Ok(command.explain(context)?.report()),
            Invocation::Live(live) => Ok(live.explain().report()),
        }
    }
}

impl Live {
    /// What would go on at the terminal.
    fn explain(&self) -> Steps {
        match self {
            Self::Repl(_) => Steps::default()
                .add("read", "lines are read, at a terminal with an editor; each is parsed as the shell's words are")
                .add("run", "each is run as in the shell; connections, prepared statements and the ring stay from one to the next"),
            Self::Tour(_) => Steps::default()
                .add("make", "a folder of its own, and in it a private Postgres and three shards")
                .add("show", "each step is told, its commands are run, and a key goes on")
                .add("clean", "server and folder are deleted at the end, whatever the end is; your own shards are never touched"),
            Self::Monitor(args) => Steps::default()
                .add("ask", format!("each shard by a thread and a connection of its own, every {:?}; this machine too; nothing is started or changed", args.interval))
                .add("show", "full screen: the shards, the ring, a change of it, this machine; a shard that does not answer is `down`")
                .add("leave", "q leaves, and the terminal is as it was"),
        }
    }
}

impl Command {
    /// What the command would do.
    fn explain(&self, context: &Context<'_>) -> Result<Steps> {
        Ok(match self {
            Self::InitShards(args) => servers::init_shards(args),
            Self::CreateUser(args) => one_user::create(args, context)?,
            Self::GetUser(args) => one_user::get(args, context)?,
            Self::UpdateUser(args) => one_user::update(args, context)?,
            Self::DeleteUser(args) => one_user::delete(args, context)?,
            Self::ListUsers(args) => all_shards::list_users(args, context)?,
            Self::Count(args) => all_shards::count(args, context)?,
            Self::Import(args) => all_shards::import(args, context)?,
            Self::Export(args) => all_shards::export(args, context)?,
            Self::Load(command) => load::of(command, context)?,
            Self::Sql(args) => all_shards::sql(args, context)?,
            Self::Shards(_) => servers::shards(context)?,
            Self::Stats(args) => servers::stats(args, context)?,
            Self::Doctor(_) => servers::doctor(context)?,
            Self::AddShard(args) => change::add_shard(args, context)?,
            Self::RemoveShard(args) => change::remove_shard(args, context)?,
            Self::Rebalance(args) => change::rebalance(args, context)?,
            Self::Verify(args) => all_shards::verify(args, context)?,
            Self::Replica(command) => failover::replica(command, context)?,
            Self::Promote(args) => failover::promote(args, context)?,
            Self::Drill(command) => drill::of(command, context)?,
            Self::Ring(command) => ring::of(command, context)?,
            Self::Report(args) => all_shards::report(args, context)?,
            Self::Local(command) => servers::local(command),
            Self::Config(command) => servers::config(command),
            Self::Completions(args) => servers::completions(args),
            Self::Man(args) => servers::man(args),
            Self::Explain(_) => Steps::default()
                .add("parse", "the words behind `explain` are parsed as a command line of their own")
                .add(
                    "answer",
                    "the steps of that command, by the topology that is known here; nothing is run",
                ),
            Self::Help(_) => Steps::default()
                .add("answer", "the help of a command, or the text of a topic; both are part of the program"),
        })
    }
}
