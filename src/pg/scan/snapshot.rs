//! One snapshot on every shard, checked to tile the ring: what scatter reads and imports begin with.
//!
//! The snapshots are opened at nearly the same time, not at one instant: what is written meanwhile may be in
//! one and not in another. But each user lies in exactly one of them, also while chunks move.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use postgres::types::Type;
use postgres::{Client, IsolationLevel, Row, Transaction};

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::ring::arc::Arc;
use crate::model::ring::arc::ShardArc;
use crate::model::ring::coverage::Coverage;
use crate::model::ring::position::Position;
use crate::model::ring::topology::Epoch;
use crate::pg::catalog;
use crate::pg::catalog::CATALOG_VERSION;
use crate::pg::cluster::Cluster;
use crate::pg::net::session::only;
use crate::pg::net::sqlstate;
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::pool::{PooledSession, Server};

/// How long snapshots are opened anew while a chunk is between two of them.
const GAP_PATIENCE: Duration = Duration::from_secs(3);
/// The pause before they are.
const GAP_PAUSE: Duration = Duration::from_millis(10);

/// What a shard said when its snapshot was taken.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) epoch: Epoch,
    pub(crate) arcs: Vec<ShardArc>,
}

/// What a snapshot's thread does with its transaction.
type Job = Box<dyn FnOnce(&mut Transaction<'_>) + Send>;

/// One shard's open snapshot. A thread holds its transaction and does the jobs that it is sent, in order;
/// dropped, the transaction ends behind the last of them.
pub(crate) struct ShardSnapshot {
    pub(crate) shard: ShardName,
    server: std::sync::Arc<Server>,
    jobs: Sender<Job>,
    /// Rows on these arcs are another shard's.
    without: Vec<Arc>,
}

impl ShardSnapshot {
    /// Sends a job. What comes of it goes through a channel of the job's own.
    pub(crate) fn run(&self, job: impl FnOnce(&mut Transaction<'_>) + Send + 'static) {
        // A thread that is gone drops the job, and the job's channel tells.
        let _ = self.jobs.send(Box::new(job));
    }

    /// Does something in the transaction and waits for it.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        what: &str,
        question: impl FnOnce(&mut Transaction<'_>) -> Result<T, postgres::Error> + Send + 'static,
    ) -> Result<T> {
        self.begin(question).wait(what, &self.shard)
    }

    /// Does something in the transaction; its answer is waited for later.
    pub(crate) fn begin<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Transaction<'_>) -> Result<T, postgres::Error> + Send + 'static,
    ) -> Pending<T> {
        let (sender, receiver) = sync_channel(1);
        self.run(move |transaction| drop(sender.send(question(transaction))));
        Pending(receiver)
    }

    /// A condition to add to a query on `users`: empty, unless rows of some arcs must be left out.
    pub(crate) fn without(&self) -> &'static str {
        if self.without.is_empty() { "" } else { include_str!("../../../sql/queries/without.sql") }
    }
}

/// An answer that is still to come.
pub(crate) struct Pending<T>(Receiver<Result<T, postgres::Error>>);

impl<T> Pending<T> {
    /// Waits for it. `what` was to be done.
    pub(crate) fn wait(self, what: &str, shard: &ShardName) -> Result<T> {
        self.answer().map_err(|cause| sqlstate::doing(what, shard, &cause))
    }

    /// Waits for it, in the server's own words.
    pub(crate) fn answer(self) -> Result<T, postgres::Error> {
        self.0.recv().expect("a part's thread does each job as long as the part is there")
    }
}

/// The thread of a part: begins the transaction, reads the arcs as the first thing in it, then does the jobs.
/// Whether the transaction ended as it should.
fn hold(
    client: &mut Client,
    opened: &SyncSender<Result<Vec<Row>, postgres::Error>>,
    jobs: &Receiver<Job>,
) -> bool {
    let begun =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start();
    let mut transaction = match begun {
        Ok(transaction) => transaction,
        Err(cause) => {
            let _ = opened.send(Err(cause));
            return false;
        }
    };
    let _ = opened.send(transaction.query_typed(include_str!("../../../sql/queries/snapshot.sql"), &[]));
    while let Ok(job) = jobs.recv() {
        job(&mut transaction);
    }
    transaction.rollback().is_ok()
}

/// An open snapshot on each shard.
pub(crate) struct Snapshot {
    pub(crate) parts: Vec<ShardSnapshot>,
    pub(crate) coverage: Coverage,
    /// What did not answer, where that is allowed.
    pub(crate) missing: Missing,
}

/// Shards that did not answer, and why.
pub type Down = Vec<(ShardName, Error)>;

/// What an answer lacks.
#[derive(Debug, Default)]
pub struct Missing {
    /// Shards that did not answer.
    pub shards: Down,
    /// Arcs that no shard that answered holds, and that are not known to be one's that did not.
    pub gaps: Vec<Arc>,
}

impl Missing {
    /// Whether the answer is whole.
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty() && self.gaps.is_empty()
    }
}

/// Opens a snapshot on each shard until they tile the ring. A shard that cannot be reached is an error,
/// or missing if `allow_partial`.
pub(crate) fn open(cluster: &Cluster, intent: ReadIntent, allow_partial: bool) -> Result<Snapshot> {
    let begun = Instant::now();
    loop {
        let names = cluster.holding();
        let (opened, down) = match open_parts(cluster, intent, &names, allow_partial) {
            // Perhaps one that has left in the meantime.
            Err(error) if error.kind() == Kind::Unreachable && has_left(cluster, &names)? => continue,
            opened => opened?,
        };
        if has_old(cluster, &opened)? {
            continue;
        }
        let held = opened.iter().map(|(part, held)| (part.shard.clone(), held.arcs.clone())).collect();
        let coverage = Coverage::of(&held);
        let mut parts: Vec<ShardSnapshot> = opened.into_iter().map(|(part, _)| part).collect();
        let gaps = unexplained(cluster, coverage.gaps(), &down);
        let is_last = begun.elapsed() > GAP_PATIENCE;
        if gaps.is_empty() || (is_last && !down.is_empty()) {
            for part in &mut parts {
                part.leave_out(coverage.left_out(&part.shard))?;
            }
            return Ok(Snapshot { parts, coverage, missing: Missing { shards: down, gaps } });
        }
        if is_last {
            return Err(gap(&gaps));
        }
        drop(parts);
        log::debug!("The snapshots leave {} of the ring to nobody: opening them again", gaps.len());
        thread::sleep(GAP_PAUSE);
        // A shard that is not known here may have it.
        cluster.refresh()?;
    }
}

/// Whether one of these is what is left of a shard that is somewhere else by now.
fn has_old(cluster: &Cluster, opened: &[(ShardSnapshot, Held)]) -> Result<bool> {
    if opened.iter().any(|(part, held)| cluster.is_suspect(&part.server, held.epoch)) {
        // Not beside these: a pool may have no more than the one connection.
        return cluster.refresh().map(|_| true);
    }
    Ok(!opened.iter().all(|(part, _)| cluster.shards().is_current(&part.server)))
}

/// Asks anew who may hold users. Whether one of these does not any more.
fn has_left(cluster: &Cluster, names: &[ShardName]) -> Result<bool> {
    cluster.refresh()?;
    let holding = cluster.holding();
    Ok(names.iter().any(|name| !holding.contains(name)))
}

/// The parts of these gaps that the ring gives to shards that are not down.
fn unexplained(cluster: &Cluster, gaps: &[Arc], down: &[(ShardName, Error)]) -> Vec<Arc> {
    if gaps.is_empty() || down.is_empty() {
        return gaps.to_vec();
    }
    let view = cluster.view();
    let up = view.ring.arcs().into_iter().filter(|owned| down.iter().all(|(shard, _)| shard != owned.shard));
    let up: Vec<Arc> = up.map(|owned| owned.arc).collect();
    gaps.iter().flat_map(|gap| up.iter().filter_map(|arc| gap.intersection(*arc))).collect()
}

/// Opens a snapshot on each of these shards at once. Those that are down, if that is allowed, are told apart.
pub(crate) fn open_parts(
    cluster: &Cluster,
    intent: ReadIntent,
    names: &[ShardName],
    allow_partial: bool,
) -> Result<(Vec<(ShardSnapshot, Held)>, Down)> {
    let (mut opened, mut missing) = (Vec::new(), Down::new());
    let open = |name: &ShardName, session| open_part(cluster, intent, name, session);
    for (shard, part) in cluster.shards().checkout_each_for(intent, names, open) {
        match part {
            Ok(part) => opened.push(part),
            Err(error) if allow_partial && error.kind() == Kind::Unreachable => {
                missing.push((shard, error));
            }
            Err(error) => return Err(error),
        }
    }
    if opened.is_empty() {
        let none = || Error::new(Kind::Configuration, "no shard is configured").hint("ringshard init-shards");
        return Err(missing.into_iter().next().map_or_else(none, |(_, error)| error));
    }
    Ok((opened, missing))
}

/// An idle connection may have died unnoticed: once more, then.
fn open_part(
    cluster: &Cluster,
    intent: ReadIntent,
    shard: &ShardName,
    session: PooledSession,
) -> Result<(ShardSnapshot, Held)> {
    let (part, rows) = match start(shard, session) {
        (_, Err(cause)) if sqlstate::is_lost(&cause) => {
            start(shard, cluster.shards().checkout_for(intent, shard)?)
        }
        result => result,
    };
    let rows = match rows {
        Ok(rows) => rows,
        Err(cause) => {
            drop(part);
            let mut session = cluster.shards().checkout_for(intent, shard)?;
            return Err(cluster.explain("read the arcs", shard, &mut session, &cause));
        }
    };
    let row = only(rows, "read the arcs", shard)?;
    cluster.check_row(shard, &row)?;
    let held = held_of(&row, shard)?;
    if row.get::<_, i32>("catalog_version") > CATALOG_VERSION || held.epoch > cluster.view().epoch {
        // The pool may have no more than the one connection.
        drop(part);
        let mut session = cluster.shards().checkout_for(intent, shard)?;
        let said = catalog::describe(&mut session, shard)?;
        cluster.learn(said)?;
        return open_part(cluster, intent, shard, session);
    }
    Ok((part, held))
}

fn start(shard: &ShardName, session: PooledSession) -> (ShardSnapshot, Result<Vec<Row>, postgres::Error>) {
    let (jobs, to_do) = channel();
    let (sender, opened) = sync_channel(1);
    let mut session = session;
    let server = std::sync::Arc::clone(session.server());
    thread::spawn(move || {
        if !hold(session.client(), &sender, &to_do) {
            session.spoil();
        }
    });
    let rows = opened.recv().expect("the thread sends one answer before all else");
    (ShardSnapshot { shard: shard.clone(), server, jobs, without: Vec::new() }, rows)
}

/// The columns of `sql/queries/snapshot.sql`.
pub(crate) fn held_of(row: &Row, shard: &ShardName) -> Result<Held> {
    Ok(Held { epoch: Epoch::new(row.get("epoch")), arcs: catalog::arcs_of(row, shard)? })
}

impl ShardSnapshot {
    /// From here on, [`ShardSnapshot::without`] leaves out the rows on these arcs.
    fn leave_out(&mut self, arcs: &[Arc]) -> Result<()> {
        if arcs.is_empty() {
            return Ok(());
        }
        let list = |of: fn(Arc) -> Position| {
            let hex: Vec<String> = arcs.iter().map(|arc| format!("{:032x}", of(*arc).number())).collect();
            hex.join(",")
        };
        let (firsts, lasts) = (list(Arc::first), list(Arc::last));
        let set = "SELECT pg_catalog.set_config('ringshard.without_first', $1, true), \
                   pg_catalog.set_config('ringshard.without_last', $2, true)";
        self.ask("leave out rows", move |transaction| {
            transaction.query_typed(set, &[(&firsts, Type::TEXT), (&lasts, Type::TEXT)])
        })?;
        self.without = arcs.to_vec();
        Ok(())
    }
}

fn gap(gaps: &[Arc]) -> Error {
    let share: f64 = gaps.iter().map(|arc| arc.share()).sum();
    let message = format!("no shard holds the arc {} ({:.2} % of the ring in all)", gaps[0], share * 100.0);
    Error::new(Kind::Failed, message)
        .hint("ringshard doctor tells which shard lacks it; is a shard missing from the configuration?")
}
