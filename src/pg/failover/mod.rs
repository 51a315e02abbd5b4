//! Failover: promotes a replica, removes a dead shard, and fences stale primaries.

mod fence_stale;
mod promote;
mod reinstate;
mod remove_dead;
pub(crate) mod survivors;

pub use fence_stale::{StalePrimary, fence_stale_primaries, forget_stale_endpoint, include_stale_primaries};
pub use promote::{TakenOver, Takeover, finish_takeover, plan_restorations, plan_takeover, take_over};
pub use reinstate::{Reinstatement, plan_reinstatement, reinstate};
pub use remove_dead::{
    Reassigned, Recovery, RemovalPlan, Removed, open_recovery, plan_removal, remove_dead_shard,
};
