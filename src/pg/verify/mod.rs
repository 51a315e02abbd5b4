//! Verification: every row on exactly one shard, its owner; and what mends it.
//!
//! One snapshot on every shard, as for scatter reads; each row is judged by the arcs that its shard holds in that
//! snapshot, and by what all shards hold. `model/verification.rs` decides; this module asks, and repeats the
//! question as long as the words of shards that were asked at different instants do not fit together.

mod misplaced;
mod repair;

use crate::pg::scan::snapshot;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use postgres::Transaction;

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::ShardState;
use crate::model::ring::position::Position;
use crate::model::ring::topology::{Epoch, Topology};
use crate::model::user::UserId;
use crate::model::verification::{Findings, RingFault, RowPlacement, RowScanner, judge, still_there};
use crate::pg::catalog;
use crate::pg::cluster::Cluster;
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::net::session::only;
use crate::pg::net::sqlstate;
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::scan::list::cut_off;
use crate::pg::scan::snapshot::{Held, ShardSnapshot};

pub use misplaced::RepairPlan;
pub use repair::{Repair, Repaired, begin_repair};

/// How many rows that lie misplaced are looked at one by one; there should be none.
const STRAYS_MAX: i64 = 1_000_000;
/// How many ids are fetched at once.
const ROWS_PER_FETCH: i32 = 8_000;
/// How long the same fault must stay.
const FAULT_PATIENCE: Duration = Duration::from_secs(1);
/// How long the words of all shards may not fit together, each time for another reason.
const WORDS_PATIENCE: Duration = Duration::from_secs(10);
/// The pause before all shards are asked again.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// How often the caller hears how far it has come.
const TELL_INTERVAL: Duration = Duration::from_millis(100);

/// What was found on one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardFindings {
    /// All its rows.
    pub rows: u64,
    /// Those on arcs that it still holds and another shard serves, while a change is under way.
    pub in_flight: u64,
    /// Those that lie where they do not belong.
    pub misplaced: u64,
    /// Those of them whose user the owner has as well.
    pub duplicate: u64,
    /// Those of these that are not equal to the owner's; `None` if contents were not compared.
    pub differing: Option<u64>,
    /// Users that it should have and that lie only elsewhere.
    pub missing: u64,
}

/// What was found on all shards.
#[derive(Debug)]
pub struct Verified {
    /// Shard by shard, sorted.
    pub tallies: BTreeMap<ShardName, ShardFindings>,
    /// What does not fit together: epochs, topologies, arcs.
    pub faults: Vec<RingFault>,
    /// Whether a change of the ring is under way.
    pub is_changing: bool,
    /// Misplaced rows that were counted only, as there are too many.
    pub unexamined: u64,
    /// Each misplaced row that was looked at, and what is to be done with it.
    pub plan: RepairPlan,
    /// The epoch and topology in force, by the newest word.
    in_force: (Epoch, Topology),
}

impl Verified {
    /// A sum over all shards.
    pub fn sum(&self, of: impl Fn(&ShardFindings) -> u64) -> u64 {
        self.tallies.values().map(of).sum()
    }

    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty() && self.sum(|tally| tally.misplaced) == 0
    }
}

/// All shards' words, and the snapshots that they are of.
struct ClusterSnapshot {
    parts: Vec<ShardSnapshot>,
    words: BTreeMap<ShardName, ShardState>,
    findings: Findings,
}

/// What came of reading one shard.
struct Scanned {
    rows: u64,
    in_flight: u64,
    misplaced: u64,
    /// Of the misplaced rows, as many as there was room for.
    strays: Vec<UserId>,
}

/// What the threads of one verification share.
struct ScanShared {
    rows: AtomicU64,
    /// For how many more misplaced rows there is room.
    room: AtomicI64,
}

/// Looks at each row of each shard. `deep`: compares the contents of users that lie twice. `progress` hears
/// now and then how many rows were read.
pub fn verify(cluster: &Cluster, deep: bool, progress: impl Fn(u64)) -> Result<Verified> {
    // Who belongs to the ring: one that has left may be gone.
    cluster.refresh()?;
    let (look, faults) = look_until_consistent(cluster)?;
    let shared = Arc::new(ScanShared { rows: AtomicU64::new(0), room: AtomicI64::new(STRAYS_MAX) });
    let scanned = scan_all(&look, &shared, progress)?;
    let mut tallies = BTreeMap::new();
    let mut strays = BTreeMap::new();
    for (shard, scanned) in scanned {
        let Scanned { rows, in_flight, misplaced, strays: of_shard } = scanned;
        let differing = deep.then_some(0);
        let tally = ShardFindings { rows, in_flight, misplaced, duplicate: 0, differing, missing: 0 };
        tallies.insert(shard.clone(), tally);
        strays.insert(shard, of_shard);
    }
    let examined: usize = strays.values().map(Vec::len).sum();
    let plan = misplaced::examine(&look, strays, deep, &mut tallies)?;
    let misplaced: u64 = tallies.values().map(|tally| tally.misplaced).sum();
    let newest = look.words.values().max_by_key(|word| (word.ring.epoch, word.ring.change.is_some()));
    let newest = newest.expect("open_parts gives a part or an error");
    Ok(Verified {
        tallies,
        faults,
        is_changing: look.findings.is_changing,
        unexamined: misplaced - examined as u64,
        plan,
        in_force: (newest.ring.epoch, newest.ring.topology.clone()),
    })
}

/// Opens snapshots until what all shards say fits together, or until it is clear that it does not: the faults
/// that stayed.
fn look_until_consistent(cluster: &Cluster) -> Result<(ClusterSnapshot, Vec<RingFault>)> {
    let begun = Instant::now();
    let mut suspects: Vec<RingFault> = Vec::new();
    let mut since = begun;
    let mut is_first = true;
    loop {
        let look = look(cluster)?;
        let faults = &look.findings.faults;
        // What another look does not show was two instants of one change.
        suspects = if is_first { faults.clone() } else { still_there(&suspects, faults) };
        if suspects.is_empty() {
            if faults.iter().all(RingFault::is_harmless) {
                return Ok((look, Vec::new()));
            }
            (suspects, since) = (faults.clone(), Instant::now());
        }
        if since.elapsed() > FAULT_PATIENCE {
            return Ok((look, suspects));
        }
        if begun.elapsed() > WORDS_PATIENCE {
            let message = format!("the ring changes faster than all shards can be asked: {}", suspects[0]);
            return Err(Error::new(Kind::Locked, message).hint("try again in a moment"));
        }
        log::debug!("{}: asking all shards again", suspects[0]);
        is_first = false;
        drop(look);
        thread::sleep(LOOK_PAUSE);
    }
}

/// Asks all shards, in a snapshot on each.
fn look(cluster: &Cluster) -> Result<ClusterSnapshot> {
    loop {
        let mut names = cluster.belonging();
        names.extend(cluster.stale_primaries.read().iter().cloned());
        let (opened, _) = snapshot::open_parts(cluster, ReadIntent::Primary, &names, false)?;
        let said = opened.iter().map(|(part, held)| describe(part, held)).collect::<Result<Vec<_>>>()?;
        let (words, addresses): (Vec<ShardState>, Vec<BTreeMap<ShardName, String>>) =
            said.into_iter().unzip();
        if meet(cluster, &words, &addresses)? {
            continue;
        }
        let parts: Vec<ShardSnapshot> = opened.into_iter().map(|(part, _)| part).collect();
        let words: BTreeMap<ShardName, ShardState> =
            parts.iter().map(|part| part.shard.clone()).zip(words).collect();
        let findings = judge(&words);
        return Ok(ClusterSnapshot { parts, words, findings });
    }
}

/// Whether there are shards that these words name and that were not known; now they are.
fn meet(cluster: &Cluster, words: &[ShardState], addresses: &[BTreeMap<ShardName, String>]) -> Result<bool> {
    let known = cluster.shards().names();
    let of_changes =
        words.iter().filter_map(|word| word.ring.change.as_ref()).flat_map(|change| &change.participants);
    let named = words.iter().flat_map(|word| word.ring.topology.names()).chain(of_changes);
    let mut met = false;
    for name in named.filter(|name| !known.contains(name)) {
        if let Some(url) = addresses.iter().find_map(|of| of.get(name)) {
            cluster.shards().add(name.clone(), &ConnectionString::new(url))?;
        }
        // One that nobody has an address of is an error.
        cluster.shards().address(name)?;
        met = true;
    }
    Ok(met)
}

/// What a shard says in its snapshot, and how to reach others.
fn describe(part: &ShardSnapshot, held: &Held) -> Result<(ShardState, BTreeMap<ShardName, String>)> {
    let what = "read the catalog";
    let rows = part.ask(what, |transaction| {
        transaction.query_typed(include_str!("../../../sql/queries/membership.sql"), &[])
    })?;
    let said = catalog::description(&only(rows, what, &part.shard)?, &part.shard)?;
    let word = ShardState { ring: said.ring, arcs: held.arcs.clone() };
    Ok((word, said.endpoints.into_iter().map(|(name, place)| (name, place.url)).collect()))
}

/// Reads the ids of all shards at once, each on its part's thread.
fn scan_all(
    look: &ClusterSnapshot,
    shared: &Arc<ScanShared>,
    progress: impl Fn(u64),
) -> Result<Vec<(ShardName, Scanned)>> {
    let (sender, receiver) = channel();
    for part in &look.parts {
        let (sender, shared, shard) = (sender.clone(), Arc::clone(shared), part.shard.clone());
        let scanner = look.findings.scanner(&shard);
        part.run(move |transaction| {
            let scanned = scan_rows(transaction, &scanner, &shared);
            drop(sender.send((shard, scanned)));
        });
    }
    drop(sender);
    let mut all = Vec::new();
    while all.len() < look.parts.len() {
        match receiver.recv_timeout(TELL_INTERVAL) {
            Ok((shard, scanned)) => {
                let scanned =
                    scanned.map_err(|cause| sqlstate::doing("read the ids of users", &shard, &cause))?;
                all.push((shard, scanned));
            }
            Err(RecvTimeoutError::Timeout) => progress(shared.rows.load(Ordering::Relaxed)),
            Err(RecvTimeoutError::Disconnected) => return Err(cut_off(&look.parts[0].shard)),
        }
    }
    Ok(all)
}

/// Reads the ids of one shard, and keeps those that lie misplaced.
fn scan_rows(
    transaction: &mut Transaction<'_>,
    scanner: &RowScanner,
    shared: &ScanShared,
) -> Result<Scanned, postgres::Error> {
    let mut scanned = Scanned { rows: 0, in_flight: 0, misplaced: 0, strays: Vec::new() };
    let statement = transaction.prepare("SELECT user_id FROM public.users")?;
    let portal = transaction.bind(&statement, &[])?;
    loop {
        let rows = transaction.query_portal(&portal, ROWS_PER_FETCH)?;
        for row in &rows {
            let id = UserId::new(row.try_get(0)?);
            match scanner.place(Position::of_user(id)) {
                RowPlacement::Home => {}
                RowPlacement::InFlight => scanned.in_flight += 1,
                RowPlacement::Misplaced => {
                    scanned.misplaced += 1;
                    if shared.room.fetch_sub(1, Ordering::Relaxed) > 0 {
                        scanned.strays.push(id);
                    }
                }
            }
        }
        scanned.rows += rows.len() as u64;
        shared.rows.fetch_add(rows.len() as u64, Ordering::Relaxed);
        if rows.len() < usize::try_from(ROWS_PER_FETCH).unwrap_or(usize::MAX) {
            return Ok(scanned);
        }
    }
}
