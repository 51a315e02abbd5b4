//! The model: ring, arcs, topology, users, reports. Pure.
//!
//! It does no I/O, reads no clock, draws no random number and names no `postgres`: each function can be understood alone and
//! is tested by laws.

pub mod digest;
pub mod duration;
pub mod failover_plan;
pub mod host;
pub mod json;
pub mod load;
pub mod names;
pub mod picture;
pub mod point_read;
pub mod python_repr;
pub mod rebalance;
pub mod report;
pub mod ring;
pub mod schema;
pub mod secret;
pub mod sql;
pub mod stats;
pub mod table;
pub mod text;
pub mod user;
pub mod verification;
