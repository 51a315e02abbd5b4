//! What surrounds the shards: poolers, and what users put on their own tables.

pub(crate) mod exported;
pub(crate) mod foreign_keys;
pub(crate) mod locks;
pub(crate) mod matrix;
#[cfg(target_os = "linux")]
pub(crate) mod plproxy;
pub(crate) mod policies;
pub(crate) mod pooler;
pub(crate) mod settings;
pub(crate) mod signals;
pub(crate) mod standbys;
pub(crate) mod stopped_servers;
pub(crate) mod tables;
pub(crate) mod triggers;
