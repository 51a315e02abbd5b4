//! Servers that fail, on purpose or not.

pub(crate) mod backoff;
pub(crate) mod drill;
pub(crate) mod promote;
pub(crate) mod remove_dead;
pub(crate) mod replicas;
pub(crate) mod scenario;
pub(crate) mod timelines;
