//! Rebalancing on Postgres: the desired topology, the plan, and the moves.
//!
//! `model/rebalance/` decides what to do next, from the states of the shards; this room does it, with several workers, each
//! with its own connections. Nothing that matters is kept in memory: if the process is killed, the next mover continues.

pub(crate) mod connections;
mod copy_tables;
mod desired_topology;
mod executor;
mod finish_chunk;
mod heavy_keys;
pub(crate) mod lock_holder;
pub(crate) mod plan;
mod position_index;
mod preflight;
mod provision;
pub(crate) mod run_lock;
pub(crate) mod run_state;
pub(crate) mod standbys;
mod status;

pub use desired_topology::{DesiredChange, Topologies, set_desired_topology, topologies, undo_commands};
pub use executor::{carry_out, drop_position_indexes};
pub(crate) use finish_chunk::finish_chunk;
pub use plan::{Planned, plan_change};
pub use preflight::{preflight, publications};
pub use provision::{AddShardLock, lock_for_add_shard, provision_shard};
pub use run_lock::require_no_mover;
pub use run_state::{MoveProgress, Moved, RebalanceOptions, STANDBY_PATIENCE};
pub use status::{Outline, RebalanceStatus, status};
