//! Files that this program writes for itself. It knows no shard and no command.

pub(crate) mod atomic;
pub mod json_file;
