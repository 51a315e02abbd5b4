//! Postgres: connections, pools, the catalog, rows. The only part that names `postgres`, `r2d2` or `rustls`.
//!
//! It never prints, and it knows no command. SQL of more than a line is in `sql/`.

pub mod catalog;
pub mod client;
pub mod cluster;
pub mod doctor;
pub mod drill;
pub mod failover;
pub(crate) mod failpoint;
pub mod import;
pub mod net;
pub mod poll;
pub mod pool;
pub mod preview;
pub mod rebalance;
pub(crate) mod requests;
pub mod rows;
pub mod scan;
pub mod schema;
pub mod sql;
pub mod tables;
pub mod two_phase;
pub mod verify;
