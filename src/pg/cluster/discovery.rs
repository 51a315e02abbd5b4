//! A shard that is not where it was: the others know where it is.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Cluster;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::ring::topology::Epoch;
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::pool::{PooledSession, Server};

/// How long a shard that does not answer is not looked for again at another place.
const SEEK_PAUSE: Duration = Duration::from_secs(1);

impl Cluster {
    /// A connection to a shard. One that does not answer may have another primary by now, or standbys that are not
    /// known here: the others know.
    pub(crate) fn reach(&self, intent: ReadIntent, shard: &ShardName) -> Result<PooledSession> {
        match self.shards.checkout_for(intent, shard) {
            Err(error) if error.kind() == Kind::Unreachable && self.should_discover(shard) => {
                let before = self.shards.servers(shard);
                if self.refresh().is_ok() && self.shards.servers(shard) != before {
                    return self.shards.checkout_for(intent, shard);
                }
                Err(self.with_way_out(error, shard))
            }
            checked_out => checked_out.map_err(|error| self.with_way_out(error, shard)),
        }
    }

    /// A shard that does not answer and has a replica is not out of reach.
    fn with_way_out(&self, error: Error, shard: &ShardName) -> Error {
        if error.kind() != Kind::Unreachable || self.shards.replicas(shard).is_empty() {
            return error;
        }
        error.hint(format!(
            "it has a replica: --read-replica auto reads from that; ringshard promote {shard} makes it the primary, if the \
             old one is gone"
        ))
    }

    /// Whether the others are to be asked where a shard is: not again and again.
    fn should_discover(&self, shard: &ShardName) -> bool {
        let mut discovered_at = self.discovered_at.lock();
        let is_due = discovered_at.get(shard).is_none_or(|at| at.elapsed() > SEEK_PAUSE);
        if is_due {
            discovered_at.insert(shard.clone(), Instant::now());
        }
        is_due
    }

    /// Whether who answered with this epoch may be what is left of a shard that is somewhere else by now: then all are to
    /// be asked, and whether `Shards::is_current` still holds tells. One that is just late is suspected once.
    pub(crate) fn is_suspect(&self, server: &Server, epoch: Epoch) -> bool {
        let known = self.view().epoch;
        let is_new = |late: &mut BTreeSet<_>| late.insert((server.name().clone(), epoch, known));
        epoch < known && !server.is_standby() && is_new(&mut self.late.lock())
    }

    /// Asks all where a shard is. Whether it is somewhere else than it was.
    pub(crate) fn has_moved(&self, shard: &ShardName) -> Result<bool> {
        let before = self.shards.address(shard)?;
        self.refresh()?;
        Ok(self.shards.address(shard)?.shown() != before.shown())
    }
}
