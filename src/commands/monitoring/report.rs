//! `report`: the state of the cluster as one HTML page.

use crate::pg::scan;
use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::commands::ring::picture::{following, write};
use crate::commands::ring::rebalance::record;
use crate::commands::ring::{freshest, shards};
use crate::commands::users::partial::AllowPartial;
use crate::commands::{Context, state_file};
use crate::error::Result;
use crate::files::atomic;
use crate::model::names::ShardName;
use crate::model::picture::page::{Fact, Page, RunFacts, ShardFacts};
use crate::model::picture::ring::RingPicture;
use crate::model::report::{Document, Report};
use crate::model::ring::Ring;
use crate::model::text::{thousands, timestamp};
use crate::pg::cluster::Cluster;
use crate::pg::cluster::view::View;
use crate::pg::scan::list::{Counted, RegionCount};
use crate::pg::scan::rows_of_table::count_tables;

/// The columns of `load run`'s result, and their headings on the page.
const LOAD_COLUMNS: [(&str, &str); 9] = [
    ("operation", "operation"),
    ("shard", "shard"),
    ("count", "answered"),
    ("errors", "errors"),
    ("per_sec", "per second"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("p999_ms", "p99.9 ms"),
    ("max_ms", "max ms"),
];

/// The arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The HTML file to write, for a browser; `-` for standard output
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

impl ReportArgs {
    /// Asks all shards, and writes the page. It names shards that are down.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        let mut report = Report::list(&[]);
        let view = freshest(&cluster, &mut report)?;
        let refresh_errors = std::mem::take(&mut report.warnings);
        let tables = cluster.view().topology.tables().clone();
        let Counted { by_shard, missing } = if tables.has_prototype() {
            scan::count(&cluster, true, None, true)?
        } else {
            let (counts, missing) = count_tables(&cluster, tables.all(), true)?;
            let mut by_shard: BTreeMap<ShardName, i64> = BTreeMap::new();
            for (shard, rows) in counts.into_iter().flat_map(|(_, by_shard)| by_shard) {
                *by_shard.entry(shard).or_default() += rows;
            }
            let by_shard = by_shard.into_iter().map(|(shard, rows)| (shard, vec![(None, rows)]));
            Counted { by_shard: by_shard.collect(), missing }
        };
        let mut down: Vec<ShardName> = missing.shards.iter().map(|(name, _)| name.clone()).collect();
        AllowPartial::add_missing(&cluster, missing, &mut report);
        // A shard that will join is not counted, so `missing` does not name it.
        for error in refresh_errors {
            let name = error.shard().and_then(|name| name.parse::<ShardName>().ok());
            if let Some(name) = name.filter(|name| !down.contains(name)) {
                down.push(name);
                report.warnings.push(error);
            }
        }
        let messages: Vec<String> =
            report.failure.iter().chain(&report.warnings).map(ToString::to_string).collect();
        let then = following(&view);
        let facts = shard_facts(&cluster, &view, then.as_ref(), &by_shard, &down);
        let (id, made) = (cluster.id().map(|id| id.to_string()), day_and_time(state_file::unix_seconds()));
        let (load, rebalance) = (last_load(context, &cluster), last_rebalance(context, &cluster));
        let page = Page {
            cluster: id.as_deref(),
            epoch: view.epoch.number(),
            made: &made,
            version: env!("CARGO_PKG_VERSION"),
            picture: RingPicture { heading: "The ring", now: view.ring(), then: then.as_ref(), keys: &[] },
            shards: &facts,
            missing: &messages,
            load: load.as_ref(),
            rebalance: rebalance.as_ref(),
        };
        let html = page.html();
        if atomic::is_stdout(&self.file) {
            report.document = Some(Document::Text(html));
        } else {
            write(&self.file, &html)?;
            report.notes.push(format!("wrote the report to `{}`: open it in a browser", self.file.display()));
        }
        Ok(report)
    }
}

/// The shards of the ring, those that will join, and those that still hold rows.
fn shard_facts(
    cluster: &Cluster,
    view: &View,
    then: Option<&Ring>,
    by_shard: &[(ShardName, Vec<RegionCount>)],
    down: &[ShardName],
) -> Vec<ShardFacts> {
    let goal = view.goal();
    let share = |ring: &Ring, name: &ShardName| ring.share(name).unwrap_or(0.0);
    let mut names = cluster.shards().names();
    names.retain(|name| view.belongs(name));
    names
        .into_iter()
        .map(|name| {
            let spec = goal.shard(&name).or(view.topology.shard(&name));
            let rows = by_shard.iter().find(|(of, _)| *of == name).map(|(_, rows)| rows.clone());
            let is_down = down.contains(&name);
            ShardFacts {
                state: if is_down { "down" } else { shards::state(view, &name) },
                weight: spec.map(|spec| spec.weight.number()),
                virtual_nodes: spec
                    .map_or(0, |spec| spec.weight.virtual_nodes(view.topology.virtual_nodes())),
                share: share(view.ring(), &name),
                share_then: then.map(|then| share(then, &name)),
                // A shard that will join was not asked, because it owns nothing.
                rows: if is_down { None } else { rows.or(Some(Vec::new())) },
                name,
            }
        })
        .collect()
}

fn last_rebalance(context: &Context<'_>, cluster: &Cluster) -> Option<RunFacts> {
    let last = record::last(context, cluster)?;
    let facts = [
        ("ended", day_and_time(last.ended_at_unix_s)),
        ("led to epoch", last.epoch.to_string()),
        ("direction", if last.went_back { "canceled" } else { "forward" }.to_owned()),
        ("users moved", thousands(last.rows)),
        ("bytes moved", thousands(last.bytes)),
        ("chunks", thousands(last.chunks)),
        ("took", format!("{:.1} s", last.seconds)),
        ("verified", if last.verified { "each user on its owner and nowhere else" } else { "NO" }.to_owned()),
    ];
    let facts = facts.map(|(name, value)| {
        let is_bad = name == "verified" && !last.verified;
        Fact { name: name.to_owned(), value, is_bad }
    });
    let rows = last.flows.iter().map(|flow| {
        vec![flow.source.to_string(), flow.target.to_string(), thousands(flow.rows), thousands(flow.bytes)]
    });
    Some(RunFacts {
        facts: facts.to_vec(),
        seconds: Vec::new(),
        heads: ["from", "to", "users", "bytes"].map(str::to_owned).to_vec(),
        names: 2,
        rows: rows.collect(),
    })
}

/// The result that `load run` stored, as far as it can be parsed.
fn last_load(context: &Context<'_>, cluster: &Cluster) -> Option<RunFacts> {
    let run: Value = state_file::read(context, cluster, "load")?;
    load_facts(&run)
}

fn load_facts(run: &Value) -> Option<RunFacts> {
    let run = run.as_object()?;
    let mut facts = Vec::new();
    if let Some(begun) = run.get("begun_at_unix_s").and_then(Value::as_u64) {
        facts.push(Fact { name: "begun".to_owned(), value: day_and_time(begun), is_bad: false });
    }
    for (key, name, unit) in [
        ("elapsed_s", "took", " s"),
        ("clients", "clients", ""),
        ("mix", "mix", ""),
        ("rate", "rate requested", "/s"),
        ("keys", "keys", ""),
        ("operations", "operations", ""),
        ("per_sec", "throughput", "/s"),
        ("errors", "errors", ""),
        ("answers_checked", "answers checked", ""),
        ("wrong", "wrong answers", ""),
        ("lost_unreplicated", "lost, not replicated", ""),
    ] {
        if let Some(text) = run.get(key).and_then(|value| figure(key, value)) {
            // A mix needs blanks, where a line of the page can break.
            let value = text.replace(',', if key == "mix" { ", " } else { "," }) + unit;
            let is_bad = ["errors", "wrong", "lost_unreplicated"].contains(&key) && text != "0";
            facts.push(Fact { name: name.to_owned(), value, is_bad });
        }
    }
    let lines = run.get("by_operation").and_then(Value::as_array);
    let rows = lines.into_iter().flatten().map(|line| {
        let cell = |(key, _): &(&str, &str)| {
            let none = if *key == "shard" { "all" } else { "–" };
            line.get(key).and_then(|value| figure(key, value)).unwrap_or_else(|| none.to_owned())
        };
        LOAD_COLUMNS.iter().map(cell).collect()
    });
    let rows = rows.collect();
    let heads = LOAD_COLUMNS.iter().map(|(_, head)| (*head).to_owned()).collect();
    let seconds = run.get("throughput").and_then(Value::as_array).into_iter().flatten();
    let count = |second: &Value, key| second.get(key).and_then(Value::as_u64).unwrap_or_default();
    let seconds = seconds.map(|second| (count(second, "operations"), count(second, "errors"))).collect();
    (!facts.is_empty()).then_some(RunFacts { facts, seconds, heads, names: 2, rows })
}

/// A text, or a number with separators; latencies and rates each with as many decimal places as the others.
fn figure(key: &str, value: &Value) -> Option<String> {
    match (value, value.as_f64()) {
        (Value::String(text), _) => Some(text.clone()),
        (Value::Number(_), Some(number)) if key.ends_with("_ms") => Some(format!("{number:.3}")),
        (Value::Number(_), Some(number)) if key == "per_sec" || key == "elapsed_s" => {
            Some(format!("{number:.1}"))
        }
        (Value::Number(number), _) => Some(number.as_u64().map_or_else(|| number.to_string(), thousands)),
        _ => None,
    }
}

/// A moment as it is read, in UTC, with blanks where a line of the page can break.
fn day_and_time(unix_seconds: u64) -> String {
    // The hyphens of a date would break it.
    timestamp(unix_seconds).replace('-', "\u{2011}").replace('T', " ").replace('Z', " UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_run_is_shown_as_far_as_it_can_be_parsed() {
        assert_eq!(load_facts(&serde_json::json!([1])), None);
        assert_eq!(load_facts(&serde_json::json!({"operations": null, "other": 1})), None);
        let run = serde_json::json!({
            "operations": 12345, "per_sec": 1234.5, "rate": null, "mix": "get=80,create=20",
            "throughput": [{"second": 1, "operations": 5, "errors": 0}, {"second": 2, "operations": 1, "errors": 4}],
            "by_operation": [{"operation": "get", "shard": null, "count": 7, "p99_ms": 1.25}, 3],
        });
        let facts = load_facts(&run).unwrap();
        let shown: Vec<(&str, &str)> = facts.facts.iter().map(|fact| (&*fact.name, &*fact.value)).collect();
        assert_eq!(
            shown,
            [("mix", "get=80, create=20"), ("operations", "12,345"), ("throughput", "1234.5/s")]
        );
        assert_eq!(facts.rows[0], ["get", "all", "7", "–", "–", "–", "1.250", "–", "–"]);
        assert_eq!(facts.rows[1].len(), facts.heads.len());
        assert_eq!(facts.seconds, [(5, 0), (1, 4)]);
    }
}
