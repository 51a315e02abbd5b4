//! One range on its way from one shard to another, chunk by chunk: what to ask of whom, step by step.

use super::{Leftover, Reply, Request, Transfer};
use crate::model::names::ShardName;
use crate::model::ring::arc::Arc;
use crate::model::ring::topology::Epoch;

/// Where a chunk stands. Its rows travel in the step between source and target.
#[derive(Debug, Clone)]
enum ChunkStep<R> {
    Cut,
    Fence(Arc),
    Read(Arc),
    Adopt(Arc, R),
    Purge(Arc),
}

/// What came of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkOutcome {
    /// Ask on.
    Next,
    /// A chunk is with its target and forgotten by its source; there is more of the range.
    ChunkMoved,
    /// So is the last one.
    Moved,
    /// Something is not as was thought, most likely as another mover was faster: look at all shards again.
    Surprise,
}

/// A range on its way. It is where a safe point is: between two chunks.
#[derive(Debug, Clone)]
pub struct ChunkMove<R> {
    epoch: Epoch,
    source: ShardName,
    target: ShardName,
    /// What is left of the range; `None` behind the last chunk.
    rest: Option<Arc>,
    step: ChunkStep<R>,
}

impl<R: Clone> ChunkMove<R> {
    /// From the beginning.
    pub fn of_piece(piece: &Transfer) -> Self {
        Self {
            epoch: piece.epoch,
            source: piece.source.clone(),
            target: piece.target.clone(),
            rest: Some(piece.range),
            step: ChunkStep::Cut,
        }
    }

    /// A chunk that is fenced already.
    pub fn of_leftover(leftover: &Leftover) -> Self {
        Self {
            epoch: leftover.epoch,
            source: leftover.source.clone(),
            target: leftover.target.clone(),
            rest: Some(leftover.chunk),
            step: ChunkStep::Read(leftover.chunk),
        }
    }

    /// Whom to ask what.
    pub fn ask(&self) -> (&ShardName, Request<R>) {
        let (epoch, target) = (self.epoch, self.target.clone());
        match &self.step {
            ChunkStep::Cut => {
                let range = self.rest.expect("there is more of the range, or nobody asks");
                (&self.source, Request::Cut { range })
            }
            ChunkStep::Fence(chunk) => (&self.source, Request::Fence { epoch, chunk: *chunk, target }),
            ChunkStep::Read(chunk) => (&self.source, Request::Read { epoch, chunk: *chunk, target }),
            ChunkStep::Adopt(chunk, rows) => {
                let (source, rows) = (self.source.clone(), rows.clone());
                (&self.target, Request::Adopt { epoch, chunk: *chunk, source, rows })
            }
            ChunkStep::Purge(chunk) => (&self.source, Request::Purge { epoch, chunk: *chunk, target }),
        }
    }

    /// Takes the answer. After a lost one, the same is asked again: each step can be repeated.
    pub fn hear(&mut self, reply: Reply<R>) -> ChunkOutcome {
        let (step, outcome) = match (&self.step, reply) {
            (ChunkStep::Cut, Reply::Cut(last)) => {
                let rest = self.rest.expect("it was cut");
                (ChunkStep::Fence(Arc::new(rest.first(), last.min(rest.last()))), ChunkOutcome::Next)
            }
            // Fenced just so already: this mover's own answer was lost, or another one is at the same chunk.
            (ChunkStep::Fence(chunk), Reply::Done | Reply::Already) => {
                (ChunkStep::Read(*chunk), ChunkOutcome::Next)
            }
            (ChunkStep::Read(chunk), Reply::Rows(rows)) => {
                (ChunkStep::Adopt(*chunk, rows), ChunkOutcome::Next)
            }
            (ChunkStep::Adopt(chunk, _), Reply::Done | Reply::Already) => {
                (ChunkStep::Purge(*chunk), ChunkOutcome::Next)
            }
            // Gone: another mover has purged it.
            (ChunkStep::Purge(chunk), Reply::Done | Reply::Already) => {
                let rest = self.rest.expect("a chunk of it was moved");
                self.rest = chunk
                    .last()
                    .next()
                    .filter(|first| *first <= rest.last())
                    .map(|first| Arc::new(first, rest.last()));
                let outcome =
                    if self.rest.is_some() { ChunkOutcome::ChunkMoved } else { ChunkOutcome::Moved };
                (ChunkStep::Cut, outcome)
            }
            _ => return ChunkOutcome::Surprise,
        };
        self.step = step;
        outcome
    }

    /// From whom.
    pub fn source(&self) -> &ShardName {
        &self.source
    }

    /// To whom.
    pub fn target(&self) -> &ShardName {
        &self.target
    }

    /// Whether no chunk is half-way: here a mover may stop.
    pub fn is_between_chunks(&self) -> bool {
        matches!(self.step, ChunkStep::Cut | ChunkStep::Fence(_))
    }
}
