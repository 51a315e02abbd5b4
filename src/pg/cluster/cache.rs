//! Files that keep the last known topology and row counts for the next process. They are never trusted, as each answer of a
//! shard has the epoch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::files::json_file;
use crate::model::names::{ClusterId, ShardName};
use crate::model::ring::topology::Membership;

fn file(folder: &Path, id: ClusterId) -> PathBuf {
    folder.join(format!("topology-{id}.json"))
}

/// The cached topology; `None` if the file is missing or invalid.
pub(crate) fn read(folder: &Path, id: ClusterId) -> Option<Membership> {
    json_file::read(&file(folder, id)).filter(|membership: &Membership| membership.cluster == id)
}

/// Writes a topology. A failure costs the next process one round trip, and is only logged.
pub fn write(folder: &Path, membership: &Membership) {
    json_file::write(&file(folder, membership.cluster), membership);
}

/// The last count of users on each shard, with its time in seconds since 1970.
pub(crate) type Counts = BTreeMap<ShardName, (i64, u64)>;

fn counts_file(folder: &Path, id: ClusterId) -> PathBuf {
    folder.join(format!("rows-{id}.json"))
}

/// The last counts; empty if the file is missing or invalid.
pub(crate) fn read_counts(folder: &Path, id: ClusterId) -> Counts {
    json_file::read(&counts_file(folder, id)).unwrap_or_default()
}

/// Writes new counts. A failure is only logged.
pub(crate) fn write_counts(folder: &Path, id: ClusterId, counted: BTreeMap<ShardName, i64>) {
    let now = json_file::unix_seconds();
    let mut counts = read_counts(folder, id);
    counts.extend(counted.into_iter().map(|(name, rows)| (name, (rows, now))));
    json_file::write(&counts_file(folder, id), &counts);
}
