//! `stats`: statistics of each shard, or of this machine, taken once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::prometheus::{self, ShardSample};
use crate::commands::Context;
use crate::error::{Error, Kind, Result};
use crate::files::space_in;
use crate::host::{self, Host};
use crate::model::duration::parse_duration;
use crate::model::host::{DiskSpace, HostSample, Processes};
use crate::model::names::ShardName;
use crate::model::rebalance::RingState;
use crate::model::report::{Cell, Column, Document, Report};
use crate::model::stats::{Rates, Sample};
use crate::pg::cluster::Cluster;
use crate::pg::poll::stats::{Private, Watch, silent};

/// The shortest interval between two samples.
pub const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// The longest interval.
const INTERVAL_MAX: Duration = Duration::from_hours(1);
/// How often the command polls for Ctrl-C.
const STEP: Duration = Duration::from_millis(20);
/// How long a shard may take to answer, in addition to the timeout for connecting.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

const COLUMNS: [Column; 21] = [
    Column::text("shard"),
    Column::text("state"),
    Column::text("role"),
    Column::number("rows"),
    Column::bytes("size_bytes"),
    Column::number("commits"),
    Column::number("rollbacks"),
    Column::number("tps"),
    Column::number("connections"),
    Column::number("connections_allowed"),
    Column::number("cache_hit_pct"),
    Column::bytes("wal_bytes"),
    Column::bytes("disk_used_bytes"),
    Column::bytes("disk_total_bytes"),
    Column::number("replicas"),
    Column::bytes("lag_bytes"),
    Column::number("lag_seconds"),
    Column::number("latency_ms"),
    Column::number("moved_rows"),
    Column::number("deadlocks"),
    Column::bytes("temp_bytes"),
];

const HOST_COLUMNS: [Column; 6] = [
    Column::text("item"),
    Column::text("name"),
    Column::text("measure"),
    Column::measured("value"),
    Column::measured("total").detail(1),
    Column::text("unit"),
];

/// The arguments of `stats`.
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// The interval over which rates are measured; servers update their counters up to a second late, so rates over a
    /// shorter interval are inexact
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_interval)]
    pub(crate) interval: Duration,
    /// Show this machine instead: processors, memory, disks, network, processes of Postgres and ringshard
    #[arg(long)]
    pub(crate) host: bool,
    /// Write the text format of Prometheus, whatever --format is; counters only, so it does not wait
    #[arg(long, conflicts_with_all = ["interval"])]
    pub(crate) prometheus: bool,
}

/// Parses the interval between two samples.
pub fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    if (INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) {
        Ok(interval)
    } else {
        Err("the interval must be from `100ms` to `1h`".into())
    }
}

impl StatsArgs {
    /// Takes two samples of each shard, or of this machine.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        if self.host && !self.prometheus {
            return self.host(context);
        }
        let (cluster, limit) =
            (context.cluster()?, context.settings().connect_timeout.value + ANSWER_PATIENCE);
        let interval = (!self.prometheus).then_some(self.interval);
        let samples = ask(context, &cluster, interval, limit)?;
        let states = samples.iter().filter_map(|(name, sample)| Some((name, &sample.as_ref().ok()?.0.ring)));
        let ring = RingState::newest(states);
        let mut report = if self.prometheus {
            let host = if self.host { Some(sample_once(context, &folders(&samples))?) } else { None };
            Report::document(Document::Text(prometheus::text(&samples, ring.as_ref(), host.as_ref())))
        } else {
            let mut report = Report { may_turn: true, ..Report::list(&COLUMNS) };
            report.rows =
                samples.iter().map(|(name, samples)| row(name, samples.as_ref(), ring.as_ref())).collect();
            report
        };
        let count = samples.len();
        report.warnings = samples.into_values().filter_map(Result::err).collect();
        // A wrong database must not be reported as a shard that is down.
        let belongs = |error: &&Error| {
            let shard = error.shard().and_then(|name| name.parse().ok());
            shard.is_none_or(|name| ring.as_ref().is_none_or(|ring| ring.names(&name)))
        };
        let wrong = |error: &&Error| error.kind() == Kind::Configuration;
        if let Some(error) = report.warnings.iter().filter(wrong).find(belongs) {
            return Err(error.clone());
        }
        // If all shards are down, the command fails.
        if report.warnings.len() == count {
            report.failure = report.warnings.pop();
        }
        Ok(report)
    }

    fn host(&self, context: &Context<'_>) -> Result<Report> {
        let (cluster, limit) =
            (context.cluster()?, context.settings().connect_timeout.value + ANSWER_PATIENCE);
        // Only for the data folders of the servers on this machine.
        let samples = ask(context, &cluster, None, limit)?;
        let mut host = Host::new()?;
        let folders = of_the_machine(context, folders(&samples));
        host.sample(&folders);
        pause(context, self.interval.max(host::INTERVAL_MIN))?;
        Ok(host_report(&host.sample(&folders)))
    }
}

/// One sample of this machine, without rates.
fn sample_once(context: &Context<'_>, folders: &BTreeSet<PathBuf>) -> Result<HostSample> {
    Ok(Host::new()?.sample(&of_the_machine(context, folders.clone())))
}

/// The data folders, and the state folder of this program.
fn of_the_machine(context: &Context<'_>, mut folders: BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let settings = context.settings();
    let state = settings.state_folder.as_deref();
    // It may not exist yet.
    let existing = state.and_then(|folder| folder.ancestors().find(|folder| folder.is_dir()));
    folders.extend(existing.map(Path::to_path_buf));
    folders.into_iter().collect()
}

fn folders(samples: &BTreeMap<ShardName, ShardSample>) -> BTreeSet<PathBuf> {
    let samples = samples.values().filter_map(|samples| samples.as_ref().ok());
    samples.filter_map(|(sample, _)| sample.data_folder.as_ref().map(PathBuf::from)).collect()
}

fn pause(context: &Context<'_>, length: Duration) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < length {
        context.active_sessions().check()?;
        thread::sleep(STEP.min(length.saturating_sub(begun.elapsed())));
    }
    Ok(())
}

/// Asks all shards at once: twice, or once without an interval. A shard that does not answer in time counts as down.
fn ask(
    context: &Context<'_>,
    cluster: &Arc<Cluster>,
    interval: Option<Duration>,
    limit: Duration,
) -> Result<BTreeMap<ShardName, ShardSample>> {
    let (sender, receiver) = mpsc::channel();
    let send = Arc::new(move |name: &ShardName, sample| drop(sender.send((name.clone(), sample))));
    let watch = Watch::begin(Arc::clone(cluster), interval.unwrap_or(INTERVAL_MAX), Private::Start, send);
    let begun = Instant::now();
    let mut first: BTreeMap<ShardName, Sample> = BTreeMap::new();
    let mut samples: BTreeMap<ShardName, ShardSample> = BTreeMap::new();
    loop {
        let names = cluster.shards().names();
        if names.iter().all(|name| samples.contains_key(name)) {
            break;
        }
        let waited = begun.elapsed();
        if waited >= limit + interval.unwrap_or_default() {
            for name in names {
                let once = first.remove(&name).map(|sample| (sample, None));
                samples.entry(name).or_insert_with_key(|name| once.ok_or_else(|| silent(name, waited)));
            }
            break;
        }
        context.active_sessions().check()?;
        let Ok((name, sample)) = receiver.recv_timeout(STEP) else { continue };
        match (sample, first.remove(&name)) {
            (Ok(sample), None) if interval.is_some() => drop(first.insert(name, sample)),
            (Ok(sample), before) => {
                let rates = before.and_then(|before| sample.since(&before));
                samples.insert(name, Ok((sample, rates)));
            }
            (Err(error), _) => drop(samples.insert(name, Err(error))),
        }
    }
    drop(watch);
    Ok(samples)
}

fn decimal(number: Option<f64>, places: usize) -> Cell {
    number.map_or(Cell::Null, |number| Cell::Decimal(number, places))
}

fn percent(share: Option<f64>) -> Cell {
    share.map_or(Cell::Null, Cell::percent)
}

fn row(
    name: &ShardName,
    samples: Result<&(Sample, Option<Rates>), &Error>,
    ring: Option<&RingState>,
) -> Vec<Cell> {
    let (sample, rates) = match samples {
        Ok(samples) => samples,
        Err(error) => {
            let mut row = vec![Cell::Null; COLUMNS.len()];
            row[0] = name.as_str().into();
            // Another error is the answer of a shard that is not down.
            row[1] = match error.kind() {
                Kind::Unreachable => "down".into(),
                _ => ring.map(|ring| ring.state(name)).into(),
            };
            return row;
        }
    };
    let Sample { counters, replication, .. } = sample;
    let disk =
        sample.data_folder.as_deref().and_then(|folder| space_in(Path::new(folder))).map(DiskSpace::from);
    vec![
        name.as_str().into(),
        ring.map(|ring| ring.state(name)).into(),
        if sample.is_standby { "replica" } else { "primary" }.into(),
        sample.rows.into(),
        sample.size_bytes.into(),
        counters.commits.into(),
        counters.rollbacks.into(),
        decimal(rates.map(|rates| rates.transactions), 1),
        sample.connections.into(),
        sample.connections_allowed.into(),
        percent(counters.hit_share()),
        counters.wal_bytes.into(),
        disk.map_or(Cell::Null, |disk| disk.used_bytes.into()),
        disk.map_or(Cell::Null, |disk| disk.total_bytes.into()),
        replication.replicas.into(),
        replication.lag_bytes.into(),
        decimal(replication.lag_seconds, 3),
        decimal(Some(sample.latency_ms), 3),
        sample.arrived().map_or(Cell::Null, |load| load.rows.into()),
        counters.deadlocks.into(),
        counters.temp_bytes.into(),
    ]
}

/// One row for each measure: machines differ, and a screen is narrow.
fn host_report(sample: &HostSample) -> Report {
    let mut report = Report::list(&HOST_COLUMNS);
    let mut push = |[item, name, measure, unit]: [&str; 4], value: Cell, total: Cell| {
        let name = Some(name).filter(|name| !name.is_empty());
        report.push(vec![item.into(), name.into(), measure.into(), value, total, unit.into()]);
    };
    let cores = || sample.cores.into();
    #[expect(clippy::cast_precision_loss, reason = "no machine has so many processors")]
    let busy = sample.cpu_share.map(|share| share * sample.cores as f64);
    push(["cpu", "", "busy", "cores"], decimal(busy, 2), cores());
    let disks = sample.disks.iter().map(|(folder, room)| ("disk", folder.as_str(), *room));
    for (item, name, room) in
        [("memory", "", sample.memory), ("swap", "", sample.swap)].into_iter().chain(disks)
    {
        push([item, name, "used", "bytes"], room.used_bytes.into(), room.total_bytes.into());
    }
    for (name, flow) in &sample.networks {
        push(["network", name, "in", "bytes/s"], decimal(flow.in_bytes_per_second, 0), Cell::Null);
        push(["network", name, "out", "bytes/s"], decimal(flow.out_bytes_per_second, 0), Cell::Null);
    }
    for (name, processes) in [("postgres", sample.postgres), ("ringshard", sample.ringshard)] {
        let Processes { count, cores_busy, memory_bytes, disk } = processes;
        let of = |measure, unit| ["processes", name, measure, unit];
        push(of("count", "processes"), count.into(), Cell::Null);
        push(of("busy", "cores"), decimal(cores_busy, 2), cores());
        push(of("memory", "bytes"), memory_bytes.into(), sample.memory.total_bytes.into());
        push(of("read", "bytes/s"), decimal(disk.in_bytes_per_second, 0), Cell::Null);
        push(of("written", "bytes/s"), decimal(disk.out_bytes_per_second, 0), Cell::Null);
    }
    report
}
