//! The run lock: a session lock on the arbiter, with a row that says who holds it.
//!
//! The protocol does not need it, as any number of movers may run. It exists so that a second user gets a message.

use postgres::types::Type;

use super::lock_holder;
use super::plan::Planned;
use super::run_state::{RebalanceOptions, RunState};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::arbiter;
use crate::model::rebalance::plan::Load;
use crate::pg::cluster::Cluster;
use crate::pg::net::advisory_lock::{self, RUN_LOCK};
use crate::pg::net::session::Parameter;
use crate::pg::net::sqlstate;
use crate::pg::requests::connection::Connection;

/// Fails with `Locked`, naming the process, if one carries out a change already.
pub fn require_no_mover(cluster: &Cluster, planned: &Planned) -> Result<()> {
    let first = arbiter(&planned.plan.before);
    let mut connection = Connection::open(cluster, first)?;
    if lock_holder::holder(&mut connection, RUN_LOCK).is_none() {
        return Ok(());
    }
    // It names the holder, or has just released it.
    let run_state = RunState::new(cluster, RebalanceOptions::default());
    let mut lock = RunLock::take(&run_state, first)?;
    advisory_lock::unlock(lock.connection.session(), RUN_LOCK);
    Ok(())
}

/// The held lock; dropping it closes the session and so releases the lock.
pub(crate) struct RunLock {
    connection: Connection,
    phase: String,
}

impl RunLock {
    /// Takes the lock. Fails with `Locked`, naming the holder, if another session has it.
    pub(crate) fn take(run_state: &RunState<'_>, arbiter: &ShardName) -> Result<Self> {
        let mut connection = Connection::open(run_state.cluster, arbiter)?;
        let fail = |cause| sqlstate::doing("take the run lock", arbiter, &cause);
        if advisory_lock::try_lock(connection.session(), RUN_LOCK).map_err(fail)? {
            return Ok(Self { connection, phase: String::new() });
        }
        let holder =
            lock_holder::holder(&mut connection, RUN_LOCK).unwrap_or_else(|| "another session".into());
        let runner = "SELECT runner FROM ringshard.rebalance_run";
        let runner =
            connection.session().query(runner, &[]).ok().and_then(|rows| rows.first().map(|row| row.get(0)));
        let runner: String = runner.unwrap_or_else(|| "an unknown process".into());
        let message =
            format!("{runner} is changing the ring: {holder} holds the run lock on shard `{arbiter}`");
        Err(Error::new(Kind::Locked, message)
            .hint(
                "ringshard rebalance status shows its progress; if that process is lost, end its session with \
                 pg_terminate_backend, which is always safe",
            )
            .on_shard(arbiter))
    }

    /// Records who runs, and how much is to move in total.
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

    /// Records the current phase.
    pub(crate) fn set_phase(&mut self, phase: &str) {
        if self.phase != phase {
            phase.clone_into(&mut self.phase);
            self.note(
                "UPDATE ringshard.rebalance_run SET phase = $1, since = pg_catalog.now()",
                &[(&phase, Type::TEXT)],
            );
        }
    }

    /// Writes a record for other processes; a failure is only logged.
    fn note(&mut self, sql: &'static str, parameters: &[Parameter<'_>]) {
        if let Err(cause) = self.connection.session().query(sql, parameters) {
            log::debug!(
                "Could not record the run on shard {}: {}",
                self.connection.shard(),
                sqlstate::message_of(&cause)
            );
        }
    }
}
