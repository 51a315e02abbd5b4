//! The commands and the options of a session.

mod aliases;
pub(crate) mod commands;
pub(crate) mod options;
