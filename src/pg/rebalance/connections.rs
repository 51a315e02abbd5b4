//! The connections of one worker, made when they are needed; and what is done about requests that fail.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use postgres::error::SqlState;

use super::chunk_rows::ChunkRows;
use super::connection::Connection;
use super::failpoint;
use super::failpoint::Side;
use super::lock_holder;
use super::run_state::RunState;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::{Reply, Request};
use crate::pg::net::sqlstate;
use crate::pg::net::sqlstate::ShardError;

/// The barrier that writers hold.
pub(crate) const BARRIER: i64 = 7_283_001;
/// The pause before a request is made again.
const PAUSE: Duration = Duration::from_millis(50);

/// The connections of one worker.
pub(crate) struct Connections<'run> {
    run: &'run RunState<'run>,
    by_shard: BTreeMap<ShardName, Connection>,
}

/// One word for a request, in errors and as the name of a crash point.
fn verb(request: &Request<ChunkRows>) -> &'static str {
    match request {
        Request::Look => "look",
        Request::Announce(_) => "announce",
        Request::Cut { .. } => "cut",
        Request::Fence { .. } => "fence",
        Request::Read { .. } => "read",
        Request::Adopt { .. } => "adopt",
        Request::Purge { .. } => "purge",
        Request::Release { .. } => "release",
        Request::Finish { .. } => "finish",
    }
}

fn what(request: &Request<ChunkRows>) -> String {
    match request {
        Request::Look => "look at the catalog".into(),
        Request::Announce(_) => "announce the change".into(),
        Request::Finish { .. } => "finish the change".into(),
        other => format!("{} a chunk", verb(other)),
    }
}

impl<'run> Connections<'run> {
    pub(crate) fn new(run: &'run RunState<'run>) -> Self {
        Self { run, by_shard: BTreeMap::new() }
    }

    /// The connection to a shard.
    pub(crate) fn link(&mut self, shard: &ShardName) -> Result<&mut Connection> {
        if !self.by_shard.contains_key(shard) {
            let link = Connection::open(self.run.cluster, shard)?;
            self.by_shard.insert(shard.clone(), link);
        }
        Ok(self.by_shard.get_mut(shard).expect("it was put there"))
    }

    /// Asks until there is an answer: each request can be made again, whether it was done or not. Fails when that
    /// does not help for a while, or at once when the run is to stop.
    pub(crate) fn ask(
        &mut self,
        shard: &ShardName,
        request: &Request<ChunkRows>,
    ) -> Result<Reply<ChunkRows>> {
        let begun = Instant::now();
        failpoint::point(Side::Before, verb(request));
        loop {
            let (run, chunk_rows) = (self.run, self.run.options.chunk_rows);
            let failed = match self.link(shard) {
                Ok(link) => match link.ask(request, chunk_rows, run.cluster) {
                    Ok(reply) => {
                        if begun.elapsed() > PAUSE {
                            run.waits(None);
                        }
                        failpoint::point(Side::After, verb(request));
                        return Ok(reply);
                    }
                    Err(ShardError::Ours(error)) => return Err(error),
                    Err(ShardError::Server(cause)) => self.after_failure(shard, request, &cause)?,
                },
                Err(error) if error.kind() == Kind::Unreachable => error,
                Err(error) => return Err(error),
            };
            if begun.elapsed() > run.patience {
                return Err(failed);
            }
            if run.is_stopped() {
                return Err(run.stopped());
            }
            run.sleep(PAUSE);
        }
    }

    /// What failed, if it is worth another try.
    fn after_failure(
        &mut self,
        shard: &ShardName,
        request: &Request<ChunkRows>,
        cause: &postgres::Error,
    ) -> Result<Error> {
        let error = sqlstate::doing(&what(request), shard, cause);
        let first = error.hint_text().map_or(String::new(), |hint| format!("{hint}; then: "));
        let error = error.hint(format!("{first}ringshard rebalance goes on where this stopped"));
        if sqlstate::is_lost(cause) {
            self.by_shard.remove(shard);
            self.run.waits(Some(format!("shard `{shard}` does not answer")));
            return Ok(error);
        }
        if sqlstate::is_worth_repeating(cause) {
            return Ok(error);
        }
        if cause.code() != Some(&SqlState::LOCK_NOT_AVAILABLE) {
            return Err(error);
        }
        let holder = self.link(shard).ok().and_then(|link| lock_holder::holder(link, BARRIER));
        let holder = holder.unwrap_or_else(|| "another session".into());
        let message = format!("cannot {} on shard `{shard}`: {holder} holds a lock", what(request));
        self.run.waits(Some(format!("{holder} holds a lock on shard `{shard}`")));
        Ok(Error::new(Kind::Locked, message)
            .hint("end that transaction, then: ringshard rebalance")
            .on_shard(shard))
    }
}
