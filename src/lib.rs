//! Shards a `users` table over Postgres databases by consistent hashing.
//!
//! This is the library behind the program `ringshard`. [`client`] and [`error`] are for other programs, and stable: within a
//! minor version nothing in them changes but by additions. The rest serves the program and may change at any time;
//! `ARCHITECTURE.md` shows its parts and the order in which they may use each other.
//!
//! # A client
//!
//! Each statement about a key runs on the shard that has proved to own the key, also while a rebalance moves it. `docs/routing.md`
//! has the rules.
//!
//! ```
//! use ringshard::client::Client;
//! # use ringshard::pg::{catalog, net::conninfo::ConnectionString, pool::{PoolOptions, Shards}};
//! # use ringshard::{client::postgres, local::PrivateServer};
//! # struct Server(PrivateServer);
//! # impl Drop for Server { fn drop(&mut self) { let _ = self.0.destroy(); } }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let home = tempfile::Builder::new().prefix("rsd").tempdir_in("/tmp")?;
//! # let programs = std::env::var_os("RINGSHARD_PG_BIN").map(std::path::PathBuf::from);
//! # let server = Server(PrivateServer::at(Some(home.path()), programs.as_deref())?);
//! # server.0.ensure_running()?;
//! # let url = |database: &str| format!("postgresql://postgres@/{database}?host={}", server.0.socket_dir().display());
//! # let mut admin = postgres::Client::connect(&url("postgres"), postgres::NoTls)?;
//! # let mut shards = Vec::new();
//! # for name in ["shard_1", "shard_2", "shard_3"] {
//! #     admin.batch_execute(&format!("CREATE DATABASE {name}"))?;
//! #     shards.push((name.parse()?, ConnectionString::new(url(name))));
//! # }
//! # let options = PoolOptions { connect_timeout: std::time::Duration::from_secs(5), size: 1, statement_timeout: None };
//! # catalog::init::initialise(&Shards::new(shards, server.0.clone(), options)?, None, None)?;
//! # let url_of_any_shard = url("shard_2");
//! // Any shard names the others. Threads share the client.
//! let cluster = Client::connect([url_of_any_shard])?;
//!
//! // A transaction on the owner of user 42. If the shard refuses, the closure is called again.
//! let id = cluster.with_key(42, |tx| -> Result<i64, Box<dyn std::error::Error>> {
//!     tx.execute("INSERT INTO users (user_id, name) VALUES ($1, $2)", &[&42_i64, &"Ada"])?;
//!     Ok(tx.query_one("SELECT user_id FROM users WHERE name = $1", &[&"Ada"])?.get(0))
//! })?;
//! assert_eq!(id, 42);
//!
//! // One query about a key, which does not wait while the key moves.
//! let rows = cluster.get(42, "SELECT name FROM users WHERE user_id = $1", &[&42_i64])?;
//! assert_eq!(rows[0].get::<_, &str>("name"), "Ada");
//!
//! // Where a key is, without asking a shard.
//! let route = cluster.route(42)?;
//! println!("{} (number {}, epoch {}) at {}", route.shard, route.number, route.epoch, route.url);
//! # assert_eq!((route.shard.as_str(), route.number, route.epoch), ("shard_2", 2, 1));
//! # Ok(())
//! # }
//! ```
//!
//! # The parts
//!
//! - [`model`] is pure: the ring, topologies, the protocol of a rebalance as a state machine, reports.
//! - [`pg`] is the only part that talks to Postgres.
//! - [`commands`] has one file for each command or family; a command returns a report and prints nothing.
//! - [`terminal`] reads command lines and prints reports.
//!
//! # The ring alone
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

pub use pg::client;
