//! Why a statement failed on a shard, as an [`Error`] of the right kind; and whether its SQLSTATE allows a retry.

use std::error::Error as _;

use postgres::error::{DbError, SqlState};

use crate::error::{Error, Kind};
use crate::model::names::ShardName;

/// The SQLSTATE classes of failures that are not about a row: the connection, the session, the transaction, missing
/// privileges or objects, resources, the operator, the server's system.
const NOT_ABOUT_ROWS: [&str; 13] =
    ["08", "0A", "25", "26", "28", "3D", "3F", "40", "42", "53", "55", "57", "58"];

/// Why a request to a shard failed.
pub(crate) enum ShardError {
    /// The server reported an error, or the connection was lost.
    Server(postgres::Error),
    /// ringshard found an error; a retry would not help.
    Local(Error),
}

/// Makes the error for a request that failed on a shard. `what` completes "cannot …".
pub(crate) fn on_shard(what: &str, shard: &ShardName) -> impl Fn(ShardError) -> Error {
    move |error| match error {
        ShardError::Server(cause) => doing(what, shard, &cause),
        ShardError::Local(error) => error,
    }
}

impl From<postgres::Error> for ShardError {
    fn from(cause: postgres::Error) -> Self {
        Self::Server(cause)
    }
}

impl From<Error> for ShardError {
    fn from(error: Error) -> Self {
        Self::Local(error)
    }
}

/// The error for a statement that failed on a shard. `what` completes "cannot …": "create user `1`".
pub(crate) fn doing(what: &str, shard: &ShardName, cause: &postgres::Error) -> Error {
    let text = message_of(cause);
    let error = |kind| Error::new(kind, format!("cannot {what} on shard `{shard}`: {text}")).on_shard(shard);
    let Some(db) = cause.as_db_error() else {
        return if is_lost(cause) {
            error(Kind::Unreachable).hint("ringshard shards shows which shards answer; then run this again")
        } else {
            error(Kind::Failed)
        };
    };
    match db.code() {
        &SqlState::UNDEFINED_TABLE if is_of_application(db) => {
            Error::new(Kind::Configuration, format!("shard `{shard}` lacks a table: {text}"))
                .hint("create it there as it is elsewhere; or, if no change is under way, remove it (ringshard table list)")
                .on_shard(shard)
        }
        code if is_uninitialised(code) => {
            Error::new(Kind::Configuration, format!("shard `{shard}` is not initialised: {text}"))
                .hint("ringshard init-shards")
                .on_shard(shard)
        }
        &SqlState::INSUFFICIENT_PRIVILEGE if !is_row_security(db) => error(Kind::Permission)
            .hint("connect as the owner of the shard's tables, or let the owner GRANT what is missing"),
        &SqlState::UNIQUE_VIOLATION => {
            error(Kind::Conflict).hint("choose another value, or change the other row")
        }
        &SqlState::LOCK_NOT_AVAILABLE => error(Kind::Locked).hint("try again in a moment"),
        &(SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW) => {
            error(Kind::Unreachable).hint("the server is starting or stopping: try again in a moment")
        }
        &SqlState::READ_ONLY_SQL_TRANSACTION => {
            error(Kind::Unreachable).hint(
                "set the URL to the primary if it points to a replica; or default_transaction_read_only is on for this \
                 role or database, which ringshard respects",
            )
        }
        &SqlState::QUERY_CANCELED if db.message().contains("statement timeout") => error(Kind::Locked).hint(
            "another session may hold a lock, or the server is slow: ringshard doctor names open transactions; \
             RINGSHARD_STATEMENT_TIMEOUT_MS sets the limit",
        ),
        // The guard's message (sql/functions/guard.sql) names the owner.
        code if code.code() == "RS002" => error(Kind::Locked).hint("try again in a moment"),
        code if code.code() == "RS001" => error(Kind::Failed)
            .hint("ringshard ring locate ID shows the owner of a user, and which shards have it"),
        // sql/functions/write_user.sql
        code if code.code() == "RS007" => error(Kind::Failed).hint(
            "ringshard sql \"SELECT tgname FROM pg_trigger WHERE tgrelid = 'public.users'::regclass AND NOT tgisinternal\" \
             lists the triggers",
        ),
        // sql/functions/one_row.sql
        code if code.code() == "RS011" => {
            error(Kind::Configuration).hint("ringshard list-users lists its rows")
        }
        code if code.code() == "RS012" => error(Kind::Usage).hint("ringshard schema show users lists its columns"),
        // A value that its column does not take.
        code if code.code().starts_with("22") => {
            error(Kind::BadInput).hint("correct the value; ringshard schema show TABLE lists the types of the columns")
        }
        // sql/functions/rebalance.sql
        code if code.code() == "RS008" => error(Kind::Locked).hint("run this again"),
        // sql/functions/side_effects.sql
        code if code.code() == "RS006" => error(Kind::Configuration).hint(
            "drop the foreign key, or disable the trigger or rule: ringshard doctor lists them; then run this again, or \
             ringshard rebalance cancel to go back",
        ),
        _ if is_row_security(db) => error(Kind::Permission).hint(
            "row-level security hides rows from this role, which must read all: ringshard doctor names the role, and \
             what to run",
        ),
        &(SqlState::DISK_FULL | SqlState::OUT_OF_MEMORY) => {
            error(Kind::Failed).hint("free disk space or memory on that server")
        }
        _ => error(Kind::Failed),
    }
}

/// Whether a missing table is neither one of the catalog nor `users`, which init-shards makes.
fn is_of_application(db: &DbError) -> bool {
    !["\"ringshard.", "\"public.users\"", "\"users\"", " public.users "]
        .iter()
        .any(|own| db.message().contains(own))
}

/// Whether the server refused a query because it would not return rows that a policy hides.
fn is_row_security(db: &DbError) -> bool {
    db.code() == &SqlState::INSUFFICIENT_PRIVILEGE && db.routine() == Some("check_enable_rls")
}

fn is_uninitialised(code: &SqlState) -> bool {
    [&SqlState::INVALID_SCHEMA_NAME, &SqlState::UNDEFINED_TABLE, &SqlState::UNDEFINED_FUNCTION]
        .contains(&code)
}

/// Whether a statement failed in a way in which it fails on a catalog of another version.
pub(crate) fn is_of_another_version(cause: &postgres::Error) -> bool {
    cause.code().is_some_and(|code| {
        [&SqlState::UNDEFINED_TABLE, &SqlState::UNDEFINED_COLUMN, &SqlState::UNDEFINED_FUNCTION]
            .contains(&code)
    })
}

/// Whether the connection was lost, so that the outcome of the statement is unknown.
pub(crate) fn is_lost(cause: &postgres::Error) -> bool {
    match cause.code() {
        // The last two end sessions that were idle for too long.
        Some(code) => {
            [&SqlState::ADMIN_SHUTDOWN, &SqlState::CRASH_SHUTDOWN].contains(&code)
                || ["57P05", "25P03"].contains(&code.code())
                // Connection exceptions: what a pooler says when it has lost the server.
                || code.code().starts_with("08")
        }
        None => {
            cause.is_closed()
                || cause.source().is_some_and(|source| source.downcast_ref::<std::io::Error>().is_some())
        }
    }
}

/// Whether the same transaction may succeed on a retry.
pub(crate) fn is_worth_repeating(cause: &postgres::Error) -> bool {
    cause.code().is_some_and(|code| {
        // Through a pooler another program may have left a statement of that name behind; the next name is another one.
        [
            &SqlState::T_R_SERIALIZATION_FAILURE,
            &SqlState::T_R_DEADLOCK_DETECTED,
            &SqlState::DUPLICATE_PSTATEMENT,
        ]
        .contains(&code)
    })
}

/// Whether a statement failed because of the rows that it stores: a constraint, a value, a trigger that raises an error.
pub(crate) fn is_refusal(cause: &postgres::Error) -> bool {
    cause.code().is_some_and(|code| {
        let class = &code.code()[..2];
        // RS007: a trigger or a rule of the user's own leaves the row out.
        code.code() == "RS007" || (!NOT_ABOUT_ROWS.contains(&class) && !["XX", "RS"].contains(&class))
    })
}

/// The server's message with DETAIL and HINT, or the whole chain of causes: the crate's `Display` is only "db error".
pub(crate) fn message_of(cause: &postgres::Error) -> String {
    if let Some(db) = cause.as_db_error() {
        return server_message(db);
    }
    let mut message = cause.to_string();
    let mut next = cause.source();
    while let Some(source) = next {
        let text = source.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        next = source.source();
    }
    message
}

fn server_message(db: &DbError) -> String {
    let mut message = format!("{}: {}", db.severity(), db.message());
    if let Some(detail) = db.detail() {
        message = format!("{message}\nDETAIL: {detail}");
    }
    if let Some(hint) = db.hint() {
        message = format!("{message}\nHINT: {hint}");
    }
    format!("{message} (SQLSTATE {})", db.code().code())
}
