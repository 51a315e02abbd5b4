//! What the last rebalance did, kept in the state folder for `report`.

use serde::{Deserialize, Serialize};

use super::super::{Context, kept};
use crate::model::names::ShardName;
use crate::pg::cluster::Cluster;
use crate::pg::moving::{Moved, Planned};

/// The name of its file, before the cluster's id.
const NAME: &str = "rebalance";

/// A rebalance that came to its end.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::commands) struct Record {
    /// When it ended, in seconds since 1970.
    pub(in crate::commands) ended_at_unix_s: u64,
    /// The epoch that it led to.
    pub(in crate::commands) epoch: i64,
    /// Whether it took a change back.
    pub(in crate::commands) went_back: bool,
    /// How many users this run moved, and how many bytes they have.
    pub(in crate::commands) rows: u64,
    pub(in crate::commands) bytes: u64,
    pub(in crate::commands) chunks: u64,
    /// How long it took.
    pub(in crate::commands) seconds: f64,
    /// Whether each user was found on its owner, and nowhere else, afterwards.
    pub(in crate::commands) verified: bool,
    /// What the plan moved, by source and target; nothing if it went back.
    pub(in crate::commands) flows: Vec<Flow>,
}

/// What went from one shard to another.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::commands) struct Flow {
    pub(in crate::commands) source: ShardName,
    pub(in crate::commands) target: ShardName,
    pub(in crate::commands) rows: u64,
    pub(in crate::commands) bytes: u64,
}

/// Keeps what was done.
pub(super) fn keep(
    context: &Context<'_>,
    cluster: &Cluster,
    planned: &Planned,
    went_back: bool,
    (moved, seconds): (Moved, f64),
    verified: bool,
) {
    let flows = planned.plan.flows.iter().filter(|_| !went_back).map(|flow| Flow {
        source: flow.source.clone(),
        target: flow.target.clone(),
        rows: flow.load.rows,
        bytes: flow.load.bytes,
    });
    let record = Record {
        ended_at_unix_s: kept::unix_seconds(),
        epoch: cluster.view().epoch.number(),
        went_back,
        rows: moved.load.rows,
        bytes: moved.load.bytes,
        chunks: moved.chunks,
        seconds,
        verified,
        flows: flows.collect(),
    };
    kept::write(context, cluster, NAME, &record);
}

/// The last one that this computer knows of.
pub(in crate::commands) fn last(context: &Context<'_>, cluster: &Cluster) -> Option<Record> {
    kept::read(context, cluster, NAME)
}
