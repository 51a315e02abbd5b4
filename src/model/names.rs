//! Validated names of shards and clusters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest shard name in bytes: the limit of a Postgres identifier, as a database has the same name.
pub const SHARD_NAME_BYTES_MAX: usize = 63;

/// A shard's name: letters, digits, `_`, `-` and `.`, beginning with a letter, a digit or `_`. So `NAME=URL`, `NAME:WEIGHT`
/// and the virtual node `NAME#INDEX` are unambiguous, and the name needs no quoting in a shell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShardName(String);

impl ShardName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ShardName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        check(text, "shard").map(|()| Self(text.into()))
    }
}

/// Checks a name; the error says that of what it is.
fn check(text: &str, of: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.is_empty() {
        return Err(format!("a {of}'s name is empty"));
    }
    if text.len() > SHARD_NAME_BYTES_MAX {
        return Err(format!("a {of}'s name has at most {SHARD_NAME_BYTES_MAX} characters"));
    }
    if !text.starts_with(plain) || !text.chars().all(|c| plain(c) || c == '-' || c == '.') {
        return Err(format!("a {of}'s name is made of letters, digits, `_`, `-` and `.`"));
    }
    Ok(())
}

impl TryFrom<String> for ShardName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ShardName> for String {
    fn from(name: ShardName) -> Self {
        name.0
    }
}

impl fmt::Display for ShardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name by which a user calls a cluster, as that of its configuration file. The same letters as in a shard's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterName(String);

impl FromStr for ClusterName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        check(text, "cluster").map(|()| Self(text.into()))
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A cluster's id, made once by `init-shards`.
pub type ClusterId = uuid::Uuid;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shard_names_need_no_quoting() {
        for good in ["shard_1", "eu-west.1", "7", "_x"] {
            assert!(good.parse::<ShardName>().is_ok(), "{good}");
        }
        for bad in ["", "a b", "a#1", "a=b", "a:2", "-x", ".x", "é", "a\n", "a\"b", "a'b", "a/b"] {
            assert!(bad.parse::<ShardName>().is_err(), "{bad}");
        }
        assert!("x".repeat(64).parse::<ShardName>().is_err());
    }
}
