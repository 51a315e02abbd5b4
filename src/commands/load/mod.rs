//! `load`: synthetic users, and clients that work with them and check every answer.

mod check;
mod clean;
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
pub use clean::CleanArgs;
pub use fill::FillArgs;
pub use run::RunArgs;

/// The commands of `load`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum LoadCommand {
    /// Store synthetic users, most of them in one region; the same seed gives the same users
    #[command(after_help = "Example: ringshard load fill 5000")]
    Fill(FillArgs),
    /// Run operations from many clients, measure them, and check every answer
    #[command(after_help = "Example: ringshard load run --duration 10s --clients 8")]
    Run(RunArgs),
    /// Remove the users that runs created, if some were killed before they removed them
    #[command(after_help = "Example: ringshard load clean")]
    Clean(CleanArgs),
}

impl LoadCommand {
    /// Runs the command.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        match self {
            Self::Fill(args) => args.run(context),
            Self::Run(args) => args.run(context),
            Self::Clean(args) => args.run(context),
        }
    }
}
