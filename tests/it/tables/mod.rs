//! Tables of any shape: added, moved, verified.

mod files;
mod changes;
mod joining;
mod names;
mod roles;
mod shapes;
mod sharded;
