//! The terminal: words in, text out. The only part that prints.

mod console;
mod deliver;
mod errors;
mod logging;
mod output;
mod render;
mod run;
mod script;

pub use run::main;
