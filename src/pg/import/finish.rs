//! The end of an import: all rows go to disk, and then the checkpoints are deleted.

use std::sync::atomic::Ordering;

use postgres::Client;

use super::checkpoint::{self, Checkpoint, DONE, MIXED};
use super::store::Store;
use crate::error::{Error, Result};
use crate::model::names::ShardName;
use crate::pg::catalog::imports;
use crate::pg::net::sqlstate;
use crate::pg::pool::PooledSession;
use crate::threads;

impl Store<'_> {
    /// All rows are stored: flushes each shard to disk, and then deletes the checkpoints. If a deletion fails, the import has
    /// succeeded all the same; returns these errors.
    pub(crate) fn finish(
        &self,
        sessions: &mut [(ShardName, PooledSession)],
        records: u64,
        digest: i64,
    ) -> Result<Vec<Error>> {
        let mixed = self.shared.mixed.load(Ordering::SeqCst);
        let routing = if mixed { MIXED } else { self.fingerprint }.to_owned();
        let all = Checkpoint { committed_through: records, high_water_mark: records, digest, routing };
        let done = Checkpoint {
            committed_through: records,
            high_water_mark: records,
            digest,
            routing: DONE.to_owned(),
        };
        let all_ok = |results: Vec<Result<()>>| results.into_iter().collect::<Result<()>>();
        // First each shard's own checkpoint: `DONE` holds for all shards, so all must be on disk before it.
        all_ok(on_disk(sessions, &|client| checkpoint::write(client, self.options, &all)))?;
        all_ok(on_disk(sessions, &|client| checkpoint::write(client, self.options, &done)))?;
        let deleted = on_disk(sessions, &|client| imports::delete(client, self.options.source.into()));
        Ok(deleted.into_iter().filter_map(Result::err).collect())
    }
}

/// Runs a step on each shard in parallel, in a transaction that waits for the disk.
fn on_disk(
    sessions: &mut [(ShardName, PooledSession)],
    step: &(dyn Fn(&mut Client) -> Result<(), postgres::Error> + Sync),
) -> Vec<Result<()>> {
    threads::at_once(sessions, |(shard, session)| {
        let client = session.client();
        let ended = client
            .batch_execute("BEGIN; SET LOCAL synchronous_commit = on")
            .and_then(|()| step(client))
            .and_then(|()| client.batch_execute("COMMIT"));
        ended.map_err(|cause| {
            let error = sqlstate::doing("finish the import", shard, &cause);
            error.hint("run this again with the same file to continue")
        })
    })
}
