//! Postgres: connections, pools, the catalog, rows. The only part that names `postgres` or `r2d2`.
//!
//! Nothing here prints, and nothing here knows a command. SQL of more than a line lies in `sql/`.

pub mod catalog;
pub mod cluster;
pub mod doctor;
pub mod drill;
pub mod failover;
pub mod import;
pub mod net;
pub mod poll;
pub mod pool;
pub mod preview;
pub mod rebalance;
pub mod rows;
pub mod scan;
pub mod verify;
