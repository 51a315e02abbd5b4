//! What a command leaves in the state folder for a later look: `NAME-CLUSTER.json`. A cache: nothing depends on it.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Context;
use crate::pg::cluster::Cluster;

/// Now, in seconds since 1970.
pub(super) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn file(context: &Context<'_>, cluster: &Cluster, name: &str) -> Option<PathBuf> {
    let settings = context.settings();
    Some(settings.state_folder.as_ref()?.join(format!("{name}-{}.json", cluster.id()?)))
}

/// Keeps a value. A failure is no more than logged.
pub(super) fn write(context: &Context<'_>, cluster: &Cluster, name: &str, value: &impl Serialize) {
    let Some(file) = file(context, cluster, name) else { return };
    let fresh = file.with_extension(format!("{}.new", std::process::id()));
    let written = serde_json::to_vec(value)
        .map_err(std::io::Error::from)
        .and_then(|text| {
            file.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(&fresh, text)
        })
        .and_then(|()| fs::rename(&fresh, &file));
    if let Err(cause) = written {
        log::debug!("Did not keep {}: {cause}", file.display());
    }
}

/// The value that was kept last; nothing if there is none, or if it is of another shape.
pub(super) fn read<T: DeserializeOwned>(context: &Context<'_>, cluster: &Cluster, name: &str) -> Option<T> {
    let text = fs::read_to_string(file(context, cluster, name)?).ok()?;
    serde_json::from_str(&text).ok()
}
