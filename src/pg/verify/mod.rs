//! Verification: checks that every row is on its owner and nowhere else, and repairs misplaced rows.
//!
//! It opens one snapshot on every shard, as scatter reads do. A row is checked against the arcs of its shard in that
//! snapshot, and against the arcs of all shards; `model/verification/` decides. If the states contradict each other, which
//! may be because the snapshots are of different times, the snapshots are opened again.

mod misplaced;
mod repair;

use crate::pg::scan::snapshot;
use std::collections::{BTreeMap, BTreeSet};
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
use crate::model::table::Tables;
use crate::model::verification::{Findings, RingFault, RowPlacement, RowScanner, judge, lasting};
use crate::pg::catalog::{self, quoted};
use crate::pg::cluster::Cluster;
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::net::session::only;
use crate::pg::net::sqlstate;
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::requests::confirm::lacking;
use crate::pg::scan::list::cut_off;
use crate::pg::scan::snapshot::{Held, ShardSnapshot};

pub use misplaced::RepairPlan;
pub use repair::{Repair, Repaired, begin_repair};

/// How many misplaced rows are examined one by one; normally there are none.
const EXAMINED_MAX: i64 = 1_000_000;
/// How long a fault must stay to count.
const FAULT_PATIENCE: Duration = Duration::from_secs(1);
/// How long the states may contradict each other, each time in another way.
const CONSISTENCY_PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two rounds.
const ROUND_PAUSE: Duration = Duration::from_millis(20);
/// How often progress is reported.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// The keys of misplaced rows, each with the sharded tables that have such rows, by their place in the topology.
pub(crate) type MisplacedKeys = BTreeMap<String, BTreeSet<usize>>;

/// The findings on one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardFindings {
    /// The number of its rows in all sharded tables.
    pub rows: u64,
    /// Rows in flight: on arcs that it still has and another shard serves, during a change.
    pub in_flight: u64,
    /// Misplaced rows.
    pub misplaced: u64,
    /// Misplaced rows whose key the owner has too, in the same table.
    pub duplicate: u64,
    /// Duplicates with other content than on the owner; `None` if contents were not compared.
    pub differing: Option<u64>,
    /// Rows that it owns and that are only on other shards.
    pub missing: u64,
}

/// The findings on all shards.
#[derive(Debug)]
pub struct Verified {
    /// The findings on each shard, sorted by name.
    pub tallies: BTreeMap<ShardName, ShardFindings>,
    /// Contradictions of epochs, topologies and arcs.
    pub faults: Vec<RingFault>,
    /// Whether a change is under way.
    pub is_changing: bool,
    /// Misplaced rows that were only counted, as there are too many.
    pub unexamined: u64,
    /// The misplaced rows that were examined, and their repair.
    pub plan: RepairPlan,
    /// The epoch and topology in force, by the newest state.
    in_force: (Epoch, Topology),
}

impl Verified {
    /// The sum over all shards.
    pub fn sum(&self, of: impl Fn(&ShardFindings) -> u64) -> u64 {
        self.tallies.values().map(of).sum()
    }

    /// What a row of the cluster's tables is called.
    pub fn noun(&self) -> &'static str {
        self.in_force.1.tables().noun()
    }

    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty() && self.sum(|tally| tally.misplaced) == 0
    }
}

/// The states of all shards, and the snapshots in which they were read.
struct ClusterSnapshot {
    parts: Vec<ShardSnapshot>,
    states: BTreeMap<ShardName, ShardState>,
    findings: Findings,
}

impl ClusterSnapshot {
    fn newest(&self) -> &ShardState {
        let newest = self.states.values().max_by_key(|state| (state.ring.epoch, state.ring.change.is_some()));
        newest.expect("open_parts gives a part or an error")
    }

    /// The tables of the topology in force.
    fn tables(&self) -> &Tables {
        self.newest().ring.topology.tables()
    }
}

/// The result of scanning one shard.
struct Scanned {
    rows: u64,
    in_flight: u64,
    misplaced: u64,
    /// How many of them are examined, and their keys.
    examined: u64,
    keys: MisplacedKeys,
}

/// What the threads of one verification share.
struct ScanShared {
    rows: AtomicU64,
    /// How many more misplaced rows may be examined.
    room: AtomicI64,
}

/// Checks each row of each shard. `deep`: compares the contents of duplicates. `progress` regularly gets the number of rows
/// read.
pub fn verify(cluster: &Cluster, deep: bool, progress: impl Fn(u64)) -> Result<Verified> {
    // A shard that has left the ring need not answer.
    cluster.refresh()?;
    let lost = lacking(cluster)?.into_iter().map(|(shard, missing)| RingFault::Lost {
        shard,
        missing: missing.iter().map(ToString::to_string).collect(),
    });
    let lost: Vec<RingFault> = lost.collect();
    let (observed, faults) = observe_until_consistent(cluster)?;
    let faults = lost.into_iter().chain(faults).collect();
    let shared = Arc::new(ScanShared { rows: AtomicU64::new(0), room: AtomicI64::new(EXAMINED_MAX) });
    let scanned = scan_all(&observed, &shared, progress)?;
    let mut tallies = BTreeMap::new();
    let mut misplaced_keys = BTreeMap::new();
    let mut all_examined = 0;
    for (shard, scanned) in scanned {
        let Scanned { rows, in_flight, misplaced, examined, keys } = scanned;
        all_examined += examined;
        let differing = deep.then_some(0);
        let tally = ShardFindings { rows, in_flight, misplaced, duplicate: 0, differing, missing: 0 };
        tallies.insert(shard.clone(), tally);
        misplaced_keys.insert(shard, keys);
    }
    let plan = misplaced::examine(&observed, misplaced_keys, deep, &mut tallies)?;
    let misplaced: u64 = tallies.values().map(|tally| tally.misplaced).sum();
    let newest = observed.newest();
    Ok(Verified {
        tallies,
        faults,
        is_changing: observed.findings.is_changing,
        unexamined: misplaced - all_examined,
        plan,
        in_force: (newest.ring.epoch, newest.ring.topology.clone()),
    })
}

/// Opens snapshots until the states of all shards are consistent, or until faults have stayed for long enough; returns the
/// faults that stayed.
fn observe_until_consistent(cluster: &Cluster) -> Result<(ClusterSnapshot, Vec<RingFault>)> {
    let begun = Instant::now();
    let mut suspects: Vec<RingFault> = Vec::new();
    let mut since = begun;
    let mut is_first = true;
    loop {
        let observed = observe(cluster)?;
        let faults = &observed.findings.faults;
        // A fault that another round does not show came from snapshots of different times.
        suspects = if is_first { faults.clone() } else { lasting(&suspects, faults) };
        if suspects.is_empty() {
            if faults.iter().all(RingFault::is_harmless) {
                return Ok((observed, Vec::new()));
            }
            (suspects, since) = (faults.clone(), Instant::now());
        }
        if since.elapsed() > FAULT_PATIENCE {
            return Ok((observed, suspects));
        }
        if begun.elapsed() > CONSISTENCY_PATIENCE {
            let message = format!("the ring keeps changing while its state is read: {}", suspects[0]);
            return Err(Error::new(Kind::Locked, message).hint("try again in a moment"));
        }
        log::debug!("{}: opening the snapshots again", suspects[0]);
        is_first = false;
        drop(observed);
        thread::sleep(ROUND_PAUSE);
    }
}

/// Reads the states of all shards, in a snapshot on each.
fn observe(cluster: &Cluster) -> Result<ClusterSnapshot> {
    loop {
        let mut names = cluster.belonging();
        names.extend(cluster.stale_primaries.read().iter().cloned());
        let (opened, _) = snapshot::open_parts(cluster, ReadIntent::Primary, &names, false)?;
        let description =
            opened.iter().map(|(part, held)| describe(part, held)).collect::<Result<Vec<_>>>()?;
        let (states, addresses): (Vec<ShardState>, Vec<BTreeMap<ShardName, String>>) =
            description.into_iter().unzip();
        if add_named_shards(cluster, &states, &addresses)? {
            continue;
        }
        let parts: Vec<ShardSnapshot> = opened.into_iter().map(|(part, _)| part).collect();
        let states: BTreeMap<ShardName, ShardState> =
            parts.iter().map(|part| part.shard.clone()).zip(states).collect();
        let findings = judge(&states);
        return Ok(ClusterSnapshot { parts, states, findings });
    }
}

/// Adds the shards that these states name and that were unknown; returns whether there were any.
fn add_named_shards(
    cluster: &Cluster,
    states: &[ShardState],
    addresses: &[BTreeMap<ShardName, String>],
) -> Result<bool> {
    let known = cluster.shards().names();
    let of_changes =
        states.iter().filter_map(|state| state.ring.change.as_ref()).flat_map(|change| &change.participants);
    let named = states.iter().flat_map(|state| state.ring.topology.names()).chain(of_changes);
    let mut added = false;
    for name in named.filter(|name| !known.contains(name)) {
        if let Some(url) = addresses.iter().find_map(|of| of.get(name)) {
            cluster.shards().add(name.clone(), &ConnectionString::new(url))?;
        }
        // An error if no catalog has its address.
        cluster.shards().address(name)?;
        added = true;
    }
    Ok(added)
}

/// The state of a shard in its snapshot, and the addresses that its catalog has.
fn describe(part: &ShardSnapshot, held: &Held) -> Result<(ShardState, BTreeMap<ShardName, String>)> {
    let what = "read the catalog";
    let rows = part.query(what, |transaction| {
        transaction.query_typed(include_str!("../../../sql/queries/membership.sql"), &[])
    })?;
    let description = catalog::read_description(&only(rows, what, &part.shard)?, &part.shard)?;
    let state = ShardState { ring: description.ring, arcs: held.arcs.clone() };
    Ok((state, description.endpoints.into_iter().map(|(name, endpoint)| (name, endpoint.url)).collect()))
}

/// Scans all shards in parallel, each on the thread of its snapshot.
fn scan_all(
    observed: &ClusterSnapshot,
    shared: &Arc<ScanShared>,
    progress: impl Fn(u64),
) -> Result<Vec<(ShardName, Scanned)>> {
    let (sender, receiver) = channel();
    for part in &observed.parts {
        let (sender, shared, shard) = (sender.clone(), Arc::clone(shared), part.shard.clone());
        let (scanner, is_pooled) = (observed.findings.scanner(&shard), part.is_pooled);
        let tables = observed.tables().clone();
        part.run(move |transaction| {
            let scanned = scan_rows(transaction, is_pooled, &tables, &scanner, &shared);
            drop(sender.send((shard, scanned)));
        });
    }
    drop(sender);
    let mut all = Vec::new();
    while all.len() < observed.parts.len() {
        match receiver.recv_timeout(REPORT_INTERVAL) {
            Ok((shard, scanned)) => {
                let scanned = scanned.map_err(|cause| sqlstate::doing("read the keys", &shard, &cause))?;
                all.push((shard, scanned));
            }
            Err(RecvTimeoutError::Timeout) => progress(shared.rows.load(Ordering::Relaxed)),
            Err(RecvTimeoutError::Disconnected) => return Err(cut_off(&observed.parts[0].shard)),
        }
    }
    Ok(all)
}

/// Reads the keys of all tables of one shard, and keeps the misplaced ones.
fn scan_rows(
    transaction: &mut Transaction<'_>,
    is_pooled: bool,
    tables: &Tables,
    scanner: &RowScanner,
    shared: &ScanShared,
) -> Result<Scanned, postgres::Error> {
    let mut scanned =
        Scanned { rows: 0, in_flight: 0, misplaced: 0, examined: 0, keys: MisplacedKeys::new() };
    for (at, (table, key)) in tables.sharded().enumerate() {
        let key = quoted(&key.column);
        snapshot::for_each_key(transaction, is_pooled, table.as_sql(), &key, |keys| {
            for key in keys {
                match scanner.place(Position::of_key(key)) {
                    RowPlacement::Home => {}
                    RowPlacement::InFlight => scanned.in_flight += 1,
                    RowPlacement::Misplaced => {
                        scanned.misplaced += 1;
                        if shared.room.fetch_sub(1, Ordering::Relaxed) > 0 {
                            scanned.examined += 1;
                            scanned.keys.entry((*key).to_owned()).or_default().insert(at);
                        }
                    }
                }
            }
            scanned.rows += keys.len() as u64;
            shared.rows.fetch_add(keys.len() as u64, Ordering::Relaxed);
        })?;
    }
    Ok(scanned)
}
