//! `doctor`: can each shard be reached, is it set up right, and what to do if not.
//!
//! Asking (`ask.rs`) and judging (`judge.rs` one shard, `whole.rs` all of them) are kept apart. Nothing is changed
//! here, and nothing is started: a private Postgres that is down is found to be down.

mod check_cluster;
mod check_shard;
mod collect;
mod expected_functions;

use std::time::Instant;

use crate::error::{Error, Result};
use crate::local::PrivateServer;
use crate::model::names::{ClusterId, ShardName};
use crate::model::text::timestamp;
use crate::pg::pool::Shards;
use crate::threads;

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether all is well; `None` if that cannot be known.
    pub ok: Option<bool>,
    /// What was seen.
    pub found: String,
    /// What to type, if all is not well.
    pub hint: Option<String>,
}

impl Verdict {
    fn good(found: impl Into<String>) -> Self {
        Self { ok: Some(true), found: found.into(), hint: None }
    }

    fn bad(found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { ok: Some(false), found: found.into(), hint: Some(hint.into()) }
    }

    fn unknown(found: impl Into<String>) -> Self {
        Self { ok: None, found: found.into(), hint: None }
    }
}

/// One check of one shard, or of all of them together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The shard; `None` for the whole.
    pub shard: Option<ShardName>,
    /// The check's name: a contract, as it is what a script looks for.
    pub check: &'static str,
    /// How it ended.
    pub verdict: Verdict,
}

/// Where the shards were named, so that a hint can say what to correct.
#[derive(Debug, Clone)]
pub enum ConfiguredBy {
    /// This configuration file.
    File(String),
    /// This variable of the environment.
    Variable(&'static str),
}

/// All findings.
#[derive(Debug, Clone)]
pub struct Examination {
    /// The whole first, then shard by shard, sorted by name.
    pub findings: Vec<Finding>,
    /// The shards that could not be reached.
    pub unreachable: Vec<ShardName>,
}

/// Examines all shards at once, each over a connection of its own. `cluster` is the id that the configuration
/// has.
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
    let answers = threads::at_once(addresses, |(name, address)| {
        let begun = Instant::now();
        let facts = collect::ask(&name, address, private);
        match &facts {
            Ok(_) => shards.hear(&name),
            Err(error) => shards.miss(&name, error, begun.elapsed()),
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
    add(None, check_cluster::checks(&answers, cluster, configured_by, status.as_ref()));
    for (name, facts) in &answers {
        match facts {
            Ok(facts) => add(Some(name), check_shard::shard(name, facts, cluster)),
            Err(error) => add(Some(name), vec![("reachable", unreachable(error, shards.down_since(name)))]),
        }
    }
    examination.unreachable =
        answers.into_iter().filter(|(_, facts)| facts.is_err()).map(|(name, _)| name).collect();
    Ok(examination)
}

fn unreachable(error: &Error, since: Option<u64>) -> Verdict {
    let hint = error.hint_text().unwrap_or("ringshard config show names where the URL comes from");
    let since = since.map_or(String::new(), |since| format!("; down since {}", timestamp(since)));
    Verdict::bad(format!("{}{since}", collect::in_one_line(error)), hint)
}
