//! The terminal: words in, text out. The only part that prints.

mod ahead;
mod choices;
mod console;
mod deliver;
mod errors;
mod logging;
mod monitor;
mod output;
mod parse;
mod render;
mod repl;
mod run;
mod script;
mod session;
mod shell;
mod tour;
mod words;

pub use run::main;
