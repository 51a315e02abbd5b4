//! Files of this program's own.

pub mod json_file;
