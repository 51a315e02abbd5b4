//! How far one worker has stored the file.

use std::sync::atomic::Ordering;

use super::ImportShared;
use super::batch::RowBatch;
use super::checkpoint::{Checkpoint, MIXED};

/// How far a worker has come.
pub(crate) struct Progress {
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Use the temporary table at once, as there were conflicts before.
    pub(crate) staged: bool,
    /// Whether a row was refused. A run that resumes this import must meet it again, so that it is collected again: no
    /// checkpoint covers it, nor what follows.
    pub(crate) has_refused: bool,
}

impl Progress {
    pub(crate) fn new(checkpoint: Option<Checkpoint>) -> Self {
        Self { checkpoint, staged: false, has_refused: false }
    }

    /// The checkpoint after a batch.
    pub(crate) fn after(&self, shared: &ImportShared, fingerprint: &str, batch: &RowBatch) -> Checkpoint {
        let before = self.checkpoint.as_ref();
        let last = batch.origins().last().map_or(0, |origin| origin.record);
        let mixed = shared.mixed.load(Ordering::SeqCst);
        let after = Checkpoint {
            committed_through: last,
            high_water_mark: last.max(before.map_or(0, |checkpoint| checkpoint.high_water_mark)),
            digest: batch.digest,
            routing: if mixed { MIXED } else { fingerprint }.to_owned(),
        };
        if self.has_refused { held_back(&after, before) } else { after }
    }
}

/// A checkpoint that covers no more records than the one before, although more were sent.
pub(crate) fn held_back(after: &Checkpoint, before: Option<&Checkpoint>) -> Checkpoint {
    let (committed_through, digest) =
        before.map_or((0, 0), |checkpoint| (checkpoint.committed_through, checkpoint.digest));
    Checkpoint { committed_through, digest, ..after.clone() }
}
