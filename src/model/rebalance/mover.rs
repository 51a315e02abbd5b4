//! A mover: looks at all shards, does what is to be done, looks again, until the change is at its end.
//!
//! A state machine: [`Mover::ask`] says whom to ask what, [`Mover::hear`] takes the answer. Who drives it may die
//! between any two of these calls.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::chunk::{ChunkMove, ChunkOutcome};
use super::{
    Announcement, Damage, Goal, Leftover, Reply, Request, ShardState, Situation, Work, next_work, situation,
};
use crate::model::names::ShardName;
use crate::model::ring::arc::Arc;
use crate::model::ring::arc::ShardArc;
use crate::model::ring::topology::Epoch;

/// What all shards said in one round, or in a part of it.
pub type States = BTreeMap<ShardName, ShardState>;

#[derive(Debug, Clone)]
enum Stage<R> {
    Looking { left: Vec<ShardName>, states: States },
    Telling(VecDeque<(ShardName, Announcement)>),
    Settling(VecDeque<(Leftover, bool)>),
    Moving(VecDeque<ChunkMove<R>>),
    Finishing(VecDeque<(ShardName, Epoch, Vec<ShardArc>, Vec<Arc>)>),
    Ended,
}

/// What a mover is doing, for people to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It looks at all shards.
    Looking,
    /// It tells shards of the change.
    Announcing,
    /// It settles or ends what other movers left.
    Settling,
    /// It moves chunks.
    Moving,
    /// It tells shards that the change is done.
    Finishing,
    /// There is nothing left to do.
    Ended,
}

impl Phase {
    /// One word for it.
    pub const fn word(self) -> &'static str {
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

/// A mover.
#[derive(Debug, Clone)]
pub struct Mover<R> {
    goal: Goal,
    /// Whom to look at: the shards that are known, and all participants that are told of on the way.
    names: BTreeSet<ShardName>,
    stage: Stage<R>,
    /// The change that it works on; at its end, so is the mover.
    epoch: Option<Epoch>,
    /// What was damaged in the look before.
    damaged: Option<States>,
    /// The last whole look.
    states: States,
}

impl<R: Clone> Mover<R> {
    /// A mover that knows of these shards.
    pub fn new(goal: Goal, names: impl IntoIterator<Item = ShardName>) -> Self {
        let names = names.into_iter().collect();
        let stage = Stage::Ended;
        let mut mover = Self { goal, names, stage, epoch: None, damaged: None, states: States::new() };
        mover.look();
        mover
    }

    /// From here on it looks at all shards anew.
    pub fn look(&mut self) {
        self.stage =
            Stage::Looking { left: self.names.iter().rev().cloned().collect(), states: States::new() };
    }

    /// Whom to ask what; nothing at the end.
    pub fn ask(&self) -> Option<(ShardName, Request<R>)> {
        Some(match &self.stage {
            Stage::Looking { left, .. } => {
                (left.last().expect("a round ends with its last look").clone(), Request::Look)
            }
            Stage::Telling(queue) => {
                let (name, announcement) = queue.front().expect("an empty queue ends the stage");
                (name.clone(), Request::Announce(announcement.clone()))
            }
            Stage::Settling(queue) => {
                let (left, is_taken) = queue.front().expect("an empty queue ends the stage");
                (left.source.clone(), if *is_taken { left.purge() } else { left.release() })
            }
            Stage::Moving(queue) => {
                let (name, request) = queue.front().expect("an empty queue ends the stage").ask();
                (name.clone(), request)
            }
            Stage::Finishing(queue) => {
                let (name, epoch, seen, merged) = queue.front().expect("an empty queue ends the stage");
                let (epoch, seen, merged) = (*epoch, seen.clone(), merged.clone());
                (name.clone(), Request::Finish { epoch, seen, merged })
            }
            Stage::Ended => return None,
        })
    }

    /// Takes the answer to what was asked.
    pub fn hear(&mut self, reply: Reply<R>) -> Result<(), Damage> {
        let is_done = matches!(reply, Reply::Done | Reply::Already);
        let goes_on = match &mut self.stage {
            Stage::Looking { left, states } => {
                let (Some(name), Reply::State(state)) = (left.pop(), reply) else {
                    unreachable!("a look is answered with a state");
                };
                states.insert(name, *state);
                if left.is_empty() {
                    let states = std::mem::take(states);
                    return self.decide(states);
                }
                true
            }
            Stage::Telling(queue) => queue.pop_front().is_some() && is_done && !queue.is_empty(),
            // One that another mover settled is none of ours any more.
            Stage::Settling(queue) => queue.pop_front().is_some() && !queue.is_empty(),
            Stage::Finishing(queue) => queue.pop_front().is_some() && is_done && !queue.is_empty(),
            Stage::Moving(queue) => {
                let front = queue.front_mut().expect("an empty queue ends the stage");
                match front.hear(reply) {
                    ChunkOutcome::Next | ChunkOutcome::ChunkMoved => true,
                    ChunkOutcome::Moved => queue.pop_front().is_some() && !queue.is_empty(),
                    ChunkOutcome::Surprise => false,
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
            // The looks are not of one instant, and others are at work: what fits together badly once is no damage.
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
        Ok(match next_work(states, self.goal)? {
            Work::Nothing => Stage::Ended,
            Work::Announce(told) => {
                self.epoch = told.first().map(|(_, announcement)| announcement.epoch);
                Stage::Telling(told.into())
            }
            Work::Settle(leftovers) => Stage::Settling(leftovers.into()),
            Work::Resume(leftovers) => Stage::Moving(leftovers.iter().map(ChunkMove::of_leftover).collect()),
            Work::Move(pieces) => Stage::Moving(pieces.iter().map(ChunkMove::of_piece).collect()),
            Work::Finish(pending) => Stage::Finishing(pending.into()),
        })
    }

    /// What it is doing.
    pub fn phase(&self) -> Phase {
        match &self.stage {
            Stage::Looking { .. } => Phase::Looking,
            Stage::Telling(_) => Phase::Announcing,
            Stage::Settling(_) => Phase::Settling,
            Stage::Moving(_) => Phase::Moving,
            Stage::Finishing(_) => Phase::Finishing,
            Stage::Ended => Phase::Ended,
        }
    }

    /// The ranges that are to be moved now, if any, to be moved by others, in any order or at once. Then it looks
    /// again.
    pub fn take_moves(&mut self) -> Vec<ChunkMove<R>> {
        let Stage::Moving(queue) = &mut self.stage else { return Vec::new() };
        let moves = std::mem::take(queue).into();
        self.look();
        moves
    }

    /// The last whole look at all shards.
    pub fn states(&self) -> &States {
        &self.states
    }

    /// The epoch of the change that it works on.
    pub fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }
}
