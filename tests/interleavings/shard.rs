//! A shard as the protocol sees it: each request is one atomic transaction.

use std::collections::BTreeMap;

use ringshard::model::names::ShardName;
use ringshard::model::point_read::KeyReply;
use ringshard::model::rebalance::{Condition, Reply, Request, ShardState};
use ringshard::model::ring::arc::{Arc, merged};
use ringshard::model::ring::arc::{ArcState, ShardArc};
use ringshard::model::ring::position::Position;
use ringshard::model::ring::topology::Epoch;
use ringshard::model::user::UserId;

/// A user's value; each write has another one.
pub(crate) type Value = u64;
pub(crate) type Rows = BTreeMap<i64, Value>;

/// One fault in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// A shard writes to an arc that it has fenced: the fence without the barrier.
    WriteBehindFence,
    /// A reader takes the row of a fenced shard without asking the target.
    TrustFencedRead,
    /// A chunk is purged without a check that it is still fenced.
    PurgeWithoutCompare,
    /// A chunk that was received already is overwritten.
    ReceiveOverwrites,
    /// A chunk is received in any epoch.
    ReceiveInAnyEpoch,
    /// An announcement is accepted without a check of the current state.
    AnnounceWithoutCompare,
    /// The fast path does not compare the epoch.
    FastPathInAnyEpoch,
}

impl Mutant {
    pub(crate) const ALL: [Self; 7] = [
        Self::WriteBehindFence,
        Self::TrustFencedRead,
        Self::PurgeWithoutCompare,
        Self::ReceiveOverwrites,
        Self::ReceiveInAnyEpoch,
        Self::AnnounceWithoutCompare,
        Self::FastPathInAnyEpoch,
    ];
}

/// What a shard answers to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrote {
    Done,
    Fenced,
    NotOwner,
}

#[derive(Debug, Clone)]
pub(crate) struct Shard {
    pub(crate) state: ShardState,
    pub(crate) users: Rows,
}

pub(crate) fn place(id: i64) -> Position {
    Position::of_user(UserId::new(id))
}

fn inside(chunk: Arc) -> impl Fn(&i64) -> bool {
    move |id| chunk.contains(place(*id))
}

impl Shard {
    fn held(&self, position: Position) -> Option<&ShardArc> {
        self.state.arcs.iter().find(|held| held.arc.contains(position))
    }

    fn add(&mut self, held: ShardArc) {
        self.state.arcs.push(held);
        self.state.arcs.sort_by_key(|held| held.arc);
    }

    fn rows(&self, chunk: Arc) -> Rows {
        self.users.iter().filter(|(id, _)| inside(chunk)(id)).map(|(id, value)| (*id, *value)).collect()
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each request, to be read beside the protocol")]
    pub(crate) fn handle(&mut self, request: Request<Rows>, mutant: Option<Mutant>) -> Reply<Rows> {
        let epoch_now = self.state.ring.epoch;
        let is_pending = self.state.ring.change.is_some();
        match request {
            Request::Look => Reply::State(Box::new(self.state.clone())),
            Request::Announce(announcement) => {
                let state = &mut self.state;
                if state.ring.epoch == announcement.epoch {
                    let is_it = state
                        .ring
                        .change
                        .as_ref()
                        .map_or(state.ring.topology == announcement.change.next_topology, |c| {
                            *c == announcement.change
                        });
                    return if is_it { Reply::Already } else { Reply::Stale };
                }
                let holds = state.ring.topology == announcement.topology
                    && match announcement.condition {
                        Condition::Desired => {
                            state.ring.epoch.next() == announcement.epoch
                                && state.ring.change.is_none()
                                && state.ring.desired_topology.as_ref()
                                    == Some(&announcement.change.next_topology)
                        }
                        Condition::Canceling => {
                            state.ring.epoch.next() == announcement.epoch && state.ring.change.is_some()
                        }
                        Condition::Decided => state.ring.epoch < announcement.epoch,
                    };
                if !holds && mutant != Some(Mutant::AnnounceWithoutCompare) {
                    return Reply::Stale;
                }
                (state.ring.epoch, state.ring.change) = (announcement.epoch, Some(announcement.change));
                Reply::Done
            }
            // Two rows a chunk.
            Request::Cut { range } => {
                let mut places: Vec<Position> = self.rows(range).keys().map(|id| place(*id)).collect();
                places.sort_unstable();
                Reply::Cut(places.get(1).copied().unwrap_or(range.last()))
            }
            Request::Fence { epoch, chunk, target } => {
                let fenced = ShardArc { arc: chunk, epoch, state: ArcState::Fenced(target) };
                if self.state.arcs.contains(&fenced) {
                    return Reply::Already;
                }
                let held = self.held(chunk.first()).cloned().filter(|held| held.arc.contains(chunk.last()));
                let is_due = |held: &ShardArc| epoch_now == epoch && is_pending && held.epoch < epoch;
                let Some(held) = held.filter(|held| held.state == ArcState::Owned && is_due(held)) else {
                    return Reply::Stale;
                };
                self.state.arcs.retain(|other| *other != held);
                if held.arc.first() < chunk.first() {
                    let before = Position::new(chunk.first().number() - 1);
                    self.add(ShardArc { arc: Arc::new(held.arc.first(), before), ..held.clone() });
                }
                if let Some(after) = chunk.last().next().filter(|after| *after <= held.arc.last()) {
                    self.add(ShardArc { arc: Arc::new(after, held.arc.last()), ..held });
                }
                self.add(fenced);
                Reply::Done
            }
            Request::Read { epoch, chunk, target } => {
                let fenced = ShardArc { arc: chunk, epoch, state: ArcState::Fenced(target) };
                if !self.state.arcs.contains(&fenced) {
                    return Reply::Stale;
                }
                Reply::Rows(self.rows(chunk))
            }
            Request::Receive { epoch, chunk, rows, .. } => {
                let owned = self
                    .held(chunk.first())
                    .is_some_and(|held| held.state == ArcState::Owned && held.arc.contains(chunk.last()));
                if owned && mutant != Some(Mutant::ReceiveOverwrites) {
                    return Reply::Already;
                }
                if (epoch_now != epoch || !is_pending) && mutant != Some(Mutant::ReceiveInAnyEpoch) {
                    return Reply::Stale;
                }
                if self
                    .state
                    .arcs
                    .iter()
                    .any(|held| held.arc.first() <= chunk.last() && chunk.first() <= held.arc.last())
                {
                    if mutant == Some(Mutant::ReceiveOverwrites) {
                        self.users.extend(rows);
                    }
                    return if owned { Reply::Already } else { Reply::Stale };
                }
                self.add(ShardArc { arc: chunk, epoch, state: ArcState::Owned });
                self.users.retain(|id, _| !inside(chunk)(id));
                self.users.extend(rows);
                Reply::Done
            }
            Request::Purge { epoch, chunk, target, decided_in } => {
                if epoch_now != decided_in {
                    return Reply::Stale;
                }
                let fenced = ShardArc { arc: chunk, epoch, state: ArcState::Fenced(target) };
                if !self.state.arcs.contains(&fenced) {
                    if mutant == Some(Mutant::PurgeWithoutCompare) {
                        self.users.retain(|id, _| !inside(chunk)(id));
                    }
                    return Reply::Already;
                }
                self.state.arcs.retain(|held| *held != fenced);
                self.users.retain(|id, _| !inside(chunk)(id));
                Reply::Done
            }
            Request::Release { epoch, chunk, target, decided_in } => {
                if epoch_now != decided_in {
                    return Reply::Stale;
                }
                let fenced = ShardArc { arc: chunk, epoch, state: ArcState::Fenced(target) };
                let Some(held) = self.state.arcs.iter_mut().find(|held| **held == fenced) else {
                    return Reply::Already;
                };
                if epoch_now <= epoch {
                    return Reply::Stale;
                }
                held.state = ArcState::Owned;
                Reply::Done
            }
            Request::Finish { epoch, expected: seen, merged } => {
                if epoch_now == epoch && !is_pending {
                    return Reply::Already;
                }
                let is_as_seen =
                    self.state.arcs == seen && seen.iter().all(|held| held.state == ArcState::Owned);
                if epoch_now != epoch || !is_as_seen {
                    return Reply::Stale;
                }
                let arcs = merged.into_iter();
                self.state.arcs = arcs.map(|arc| ShardArc { arc, epoch, state: ArcState::Owned }).collect();
                let target = self.state.ring.change.take().unwrap().next_topology;
                if self.state.ring.desired_topology.as_ref() == Some(&target) {
                    self.state.ring.desired_topology = None;
                }
                self.state.ring.topology = target;
                Reply::Done
            }
        }
    }

    /// A point read: one snapshot.
    pub(crate) fn read(&self, id: i64) -> (KeyReply, Option<Value>) {
        let reply = match self.held(place(id)) {
            None => KeyReply::NotOwner { epoch: self.state.ring.epoch },
            Some(ShardArc { state: ArcState::Owned, .. }) => KeyReply::Owned,
            Some(ShardArc { state: ArcState::Fenced(peer), epoch, .. }) => {
                KeyReply::Fenced { target: peer.clone(), epoch: *epoch }
            }
        };
        (reply, self.users.get(&id).copied())
    }

    /// Whether no change is under way, and the epoch is that of the ring by which the client chose this shard.
    pub(crate) fn is_stable(&self, epoch: Epoch, mutant: Option<Mutant>) -> bool {
        self.state.ring.change.is_none()
            && (self.state.ring.epoch == epoch || mutant == Some(Mutant::FastPathInAnyEpoch))
    }

    /// The invariant of the fast path: without a change under way, the shard owns what the ring assigns to it.
    pub(crate) fn check_stable(&self, name: &ShardName) -> Result<(), String> {
        if self.state.ring.change.is_some() {
            return Ok(());
        }
        let ring = self.state.ring.topology.ring();
        let given = ring.arcs().into_iter().filter(|owned| owned.shard == name).map(|owned| owned.arc);
        let owned = self.state.arcs.iter().filter(|held| held.state == ArcState::Owned).map(|held| held.arc);
        if merged(given) == merged(owned) && self.state.arcs.iter().all(|held| held.state == ArcState::Owned)
        {
            return Ok(());
        }
        Err(format!(
            "{name} has no change under way in epoch {} and does not own what the ring assigns to it",
            self.state.ring.epoch
        ))
    }

    /// Writes without a check of ownership. No value deletes.
    pub(crate) fn put(&mut self, id: i64, value: Option<Value>) {
        match value {
            Some(value) => self.users.insert(id, value),
            None => self.users.remove(&id),
        };
    }

    /// A write: one transaction with the check of ownership. No value deletes.
    pub(crate) fn write(&mut self, id: i64, value: Option<Value>, mutant: Option<Mutant>) -> Wrote {
        match self.held(place(id)).map(|held| held.state.clone()) {
            None => return Wrote::NotOwner,
            Some(ArcState::Fenced(_)) if mutant != Some(Mutant::WriteBehindFence) => return Wrote::Fenced,
            Some(_) => {}
        }
        self.put(id, value);
        Wrote::Done
    }
}
