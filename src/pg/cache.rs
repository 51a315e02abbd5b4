//! What was heard of a cluster last, kept for the next process. Never trusted: each answer of a shard says the epoch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::kept;
use crate::model::names::{ClusterId, ShardName};
use crate::model::topology::Membership;

fn file(folder: &Path, id: &ClusterId) -> PathBuf {
    folder.join(format!("topology-{id}.json"))
}

/// What is known of a cluster; nothing if the file is missing or broken.
pub(super) fn read(folder: &Path, id: &ClusterId) -> Option<Membership> {
    kept::read(&file(folder, id)).filter(|membership: &Membership| membership.cluster == *id)
}

/// Keeps a topology. A failure costs the next process one round trip, and is no more than logged.
pub fn write(folder: &Path, membership: &Membership) {
    kept::write(&file(folder, &membership.cluster), membership);
}

/// How many users each shard had when they were counted last, and when that was, in seconds since 1970.
pub(super) type Counts = BTreeMap<ShardName, (i64, u64)>;

fn counts_file(folder: &Path, id: &ClusterId) -> PathBuf {
    folder.join(format!("rows-{id}.json"))
}

/// What was counted last; nothing if the file is missing or broken.
pub(super) fn read_counts(folder: &Path, id: &ClusterId) -> Counts {
    kept::read(&counts_file(folder, id)).unwrap_or_default()
}

/// Keeps what was counted just now. A failure is no more than logged.
pub(super) fn write_counts(folder: &Path, id: &ClusterId, counted: BTreeMap<ShardName, i64>) {
    let now = kept::unix_seconds();
    let mut counts = read_counts(folder, id);
    counts.extend(counted.into_iter().map(|(name, rows)| (name, (rows, now))));
    kept::write(&counts_file(folder, id), &counts);
}
