//! Changes of the ring on Postgres: the wish, the plan, the moves.
//!
//! What is to be done next is decided by `model/moves/`, from what the shards say; here it is done, by several
//! workers at once, over connections of their own. Nothing that matters is remembered here: whoever dies on the way
//! leaves it to the next one.

pub(crate) mod chunk_rows;
pub(crate) mod connection;
pub(crate) mod connections;
mod desired_topology;
mod executor;
pub(crate) mod failpoint;
mod finish_chunk;
pub(crate) mod lock_holder;
pub(crate) mod plan;
mod position_index;
mod preflight;
mod provision;
pub(crate) mod run_lock;
pub(crate) mod run_state;
mod status;

pub use desired_topology::{DesiredChange, Topologies, set_desired_topology, topologies};
pub use executor::{carry_out, drop_position_indexes};
pub(crate) use finish_chunk::finish_chunk;
pub use plan::{Planned, plan_change};
pub use preflight::preflight;
pub use provision::provision_shard;
pub(crate) use run_lock::RUNNER;
pub use run_state::{MoveProgress, Moved, RebalanceOptions};
pub use status::{Outline, RebalanceStatus, status};
