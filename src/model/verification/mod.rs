//! Verification: checks whether the states of the shards are consistent, and whether a row is on its owner.
//!
//! The states are read at nearly the same time, not at one instant. During a change they may contradict each other although
//! nothing is wrong: the caller reads them again, and a [`RingFault`] counts only if it stays. Pure: this module holds no
//! connection and no row.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::names::ShardName;
use super::rebalance::{Change, Damage, ShardState, Situation, situation};
use super::ring::Ring;
use super::ring::arc::{Arc, merged, without};
use super::ring::coverage::Coverage;
use super::ring::position::Position;
use super::ring::topology::Topology;

/// A contradiction between the states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RingFault {
    /// The primary of a shard was promoted without these hand-overs.
    Lost {
        /// The shard.
        shard: ShardName,
        /// The hand-overs, as text.
        missing: Vec<String>,
    },
    /// The epochs or topologies differ.
    States(Damage),
    /// No shard has an arc.
    Nobody(Arc),
    /// Two shards own an arc. States of different times during a change look the same, and are harmless: see
    /// [`RingFault::is_harmless`].
    Twice {
        /// The positions.
        arc: Arc,
        /// The two shards.
        owners: [ShardName; 2],
    },
    /// A shard does not own an arc that is its own on the ring.
    Lacks {
        /// The shard.
        shard: ShardName,
        /// The positions.
        arc: Arc,
    },
    /// A shard owns an arc that belongs to another on the ring.
    Foreign {
        /// The shard.
        shard: ShardName,
        /// The positions.
        arc: Arc,
        /// The owner on the ring.
        owner: ShardName,
    },
    /// A shard has a fenced arc although no change is under way.
    Fenced {
        /// The shard.
        shard: ShardName,
        /// The positions.
        arc: Arc,
    },
}

impl RingFault {
    /// Whether rows can be checked in spite of it if it does not stay: of two owners the later one serves.
    pub fn is_harmless(&self) -> bool {
        matches!(self, Self::Twice { .. })
    }
}

impl fmt::Display for RingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { shard, missing } => {
                write!(f, "the primary of shard `{shard}` was promoted without hand-overs:")?;
                missing.iter().try_for_each(|missing| write!(f, "\n  {missing}"))
            }
            Self::States(damage) => damage.fmt(f),
            Self::Nobody(arc) => write!(f, "no shard has the arc {arc}"),
            Self::Twice { arc, owners: [one, other] } => {
                write!(f, "shards `{one}` and `{other}` both own the arc {arc}")
            }
            Self::Lacks { shard, arc } => {
                write!(f, "shard `{shard}` lacks the arc {arc}, which it owns on the ring")
            }
            Self::Foreign { shard, arc, owner } => {
                write!(f, "shard `{shard}` owns the arc {arc}, whose owner on the ring is `{owner}`")
            }
            Self::Fenced { shard, arc } => {
                write!(f, "shard `{shard}` has fenced the arc {arc}, but no change of the ring is under way")
            }
        }
    }
}

/// The result of a verification of the ring.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// The contradictions; empty if there are none.
    pub faults: Vec<RingFault>,
    /// Whether a change of the ring is under way.
    pub is_changing: bool,
    /// Which shard serves each position.
    pub coverage: Coverage,
}

/// Verifies the states of all shards.
///
/// Without a change each shard must own exactly its arcs of the ring. During a change a shard must have each position, no arc
/// may have two owners, and an owner must be one on the old or on the new ring.
pub fn judge(states: &BTreeMap<ShardName, ShardState>) -> Findings {
    let held = states.iter().map(|(shard, state)| (shard.clone(), state.arcs.clone())).collect();
    let coverage = Coverage::of(&held);
    let is_changing = states.values().any(|state| state.ring.change.is_some());
    let mut faults = Vec::new();
    match situation(states) {
        Ok(Situation::Idle { topology, .. }) => check_stable(states, &topology, &mut faults),
        Ok(Situation::Changing { topology, change, .. }) => {
            check_tiling(states, &coverage, &mut faults);
            check_change(states, &topology, &change, &mut faults);
        }
        Err(damage) => {
            faults.push(RingFault::States(damage));
            check_tiling(states, &coverage, &mut faults);
        }
    }
    Findings { faults, is_changing, coverage }
}

fn owned(state: &ShardState) -> Vec<Arc> {
    merged(state.arcs.iter().filter(|held| held.is_owned()).map(|held| held.arc))
}

/// Without a change: each shard must own exactly its arcs of the ring, and have no fenced one.
fn check_stable(states: &BTreeMap<ShardName, ShardState>, topology: &Topology, faults: &mut Vec<RingFault>) {
    let ring = topology.ring();
    let mut by_shard = ring.arcs_by_shard();
    let names: BTreeSet<&ShardName> = topology.names().chain(states.keys()).collect();
    for shard in names {
        let expected_arcs = by_shard.remove(shard).unwrap_or_default();
        let owns = states.get(shard).map(owned).unwrap_or_default();
        let lacks = without(&expected_arcs, &owns);
        faults.extend(lacks.into_iter().map(|arc| RingFault::Lacks { shard: shard.clone(), arc }));
        foreign(shard, &without(&owns, &expected_arcs), &ring, faults);
        let fenced =
            states.get(shard).into_iter().flat_map(|state| &state.arcs).filter(|held| !held.is_owned());
        faults.extend(fenced.map(|held| RingFault::Fenced { shard: shard.clone(), arc: held.arc }));
    }
}

/// During a change: an owner must be one on the old or on the new ring.
fn check_change(
    states: &BTreeMap<ShardName, ShardState>,
    topology: &Topology,
    change: &Change,
    faults: &mut Vec<RingFault>,
) {
    let (old, new) = (topology.ring(), change.next_topology.ring());
    let (old_arcs, new_arcs) = (old.arcs_by_shard(), new.arcs_by_shard());
    let of = |arcs: &BTreeMap<&ShardName, Vec<Arc>>, shard: &ShardName| {
        arcs.get(shard).cloned().unwrap_or_default()
    };
    for (shard, state) in states {
        // A change that cancels another one: the arcs that had moved are owned by the canceled ring, which is unknown here.
        if change.next_topology == *topology && change.participants.contains(shard) {
            continue;
        }
        let others = without(&without(&owned(state), &of(&old_arcs, shard)), &of(&new_arcs, shard));
        foreign(shard, &others, &new, faults);
    }
}

/// Faults for these arcs of a shard, with their owners on the ring.
fn foreign(shard: &ShardName, arcs: &[Arc], ring: &Ring, faults: &mut Vec<RingFault>) {
    if arcs.is_empty() {
        return;
    }
    let of_ring = ring.arcs();
    for arc in arcs {
        let from = of_ring.partition_point(|owned| owned.arc.last() < arc.first());
        for owned in of_ring[from..].iter().filter(|owned| owned.shard != shard) {
            let Some(arc) = owned.arc.intersection(*arc) else { break };
            faults.push(RingFault::Foreign { shard: shard.clone(), arc, owner: owned.shard.clone() });
        }
    }
}

/// Faults for arcs that no shard has, and that two shards own.
fn check_tiling(states: &BTreeMap<ShardName, ShardState>, coverage: &Coverage, faults: &mut Vec<RingFault>) {
    faults.extend(coverage.gaps().iter().map(|arc| RingFault::Nobody(*arc)));
    let arcs = states.iter().flat_map(|(shard, state)| owned(state).into_iter().map(move |arc| (arc, shard)));
    let mut arcs: Vec<(Arc, &ShardName)> = arcs.collect();
    arcs.sort_unstable();
    // The earlier arc that ends last.
    let mut before: Option<(Arc, &ShardName)> = None;
    for (arc, shard) in arcs {
        if let Some(((other, owner), common)) =
            before.and_then(|before| Some((before, before.0.intersection(arc)?)))
        {
            faults.push(RingFault::Twice { arc: common, owners: [owner.clone(), shard.clone()] });
            if other.last() >= arc.last() {
                continue;
            }
        }
        before = Some((arc, shard));
    }
}

/// The placement of a row on its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowPlacement {
    /// The shard serves it.
    Home,
    /// On an arc that this shard still has and another one serves, during a change.
    InFlight,
    /// On none of its arcs.
    Misplaced,
}

/// Classifies the rows of one shard.
#[derive(Debug, Clone)]
pub struct RowScanner {
    served: Vec<Arc>,
    in_flight: Vec<Arc>,
}

impl Findings {
    /// The scanner for the rows of a shard, in the snapshot of its state.
    pub fn scanner(&self, shard: &ShardName) -> RowScanner {
        let served = self.coverage.routes().iter().filter(|route| route.shard == *shard);
        RowScanner {
            served: merged(served.map(|route| route.arc)),
            // Without a change nothing is in flight.
            in_flight: if self.is_changing { self.coverage.left_out(shard).to_vec() } else { Vec::new() },
        }
    }
}

impl RowScanner {
    /// The placement of a row with this position.
    pub fn place(&self, position: Position) -> RowPlacement {
        let holds = |arcs: &[Arc]| {
            let at = arcs.partition_point(|arc| arc.last() < position);
            arcs.get(at).is_some_and(|arc| arc.first() <= position)
        };
        match () {
            () if holds(&self.served) => RowPlacement::Home,
            () if holds(&self.in_flight) => RowPlacement::InFlight,
            () => RowPlacement::Misplaced,
        }
    }
}

/// The earlier faults that are still there: a fault that another round does not show was none.
pub fn lasting(before: &[RingFault], now: &[RingFault]) -> Vec<RingFault> {
    before.iter().filter(|fault| now.contains(fault)).cloned().collect()
}

#[cfg(test)]
mod tests;
