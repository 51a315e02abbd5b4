//! The keys of the advisory locks. Who holds which, and where: docs/internals/catalog.md.
//!
//! SQL files that name a key say which constant it is: `tests/repository.rs` compares them.

use postgres::types::Type;

use super::session::Session;

/// The writers' barrier.
pub(crate) const BARRIER: i64 = 7_283_001;
/// `init-shards`.
pub(crate) const INIT_SHARDS: i64 = 7_283_002;
/// An import, with a part of the file's key.
pub(crate) const IMPORT: i32 = 7_283_003;
/// A change of the ring, or a repair.
pub(crate) const RUN_LOCK: i64 = 7_283_004;
/// A closed database, with the hash of its name.
pub(crate) const DRILL: i32 = 7_283_005;
/// A block of reserved ids, with its number.
pub(crate) const RESERVED_IDS: i32 = 7_283_006;
/// A statement of a change of the schema that cannot run in a transaction.
pub(crate) const SCHEMA_CHANGE: i64 = 7_283_007;
/// The sequence of ids.
#[expect(dead_code, reason = "SQL alone takes it: sql/functions/ids.sql")]
pub(crate) const NEXT_ID: i64 = 7_283_008;
/// A transaction on several shards.
pub(crate) const ALL_SHARDS: i64 = 7_283_009;

/// Takes a lock of the session, unless another session holds it.
pub(crate) fn try_lock(session: &mut Session, key: i64) -> Result<bool, postgres::Error> {
    let rows = session.query("SELECT pg_catalog.pg_try_advisory_lock($1)", &[(&key, Type::INT8)])?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// The same for a lock with two keys, on any connection: through a pooler it is a lock of a transaction that is kept open.
pub(crate) fn try_lock_part(session: &mut Session, key: i32, part: i32) -> Result<bool, postgres::Error> {
    let sql = if session.has_own_backend()? {
        "SELECT pg_catalog.pg_try_advisory_lock($1, $2)"
    } else {
        if !session.is_in_transaction() {
            begin_to_hold(session)?;
        }
        "SELECT pg_catalog.pg_try_advisory_xact_lock($1, $2)"
    };
    let rows = session.query(sql, &[(&key, Type::INT4), (&part, Type::INT4)])?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Whether any session holds a lock with this first key.
pub(crate) fn is_any_part_locked(session: &mut Session, key: i32) -> Result<bool, postgres::Error> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted \
               AND classid::bigint = $1 AND database = (SELECT oid FROM pg_catalog.pg_database \
               WHERE datname = pg_catalog.current_database()))";
    let rows = session.query(sql, &[(&i64::from(key), Type::INT8)])?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Opens a transaction that stays open, to hold a lock on any connection: through a pooler a lock of the session would stay
/// behind in a backend that others use.
pub(crate) fn begin_to_hold(session: &mut Session) -> Result<(), postgres::Error> {
    session.spoil();
    session.set_in_transaction(true);
    session.client().batch_execute("BEGIN READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0")
}

/// Releases a lock of the session. If that fails, the connection is gone, and the lock with it.
pub(crate) fn unlock(session: &mut Session, key: i64) {
    let _ = session.query("SELECT pg_catalog.pg_advisory_unlock($1)", &[(&key, Type::INT8)]);
}
