//! `explain`: what a command would do, step by step. It runs nothing.
//!
//! Each explanation begins with the command's line of help. The steps behind it come from the topology that
//! this process knows, from the builders of the statements that are sent, and from the arguments; what `help`
//! prints about a command is not repeated.

mod all_shards;
mod change;
mod failures;
mod one_user;
mod ring;
mod steps;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser as _};

use super::{Cli, Command, Context, Invocation, usage, with_help};
use crate::error::{Error, Kind, Result};
use crate::model::report::{Document, Report};
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
    /// Explains the command.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let words = self.words.strip_prefix(&["ringshard".to_owned()]).unwrap_or(&self.words);
        let line = std::iter::once("ringshard").chain(words.iter().map(String::as_str));
        let cli = match Cli::try_parse_from(line.clone()).map_err(|cause| with_help::<Cli>(cause, line)) {
            Ok(cli) => cli,
            Err(cause) if matches!(cause.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
                return Ok(Report::document(Document::Text(cause.render().to_string())));
            }
            Err(cause) => return Err(usage::error_of(&cause, words)),
        };
        let one = cli.command.as_ref().filter(|_| cli.commands.is_empty() && cli.script.is_none());
        let Some(command) = one else {
            return Err(
                Error::new(Kind::Usage, "explain takes one command").hint("ringshard explain get-user 1")
            );
        };
        if let Some(path) = &cli.globals.config {
            let hint = format!("ringshard --config {} explain {}", path.display(), usage::path_of(words));
            return Err(Error::new(Kind::Usage, "--config stands before explain").hint(hint));
        }
        let steps = match command {
            Invocation::Command(command) => command.explain(context)?,
            Invocation::Live(_) => Steps::default(),
        };
        Ok(steps.report(&summary(words)))
    }
}

/// The line of help of the command that these words name.
fn summary(words: &[String]) -> String {
    let mut command = Cli::command();
    for word in words {
        if let Some(inner) = command.find_subcommand(word).cloned() {
            command = inner;
        }
    }
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

impl Command {
    /// The steps that show more than the command's help.
    fn explain(&self, context: &Context<'_>) -> Result<Steps> {
        match self {
            Self::InitShards(args) => all_shards::init_shards(args, context),
            Self::CreateUser(args) => one_user::create(args, context),
            Self::GetUser(args) => one_user::get(args, context),
            Self::UpdateUser(args) => one_user::update(args, context),
            Self::DeleteUser(args) => one_user::delete(args, context),
            Self::ListUsers(args) => all_shards::list_users(args, context),
            Self::Count(args) => all_shards::count(args, context),
            Self::Import(args) if args.command.is_none() => all_shards::import(context),
            Self::Export(_) => all_shards::export(context),
            Self::Load(command) => all_shards::load(command, context),
            Self::Sql(args) => all_shards::sql(args, context),
            Self::Route(args) => ring::route(args, context),
            Self::Shards(_) => all_shards::shards(context),
            Self::Stats(_) => all_shards::stats(context),
            Self::Report(_) => all_shards::report(context),
            Self::Verify(args) => all_shards::verify(args, context),
            Self::Table(command) => change::table(command, context),
            Self::Schema(command) => change::schema(command, context),
            Self::AddShard(args) => change::add_shard(args, context),
            Self::RemoveShard(args) => change::remove_shard(args, context),
            Self::Rebalance(args) => change::rebalance(args, context),
            Self::Promote(args) => failures::promote(args, context),
            Self::Drill(command) => failures::drill(command, context),
            Self::Ring(command) => ring::of(command, context),
            _ => Ok(Steps::default()),
        }
    }
}
