//! `add-shard` and `remove-shard`: which shards the ring is to have. They move nothing.

use crate::pg::rebalance;
use crate::pg::rows;
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
use crate::pg::catalog::init;
use crate::pg::cluster::Cluster;
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::pool::Shards;
use crate::pg::rebalance::{DesiredChange, Topologies};

/// The arguments of `add-shard`.
#[derive(Debug, Args)]
pub struct AddShardArgs {
    /// The shard's name; one that is there gets another weight
    pub(crate) name: ShardName,
    /// Its database, which is to be empty or is made [default: beside the others]
    // Any text passes here: an error of clap's would quote it, and it may hold a password.
    #[arg(value_parser = connection_string)]
    pub(crate) url: Option<ConnectionString>,
    /// How much of the ring it gets, as a multiple of a shard of weight 1 [default: 1]
    #[arg(long)]
    pub(crate) weight: Option<Weight>,
}

/// The arguments of `remove-shard`.
#[derive(Debug, Args)]
pub struct RemoveShardArgs {
    /// The shard's name
    #[arg(add = ArgValueCompleter::new(complete_shard))]
    pub(crate) name: ShardName,
    /// It is gone and will not come back: the others get its arcs at once
    #[arg(long)]
    pub(crate) dead: bool,
    /// With --dead: bring in the users of its replica, or of a backup that was restored there
    #[arg(long, value_name = "URL", requires = "dead", value_parser = connection_string)]
    pub(crate) recover_from: Option<ConnectionString>,
}

impl AddShardArgs {
    /// Makes what is missing, and writes down the wish.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        let standing = rebalance::topologies(&cluster)?;
        let (desired_topology, wished) = standing.with(&self.name, self.weight)?;
        if wished != DesiredChange::Joins {
            if let Some(url) = &self.url
                && shown_of(context, &self.name, url)? != cluster.shards().address(&self.name)?.shown()
            {
                let message = format!("shard `{}` is there already, and has its database", self.name);
                return Err(Error::new(Kind::Conflict, message)
                    .hint("leave out the URL; ringshard config show names where its own comes from"));
            }
            rebalance::set_desired_topology(&cluster, &standing, &desired_topology)?;
            return Ok(report(&standing, &desired_topology, &self.name, wished));
        }
        let settings = context.settings();
        let is_from_environment = settings.shards_are_from_environment();
        let url = match &self.url {
            Some(url) => url.clone(),
            None => match settings.shards.iter().find(|(name, _)| *name == self.name) {
                // Written down by hand, or by a run that did not come to its end.
                Some((_, url)) => url.value.clone(),
                None => beside_the_others(context, &self.name)?,
            },
        };
        make_database(context, &url, &self.name)?;
        rebalance::provision_shard(&cluster, &standing, &self.name, &url)?;
        let entry = [(self.name.clone(), url.clone())];
        if !is_from_environment {
            settings.write_cluster(standing.membership.cluster, &entry)?;
        }
        if let Err(error) = rebalance::set_desired_topology(&cluster, &standing, &desired_topology) {
            let was_there = settings.shards.iter().any(|(name, _)| *name == self.name);
            if !is_from_environment && !was_there {
                // Unless somebody else was faster with the same shard.
                settings.forget_shard(&self.name, || {
                    Ok(cluster.refresh().is_err() || cluster.view().goal().shard(&self.name).is_some())
                })?;
            }
            return Err(error);
        }
        if !is_from_environment {
            // Once more: a rebalance that took the shard out before may have cleaned up behind it until the wish.
            settings.write_cluster(standing.membership.cluster, &entry)?;
        }
        let mut report = report(&standing, &desired_topology, &self.name, wished);
        if is_from_environment {
            let url = cluster.shards().address(&self.name)?;
            report.notes.push(format!("add it to RINGSHARD_SHARDS: {}={}", self.name, url.shown()));
        }
        context.reload()?;
        Ok(report)
    }
}

impl RemoveShardArgs {
    /// Writes down the wish; or takes the shard out at once, if it is gone.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        if self.dead {
            return remove_dead::remove_dead(&self.name, self.recover_from.as_ref(), context);
        }
        let cluster = context.cluster()?;
        let standing = rebalance::topologies(&cluster)?;
        let is_configured = context.settings().shards.iter().any(|(name, _)| *name == self.name);
        if is_configured && !cluster.view().belongs(&self.name) {
            // It has left, by a rebalance elsewhere, or never came.
            let note = forget(context, &cluster, &self.name)?;
            context.reload()?;
            let mut report =
                Report::note(format!("`{}` does not belong to the ring, and is forgotten here", self.name));
            report.notes.extend(note);
            return Ok(report);
        }
        let (desired_topology, wished) = standing.without(&self.name)?;
        rebalance::set_desired_topology(&cluster, &standing, &desired_topology)?;
        let mut report = report(&standing, &desired_topology, &self.name, wished);
        if wished == DesiredChange::Forgotten {
            report.notes.extend(forget(context, &cluster, &self.name)?);
            context.reload()?;
        }
        Ok(report)
    }
}

/// Takes a shard that owns nothing out of the configuration; what to say of it. In the catalogs its address may stay:
/// only those of shards that belong to the ring are looked at.
pub(crate) fn forget(context: &Context<'_>, cluster: &Cluster, name: &ShardName) -> Result<Option<String>> {
    let settings = context.settings();
    let database = cluster.shards().address(name).map(|address| address.shown().to_owned());
    let left = rows::left_on(cluster, name);
    cluster.shards().remove(name);
    if settings.shards_are_from_environment() {
        return Ok(Some(format!("take `{name}` out of RINGSHARD_SHARDS")));
    }
    let belongs = || cluster.refresh().map(|_| cluster.view().belongs(name));
    if settings.forget_shard(name, belongs)? {
        return Ok(None);
    }
    Ok(database.ok().map(|url| match left {
        Some((0, 0)) => format!("`{name}` owns nothing; its database stays, empty, at {url}"),
        Some((rows, set_aside)) => format!(
            "`{name}` owns nothing; its database stays at {url}, and is NOT empty: {rows} rows in `users`, {set_aside} that \
             were set aside in `ringshard.quarantine`"
        ),
        None => format!("`{name}` owns nothing; its database, at {url}, was not looked at"),
    }))
}

/// A database of the shard's name, where the other shards have theirs.
fn beside_the_others(context: &Context<'_>, name: &ShardName) -> Result<ConnectionString> {
    let settings = context.settings();
    let urls: Vec<&ConnectionString> = settings.shards.iter().map(|(_, url)| &url.value).collect();
    if !urls.is_empty() && urls.iter().all(|url| url.local_database().is_some()) {
        return Ok(ConnectionString::local(name.as_str()));
    }
    // One server holds them all if the addresses differ in nothing but the database.
    let mut servers = Vec::new();
    for url in &urls {
        servers.push(shown_of(context, name, &url.with_database("postgres")?)?);
    }
    servers.dedup();
    match (urls.first(), servers.len()) {
        (Some(url), 1) => url.with_database(name.as_str()),
        _ => Err(Error::new(
            Kind::Usage,
            format!("the shards lie on several servers; where is `{name}` to be?"),
        )
        .hint(format!("ringshard add-shard {name} postgresql://USER@HOST/DATABASE"))),
    }
}

/// Makes the shard's database if its server does not have it.
fn make_database(context: &Context<'_>, url: &ConnectionString, name: &ShardName) -> Result<()> {
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
            result => return result.map(|_| ()),
        }
        // Only what can be quoted safely is made.
        let Ok(database) = database.parse() else { return Ok(()) };
        (database, url.with_database("postgres")?)
    };
    let server = Shards::new([(maintenance.clone(), of_server)], private, settings.pool_options())?;
    let missing = init::missing_databases(&server, &maintenance, &[database])?;
    init::create_databases(&server, &maintenance, &missing)
}

fn report(
    standing: &Topologies,
    desired_topology: &Topology,
    name: &ShardName,
    wished: DesiredChange,
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
    let result = match wished {
        DesiredChange::Joins => "joining",
        DesiredChange::Stays => "stays",
        DesiredChange::Weighs => "reweighed",
        DesiredChange::Leaves => "leaving",
        DesiredChange::Forgotten => "forgotten",
    };
    let now = &standing.membership.topology;
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
        "the ring stays as it is: nothing will move".into()
    } else {
        "nothing has moved yet; next: ringshard rebalance --dry-run".to_owned()
    });
    report
}
