//! `load`: synthetic users, and clients that work with them and check every answer.

mod check;
mod client;
mod fill;
mod key_histories;
mod outcome;
mod run;
mod run_context;
mod tally;

use clap::Subcommand;

use super::Context;
use crate::error::Result;
use crate::model::report::Report;
pub use fill::FillArgs;
pub use run::RunArgs;

/// The commands of `load`.
#[derive(Debug, Subcommand)]
pub enum LoadCommand {
    /// Store synthetic users, most of them in one region; the same seed gives the same users
    Fill(FillArgs),
    /// Run operations from many clients, measure them, and check every answer
    Run(RunArgs),
}

impl LoadCommand {
    /// Runs the command.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        match self {
            Self::Fill(args) => args.run(context),
            Self::Run(args) => args.run(context),
        }
    }
}
