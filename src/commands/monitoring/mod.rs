//! Commands that show how the cluster does.

pub mod monitor;
mod prometheus;
pub mod report;
pub mod stats;
