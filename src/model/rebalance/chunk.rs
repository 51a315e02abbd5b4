//! Moves one range from its source to its target, chunk by chunk: which request to send to which shard next.

use super::{Leftover, Reply, Request, Transfer};
use crate::model::names::ShardName;
use crate::model::ring::arc::Arc;
use crate::model::ring::topology::Epoch;

/// The next step of a chunk. Between source and target the step holds the rows.
#[derive(Debug, Clone)]
enum ChunkStep<R> {
    Cut,
    Fence(Arc),
    Read(Arc),
    Receive(Arc, R),
    Purge(Arc),
}

/// What a reply led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkOutcome {
    /// Send the next request.
    Next,
    /// A chunk was moved and purged; more chunks of the range follow.
    ChunkMoved,
    /// The last chunk was moved and purged.
    Moved,
    /// The shard is not in the expected state, most likely because of another mover: read the states of all shards again.
    Unexpected,
}

/// The move of one range. A mover may stop between two chunks.
#[derive(Debug, Clone)]
pub struct ChunkMove<R> {
    epoch: Epoch,
    /// The epoch of the change that moves it.
    decided_in: Epoch,
    source: ShardName,
    target: ShardName,
    /// What is left of the range; `None` after the last chunk.
    remaining: Option<Arc>,
    step: ChunkStep<R>,
}

impl<R: Clone> ChunkMove<R> {
    /// The move of a whole range.
    pub fn of_piece(piece: &Transfer) -> Self {
        Self {
            epoch: piece.epoch,
            decided_in: piece.epoch,
            source: piece.source.clone(),
            target: piece.target.clone(),
            remaining: Some(piece.range),
            step: ChunkStep::Cut,
        }
    }

    /// The rest of the move of a chunk that is already fenced, by a change of the epoch `decided_in`.
    pub fn of_leftover(leftover: &Leftover, decided_in: Epoch) -> Self {
        Self {
            epoch: leftover.epoch,
            decided_in,
            source: leftover.source.clone(),
            target: leftover.target.clone(),
            remaining: Some(leftover.chunk),
            step: ChunkStep::Read(leftover.chunk),
        }
    }

    /// The next request, and the shard that it is for.
    pub fn request(&self) -> (&ShardName, Request<R>) {
        let (epoch, target) = (self.epoch, self.target.clone());
        match &self.step {
            ChunkStep::Cut => {
                let range = self.remaining.expect("no request follows the last chunk");
                (&self.source, Request::Cut { range })
            }
            ChunkStep::Fence(chunk) => (&self.source, Request::Fence { epoch, chunk: *chunk, target }),
            ChunkStep::Read(chunk) => (&self.source, Request::Read { epoch, chunk: *chunk, target }),
            ChunkStep::Receive(chunk, rows) => {
                let (source, rows) = (self.source.clone(), rows.clone());
                (&self.target, Request::Receive { epoch, chunk: *chunk, source, rows })
            }
            ChunkStep::Purge(chunk) => {
                let decided_in = self.decided_in;
                (&self.source, Request::Purge { epoch, chunk: *chunk, target, decided_in })
            }
        }
    }

    /// Handles the reply. If a reply is lost, the same request is sent again: each step can be repeated.
    pub fn handle(&mut self, reply: Reply<R>) -> ChunkOutcome {
        let (step, outcome) = match (&self.step, reply) {
            (ChunkStep::Cut, Reply::Cut(last)) => {
                let remaining = self.remaining.expect("it was cut");
                (
                    ChunkStep::Fence(Arc::new(remaining.first(), last.min(remaining.last()))),
                    ChunkOutcome::Next,
                )
            }
            // `Already`: this mover's reply was lost, or another mover fenced the same chunk.
            (ChunkStep::Fence(chunk), Reply::Done | Reply::Already) => {
                (ChunkStep::Read(*chunk), ChunkOutcome::Next)
            }
            (ChunkStep::Read(chunk), Reply::Rows(rows)) => {
                (ChunkStep::Receive(*chunk, rows), ChunkOutcome::Next)
            }
            (ChunkStep::Receive(chunk, _), Reply::Done | Reply::Already) => {
                (ChunkStep::Purge(*chunk), ChunkOutcome::Next)
            }
            // `Already`: another mover has purged it.
            (ChunkStep::Purge(chunk), Reply::Done | Reply::Already) => {
                let remaining = self.remaining.expect("a chunk of it was moved");
                self.remaining = chunk
                    .last()
                    .next()
                    .filter(|first| *first <= remaining.last())
                    .map(|first| Arc::new(first, remaining.last()));
                let outcome =
                    if self.remaining.is_some() { ChunkOutcome::ChunkMoved } else { ChunkOutcome::Moved };
                (ChunkStep::Cut, outcome)
            }
            _ => return ChunkOutcome::Unexpected,
        };
        self.step = step;
        outcome
    }

    /// The shard that gives the range.
    pub fn source(&self) -> &ShardName {
        &self.source
    }

    /// The shard that receives it.
    pub fn target(&self) -> &ShardName {
        &self.target
    }

    /// Whether no chunk is fenced or in transit, so that a mover may stop here.
    pub fn is_between_chunks(&self) -> bool {
        matches!(self.step, ChunkStep::Cut | ChunkStep::Fence(_))
    }
}
