//! How a change stands, for any process to ask.

use super::blockers;
use super::link::Link;
use super::lock::RUNNER;
use super::plan::Planned;
use crate::error::Result;
use crate::model::moves::arbiter;
use crate::model::moves::plan::Load;
use crate::pg::cluster::Cluster;

/// Who carries a change out, or was the last to do so, by what it wrote down.
#[derive(Debug, Clone)]
pub struct Runner {
    /// Its process and machine.
    pub name: String,
    /// Whether it is still there.
    pub is_at_work: bool,
    /// What it is at, or was at last.
    pub phase: String,
    /// For how long, in seconds.
    pub phase_seconds: i64,
    /// How long ago it began, in seconds.
    pub seconds: i64,
    /// What the whole change moves, by its plan.
    pub total: Load,
}

/// How a change stands.
#[derive(Debug, Clone)]
pub struct Status {
    /// The change; nothing if none is under way or wished for.
    pub planned: Option<Planned>,
    /// Who carries it out; nothing if nobody ever did.
    pub runner: Option<Runner>,
}

impl Cluster {
    /// Asks all shards how a change stands.
    pub fn status(&self) -> Result<Status> {
        // Who is at work knows how much there is: then nothing is counted.
        let mut planned = self.plan(false)?;
        let topology =
            planned.as_ref().map_or_else(|| self.view().topology.clone(), |p| p.plan.before.clone());
        let mut link = Link::open(self, arbiter(&topology))?;
        let is_at_work = blockers::holder(&mut link, RUNNER).is_some();
        if !is_at_work && planned.is_some() {
            planned = self.plan(true)?;
        }
        let sql = "SELECT runner, phase, EXTRACT(epoch FROM pg_catalog.clock_timestamp() - since)::bigint, \
                          EXTRACT(epoch FROM pg_catalog.clock_timestamp() - begun)::bigint, rows, bytes \
                   FROM ringshard.run";
        let fail = |cause| crate::pg::failure::doing("read who changes the ring", arbiter(&topology), &cause);
        let rows = link.session().query(sql, &[]).map_err(fail)?;
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        let runner = rows.first().map(|row| Runner {
            name: row.get(0),
            is_at_work,
            phase: row.get(1),
            phase_seconds: row.get(2),
            seconds: row.get(3),
            total: Load { rows: count(row.get(4)), bytes: count(row.get(5)) },
        });
        Ok(Status { planned, runner })
    }
}
