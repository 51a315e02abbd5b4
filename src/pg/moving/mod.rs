//! Changes of the ring on Postgres: the wish, the plan, the moves.
//!
//! What is to be done next is decided by `model/moves/`, from what the shards say; here it is done, by several
//! workers at once, over connections of their own. Nothing that matters is remembered here: whoever dies on the way
//! leaves it to the next one.

mod bequest;
mod blockers;
mod crash;
mod drive;
mod gone;
mod index;
mod join;
mod link;
mod links;
mod lock;
mod plan;
mod preflight;
mod promote;
mod rescue;
mod retired;
mod rows;
mod run;
mod status;
mod wish;

pub use bequest::{Bequeathed, Bequest, Inherited, Recovery};
pub(super) use lock::RUNNER;
pub use plan::Planned;
pub use promote::{TakenOver, Takeover};
pub(super) use rescue::finish_chunk;
pub use retired::Returned;
pub use run::{Moved, Options, Told};
pub use status::{Outline, Status};
pub use wish::{Standing, Wished};
