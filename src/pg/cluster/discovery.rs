//! Finds a shard's new primary or unknown replicas by asking the other shards.

use std::collections::BTreeSet;
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

    /// Whether a server that answered with this epoch may be a stale primary. Then the caller refreshes, and checks
    /// `Shards::is_current`. A server that is only late is suspected once.
    pub(crate) fn is_suspect(&self, server: &Server, epoch: Epoch) -> bool {
        let known = self.view().epoch;
        let is_new = |late: &mut BTreeSet<_>| late.insert((server.name().clone(), epoch, known));
        epoch < known && !server.is_standby() && is_new(&mut self.late.lock())
    }

    /// Refreshes; returns whether the shard has another primary.
    pub(crate) fn has_moved(&self, shard: &ShardName) -> Result<bool> {
        let before = self.shards.address(shard)?;
        self.refresh()?;
        Ok(self.shards.address(shard)?.shown() != before.shown())
    }
}
