//! The last topology that was heard of, kept for the next process. Never trusted: each answer of a shard
//! says the epoch.

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::names::ClusterId;
use crate::model::topology::Membership;

fn file(folder: &Path, id: &ClusterId) -> PathBuf {
    folder.join(format!("topology-{id}.json"))
}

/// What is known of a cluster; nothing if the file is missing or broken.
pub(super) fn read(folder: &Path, id: &ClusterId) -> Option<Membership> {
    let text = fs::read_to_string(file(folder, id)).ok()?;
    serde_json::from_str(&text).ok().filter(|membership: &Membership| membership.cluster == *id)
}

/// Keeps a topology. A failure costs the next process one round trip, and is no more than logged.
pub fn write(folder: &Path, membership: &Membership) {
    let file = file(folder, &membership.cluster);
    let fresh = file.with_extension(format!("{}.new", std::process::id()));
    let written = serde_json::to_vec(membership)
        .map_err(std::io::Error::from)
        .and_then(|text| fs::create_dir_all(folder).and_then(|()| fs::write(&fresh, text)))
        .and_then(|()| fs::rename(&fresh, &file));
    if let Err(cause) = written {
        log::debug!("Did not keep the topology in {}: {cause}", file.display());
    }
}
