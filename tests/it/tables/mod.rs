//! Tables of any shape: added, moved, verified.

mod files;
mod names;
mod shapes;
mod sharded;
