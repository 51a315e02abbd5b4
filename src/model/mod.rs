//! The model: ring, arcs, topology, users, reports. Pure.
//!
//! Nothing here does I/O, asks a clock, draws a random number or names `postgres`: each function can
//! be understood alone and is tested by laws.

pub mod arc;
pub mod change;
pub mod coverage;
pub mod digest;
pub mod duration;
pub mod host;
pub mod load;
pub mod moves;
pub mod names;
pub mod picture;
pub mod position;
pub mod python;
pub mod reading;
pub mod report;
pub mod ring;
pub mod secret;
pub mod stats;
pub mod succession;
pub mod text;
pub mod topology;
pub mod user;
pub mod verification;
