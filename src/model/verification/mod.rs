//! Verification: whether what the shards say fits together, and whether a row lies where it is to lie.
//!
//! All shards are asked at nearly the same time, not at one instant. So while the ring changes their words may not
//! fit together though nothing is wrong: the caller asks again, and a [`RingFault`] is one only if it stays. This module
//! decides, and is pure: it holds no connection and no row.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::names::ShardName;
use super::rebalance::{Change, Damage, ShardState, Situation, situation};
use super::ring::Ring;
use super::ring::arc::{Arc, merged, without};
use super::ring::coverage::Coverage;
use super::ring::position::Position;
use super::ring::topology::Topology;

/// What does not fit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RingFault {
    /// Epochs or topologies.
    Words(Damage),
    /// Nobody holds an arc.
    Nobody(Arc),
    /// Two shards own an arc. A change that goes on between two answers looks like this, too, and does no harm:
    /// see [`RingFault::is_harmless`].
    Twice {
        /// The positions.
        arc: Arc,
        /// The two.
        owners: [ShardName; 2],
    },
    /// A shard does not own what the ring gives it.
    Lacks {
        /// The shard.
        shard: ShardName,
        /// The positions.
        arc: Arc,
    },
    /// A shard owns what the ring gives to another.
    Foreign {
        /// The shard.
        shard: ShardName,
        /// The positions.
        arc: Arc,
        /// Whom the ring gives them to.
        owner: ShardName,
    },
    /// A shard has let go of an arc, and nothing is under way.
    Fenced {
        /// The shard.
        shard: ShardName,
        /// The positions.
        arc: Arc,
    },
}

impl RingFault {
    /// Whether the rows can be judged in spite of it, if it does not stay: of two owners the later one serves.
    pub fn is_harmless(&self) -> bool {
        matches!(self, Self::Twice { .. })
    }
}

impl fmt::Display for RingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(damage) => damage.fmt(f),
            Self::Nobody(arc) => write!(f, "no shard holds the arc {arc}"),
            Self::Twice { arc, owners: [one, other] } => {
                write!(f, "shards `{one}` and `{other}` both own the arc {arc}")
            }
            Self::Lacks { shard, arc } => {
                write!(f, "shard `{shard}` lacks the arc {arc}, which the ring gives it")
            }
            Self::Foreign { shard, arc, owner } => {
                write!(f, "shard `{shard}` owns the arc {arc}, which the ring gives to `{owner}`")
            }
            Self::Fenced { shard, arc } => {
                write!(
                    f,
                    "shard `{shard}` has let go of the arc {arc}, and no change of the ring is under way"
                )
            }
        }
    }
}

/// What all words together come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// What does not fit together; nothing if all is well.
    pub faults: Vec<RingFault>,
    /// Whether a change of the ring is under way.
    pub is_changing: bool,
    /// Who serves which position.
    pub coverage: Coverage,
}

/// Decides what the words of all shards come to.
///
/// With nothing under way each shard owns just what the ring of the topology gives it. While a change is under way
/// each position is held, no arc has two owners, and an owner is one by the old ring or by the new one.
pub fn judge(words: &BTreeMap<ShardName, ShardState>) -> Findings {
    let held = words.iter().map(|(shard, state)| (shard.clone(), state.arcs.clone())).collect();
    let coverage = Coverage::of(&held);
    let is_changing = words.values().any(|word| word.ring.change.is_some());
    let mut faults = Vec::new();
    match situation(words) {
        Ok(Situation::Idle { topology, .. }) => not_of_the_ring(words, &topology, &mut faults),
        Ok(Situation::Changing { topology, change, .. }) => {
            uncovered(words, &coverage, &mut faults);
            of_neither_ring(words, &topology, &change, &mut faults);
        }
        Err(damage) => {
            faults.push(RingFault::Words(damage));
            uncovered(words, &coverage, &mut faults);
        }
    }
    Findings { faults, is_changing, coverage }
}

fn owned(word: &ShardState) -> Vec<Arc> {
    merged(word.arcs.iter().filter(|held| held.is_owned()).map(|held| held.arc))
}

/// What the ring gives to a shard.
fn given(ring: &Ring, shard: &ShardName) -> Vec<Arc> {
    ring.arcs().into_iter().filter(|owned| owned.shard == shard).map(|owned| owned.arc).collect()
}

/// Nothing is under way: each shard owns what the ring gives it, and nothing else, and has let go of nothing.
fn not_of_the_ring(
    words: &BTreeMap<ShardName, ShardState>,
    topology: &Topology,
    faults: &mut Vec<RingFault>,
) {
    let ring = topology.ring();
    let names: BTreeSet<&ShardName> = topology.names().chain(words.keys()).collect();
    for shard in names {
        let given = given(&ring, shard);
        let has = words.get(shard).map(owned).unwrap_or_default();
        let lacks = without(&given, &has);
        faults.extend(lacks.into_iter().map(|arc| RingFault::Lacks { shard: shard.clone(), arc }));
        foreign(shard, &without(&has, &given), &ring, faults);
        let fenced = words.get(shard).into_iter().flat_map(|word| &word.arcs).filter(|held| !held.is_owned());
        faults.extend(fenced.map(|held| RingFault::Fenced { shard: shard.clone(), arc: held.arc }));
    }
}

/// A change is under way: an owner is one by the old ring or by the new one.
fn of_neither_ring(
    words: &BTreeMap<ShardName, ShardState>,
    topology: &Topology,
    change: &Change,
    faults: &mut Vec<RingFault>,
) {
    let (old, new) = (topology.ring(), change.next_topology.ring());
    for (shard, word) in words {
        // A change that takes another one back: what had moved then is owned by a ring that nobody tells of any more.
        if change.next_topology == *topology && change.participants.contains(shard) {
            continue;
        }
        let rest = without(&without(&owned(word), &given(&old, shard)), &given(&new, shard));
        foreign(shard, &rest, &new, faults);
    }
}

/// These arcs of a shard, by whom the ring gives them to.
fn foreign(shard: &ShardName, arcs: &[Arc], ring: &Ring, faults: &mut Vec<RingFault>) {
    let of_ring = ring.arcs();
    for arc in arcs {
        let from = of_ring.partition_point(|owned| owned.arc.last() < arc.first());
        for owned in of_ring[from..].iter().filter(|owned| owned.shard != shard) {
            let Some(arc) = owned.arc.intersection(*arc) else { break };
            faults.push(RingFault::Foreign { shard: shard.clone(), arc, owner: owned.shard.clone() });
        }
    }
}

/// What nobody holds, and what two shards own.
fn uncovered(words: &BTreeMap<ShardName, ShardState>, coverage: &Coverage, faults: &mut Vec<RingFault>) {
    faults.extend(coverage.gaps().iter().map(|arc| RingFault::Nobody(*arc)));
    let arcs = words.iter().flat_map(|(shard, word)| owned(word).into_iter().map(move |arc| (arc, shard)));
    let mut arcs: Vec<(Arc, &ShardName)> = arcs.collect();
    arcs.sort_unstable();
    // The one of those before that reaches the furthest.
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

/// Where a row lies, seen from the shard that it lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowPlacement {
    /// Where it belongs.
    Home,
    /// On an arc that this shard still holds and that another one serves: on its way, or still to be forgotten.
    InFlight,
    /// Where it does not belong.
    Misplaced,
}

/// Tells the rows of one shard apart.
#[derive(Debug, Clone)]
pub struct RowScanner {
    served: Vec<Arc>,
    in_flight: Vec<Arc>,
}

impl Findings {
    /// The scanner for the rows of a shard, in the snapshot that its word is of.
    pub fn scanner(&self, shard: &ShardName) -> RowScanner {
        let served = self.coverage.routes().iter().filter(|route| route.shard == *shard);
        RowScanner {
            served: merged(served.map(|route| route.arc)),
            // With nothing under way nothing is in flight.
            in_flight: if self.is_changing { self.coverage.left_out(shard).to_vec() } else { Vec::new() },
        }
    }
}

impl RowScanner {
    /// Where a row lies whose user has this position.
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

/// What stays of what was said before: a fault that another look at all shards does not show was none.
pub fn still_there(before: &[RingFault], now: &[RingFault]) -> Vec<RingFault> {
    before.iter().filter(|fault| now.contains(fault)).cloned().collect()
}

#[cfg(test)]
mod tests;
