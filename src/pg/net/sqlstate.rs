//! Why a statement failed on a shard, as an [`Error`] of the right kind; and what its SQLSTATE says about trying again.

use std::error::Error as _;

use postgres::error::{DbError, SqlState};

use crate::error::{Error, Kind};
use crate::model::names::ShardName;

/// Why something that was asked of a shard was not done.
pub(crate) enum ShardError {
    /// The server said so, or is gone.
    Server(postgres::Error),
    /// We do: nothing that would go away by itself.
    Ours(Error),
}

impl From<postgres::Error> for ShardError {
    fn from(cause: postgres::Error) -> Self {
        Self::Server(cause)
    }
}

impl From<Error> for ShardError {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

/// A statement that failed on a shard. `what` is what it was to do: "create user `1`".
pub(crate) fn doing(what: &str, shard: &ShardName, cause: &postgres::Error) -> Error {
    let words = words_of(cause);
    let error = |kind| Error::new(kind, format!("cannot {what} on shard `{shard}`: {words}")).on_shard(shard);
    let Some(db) = cause.as_db_error() else {
        return if is_lost(cause) {
            error(Kind::Unreachable).hint("ringshard shards shows which shards answer; then run this again")
        } else {
            error(Kind::Failed)
        };
    };
    match db.code() {
        code if is_uninitialised(code) => {
            Error::new(Kind::Configuration, format!("shard `{shard}` is not initialised: {words}"))
                .hint("ringshard init-shards")
                .on_shard(shard)
        }
        &SqlState::INSUFFICIENT_PRIVILEGE => error(Kind::Permission)
            .hint("connect as the owner of the shard's tables, or have it GRANT what is missing"),
        &SqlState::UNIQUE_VIOLATION => {
            error(Kind::Conflict).hint("choose another value, or change the other row")
        }
        &SqlState::LOCK_NOT_AVAILABLE => error(Kind::Locked).hint("try again in a moment"),
        &(SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW) => {
            error(Kind::Unreachable).hint("the server is going down or coming up: try again in a moment")
        }
        &SqlState::READ_ONLY_SQL_TRANSACTION => {
            error(Kind::Unreachable).hint("the URL leads to a replica: name the primary")
        }
        // The guard's words (sql/functions/guard.sql) name the owner, and say what to do.
        code if code.code() == "RS002" => error(Kind::Locked).hint("try again in a moment"),
        code if code.code() == "RS001" => {
            error(Kind::Failed).hint("ringshard ring locate ID shows the owner of a user, and who has it")
        }
        &(SqlState::DISK_FULL | SqlState::OUT_OF_MEMORY) => {
            error(Kind::Failed).hint("make room on that server")
        }
        _ => error(Kind::Failed),
    }
}

fn is_uninitialised(code: &SqlState) -> bool {
    [&SqlState::INVALID_SCHEMA_NAME, &SqlState::UNDEFINED_TABLE, &SqlState::UNDEFINED_FUNCTION]
        .contains(&code)
}

/// Whether a statement failed in a way in which it fails on a catalog of another version.
pub(crate) fn is_of_another_version(cause: &postgres::Error) -> bool {
    cause.code().is_some_and(|code| [&SqlState::UNDEFINED_TABLE, &SqlState::UNDEFINED_COLUMN].contains(&code))
}

/// Whether the connection is gone, so that the outcome of what was under way is not known.
pub(crate) fn is_lost(cause: &postgres::Error) -> bool {
    match cause.code() {
        // With the last two the server ends sessions that are idle for too long.
        Some(code) => {
            [&SqlState::ADMIN_SHUTDOWN, &SqlState::CRASH_SHUTDOWN].contains(&code)
                || ["57P05", "25P03"].contains(&code.code())
        }
        None => {
            cause.is_closed()
                || cause.source().is_some_and(|source| source.downcast_ref::<std::io::Error>().is_some())
        }
    }
}

/// Whether the same transaction may succeed if it is run again.
pub(crate) fn is_worth_repeating(cause: &postgres::Error) -> bool {
    cause.code().is_some_and(|code| {
        [&SqlState::T_R_SERIALIZATION_FAILURE, &SqlState::T_R_DEADLOCK_DETECTED].contains(&code)
    })
}

/// The server's own words with DETAIL, or the whole chain of causes: the crate's `Display` says only
/// "db error".
pub(crate) fn words_of(cause: &postgres::Error) -> String {
    if let Some(db) = cause.as_db_error() {
        return words_of_server(db);
    }
    let mut words = cause.to_string();
    let mut next = cause.source();
    while let Some(source) = next {
        let text = source.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        next = source.source();
    }
    words
}

fn words_of_server(db: &DbError) -> String {
    let mut words = format!("{}: {}", db.severity(), db.message());
    if let Some(detail) = db.detail() {
        words = format!("{words}\nDETAIL: {detail}");
    }
    if let Some(hint) = db.hint() {
        words = format!("{words}\nHINT: {hint}");
    }
    format!("{words} (SQLSTATE {})", db.code().code())
}
