//! Tables of any shape: added, moved, verified.

mod changes;
mod chat;
mod faults;
mod files;
mod joining;
mod left_behind;
mod listing;
mod mutants;
mod names;
mod one_user;
mod partitions;
mod pgbench;
mod preflight;
mod roles;
mod schema;
mod schema_diff;
mod shapes;
mod sharded;
mod shop;
