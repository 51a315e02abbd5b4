//! Shards a `users` table over Postgres databases by consistent hashing.
//!
//! This is the library behind the program `ringshard`. The program is the product: the library has no stable interface
//! yet. `ARCHITECTURE.md` shows the parts and the order in which they may use each other.
//!
//! - [`model`] is pure: the ring, topologies, the protocol of a rebalance as a state machine, reports.
//! - [`pg`] is the only part that talks to Postgres.
//! - [`commands`] has one file for each command or family; a command returns a report and prints nothing.
//! - [`terminal`] reads command lines and prints reports.
//!
//! # Example
//!
//! Which shard owns a key, and which keys a fourth shard takes over:
//!
//! ```
//! use ringshard::model::names::ShardName;
//! use ringshard::model::ring::position::Position;
//! use ringshard::model::ring::topology::Topology;
//!
//! # fn main() -> Result<(), String> {
//! let name = |number: u32| format!("shard_{number}").parse::<ShardName>();
//! let three = Topology::of_equals(100, [name(1)?, name(2)?, name(3)?])?.ring();
//! let four = Topology::of_equals(100, [name(1)?, name(2)?, name(3)?, name(4)?])?.ring();
//!
//! assert_eq!(three.owner(Position::of_key("1")).as_str(), "shard_2");
//! let moved: Vec<u32> = (1..=10)
//!     .filter(|id| {
//!         let position = Position::of_key(&id.to_string());
//!         three.owner(position) != four.owner(position)
//!     })
//!     .collect();
//! assert_eq!(moved, [5]);
//! # Ok(())
//! # }
//! ```

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
