//! One snapshot on every shard, checked to tile the ring: what scatter reads and imports begin with.
//!
//! The snapshots are opened at nearly the same time, not at one instant: what is written meanwhile may be in
//! one and not in another. But each user lies in exactly one of them, also while chunks move.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use postgres::types::Type;
use postgres::{Client, Row};

use super::catalog::{self, CATALOG_VERSION};
use super::cluster::Cluster;
use super::pool::Loan;
use super::session::only;
use super::uuid::Uuid;
use super::failure;
use crate::error::{Error, Kind, Result};
use crate::model::arc::Arc;
use crate::model::coverage::{Coverage, HeldArc};
use crate::model::names::ShardName;
use crate::model::topology::Epoch;

/// How long snapshots are opened anew while a chunk is between two of them.
const GAP_PATIENCE: Duration = Duration::from_secs(3);
/// The pause before they are.
const GAP_PAUSE: Duration = Duration::from_millis(10);

/// What a shard said when its snapshot was taken.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) epoch: Epoch,
    pub(super) arcs: Vec<HeldArc>,
}

/// The open transaction of one shard. Dropped before [`Part::finish`] it closes its connection: a result may
/// still be on its way there.
pub(super) struct Part {
    pub(super) shard: ShardName,
    loan: Loan,
    open: bool,
    /// Rows on these arcs are another shard's.
    without: Vec<Arc>,
}

impl Part {
    /// The connection, in its transaction.
    pub(super) fn client(&mut self) -> &mut Client {
        self.loan.client()
    }

    /// A condition to add to a query on `users`: empty, unless rows of some arcs must be left out.
    pub(super) fn without(&self) -> &'static str {
        if self.without.is_empty() { "" } else { include_str!("../../sql/without.sql") }
    }

    /// Ends the transaction and gives the connection back.
    pub(super) fn finish(mut self) {
        // A failure means that the connection is gone, and with it a transaction that only read.
        self.open = self.loan.client().batch_execute("COMMIT").is_err();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.open {
            self.loan.spoil();
        }
    }
}

/// An open snapshot on each shard.
pub(super) struct Snapshot {
    pub(super) parts: Vec<Part>,
    pub(super) coverage: Coverage,
    /// The shards that did not answer, where that is allowed.
    pub(super) missing: Missing,
}

/// Shards that a part of an answer lacks, and why.
pub type Missing = Vec<(ShardName, Error)>;

impl Cluster {
    /// Opens a snapshot on each shard until they tile the ring. A shard that cannot be reached is an error,
    /// or missing if `allow_partial`.
    pub(super) fn snapshot(&self, allow_partial: bool) -> Result<Snapshot> {
        let begun = Instant::now();
        loop {
            let mut parts = Vec::new();
            let mut held = BTreeMap::new();
            let mut missing = Missing::new();
            for (shard, opened) in self.shards().lend_each(&self.shards().names(), |name, loan| self.open_part(name, loan)) {
                match opened {
                    Ok((part, said)) => {
                        parts.push(part);
                        held.insert(shard, said.arcs);
                    }
                    Err(error) if allow_partial && error.kind() == Kind::Unreachable => missing.push((shard, error)),
                    Err(error) => return Err(error),
                }
            }
            if parts.is_empty() {
                return Err(missing.into_iter().next().map_or_else(no_shard, |(_, error)| error));
            }
            let coverage = Coverage::of(&held);
            if coverage.gaps().is_empty() || !missing.is_empty() {
                for part in &mut parts {
                    part.leave_out(coverage.left_out(&part.shard))?;
                }
                return Ok(Snapshot { parts, coverage, missing });
            }
            if begun.elapsed() > GAP_PATIENCE {
                return Err(gap(coverage.gaps()));
            }
            parts.into_iter().for_each(Part::finish);
            log::debug!("The snapshots leave {} of the ring to nobody: opening them again", coverage.gaps().len());
            thread::sleep(GAP_PAUSE);
            // A shard that is not known here may have it.
            self.refresh()?;
        }
    }

    /// Begins the transaction and reads the arcs in it. An idle connection may have died unnoticed: once more,
    /// then.
    pub(super) fn open_part(&self, shard: &ShardName, mut loan: Loan) -> Result<(Part, Held)> {
        let row = match read_arcs(&mut loan) {
            Err(cause) if failure::is_lost(&cause) => {
                loan.spoil();
                drop(loan);
                loan = self.shards().checkout(shard)?;
                read_arcs(&mut loan)
            }
            result => result,
        };
        let mut part = Part { shard: shard.clone(), loan, open: true, without: Vec::new() };
        let rows = row.map_err(|cause| failure::doing("read the arcs", shard, &cause))?;
        let row = only(rows, "read the arcs", shard)?;
        self.check_row(shard, &row)?;
        let held = held_of(&row);
        if row.get::<_, i32>("catalog_version") > CATALOG_VERSION || held.epoch > self.view().epoch {
            let said = catalog::describe(&mut part.loan, shard)?;
            self.learn(said)?;
        }
        Ok((part, held))
    }

    /// Refuses the answer of another shard's or cluster's database.
    pub(super) fn check_row(&self, shard: &ShardName, row: &Row) -> Result<()> {
        let address = self.shards().address(shard)?;
        catalog::check_identity(shard, &address, self.id().as_ref(), row.get("shard"), row.get("cluster"))
    }
}

fn read_arcs(loan: &mut Loan) -> Result<Vec<Row>, postgres::Error> {
    loan.client().batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    loan.query(include_str!("../../sql/snapshot.sql"), &[])
}

/// What `sql/snapshot.sql` says.
pub(super) fn held_of(row: &Row) -> Held {
    let (firsts, lasts): (Vec<Uuid>, Vec<Uuid>) = (row.get("firsts"), row.get("lasts"));
    let (states, epochs): (Vec<bool>, Vec<i64>) = (row.get("states"), row.get("epochs"));
    let arcs = firsts.into_iter().zip(lasts).zip(states.into_iter().zip(epochs));
    let arcs = arcs.map(|((first, last), (owned, epoch))| HeldArc {
        // The table's CHECK sees to it that an arc does not wrap.
        arc: Arc::new(first.position(), last.position()),
        epoch: Epoch::new(epoch),
        owned,
    });
    Held { epoch: Epoch::new(row.get("epoch")), arcs: arcs.collect() }
}

impl Part {
    /// From here on, [`Part::without`] leaves out the rows on these arcs.
    fn leave_out(&mut self, arcs: &[Arc]) -> Result<()> {
        if arcs.is_empty() {
            return Ok(());
        }
        let list = |of: fn(Arc) -> crate::model::position::Position| {
            let hex: Vec<String> = arcs.iter().map(|arc| format!("{:032x}", of(*arc).number())).collect();
            hex.join(",")
        };
        let (firsts, lasts) = (list(Arc::first), list(Arc::last));
        let set = "SELECT pg_catalog.set_config('ringshard.without_first', $1, true), \
                   pg_catalog.set_config('ringshard.without_last', $2, true)";
        self.loan
            .query(set, &[(&firsts, Type::TEXT), (&lasts, Type::TEXT)])
            .map_err(|cause| failure::doing("leave out rows", &self.shard, &cause))?;
        self.without = arcs.to_vec();
        Ok(())
    }
}

fn no_shard() -> Error {
    Error::new(Kind::Configuration, "no shard is configured").hint("ringshard init-shards")
}

fn gap(gaps: &[Arc]) -> Error {
    let share: f64 = gaps.iter().map(|arc| arc.share()).sum();
    let message = format!("no shard holds the arc {} ({:.2} % of the ring in all)", gaps[0], share * 100.0);
    Error::new(Kind::Failed, message).hint("ringshard doctor tells which shard lacks it; is a shard missing from the configuration?")
}
