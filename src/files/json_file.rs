//! Small JSON files that one process leaves for the next. They are caches: nothing depends on them.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::atomic;

/// The current time in seconds since 1970.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Reads a file; `None` if it is missing or invalid.
pub fn read<T: DeserializeOwned>(file: &Path) -> Option<T> {
    serde_json::from_str(&fs::read_to_string(file).ok()?).ok()
}

/// Replaces a file in one step, and makes its folder if that is missing. A failure is no more than logged.
pub fn write(file: &Path, value: &impl Serialize) {
    let written = serde_json::to_vec(value).map_err(std::io::Error::from).and_then(|text| {
        fs::create_dir_all(atomic::folder_of(file))?;
        atomic::write(file, 0o666, &text)
    });
    if let Err(cause) = written {
        log::debug!("Could not write {}: {cause}", file.display());
    }
}
