//! When a shard is gone: what a replica that takes it over has not seen, and who gets the arcs of a shard that nobody
//! takes over.
//!
//! Pure. It decides from what the shards say that are still there. A position that one of them owns stays with it,
//! whatever the shard that is gone said last; so nothing here makes a second owner.

use std::collections::BTreeMap;

use super::names::ShardName;
use super::rebalance::{Change, ShardState};
use super::ring::arc::{Arc, merged, without};
use super::ring::topology::{Epoch, Topology};
use crate::model::ring::arc::{ArcState, ShardArc};

/// What the shards that are there say.
pub type Others = BTreeMap<ShardName, ShardState>;

/// What a replica would bring back, or lack, as it has not seen all that its primary committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissingHandover {
    /// It has not heard of the end of a change.
    Epoch {
        /// That of the replica.
        has: Epoch,
        /// That of the others.
        should: Epoch,
    },
    /// It still has arcs that were handed over to another shard.
    Gave {
        /// Who owns them.
        to: ShardName,
        /// The positions.
        arcs: Vec<Arc>,
    },
    /// It does not have arcs that were taken over by its primary, and that nobody else has.
    Took {
        /// The positions.
        arcs: Vec<Arc>,
    },
}

fn arcs_of<'a>(arcs: impl IntoIterator<Item = &'a ShardArc>) -> Vec<Arc> {
    merged(arcs.into_iter().map(|held| held.arc))
}

fn owned(state: &ShardState) -> Vec<Arc> {
    arcs_of(state.arcs.iter().filter(|held| held.state == ArcState::Owned))
}

fn common(these: &[Arc], those: &[Arc]) -> Vec<Arc> {
    without(these, &without(these, those))
}

/// The last epoch that any of these has heard of.
fn newest(others: &Others) -> Option<&ShardState> {
    others.values().max_by_key(|state| state.ring.finished_last())
}

/// What lies on nobody's arcs, fenced ones too.
fn orphans<'a>(states: impl Iterator<Item = &'a ShardState>) -> Vec<Arc> {
    let held: Vec<Arc> = states.flat_map(|state| state.arcs.iter().map(|held| held.arc)).collect();
    without(&[Arc::whole()], &merged(held))
}

/// What a replica of `shard` has not seen of the hand-overs that its primary took part in. Nothing: it can take over,
/// and no move is undone.
pub fn missing_handovers(others: &Others, replica: &ShardState) -> Vec<MissingHandover> {
    let mut missing_handovers = Vec::new();
    // One that has just not heard of a change, or of an epoch without one, is told.
    if let Some(newest) = newest(others)
        && replica.ring.epoch < newest.ring.epoch
        && replica.ring.topology != newest.ring.topology
    {
        missing_handovers.push(MissingHandover::Epoch { has: replica.ring.epoch, should: newest.ring.epoch });
    }
    let held = arcs_of(&replica.arcs);
    // One that it has fenced was handed over, or may still be: its rows are the owner's either way.
    let has = owned(replica);
    for (to, state) in others {
        let arcs = common(&has, &owned(state));
        if !arcs.is_empty() {
            missing_handovers.push(MissingHandover::Gave { to: to.clone(), arcs });
        }
    }
    let arcs = without(&orphans(others.values()), &held);
    if !arcs.is_empty() {
        missing_handovers.push(MissingHandover::Took { arcs });
    }
    missing_handovers
}

/// The state that a replica of which [`missing_handovers`] tells something takes over with all the same: it lets go of what others
/// own, and owns what nobody has.
pub fn forced(others: &Others, replica: &ShardState) -> ShardState {
    let mut state = replica.clone();
    if let Some(newest) =
        newest(others).filter(|newest| state.ring.finished_last() < newest.ring.finished_last())
    {
        state.ring.epoch = newest.ring.epoch;
        state.ring.topology = newest.ring.topology.clone();
        state.ring.change.clone_from(&newest.ring.change);
    }
    let mut arcs = Vec::new();
    for held in &replica.arcs {
        let peer = match &held.state {
            // What its target has is forgotten as ever.
            ArcState::Fenced(peer) if state.ring.change.is_some() => Some(peer),
            // With nothing under way nothing is on its way.
            _ => None,
        };
        let taken =
            others.iter().filter(|(shard, _)| Some(*shard) != peer).flat_map(|(_, state)| owned(state));
        let left = without(&[held.arc], &merged(taken));
        let is = if peer.is_some() { held.state.clone() } else { ArcState::Owned };
        arcs.extend(left.into_iter().map(|arc| ShardArc { arc, epoch: held.epoch, state: is.clone() }));
    }
    let lost = without(&orphans(others.values()), &arcs_of(&replica.arcs));
    // Since before the epoch, so that a change that is under way can still move it.
    let epoch = Epoch::new(state.ring.epoch.number() - 1);
    arcs.extend(lost.into_iter().map(|arc| ShardArc { arc, epoch, state: ArcState::Owned }));
    arcs.sort_by_key(|held| held.arc);
    state.arcs = arcs;
    state
}

/// Who gets what when a shard is removed that is gone for good.
#[derive(Debug, Clone, PartialEq)]
pub struct Reassignment {
    /// The epoch that all are in then.
    pub epoch: Epoch,
    /// The topology in force then: without the shard.
    pub topology: Topology,
    /// The change that was under way and still is, without the shard.
    pub change: Option<Change>,
    /// Each shard that has not heard of it: what it said, and what it has then.
    pub recipients: BTreeMap<ShardName, Recipient>,
}

/// A shard that is to hear of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipient {
    /// What it said: it takes the rest only if it still says so.
    pub seen: ShardState,
    /// What it inherits, positions that nobody held.
    pub inherits: Vec<Arc>,
    /// All that it holds then.
    pub arcs: Vec<ShardArc>,
}

impl Reassignment {
    /// What is reassigned, and by whom, in the order of the ring.
    pub fn pieces(&self) -> Vec<(Arc, &ShardName)> {
        let mut pieces: Vec<_> = self
            .recipients
            .iter()
            .flat_map(|(shard, recipient)| recipient.inherits.iter().map(move |arc| (*arc, shard)))
            .collect();
        pieces.sort_unstable();
        pieces
    }
}

/// A state without what it has fenced for a shard that has taken it over, by these arcs.
fn without_taken(state: &ShardState, dead: &ShardName, taken: &[Arc]) -> ShardState {
    let mut arcs = Vec::new();
    for held in &state.arcs {
        let is_for_it = matches!(&held.state, ArcState::Fenced(peer) if peer == dead);
        let left = if is_for_it { without(&[held.arc], taken) } else { vec![held.arc] };
        arcs.extend(left.into_iter().map(|arc| ShardArc { arc, ..held.clone() }));
    }
    ShardState { arcs, ..state.clone() }
}

/// Who inherits from a shard that is gone. What the others hold stays with them; what they had fenced for it is theirs
/// again; what nobody holds goes to its owner by the ring without the shard (by that of the change that is under way, if
/// one is). The reason, if there is nobody to reassign.
///
/// Where some have heard of it already, as an earlier run did not come to its end, it is the same for the rest.
///
/// `backup`: the arcs that the replica or backup owns whose rows are brought in. What another shard has fenced for the
/// shard that is gone, and that had taken it over by then, is reassigned with those rows, which are the newer ones.
pub fn reassign(others: &Others, dead: &ShardName, backup: &[Arc]) -> Result<Reassignment, String> {
    let newest = newest(others).ok_or("no other shard is there")?;
    let told = newest.ring.topology.shard(dead).is_none()
        && newest.ring.change.as_ref().is_none_or(|change| !change.participants.contains(dead));
    let epoch = if told { newest.ring.epoch } else { newest.ring.epoch.next() };
    let topology = if newest.ring.topology.shard(dead).is_some() {
        newest.ring.topology.without(dead)?
    } else {
        newest.ring.topology.clone()
    };
    let target = match &newest.ring.change {
        Some(change) if change.next_topology.shard(dead).is_some() => change.next_topology.without(dead)?,
        Some(change) => change.next_topology.clone(),
        None => topology.clone(),
    };
    let ring = target.ring();
    // Only who has not heard yet can be given anything.
    let to_hear = |shard: &ShardName| others.get(shard).is_some_and(|state| state.ring.epoch < epoch);
    let open = merged(ring.arcs().iter().filter(|owned| to_hear(owned.shard)).map(|owned| owned.arc));
    let usable = common(backup, &open);
    let let_go: Vec<ShardState> = others
        .iter()
        .map(|(shard, state)| {
            let others = others.iter().filter(|(other, _)| *other != shard);
            let elsewhere = merged(others.flat_map(|(_, other)| owned(other)));
            without_taken(&without_taken(state, dead, &usable), dead, &elsewhere)
        })
        .collect();
    let orphans = orphans(let_go.iter());
    let mut recipients = BTreeMap::new();
    let mut is_settled = true;
    for ((shard, state), let_go) in others.iter().zip(&let_go) {
        let own: Vec<Arc> =
            ring.arcs().iter().filter(|owned| owned.shard == shard).map(|owned| owned.arc).collect();
        let inherits = common(&orphans, &own);
        let mut arcs: Vec<ShardArc> = let_go
            .arcs
            .iter()
            .map(|held| match &held.state {
                ArcState::Fenced(peer) if peer == dead => ShardArc { state: ArcState::Owned, ..held.clone() },
                _ => held.clone(),
            })
            .collect();
        arcs.extend(inherits.iter().map(|arc| ShardArc { arc: *arc, epoch, state: ArcState::Owned }));
        arcs.sort_by_key(|held| held.arc);
        is_settled &= arcs.iter().all(|held| held.state == ArcState::Owned) && arcs_of(&arcs) == merged(own);
        if state.ring.epoch < epoch {
            recipients.insert(shard.clone(), Recipient { seen: state.clone(), inherits, arcs });
        }
    }
    let participants = |change: &Change| {
        let mut participants = change.participants.clone();
        participants.retain(|member| member != dead);
        participants
    };
    // Where all lies where it is to lie the change is at its end.
    let change = match &newest.ring.change {
        Some(_) if is_settled && target == topology => None,
        Some(change) => Some(Change { participants: participants(change), next_topology: target }),
        None => None,
    };
    Ok(Reassignment { epoch, topology, change, recipients })
}

#[cfg(test)]
mod tests;
