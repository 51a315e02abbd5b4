//! The errors with which a shard refuses a write.

use postgres::Error;
use postgres::error::DbError;

/// The server's refusal, which must be of the guard.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Error>, code: &str) -> DbError {
    let cause = result.unwrap_err();
    let db = cause.as_db_error().unwrap_or_else(|| panic!("{cause}")).clone();
    assert_eq!(db.code().code(), code, "{db}");
    db
}
