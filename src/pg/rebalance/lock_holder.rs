//! Names the session that holds a lock for which a mover waits.

use postgres::types::Type;

use crate::pg::net::session::Parameter;
use crate::pg::requests::connection::Connection;

/// A description of the longest-running holder of an advisory lock, or of the session that blocks it; `None` if the lock is
/// free or the query fails.
pub(crate) fn holder(connection: &mut Connection, key: i64) -> Option<String> {
    let parameters: &[Parameter<'_>] = &[(&key, Type::INT8)];
    let rows =
        connection.session().query(include_str!("../../../sql/queries/lock_holder.sql"), parameters).ok()?;
    let row = rows.first()?;
    let (pid, name, role, address): (i32, &str, &str, &str) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    let (state, seconds): (&str, i64) = (row.get(4), row.get(5));
    Some(format!("session {pid} (`{name}` of `{role}` from {address}, {state} for {seconds} s)"))
}
