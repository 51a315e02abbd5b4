//! Users and rows of other tables in files: CSV with a header, or JSON lines; plain or gzipped; in UTF-8 or UTF-16.
//!
//! Records are read one at a time from a buffer, so a file of any size needs little memory. This part knows files and
//! formats, but no shard and no Postgres.
//!
//! CSV is RFC 4180 with one rule of COPY in Postgres: an empty field is a missing value, and `""` is
//! an empty text. The csv crate does not distinguish them, so there is a parser here. The separator
//! may also be `;`, a tab or `|`, or the one that a line `sep=` names.

mod csv;
mod encode;
mod frames;
mod input;
mod jsonl;
mod output;
mod records;
mod rows;
mod utf16;

pub use encode::{HEADER, Layout, encode};
pub use input::Input;
pub use output::Output;
pub use records::{Record, Records};
pub use rows::{BadRow, FileRow, FileRows};

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Fields between separators, with a header.
    Csv,
    /// One JSON object per line.
    JsonLines,
}

#[cfg(test)]
mod tests;
