//! What is to be done next, from what all shards say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Announcement, Change, Condition, Request, ShardState, arbiter};
use crate::model::names::ShardName;
use crate::model::ring::Ring;
use crate::model::ring::arc::{Arc, merged};
use crate::model::ring::arc::{ArcState, ShardArc};
use crate::model::ring::topology::{Epoch, Topology};

/// Where a cluster stands, by the word of all its shards.
#[derive(Debug, Clone, PartialEq)]
pub enum Situation {
    /// Nothing is under way.
    Idle {
        /// The epoch of all shards.
        epoch: Epoch,
        /// The topology in force.
        topology: Topology,
        /// The topology that is wished for, if it is another one.
        desired_topology: Option<Topology>,
    },
    /// A change is under way.
    Changing {
        /// Its epoch.
        epoch: Epoch,
        /// The topology in force until it is done.
        topology: Topology,
        /// The change.
        change: Change,
        /// Members that have not heard of it.
        untold: Vec<ShardName>,
    },
}

impl Situation {
    /// The shards that must be asked before anything can be decided.
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

/// What the shards say does not fit together, and no mover can repair it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The shard that is wrong, where one can be named.
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

/// What the mover is to bring about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// What is under way is brought to its end; if nothing is, what is wished for is begun.
    Forward,
    /// The change of this epoch is taken back.
    Back(Epoch),
}

/// A range that is to go from one shard to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The epoch of the change.
    pub epoch: Epoch,
    /// Who owns it.
    pub source: ShardName,
    /// Who is to own it.
    pub target: ShardName,
    /// The positions.
    pub range: Arc,
}

/// A chunk that a mover fenced and did not bring to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The epoch of its fence.
    pub epoch: Epoch,
    /// Who has it fenced.
    pub source: ShardName,
    /// Whom it is for.
    pub target: ShardName,
    /// The positions.
    pub chunk: Arc,
}

impl Leftover {
    /// Forget it: its target has it.
    pub fn purge<R>(&self) -> Request<R> {
        Request::Purge { epoch: self.epoch, chunk: self.chunk, target: self.target.clone() }
    }

    /// Own it again: its target will never have it.
    pub fn release<R>(&self) -> Request<R> {
        Request::Release { epoch: self.epoch, chunk: self.chunk, target: self.target.clone() }
    }
}

/// What is to be done next. What stands in one value may be done in any order, or at once; then look again.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Nothing: no change is under way, and none is wished for.
    Nothing,
    /// Tell shards of a change, in this order; the first that does not take it ends the round.
    Announce(Vec<(ShardName, Announcement)>),
    /// An epoch was taken back: chunks that its movers left fenced, each with whether its target took it.
    Settle(Vec<(Leftover, bool)>),
    /// Bring fenced chunks to their end.
    Resume(Vec<Leftover>),
    /// Move these ranges.
    Move(Vec<Transfer>),
    /// All lies where it is to lie: tell these shards, in this order. Sound while no arc of any shard changes,
    /// which [`Request::Finish`] compares.
    Finish(Vec<(ShardName, Epoch, Vec<ShardArc>, Vec<Arc>)>),
}

/// Where the cluster stands. `states` holds what every shard said that was asked; if a member is missing, the
/// situation names all participants, and the caller asks them too.
pub fn situation(states: &BTreeMap<ShardName, ShardState>) -> Result<Situation, Damage> {
    let (newest, state) = states
        .iter()
        .max_by_key(|(_, state)| state.ring.pending_last())
        .ok_or_else(|| Damage { shard: None, what: "no shard was asked".into() })?;
    let epoch = state.ring.epoch;
    let Some(change) = &state.ring.change else {
        return idle(states, newest, state);
    };
    let mut untold = Vec::new();
    for (name, other) in states.iter().filter(|(name, _)| change.participants.contains(name)) {
        if other.ring.epoch < epoch {
            if other.ring.topology != state.ring.topology {
                return Err(damage(name, behind(name, other.ring.epoch, epoch)));
            }
            untold.push(name.clone());
        } else if other.ring.change.as_ref().is_some_and(|other| other != change) {
            return Err(damage(
                name,
                format!("`{name}` and `{newest}` tell of different changes of epoch {epoch}"),
            ));
        }
    }
    Ok(Situation::Changing { epoch, topology: state.ring.topology.clone(), change: change.clone(), untold })
}

fn idle(
    states: &BTreeMap<ShardName, ShardState>,
    newest: &ShardName,
    state: &ShardState,
) -> Result<Situation, Damage> {
    let topology = &state.ring.topology;
    for (name, other) in states.iter().filter(|(name, _)| topology.shard(name).is_some()) {
        if other.ring.epoch < state.ring.epoch {
            return Err(damage(name, behind(name, other.ring.epoch, state.ring.epoch)));
        }
        if other.ring.topology != *topology {
            return Err(damage(
                name,
                format!("`{name}` and `{newest}` have different topologies of one epoch"),
            ));
        }
    }
    let desired_topology =
        states.get(arbiter(topology)).and_then(|state| state.ring.desired_topology.clone());
    Ok(Situation::Idle {
        epoch: state.ring.epoch,
        topology: topology.clone(),
        desired_topology: desired_topology.filter(|desired_topology| desired_topology != topology),
    })
}

fn behind(name: &ShardName, at: Epoch, epoch: Epoch) -> String {
    format!(
        "`{name}` is at epoch {at}, and the cluster at {epoch}: its database was restored from an old backup"
    )
}

/// What is to be done next, when every member has said how it stands.
pub fn next_work(states: &BTreeMap<ShardName, ShardState>, goal: Goal) -> Result<Work, Damage> {
    match situation(states)? {
        Situation::Idle { desired_topology: None, .. } => Ok(Work::Nothing),
        Situation::Idle { .. } if goal != Goal::Forward => Ok(Work::Nothing),
        Situation::Idle { epoch, topology, desired_topology: Some(target) } => {
            let change =
                Change { participants: participants(&topology, Some(&target)), next_topology: target };
            Ok(announce(epoch.next(), &topology, &change, Condition::Desired, &change.participants))
        }
        // Once the arbiter has finished it, a change cannot be taken back.
        Situation::Changing { epoch, topology, change, .. }
            if goal == Goal::Back(epoch) && !is_finished_at_the_arbiter(states, epoch, &topology) =>
        {
            let back = Change { next_topology: topology.clone(), participants: change.participants };
            Ok(announce(epoch.next(), &topology, &back, Condition::TakenBack, &back.participants))
        }
        Situation::Changing { epoch, topology, change, untold } if !untold.is_empty() => {
            Ok(announce(epoch, &topology, &change, Condition::Decided, &untold))
        }
        Situation::Changing { epoch, topology, change, .. } => {
            work_of_a_change(states, epoch, &topology, &change)
        }
    }
}

/// The arbiter first: who wins there has won.
fn announce(
    epoch: Epoch,
    topology: &Topology,
    change: &Change,
    condition: Condition,
    untold: &[ShardName],
) -> Work {
    let first = arbiter(topology);
    let mut order: Vec<&ShardName> = untold.iter().collect();
    order.sort_by_key(|name| (*name != first, *name));
    let told = order.into_iter().map(|name| {
        let condition = if name == first { condition } else { Condition::Decided };
        let announcement =
            Announcement { epoch, topology: topology.clone(), change: change.clone(), condition };
        (name.clone(), announcement)
    });
    Work::Announce(told.collect())
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
        // All participants have heard of this epoch, so no mover of an earlier one can take anything over any more.
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
    // The arbiter first: from then on the change cannot be taken back any more. Then who leaves: a shard of the new
    // topology that says the change is done then speaks for them.
    let first = arbiter(topology);
    pending.sort_by_key(|(name, _)| (*name != first, change.next_topology.shard(name).is_some(), *name));
    let finish = pending.into_iter().map(|(name, state)| {
        let arcs = merged(state.arcs.iter().map(|held| held.arc));
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
        for held in &state.arcs {
            if let ArcState::Fenced(target) = &held.state {
                leftovers.push(Leftover {
                    epoch: held.epoch,
                    source: (*name).clone(),
                    target: target.clone(),
                    chunk: held.arc,
                });
            }
        }
    }
    leftovers
}

/// Whether these arcs, all of the target, say that it has taken over a whole chunk: it owns it, or has let go of it
/// again in a later epoch, as a purge that a crash undid leaves it.
fn has_taken(arcs: &[ShardArc], left: &Leftover) -> bool {
    let has = |held: &&ShardArc| held.state == ArcState::Owned || held.epoch > left.epoch;
    let taken = merged(arcs.iter().filter(has).map(|held| held.arc));
    taken.iter().any(|arc| arc.contains(left.chunk.first()) && arc.contains(left.chunk.last()))
}

/// All that is still to be moved in a change of this epoch to this topology: what a shard owns and another one is to
/// own, and what is on its way.
pub fn pieces(
    states: &BTreeMap<ShardName, ShardState>,
    target: &Topology,
    epoch: Epoch,
) -> Result<Vec<Transfer>, Damage> {
    let ring = target.ring();
    let participants: BTreeMap<&ShardName, &ShardState> = states.iter().collect();
    let on_their_way = leftovers(&participants).into_iter().map(|left| Transfer {
        epoch,
        source: left.source,
        target: left.target,
        range: left.chunk,
    });
    let mut pieces: Vec<Transfer> = on_their_way.collect();
    for (name, state) in states {
        let mut owning = state.clone();
        owning.arcs.retain(|held| held.state == ArcState::Owned);
        pieces.extend(pieces_of(name, &owning, &ring, epoch)?);
    }
    Ok(pieces)
}

/// What a shard owns and another one is to own.
fn pieces_of(
    name: &ShardName,
    state: &ShardState,
    ring: &Ring,
    epoch: Epoch,
) -> Result<Vec<Transfer>, Damage> {
    let desired_topology = ring.arcs();
    let mut pieces = Vec::new();
    for held in &state.arcs {
        let from = desired_topology.partition_point(|owned| owned.arc.last() < held.arc.first());
        for owned in desired_topology[from..].iter().take_while(|owned| owned.arc.first() <= held.arc.last())
        {
            if owned.shard == name {
                continue;
            }
            // An arc moves at most once an epoch: what was moved here lies where it is to lie.
            if held.epoch >= epoch {
                let what = format!(
                    "`{name}` took {} in epoch {epoch}, and the ring gives it to `{}`",
                    held.arc, owned.shard
                );
                return Err(damage(name, what));
            }
            let first = held.arc.first().max(owned.arc.first());
            let last = held.arc.last().min(owned.arc.last());
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

/// Each shard owns just what the ring gives it.
fn check_target(participants: &BTreeMap<&ShardName, &ShardState>, ring: &Ring) -> Result<(), Damage> {
    let desired_topology = ring.arcs();
    for (name, state) in participants {
        let has = merged(state.arcs.iter().map(|held| held.arc));
        let should = desired_topology.iter().filter(|owned| owned.shard == *name).map(|owned| owned.arc);
        if has != should.collect::<Vec<Arc>>() {
            return Err(damage(name, format!("the arcs of `{name}` are not those that the ring gives it")));
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
    fn a_fence_that_a_crash_brought_back_is_settled_by_what_its_target_has_done_since() {
        let names: [ShardName; 2] = ["a", "d"].map(|name| name.parse().unwrap());
        let topology = Topology::of_equals(1, names.clone()).unwrap();
        let change = Change { next_topology: topology.clone(), participants: names.to_vec() };
        let half = |first, last| Arc::new(Position::new(first), Position::new(last));
        let (low, high) = (half(0, 9), half(10, u128::MAX));
        let held = |arc, epoch, state| ShardArc { arc, epoch: Epoch::new(epoch), state };
        let state = |arcs| ShardState {
            ring: RingState {
                epoch: Epoch::new(3),
                topology: topology.clone(),
                change: Some(change.clone()),
                desired_topology: None,
            },
            arcs,
        };
        // `d` let go of it for `a` in epoch 2; `a` took it over, served, and lets go of it in epoch 3.
        let back = held(low, 2, ArcState::Fenced(names[0].clone()));
        let a = state(vec![held(low, 3, ArcState::Fenced(names[1].clone()))]);
        let d = state(vec![back, held(high, 1, ArcState::Owned)]);
        let states = BTreeMap::from([(names[0].clone(), a), (names[1].clone(), d)]);
        let Ok(Work::Settle(settled)) = next_work(&states, Goal::Forward) else { panic!("not settled") };
        assert_eq!(settled.len(), 1);
        assert!(settled[0].0.source == names[1] && settled[0].1, "it would serve its old rows again");
    }
}
