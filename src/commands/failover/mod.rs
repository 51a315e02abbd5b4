//! The commands about servers that fail.

pub mod drill;
pub mod promote;
pub mod replica;
