//! The ring, rebalancing, and where each row is stored.

pub(crate) mod cleanup;
pub(crate) mod faults;
pub(crate) mod mutants;
pub(crate) mod mutants_failover;
pub(crate) mod mutants_fast_path;
pub(crate) mod nemesis;
pub(crate) mod ring;
pub(crate) mod topology_changes;
pub(crate) mod verify;
pub(crate) mod verify_fix;
