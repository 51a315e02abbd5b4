//! The index on the position: chunks are found by it. It makes writes dearer, so it is there only while rows move.

use std::time::Duration;

use postgres::CancelToken;
use postgres::error::SqlState;

use super::link::Link;
use crate::error::Result;
use crate::model::names::ShardName;
use crate::pg::failure;

/// Its name.
const NAME: &str = "ringshard_position";

/// Whether it is there, and whole.
fn is_valid(link: &mut Link) -> Result<Option<bool>, postgres::Error> {
    let sql = "SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass('public.ringshard_position')";
    Ok(link.session().query(sql, &[])?.first().map(|row| row.get(0)))
}

/// What ends a build that is under way.
pub(super) fn canceller(link: &mut Link) -> CancelToken {
    link.session().client().cancel_token()
}

/// Builds it, unless it is there. Writers go on meanwhile; a transaction that is open keeps it waiting.
pub(super) fn build(link: &mut Link, shard: &ShardName) -> Result<()> {
    let fail = |cause: postgres::Error| {
        let error = failure::doing("build the index on the position", shard, &cause);
        error.hint("ringshard rebalance begins again; a long transaction on that shard keeps it waiting")
    };
    match is_valid(link).map_err(fail)? {
        Some(true) => return Ok(()),
        // Of a build that was ended.
        Some(false) => drop_it(link, shard)?,
        None => {}
    }
    let sql = format!(
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS {NAME} ON public.users ((pg_catalog.md5(user_id::text)::uuid))"
    );
    link.session().client().batch_execute(&sql).map_err(fail)
}

/// Drops it, if it is there. Nobody is kept waiting; if others keep this one waiting for long, it stays.
pub(super) fn drop_it(link: &mut Link, shard: &ShardName) -> Result<()> {
    let fail = |cause: postgres::Error| failure::doing("drop the index on the position", shard, &cause);
    if is_valid(link).map_err(fail)?.is_none() {
        return Ok(());
    }
    let patience = Duration::from_secs(5).as_millis();
    let client = link.session().client();
    client.batch_execute(&format!("SET lock_timeout = {patience}")).map_err(fail)?;
    let dropped = client.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS public.{NAME}"));
    client.batch_execute("RESET lock_timeout").map_err(fail)?;
    match dropped {
        Err(cause) if cause.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            log::warn!("The index {NAME} of shard {shard} is in use and stays: the next rebalance drops it");
            Ok(())
        }
        dropped => dropped.map_err(fail),
    }
}
