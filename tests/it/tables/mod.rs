//! Tables of any shape: added, moved, verified.

mod files;
mod shapes;
mod sharded;
