//! `load`: users to play with, and clients that work with them and check every answer.

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
    /// Store synthetic users: plausible names, most of them in one region; the same for the same seed
    Fill(FillArgs),
    /// Run operations of many clients, measure them, and check every answer against what was written
    Run(RunArgs),
}

impl LoadCommand {
    /// Does it.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        match self {
            Self::Fill(args) => args.run(context),
            Self::Run(args) => args.run(context),
        }
    }
}
