//! `ring`: the shares of the shards, the place of a key, and what a change would move.

pub mod export;
pub mod membership;
pub mod rebalance;
mod remove_dead;
pub mod route;
pub mod shards;
pub mod verify;

pub(crate) mod picture;

use crate::pg::{rows, scan};
use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use super::{Context, complete_shard};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::{Cell, Column, Report, Shape};
use crate::model::ring::moved_share::{Flows, modulo_flows, moved, ring_flows};
use crate::model::ring::position::Position;
use crate::model::ring::topology::{
    Epoch, ShardSpec, Topology, VIRTUAL_NODES_DEFAULT, VIRTUAL_NODES_MAX, Weight,
};
use crate::model::ring::{Ring, VirtualNode};
use crate::model::text::thousands;
use crate::model::user::UserId;
use crate::pg::cluster::view::View;
use crate::pg::cluster::{Cluster, prototype_log};

/// The number of virtual nodes of a shard that the note of `ring show` compares with.
const MANY_VIRTUAL_NODES: u32 = 1_000;

/// The commands of `ring`.
#[derive(Debug, Subcommand)]
// Not deferred: `ring export` has an option `--format` in the place of the global one.
pub enum RingCommand {
    /// Show the part of the ring that each shard owns
    #[command(after_help = "Example: ringshard ring show")]
    Show(ShowArgs),
    /// Show which shard owns each key, and why
    #[command(after_help = "Example: ringshard ring locate 42 US")]
    Locate(LocateArgs),
    /// Write the ring for other programs: as data, or as a module that looks owners up
    #[command(after_help = "Example: ringshard ring export --format python")]
    Export(export::ExportArgs),
    /// Show what a change of the ring would move; changes nothing
    #[command(after_help = "Example: ringshard ring simulate --add shard_4")]
    Simulate(SimulateArgs),
}

impl RingCommand {
    /// Runs the command.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        match self {
            Self::Show(args) => args.run(context),
            Self::Locate(args) => args.run(context),
            Self::Export(args) => args.run(context),
            Self::Simulate(args) => args.run(context),
        }
    }
}

/// The topology of the shards; if none answers, the last known one with a warning.
pub(crate) fn freshest(cluster: &Cluster, report: &mut Report) -> Result<std::sync::Arc<View>> {
    match cluster.refresh() {
        Ok(failed) => report.warnings.extend(failed.into_iter().map(|(_, error)| error)),
        Err(error) if error.kind() == Kind::Configuration || cluster.view().epoch == Epoch::GUESSED => {
            // A guessed topology is not shown.
            return Err(error);
        }
        Err(error) => report.warnings.push(error),
    }
    Ok(cluster.view())
}

/// The arguments of `ring show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Show one row for each virtual node, clockwise
    #[arg(long, conflicts_with = "svg")]
    pub(crate) vnodes: bool,
    #[command(flatten)]
    pub(crate) picture: picture::PictureArgs,
}

impl ShowArgs {
    /// Shows the ring.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        if let Some(file) = self.picture.file()? {
            return self.picture.draw(file, context);
        }
        let cluster = context.cluster()?;
        if self.vnodes {
            return virtual_nodes(&cluster);
        }
        let columns = [
            Column::text("shard"),
            Column::bar("share_pct"),
            Column::number("ratio").detail(4),
            Column::number("vnodes").detail(5),
            Column::number("weight").detail(3),
            Column::number("rows"),
            Column::number("rows_pct").detail(1),
            Column::number("target_pct").detail(2),
        ];
        let mut report = Report::list(&columns);
        let view = freshest(&cluster, &mut report)?;
        // For a shard that is down there is a warning already.
        let sizes = scan::sizes(&cluster);
        let rows_of = |name: &ShardName| {
            let size = sizes.iter().find(|(of, _)| of == name);
            size.and_then(|(_, size)| size.as_ref().ok()).map(|size| size.rows)
        };
        let goal = view.goal();
        let goal_ring = goal.ring();
        let weights: f64 = view.topology.shards().iter().map(|spec| spec.weight.number()).sum();
        let (now, then) = (view.ring().shares(), goal_ring.shares());
        let share_of = |shares: &[(&ShardName, f64)], name: &ShardName| {
            shares.iter().find(|(of, _)| *of == name).map(|(_, share)| *share)
        };
        // Shards that will join come last.
        let joining = goal.shards().iter().filter(|spec| view.topology.shard(&spec.name).is_none());
        let shown: Vec<&ShardSpec> = view.topology.shards().iter().chain(joining).collect();
        let all_rows: i64 = shown.iter().filter_map(|spec| rows_of(&spec.name)).sum();
        for spec in shown {
            let name = &spec.name;
            let share = share_of(&now, name);
            let fair = spec.weight.number() / weights;
            let rows = rows_of(name);
            report.push(vec![
                name.as_str().into(),
                Cell::percent(share.unwrap_or(0.0)),
                share.map_or(Cell::Null, |share| Cell::Decimal(share / fair, 3)),
                spec.weight.virtual_nodes(view.topology.virtual_nodes()).into(),
                Cell::Decimal(spec.weight.number(), 2),
                rows.into(),
                rows.filter(|_| all_rows > 0).map_or(Cell::Null, |rows| Cell::percent(ratio(rows, all_rows))),
                Cell::percent(share_of(&then, name).unwrap_or(0.0)),
            ]);
        }
        if *goal != view.topology {
            report.notes.push(match &view.change {
                Some(_) => "a rebalance is under way: ringshard rebalance status".into(),
                None => "a change is planned: ringshard rebalance --dry-run shows what would move".into(),
            });
        }
        report.notes.push(balance_note(&view)?);
        Ok(report)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
fn ratio(part: i64, whole: i64) -> f64 {
    part as f64 / whole as f64
}

fn balance_note(view: &View) -> Result<String> {
    let spread = |ring: &Ring| {
        let shares: Vec<f64> = ring.shares().into_iter().map(|(_, share)| share * 100.0).collect();
        let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
        let most = shares.iter().copied().fold(0.0, f64::max);
        format!("{least:.1} % to {most:.1} %")
    };
    let now = view.topology.virtual_nodes();
    let note = format!("{} virtual nodes: shares of {}", view.ring().len(), spread(view.ring()));
    if now >= MANY_VIRTUAL_NODES {
        return Ok(note);
    }
    let many = topology(MANY_VIRTUAL_NODES, view.topology.shards().to_vec())?.ring();
    let more = thousands(MANY_VIRTUAL_NODES.into());
    Ok(format!("{note}; with {more} a shard instead of {now} they would be {}", spread(&many)))
}

fn topology(virtual_nodes: u32, shards: Vec<ShardSpec>) -> Result<Topology> {
    Topology::new(virtual_nodes, shards).map_err(|why| {
        Error::new(Kind::Usage, why).hint("ringshard shards lists the shards and their weights")
    })
}

fn virtual_nodes(cluster: &Cluster) -> Result<Report> {
    let columns =
        [Column::number("position"), Column::text("point"), Column::text("shard"), Column::bar("share_pct")];
    let mut report = Report::list(&columns);
    let view = freshest(cluster, &mut report)?;
    for (at, node) in view.ring().virtual_nodes().enumerate() {
        report.push(vec![
            node.position.into(),
            format!("{}#{}", node.shard, node.index).into(),
            node.shard.as_str().into(),
            Cell::Decimal(view.ring().share_of_virtual_node(at) * 100.0, 4),
        ]);
    }
    Ok(report)
}

/// The arguments of `ring locate`.
#[derive(Debug, Args)]
pub struct LocateArgs {
    /// Keys: user ids, or any other text
    #[arg(value_name = "KEY", required = true, allow_negative_numbers = true)]
    pub(crate) keys: Vec<String>,
    #[command(flatten)]
    pub(crate) assumed: AssumedShards,
}

impl LocateArgs {
    /// Explains the place of each key, and asks all shards whether they hold its row.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let columns = [
            Column::text("key"),
            Column::number("hash"),
            Column::text("point"),
            Column::text("owner"),
            Column::text("found_on"),
            Column::text("moving_to"),
        ];
        let mut report = Report::list(&columns);
        let (now, goal, of_cluster) = if let Some(topology) = self.assumed.topology()? {
            (topology.ring(), topology.ring(), None)
        } else {
            let cluster = context.cluster()?;
            let view = freshest(&cluster, &mut report)?;
            (view.topology.ring(), view.goal().ring(), Some((cluster, view)))
        };
        for key in &self.keys {
            let position = Position::of_key(key);
            let node = now.locate(position);
            prototype_log::key_routed(key, position, node);
            let (mut holders, mut found) = (None, String::new());
            if let Some((cluster, view)) = &of_cluster {
                holders = self::holders(cluster, key, &mut report);
                found = format!("; {}", found_on(view, holders.as_deref(), report.warnings.is_empty()));
            }
            let moving_to = Some(goal.owner(position)).filter(|owner| **owner != *node.shard);
            if let Some(recipient) = moving_to {
                prototype_log::key_reassigned(key, recipient);
                let has_it = holders.as_ref().is_some_and(|holders| holders.contains(recipient));
                let when = if has_it { "which has it already" } else { "which does not have it yet" };
                found = format!(", and `{recipient}` after the change, {when}{found}");
            }
            report.notes.push(explain(key, position, node) + &found);
            report.push(vec![
                key.as_str().into(),
                position.into(),
                format!("{}#{}", node.shard, node.index).into(),
                node.shard.as_str().into(),
                Cell::List(holders.unwrap_or_default().iter().map(ToString::to_string).collect()),
                moving_to.map(ShardName::as_str).into(),
            ]);
        }
        // One key gives one object and not a list.
        if self.keys.len() == 1 {
            report.shape = Shape::One;
        }
        if let Some(missing) = report.warnings.first() {
            let message = "some shards could not be asked whether they hold the rows";
            let failure =
                Error::new(Kind::Partial, message).hint("ringshard shards shows which shards are down");
            report.failure = Some(match missing.shard() {
                Some(shard) => failure.on_shard(shard),
                None => failure,
            });
        }
        Ok(report)
    }
}

/// The user of a key; `None` if no user has it. `007` is a key, but not of user 7.
pub(crate) fn user_of_key(key: &str) -> Option<UserId> {
    key.parse::<UserId>().ok().filter(|id| id.to_string() == key)
}

/// The shards that hold rows of the key; `None` if no row can have it.
fn holders(cluster: &Cluster, key: &str, report: &mut Report) -> Option<Vec<ShardName>> {
    if cluster.view().topology.tables().is_default() {
        user_of_key(key)?;
    }
    let mut holders = Vec::new();
    for (name, holds) in rows::holders(cluster, key) {
        match holds {
            Ok(true) => holders.push(name),
            Ok(false) => {}
            Err(error) if report.warnings.contains(&error) => {}
            Err(error) => report.warnings.push(error),
        }
    }
    Some(holders)
}

/// Where the row of a key was found, or that it was not.
fn found_on(view: &View, holders: Option<&[ShardName]>, have_all_answered: bool) -> String {
    match holders {
        None => "no user has this key".into(),
        Some([]) if !have_all_answered => {
            format!(
                "whether there is such a {} is not known, as a shard did not answer",
                view.topology.tables().noun()
            )
        }
        Some([]) => format!("no shard holds such a {}", view.topology.tables().noun()),
        Some(holders) => {
            let names: Vec<String> = holders.iter().map(|name| format!("`{name}`")).collect();
            format!("found on {}", names.join(", "))
        }
    }
}

fn explain(key: &str, position: Position, node: VirtualNode<'_>) -> String {
    let distance = node.position.number().wrapping_sub(position.number());
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
    let distance_pct = distance as f64 / 2_f64.powi(128) * 100.0;
    let step = if node.wrapped {
        "past the last virtual node; the first one"
    } else {
        "the next virtual node clockwise"
    };
    format!(
        "`{key}`: md5 is {:032x}\n  = {position}\n  {step} is {}#{} at {}, {distance_pct:.3} % of the ring further on\n  \
         so the owner is `{}`",
        position.number(),
        node.shard,
        node.index,
        node.position,
        node.shard
    )
}

/// A shard to add: `NAME` or `NAME:WEIGHT`.
#[derive(Debug, Clone)]
struct Addition {
    name: ShardName,
    weight: Weight,
}

impl Addition {
    fn spec(&self) -> ShardSpec {
        ShardSpec { name: self.name.clone(), weight: self.weight }
    }
}

impl std::str::FromStr for Addition {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, weight) = text.split_once(':').map_or((text, None), |(name, weight)| (name, Some(weight)));
        let weight = weight.map_or(Ok(Weight::ONE), str::parse)?;
        Ok(Self { name: name.parse()?, weight })
    }
}

/// Shards in place of those of a cluster.
#[derive(Debug, Args)]
pub struct AssumedShards {
    /// Compute with these shards of 100 virtual nodes each; needs no cluster
    #[arg(long, value_name = "NAME[:WEIGHT],…", value_delimiter = ',')]
    shards: Vec<Addition>,
}

impl AssumedShards {
    /// `None` without any.
    fn topology(&self) -> Result<Option<Topology>> {
        if self.shards.is_empty() {
            return Ok(None);
        }
        topology(VIRTUAL_NODES_DEFAULT, self.shards.iter().map(Addition::spec).collect()).map(Some)
    }
}

/// Shards to add and to remove in a what-if.
#[derive(Debug, Args)]
pub struct Changes {
    /// Assume that this shard is added; may be given more than once
    #[arg(long, value_name = "NAME[:WEIGHT]")]
    add: Vec<Addition>,
    /// Assume that this shard is removed; may be given more than once
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete_shard))]
    remove: Vec<ShardName>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    /// The topology after these changes, or why there is none.
    fn target(&self, now: &Topology, virtual_nodes: u32) -> Result<Topology> {
        let mut shards = now.shards().to_vec();
        for name in &self.remove {
            if now.shard(name).is_none() {
                return Err(Error::new(Kind::NotFound, format!("there is no shard `{name}` to remove"))
                    .hint("ringshard shards lists the shards"));
            }
            shards.retain(|spec| spec.name != *name);
        }
        for addition in &self.add {
            if shards.iter().any(|spec| spec.name == addition.name) {
                return Err(Error::new(Kind::Conflict, format!("shard `{}` exists already", addition.name))
                    .hint("choose another name; ringshard shards lists those in use"));
            }
            shards.push(addition.spec());
        }
        topology(virtual_nodes, shards)
    }
}

/// The arguments of `ring simulate`.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    #[command(flatten)]
    changes: Changes,
    /// Assume this number of virtual nodes for each shard
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=VIRTUAL_NODES_MAX as i64))]
    vnodes: Option<u32>,
    #[command(flatten)]
    assumed: AssumedShards,
}

impl SimulateArgs {
    /// Compares the ring now with the ring after the changes, and with placement by modulo.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        self.check()?;
        let columns = [
            Column::text("shard"),
            Column::number("before_pct"),
            Column::bar("after_pct"),
            Column::number("in_pct"),
            Column::number("out_pct"),
            // The share that would leave this shard if keys were placed by modulo.
            Column::number("modulo_pct"),
        ];
        let mut report = Report::list(&columns);
        let before = if let Some(topology) = self.assumed.topology()? {
            topology
        } else {
            let view = freshest(&*context.cluster()?, &mut report)?;
            if *view.goal() != view.topology {
                let note = "the planned change is not counted: ringshard rebalance --dry-run shows it";
                report.notes.push(note.into());
            }
            view.topology.clone()
        };
        let (now, after) = (before.ring(), self.target(&before)?.ring());
        let flows = ring_flows(&now, &after);
        // Modulo hashes onto a list of shards: the old ones in their order, then the new ones.
        let old: Vec<ShardName> = before.names().cloned().collect();
        let mut new: Vec<ShardName> =
            old.iter().filter(|name| !self.changes.remove.contains(name)).cloned().collect();
        new.extend(self.changes.add.iter().map(|addition| addition.name.clone()));
        let modulo = modulo_flows(&old, &new);

        let mut names: Vec<&ShardName> = old.iter().chain(&new).collect();
        names.sort();
        names.dedup();
        let share = |ring: &Ring, name: &ShardName| ring.share(name).unwrap_or(0.0);
        for name in names {
            report.push(vec![
                name.as_str().into(),
                Cell::percent(share(&now, name)),
                Cell::percent(share(&after, name)),
                Cell::percent(sum(&flows, |_, target| target == name)),
                Cell::percent(sum(&flows, |source, _| source == name)),
                Cell::percent(sum(&modulo, |source, _| source == name)),
            ]);
        }
        let modulo_pct = moved(&modulo) * 100.0;
        let compared = format!("; with `hash modulo shards` it would be {modulo_pct:.2} %");
        let compared = if old == new { "" } else { &compared };
        let note = format!("{:.2} % of all keys would move{compared}", moved(&flows) * 100.0);
        report.notes.push(note);
        Ok(report)
    }

    fn check(&self) -> Result<()> {
        if self.changes.is_empty() && self.vnodes.is_none() {
            return Err(Error::new(Kind::Usage, "nothing to simulate")
                .hint("ringshard ring simulate --add shard_4; or use --remove, or --vnodes"));
        }
        Ok(())
    }

    /// The topology after these changes, or why there is none.
    pub(crate) fn checked_target(&self, now: &Topology) -> Result<Topology> {
        self.check()?;
        self.target(now)
    }

    fn target(&self, now: &Topology) -> Result<Topology> {
        self.changes.target(now, self.vnodes.unwrap_or(now.virtual_nodes()))
    }
}

fn sum(flows: &Flows<'_>, which: impl Fn(&ShardName, &ShardName) -> bool) -> f64 {
    flows
        .iter()
        .filter(|((source, target), _)| which(source, target))
        .fold(0.0, |sum, (_, share)| sum + share)
}
