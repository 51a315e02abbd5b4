//! Computes the next work of a mover from the states of all shards. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Announcement, Change, Condition, Request, ShardState, arbiter};
use crate::model::names::ShardName;
use crate::model::ring::Ring;
use crate::model::ring::arc::{Arc, ArcState, ShardArc, merged};
use crate::model::ring::topology::{Epoch, Topology};

/// The situation of a cluster, from the states of all its shards.
#[derive(Debug, Clone, PartialEq)]
pub enum Situation {
    /// No change is under way.
    Idle {
        /// The epoch of all shards.
        epoch: Epoch,
        /// The topology in force.
        topology: Topology,
        /// The desired topology, if it differs.
        desired_topology: Option<Topology>,
    },
    /// A change is under way.
    Changing {
        /// Its epoch.
        epoch: Epoch,
        /// The topology in force until it is finished.
        topology: Topology,
        /// The change.
        change: Change,
        /// Participants to which it was not announced yet.
        uninformed: Vec<ShardName>,
    },
}

impl Situation {
    /// The shards whose states are needed before anything can be decided.
    pub fn participants(&self) -> Vec<ShardName> {
        match self {
            Self::Idle { topology, desired_topology, .. } => {
                participants(topology, desired_topology.as_ref())
            }
            Self::Changing { change, .. } => change.participants.clone(),
        }
    }
}

fn participants(topology: &Topology, desired_topology: Option<&Topology>) -> Vec<ShardName> {
    let names: BTreeSet<&ShardName> =
        topology.names().chain(desired_topology.into_iter().flat_map(Topology::names)).collect();
    names.into_iter().cloned().collect()
}

/// The states of the shards contradict each other, and no mover can repair that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The shard that is wrong, if one can be named.
    pub shard: Option<ShardName>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

fn damage(shard: &ShardName, what: impl Into<String>) -> Damage {
    Damage { shard: Some(shard.clone()), what: what.into() }
}

/// Whether the mover completes or cancels a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Completes the change under way; if there is none, begins one to the desired topology.
    Forward,
    /// Cancels the change of this epoch.
    Back(Epoch),
}

/// A range that is to move from one shard to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The epoch of the change.
    pub epoch: Epoch,
    /// The shard that owns it.
    pub source: ShardName,
    /// The shard that is to own it.
    pub target: ShardName,
    /// The positions.
    pub range: Arc,
}

/// A chunk that a mover fenced and did not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The epoch of its fence.
    pub epoch: Epoch,
    /// The shard that has it fenced.
    pub source: ShardName,
    /// The shard that it is for.
    pub target: ShardName,
    /// The positions.
    pub chunk: Arc,
}

impl Leftover {
    /// The request to purge it, as its target has received it; decided in this epoch.
    pub fn purge<R>(&self, decided_in: Epoch) -> Request<R> {
        Request::Purge { epoch: self.epoch, chunk: self.chunk, target: self.target.clone(), decided_in }
    }

    /// The request to release it, as its target will never receive it; decided in this epoch.
    pub fn release<R>(&self, decided_in: Epoch) -> Request<R> {
        Request::Release { epoch: self.epoch, chunk: self.chunk, target: self.target.clone(), decided_in }
    }
}

/// The next work. The items of one value may be done in any order, or in parallel, unless it says otherwise; then the
/// states are read again.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Nothing: no change is under way, and none is desired.
    Nothing,
    /// Announce a change to these shards, in this order; the first refusal ends the round.
    Announce(Vec<(ShardName, Announcement)>),
    /// Settle the leftovers of earlier epochs, each with whether its target received it.
    Settle(Vec<(Leftover, bool)>),
    /// Complete fenced chunks.
    Resume(Vec<Leftover>),
    /// Move these ranges.
    Move(Vec<Transfer>),
    /// Everything has moved: finish the change on these shards, in this order. Safe while no arc of any shard changes, which
    /// [`Request::Finish`] compares.
    Finish(Vec<(ShardName, Epoch, Vec<ShardArc>, Vec<Arc>)>),
}

/// The situation of the cluster. `states` has the states that were read; if one of a participant is missing, the situation
/// names all participants, and the caller reads the missing ones. Fails if the states contradict each other.
pub fn situation(states: &BTreeMap<ShardName, ShardState>) -> Result<Situation, Damage> {
    let (newest, state) = states
        .iter()
        .max_by_key(|(_, state)| state.ring.pending_last())
        .ok_or_else(|| Damage { shard: None, what: "the state of no shard was read".into() })?;
    let epoch = state.ring.epoch;
    let Some(change) = &state.ring.change else {
        return idle(states, newest, state);
    };
    let mut uninformed = Vec::new();
    for (name, other) in states.iter().filter(|(name, _)| change.participants.contains(name)) {
        if other.ring.epoch < epoch {
            if other.ring.topology != state.ring.topology {
                return Err(damage(name, outdated(name, other.ring.epoch, epoch)));
            }
            uninformed.push(name.clone());
        } else if other.ring.change.as_ref().is_some_and(|other| other != change) {
            return Err(damage(
                name,
                format!("`{name}` and `{newest}` have different changes in epoch {epoch}"),
            ));
        }
    }
    Ok(Situation::Changing {
        epoch,
        topology: state.ring.topology.clone(),
        change: change.clone(),
        uninformed,
    })
}

fn idle(
    states: &BTreeMap<ShardName, ShardState>,
    newest: &ShardName,
    state: &ShardState,
) -> Result<Situation, Damage> {
    let topology = &state.ring.topology;
    for (name, other) in states.iter().filter(|(name, _)| topology.shard(name).is_some()) {
        if other.ring.epoch < state.ring.epoch {
            return Err(damage(name, outdated(name, other.ring.epoch, state.ring.epoch)));
        }
        if other.ring.topology != *topology {
            return Err(damage(
                name,
                format!("`{name}` and `{newest}` have different topologies in one epoch"),
            ));
        }
    }
    let desired_topology =
        states.get(arbiter(topology)).and_then(|state| state.ring.desired_topology.clone());
    Ok(Situation::Idle {
        epoch: state.ring.epoch,
        topology: topology.clone(),
        desired_topology: desired_topology.filter(|desired| desired != topology),
    })
}

fn outdated(name: &ShardName, at: Epoch, epoch: Epoch) -> String {
    format!(
        "`{name}` is at epoch {at}, but the cluster is at {epoch}: its database was restored from an old backup"
    )
}

/// The next work, from the states of all participants. Fails if the states contradict each other.
pub fn next_work(states: &BTreeMap<ShardName, ShardState>, direction: Direction) -> Result<Work, Damage> {
    match situation(states)? {
        Situation::Idle { desired_topology: None, .. } => Ok(Work::Nothing),
        Situation::Idle { .. } if direction != Direction::Forward => Ok(Work::Nothing),
        Situation::Idle { epoch, topology, desired_topology: Some(target) } => {
            let change =
                Change { participants: participants(&topology, Some(&target)), next_topology: target };
            Ok(announce(epoch.next(), &topology, &change, Condition::Desired, &change.participants))
        }
        // A change that the arbiter has finished cannot be canceled.
        Situation::Changing { epoch, topology, change, .. }
            if direction == Direction::Back(epoch)
                && !is_finished_at_the_arbiter(states, epoch, &topology) =>
        {
            let back = Change { next_topology: topology.clone(), participants: change.participants };
            Ok(announce(epoch.next(), &topology, &back, Condition::Canceling, &back.participants))
        }
        Situation::Changing { epoch, topology, change, uninformed } if !uninformed.is_empty() => {
            Ok(announce(epoch, &topology, &change, Condition::Decided, &uninformed))
        }
        Situation::Changing { epoch, topology, change, .. } => {
            work_of_a_change(states, epoch, &topology, &change)
        }
    }
}

/// The arbiter first: it decides between rival changes.
fn announce(
    epoch: Epoch,
    topology: &Topology,
    change: &Change,
    condition: Condition,
    uninformed: &[ShardName],
) -> Work {
    let first = arbiter(topology);
    let mut order: Vec<&ShardName> = uninformed.iter().collect();
    order.sort_by_key(|name| (*name != first, *name));
    let announcements = order.into_iter().map(|name| {
        let condition = if name == first { condition } else { Condition::Decided };
        let announcement =
            Announcement { epoch, topology: topology.clone(), change: change.clone(), condition };
        (name.clone(), announcement)
    });
    Work::Announce(announcements.collect())
}

fn work_of_a_change(
    states: &BTreeMap<ShardName, ShardState>,
    epoch: Epoch,
    topology: &Topology,
    change: &Change,
) -> Result<Work, Damage> {
    let participants: BTreeMap<&ShardName, &ShardState> =
        states.iter().filter(|(name, _)| change.participants.contains(name)).collect();
    let leftovers = leftovers(&participants);
    let (old, current): (Vec<Leftover>, Vec<Leftover>) =
        leftovers.into_iter().partition(|left| left.epoch < epoch);
    if !old.is_empty() {
        // This epoch was announced to all participants, so no mover of an earlier one can hand over a chunk any more.
        let taken = |left: &Leftover| {
            participants.get(&left.target).is_some_and(|state| has_taken(&state.arcs, left))
        };
        return Ok(Work::Settle(old.into_iter().map(|left| (left.clone(), taken(&left))).collect()));
    }
    if !current.is_empty() {
        return Ok(Work::Resume(current));
    }
    let ring = change.next_topology.ring();
    let mut pieces = Vec::new();
    for (name, state) in &participants {
        pieces.extend(pieces_of(name, state, &ring, epoch)?);
    }
    if !pieces.is_empty() {
        return Ok(Work::Move(pieces));
    }
    check_target(&participants, &ring)?;
    let mut pending: Vec<(&ShardName, &ShardState)> =
        participants.into_iter().filter(|(_, state)| state.ring.change.is_some()).collect();
    // The arbiter first: from then on the change cannot be canceled. Then the leaving shards, so that once a shard of the
    // new topology says `done`, they have finished too.
    let first = arbiter(topology);
    pending.sort_by_key(|(name, _)| (*name != first, change.next_topology.shard(name).is_some(), *name));
    let finish = pending.into_iter().map(|(name, state)| {
        let arcs = merged(state.arcs.iter().map(|shard_arc| shard_arc.arc));
        (name.clone(), epoch, state.arcs.clone(), arcs)
    });
    Ok(Work::Finish(finish.collect()))
}

fn is_finished_at_the_arbiter(
    states: &BTreeMap<ShardName, ShardState>,
    epoch: Epoch,
    topology: &Topology,
) -> bool {
    states
        .get(arbiter(topology))
        .is_some_and(|state| state.ring.epoch == epoch && state.ring.change.is_none())
}

fn leftovers(participants: &BTreeMap<&ShardName, &ShardState>) -> Vec<Leftover> {
    let mut leftovers = Vec::new();
    for (name, state) in participants {
        for shard_arc in &state.arcs {
            if let ArcState::Fenced(target) = &shard_arc.state {
                leftovers.push(Leftover {
                    epoch: shard_arc.epoch,
                    source: (*name).clone(),
                    target: target.clone(),
                    chunk: shard_arc.arc,
                });
            }
        }
    }
    leftovers
}

/// Whether `arcs`, all arcs of the target, show that it received the whole chunk: it owns it, or has fenced it again in a
/// later epoch, which happens if a crash undid the purge of the source.
fn has_taken(arcs: &[ShardArc], left: &Leftover) -> bool {
    let has = |shard_arc: &&ShardArc| shard_arc.state == ArcState::Owned || shard_arc.epoch > left.epoch;
    let taken = merged(arcs.iter().filter(has).map(|shard_arc| shard_arc.arc));
    taken.iter().any(|arc| arc.contains(left.chunk.first()) && arc.contains(left.chunk.last()))
}

/// All that is still to move in a change of this epoch to this topology: ranges that another shard is to own, and fenced
/// chunks.
pub fn pieces(
    states: &BTreeMap<ShardName, ShardState>,
    target: &Topology,
    epoch: Epoch,
) -> Result<Vec<Transfer>, Damage> {
    let ring = target.ring();
    let participants: BTreeMap<&ShardName, &ShardState> = states.iter().collect();
    let fenced = leftovers(&participants).into_iter().map(|left| Transfer {
        epoch,
        source: left.source,
        target: left.target,
        range: left.chunk,
    });
    let mut pieces: Vec<Transfer> = fenced.collect();
    for (name, state) in states {
        let mut owning = state.clone();
        owning.arcs.retain(|shard_arc| shard_arc.state == ArcState::Owned);
        pieces.extend(pieces_of(name, &owning, &ring, epoch)?);
    }
    Ok(pieces)
}

/// The ranges that a shard owns and another one is to own.
fn pieces_of(
    name: &ShardName,
    state: &ShardState,
    ring: &Ring,
    epoch: Epoch,
) -> Result<Vec<Transfer>, Damage> {
    let ring_arcs = ring.arcs();
    let mut pieces = Vec::new();
    for shard_arc in &state.arcs {
        let from = ring_arcs.partition_point(|owned| owned.arc.last() < shard_arc.arc.first());
        for owned in ring_arcs[from..].iter().take_while(|owned| owned.arc.first() <= shard_arc.arc.last()) {
            if owned.shard == name {
                continue;
            }
            // An arc moves at most once an epoch, so an arc received in this epoch must be on its new owner.
            if shard_arc.epoch >= epoch {
                let what = format!(
                    "`{name}` received {} in epoch {epoch}, but its owner on the ring is `{}`",
                    shard_arc.arc, owned.shard
                );
                return Err(damage(name, what));
            }
            let first = shard_arc.arc.first().max(owned.arc.first());
            let last = shard_arc.arc.last().min(owned.arc.last());
            pieces.push(Transfer {
                epoch,
                source: name.clone(),
                target: owned.shard.clone(),
                range: Arc::new(first, last),
            });
        }
    }
    Ok(pieces)
}

/// Checks that each shard owns exactly its arcs of the ring.
fn check_target(participants: &BTreeMap<&ShardName, &ShardState>, ring: &Ring) -> Result<(), Damage> {
    let ring_arcs = ring.arcs();
    for (name, state) in participants {
        let has = merged(state.arcs.iter().map(|shard_arc| shard_arc.arc));
        let expected = ring_arcs.iter().filter(|owned| owned.shard == *name).map(|owned| owned.arc);
        if has != expected.collect::<Vec<Arc>>() {
            return Err(damage(name, format!("the arcs of `{name}` are not its arcs on the ring")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rebalance::RingState;
    use crate::model::ring::arc::ArcState;
    use crate::model::ring::position::Position;

    #[test]
    fn a_fence_that_a_crash_restored_is_settled_by_the_later_arcs_of_its_target() {
        let names: [ShardName; 2] = ["a", "d"].map(|name| name.parse().unwrap());
        let topology = Topology::of_equals(1, names.clone()).unwrap();
        let change = Change { next_topology: topology.clone(), participants: names.to_vec() };
        let half = |first, last| Arc::new(Position::new(first), Position::new(last));
        let (low, high) = (half(0, 9), half(10, u128::MAX));
        let shard_arc = |arc, epoch, state| ShardArc { arc, epoch: Epoch::new(epoch), state };
        let state = |arcs| ShardState {
            ring: RingState {
                epoch: Epoch::new(3),
                topology: topology.clone(),
                change: Some(change.clone()),
                desired_topology: None,
            },
            arcs,
        };
        // `d` fenced it for `a` in epoch 2; `a` received and served it, and fences it in epoch 3.
        let back = shard_arc(low, 2, ArcState::Fenced(names[0].clone()));
        let a = state(vec![shard_arc(low, 3, ArcState::Fenced(names[1].clone()))]);
        let d = state(vec![back, shard_arc(high, 1, ArcState::Owned)]);
        let states = BTreeMap::from([(names[0].clone(), a), (names[1].clone(), d)]);
        let Ok(Work::Settle(settled)) = next_work(&states, Direction::Forward) else { panic!("not settled") };
        assert_eq!(settled.len(), 1);
        assert!(settled[0].0.source == names[1] && settled[0].1, "it would serve its old rows again");
    }
}
