//! One line of JSON.

use serde::Deserialize;

/// Types of Rust in messages of the parser, and what a person would say.
const WORDS: [(&str, &str); 2] =
    [("expected i64", "expected a whole number"), ("struct JsonUser", "an object")];

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

/// Parses a line. An error names the column and not the line, which the caller adds.
pub(super) fn parse(text: &str) -> Result<JsonUser, String> {
    serde_json::from_str(text).map_err(|cause| {
        let message = WORDS.iter().fold(cause.to_string(), |text, (rust, words)| text.replace(rust, words));
        message.replacen(&format!(" at line {} column ", cause.line()), " at column ", 1)
    })
}
