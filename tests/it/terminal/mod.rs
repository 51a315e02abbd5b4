//! Input and output: the shell, scripts, the REPL and the log.

pub(crate) mod explain;
pub(crate) mod jobs;
pub(crate) mod learning;
pub(crate) mod logs;
pub(crate) mod output;
pub(crate) mod psql_habits;
pub(crate) mod repl;
pub(crate) mod repl_screen;
pub(crate) mod screens;
pub(crate) mod script;
pub(crate) mod script_creates;
pub(crate) mod secrets;
pub(crate) mod sql_prompt;
pub(crate) mod tour;
pub(crate) mod tutorial;
pub(crate) mod wrong_input;
