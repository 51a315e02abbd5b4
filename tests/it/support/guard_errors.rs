//! The errors with which a shard refuses a write.

use postgres::Error;
use postgres::error::DbError;

/// The error of the server, which must have this SQLSTATE.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Error>, code: &str) -> DbError {
    let cause = result.unwrap_err();
    let db = cause.as_db_error().unwrap_or_else(|| panic!("{cause}")).clone();
    assert_eq!(db.code().code(), code, "{db}");
    db
}
