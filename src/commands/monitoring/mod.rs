//! The commands that show the state of the cluster.

pub mod monitor;
mod prometheus;
pub mod report;
pub mod stats;
pub mod status;
