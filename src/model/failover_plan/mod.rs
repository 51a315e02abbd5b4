//! Failover plans: which hand-overs a replica has not replayed, and which shards get the arcs of a dead shard.
//!
//! Pure. It uses the states of the surviving shards. A position that one of them owns stays with it, whatever the state of
//! the lost primary was; so no plan makes a second owner.

use std::collections::BTreeMap;
use std::fmt;

use super::names::ShardName;
use super::rebalance::{Change, ShardState};
use super::ring::arc::{Arc, merged, union, without};
use super::ring::topology::{Epoch, Topology};
use super::text::counted;
use crate::model::ring::arc::{ArcState, ShardArc};

/// What to do about a primary that was promoted without hand-overs.
pub const LOST_HANDOVER_HINT: &str =
    "if the old primary has its data, make it the primary again; else: ringshard verify --fix";

/// The states of the surviving shards.
pub type Others = BTreeMap<ShardName, ShardState>;

/// A hand-over or change that the primary committed and its replica has not replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MissingHandover {
    /// The end of a change.
    Epoch {
        /// The epoch of the replica.
        has: Epoch,
        /// The epoch of the others.
        should: Epoch,
    },
    /// Arcs that were handed over to another shard; the replica still owns them.
    Gave {
        /// Their owner.
        to: ShardName,
        /// The positions.
        arcs: Vec<Arc>,
    },
    /// Arcs that its primary received; no shard has them.
    Took {
        /// The positions.
        arcs: Vec<Arc>,
    },
}

impl fmt::Display for MissingHandover {
    /// What is missing, and what becomes of it if the replica serves in spite of that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |arcs: &[Arc]| {
            let share: f64 = arcs.iter().map(|arc| arc.share()).sum();
            format!("{} ({:.2} % of the ring)", counted(arcs.len() as u64, "arc"), share * 100.0)
        };
        match self {
            Self::Epoch { has, should } => {
                write!(f, "it is in epoch {has} and the others are in {should}: it will be advanced")
            }
            Self::Gave { to, arcs } => write!(
                f,
                "{} that `{to}` has received: they stay there, and the old rows go to quarantine",
                counted(arcs)
            ),
            Self::Took { arcs } => {
                write!(f, "{} that the old primary had received: the users on them are lost", counted(arcs))
            }
        }
    }
}

fn arcs_of<'a>(arcs: impl IntoIterator<Item = &'a ShardArc>) -> Vec<Arc> {
    merged(arcs.into_iter().map(|shard_arc| shard_arc.arc))
}

fn owned(state: &ShardState) -> Vec<Arc> {
    arcs_of(state.arcs.iter().filter(|shard_arc| shard_arc.state == ArcState::Owned))
}

fn common(left: &[Arc], right: &[Arc]) -> Vec<Arc> {
    without(left, &without(left, right))
}

/// The state with the latest epoch.
fn newest(others: &Others) -> Option<&ShardState> {
    others.values().max_by_key(|state| state.ring.finished_last())
}

/// The positions on none of these states' arcs, owned or fenced.
fn orphans<'a>(states: impl Iterator<Item = &'a ShardState>) -> Vec<Arc> {
    without(&[Arc::whole()], &union(states.flat_map(|state| state.arcs.iter().map(|held| held.arc))))
}

/// The hand-overs of its primary that a replica has not replayed. If there are none, it can take over without undoing a
/// move.
pub fn missing_handovers(others: &Others, replica: &ShardState) -> Vec<MissingHandover> {
    let mut missing_handovers = Vec::new();
    // A change or an epoch that was only announced can be announced to it again.
    if let Some(newest) = newest(others)
        && replica.ring.epoch < newest.ring.epoch
        && replica.ring.topology != newest.ring.topology
    {
        missing_handovers.push(MissingHandover::Epoch { has: replica.ring.epoch, should: newest.ring.epoch });
    }
    let own_arcs = arcs_of(&replica.arcs);
    // A fenced arc was handed over, or still may be, so it is not in conflict with an owner.
    let has = owned(replica);
    for (to, state) in others {
        let arcs = common(&has, &owned(state));
        if !arcs.is_empty() {
            missing_handovers.push(MissingHandover::Gave { to: to.clone(), arcs });
        }
    }
    let arcs = without(&orphans(others.values()), &own_arcs);
    if !arcs.is_empty() {
        missing_handovers.push(MissingHandover::Took { arcs });
    }
    missing_handovers
}

/// The state with which a replica takes over in spite of [`missing_handovers`]: it gives up arcs that others own, and owns
/// arcs that no shard has.
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
    for shard_arc in &replica.arcs {
        let target = match &shard_arc.state {
            // A mover purges it after the hand-over, as usual.
            ArcState::Fenced(target) if state.ring.change.is_some() => Some(target),
            // Without a change nothing is being moved.
            _ => None,
        };
        let taken =
            others.iter().filter(|(shard, _)| Some(*shard) != target).flat_map(|(_, state)| owned(state));
        let left = without(&[shard_arc.arc], &merged(taken));
        let is = if target.is_some() { shard_arc.state.clone() } else { ArcState::Owned };
        arcs.extend(left.into_iter().map(|arc| ShardArc { arc, epoch: shard_arc.epoch, state: is.clone() }));
    }
    let lost = without(&orphans(others.values()), &arcs_of(&replica.arcs));
    // An earlier epoch, so that a change under way can still move them.
    let epoch = Epoch::new(state.ring.epoch.number() - 1);
    arcs.extend(lost.into_iter().map(|arc| ShardArc { arc, epoch, state: ArcState::Owned }));
    arcs.sort_by_key(|shard_arc| shard_arc.arc);
    state.arcs = arcs;
    state
}

/// The reassignment of the arcs of a dead shard.
#[derive(Debug, Clone, PartialEq)]
pub struct Reassignment {
    /// The new epoch.
    pub epoch: Epoch,
    /// The new topology in force, without the shard.
    pub topology: Topology,
    /// The change that is still under way, without the shard.
    pub change: Option<Change>,
    /// The shards that still have to be updated.
    pub recipients: BTreeMap<ShardName, Recipient>,
}

/// A shard to update.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipient {
    /// Its old state, which must not have changed when it is updated.
    pub seen: ShardState,
    /// The arcs that are reassigned to it.
    pub gains: Vec<Arc>,
    /// All its new arcs.
    pub arcs: Vec<ShardArc>,
}

impl Reassignment {
    /// The reassigned arcs with their new owners, in the order of the ring.
    pub fn pieces(&self) -> Vec<(Arc, &ShardName)> {
        let mut pieces: Vec<_> = self
            .recipients
            .iter()
            .flat_map(|(shard, recipient)| recipient.gains.iter().map(move |arc| (*arc, shard)))
            .collect();
        pieces.sort_unstable();
        pieces
    }
}

/// A state without the chunks that it has fenced for the dead shard and that the shard received, by these arcs.
fn without_taken(state: &ShardState, dead: &ShardName, taken: &[Arc]) -> ShardState {
    let mut arcs = Vec::new();
    for shard_arc in &state.arcs {
        let is_for_it = matches!(&shard_arc.state, ArcState::Fenced(target) if target == dead);
        let left = if is_for_it { without(&[shard_arc.arc], taken) } else { vec![shard_arc.arc] };
        arcs.extend(left.into_iter().map(|arc| ShardArc { arc, ..shard_arc.clone() }));
    }
    ShardState { arcs, ..state.clone() }
}

/// Plans the removal of a dead shard. Arcs of the other shards stay with them; chunks that they have fenced for the dead
/// shard are theirs again; arcs that no shard has go to their owner on the ring without the dead shard (on the next ring,
/// during a change). Fails with the reason if no shard can get them. After an interrupted run, the plan for the remaining
/// shards is the same.
///
/// `backup`: the arcs that the replica or backup owns, whose rows are recovered. A chunk that another shard has fenced for
/// the dead shard, and that the backup owns, is reassigned with the rows of the backup, which are newer.
pub fn reassign(others: &Others, dead: &ShardName, backup: &[Arc]) -> Result<Reassignment, String> {
    let newest = newest(others).ok_or("there is no other shard")?;
    let is_announced = newest.ring.topology.shard(dead).is_none()
        && newest.ring.change.as_ref().is_none_or(|change| !change.participants.contains(dead));
    let epoch = if is_announced { newest.ring.epoch } else { newest.ring.epoch.next() };
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
    // Only shards that are not updated yet can get arcs.
    let is_outdated = |shard: &ShardName| others.get(shard).is_some_and(|state| state.ring.epoch < epoch);
    let open = merged(ring.arcs().iter().filter(|owned| is_outdated(owned.shard)).map(|owned| owned.arc));
    let usable = common(backup, &open);
    let remaining: Vec<ShardState> = others
        .iter()
        .map(|(shard, state)| {
            let others = others.iter().filter(|(other, _)| *other != shard);
            let elsewhere = merged(others.flat_map(|(_, other)| owned(other)));
            without_taken(&without_taken(state, dead, &usable), dead, &elsewhere)
        })
        .collect();
    let orphans = orphans(remaining.iter());
    let mut recipients = BTreeMap::new();
    let mut is_settled = true;
    for ((shard, state), remaining) in others.iter().zip(&remaining) {
        let own: Vec<Arc> =
            ring.arcs().iter().filter(|owned| owned.shard == shard).map(|owned| owned.arc).collect();
        let gains = common(&orphans, &own);
        let mut arcs: Vec<ShardArc> = remaining
            .arcs
            .iter()
            .map(|shard_arc| match &shard_arc.state {
                ArcState::Fenced(target) if target == dead => {
                    ShardArc { state: ArcState::Owned, ..shard_arc.clone() }
                }
                _ => shard_arc.clone(),
            })
            .collect();
        arcs.extend(gains.iter().map(|arc| ShardArc { arc: *arc, epoch, state: ArcState::Owned }));
        arcs.sort_by_key(|shard_arc| shard_arc.arc);
        is_settled &=
            arcs.iter().all(|shard_arc| shard_arc.state == ArcState::Owned) && arcs_of(&arcs) == merged(own);
        if state.ring.epoch < epoch {
            recipients.insert(shard.clone(), Recipient { seen: state.clone(), gains, arcs });
        }
    }
    let participants = |change: &Change| {
        let mut participants = change.participants.clone();
        participants.retain(|member| member != dead);
        participants
    };
    // If all arcs are on their owners the change is finished.
    let change = match &newest.ring.change {
        Some(_) if is_settled && target == topology => None,
        Some(change) => Some(Change { participants: participants(change), next_topology: target }),
        None => None,
    };
    Ok(Reassignment { epoch, topology, change, recipients })
}

#[cfg(test)]
mod tests;
