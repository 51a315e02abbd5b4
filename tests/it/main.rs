//! The program against real Postgres: one private server a run, databases of its own for each test.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod cli;
mod harness;
mod init;
mod init_faults;
mod logs;
mod output;
mod proxy;
mod ring;
mod routing;
mod secrets;
mod terminal;
mod tls;
mod users;
