//! `doctor`: checks whether each shard can be reached and is set up correctly, with hints.
//!
//! Collecting facts (`collect.rs`) is separate from checking them (`check_shard.rs`, `check_cluster.rs`). It changes nothing
//! and starts nothing: a private Postgres that is not running is reported.

mod check_cluster;
mod check_shard;
mod check_table;
mod collect;

use std::time::Instant;

use crate::error::{Error, Kind, Result};
use crate::local::PrivateServer;
use crate::model::names::{ClusterId, ShardName};
use crate::model::text::timestamp;
use crate::pg::net::descriptors;
use crate::pg::pool::Shards;
use crate::threads;
use check_shard::RingArcs;

/// The hint for everything in the catalog that `init-shards` repairs.
const INIT: &str = "ringshard init-shards";

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it passed; `None` if that is unknown.
    pub ok: Option<bool>,
    /// What was found.
    pub found: String,
    /// What to do, if it failed.
    pub hint: Option<String>,
    /// The kind of the error that kept it from being looked at.
    pub cause: Option<Kind>,
}

impl Verdict {
    fn good(found: impl Into<String>) -> Self {
        Self { ok: Some(true), found: found.into(), hint: None, cause: None }
    }

    fn bad(found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { ok: Some(false), found: found.into(), hint: Some(hint.into()), cause: None }
    }

    fn unknown(found: impl Into<String>) -> Self {
        Self { ok: None, found: found.into(), hint: None, cause: None }
    }
}

/// The result of one check, of one shard or of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The shard; `None` for the cluster.
    pub shard: Option<ShardName>,
    /// The name of the check; scripts rely on it.
    pub check: &'static str,
    /// Its result.
    pub verdict: Verdict,
}

/// Where the shards are configured, for hints.
#[derive(Debug, Clone)]
pub enum ConfiguredBy {
    /// This configuration file.
    File(String),
    /// This environment variable.
    Variable(&'static str),
}

/// All findings.
#[derive(Debug, Clone)]
pub struct Examination {
    /// Those of the cluster first, then those of each shard, sorted by name.
    pub findings: Vec<Finding>,
    /// The shards that could not be reached.
    pub unreachable: Vec<ShardName>,
}

/// Checks all shards in parallel, each over a new connection. `cluster`: the id in the configuration.
pub fn examine(
    shards: &Shards,
    private: &PrivateServer,
    cluster: Option<ClusterId>,
    configured_by: &ConfiguredBy,
) -> Result<Examination> {
    let addresses: Vec<_> = shards
        .names()
        .into_iter()
        .map(|name| shards.address(&name).map(|address| (name, address)))
        .collect::<Result<_>>()?;
    let has_local = addresses.iter().any(|(_, address)| address.is_local());
    let status = has_local.then(|| private.status());
    // Each has its own connection, which ends with its checks.
    let answers = threads::at_most(descriptors::connections_max(), addresses, |(name, address)| {
        let begun = Instant::now();
        let facts = collect::collect(shards, &name, address, private);
        match &facts {
            Ok(_) => shards.note_answer(&name),
            Err(error) => shards.note_failure(&name, error, begun.elapsed()),
        }
        (name, facts)
    });
    let mut examination = Examination { findings: Vec::new(), unreachable: Vec::new() };
    let mut add = |shard: Option<&ShardName>, checks: Vec<(&'static str, Verdict)>| {
        examination.findings.extend(checks.into_iter().map(|(check, verdict)| Finding {
            shard: shard.cloned(),
            check,
            verdict,
        }));
    };
    let rings = RingArcs::default();
    add(None, check_cluster::checks(&answers, cluster, configured_by, status.as_ref(), &rings));
    for (name, facts) in &answers {
        match facts {
            Ok(facts) => add(Some(name), check_shard::shard(name, facts, cluster, &rings)),
            Err(error) => add(Some(name), vec![("reachable", unreachable(error, shards.down_since(name)))]),
        }
    }
    examination.unreachable =
        answers.into_iter().filter(|(_, facts)| facts.is_err()).map(|(name, _)| name).collect();
    Ok(examination)
}

fn unreachable(error: &Error, since: Option<u64>) -> Verdict {
    let hint = error.hint_text().unwrap_or("ringshard config show prints where the URL comes from");
    let since = since.map_or(String::new(), |since| format!("; down since {}", timestamp(since)));
    Verdict::bad(format!("{}{since}", collect::in_one_line(error)), hint)
}
