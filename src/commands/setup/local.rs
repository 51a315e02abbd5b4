//! `local`: the private Postgres.

use clap::Subcommand;

use super::opened_home;
use crate::commands::Context;
use crate::error::Result;
use crate::model::report::{Column, Report};

/// The commands of `local`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum LocalCommand {
    /// Start the private Postgres; create it first if there is none
    #[command(after_help = "Example: ringshard local start")]
    Start,
    /// Stop it; its data stays
    #[command(after_help = "Example: ringshard local stop")]
    Stop,
    /// Show whether it runs, and where its files are
    #[command(after_help = "Example: ringshard local status")]
    Status,
    /// Stop it and delete all its data
    #[command(after_help = "Example: ringshard local destroy")]
    Destroy,
}

impl LocalCommand {
    /// Whether it may change something.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self, Self::Status)
    }

    /// Runs the command.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let server = context.settings().local_server()?;
        match self {
            Self::Start => {
                let mode = server.home_mode();
                let started = server.ensure_running()?;
                let mut report = Report::note(if started {
                    "started the private Postgres"
                } else {
                    "the private Postgres is already running"
                });
                report.notes.extend(opened_home(&server, mode));
                Ok(report)
            }
            Self::Stop => {
                let stopped = server.stop()?;
                Ok(Report::note(if stopped {
                    "stopped the private Postgres"
                } else {
                    "the private Postgres is not running"
                }))
            }
            Self::Status => {
                let status = server.status()?;
                let path = |path: std::path::PathBuf| path.display().to_string();
                let columns = [
                    Column::text("running"),
                    Column::text("version"),
                    Column::number("pid"),
                    Column::text("data"),
                    Column::text("socket"),
                    Column::text("log"),
                    Column::text("binaries"),
                    Column::text("run_as"),
                ];
                let row = vec![
                    status.running.into(),
                    status.version.into(),
                    status.pid.into(),
                    path(status.data).into(),
                    path(status.socket_dir).into(),
                    path(status.log).into(),
                    status.binaries.map(path).into(),
                    status.run_as.into(),
                ];
                Ok(Report::one(&columns, row))
            }
            Self::Destroy => {
                if server.exists()? {
                    let data = server.data().display().to_string();
                    context
                        .console()
                        .confirm(&format!("Delete the private Postgres and all data in {data}?"))?;
                }
                let destroyed = server.destroy()?;
                Ok(Report::note(if destroyed {
                    "deleted the private Postgres and its data; ringshard init-shards creates a new one"
                } else {
                    "there is no private Postgres"
                }))
            }
        }
    }
}
