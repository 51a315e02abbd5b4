//! Which server of a shard a read goes to.

use std::sync::Arc;

use super::replica_status::ReplicaStatus;
use super::{PooledSession, Server, Shards};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::pg::net::conninfo::ConnectionString;
use crate::threads;

/// Where a read goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadFrom {
    /// To the primary alone.
    #[default]
    Primary,
    /// To a replica when the primary cannot be reached.
    PrimaryThenReplica,
    /// To a replica; to the primary where none answers.
    ReplicaThenPrimary,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadIntent {
    /// To show somebody what is there: from a standby, if the user wants that.
    AllowReplica,
    /// To write, or to decide what is written: from the primary.
    Primary,
}

/// Where reads go, and which went to standbys.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    from: ReadFrom,
    /// One warning a shard.
    stale: Vec<Error>,
}

impl Shards {
    /// Where reads go from here on.
    pub fn read_from(&self, from: ReadFrom) {
        self.reads.lock().from = from;
    }

    /// What was read from standbys since this was asked last: a warning a shard, which tells how old it may be.
    pub fn stale_reads(&self) -> Vec<Error> {
        std::mem::take(&mut self.reads.lock().stale)
    }

    /// Adds standbys of a shard; those that are known stay.
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

    /// The standbys of a shard, in the order in which they are tried.
    pub(crate) fn replicas(&self, name: &ShardName) -> Vec<Arc<Server>> {
        let replicas = |shard: Arc<Server>| shard.replicas.read().iter().map(Arc::clone).collect();
        self.shard(name).map_or_else(|_| Vec::new(), replicas)
    }

    /// Forgets a standby; whether it was known.
    pub fn remove_replica(&self, name: &ShardName, shown: &str) -> Result<bool> {
        let shard = self.shard(name)?;
        let mut replicas = shard.replicas.write();
        let count = replicas.len();
        replicas.retain(|replica| replica.address.shown() != shown);
        Ok(replicas.len() < count)
    }

    /// Where a shard's primary and standbys are.
    pub(crate) fn servers(&self, name: &ShardName) -> Vec<String> {
        let primary = self.address(name).ok();
        let replicas = self.replicas(name);
        let addresses = primary.iter().chain(replicas.iter().map(|replica| &replica.address));
        addresses.map(|address| address.shown().to_owned()).collect()
    }

    /// A connection: for a write to the primary, for a read perhaps to a standby.
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

    /// The same as [`Shards::checkout_each`], for this intent.
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

    /// The first standby that answers; `None` if there is none at all. How far it is, is noted.
    fn checkout_standby(&self, name: &ShardName) -> Option<Result<PooledSession>> {
        let mut failed = None;
        for replica in self.replicas(name) {
            let checked_out = self.lend(&replica).and_then(|mut session| {
                if let Some(warning) =
                    staleness(name, &replica, &ReplicaStatus::ask(&mut session, name, None)?)
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

/// What is to be said of a read; nothing if the server is no standby any more.
fn staleness(name: &ShardName, replica: &Server, standing: &ReplicaStatus) -> Option<Error> {
    if !standing.is_standby {
        return None;
    }
    let since = match standing.age_seconds {
        Some(seconds) => format!("its last replayed transaction is {seconds:.1} s old"),
        None => "it has replayed no transaction since it was started".into(),
    };
    let message = format!(
        "read from a replica of shard `{name}` at {}, and possibly stale: {since}",
        replica.address.shown()
    );
    let hint = "--read-replica never reads from primaries alone";
    Some(Error::new(Kind::Unreachable, message).hint(hint).on_shard(name))
}
