//! A mover: reads the states of all shards, does the next work, and reads the states again, until the change is finished.
//!
//! It is a state machine: [`Mover::next_request`] gives the next request and its shard, [`Mover::handle`] takes the reply.
//! The process may end between any two of these calls.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::chunk::{ChunkMove, ChunkOutcome};
use super::{
    Announcement, Damage, Direction, Leftover, Reply, Request, ShardState, Situation, Work, next_work,
    situation,
};
use crate::model::names::ShardName;
use crate::model::ring::arc::{Arc, ShardArc};
use crate::model::ring::topology::Epoch;

/// The states of all shards, or of a part of them, as read in one round.
pub type States = BTreeMap<ShardName, ShardState>;

#[derive(Debug, Clone)]
enum Stage<R> {
    Looking { left: Vec<ShardName>, states: States },
    Announcing(VecDeque<(ShardName, Announcement)>),
    Settling(VecDeque<(Leftover, bool)>),
    Moving(VecDeque<ChunkMove<R>>),
    Finishing(VecDeque<(ShardName, Epoch, Vec<ShardArc>, Vec<Arc>)>),
    Ended,
}

/// What a mover is doing, for display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It reads the states of all shards.
    Looking,
    /// It announces the change.
    Announcing,
    /// It settles the leftovers of earlier epochs.
    Settling,
    /// It moves chunks.
    Moving,
    /// It finishes the change on all shards.
    Finishing,
    /// Nothing is left to do.
    Ended,
}

impl Phase {
    /// Its name, as it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Looking => "looking",
            Self::Announcing => "announcing",
            Self::Settling => "settling",
            Self::Moving => "moving",
            Self::Finishing => "finishing",
            Self::Ended => "ended",
        }
    }
}

/// The state machine of a mover.
#[derive(Debug, Clone)]
pub struct Mover<R> {
    direction: Direction,
    /// The shards to read: those that were named, and all participants that their states name.
    names: BTreeSet<ShardName>,
    stage: Stage<R>,
    /// The epoch of the change that it carries out; when that is finished, the mover ends.
    epoch: Option<Epoch>,
    /// The states of the last round, if they showed damage.
    damaged: Option<States>,
    /// The states of the last complete round.
    states: States,
}

impl<R: Clone> Mover<R> {
    /// A mover that begins with these shards.
    pub fn new(direction: Direction, names: impl IntoIterator<Item = ShardName>) -> Self {
        let names = names.into_iter().collect();
        let stage = Stage::Ended;
        let mut mover = Self { direction, names, stage, epoch: None, damaged: None, states: States::new() };
        mover.look();
        mover
    }

    /// Begins a new round of reading all states.
    pub fn look(&mut self) {
        self.stage =
            Stage::Looking { left: self.names.iter().rev().cloned().collect(), states: States::new() };
    }

    /// The next request and its shard; `None` at the end.
    pub fn next_request(&self) -> Option<(ShardName, Request<R>)> {
        Some(match &self.stage {
            Stage::Looking { left, .. } => {
                (left.last().expect("a round ends with its last shard").clone(), Request::Look)
            }
            Stage::Announcing(queue) => {
                let (name, announcement) = queue.front().expect("an empty queue ends the stage");
                (name.clone(), Request::Announce(announcement.clone()))
            }
            Stage::Settling(queue) => {
                let (leftover, is_taken) = queue.front().expect("an empty queue ends the stage");
                let now = self.epoch.expect("leftovers are settled in the epoch of a change");
                (leftover.source.clone(), if *is_taken { leftover.purge(now) } else { leftover.release(now) })
            }
            Stage::Moving(queue) => {
                let (name, request) = queue.front().expect("an empty queue ends the stage").request();
                (name.clone(), request)
            }
            Stage::Finishing(queue) => {
                let (name, epoch, expected, merged) = queue.front().expect("an empty queue ends the stage");
                let (epoch, expected, merged) = (*epoch, expected.clone(), merged.clone());
                (name.clone(), Request::Finish { epoch, expected, merged })
            }
            Stage::Ended => return None,
        })
    }

    /// Handles the reply to the request. Fails if two rounds in a row show the same damage.
    pub fn handle(&mut self, reply: Reply<R>) -> Result<(), Damage> {
        let is_done = matches!(reply, Reply::Done | Reply::Already);
        let goes_on = match &mut self.stage {
            Stage::Looking { left, states } => {
                let (Some(name), Reply::State(state)) = (left.pop(), reply) else {
                    unreachable!("the reply to `Look` is a state");
                };
                states.insert(name, *state);
                if left.is_empty() {
                    let states = std::mem::take(states);
                    return self.decide(states);
                }
                true
            }
            Stage::Announcing(queue) => queue.pop_front().is_some() && is_done && !queue.is_empty(),
            // `Stale`: another mover settled it.
            Stage::Settling(queue) => queue.pop_front().is_some() && !queue.is_empty(),
            Stage::Finishing(queue) => queue.pop_front().is_some() && is_done && !queue.is_empty(),
            Stage::Moving(queue) => {
                let front = queue.front_mut().expect("an empty queue ends the stage");
                match front.handle(reply) {
                    ChunkOutcome::Next | ChunkOutcome::ChunkMoved => true,
                    ChunkOutcome::Moved => queue.pop_front().is_some() && !queue.is_empty(),
                    ChunkOutcome::Unexpected => false,
                }
            }
            Stage::Ended => true,
        };
        if !goes_on {
            self.look();
        }
        Ok(())
    }

    fn decide(&mut self, states: States) -> Result<(), Damage> {
        match self.next(&states) {
            Ok(stage) => {
                self.damaged = None;
                self.stage = stage;
            }
            // The states were read at different times, and other movers may run: only damage that stays is damage.
            Err(damage) if self.damaged.as_ref() == Some(&states) => return Err(damage),
            Err(_) => {
                self.damaged = Some(states.clone());
                self.look();
            }
        }
        self.states = states;
        Ok(())
    }

    fn next(&mut self, states: &States) -> Result<Stage<R>, Damage> {
        let situation = situation(states)?;
        let unknown: Vec<ShardName> =
            situation.participants().into_iter().filter(|name| !states.contains_key(name)).collect();
        if !unknown.is_empty() {
            self.names.extend(unknown.iter().cloned());
            return Ok(Stage::Looking { left: unknown, states: states.clone() });
        }
        match (&situation, self.epoch) {
            (Situation::Idle { .. }, Some(_)) => return Ok(Stage::Ended),
            (Situation::Changing { epoch, .. }, _) => self.epoch = Some(*epoch),
            (Situation::Idle { .. }, None) => {}
        }
        Ok(match next_work(states, self.direction)? {
            Work::Nothing => Stage::Ended,
            Work::Announce(announcements) => {
                self.epoch = announcements.first().map(|(_, announcement)| announcement.epoch);
                Stage::Announcing(announcements.into())
            }
            Work::Settle(leftovers) => Stage::Settling(leftovers.into()),
            Work::Resume(leftovers) => {
                Stage::Moving(leftovers.iter().map(|left| ChunkMove::of_leftover(left, left.epoch)).collect())
            }
            Work::Move(pieces) => Stage::Moving(pieces.iter().map(ChunkMove::of_piece).collect()),
            Work::Finish(pending) => Stage::Finishing(pending.into()),
        })
    }

    /// The current phase.
    pub fn phase(&self) -> Phase {
        match &self.stage {
            Stage::Looking { .. } => Phase::Looking,
            Stage::Announcing(_) => Phase::Announcing,
            Stage::Settling(_) => Phase::Settling,
            Stage::Moving(_) => Phase::Moving,
            Stage::Finishing(_) => Phase::Finishing,
            Stage::Ended => Phase::Ended,
        }
    }

    /// Hands out the ranges to move now, if any; the caller moves them in any order, or in parallel. After that the mover reads
    /// all states again.
    pub fn take_moves(&mut self) -> Vec<ChunkMove<R>> {
        let Stage::Moving(queue) = &mut self.stage else { return Vec::new() };
        let moves = std::mem::take(queue).into();
        self.look();
        moves
    }

    /// The states of the last complete round.
    pub fn states(&self) -> &States {
        &self.states
    }

    /// The epoch of the change that it carries out.
    pub fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }
}
