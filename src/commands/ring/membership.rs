//! `add-shard` and `remove-shard`: they change the desired topology and move nothing.

use crate::pg::{rebalance, rows};
use clap::Args;
use clap_complete::ArgValueCompleter;

use super::remove_dead;
use crate::commands::failover::replica::shown_of;
use crate::commands::setup::init_shards::{connection_string, local_database};
use crate::commands::{Context, complete_shard};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::{Cell, Column, Report};
use crate::model::ring::topology::{Topology, Weight};
use crate::pg::catalog::init::{self, CreatedDatabases};
use crate::pg::cluster::Cluster;
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::pool::Shards;
use crate::pg::rebalance::{DesiredChange, Topologies};

/// The arguments of `add-shard`.
#[derive(Debug, Args)]
pub struct AddShardArgs {
    /// The shard's name; an existing shard gets the weight
    pub(crate) name: ShardName,
    /// Its database, which must be empty; created if it is missing [default: on the server of the others]
    // Any text is accepted here, because an error of clap would quote it, and it may hold a password.
    #[arg(value_parser = connection_string)]
    pub(crate) url: Option<ConnectionString>,
    /// The URL of the server itself, if the other URL leads to a connection pooler; used by what needs its own session
    #[arg(long, value_name = "URL", value_parser = connection_string)]
    pub(crate) direct_url: Option<ConnectionString>,
    /// Its part of the ring, as a multiple of that of a shard of weight 1 [default: 1]
    #[arg(long)]
    pub(crate) weight: Option<Weight>,
}

/// The arguments of `remove-shard`.
#[derive(Debug, Args)]
pub struct RemoveShardArgs {
    /// The shard's name
    #[arg(add = ArgValueCompleter::new(complete_shard))]
    pub(crate) name: ShardName,
    /// The shard is lost for good: give its arcs to the other shards at once
    #[arg(long)]
    pub(crate) dead: bool,
    /// With --dead: recover its users from this replica or restored backup
    #[arg(long, value_name = "URL", requires = "dead", value_parser = connection_string)]
    pub(crate) recover_from: Option<ConnectionString>,
}

impl AddShardArgs {
    /// Creates what is missing, and stores the desired topology.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        let mut topologies = rebalance::topologies(&cluster)?;
        let (mut desired_topology, mut change) = topologies.with(&self.name, self.weight)?;
        let mut lock = None;
        if change == DesiredChange::Joins {
            lock = Some(rebalance::lock_for_add_shard(&cluster, &topologies)?);
            topologies = rebalance::topologies(&cluster)?;
            (desired_topology, change) = topologies.with(&self.name, self.weight)?;
        }
        if change != DesiredChange::Joins {
            if let Some(url) = &self.url
                && shown_of(context, &self.name, url)? != cluster.shards().address(&self.name)?.shown()
            {
                let message = format!("shard `{}` exists already, with another database", self.name);
                return Err(Error::new(Kind::Conflict, message).hint(
                    "leave the URL out; ringshard config show prints its own and where it comes from",
                ));
            }
            rebalance::set_desired_topology(&cluster, &topologies, &desired_topology)?;
            return Ok(report(&topologies, &desired_topology, &self.name, change));
        }
        let settings = context.settings();
        let is_from_environment = settings.shards_are_from_environment();
        let url = self.new_url(context)?;
        let created = create_database(context, &url, &self.name)?;
        if let Err(error) = rebalance::provision_shard(&cluster, &topologies, &self.name, &url) {
            cluster.shards().remove(&self.name);
            return Err(match created {
                Some(created) => created.drop_empty(error),
                None => error,
            });
        }
        let entry = [(self.name.clone(), url.clone())];
        if !is_from_environment {
            settings.write_cluster(topologies.membership.cluster, &entry)?;
        }
        if let Err(error) = rebalance::set_desired_topology(&cluster, &topologies, &desired_topology) {
            let was_configured = settings.shards.iter().any(|(name, _)| *name == self.name);
            if !is_from_environment && !was_configured {
                // It stays if another process added the same shard first.
                settings.forget_shard(&self.name, || {
                    Ok(cluster.refresh().is_err() || cluster.view().goal().shard(&self.name).is_some())
                })?;
            }
            return Err(error);
        }
        if !is_from_environment {
            // Again: a rebalance that removed the shard may have cleaned up until the desired topology was stored.
            settings.write_cluster(topologies.membership.cluster, &entry)?;
            if let Some(direct_url) = &self.direct_url {
                settings.write_direct_url(&self.name, direct_url)?;
            }
        }
        drop(lock);
        let mut report = report(&topologies, &desired_topology, &self.name, change);
        if is_from_environment {
            let url = cluster.shards().address(&self.name)?;
            report.notes.push(format!("add it to RINGSHARD_SHARDS: {}={}", self.name, url.shown()));
        }
        context.reload()?;
        Ok(report)
    }

    /// Where the database of a new shard is.
    pub(crate) fn new_url(&self, context: &Context<'_>) -> Result<ConnectionString> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        match context.settings().shards.iter().find(|(name, _)| *name == self.name) {
            // Written by hand, or by a run that did not finish.
            Some((_, url)) => Ok(url.value.clone()),
            None => beside_the_others(context, &self.name),
        }
    }
}

impl RemoveShardArgs {
    /// Stores the desired topology; or removes the shard at once, if it is dead.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        if self.dead {
            return remove_dead::remove_dead(&self.name, self.recover_from.as_ref(), context);
        }
        let cluster = context.cluster()?;
        let topologies = rebalance::topologies(&cluster)?;
        let is_configured = context.settings().shards.iter().any(|(name, _)| *name == self.name);
        if is_configured && !cluster.view().belongs(&self.name) {
            // It left in a rebalance run elsewhere, or never joined.
            let note = forget(context, &cluster, &self.name)?;
            context.reload()?;
            let mut report = Report::note(format!(
                "`{}` is not part of the ring; removed from the configuration",
                self.name
            ));
            report.notes.extend(note);
            return Ok(report);
        }
        let (desired_topology, change) = topologies.without(&self.name)?;
        rebalance::set_desired_topology(&cluster, &topologies, &desired_topology)?;
        let mut report = report(&topologies, &desired_topology, &self.name, change);
        if change == DesiredChange::Forgotten {
            report.notes.extend(forget(context, &cluster, &self.name)?);
            context.reload()?;
        }
        Ok(report)
    }
}

/// Removes a shard that owns nothing from the configuration, and returns a note about its database. The catalogs may
/// keep its address: only addresses of shards in the ring are used.
pub(crate) fn forget(context: &Context<'_>, cluster: &Cluster, name: &ShardName) -> Result<Option<String>> {
    let settings = context.settings();
    let database = cluster.shards().address(name).map(|address| address.shown().to_owned());
    let left = rows::left_on(cluster, name);
    cluster.shards().remove(name);
    if settings.shards_are_from_environment() {
        return Ok(Some(format!("remove `{name}` from RINGSHARD_SHARDS")));
    }
    let belongs = || cluster.refresh().map(|_| cluster.view().belongs(name));
    if settings.forget_shard(name, belongs)? {
        return Ok(None);
    }
    Ok(database.ok().map(|url| match left {
        Some((0, 0)) => format!("`{name}` owns nothing; its database stays, empty, at {url}"),
        Some((rows, set_aside)) => format!(
            "`{name}` owns nothing; its database stays at {url}, and is NOT empty: {rows} rows in `users`, {set_aside} in \
             `ringshard.quarantine`"
        ),
        None => format!("`{name}` owns nothing; whether its database at {url} is empty is not known"),
    }))
}

/// A database with the shard's name on the server of the other shards.
fn beside_the_others(context: &Context<'_>, name: &ShardName) -> Result<ConnectionString> {
    let settings = context.settings();
    let urls: Vec<&ConnectionString> = settings.shards.iter().map(|(_, url)| &url.value).collect();
    if !urls.is_empty() && urls.iter().all(|url| url.local_database().is_some()) {
        return Ok(ConnectionString::local(name.as_str()));
    }
    // All are on one server if their addresses differ only in the database.
    let mut servers = Vec::new();
    for url in &urls {
        servers.push(shown_of(context, name, &url.with_database("postgres")?)?);
    }
    servers.dedup();
    match (urls.first(), servers.len()) {
        (Some(url), 1) => url.with_database(name.as_str()),
        _ => Err(Error::new(
            Kind::Usage,
            format!("the shards are on several servers, so `{name}` needs a URL"),
        )
        .hint(format!("ringshard add-shard {name} postgresql://USER@HOST/DATABASE"))),
    }
}

/// Creates the shard's database if it is missing.
fn create_database(
    context: &Context<'_>,
    url: &ConnectionString,
    name: &ShardName,
) -> Result<Option<CreatedDatabases>> {
    let settings = context.settings();
    let private = settings.private_server()?;
    let maintenance: ShardName = "postgres".parse().expect("letters");
    let (database, of_server) = if let Some(database) = url.local_database() {
        private.ensure_running()?;
        (local_database(database)?, ConnectionString::local("postgres"))
    } else {
        let probe = Shards::new([(name.clone(), url.clone())], private.clone(), settings.pool_options())?;
        let database = probe.address(name)?.database().to_owned();
        match probe.checkout(name) {
            // A missing database is of this kind; so is a wrong address, which fails again below.
            Err(error) if error.kind() == Kind::Configuration => {}
            result => return result.map(|_| None),
        }
        // Only a name that can be quoted safely is created.
        let Ok(database) = database.parse() else { return Ok(None) };
        (database, url.with_database("postgres")?)
    };
    let server = Shards::new([(maintenance.clone(), of_server)], private, settings.pool_options())?;
    let missing = init::missing_databases(&server, &maintenance, &[database])?;
    init::create_databases(server, maintenance, &missing).map(Some)
}

fn report(
    topologies: &Topologies,
    desired_topology: &Topology,
    name: &ShardName,
    change: DesiredChange,
) -> Report {
    let columns = [
        Column::text("shard"),
        Column::text("result"),
        Column::number("weight"),
        Column::number("share_pct"),
        Column::number("target_pct"),
    ];
    let share = |topology: &Topology| {
        let ring = topology.ring();
        Cell::percent(ring.share(name).unwrap_or(0.0))
    };
    let result = match change {
        DesiredChange::Joins => "joining",
        DesiredChange::Stays => "stays",
        DesiredChange::Weighs => "reweighed",
        DesiredChange::Leaves => "leaving",
        DesiredChange::Forgotten => "forgotten",
    };
    let now = &topologies.membership.topology;
    let weight = desired_topology.shard(name).or(now.shard(name)).map(|spec| spec.weight.number());
    let row = vec![
        name.as_str().into(),
        result.into(),
        weight.map_or(Cell::Null, |weight| Cell::Decimal(weight, 2)),
        share(now),
        share(desired_topology),
    ];
    let mut report = Report::one(&columns, row);
    report.notes.push(if desired_topology == now {
        "the ring does not change: nothing will move".into()
    } else {
        "nothing has moved yet; next: ringshard rebalance --dry-run".to_owned()
    });
    report
}
