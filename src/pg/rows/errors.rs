//! The errors of statements about one user.

use std::borrow::Cow;

use crate::error::{Error, Kind};
use crate::model::names::ShardName;

/// For a shard whose answer is of an earlier epoch.
pub(super) fn behind(what: &str, shard: &ShardName) -> Error {
    Error::new(Kind::Locked, format!("cannot {what}: shard `{shard}` is in an earlier epoch than the others"))
        .hint("ringshard doctor shows the epochs; then run this again")
        .on_shard(shard)
}

/// A key as it is typed in a shell.
pub(super) fn typed(id: &str) -> Cow<'_, str> {
    shlex::try_quote(id).unwrap_or(Cow::Borrowed(id))
}

/// For a user whom its owner does not have.
pub(super) fn not_found(id: &str, shard: &ShardName) -> Error {
    Error::new(Kind::NotFound, format!("user `{id}` not found on shard `{shard}`, its owner"))
        .hint(format!("ringshard ring locate {} asks all shards", typed(id)))
        .on_shard(shard)
}

/// For a user whom its owner has already.
pub(super) fn exists(id: &str, shard: &ShardName, flags: &str) -> Error {
    let typed = typed(id);
    let hint = if flags.is_empty() {
        format!("ringshard get-user {typed} shows it")
    } else {
        format!("ringshard get-user {typed} shows it; ringshard update-user {typed}{flags} changes it")
    };
    Error::new(Kind::Conflict, format!("user `{id}` exists already on shard `{shard}`"))
        .hint(hint)
        .on_shard(shard)
}

/// For a write that was lost, and that the row does not show.
pub(super) fn not_as_requested(lost: &Error, id: &str, found: bool, shard: &ShardName) -> Error {
    let now = if found { "exists but is not as requested" } else { "does not exist" };
    Error::new(lost.kind(), format!("{lost}; the user {now}, so the write was not done, or was undone later"))
        .hint(format!(
            "ringshard get-user --id {} shows the user; then run this again if it is still needed",
            typed(id)
        ))
        .on_shard(shard)
}

/// For a write that was lost, and whose row cannot be read.
pub(super) fn unknown(lost: &Error, id: &str, shard: &ShardName) -> Error {
    Error::new(lost.kind(), format!("{lost}; the outcome is unknown"))
        .hint(format!("once the shard answers: ringshard get-user --id {}", typed(id)))
        .on_shard(shard)
}
