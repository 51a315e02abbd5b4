//! The last topology that was heard of, kept for the next process. Never trusted: each answer of a shard
//! says the epoch.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::model::names::{ClusterId, ShardName};
use crate::model::topology::Membership;

fn file(folder: &Path, id: &ClusterId) -> PathBuf {
    folder.join(format!("topology-{id}.json"))
}

/// What is known of a cluster; nothing if the file is missing or broken.
pub(super) fn read(folder: &Path, id: &ClusterId) -> Option<Membership> {
    let text = fs::read_to_string(file(folder, id)).ok()?;
    serde_json::from_str(&text).ok().filter(|membership: &Membership| membership.cluster == *id)
}

/// How many users each shard had when they were counted last, and when that was, in seconds since 1970.
pub(super) type Counts = BTreeMap<ShardName, (i64, u64)>;

fn counts_file(folder: &Path, id: &ClusterId) -> PathBuf {
    folder.join(format!("rows-{id}.json"))
}

/// What was counted last; nothing if the file is missing or broken.
pub(super) fn read_counts(folder: &Path, id: &ClusterId) -> Counts {
    let text = fs::read_to_string(counts_file(folder, id)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Keeps what was counted just now. A failure is no more than logged.
pub(super) fn write_counts(folder: &Path, id: &ClusterId, counted: &BTreeMap<ShardName, i64>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut counts = read_counts(folder, id);
    counts.extend(counted.iter().map(|(name, rows)| (name.clone(), (*rows, now))));
    write_json(folder, &counts_file(folder, id), &counts);
}

/// Keeps a topology. A failure costs the next process one round trip, and is no more than logged.
pub fn write(folder: &Path, membership: &Membership) {
    write_json(folder, &file(folder, &membership.cluster), membership);
}

/// Replaces a file in one step. A failure is no more than logged.
fn write_json(folder: &Path, file: &Path, value: &impl Serialize) {
    let fresh = file.with_extension(format!("{}.new", std::process::id()));
    let written = serde_json::to_vec(value)
        .map_err(std::io::Error::from)
        .and_then(|text| fs::create_dir_all(folder).and_then(|()| fs::write(&fresh, text)))
        .and_then(|()| fs::rename(&fresh, file));
    if let Err(cause) = written {
        log::debug!("Did not keep {}: {cause}", file.display());
    }
}
