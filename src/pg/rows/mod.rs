//! Reads and writes single rows, each on its owner.

pub mod any_row;
pub mod batch_create;
mod errors;
pub(crate) mod keyed;
pub mod locate;
pub mod own_id;
pub mod reserve_ids;
pub mod router;
pub mod statements;

pub use locate::{holders, left_on};
pub use reserve_ids::reserve_ids;
pub use router::Router;
