//! Users in files: CSV with a header, or JSON lines; plain or gzipped.
//!
//! Reading gives one record at a time out of a buffer, so a file of any size needs little memory. This part
//! knows files and formats; it knows no shard and no Postgres.
//!
//! CSV is RFC 4180 with the one rule that Postgres's COPY adds: an empty field is a missing value, and `""` is
//! an empty text. The csv crate does not tell these two apart, which is why there is a parser here.

mod csv;
mod encode;
mod frames;
mod input;
mod jsonl;
mod output;
mod records;

pub use encode::{HEADER, encode};
pub use input::Input;
pub use output::Output;
pub use records::{Record, Records};

/// How a file writes users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Comma-separated, with a header.
    Csv,
    /// A JSON object a line.
    JsonLines,
}

#[cfg(test)]
mod tests;
