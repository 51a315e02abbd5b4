//! The commands and the options of a session.

pub(crate) mod commands;
pub(crate) mod options;
