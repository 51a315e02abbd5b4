//! `init-shards`: from nothing, or from databases that are there, to a cluster.

use clap::Args;

use crate::commands::Context;
use crate::error::{Error, Kind, Result};
use crate::local::PrivateServer;
use crate::model::names::{ClusterId, ShardName};
use crate::model::report::{Cell, Column, Report};
use crate::model::ring::topology::{SHARDS_MAX, VIRTUAL_NODES_MAX};
use crate::pg::catalog::init;
use crate::pg::catalog::inspect::InitOutcome;
use crate::pg::cluster::cache;
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::pool::Shards;
use crate::settings::Settings;

const SHARDS_DEFAULT: u32 = 3;

/// The arguments of `init-shards`.
#[derive(Debug, Args)]
pub struct InitShardsArgs {
    /// How many shards; `shard_1` and so on are their names [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=SHARDS_MAX as i64))]
    pub(crate) shards: Option<u32>,
    /// Make the shards as databases of this server
    // Any text passes here: an error of clap's would quote it, and it may hold a password.
    #[arg(long, value_name = "URL", value_parser = connection_string, conflicts_with = "shard")]
    pub(crate) server: Option<ConnectionString>,
    /// Take this database as a shard; may be given more than once
    #[arg(long, value_name = "NAME=URL", value_parser = connection_string, conflicts_with = "shards")]
    pub(crate) shard: Vec<ConnectionString>,
    /// Virtual nodes of each shard [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=VIRTUAL_NODES_MAX as i64))]
    pub(crate) vnodes: Option<u32>,
}

#[expect(clippy::unnecessary_wraps, reason = "clap wants a result")]
pub(crate) fn connection_string(text: &str) -> std::result::Result<ConnectionString, String> {
    Ok(ConnectionString::new(text))
}

type Entries = Vec<(ShardName, ConnectionString)>;

impl InitShardsArgs {
    /// Makes what is missing, and writes down how to reach it.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let settings = context.settings();
        let server = settings.private_server()?;
        let entries = self.entries(&settings)?;
        self.check_against_config(&settings, &entries)?;
        // A private server that was destroyed took its cluster along: a new one may follow it.
        let all_local = entries.iter().all(|(_, url)| url.local_database().is_some());
        let is_gone = all_local && !server.exists();
        let shards = Shards::new(entries.clone(), server.clone(), settings.pool_options())?;

        let known = settings.cluster.as_ref().filter(|_| !is_gone).map(|cluster| cluster.value);
        self.create_databases(&settings, &server, &entries, &shards, known)?;
        let made = init::initialise(&shards, known, self.vnodes)?;
        let from_environment = settings.shards_are_from_environment();
        let is_new_file = !from_environment && !settings.file.value.exists();
        if !from_environment {
            settings.write_cluster(made.membership.cluster, &entries).map_err(|error| {
                let message = format!("the shards are made, but {}", error.message());
                Error::new(error.kind(), message).hint("run this again with a --config that can be written")
            })?;
        }
        if let Some(folder) = &settings.state_folder {
            cache::write(folder, &made.membership);
        }
        context.reload()?;

        let columns =
            [Column::text("shard"), Column::text("result"), Column::number("rows"), Column::text("url")];
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
        if !is_new_file && made.done.iter().all(|(_, done)| *done == InitOutcome::Unchanged) {
            report.notes.push("all was there already".into());
            return Ok(report);
        }
        if !from_environment {
            report.notes.push(format!("wrote `{}`", settings.file.value.display()));
        }
        report
            .notes
            .push("next: ringshard create-user --id 1 --name Alice\n      ringshard ring show".into());
        Ok(report)
    }

    /// The shards that are asked for: by flags, else by the configuration, else on the private server.
    fn entries(&self, settings: &Settings) -> Result<Entries> {
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
                "`{}` describes a cluster of {} shards already",
                settings.file.value.display(),
                settings.shards.len()
            );
            return Err(Error::new(Kind::Conflict, message)
                .hint("ringshard shards lists them; another --config makes another cluster"));
        }
        Ok(settings.shards.iter().map(|(name, url)| (name.clone(), url.value.clone())).collect())
    }

    /// Makes the databases that are missing, where that is ours to do: on the private server, and with `--server`.
    fn create_databases(
        &self,
        settings: &Settings,
        private: &PrivateServer,
        entries: &Entries,
        shards: &Shards,
        known: Option<ClusterId>,
    ) -> Result<()> {
        let maintenance: ShardName = "postgres".parse().expect("letters");
        // Each shard that may be made, and its database.
        let pairs: Vec<(&ShardName, ShardName)> = match &self.server {
            Some(_) => entries.iter().map(|(name, _)| (name, name.clone())).collect(),
            None => entries
                .iter()
                .filter_map(|(name, url)| url.local_database().map(|database| (name, database)))
                .map(|(name, database)| Ok((name, local_database(database)?)))
                .collect::<Result<_>>()?,
        };
        if pairs.is_empty() {
            return Ok(());
        }
        let url = if let Some(server) = &self.server {
            server.for_maintenance()?
        } else {
            private.ensure_running()?;
            ConnectionString::local("postgres")
        };
        let server = Shards::new([(maintenance.clone(), url)], private.clone(), settings.pool_options())?;
        let of_the_server = |error: Error| {
            // What was connected to is no shard yet.
            let message = error.message().replace("shard `postgres`", "the server");
            let hint = "is the URL right, and may its user connect? psql with the same URL shows it";
            let hint = error.hint_text().filter(|_| error.kind() == Kind::Permission).unwrap_or(hint);
            Error::new(error.kind(), message).hint(hint.to_owned())
        };
        let databases: Vec<ShardName> = pairs.iter().map(|(_, database)| database.clone()).collect();
        let missing = init::missing_databases(&server, &maintenance, &databases).map_err(of_the_server)?;
        let gone = pairs.iter().find(|(_, database)| missing.contains(database));
        if let (Some(cluster), Some((name, database))) = (known, gone) {
            let message = format!(
                "the database `{database}` of shard `{name}` is gone, with its part of the cluster `{cluster}`"
            );
            return Err(Error::new(Kind::Configuration, message)
                .hint("restore it from a backup; for another cluster name another file with --config")
                .on_shard(name));
        }
        let there: Vec<ShardName> = pairs
            .iter()
            .filter(|(_, database)| !missing.contains(database))
            .map(|(name, _)| (*name).clone())
            .collect();
        init::check_catalogs(shards, &there, &shards.names(), self.vnodes)?;
        init::create_databases(&server, &maintenance, &missing).map_err(of_the_server)
    }

    /// One configuration, one cluster: what is there is gone on with, not replaced.
    fn check_against_config(&self, settings: &Settings, entries: &Entries) -> Result<()> {
        let mut names: Vec<&ShardName> = entries.iter().map(|(name, _)| name).collect();
        names.sort();
        if let Some([twice, _]) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::new(Kind::Usage, format!("the shard `{twice}` is named twice"))
                .hint("give each --shard a name of its own"));
        }
        if settings.shards_are_from_environment() && (self.server.is_some() || !self.shard.is_empty()) {
            let message = "RINGSHARD_SHARDS names the shards, and so do these flags";
            return Err(
                Error::new(Kind::Conflict, message).hint("unset RINGSHARD_SHARDS, or leave out the flags")
            );
        }
        let mut configured: Vec<&ShardName> = settings.shards.iter().map(|(name, _)| name).collect();
        configured.sort();
        if configured.is_empty() || configured == names {
            return Ok(());
        }
        let list: Vec<String> = configured.iter().map(|name| format!("`{name}`")).collect();
        let message = format!(
            "`{}` describes another cluster already, of {}",
            settings.file.value.display(),
            list.join(", ")
        );
        Err(Error::new(Kind::Conflict, message).hint("name another file with --config for another cluster"))
    }
}

/// `NAME=URL`. The errors do not quote it: it may hold a password.
fn parse_shard(text: &ConnectionString) -> Result<(ShardName, ConnectionString)> {
    let wrong = |why: &str| {
        Error::new(Kind::Usage, format!("--shard: {why}"))
            .hint("write it as --shard shard_1=postgresql://USER@HOST/DATABASE")
    };
    let (name, url) =
        text.expose().split_once('=').ok_or_else(|| wrong("there is no `=` between name and URL"))?;
    let name = name.parse().map_err(|why: String| wrong(&why))?;
    if url.is_empty() {
        return Err(wrong("the URL is empty"));
    }
    Ok((name, ConnectionString::new(url)))
}

/// A database that may be made on the private server.
pub(crate) fn local_database(name: &str) -> Result<ShardName> {
    let why = match name {
        "postgres" | "template0" | "template1" => "that database is the server's own".to_owned(),
        _ => match name.parse() {
            Ok(name) => return Ok(name),
            Err(why) => why,
        },
    };
    Err(Error::new(Kind::Configuration, format!("`local:` and a database: {why}"))
        .hint("write it as `local:shard_1`"))
}
