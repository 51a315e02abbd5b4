//! How a change stands, for any process to ask.

use super::blockers;
use super::link::Link;
use super::lock::RUNNER;
use super::plan::Planned;
use crate::error::Result;
use crate::model::moves::arbiter;
use crate::model::moves::plan::Load;
use crate::model::stats::Runner;
use crate::pg::cluster::Cluster;

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
