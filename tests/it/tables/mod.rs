//! Tables of any shape: added, moved, verified.

mod shapes;
mod sharded;
