//! What was heard of a cluster last, kept for the next process. Never trusted: each answer of a shard says the epoch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::files::json_file;
use crate::model::names::{ClusterId, ShardName};
use crate::model::ring::topology::Membership;

fn file(folder: &Path, id: ClusterId) -> PathBuf {
    folder.join(format!("topology-{id}.json"))
}

/// What is known of a cluster; nothing if the file is missing or broken.
pub(crate) fn read(folder: &Path, id: ClusterId) -> Option<Membership> {
    json_file::read(&file(folder, id)).filter(|membership: &Membership| membership.cluster == id)
}

/// Keeps a topology. A failure costs the next process one round trip, and is no more than logged.
pub fn write(folder: &Path, membership: &Membership) {
    json_file::write(&file(folder, membership.cluster), membership);
}

/// How many users each shard had when they were counted last, and when that was, in seconds since 1970.
pub(crate) type Counts = BTreeMap<ShardName, (i64, u64)>;

fn counts_file(folder: &Path, id: ClusterId) -> PathBuf {
    folder.join(format!("rows-{id}.json"))
}

/// What was counted last; nothing if the file is missing or broken.
pub(crate) fn read_counts(folder: &Path, id: ClusterId) -> Counts {
    json_file::read(&counts_file(folder, id)).unwrap_or_default()
}

/// Keeps what was counted just now. A failure is no more than logged.
pub(crate) fn write_counts(folder: &Path, id: ClusterId, counted: BTreeMap<ShardName, i64>) {
    let now = json_file::unix_seconds();
    let mut counts = read_counts(folder, id);
    counts.extend(counted.into_iter().map(|(name, rows)| (name, (rows, now))));
    json_file::write(&counts_file(folder, id), &counts);
}
