//! The result of the last rebalance, kept in the state folder for `report`.

use serde::{Deserialize, Serialize};

use crate::commands::{Context, state_file};
use crate::model::names::ShardName;
use crate::model::text::{bytes, counted, thousands};
use crate::pg::cluster::Cluster;
use crate::pg::rebalance::{Moved, Planned};

/// The name of its file, before the cluster's id.
const NAME: &str = "rebalance";

/// A rebalance that was completed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// When it ended, in seconds since 1970.
    pub(crate) ended_at_unix_s: u64,
    /// The epoch that it led to.
    pub(crate) epoch: i64,
    /// Whether it canceled a change.
    pub(crate) went_back: bool,
    /// The number of users that this run moved, and of their bytes.
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) chunks: u64,
    /// The duration.
    pub(crate) seconds: f64,
    /// Whether each user was on its owner and nowhere else afterwards.
    pub(crate) verified: bool,
    /// The moves of the plan, by source and target; empty if the change was canceled.
    pub(crate) flows: Vec<RecordedFlow>,
}

/// The users that moved from one shard to another.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RecordedFlow {
    pub(crate) source: ShardName,
    pub(crate) target: ShardName,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// Stores the result.
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

/// The last result on this computer.
pub(crate) fn last(context: &Context<'_>, cluster: &Cluster) -> Option<Record> {
    state_file::read(context, cluster, NAME)
}

/// What was moved, and how fast.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rounded rate"
)]
pub(super) fn summary(moved: Moved, seconds: f64, noun: &str) -> String {
    let Moved { load, chunks } = moved;
    format!(
        "moved {} ({} sent) in {}, {seconds:.1} s, {} {noun}s/s",
        counted(load.rows, noun),
        bytes(load.bytes),
        counted(chunks, "chunk"),
        thousands((load.rows as f64 / seconds.max(0.001)) as u64)
    )
}
