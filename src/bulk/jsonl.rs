//! One line of JSON.

use serde::Deserialize;

/// A user as an object with the four fields of the data model; all but the id may be missing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JsonUser {
    pub(super) user_id: i64,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) region: Option<String>,
    #[serde(default)]
    pub(super) email: Option<String>,
}

/// Reads a line. The reason if it is no user names a column and not a line: that is known better outside.
pub(super) fn parse(text: &str) -> Result<JsonUser, String> {
    serde_json::from_str(text).map_err(|cause| {
        let words = cause.to_string();
        words.replacen(&format!(" at line {} column ", cause.line()), " at column ", 1)
    })
}
