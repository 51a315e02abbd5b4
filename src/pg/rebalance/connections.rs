//! The connections of one worker, opened when they are needed, and the retries of failed requests.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use postgres::error::SqlState;

use super::lock_holder;
use super::run_state::RunState;
use super::standbys::Standbys;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::{Reply, Request};
use crate::pg::cluster::Cluster;
use crate::pg::failpoint::{self, Side};
use crate::pg::net::advisory_lock::BARRIER;
use crate::pg::net::sqlstate::{self, ShardError};
use crate::pg::requests::chunk_rows::ChunkRows;
use crate::pg::requests::connection::Connection;
use crate::pg::requests::stream_chunk::Handover;

/// The pause before a request is repeated.
const PAUSE: Duration = Duration::from_millis(50);

/// The connections of one worker.
pub(crate) struct Connections<'run> {
    run_state: &'run RunState<'run>,
    by_shard: BTreeMap<ShardName, Connection>,
    open: fn(&Cluster, &ShardName) -> Result<Connection>,
    standbys: Standbys,
}

/// The name of a request, in errors and failpoints.
fn verb(request: &Request<ChunkRows>) -> &'static str {
    match request {
        Request::Look => "observe",
        Request::Announce(_) => "announce",
        Request::Cut { .. } => "cut",
        Request::Fence { .. } => "fence",
        Request::Read { .. } => "read",
        Request::Receive { .. } => "receive",
        Request::Purge { .. } => "purge",
        Request::Release { .. } => "release",
        Request::Finish { .. } => "finish",
    }
}

fn what(request: &Request<ChunkRows>) -> String {
    match request {
        Request::Look => "read the state".into(),
        Request::Announce(_) => "announce the change".into(),
        Request::Finish { .. } => "finish the change".into(),
        other => format!("{} a chunk", verb(other)),
    }
}

impl<'run> Connections<'run> {
    pub(crate) fn new(run_state: &'run RunState<'run>) -> Self {
        Self { run_state, by_shard: BTreeMap::new(), open: Connection::open, standbys: Standbys::default() }
    }

    /// Connections that only read.
    pub(crate) fn to_read(run_state: &'run RunState<'run>) -> Self {
        Self { open: Connection::to_read, ..Self::new(run_state) }
    }

    /// The connection to a shard, opened if necessary.
    pub(crate) fn connection(&mut self, shard: &ShardName) -> Result<&mut Connection> {
        if !self.by_shard.contains_key(shard) {
            let mut connection = (self.open)(self.run_state.cluster, shard)?;
            // So that each request notices when its server is replaced.
            connection.read_catalog(self.run_state.cluster)?;
            self.standbys.forget(shard);
            self.by_shard.insert(shard.clone(), connection);
        }
        Ok(self.by_shard.get_mut(shard).expect("it was inserted above"))
    }

    /// Waits until all standbys of a shard have what it has committed.
    pub(crate) fn wait_for_standbys(&mut self, shard: &ShardName) -> Result<()> {
        let run_state = self.run_state;
        let Some(patience) = run_state.options.standby_patience else { return Ok(()) };
        let shards = run_state.cluster.shards();
        self.connection(shard)?;
        let Self { by_shard, standbys, .. } = self;
        let session = by_shard.get_mut(shard).expect("it was opened above").session();
        let mut has_waited = false;
        let waited = standbys.wait(shards, shard, session, patience, |behind, pause| {
            if run_state.is_stopped() {
                return Err(run_state.stopped());
            }
            has_waited = true;
            run_state
                .set_waiting(Some(format!("{behind} of shard `{shard}` has not received what it committed")));
            run_state.sleep(pause);
            Ok(())
        });
        if has_waited {
            run_state.set_waiting(None);
        }
        if session.is_closed() {
            by_shard.remove(shard);
        }
        waited
    }

    /// Sends a request until there is a reply: each request can be repeated, whether it was carried out or not. Fails after the
    /// run's patience, or as soon as the run is to stop.
    pub(crate) fn request(
        &mut self,
        shard: &ShardName,
        request: &Request<ChunkRows>,
    ) -> Result<Reply<ChunkRows>> {
        let begun = Instant::now();
        failpoint::point(Side::Before, verb(request));
        loop {
            let run_state = self.run_state;
            let failed = match self.connection(shard) {
                Ok(_) => match self.send(shard, request) {
                    Ok(reply) => {
                        if begun.elapsed() > PAUSE {
                            run_state.set_waiting(None);
                        }
                        failpoint::point(Side::After, verb(request));
                        return Ok(reply);
                    }
                    // Its server was replaced: the next connection leads to the new one, or fails too.
                    Err(ShardError::Local(error)) if error.kind() == Kind::Conflict => {
                        self.by_shard.remove(shard);
                        error
                    }
                    Err(ShardError::Local(error)) => return Err(error),
                    Err(ShardError::Server(cause)) => self.after_failure(shard, request, &cause)?,
                },
                Err(error) if matches!(error.kind(), Kind::Unreachable | Kind::Conflict) => error,
                Err(error) => return Err(error),
            };
            if begun.elapsed() > run_state.patience {
                return Err(failed);
            }
            if run_state.is_stopped() {
                return Err(run_state.stopped());
            }
            run_state.sleep(PAUSE);
        }
    }

    /// Sends a request once.
    fn send(
        &mut self,
        shard: &ShardName,
        request: &Request<ChunkRows>,
    ) -> Result<Reply<ChunkRows>, ShardError> {
        let run_state = self.run_state;
        let handover = match request {
            Request::Receive { epoch, chunk, source, rows } if rows.are_large() => {
                Handover { epoch: *epoch, chunk: *chunk, source, rows }
            }
            _ => {
                let connection = self.connection(shard)?;
                return connection.request(request, run_state.options.chunk_rows, run_state.cluster);
            }
        };
        let source = handover.source;
        self.connection(source)?;
        let mut from = self.by_shard.remove(source).expect("it was opened above");
        let reply = self.connection(shard)?.receive_streamed(&mut from, &handover);
        // After a failure it may be in any state.
        if reply.is_ok() {
            self.by_shard.insert(source.clone(), from);
        }
        reply
    }

    /// The error of a failed request: `Ok` if it may be repeated, `Err` if not.
    fn after_failure(
        &mut self,
        shard: &ShardName,
        request: &Request<ChunkRows>,
        cause: &postgres::Error,
    ) -> Result<Error> {
        let error = sqlstate::doing(&what(request), shard, cause);
        let first = error.hint_text().map_or(String::new(), |hint| format!("{hint}; then: "));
        let error = error.hint(format!("{first}ringshard rebalance continues from here"));
        if sqlstate::is_lost(cause) {
            self.by_shard.remove(shard);
            self.run_state.set_waiting(Some(format!("shard `{shard}` does not answer")));
            return Ok(error);
        }
        if sqlstate::is_worth_repeating(cause) {
            return Ok(error);
        }
        if cause.code() != Some(&SqlState::LOCK_NOT_AVAILABLE) {
            return Err(error);
        }
        let holder =
            self.connection(shard).ok().and_then(|connection| lock_holder::holder(connection, BARRIER));
        let holder = holder.unwrap_or_else(|| "another session".into());
        let message = format!("cannot {} on shard `{shard}`: {holder} holds a lock", what(request));
        self.run_state.set_waiting(Some(format!("{holder} holds a lock on shard `{shard}`")));
        Ok(Error::new(Kind::Locked, message)
            .hint("end that transaction, then run ringshard rebalance")
            .on_shard(shard))
    }
}
