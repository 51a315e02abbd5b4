//! What the last rebalance did, kept in the state folder for `report`.

use serde::{Deserialize, Serialize};

use crate::commands::{Context, state_file};
use crate::model::names::ShardName;
use crate::pg::cluster::Cluster;
use crate::pg::rebalance::{Moved, Planned};

/// The name of its file, before the cluster's id.
const NAME: &str = "rebalance";

/// A rebalance that came to its end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// When it ended, in seconds since 1970.
    pub(crate) ended_at_unix_s: u64,
    /// The epoch that it led to.
    pub(crate) epoch: i64,
    /// Whether it took a change back.
    pub(crate) went_back: bool,
    /// How many users this run moved, and how many bytes they have.
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) chunks: u64,
    /// How long it took.
    pub(crate) seconds: f64,
    /// Whether each user was found on its owner, and nowhere else, afterwards.
    pub(crate) verified: bool,
    /// What the plan moved, by source and target; nothing if it went back.
    pub(crate) flows: Vec<RecordedFlow>,
}

/// What went from one shard to another.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RecordedFlow {
    pub(crate) source: ShardName,
    pub(crate) target: ShardName,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// Keeps what was done.
pub(crate) fn keep(
    context: &Context<'_>,
    cluster: &Cluster,
    planned: &Planned,
    went_back: bool,
    (moved, seconds): (Moved, f64),
    verified: bool,
) {
    let flows = planned.plan.flows.iter().filter(|_| !went_back).map(|flow| RecordedFlow {
        source: flow.source.clone(),
        target: flow.target.clone(),
        rows: flow.load.rows,
        bytes: flow.load.bytes,
    });
    let record = Record {
        ended_at_unix_s: state_file::unix_seconds(),
        epoch: cluster.view().epoch.number(),
        went_back,
        rows: moved.load.rows,
        bytes: moved.load.bytes,
        chunks: moved.chunks,
        seconds,
        verified,
        flows: flows.collect(),
    };
    state_file::write(context, cluster, NAME, &record);
}

/// The last one that this computer knows of.
pub(crate) fn last(context: &Context<'_>, cluster: &Cluster) -> Option<Record> {
    state_file::read(context, cluster, NAME)
}
