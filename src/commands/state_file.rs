//! Results of commands in the state folder, for later commands: `NAME-CLUSTER.json`.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Context;
use crate::files::json_file;
pub(crate) use crate::files::json_file::unix_seconds;
use crate::pg::cluster::Cluster;

fn file(context: &Context<'_>, cluster: &Cluster, name: &str) -> Option<PathBuf> {
    let settings = context.settings();
    Some(settings.state_folder.as_ref()?.join(format!("{name}-{}.json", cluster.id()?)))
}

/// Stores a value. A failure is only logged.
pub(crate) fn write(context: &Context<'_>, cluster: &Cluster, name: &str, value: &impl Serialize) {
    if let Some(file) = file(context, cluster, name) {
        json_file::write(&file, value);
    }
}

/// The value that was stored last; `None` if there is none, or if it cannot be parsed.
pub(crate) fn read<T: DeserializeOwned>(context: &Context<'_>, cluster: &Cluster, name: &str) -> Option<T> {
    json_file::read(&file(context, cluster, name)?)
}
