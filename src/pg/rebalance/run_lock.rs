//! Who carries out a change: a lock of the session on the first shard, and what it says there of itself.
//!
//! The protocol needs no lock: two movers at once do each other no harm. It is there so that a person who starts a
//! second one is told.

use postgres::types::Type;

use super::connection::Connection;
use super::lock_holder;
use super::run_state::RunState;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::plan::Load;
use crate::pg::net::session::Parameter;
use crate::pg::net::sqlstate;

/// The lock: a bigint's.
pub(crate) const RUNNER: i64 = 7_283_004;
const TRY: &str = "SELECT pg_catalog.pg_try_advisory_lock(7283004)";

/// The lock, for as long as it lives.
pub(crate) struct RunLock {
    link: Connection,
    phase: String,
}

impl RunLock {
    /// Takes it, or says who has it.
    pub(crate) fn take(run: &RunState<'_>, arbiter: &ShardName) -> Result<Self> {
        let mut link = Connection::open(run.cluster, arbiter)?;
        let rows = link
            .session()
            .query(TRY, &[])
            .map_err(|cause| sqlstate::doing("lock the changes of the ring", arbiter, &cause))?;
        if rows.first().is_some_and(|row| row.get(0)) {
            return Ok(Self { link, phase: String::new() });
        }
        let holder = lock_holder::holder(&mut link, RUNNER).unwrap_or_else(|| "another session".into());
        let runner = "SELECT runner FROM ringshard.rebalance_run";
        let runner =
            link.session().query(runner, &[]).ok().and_then(|rows| rows.first().map(|row| row.get(0)));
        let runner: String = runner.unwrap_or_else(|| "not known".into());
        let message = format!(
            "the ring is being changed already, by {runner}: {holder} holds the lock on shard `{arbiter}`"
        );
        Err(Error::new(Kind::Locked, message)
            .hint(
                "ringshard rebalance status shows how far it is; if it is gone or stopped, ending that session with \
                 pg_terminate_backend is safe at any time",
            )
            .on_shard(arbiter))
    }

    /// Says who runs, and how much there is to move in all.
    pub(crate) fn begin(&mut self, total: Load) {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let runner = format!("process {} on {host}", std::process::id());
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let parameters: &[Parameter<'_>] =
            &[(&runner, Type::TEXT), (&number(total.rows), Type::INT8), (&number(total.bytes), Type::INT8)];
        self.note(
            "INSERT INTO ringshard.rebalance_run (runner, phase, rows, bytes) VALUES ($1, 'looking', $2, $3) \
             ON CONFLICT (only_row) DO UPDATE SET runner = excluded.runner, begun = pg_catalog.now(), \
                 phase = excluded.phase, since = pg_catalog.now(), rows = excluded.rows, bytes = excluded.bytes",
            parameters,
        );
    }

    /// Says what is being done now.
    pub(crate) fn is_at(&mut self, phase: &str) {
        if self.phase != phase {
            phase.clone_into(&mut self.phase);
            self.note(
                "UPDATE ringshard.rebalance_run SET phase = $1, since = pg_catalog.now()",
                &[(&phase, Type::TEXT)],
            );
        }
    }

    /// For others to read: a failure does no harm.
    fn note(&mut self, sql: &'static str, parameters: &[Parameter<'_>]) {
        if let Err(cause) = self.link.session().query(sql, parameters) {
            log::debug!(
                "Did not note the run on shard {}: {}",
                self.link.shard(),
                sqlstate::words_of(&cause)
            );
        }
    }
}
