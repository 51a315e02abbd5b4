//! Finds a shard's new primary or unknown replicas by asking the other shards.

use std::time::{Duration, Instant};

use super::Cluster;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::ring::topology::Epoch;
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::pool::{PooledSession, Server};

/// The least time between two discoveries of one shard.
const DISCOVERY_PAUSE: Duration = Duration::from_secs(1);

impl Cluster {
    /// A session of a shard. If it does not answer, it may have another primary or unknown replicas, so the other shards are
    /// asked first.
    pub(crate) fn reach(&self, intent: ReadIntent, shard: &ShardName) -> Result<PooledSession> {
        match self.shards.checkout_for(intent, shard) {
            Err(error) if error.kind() == Kind::Unreachable && self.should_discover(shard) => {
                let before = self.shards.servers(shard);
                if self.refresh().is_ok() && self.shards.servers(shard) != before {
                    return self.shards.checkout_for(intent, shard);
                }
                Err(self.with_replica_hint(error, shard))
            }
            checked_out => checked_out.map_err(|error| self.with_replica_hint(error, shard)),
        }
    }

    /// Adds a hint to an error if the shard has a replica.
    fn with_replica_hint(&self, error: Error, shard: &ShardName) -> Error {
        if error.kind() != Kind::Unreachable || self.shards.replicas(shard).is_empty() {
            return error;
        }
        error.hint(format!(
            "shard `{shard}` has a replica: --read-replica auto reads from it; if the primary is lost, ringshard promote \
             {shard} makes it the primary"
        ))
    }

    /// Whether a discovery is due; at most one in each pause.
    fn should_discover(&self, shard: &ShardName) -> bool {
        let mut discovered_at = self.discovered_at.lock();
        let is_due = discovered_at.get(shard).is_none_or(|at| at.elapsed() > DISCOVERY_PAUSE);
        if is_due {
            discovered_at.insert(shard.clone(), Instant::now());
        }
        is_due
    }

    /// Examines a server that answered with this epoch, if that is older than the known one: it may be a stale primary.
    /// Returns whether it did; then the caller checks `Shards::is_current`. A server that is only late is examined once. Fails
    /// with `Conflict` if it is a stale primary, and the address of the new one is not known.
    pub(crate) fn examine(&self, server: &Server, epoch: Epoch) -> Result<bool> {
        let known = self.view().epoch;
        let suspicion = (server.name().clone(), epoch, known);
        if epoch >= known || server.is_standby() || self.late.lock().contains(&suspicion) {
            return Ok(false);
        }
        let failed = self.refresh()?;
        if let Some((_, error)) =
            failed.iter().find(|(name, error)| name == server.name() && error.kind() == Kind::Conflict)
        {
            return Err(error.clone());
        }
        // A shard that does not answer may know more.
        let view = self.view();
        if failed.iter().all(|(name, _)| !view.belongs(name)) {
            self.late.lock().insert(suspicion);
        }
        Ok(true)
    }

    /// The earliest epoch in which a server may do a write: the known one, or that in which it was found to be only late.
    pub(crate) fn least_epoch(&self, server: &Server) -> Epoch {
        let known = self.view().epoch;
        let late = self.late.lock();
        let found = late.iter().filter(|(name, _, of)| name == server.name() && *of == known);
        found.map(|(_, epoch, _)| *epoch).min().unwrap_or(known)
    }

    /// Refreshes; returns whether the shard has another primary.
    pub(crate) fn has_moved(&self, shard: &ShardName) -> Result<bool> {
        let before = self.shards.address(shard)?;
        self.refresh()?;
        Ok(self.shards.address(shard)?.shown() != before.shown())
    }
}
