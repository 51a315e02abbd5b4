//! x
use super::Context;
use crate::error::Result;
use crate::model::report::Report;
use clap::Args;
/// x
#[derive(Debug, Args)]
pub struct ImportArgs {}
impl ImportArgs {
    /// x
    #[allow(clippy::unnecessary_wraps)]
    pub fn run(&self, _: &Context<'_>) -> Result<Report> { Ok(Report::note("")) }
}
