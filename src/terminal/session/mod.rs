//! The commands and the options of a session.

mod aliases;
pub(crate) mod commands;
mod jobs;
pub(super) mod options;
