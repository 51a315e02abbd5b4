//! The errors of statements about one user.

use super::statements::RowChange;
use crate::error::{Error, Kind};
use crate::model::names::ShardName;
use crate::model::user::UserId;

/// For a shard whose answer is of an earlier epoch.
pub(super) fn behind(what: &str, shard: &ShardName) -> Error {
    Error::new(Kind::Locked, format!("cannot {what}: shard `{shard}` is in an earlier epoch than the others"))
        .hint("ringshard doctor shows the epochs; then run this again")
        .on_shard(shard)
}

/// For a user whom its owner does not have.
pub(super) fn not_found(id: UserId, shard: &ShardName) -> Error {
    Error::new(Kind::NotFound, format!("user `{id}` not found on shard `{shard}`, its owner"))
        .hint(format!("ringshard ring locate {id} asks all shards"))
        .on_shard(shard)
}

/// For a user whom its owner has already.
pub(super) fn exists(id: UserId, shard: &ShardName, change: RowChange<'_>) -> Error {
    let flags = if let RowChange::Create(user) = change { user.flags() } else { String::new() };
    let hint = if flags.is_empty() {
        format!("ringshard get-user {id} shows it")
    } else {
        format!("ringshard get-user {id} shows it; ringshard update-user {id}{flags} changes it")
    };
    Error::new(Kind::Conflict, format!("user `{id}` exists already on shard `{shard}`"))
        .hint(hint)
        .on_shard(shard)
}

/// For a write that was lost, and that the row does not show.
pub(super) fn not_as_requested(lost: &Error, id: UserId, found: bool, shard: &ShardName) -> Error {
    let now = if found { "exists but is not as requested" } else { "does not exist" };
    Error::new(lost.kind(), format!("{lost}; the user {now}, so the write was not done, or was undone later"))
        .hint(format!(
            "ringshard get-user --id {id} shows the user; then run this again if it is still needed"
        ))
        .on_shard(shard)
}

/// For a write that was lost, and whose row cannot be read.
pub(super) fn unknown(lost: &Error, id: UserId, shard: &ShardName) -> Error {
    Error::new(lost.kind(), format!("{lost}; the outcome is unknown"))
        .hint(format!("once the shard answers: ringshard get-user --id {id}"))
        .on_shard(shard)
}
