//! `rebalance`: carries out the change that `add-shard` and `remove-shard` plan.

pub(crate) mod record;
pub(crate) mod status;

use crate::pg::{failover, rebalance, tables, verify};
use std::time::Instant;

use clap::{Args, Subcommand};

use super::membership;
use super::verify::{failure, warning};
use crate::commands::{Context, Progress};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::Direction;
use crate::model::rebalance::plan::{Load, Plan};
use crate::model::report::{Cell, Column, Report};
use crate::model::ring::topology::Topology;
use crate::model::text::{bytes, counted, thousands};
use crate::pg::cluster::Cluster;
use crate::pg::rebalance::{MoveProgress, Planned, RebalanceOptions};
use crate::settings::Settings;

/// The upper limit of --chunk-rows: a chunk is held in memory, and writes to it wait.
const CHUNK_ROWS_MAX: i64 = 10_000;
/// The rate of an estimate before anything was measured.
const ROWS_PER_SECOND_GUESSED: f64 = 50_000.0;

/// The arguments of `rebalance`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct RebalanceArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RebalanceCommand>,
    /// Show the plan without moving anything
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) pace: Pace,
}

/// How fast to move.
#[derive(Debug, Args)]
pub struct Pace {
    /// The most users in one chunk; writes to a chunk wait while it moves
    #[arg(long, value_name = "N", default_value_t = RebalanceOptions::default().chunk_rows,
          value_parser = clap::value_parser!(u32).range(1..=CHUNK_ROWS_MAX))]
    pub(crate) chunk_rows: u32,
    /// The most users that move per second, in total [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_rows_per_sec: Option<u32>,
    /// The number of pairs of shards that move users at once
    #[arg(long, value_name = "N", default_value_t = RebalanceOptions::default().jobs,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) jobs: u32,
    /// Do not wait for the standbys of the shards: a failover to one of them may then lose users
    #[arg(long)]
    pub(crate) ignore_standbys: bool,
    /// Take no lock; for tests with two concurrent runs
    #[arg(long, hide = true)]
    pub(crate) unlocked: bool,
}

/// The commands of `rebalance`.
#[derive(Debug, Subcommand)]
pub enum RebalanceCommand {
    /// Show the progress, and the process that runs it
    #[command(after_help = "Example: ringshard rebalance status")]
    Status,
    /// Undo the change that is under way
    #[command(after_help = "Example: ringshard rebalance cancel")]
    Cancel(Pace),
}

impl Pace {
    fn options(&self, settings: &Settings) -> RebalanceOptions {
        RebalanceOptions {
            standby_patience: settings.standby_patience().filter(|_| !self.ignore_standbys),
            chunk_rows: self.chunk_rows,
            rows_per_second: self.max_rows_per_sec,
            jobs: self.jobs,
            unlocked: self.unlocked,
        }
    }

    /// The estimated time for so many rows, in seconds.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn seconds(&self, rows: u64) -> f64 {
        let rate = self.max_rows_per_sec.map_or(ROWS_PER_SECOND_GUESSED, f64::from);
        rows as f64 / rate.min(ROWS_PER_SECOND_GUESSED)
    }
}

impl RebalanceArgs {
    /// Whether it may change something.
    pub(crate) fn writes(&self) -> bool {
        match self.command {
            Some(RebalanceCommand::Status) => false,
            Some(RebalanceCommand::Cancel(_)) => true,
            None => !self.dry_run,
        }
    }

    /// Shows the plan, asks, moves, and verifies.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        match &self.command {
            Some(RebalanceCommand::Status) => return status::status(context),
            Some(RebalanceCommand::Cancel(pace)) => return cancel(context, pace),
            None => {}
        }
        let cluster = context.cluster()?;
        let Some(planned) = rebalance::plan_change(&cluster)? else {
            let mut report = Report::list(&FLOW_COLUMNS);
            if !self.dry_run {
                rebalance::drop_position_indexes(&cluster)?;
                // Left by a run that did not finish.
                for name in cluster.departed() {
                    report.notes.extend(membership::forget(context, &cluster, &name)?);
                }
            }
            report.notes.push("nothing to move: the ring is as planned".into());
            return Ok(report);
        };
        if self.dry_run {
            return Ok(plan_report(&planned, &self.pace));
        }
        // A change that is under way must be completed in any case.
        if !planned.is_under_way {
            check_misplaced(&planned)?;
        }
        require_no_mover(&cluster, &planned, &self.pace)?;
        let private = context.settings().private_server()?;
        rebalance::preflight(&cluster, &private, &planned, planned.goes_back)?;
        let (before, after) = (&planned.plan.before, &planned.plan.after);
        if after.names().any(|name| before.shard(name).is_none()) {
            // It got their rows when it was added, and may lack what was written since then.
            if let Some(error) = tables::differing_references(&cluster, after)?.into_iter().next() {
                return Err(error);
            }
        }
        let stale_primaries = failover::fence_stale_primaries(&cluster);
        let publications = rebalance::publications(&cluster)?;
        let told: String = publications.iter().map(|warning| format!("\n{}", warning.message())).collect();
        let question = format!("{}{told}\nCarry this out?", describe(&planned, &self.pace));
        context.console().confirm(&question)?;
        // An interrupted `table add` may have left this undone.
        tables::prepare(&cluster, &planned.plan.before, &planned.plan.after)?;
        let mut report = carry_out(context, &cluster, &planned, Direction::Forward, &self.pace)?;
        // Nor this an interrupted `table remove`.
        tables::drop_guards_of_removed(&cluster, &planned.plan.before, &planned.plan.after)?;
        let stale_primaries = stale_primaries.into_iter();
        report.warnings.extend(publications);
        report
            .warnings
            .extend(stale_primaries.map(|found| found.map_or_else(|error| error, |of| warning(&of))));
        Ok(report)
    }
}

/// Fails with `Locked` if another process carries out a change, before anything is asked.
fn require_no_mover(cluster: &Cluster, planned: &Planned, pace: &Pace) -> Result<()> {
    if pace.unlocked { Ok(()) } else { rebalance::require_no_mover(cluster, planned) }
}

/// Fails if rows are misplaced: on a shard that receives their arc they would look as if they belonged there.
fn check_misplaced(planned: &Planned) -> Result<()> {
    if planned.misplaced == 0 {
        return Ok(());
    }
    let message = format!(
        "nothing was moved: {} on shards that do not own them",
        counted(planned.misplaced, planned.plan.before.tables().noun())
    );
    Err(Error::new(Kind::Failed, message)
        .hint("ringshard verify shows the shards, ringshard verify --fix moves each row to its owner"))
}

/// How to undo a change that is planned.
fn undo_hint(planned: Option<&Planned>) -> String {
    let Some(Planned { plan: Plan { before, after, .. }, .. }) = planned else {
        return "nothing is planned either: ringshard rebalance status".into();
    };
    let commands = rebalance::undo_commands(before, after);
    format!("to undo what is planned: {}", commands.join("; "))
}

/// Undoes the change that is under way.
fn cancel(context: &Context<'_>, pace: &Pace) -> Result<Report> {
    let cluster = context.cluster()?;
    let planned = match rebalance::plan_change(&cluster)? {
        Some(planned) if planned.is_under_way => planned,
        planned => {
            return Err(
                Error::new(Kind::NotFound, "no rebalance is under way").hint(undo_hint(planned.as_ref()))
            );
        }
    };
    require_no_mover(&cluster, &planned, pace)?;
    // A change that is being undone already is carried on.
    let direction = if planned.goes_back { Direction::Forward } else { Direction::Back(planned.epoch) };
    rebalance::preflight(&cluster, &context.settings().private_server()?, &planned, true)?;
    let noun = planned.plan.before.tables().noun();
    let moved = counted(planned.moved.rows, noun);
    let question = if planned.goes_back {
        format!(
            "The rebalance is already being canceled; {} still have to move back.\nContinue?",
            counted(planned.plan.moving().rows, noun)
        )
    } else {
        format!("{moved} moved so far will move back. The planned change stays.\nCancel the rebalance?")
    };
    context.console().confirm(&question)?;
    carry_out(context, &cluster, &planned, direction, pace)
}

fn carry_out(
    context: &Context<'_>,
    cluster: &Cluster,
    planned: &Planned,
    direction: Direction,
    pace: &Pace,
) -> Result<Report> {
    let console = context.console();
    let total = match direction {
        Direction::Forward => planned.plan.moving(),
        Direction::Back(_) => planned.moved,
    };
    let begun = Instant::now();
    let moved = {
        let interrupts = console.watch_interrupts();
        let moved = rebalance::carry_out(
            cluster,
            planned,
            direction,
            pace.options(&context.settings()),
            |MoveProgress { load, at }| {
                let part = Some((load.rows.min(total.rows), total.rows.max(1)));
                let at = format!("{}, {at}", bytes(load.bytes));
                console.progress(Some(&Progress { rows: load.rows, part, at }));
                !interrupts.asked()
            },
        );
        console.progress(None);
        moved?
    };
    let seconds = begun.elapsed().as_secs_f64();
    cluster.refresh()?;
    let view = cluster.view();
    if direction != Direction::Forward && view.topology != planned.plan.before {
        return Err(Error::new(Kind::Conflict, "the rebalance finished before it could be canceled").hint(
            "ringshard shards shows the ring; the opposite ringshard add-shard or remove-shard leads back",
        ));
    }
    if direction == Direction::Forward && view.topology != planned.plan.after {
        return Err(Error::new(
            Kind::Locked,
            "another process changed the ring, or the plan, at the same time",
        )
        .hint("ringshard shards shows the ring, ringshard rebalance status the plan"));
    }
    let mut report = flows(&planned.plan);
    if direction != Direction::Forward {
        report.rows.clear();
    }
    report.notes.push(record::summary(moved, seconds, planned.plan.before.tables().noun()));
    let undo = rebalance::undo_commands(&view.topology, view.goal());
    if direction != Direction::Forward && !undo.is_empty() {
        report.notes.push(format!("the change is still planned; to take it back: {}", undo.join("; ")));
    }
    let left = departed(cluster, planned);
    for name in &left {
        report.notes.extend(membership::forget(context, cluster, name)?);
    }
    // Check every row after the move.
    let verified = verify::verify(cluster, false, |rows| {
        console.progress(Some(&Progress { rows, part: None, at: "verifying".into() }));
    });
    console.progress(None);
    match verified {
        Ok(verified) if verified.is_clean() => {
            let rows = counted(verified.sum(|tally| tally.rows - tally.in_flight), verified.noun());
            report.notes.push(format!("verified: {rows}, each on its owner and nowhere else"));
        }
        Ok(verified) => report.failure = Some(failure(&verified)),
        Err(error) => {
            let message = format!("the rebalance is complete, but verifying it failed: {error}");
            report.failure = Some(Error::new(error.kind(), message).hint("ringshard verify"));
        }
    }
    let is_clean = report.failure.is_none();
    record::keep(context, cluster, planned, direction != Direction::Forward, (moved, seconds), is_clean);
    if !left.is_empty() {
        context.reload()?;
    }
    Ok(report)
}

/// The shards that took part in the change and are no longer in the ring.
fn departed(cluster: &Cluster, planned: &Planned) -> Vec<ShardName> {
    let view = cluster.view();
    let participants = planned.plan.before.names();
    // A shard whose joining was canceled is still planned.
    participants
        .filter(|name| view.topology.shard(name).is_none() && view.goal().shard(name).is_none())
        .cloned()
        .collect()
}

const FLOW_COLUMNS: [Column; 6] = [
    Column::text("source"),
    Column::text("target"),
    Column::number("arcs"),
    Column::number("rows"),
    Column::bytes("bytes"),
    Column::number("rows_pct"),
];

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
fn part(rows: u64, of: u64) -> Cell {
    if of == 0 { Cell::Null } else { Cell::percent(rows as f64 / of as f64) }
}

/// One line for each pair of shards.
fn flows(plan: &Plan) -> Report {
    let mut report = Report::list(&FLOW_COLUMNS);
    for flow in &plan.flows {
        let Load { rows, bytes } = flow.load;
        report.push(vec![
            flow.source.as_str().into(),
            flow.target.as_str().into(),
            Cell::from(flow.ranges.len() as u64),
            rows.into(),
            bytes.into(),
            part(rows, plan.total.rows),
        ]);
    }
    report
}

/// The plan as a table, and in full as JSON.
fn plan_report(planned: &Planned, pace: &Pace) -> Report {
    let Planned { plan, epoch, is_under_way, goes_back, moved, misplaced, .. } = planned;
    let mut report = flows(plan);
    let moving = plan.moving();
    report.notes.push(describe_shares(plan));
    report.notes.push(describe_totals(planned, pace));
    report.notes.extend(describe_heavy_keys(planned, pace));
    if *misplaced == 0 {
        report.notes.push("next: ringshard rebalance".into());
    } else {
        report.warnings.extend(check_misplaced(planned).err());
    }
    let shard_columns = [
        Column::text("shard"),
        Column::number("share_pct"),
        Column::number("target_pct"),
        Column::number("weight"),
        Column::number("target_weight"),
    ];
    let mut shards = Report::list(&shard_columns);
    for (name, before, after) in shares(plan) {
        let weight = |topology: &Topology| {
            topology.shard(&name).map_or(Cell::Null, |spec| Cell::Decimal(spec.weight.number(), 2))
        };
        shards.push(vec![
            name.as_str().into(),
            Cell::percent(before),
            Cell::percent(after),
            weight(&plan.before),
            weight(&plan.after),
        ]);
    }
    let flows = flows(plan);
    let columns = [
        Column::number("epoch"),
        Column::text("under_way"),
        Column::text("goes_back"),
        Column::number("rows"),
        Column::bytes("bytes"),
        Column::number("rows_moved"),
        Column::bytes("bytes_moved"),
        Column::number("rows_total"),
        Column::bytes("bytes_total"),
        Column::number("rows_pct"),
        Column::number("ring_pct"),
        Column::number("ideal_pct"),
        Column::number("modulo_pct"),
        Column::number("seconds"),
        Column::number("rows_misplaced"),
        Column::text("shards"),
        Column::text("flows"),
    ];
    let row = vec![
        Cell::Integer(epoch.number()),
        (*is_under_way).into(),
        (*goes_back).into(),
        moving.rows.into(),
        moving.bytes.into(),
        moved.rows.into(),
        moved.bytes.into(),
        plan.total.rows.into(),
        plan.total.bytes.into(),
        part(moving.rows, plan.total.rows),
        Cell::percent(plan.share()),
        Cell::percent(plan.ideal_share()),
        Cell::percent(plan.modulo_share()),
        Cell::Decimal(pace.seconds(moving.rows), 1),
        (*misplaced).into(),
        Cell::Table(shards.columns, shards.rows),
        Cell::Table(flows.columns, flows.rows),
    ];
    report.whole = Some(Box::new(Report::one(&columns, row)));
    report
}

/// Each shard's share of the ring before and after, 0 to 1.
fn shares(plan: &Plan) -> Vec<(ShardName, f64, f64)> {
    let (before, after) = (plan.before.ring(), plan.after.ring());
    let mut names: Vec<&ShardName> = plan.before.names().chain(plan.after.names()).collect();
    names.sort();
    names.dedup();
    let share = |shares: &[(&ShardName, f64)], name: &ShardName| {
        shares.iter().find(|(of, _)| *of == name).map_or(0.0, |(_, share)| *share)
    };
    let (before, after) = (before.shares(), after.shares());
    names.into_iter().map(|name| (name.clone(), share(&before, name), share(&after, name))).collect()
}

fn describe_shares(plan: &Plan) -> String {
    let each: Vec<String> = shares(plan)
        .into_iter()
        .map(|(name, before, after)| format!("`{name}` {:.2} % to {:.2} %", before * 100.0, after * 100.0))
        .collect();
    format!("shares of the ring: {}", each.join(", "))
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
fn describe_totals(planned: &Planned, pace: &Pace) -> String {
    let Planned { plan, is_under_way, goes_back, moved, .. } = planned;
    let (moving, noun) = (plan.moving(), plan.before.tables().noun());
    let share = moving.rows as f64 / plan.total.rows.max(1) as f64 * 100.0;
    let before = match (is_under_way, goes_back) {
        (false, _) => String::new(),
        (true, false) => format!("under way, {} moved so far; ", counted(moved.rows, noun)),
        (true, true) => "being canceled; ".to_owned(),
    };
    format!(
        "{before}{} of {} ({share:.2} %, {} as stored) are to move; ideal {:.2} %, by modulo {:.2} %; about {:.0} s",
        thousands(moving.rows),
        counted(plan.total.rows, noun),
        bytes(moving.bytes),
        plan.ideal_share() * 100.0,
        plan.modulo_share() * 100.0,
        pace.seconds(moving.rows).ceil()
    )
}

/// The keys for which writers will wait the longest.
fn describe_heavy_keys(planned: &Planned, pace: &Pace) -> Option<String> {
    let each = planned.heavy_keys.iter().map(|heavy| {
        format!(
            "`{}` of `{}` (about {}, {:.1} s)",
            heavy.key,
            heavy.table,
            counted(heavy.rows, "row"),
            pace.seconds(heavy.rows)
        )
    });
    let each: Vec<String> = each.collect();
    (!each.is_empty()).then(|| {
        format!(
            "all rows of a key move at once, and writes to it wait for about as long: {}",
            each.join(", ")
        )
    })
}

/// The plan as a few lines above the question.
fn describe(planned: &Planned, pace: &Pace) -> String {
    let mut lines: Vec<String> = planned
        .plan
        .flows
        .iter()
        .map(|flow| {
            format!(
                "{} -> {}: {}, {}, {}",
                flow.source,
                flow.target,
                counted(flow.ranges.len() as u64, "arc"),
                counted(flow.load.rows, planned.plan.before.tables().noun()),
                bytes(flow.load.bytes)
            )
        })
        .collect();
    lines.push(describe_shares(&planned.plan));
    lines.push(describe_totals(planned, pace));
    lines.extend(describe_heavy_keys(planned, pace));
    lines.join("\n")
}
