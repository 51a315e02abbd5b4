//! Arbitrary text, and valid text with mistakes in it, for three parsers: connection strings, command lines, and files
//! of users.
//!
//! A parser never panics and always ends (a parser that loops shows as a test that does not end), an error never quotes
//! a password, and what is written is read back the same. Each property runs 256 cases, or as many as
//! `RINGSHARD_FUZZ_CASES` says. A failure prints the smallest text that shows it: add that text to the parser's own
//! tests.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "fuzz/connection_strings.rs"]
mod connection_strings;
#[path = "fuzz/lines.rs"]
mod lines;
#[path = "fuzz/mistakes.rs"]
mod mistakes;
#[path = "fuzz/user_files.rs"]
mod user_files;
