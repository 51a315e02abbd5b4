//! Which server of a shard a read uses: the primary or a standby. Writes always use the primary.

use std::sync::Arc;

use super::replica_status::ReplicaStatus;
use super::{PooledSession, Server, Shards};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::pg::net::conninfo::{Address, ConnectionString};
use crate::threads;

/// Which servers may answer a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadFrom {
    /// Only the primary.
    #[default]
    Primary,
    /// A replica if the primary cannot be reached.
    PrimaryThenReplica,
    /// A replica; the primary if no replica answers.
    ReplicaThenPrimary,
}

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadIntent {
    /// A read that is only shown: a standby may answer it, if [`ReadFrom`] allows.
    AllowReplica,
    /// A write, or a read that decides about a write: only the primary.
    Primary,
}

/// The setting for reads, and the reads that standbys answered.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    from: ReadFrom,
    /// One warning for each shard.
    stale: Vec<Error>,
}

impl Shards {
    /// Sets which servers may answer reads.
    pub fn read_from(&self, from: ReadFrom) {
        self.reads.lock().from = from;
    }

    /// One warning for each shard that a standby answered for since the last call, with the age of the data.
    pub fn stale_reads(&self) -> Vec<Error> {
        std::mem::take(&mut self.reads.lock().stale)
    }

    /// Adds standbys of a shard and keeps the known ones.
    pub fn add_replicas(&self, name: &ShardName, urls: &[ConnectionString]) -> Result<()> {
        for url in urls {
            let replica = Arc::new(Server::standby(name, self.resolve(name, url)?));
            let shard = self.shard(name)?;
            let mut replicas = shard.replicas.write();
            if replicas.iter().all(|known| known.address.shown() != replica.address.shown()) {
                replicas.push(replica);
            }
        }
        Ok(())
    }

    /// The addresses of the standbys of a shard, in the order in which they are tried.
    pub fn replica_addresses(&self, name: &ShardName) -> Vec<Address> {
        self.replicas(name).iter().map(|replica| replica.address.clone()).collect()
    }

    /// The standbys of a shard, in the order in which they are tried.
    pub(crate) fn replicas(&self, name: &ShardName) -> Vec<Arc<Server>> {
        let replicas = |shard: Arc<Server>| shard.replicas.read().iter().map(Arc::clone).collect();
        self.shard(name).map_or_else(|_| Vec::new(), replicas)
    }

    /// Forgets a standby; returns whether it was known.
    pub fn remove_replica(&self, name: &ShardName, shown: &str) -> Result<bool> {
        let shard = self.shard(name)?;
        let mut replicas = shard.replicas.write();
        let count = replicas.len();
        replicas.retain(|replica| replica.address.shown() != shown);
        Ok(replicas.len() < count)
    }

    /// The addresses of a shard's primary and standbys, as text.
    pub(crate) fn servers(&self, name: &ShardName) -> Vec<String> {
        let primary = self.address(name).ok();
        let replicas = self.replicas(name);
        let addresses = primary.iter().chain(replicas.iter().map(|replica| &replica.address));
        addresses.map(|address| address.shown().to_owned()).collect()
    }

    /// A session for this intent.
    pub(crate) fn checkout_for(&self, intent: ReadIntent, name: &ShardName) -> Result<PooledSession> {
        if intent == ReadIntent::Primary {
            return self.checkout(name);
        }
        let from = self.reads.lock().from;
        match from {
            ReadFrom::Primary => self.checkout(name),
            ReadFrom::PrimaryThenReplica => match self.checkout(name) {
                Err(error) if error.kind() == Kind::Unreachable => {
                    self.checkout_standby(name).unwrap_or(Err(error))
                }
                checked_out => checked_out,
            },
            ReadFrom::ReplicaThenPrimary => match self.checkout_standby(name) {
                Some(Ok(session)) => Ok(session),
                _ => self.checkout(name),
            },
        }
    }

    /// As [`Shards::checkout_each`], for this intent.
    pub(crate) fn checkout_each_for<T: Send>(
        &self,
        intent: ReadIntent,
        names: &[ShardName],
        work: impl Fn(&ShardName, PooledSession) -> Result<T> + Sync,
    ) -> Vec<(ShardName, Result<T>)> {
        threads::at_once(names, |name| {
            (name.clone(), self.checkout_for(intent, name).and_then(|session| work(name, session)))
        })
    }

    /// A session of the first standby that answers, with its staleness recorded; `None` if the shard has no standby.
    fn checkout_standby(&self, name: &ShardName) -> Option<Result<PooledSession>> {
        let mut failed = None;
        for replica in self.replicas(name) {
            let checked_out = self.checkout_server(&replica).and_then(|mut session| {
                if let Some(warning) =
                    staleness(name, &replica, &ReplicaStatus::query(&mut session, name, None)?)
                {
                    let mut reads = self.reads.lock();
                    reads.stale.retain(|earlier| earlier.shard() != Some(name.as_str()));
                    reads.stale.push(warning);
                }
                Ok(session)
            });
            match checked_out {
                Ok(session) => return Some(Ok(session)),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map(Err)
    }
}

/// The warning about a read; `None` if the server is not a standby any more.
fn staleness(name: &ShardName, replica: &Server, status: &ReplicaStatus) -> Option<Error> {
    if !status.is_standby {
        return None;
    }
    let since = match status.age_seconds {
        Some(seconds) => format!("its last replayed transaction is {seconds:.1} s old"),
        None => "it has replayed no transaction since it was started".into(),
    };
    let message = format!(
        "the data of shard `{name}` came from its replica at {} and may be stale: {since}",
        replica.address.shown()
    );
    let hint = "--read-replica never reads only from primaries";
    Some(Error::new(Kind::Unreachable, message).hint(hint).on_shard(name))
}
