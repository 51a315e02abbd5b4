//! One snapshot on every shard, whose arcs tile the ring: the base of scatter reads and imports.
//!
//! The snapshots are opened at nearly the same time, not at one instant: a concurrent write may be in one and not in another.
//! But each user is in exactly one of them, even while chunks move.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use postgres::types::Type;
use postgres::{Client, IsolationLevel, Row, Transaction};
use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::ring::arc::{Arc, ShardArc, union, without};
use crate::model::ring::coverage::{Coverage, OwnedTwice};
use crate::model::ring::position::Position;
use crate::model::ring::topology::Epoch;
use crate::pg::catalog::{self, CATALOG_VERSION};
use crate::pg::cluster::Cluster;
use crate::pg::net::session::{only, prepare};
use crate::pg::net::sqlstate;
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::pool::{PooledSession, Server};
use crate::pg::requests::confirm::confirm;
use crate::threads;

/// How long to reopen the snapshots while there is a gap.
const GAP_PATIENCE: Duration = Duration::from_secs(3);
/// How often one reading confirms a new primary.
const CONFIRMATIONS_MAX: u32 = 20;
/// The pause before they are reopened.
const GAP_PAUSE: Duration = Duration::from_millis(10);

/// Makes rows that a policy hides an error. Without a pooler each session does so from its start.
const ALL_ROWS: &str = "SET LOCAL row_security = off";
/// How many keys one fetch returns.
const KEYS_PER_FETCH: i32 = 8_000;

/// Epoch and arcs of a shard in its snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) epoch: Epoch,
    pub(crate) arcs: Vec<ShardArc>,
    /// Whether it was compared with the other shards since its server became its primary.
    pub(crate) is_confirmed: bool,
    /// Arcs that it gave away, and whose rows it still has.
    pub(crate) left_behind: Vec<Arc>,
}

/// Work for the thread of a snapshot.
type Job = Box<dyn FnOnce(&mut Transaction<'_>) + Send>;

/// One shard's open snapshot. A thread holds its transaction and runs jobs in order. Dropping this ends the transaction after
/// the last job.
pub(crate) struct ShardSnapshot {
    pub(crate) shard: ShardName,
    server: std::sync::Arc<Server>,
    /// Whether a pooler is in between.
    pub(crate) is_pooled: bool,
    /// Set by work after which the session must not be used again.
    pub(crate) spoils: std::sync::Arc<AtomicBool>,
    jobs: Sender<Job>,
    /// Arcs that another shard serves.
    excluded: Vec<Arc>,
}

impl ShardSnapshot {
    /// Sends a job, which has its own channel for the result.
    pub(crate) fn run(&self, job: impl FnOnce(&mut Transaction<'_>) + Send + 'static) {
        // If the thread has ended, the job is dropped and its channel closed.
        let _ = self.jobs.send(Box::new(job));
    }

    /// Runs `work` in the transaction and waits for the result.
    pub(crate) fn query<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, postgres::Error> + Send + 'static,
    ) -> Result<T> {
        self.begin(work).wait(what, &self.shard)
    }

    /// Runs `work` in the transaction; the result is awaited later.
    pub(crate) fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, postgres::Error> + Send + 'static,
    ) -> Pending<T> {
        let (sender, receiver) = sync_channel(1);
        self.run(move |transaction| drop(sender.send(work(transaction))));
        Pending(receiver)
    }

    /// As [`ShardSnapshot::excluded`], for the sharding key of another table, such as `t."user_id"`.
    pub(crate) fn excluded_of(&self, key: &str) -> String {
        self.excluded().replace("users.user_id", key)
    }

    /// A condition for a query on `users` that excludes the rows of some arcs; empty if there are none.
    pub(crate) fn excluded(&self) -> &'static str {
        if self.excluded.is_empty() { "" } else { include_str!("../../../sql/queries/excluded_ranges.sql") }
    }
}

/// Reads the sharding keys of all rows of a table, as text: calls `each` with some at a time.
pub(crate) fn for_each_key(
    transaction: &mut Transaction<'_>,
    is_pooled: bool,
    table: &str,
    key: &str,
    mut each: impl FnMut(&[&str]),
) -> Result<(), postgres::Error> {
    let statement = prepare(transaction, is_pooled, &format!("SELECT {key}::text FROM {table}"), &[])?;
    let portal = transaction.bind(&statement, &[])?;
    loop {
        let rows = transaction.query_portal(&portal, KEYS_PER_FETCH)?;
        // A key is NOT NULL: `doctor` sees to it.
        let keys = rows.iter().filter_map(|row| row.try_get::<_, Option<&str>>(0).transpose());
        each(&keys.collect::<Result<Vec<_>, _>>()?);
        if rows.len() < usize::try_from(KEYS_PER_FETCH).unwrap_or(usize::MAX) {
            return Ok(());
        }
    }
}

/// A result that is still to come.
pub(crate) struct Pending<T>(Receiver<Result<T, postgres::Error>>);

impl<T> Pending<T> {
    /// Waits for the result. `what` completes "cannot …".
    pub(crate) fn wait(self, what: &str, shard: &ShardName) -> Result<T> {
        self.answer().map_err(|cause| sqlstate::doing(what, shard, &cause))
    }

    /// Waits for the result, with the server's error.
    pub(crate) fn answer(self) -> Result<T, postgres::Error> {
        self.0.recv().expect("the thread of a snapshot runs each job while the snapshot exists")
    }
}

/// The thread of a snapshot: begins the transaction, reads the arcs in its first statement, then runs the jobs. Returns
/// whether the transaction was ended.
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
    /// The shards and arcs that are missing, if that is allowed.
    pub(crate) missing: Missing,
}

/// Shards that did not answer, with the errors.
pub type Down = Vec<(ShardName, Error)>;

/// What a result lacks.
#[derive(Debug, Default)]
pub struct Missing {
    /// Shards that did not answer.
    pub shards: Down,
    /// Arcs that no answering shard has, and that the missing shards do not own by the ring.
    pub gaps: Vec<Arc>,
}

impl Missing {
    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.shards.is_empty() && self.gaps.is_empty()
    }
}

/// Opens a snapshot on each shard, until they tile the ring. A shard that cannot be reached is an error, or missing if
/// `allow_partial`.
pub(crate) fn open(cluster: &Cluster, intent: ReadIntent, allow_partial: bool) -> Result<Snapshot> {
    let begun = Instant::now();
    let mut twice_before: Option<Vec<OwnedTwice>> = None;
    let mut confirmed = 0;
    loop {
        let names = cluster.holding();
        let (opened, down) = match open_parts(cluster, intent, &names, allow_partial) {
            // The shard may have left the ring in the meantime.
            Err(error) if error.kind() == Kind::Unreachable && has_left(cluster, &names)? => continue,
            opened => opened?,
        };
        if let Some((part, _)) = opened.iter().find(|(_, held)| !held.is_confirmed) {
            let shard = part.shard.clone();
            // The URL may lead to another server by now.
            part.spoils.store(true, Ordering::Relaxed);
            // A pool may have only one connection.
            drop(opened);
            confirm(cluster, &shard)?;
            confirmed += 1;
            if confirmed > CONFIRMATIONS_MAX {
                return Err(unconfirmed(&shard));
            }
            continue;
        }
        if has_stale_primary(cluster, &opened)? {
            continue;
        }
        let arcs = opened.iter().map(|(part, held)| (part.shard.clone(), held.arcs.clone())).collect();
        let coverage = Coverage::of(&arcs);
        let (mut parts, held): (Vec<ShardSnapshot>, Vec<Held>) = opened.into_iter().unzip();
        let twice = owned_twice(&coverage, &parts);
        if let Some(earlier) = &twice_before
            && let Some(damage) = twice.iter().find(|now| now.lasts_since(earlier))
        {
            return Err(two_owners(damage));
        }
        // A second opening tells a move from damage.
        let is_certain = twice.is_empty() || twice_before.is_some();
        twice_before = Some(twice);
        let gaps = unexplained(cluster, coverage.gaps(), &down);
        let is_last = begun.elapsed() > GAP_PATIENCE;
        if is_certain && (gaps.is_empty() || (is_last && !down.is_empty())) {
            for (part, held) in parts.iter_mut().zip(&held) {
                // Rows that a purge left behind are on no arc of the shard.
                let own: Vec<Arc> = held.arcs.iter().map(|held| held.arc).collect();
                let left = without(&held.left_behind, &own);
                part.exclude(&union(coverage.left_out(&part.shard).iter().copied().chain(left)))?;
            }
            return Ok(Snapshot { parts, coverage, missing: Missing { shards: down, gaps } });
        }
        if is_last && !gaps.is_empty() {
            return Err(gap(&gaps));
        }
        drop(parts);
        log::debug!("The snapshots have {} gaps, or two owners: opening them again", gaps.len());
        thread::sleep(GAP_PAUSE);
        // An unknown shard may have the arc.
        cluster.refresh()?;
    }
}

/// Whether one of these servers is a stale primary.
fn has_stale_primary(cluster: &Cluster, opened: &[(ShardSnapshot, Held)]) -> Result<bool> {
    for (part, held) in opened {
        // The snapshots are opened again after this, as a pool may have only one connection.
        if cluster.examine(&part.server, held.epoch)? {
            return Ok(true);
        }
    }
    Ok(!opened.iter().all(|(part, _)| cluster.shards().is_current(&part.server)))
}

/// Refreshes; returns whether one of these shards has no users any more.
fn has_left(cluster: &Cluster, names: &[ShardName]) -> Result<bool> {
    cluster.refresh()?;
    let holding = cluster.holding();
    Ok(names.iter().any(|name| !holding.contains(name)))
}

/// The parts of these gaps that belong to shards that are not down, by the ring.
fn unexplained(cluster: &Cluster, gaps: &[Arc], down: &[(ShardName, Error)]) -> Vec<Arc> {
    if gaps.is_empty() || down.is_empty() {
        return gaps.to_vec();
    }
    let view = cluster.view();
    let up =
        view.ring().arcs().into_iter().filter(|owned| down.iter().all(|(shard, _)| shard != owned.shard));
    let up: Vec<Arc> = up.map(|owned| owned.arc).collect();
    gaps.iter().flat_map(|gap| up.iter().filter_map(|arc| gap.intersection(*arc))).collect()
}

/// Opens a snapshot on each of these shards in parallel. Returns unreachable shards separately, if that is allowed.
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

/// Opens one snapshot; retries once if the connection was lost, as an idle one may have died.
fn open_part(
    cluster: &Cluster,
    intent: ReadIntent,
    shard: &ShardName,
    session: PooledSession,
) -> Result<(ShardSnapshot, Held)> {
    let (part, rows) = match start(shard, session)? {
        (_, Err(cause)) if sqlstate::is_lost(&cause) => {
            start(shard, cluster.shards().checkout_for(intent, shard)?)?
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
    let part = ShardSnapshot { is_pooled: row.get("is_pooled"), ..part };
    if part.is_pooled {
        part.query("read the arcs", |transaction| transaction.batch_execute(ALL_ROWS))?;
    }
    if row.get::<_, i32>("catalog_version") != CATALOG_VERSION || held.epoch > cluster.view().epoch {
        // The pool may have only one connection.
        drop(part);
        let mut session = cluster.shards().checkout_for(intent, shard)?;
        let description = catalog::describe(&mut session, shard)?;
        cluster.learn(description)?;
        return open_part(cluster, intent, shard, session);
    }
    Ok((part, held))
}

/// A snapshot on a thread of its own, and the answer to its first statement.
fn start(
    shard: &ShardName,
    session: PooledSession,
) -> Result<(ShardSnapshot, Result<Vec<Row>, postgres::Error>)> {
    let (jobs, to_do) = channel();
    let (sender, opened) = sync_channel(1);
    let mut session = session;
    let server = std::sync::Arc::clone(session.server());
    let spoils = std::sync::Arc::<AtomicBool>::default();
    let is_spoiled = std::sync::Arc::clone(&spoils);
    threads::start(move || {
        if !hold(session.client(), &sender, &to_do) || is_spoiled.load(Ordering::Relaxed) {
            session.spoil();
        }
    })
    .map_err(|error| error.on_shard(shard))?;
    let rows = opened.recv().expect("the thread sends one result first");
    let shard = shard.clone();
    Ok((ShardSnapshot { shard, server, is_pooled: false, spoils, jobs, excluded: Vec::new() }, rows))
}

/// The columns of `sql/queries/snapshot.sql`.
pub(crate) fn held_of(row: &Row, shard: &ShardName) -> Result<Held> {
    let (firsts, lasts): (Vec<Uuid>, Vec<Uuid>) = (row.get("left_firsts"), row.get("left_lasts"));
    // A CHECK of the table ensures that they do not wrap.
    let left_behind = firsts.into_iter().zip(lasts).map(|(first, last)| Arc::new(first.into(), last.into()));
    Ok(Held {
        epoch: Epoch::new(row.get("epoch")),
        arcs: catalog::arcs_of(row, shard)?,
        is_confirmed: row.get("is_confirmed"),
        left_behind: left_behind.collect(),
    })
}

impl ShardSnapshot {
    /// Makes [`ShardSnapshot::excluded`] exclude the rows on these arcs.
    fn exclude(&mut self, arcs: &[Arc]) -> Result<()> {
        if arcs.is_empty() {
            return Ok(());
        }
        let list = |of: fn(Arc) -> Position| {
            let hex: Vec<String> = arcs.iter().map(|arc| format!("{:032x}", of(*arc).number())).collect();
            hex.join(",")
        };
        let (firsts, lasts) = (list(Arc::first), list(Arc::last));
        let set = "SELECT pg_catalog.set_config('ringshard.excluded_first', $1, true), \
                   pg_catalog.set_config('ringshard.excluded_last', $2, true)";
        self.query("exclude rows", move |transaction| {
            transaction.query_typed(set, &[(&firsts, Type::TEXT), (&lasts, Type::TEXT)])
        })?;
        self.excluded = arcs.to_vec();
        Ok(())
    }
}

/// The arcs that two primaries own. A replica may be behind.
fn owned_twice(coverage: &Coverage, parts: &[ShardSnapshot]) -> Vec<OwnedTwice> {
    let is_standby =
        |shard: &ShardName| parts.iter().any(|part| part.shard == *shard && part.server.is_standby());
    let twice = coverage.twice().iter();
    twice.filter(|twice| !twice.owners.iter().any(|(shard, _)| is_standby(shard))).cloned().collect()
}

fn unconfirmed(shard: &ShardName) -> Error {
    Error::new(Kind::Locked, format!("the primary of shard `{shard}` keeps changing"))
        .hint("ringshard shards shows the address of each shard; then run this again")
        .on_shard(shard)
}

fn two_owners(damage: &OwnedTwice) -> Error {
    let OwnedTwice { arc, owners: [(one, _), (other, _)] } = damage;
    Error::new(Kind::Failed, format!("shards `{one}` and `{other}` both own the arc {arc}"))
        .hint("ringshard doctor shows which of them is wrong, and what to do; then: ringshard verify")
}

fn gap(gaps: &[Arc]) -> Error {
    let share: f64 = gaps.iter().map(|arc| arc.share()).sum();
    let message = format!("no shard has the arc {} ({:.2} % of the ring in total)", gaps[0], share * 100.0);
    Error::new(Kind::Failed, message)
        .hint("ringshard doctor shows which shard lacks it, or whether the configuration lacks a shard")
}
