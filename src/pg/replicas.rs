//! The standbys of a shard: reads from them, and what is to be said of such a read.

use std::sync::{Arc, PoisonError};

use postgres::types::Type;

use super::catalog;
use super::cluster::Cluster;
use super::conninfo::ConnectionString;
use super::failure;
use super::pool::{Loan, ReadFrom, Shard, Shards, at_once};
use super::session::{Parameter, Session, only};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;

/// How a replica stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Whether it follows a primary.
    pub is_standby: bool,
    /// How much its primary has that it has not replayed, if both answer.
    pub lag_bytes: Option<i64>,
    /// How old its last replayed transaction is, in seconds.
    pub age_seconds: Option<f64>,
    /// Up to where it has replayed the write-ahead log.
    pub replayed: String,
    /// How much of the write-ahead log it has, in bytes.
    pub received: i64,
}

impl Standing {
    /// As the server says. `primary_at`: where its primary is in the write-ahead log, if that is known.
    pub(super) fn ask(session: &mut Session, shard: &ShardName, primary_at: Option<&str>) -> Result<Self> {
        let what = "ask how far a replica is";
        let rows = session.query(include_str!("../../sql/standing.sql"), &[(&primary_at, Type::TEXT)]);
        let row = only(rows.map_err(|cause| failure::doing(what, shard, &cause))?, what, shard)?;
        Ok(Self {
            is_standby: row.get("is_standby"),
            lag_bytes: row.get("lag_bytes"),
            age_seconds: row.get("age_seconds"),
            replayed: row.get("replayed"),
            received: row.get("received"),
        })
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To show somebody what is there: from a standby, if the user wants that.
    Look,
    /// To write, or to decide what is written: from the primary.
    Truth,
}

/// Where reads go, and which went to standbys.
#[derive(Debug, Default)]
pub(super) struct Reads {
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
    pub(super) fn replicas(&self, name: &ShardName) -> Vec<Arc<Shard>> {
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
    pub(super) fn servers(&self, name: &ShardName) -> Vec<String> {
        let primary = self.address(name).ok();
        let replicas = self.replicas(name);
        let addresses = primary.iter().chain(replicas.iter().map(|replica| &replica.address));
        addresses.map(|address| address.shown().to_owned()).collect()
    }

    /// A connection: for a write to the primary, for a read perhaps to a standby.
    pub(super) fn checkout_for(&self, purpose: Purpose, name: &ShardName) -> Result<Loan> {
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
    pub(super) fn lend_each_for<T: Send>(
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

impl Cluster {
    /// Each replica that is known, and how it stands.
    pub fn standings(&self) -> Vec<(ShardName, String, Result<Standing>)> {
        let asked = at_once(&self.shards().names(), |name| {
            let replicas = self.shards().replicas(name);
            if replicas.is_empty() {
                return Ok(Vec::new());
            }
            let at = "SELECT pg_catalog.pg_current_wal_flush_lsn()::text";
            let primary = self.shards().checkout(name).ok();
            let rows = primary.and_then(|mut loan| loan.query(at, &[]).ok()).unwrap_or_default();
            let at: Option<String> = rows.first().map(|row| row.get(0));
            let stand = |replica: &Arc<Shard>| {
                let lent = self.shards().lend(replica);
                let standing = lent.and_then(|mut loan| Standing::ask(&mut loan, name, at.as_deref()));
                (replica.address.shown().to_owned(), standing)
            };
            Ok(replicas.iter().map(stand).collect::<Vec<_>>())
        });
        let of = |(name, standings): (ShardName, Result<Vec<_>>)| {
            standings
                .unwrap_or_default()
                .into_iter()
                .map(move |(url, standing)| (name.clone(), url, standing))
        };
        asked.into_iter().flat_map(of).collect()
    }

    /// Refuses a URL that is no standby of this shard.
    pub fn check_replica(&self, name: &ShardName, url: &ConnectionString) -> Result<()> {
        self.shards().shard(name)?;
        let address = self.shards().resolve(name, url)?;
        let mut session = Session::connect(name, &address)?;
        let said = catalog::describe(&mut session, name)?;
        let (shard, cluster) = (said.shard.as_str(), said.membership.cluster.as_str());
        catalog::check_identity(name, &address, self.id().as_ref(), shard, cluster)?;
        if Standing::ask(&mut session, name, None)?.is_standby {
            return Ok(());
        }
        let message =
            format!("the server at {} takes writes: it is no replica of shard `{name}`", address.shown());
        Err(Error::new(Kind::Configuration, message)
            .hint("make it a streaming standby of the shard's primary: pg_basebackup -R, then start it")
            .on_shard(name))
    }

    /// Tells all shards which replicas a shard has; what kept some of them from hearing it.
    pub fn tell_replicas(&self, name: &ShardName) -> Result<Vec<Error>> {
        let urls: Vec<String> =
            self.shards().replicas(name).iter().map(|replica| replica.address.shown().to_owned()).collect();
        let told = self.shards().on_each(&self.belonging(), |shard, loan| {
            let sql = "WITH known AS (UPDATE ringshard.address SET replicas = $2 WHERE shard = $1) \
                       UPDATE ringshard.meta SET retired = retired - $2::text[]";
            let parameters: &[Parameter<'_>] = &[(&name.as_str(), Type::TEXT), (&urls, Type::TEXT_ARRAY)];
            loan.query(sql, parameters).map_err(|cause| failure::doing("tell of replicas", shard, &cause))
        });
        let (mut untold, mut is_told) = (Vec::new(), false);
        for (_, told) in told {
            match told {
                Ok(_) => is_told = true,
                Err(error) if error.kind() == Kind::Unreachable => untold.push(error),
                Err(error) => return Err(error),
            }
        }
        match untold.pop() {
            Some(error) if !is_told => Err(error),
            last => Ok(untold.into_iter().chain(last).collect()),
        }
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
