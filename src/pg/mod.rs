//! Postgres: connections, pools, the catalog, rows. The only part that names `postgres` or `r2d2`.
//!
//! Nothing here prints, and nothing here knows a command. SQL of more than a line lies in `sql/`.

pub mod batch;
pub mod cache;
pub mod catalog;
pub mod cluster;
mod connect;
pub mod conninfo;
pub mod detour;
pub mod doctor;
pub mod drill;
mod environment;
mod failure;
mod guard;
pub mod import;
pub mod init;
pub mod kept;
pub mod load;
mod make;
pub mod moving;
mod narrate;
mod outages;
pub mod pool;
pub mod preview;
pub mod pulse;
pub mod replicas;
pub mod rows;
pub mod running;
pub mod scatter;
mod seek;
pub mod session;
pub mod snapshot;
pub mod statement;
pub mod stats;
pub mod survey;
mod tls;
mod uuid;
pub mod verify;
pub mod view;
