//! `replica`: the streaming standbys of the shards.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use crate::commands::setup::init_shards::connection_string;
use crate::commands::{Context, complete_shard};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::{Cell, Column, Report};
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::pool::Shards;
use crate::pg::pool::replica_status::ReplicaStatus;

/// The commands of `replica`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum ReplicaCommand {
    /// List the known replicas, and how far each has replayed
    #[command(after_help = "Example: ringshard replica list")]
    List,
    /// Register a streaming standby of a shard
    #[command(after_help = "Example: ringshard replica add shard_2 'postgresql://app@standby2/app'")]
    Add(ReplicaArgs),
    /// Unregister a replica; its server keeps running
    #[command(after_help = "Example: ringshard replica remove shard_2 'postgresql://app@standby2/app'")]
    Remove(ReplicaArgs),
}

/// A shard and one of its replicas.
#[derive(Debug, Args)]
pub struct ReplicaArgs {
    /// The shard
    #[arg(add = ArgValueCompleter::new(complete_shard))]
    pub(crate) name: ShardName,
    /// The address of the replica
    #[arg(value_parser = connection_string)]
    pub(crate) url: ConnectionString,
}

impl ReplicaCommand {
    /// Whether it may change something.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self, Self::List)
    }

    /// Runs the command.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        match self {
            Self::List => list(context),
            Self::Add(args) => args.add(context),
            Self::Remove(args) => args.remove(context),
        }
    }
}

fn list(context: &Context<'_>) -> Result<Report> {
    let cluster = context.cluster()?;
    // Other processes may have added replicas. One shard that answers knows them all; without one, those of the
    // configuration are all that is known.
    let unknown = cluster.refresh().err();
    let mut report = Report::list(&[
        Column::text("shard"),
        Column::text("url"),
        Column::text("state"),
        Column::bytes("lag_bytes"),
        Column::number("age_seconds"),
        Column::text("replayed"),
    ]);
    for (name, url, status) in cluster.replica_statuses() {
        let (state, lag, age, replayed) = match status {
            Ok(ReplicaStatus { is_standby: false, .. }) => ("primary", None, None, None),
            Ok(status) => ("standby", status.lag_bytes, status.age_seconds, Some(status.replayed)),
            Err(error) => {
                report.warnings.push(error);
                ("down", None, None, None)
            }
        };
        report.push(vec![
            name.as_str().into(),
            url.into(),
            state.into(),
            lag.into(),
            age.map_or(Cell::Null, |seconds| Cell::Decimal(seconds, 1)),
            replayed.into(),
        ]);
    }
    report.failure = unknown;
    Ok(report)
}

impl ReplicaArgs {
    fn add(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        cluster.refresh()?;
        let shown = shown_of(context, &self.name, &self.url)?;
        cluster.check_replica(&self.name, &self.url)?;
        let mut configured = configured_replicas(context, &self.name)?;
        if configured.iter().all(|(_, other)| *other != shown) {
            configured.push((self.url.clone(), shown.clone()));
        }
        cluster.shards().add_replicas(&self.name, std::slice::from_ref(&self.url))?;
        self.record(context, configured, "added", &shown)
    }

    fn remove(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        cluster.refresh()?;
        let shown = shown_of(context, &self.name, &self.url)?;
        if !cluster.shards().remove_replica(&self.name, &shown)? {
            let message = format!("{shown} is not a known replica of shard `{}`", self.name);
            return Err(Error::new(Kind::NotFound, message)
                .hint("ringshard replica list shows the known ones")
                .on_shard(&self.name));
        }
        let mut configured = configured_replicas(context, &self.name)?;
        configured.retain(|(_, other)| *other != shown);
        self.record(context, configured, "removed", &shown)
    }

    /// Records the replicas on all shards and in the configuration.
    fn record(
        &self,
        context: &Context<'_>,
        configured: Vec<(ConnectionString, String)>,
        result: &'static str,
        shown: &str,
    ) -> Result<Report> {
        let (cluster, settings) = (context.cluster()?, context.settings());
        let failed = cluster.write_replicas(&self.name)?;
        let columns = [Column::text("shard"), Column::text("url"), Column::text("result")];
        let mut report = Report::one(&columns, vec![self.name.as_str().into(), shown.into(), result.into()]);
        report.warnings.extend(failed);
        let url = settings.shards.iter().find(|(name, _)| *name == self.name).map(|(_, url)| &url.value);
        if let Some(url) = url.filter(|_| !settings.shards_are_from_environment()) {
            let replicas: Vec<ConnectionString> = configured.into_iter().map(|(url, _)| url).collect();
            settings.write_places(&self.name, url, &replicas)?;
            context.reload()?;
        }
        Ok(report)
    }
}

/// The address that a URL leads to, without its password.
pub(crate) fn shown_of(context: &Context<'_>, name: &ShardName, url: &ConnectionString) -> Result<String> {
    let settings = context.settings();
    let entry = [(name.clone(), url.clone())];
    let shards = Shards::new(entry, settings.private_server()?, settings.pool_options())?;
    Ok(shards.address(name)?.shown().to_owned())
}

/// The replicas of a shard in the configuration, with their addresses.
pub(crate) fn configured_replicas(
    context: &Context<'_>,
    name: &ShardName,
) -> Result<Vec<(ConnectionString, String)>> {
    let settings = context.settings();
    let replicas = settings.replicas.get(name).into_iter().flatten();
    replicas.map(|url| Ok((url.clone(), shown_of(context, name, url)?))).collect()
}
