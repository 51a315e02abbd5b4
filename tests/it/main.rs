//! The program against real Postgres: one private server a run, databases of its own for each test.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod failover;
mod import;
mod monitoring;
mod rebalance;
mod setup;
mod sql;
mod support;
mod surroundings;
mod tables;
mod terminal;
mod users;
