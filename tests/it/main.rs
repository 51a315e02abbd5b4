//! The program against real Postgres: one private server a run, databases of its own for each test.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod cli;
mod doctor;
mod explain;
mod gate;
mod guard;
mod guard_barrier;
mod harness;
mod import;
mod import_crashes;
mod import_faults;
mod init;
mod init_faults;
mod learning;
mod logs;
mod mover;
mod mutants;
mod nemesis;
mod output;
mod proxy;
mod rebalance;
mod rebalance_faults;
mod ring;
mod routing;
mod scatter;
mod secrets;
mod servers;
mod stale;
mod terminal;
mod tls;
mod upgrade;
mod users;
mod verify;
mod verify_fix;
