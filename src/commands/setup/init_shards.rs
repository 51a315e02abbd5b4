//! `init-shards`: makes a cluster of new or existing databases.

use clap::Args;

use super::opened_home;
use crate::commands::Context;
use crate::error::{Error, Kind, Result};
use crate::local::PrivateServer;
use crate::model::names::{ClusterId, ShardName};
use crate::model::report::{Cell, Column, Report};
use crate::model::ring::topology::{SHARDS_MAX, VIRTUAL_NODES_MAX};
use crate::pg::catalog::init::{self, CreatedDatabases};
use crate::pg::catalog::inspect::InitOutcome;
use crate::pg::cluster::cache;
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::pool::{self, Shards};
use crate::settings::Settings;

const SHARDS_DEFAULT: u32 = 3;

/// The arguments of `init-shards`.
#[derive(Debug, Args)]
pub struct InitShardsArgs {
    /// The number of shards, which are named `shard_1` and so on [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=SHARDS_MAX as i64))]
    pub(crate) shards: Option<u32>,
    /// Create the shards as databases on this server
    // Any text is accepted here, because an error of clap would quote it, and it may hold a password.
    #[arg(long, value_name = "URL", value_parser = connection_string, conflicts_with = "shard")]
    pub(crate) server: Option<ConnectionString>,
    /// Use this existing database as a shard; may be given more than once
    #[arg(long, value_name = "NAME=URL", value_parser = connection_string, conflicts_with = "shards")]
    pub(crate) shard: Vec<ConnectionString>,
    /// Virtual nodes of each shard [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=VIRTUAL_NODES_MAX as i64))]
    pub(crate) vnodes: Option<u32>,
}

#[expect(clippy::unnecessary_wraps, reason = "clap requires a result")]
pub(crate) fn connection_string(text: &str) -> std::result::Result<ConnectionString, String> {
    Ok(ConnectionString::new(text))
}

type Entries = Vec<(ShardName, ConnectionString)>;

impl InitShardsArgs {
    /// Creates what is missing, and writes the shards into the configuration.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let settings = context.settings();
        let server = settings.private_server()?;
        let entries = self.entries(&settings)?;
        self.check_against_config(&settings, &entries)?;
        // The cluster of a private server that was destroyed no longer exists: a new one may replace it.
        let all_local = entries.iter().all(|(_, url)| url.local_database().is_some());
        let first_local = entries.iter().find(|(_, url)| url.local_database().is_some());
        let is_destroyed = first_local.is_some() && !server.exists()?;
        if let (true, Some((name, _)), Some(_)) = (is_destroyed, first_local, &settings.cluster) {
            if !all_local {
                pool::check_private_server(&server, name)?;
            }
            if !settings.file_is_in_home_of(&server)? {
                let (home, file) = (server.home().display(), settings.file.value.display());
                context.console().confirm(&format!(
                    "`{file}` names a cluster on a private Postgres, which is not in `{home}` and may be in another RINGSHARD_HOME. \
                     Create a new, empty cluster in its place?"
                ))?;
            }
        }
        let shards = Shards::new(entries.clone(), server.clone(), settings.pool_options())?;
        let mode = server.home_mode();

        let known = settings.cluster.as_ref().filter(|_| !is_destroyed).map(|cluster| cluster.value);
        let created = self.create_databases(&settings, &server, &entries, &shards, known)?;
        let made = match init::initialise(&shards, known, self.vnodes) {
            Ok(made) => made,
            Err(error) => {
                drop(shards);
                return Err(match created {
                    Some(created) => created.drop_empty(error),
                    None => error,
                });
            }
        };
        let from_environment = settings.shards_are_from_environment();
        let is_new_file = !from_environment && !settings.file.value.exists();
        if !from_environment {
            settings.write_cluster(made.membership.cluster, &entries).map_err(|error| {
                let message = format!("the shards are created, but {}", error.message());
                Error::new(error.kind(), message)
                    .hint("run this again with --config and the name of a writable file")
            })?;
        }
        if let Some(folder) = &settings.state_folder {
            cache::write(folder, &made.membership);
        }
        context.reload()?;

        let columns = [
            Column::text("shard"),
            Column::text("result"),
            Column::number("rows"),
            Column::text("url").detail(1),
        ];
        let mut report = Report::list(&columns);
        for (name, done) in &made.done {
            let (result, rows) = match done {
                InitOutcome::Created => ("created", Cell::Integer(0)),
                InitOutcome::Adopted(rows) => ("adopted", Cell::Integer(*rows)),
                InitOutcome::Upgraded => ("upgraded", Cell::Null),
                InitOutcome::Repaired => ("repaired", Cell::Null),
                InitOutcome::Unchanged => ("unchanged", Cell::Null),
            };
            report.push(vec![
                name.as_str().into(),
                result.into(),
                rows,
                shards.address(name)?.shown().into(),
            ]);
        }
        report.notes.extend(opened_home(&server, mode));
        if !is_new_file && made.done.iter().all(|(_, done)| *done == InitOutcome::Unchanged) {
            report.notes.push("nothing to do: all shards are complete".into());
            return Ok(report);
        }
        if !from_environment {
            report.notes.push(format!("wrote `{}`", settings.file.value.display()));
        }
        // Only shards that were all created now are known to hold no users.
        let is_new = made.done.iter().all(|(_, done)| *done == InitOutcome::Created);
        if made.membership.topology.tables().all().is_empty() {
            report.notes.push("no table is sharded yet; next: ringshard table add NAME --key COLUMN".into());
            return Ok(report);
        }
        let next = if is_new { "ringshard create-user --id 1 --name Alice\n      " } else { "" };
        report.notes.push(format!("next: {next}ringshard ring show"));
        Ok(report)
    }

    /// The shards of the flags, else of the configuration, else on the private server.
    pub(crate) fn entries(&self, settings: &Settings) -> Result<Entries> {
        if !self.shard.is_empty() {
            return self.shard.iter().map(parse_shard).collect();
        }
        let count = self.shards.unwrap_or(SHARDS_DEFAULT);
        let names: Vec<ShardName> = (1..=count)
            .map(|number| format!("shard_{number}").parse().expect("letters, digits and an underscore"))
            .collect();
        if let Some(server) = &self.server {
            return init::databases_on(server, &names);
        }
        if settings.shards.is_empty() {
            return Ok(names
                .into_iter()
                .map(|name| (name.clone(), ConnectionString::local(name.as_str())))
                .collect());
        }
        if self.shards.is_some_and(|requested| requested as usize != settings.shards.len()) {
            let message = format!(
                "`{}` already describes a cluster of {} shards",
                settings.file.value.display(),
                settings.shards.len()
            );
            return Err(Error::new(Kind::Conflict, message)
                .hint(
                "ringshard shards lists them, ringshard add-shard adds one; for another cluster, name another file with \
                 --config",
            ));
        }
        Ok(settings.shards.iter().map(|(name, url)| (name.clone(), url.value.clone())).collect())
    }

    /// Creates the databases that are missing on the private server, or on that of `--server`.
    fn create_databases(
        &self,
        settings: &Settings,
        private: &PrivateServer,
        entries: &Entries,
        shards: &Shards,
        known: Option<ClusterId>,
    ) -> Result<Option<CreatedDatabases>> {
        let maintenance: ShardName = "postgres".parse().expect("letters");
        // Each shard whose database may be created, and the database.
        let pairs: Vec<(&ShardName, ShardName)> = match &self.server {
            Some(_) => entries.iter().map(|(name, _)| (name, name.clone())).collect(),
            None => entries
                .iter()
                .filter_map(|(name, url)| url.local_database().map(|database| (name, database)))
                .map(|(name, database)| Ok((name, local_database(database)?)))
                .collect::<Result<_>>()?,
        };
        if pairs.is_empty() {
            return Ok(None);
        }
        let url = if let Some(server) = &self.server {
            server.for_maintenance()?
        } else {
            private.ensure_running()?;
            ConnectionString::local("postgres")
        };
        let server = Shards::new([(maintenance.clone(), url)], private.clone(), settings.pool_options())?;
        let server_error = |error: Error| {
            // The connection was not to a shard yet.
            let message = error.message().replace("shard `postgres`", "the server");
            let hint = "check the URL, and that its user may connect, with psql and the same URL";
            let hint = error.hint_text().filter(|_| error.kind() == Kind::Permission).unwrap_or(hint);
            Error::new(error.kind(), message).hint(hint.to_owned())
        };
        let databases: Vec<ShardName> = pairs.iter().map(|(_, database)| database.clone()).collect();
        let missing = init::missing_databases(&server, &maintenance, &databases).map_err(server_error)?;
        let lost = pairs.iter().find(|(_, database)| missing.contains(database));
        if let (Some(cluster), Some((name, database))) = (known, lost) {
            let message = format!(
                "the database `{database}` of shard `{name}` is missing, with its part of the cluster `{cluster}`"
            );
            return Err(Error::new(Kind::Configuration, message)
                .hint("restore it from a backup; for a new cluster, name another file with --config")
                .on_shard(name));
        }
        let there: Vec<ShardName> = pairs
            .iter()
            .filter(|(_, database)| !missing.contains(database))
            .map(|(name, _)| (*name).clone())
            .collect();
        init::check_catalogs(shards, &there, &shards.names(), self.vnodes)?;
        init::create_databases(server, maintenance, &missing).map(Some).map_err(server_error)
    }

    /// A configuration file describes one cluster, which is never replaced by another one.
    fn check_against_config(&self, settings: &Settings, entries: &Entries) -> Result<()> {
        let mut names: Vec<&ShardName> = entries.iter().map(|(name, _)| name).collect();
        names.sort();
        if let Some([twice, _]) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::new(Kind::Usage, format!("the shard `{twice}` is given twice"))
                .hint("give each --shard a different name"));
        }
        if settings.shards_are_from_environment() && (self.server.is_some() || !self.shard.is_empty()) {
            let message = "both RINGSHARD_SHARDS and the flags name the shards";
            return Err(
                Error::new(Kind::Conflict, message).hint("unset RINGSHARD_SHARDS, or leave the flags out")
            );
        }
        let mut configured: Vec<&ShardName> = settings.shards.iter().map(|(name, _)| name).collect();
        configured.sort();
        if configured.is_empty() || configured == names {
            return Ok(());
        }
        let list: Vec<String> = configured.iter().map(|name| format!("`{name}`")).collect();
        let message = format!(
            "`{}` already describes another cluster, of {}",
            settings.file.value.display(),
            list.join(", ")
        );
        Err(Error::new(Kind::Conflict, message).hint("for another cluster, name another file with --config"))
    }
}

/// `NAME=URL`. The errors do not quote it: it may hold a password.
fn parse_shard(text: &ConnectionString) -> Result<(ShardName, ConnectionString)> {
    let wrong = |why: &str| {
        Error::new(Kind::Usage, format!("--shard: {why}"))
            .hint("write it as --shard shard_1=postgresql://USER@HOST/DATABASE")
    };
    let (name, url) =
        text.expose().split_once('=').ok_or_else(|| wrong("`=` is missing between name and URL"))?;
    let name = name.parse().map_err(|why: String| wrong(&why))?;
    if url.is_empty() {
        return Err(wrong("the URL is empty"));
    }
    Ok((name, ConnectionString::new(url)))
}

/// The name of a database that may be created on the private server.
pub(crate) fn local_database(name: &str) -> Result<ShardName> {
    let why = match name {
        "postgres" | "template0" | "template1" => "that database belongs to the server".to_owned(),
        _ => match name.parse() {
            Ok(name) => return Ok(name),
            Err(why) => why,
        },
    };
    Err(Error::new(Kind::Configuration, format!("the database of `local:`: {why}"))
        .hint("write it as `local:shard_1`"))
}
