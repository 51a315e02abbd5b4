//! What libpq takes from the environment: `PG*` variables, and the home folder.
//!
//! Follows 34.15 ("Environment Variables") of the PostgreSQL documentation.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::{Error, Kind, Result};

/// The value of a variable that is set, not empty, and UTF-8.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The value of a variable that is set and not empty. Fails if it is not UTF-8, as ignoring it may change what a connection
/// means.
pub(crate) fn text_variable(name: &str) -> Result<Option<String>> {
    raw_variable(name)
        .map(|value| {
            value.into_string().map_err(|_| {
                Error::new(Kind::Configuration, format!("`{name}` is not UTF-8"))
                    .hint(format!("unset {name}, or set it in UTF-8"))
            })
        })
        .transpose()
}

/// The value of a variable that is set and not empty: a path or a password, which may be any bytes.
pub(crate) fn raw_variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The home folder: `HOME`, or the folder that the operating system has for this process's user.
pub(crate) fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|folder| !folder.as_os_str().is_empty())
}
