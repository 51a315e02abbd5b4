//! The commands that set up the cluster and this program.

pub mod completions;
pub mod config;
pub mod doctor;
pub mod init_shards;
pub mod local;
