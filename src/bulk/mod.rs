//! Users in files: CSV with a header, or JSON lines; plain or gzipped.
//!
//! Records are read one at a time from a buffer, so a file of any size needs little memory. This part knows files and
//! formats, but no shard and no Postgres.
//!
//! CSV is RFC 4180 with one rule of COPY in Postgres: an empty field is a missing value, and `""` is
//! an empty text. The csv crate does not distinguish them, so there is a parser here.

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

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Comma-separated, with a header.
    Csv,
    /// One JSON object per line.
    JsonLines,
}

#[cfg(test)]
mod tests;
