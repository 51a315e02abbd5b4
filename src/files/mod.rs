//! Files of this program's own.

pub(crate) mod atomic;
pub mod json_file;
