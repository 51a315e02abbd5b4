//! Shards a `users` table over Postgres databases by consistent hashing.
//!
//! Data flows one way: words → command → operation on topology, ring and shards → report →
//! renderer → stdout. `ARCHITECTURE.md` says which part may use which.

pub mod bulk;
pub mod commands;
pub mod error;
pub mod files;
pub mod host;
pub mod local;
pub mod model;
pub mod pg;
pub mod settings;
pub mod terminal;
mod threads;
