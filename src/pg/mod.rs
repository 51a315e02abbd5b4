//! Postgres: connections, pools, the catalog, rows. The only part that names `postgres` or `r2d2`.
//!
//! Nothing here prints, and nothing here knows a command. SQL of more than a line lies in `sql/`.

pub mod cache;
pub mod catalog;
pub mod cluster;
mod connect;
pub mod conninfo;
mod environment;
mod failure;
pub mod init;
mod narrate;
pub mod pool;
pub mod rows;
pub mod session;
pub mod survey;
mod tls;
mod uuid;
