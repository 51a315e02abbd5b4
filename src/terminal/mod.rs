//! The terminal: parses commands and prints reports. Only this part of the program prints.

mod console;
mod destination;
mod errors;
mod jobs;
mod lexer;
mod logging;
mod monitor;
mod output;
mod parse;
mod render;
mod repl;
mod report_writer;
mod run;
mod script;
mod session;
mod shell;
mod tour;
mod wait_notes;

pub use run::main;
