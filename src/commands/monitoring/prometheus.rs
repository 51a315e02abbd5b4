//! Samples of the shards in the text format of Prometheus: version 0.0.4 of its exposition formats
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! Names end with the base unit, and with `_total` for counters. A value that is not known has no line.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::error::Result;
use crate::model::host::{DiskSpace, HostSample, Processes};
use crate::model::names::ShardName;
use crate::model::rebalance::RingState;
use crate::model::stats::{Rates, Sample};

/// The last sample of a shard and the rates since the one before, or why there is none.
pub(crate) type ShardSample = Result<(Sample, Option<Rates>)>;

/// One metric: its name without `ringshard_`, its description, and its values.
struct Metric<'a> {
    name: &'a str,
    help: &'a str,
    /// Labels in order, and the value.
    values: Vec<(Vec<(&'a str, String)>, f64)>,
}

/// All metrics. A shard that does not answer has only `ringshard_shard_up`.
pub(crate) fn text(
    samples: &BTreeMap<ShardName, ShardSample>,
    ring: Option<&RingState>,
    host: Option<&HostSample>,
) -> String {
    let mut metrics = of_shards(samples, ring);
    metrics.extend(host.into_iter().flat_map(of_host));
    let mut text = String::new();
    for metric in metrics.iter().filter(|metric| !metric.values.is_empty()) {
        metric.write(&mut text);
    }
    text
}

impl Metric<'_> {
    fn write(&self, text: &mut String) {
        let Self { name, help, values } = self;
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        let _ = writeln!(text, "# HELP ringshard_{name} {help}");
        let _ = writeln!(text, "# TYPE ringshard_{name} {kind}");
        for (labels, value) in values {
            let labels: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            // Rust writes a number without an exponent, and so that parsing gives the same number.
            let _ = writeln!(text, "ringshard_{name}{labels} {value}");
        }
    }
}

/// The value of a label, escaped for quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[expect(clippy::cast_precision_loss, reason = "the format has floating-point numbers only")]
fn of_shards<'a>(samples: &BTreeMap<ShardName, ShardSample>, ring: Option<&RingState>) -> Vec<Metric<'a>> {
    let label = |name: &ShardName| vec![("shard", name.to_string())];
    let each = |name, help, of: &dyn Fn(&Sample) -> Option<f64>| {
        let samples = samples.iter().filter_map(|(name, samples)| Some((name, &samples.as_ref().ok()?.0)));
        let values = samples.filter_map(|(name, sample)| Some((label(name), of(sample)?)));
        Metric { name, help, values: values.collect() }
    };
    let int = |number: Option<i64>| number.map(|number| number as f64);
    let up = samples.iter().map(|(name, samples)| (label(name), f64::from(u8::from(samples.is_ok()))));
    let states = samples.iter().filter_map(|(name, samples)| {
        let (sample, _) = samples.as_ref().ok()?;
        let role = if sample.is_standby { "replica" } else { "primary" };
        let more = [("state", ring?.state(name).to_owned()), ("role", role.to_owned())];
        Some((label(name).into_iter().chain(more).collect(), 1.0))
    });
    let epoch = ring.map(|ring| (Vec::new(), ring.epoch.number() as f64));
    let changing = ring.map(|ring| (Vec::new(), f64::from(u8::from(ring.change.is_some()))));
    vec![
        Metric { name: "shard_up", help: "Whether the shard answers.", values: up.collect() },
        Metric {
            name: "shard_info",
            help: "State in the ring and role in replication, as labels.",
            values: states.collect(),
        },
        Metric { name: "epoch", help: "Epoch of the ring.", values: epoch.into_iter().collect() },
        Metric {
            name: "change_under_way",
            help: "Whether a rebalance is under way.",
            values: changing.into_iter().collect(),
        },
        each("shard_rows", "Users on the shard, as estimated by Postgres.", &|s| int(s.rows)),
        each("shard_size_bytes", "Size of the database.", &|s| int(s.size_bytes)),
        each("shard_commits_total", "Transactions committed.", &|s| int(Some(s.counters.commits))),
        each("shard_rollbacks_total", "Transactions rolled back.", &|s| int(Some(s.counters.rollbacks))),
        each("shard_connections", "Sessions of the server.", &|s| int(Some(s.connections))),
        each(
            "shard_connections_allowed",
            "Sessions that the server allows to users without superuser rights.",
            &|s| int(Some(s.connections_allowed)),
        ),
        each("shard_blocks_hit_total", "Blocks found in the cache of Postgres.", &|s| {
            int(Some(s.counters.blocks_hit))
        }),
        each("shard_blocks_read_total", "Blocks not found in the cache of Postgres.", &|s| {
            int(Some(s.counters.blocks_read))
        }),
        each("shard_wal_bytes_total", "WAL written by the server; on a standby, WAL replayed.", &|s| {
            int(s.counters.wal_bytes)
        }),
        each("shard_replicas", "Standbys that stream from the server.", &|s| {
            int(Some(s.replication.replicas))
        }),
        each(
            "shard_replication_lag_bytes",
            "WAL not yet replayed by the standby that is furthest behind.",
            &|s| int(s.replication.lag_bytes),
        ),
        each("shard_replication_lag_seconds", "Lag of the standby that is furthest behind.", &|s| {
            s.replication.lag_seconds
        }),
        each("shard_probe_duration_seconds", "Round-trip time of a statement that does nothing.", &|s| {
            Some(s.latency_ms / 1e3)
        }),
        each("shard_moved_rows", "Users that the shard received in the rebalance under way.", &|s| {
            s.arrived().map(|load| load.rows as f64)
        }),
        each("shard_deadlocks_total", "Deadlocks.", &|s| int(Some(s.counters.deadlocks))),
        each("shard_temp_bytes_total", "Bytes written to temporary files.", &|s| {
            int(Some(s.counters.temp_bytes))
        }),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "the format has floating-point numbers only")]
fn of_host(host: &HostSample) -> Vec<Metric<'_>> {
    let plain = |name, help, value: u64| Metric { name, help, values: vec![(Vec::new(), value as f64)] };
    let disks = |name, help, of: fn(&DiskSpace) -> u64| {
        let value =
            |(folder, room): &(String, DiskSpace)| (vec![("folder", folder.clone())], of(room) as f64);
        Metric { name, help, values: host.disks.iter().map(value).collect() }
    };
    let programs = |name, help, of: fn(&Processes) -> u64| {
        let both = [("postgres", &host.postgres), ("ringshard", &host.ringshard)];
        let values = both.map(|(program, seen)| (vec![("program", program.to_owned())], of(seen) as f64));
        Metric { name, help, values: values.into() }
    };
    vec![
        plain("host_cores", "Processors of the machine.", host.cores),
        plain("host_memory_used_bytes", "Memory in use.", host.memory.used_bytes),
        plain("host_memory_size_bytes", "Total memory.", host.memory.total_bytes),
        disks("host_disk_used_bytes", "Used space of the file system of a folder.", |room| room.used_bytes),
        disks("host_disk_size_bytes", "Total space of the file system of a folder.", |room| room.total_bytes),
        programs("host_processes", "Processes of a program.", |seen| seen.count),
        programs(
            "host_processes_memory_bytes",
            "Sum of the resident memory of a program's processes.",
            |seen| seen.memory_bytes,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_unknown_values_have_no_line() {
        let label = vec![("folder", "a\"b\\c\nd".to_owned()), ("program", String::new())];
        let metric =
            Metric { name: "x_total", help: "What it is.", values: vec![(label, 1e16), (Vec::new(), 0.25)] };
        let mut text = String::new();
        metric.write(&mut text);
        assert_eq!(
            text,
            "# HELP ringshard_x_total What it is.\n# TYPE ringshard_x_total counter\n\
             ringshard_x_total{folder=\"a\\\"b\\\\c\\nd\",program=\"\"} 10000000000000000\n\
             ringshard_x_total 0.25\n"
        );
        assert_eq!(super::text(&BTreeMap::new(), None, None), "");
    }
}
