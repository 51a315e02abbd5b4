//! What belongs to a session: its commands and its options.

pub(crate) mod commands;
pub(crate) mod options;
