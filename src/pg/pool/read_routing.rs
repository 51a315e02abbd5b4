//! Which server of a shard a read goes to.

use std::sync::{Arc, PoisonError};

use super::replica_status::Standing;
use super::{Loan, Shard, Shards, at_once};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::pg::net::conninfo::ConnectionString;

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
pub(crate) enum Purpose {
    /// To show somebody what is there: from a standby, if the user wants that.
    Look,
    /// To write, or to decide what is written: from the primary.
    Truth,
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
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).from = from;
    }

    /// What was read from standbys since this was asked last: a warning a shard, which tells how old it may be.
    pub fn stale_reads(&self) -> Vec<Error> {
        std::mem::take(&mut self.reads.lock().unwrap_or_else(PoisonError::into_inner).stale)
    }

    /// Adds standbys of a shard; those that are known stay.
    pub fn add_replicas(&self, name: &ShardName, urls: &[ConnectionString]) -> Result<()> {
        for url in urls {
            let replica = Arc::new(Shard::standby(name, self.resolve(name, url)?));
            let shard = self.shard(name)?;
            let mut replicas = shard.replicas.write().unwrap_or_else(PoisonError::into_inner);
            if replicas.iter().all(|known| known.address.shown() != replica.address.shown()) {
                replicas.push(replica);
            }
        }
        Ok(())
    }

    /// The standbys of a shard, in the order in which they are tried.
    pub(crate) fn replicas(&self, name: &ShardName) -> Vec<Arc<Shard>> {
        let replicas = |shard: Arc<Shard>| {
            shard.replicas.read().unwrap_or_else(PoisonError::into_inner).iter().map(Arc::clone).collect()
        };
        self.shard(name).map_or_else(|_| Vec::new(), replicas)
    }

    /// Forgets a standby; whether it was known.
    pub fn remove_replica(&self, name: &ShardName, shown: &str) -> Result<bool> {
        let shard = self.shard(name)?;
        let mut replicas = shard.replicas.write().unwrap_or_else(PoisonError::into_inner);
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
    pub(crate) fn checkout_for(&self, purpose: Purpose, name: &ShardName) -> Result<Loan> {
        if purpose == Purpose::Truth {
            return self.checkout(name);
        }
        let from = self.reads.lock().unwrap_or_else(PoisonError::into_inner).from;
        match from {
            ReadFrom::Primary => self.checkout(name),
            ReadFrom::PrimaryThenReplica => match self.checkout(name) {
                Err(error) if error.kind() == Kind::Unreachable => {
                    self.lend_standby(name).unwrap_or(Err(error))
                }
                lent => lent,
            },
            ReadFrom::ReplicaThenPrimary => match self.lend_standby(name) {
                Some(Ok(loan)) => Ok(loan),
                _ => self.checkout(name),
            },
        }
    }

    /// The same as [`Shards::lend_each`], for this purpose.
    pub(crate) fn lend_each_for<T: Send>(
        &self,
        purpose: Purpose,
        names: &[ShardName],
        work: impl Fn(&ShardName, Loan) -> Result<T> + Sync,
    ) -> Vec<(ShardName, Result<T>)> {
        at_once(names, |name| work(name, self.checkout_for(purpose, name)?))
    }

    /// The first standby that answers; `None` if there is none at all. How far it is, is noted.
    fn lend_standby(&self, name: &ShardName) -> Option<Result<Loan>> {
        let mut failed = None;
        for replica in self.replicas(name) {
            let lent = self.lend(&replica).and_then(|mut loan| {
                if let Some(warning) = staleness(name, &replica, &Standing::ask(&mut loan, name, None)?) {
                    let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
                    reads.stale.retain(|earlier| earlier.shard() != Some(name.as_str()));
                    reads.stale.push(warning);
                }
                Ok(loan)
            });
            match lent {
                Ok(loan) => return Some(Ok(loan)),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map(Err)
    }
}

/// What is to be said of a read; nothing if the server is no standby any more.
fn staleness(name: &ShardName, replica: &Shard, standing: &Standing) -> Option<Error> {
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
