//! What the tests share: servers, the program, the terminal, faults.

pub(crate) mod blocking;
pub(crate) mod catalogs;
pub(crate) mod clusters;
pub(crate) mod command_paths;
pub(crate) mod families;
pub(crate) mod gate;
pub(crate) mod guard_errors;
pub(crate) mod harness;
pub(crate) mod library;
pub(crate) mod misplaced_rows;
pub(crate) mod move_fixture;
pub(crate) mod move_steps;
#[cfg(target_os = "linux")]
pub(crate) mod patroni;
pub(crate) mod pooler;
pub(crate) mod prompts;
pub(crate) mod proxy;
pub(crate) mod pty;
pub(crate) mod random;
pub(crate) mod rebalances;
pub(crate) mod rings;
pub(crate) mod servers;
pub(crate) mod tls_server;
pub(crate) mod user_files;
pub(crate) mod writers;
