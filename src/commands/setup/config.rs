//! `config`: the settings in force, and the origin of each.

use std::time::Duration;

use clap::Subcommand;

use crate::commands::Context;
use crate::error::Result;
use crate::local::PrivateServer;
use crate::model::report::{Cell, Column, Report};
use crate::pg::net::conninfo::ConnectionString;
use crate::settings::{Origin, Sourced, value_name};

/// The commands of `config`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum ConfigCommand {
    /// Show each setting and its origin; passwords are redacted
    #[command(after_help = "Example: ringshard config show")]
    Show,
}

impl ConfigCommand {
    /// Runs the command.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let Self::Show = self;
        let settings = context.settings();
        let server = settings.private_server()?;
        let mut report =
            Report::list(&[Column::text("setting"), Column::text("value"), Column::text("origin")]);
        let mut line = |setting: &str, value: Cell, origin: &dyn ToString| {
            report.push(vec![setting.into(), value, origin.to_string().into()]);
        };
        let file = &settings.file;
        line("config", file.value.display().to_string().into(), &file.origin);
        if let Some(home) = &settings.home {
            line("home", home.display().to_string().into(), &"RINGSHARD_HOME");
        }
        match &settings.cluster {
            Some(Sourced { value, origin }) => line("cluster", value.to_string().into(), origin),
            None => line("cluster", Cell::Null, &"default"),
        }
        line("format", value_name(&settings.format.value).into(), &settings.format.origin);
        line("color", value_name(&settings.color.value).into(), &settings.color.origin);
        match &settings.log_file {
            Some(Sourced { value, origin }) => line("log_file", value.display().to_string().into(), origin),
            None => line("log_file", Cell::Null, &"default"),
        }
        let timeout = settings.connect_timeout.value.as_millis().to_string();
        line("connect_timeout_ms", timeout.into(), &settings.connect_timeout.origin);
        let timeout = settings.statement_timeout.value.as_millis().to_string();
        line("statement_timeout_ms", timeout.into(), &settings.statement_timeout.origin);
        line("access", value_name(&settings.access.value).into(), &settings.access.origin);
        line("pool_size", settings.pool_size.value.to_string().into(), &settings.pool_size.origin);
        let read_replica = &settings.read_replica;
        line("read_replica", value_name(&read_replica.value).into(), &read_replica.origin);
        let standbys = &settings.standbys;
        line("standbys", value_name(&standbys.value).into(), &standbys.origin);
        let timeout = settings.standby_timeout.value.as_millis().to_string();
        line("standby_timeout_ms", timeout.into(), &settings.standby_timeout.origin);
        match &settings.pg_bin {
            Some(Sourced { value, origin }) => line("pg_bin", value.display().to_string().into(), origin),
            None => line("pg_bin", Cell::Null, &"default"),
        }
        if let Some(home) = &settings.local_home {
            line("local_home", home.display().to_string().into(), &Origin::File(file.value.clone()));
        }
        for (name, url) in &settings.shards {
            shard_lines(&mut line, name.as_str(), url, &server, settings.connect_timeout.value);
            if let Some(direct) = settings.direct_urls.get(name) {
                let setting = format!("shards.{name}.direct_url");
                address_lines(
                    &mut line,
                    &setting,
                    direct,
                    &url.origin,
                    &server,
                    settings.connect_timeout.value,
                );
            }
            for replica in settings.replicas.get(name).into_iter().flatten() {
                let setting = format!("shards.{name}.replicas");
                address_lines(
                    &mut line,
                    &setting,
                    replica,
                    &url.origin,
                    &server,
                    settings.connect_timeout.value,
                );
            }
        }
        Ok(report)
    }
}

fn shard_lines(
    line: &mut impl FnMut(&str, Cell, &dyn ToString),
    name: &str,
    url: &Sourced<ConnectionString>,
    server: &PrivateServer,
    timeout: Duration,
) {
    let setting = format!("shards.{name}.url");
    if let Some(origin) = address_lines(line, &setting, &url.value, &url.origin, server, timeout) {
        line(&format!("shards.{name}.password"), "[redacted]".into(), &origin);
    }
}

/// Adds an address without its password, and returns the origin of the password, if it has one.
fn address_lines(
    line: &mut impl FnMut(&str, Cell, &dyn ToString),
    setting: &str,
    url: &ConnectionString,
    origin: &Origin,
    server: &PrivateServer,
    timeout: Duration,
) -> Option<&'static str> {
    match url.resolve(server, timeout) {
        Ok(address) => {
            line(setting, address.shown().into(), origin);
            address.password_from()
        }
        Err(error) => {
            line(setting, format!("wrong: {error}").into(), origin);
            None
        }
    }
}
