//! What Postgres says, made into an [`Error`] of the right kind: the one place that knows SQLSTATEs.

use std::error::Error as _;

use postgres::error::{DbError, SqlState};

use super::conninfo::Address;
use super::environment;
use crate::error::{Error, Kind};
use crate::model::names::ShardName;

/// A failed connection: what the server, or the network, said.
pub(super) fn connecting(shard: &ShardName, address: &Address, cause: &postgres::Error) -> Error {
    let (kind, hint) = kind_of_connect(address, cause);
    let words = words_of(cause);
    let message = format!("cannot connect to shard `{shard}` at {}: {words}", address.shown());
    Error::new(kind, message).hint(hint).on_shard(shard)
}

fn kind_of_connect(address: &Address, cause: &postgres::Error) -> (Kind, String) {
    let Some(code) = cause.code() else {
        let words = words_of(cause);
        if words.contains("password missing") {
            return (Kind::Permission, no_password_hint());
        }
        if words.contains("TLS") {
            let hint = "this ringshard has no TLS: set `sslmode=disable` or `prefer` in the shard's URL";
            return (Kind::Configuration, hint.into());
        }
        return (Kind::Unreachable, unreachable_hint(address));
    };
    match *code {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => (
            Kind::Permission,
            match address.password_from() {
                Some(origin) => {
                    format!("the password came from {origin}; try it with psql '{}'", address.shown())
                }
                None => no_password_hint(),
            },
        ),
        SqlState::INSUFFICIENT_PRIVILEGE => {
            (Kind::Permission, format!("GRANT CONNECT ON DATABASE \"{}\" to this user", address.database()))
        }
        SqlState::INVALID_CATALOG_NAME => (
            Kind::Configuration,
            "ringshard init-shards (creates what is missing), or correct the URL".into(),
        ),
        SqlState::TOO_MANY_CONNECTIONS => {
            (Kind::Unreachable, "raise max_connections on that server, or close other sessions".into())
        }
        _ => (Kind::Unreachable, unreachable_hint(address)),
    }
}

fn no_password_hint() -> String {
    match environment::ignored_password_file() {
        Some(path) => format!("`{0}` was ignored, as others may read it: chmod 0600 {0}", path.display()),
        None => "no password was given: put it into ~/.pgpass (`host:port:database:user:password`, mode 0600) or PGPASSWORD".into(),
    }
}

fn unreachable_hint(address: &Address) -> String {
    if address.is_local() {
        "ringshard local start starts the private Postgres; ringshard local status tells more".into()
    } else {
        format!(
            "is the server up? psql '{}'; ringshard config show names where the URL comes from",
            address.shown()
        )
    }
}

/// A connection that neither came nor failed in time.
pub(super) fn connect_timed_out(shard: &ShardName, address: &Address, waited_ms: u128) -> Error {
    let message =
        format!("cannot connect to shard `{shard}` at {}: no answer in {waited_ms} ms", address.shown());
    Error::new(Kind::Unreachable, message).hint(unreachable_hint(address)).on_shard(shard)
}

/// A statement that failed on a shard. `what` is what it was to do: "create user `1`".
pub(super) fn doing(what: &str, shard: &ShardName, cause: &postgres::Error) -> Error {
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
        // The guard's words (sql/guard.sql) name the owner, and say what to do.
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

/// Whether the connection is gone, so that the outcome of what was under way is not known.
pub(super) fn is_lost(cause: &postgres::Error) -> bool {
    match cause.code() {
        Some(code) => [&SqlState::ADMIN_SHUTDOWN, &SqlState::CRASH_SHUTDOWN].contains(&code),
        None => {
            cause.is_closed()
                || cause.source().is_some_and(|source| source.downcast_ref::<std::io::Error>().is_some())
        }
    }
}

/// Whether the same transaction may succeed if it is run again.
pub(super) fn is_worth_repeating(cause: &postgres::Error) -> bool {
    cause.code().is_some_and(|code| {
        [&SqlState::T_R_SERIALIZATION_FAILURE, &SqlState::T_R_DEADLOCK_DETECTED].contains(&code)
    })
}

/// The server's own words with DETAIL, or the whole chain of causes: the crate's `Display` says only
/// "db error".
pub(super) fn words_of(cause: &postgres::Error) -> String {
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
