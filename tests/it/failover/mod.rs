//! Servers that fail, on purpose or not.

pub(crate) mod backoff;
pub(crate) mod drill;
#[cfg(target_os = "linux")]
pub(crate) mod patroni;
pub(crate) mod promote;
pub(crate) mod remove_dead;
pub(crate) mod replicas;
pub(crate) mod scenario;
pub(crate) mod timelines;
