//! Waits until every server that may take a shard over has what the shard has committed.
//!
//! A hand-over counts only then: a standby that has not received the fence of a chunk would, as the new primary, own it
//! beside its new owner, and one that has not received the chunk would have lost it once the source has deleted its rows. So
//! this runs before a chunk is received (for the source) and before it is purged (for the target). docs/failover.md says
//! which servers count.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use postgres::types::Type;

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::pg::catalog::inspect::database_identity;
use crate::pg::net::conninfo::Address;
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;
use crate::pg::pool::Shards;
use crate::pg::pool::replica_status::ReplicaStatus;

/// The first pause before the standbys are looked at again; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// A server that may take a shard over by its name: a replica, or another host of the shard's URL.
struct Candidate {
    address: Address,
    session: Option<Session>,
    /// Whether it turned out to be the primary itself.
    is_primary: bool,
}

/// The servers that may take shards over, with the connections to those that are known by name.
#[derive(Default)]
pub(crate) struct Standbys {
    by_shard: BTreeMap<ShardName, Vec<Candidate>>,
}

/// The position of a primary's write-ahead log that its standbys must have.
struct Reached {
    lsn: String,
    bytes: i64,
}

impl Standbys {
    /// The shard may have another primary: which of its servers that is must be looked at again.
    pub(crate) fn forget(&mut self, shard: &ShardName) {
        self.by_shard.remove(shard);
    }

    /// Waits for `patience` at most until all standbys of a shard have what its primary has on disk now. `on_wait` gets what is
    /// waited for, and an error of it ends the wait.
    pub(crate) fn wait(
        &mut self,
        shards: &Shards,
        shard: &ShardName,
        primary: &mut Session,
        patience: Duration,
        mut on_wait: impl FnMut(&str, Duration) -> Result<()>,
    ) -> Result<()> {
        let begun = Instant::now();
        let mut reached = None;
        let mut pause = PAUSE_MIN;
        loop {
            let behind = self.behind(shards, shard, primary, &mut reached)?;
            if behind.is_empty() {
                return Ok(());
            }
            let behind = behind.join(", ");
            if begun.elapsed() > patience {
                let message = format!(
                    "paused: {behind} may take shard `{shard}` over, and has not received what was handed over"
                );
                return Err(Error::new(Kind::Locked, message)
                    .hint(
                        "bring it back, or drop its slot, or unregister it (ringshard replica --help shows how); then ringshard rebalance goes on. \
                         --ignore-standbys accepts that a failover to it loses rows",
                    )
                    .on_shard(shard));
            }
            on_wait(&behind, pause)?;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The standbys that do not have what the primary had reached at the first call.
    fn behind(
        &mut self,
        shards: &Shards,
        shard: &ShardName,
        primary: &mut Session,
        reached: &mut Option<Reached>,
    ) -> Result<Vec<String>> {
        let what = "look at the standbys";
        let lsn = reached.as_ref().map(|reached| reached.lsn.as_str());
        let rows = primary
            .query(include_str!("../../../sql/queries/standbys.sql"), &[(&lsn, Type::TEXT)])
            .map_err(|cause| sqlstate::doing(what, shard, &cause))?;
        let row = only(rows, what, shard)?;
        if row.get("is_hidden") {
            let message = format!("shard `{shard}` has standbys, and this role may not see how far they are");
            return Err(Error::new(Kind::Permission, message)
                .hint("as a superuser of that server: GRANT pg_monitor TO the role of the URL")
                .on_shard(shard));
        }
        let mut behind: Vec<String> =
            row.get::<_, Vec<String>>("behind").into_iter().map(|name| format!("standby `{name}`")).collect();
        let bytes =
            reached.get_or_insert_with(|| Reached { lsn: row.get("lsn"), bytes: row.get("bytes") }).bytes;
        if !self.by_shard.contains_key(shard) {
            self.by_shard.insert(shard.clone(), candidates(shards, shard)?);
        }
        for candidate in self.by_shard.get_mut(shard).into_iter().flatten() {
            if !candidate.has(shard, primary, bytes)? {
                behind.push(format!("`{}`", candidate.address.shown()));
            }
        }
        Ok(behind)
    }
}

/// The replicas of a shard, and the other hosts of its URL.
fn candidates(shards: &Shards, shard: &ShardName) -> Result<Vec<Candidate>> {
    let primary = shards.address(shard)?;
    let hosts = if primary.endpoints.len() > 1 { primary.each_endpoint() } else { Vec::new() };
    let replicas = shards.replicas(shard).into_iter().map(|replica| replica.address.clone());
    let of = |address| Candidate { address, session: None, is_primary: false };
    Ok(hosts.into_iter().chain(replicas).map(of).collect())
}

impl Candidate {
    /// Whether it has received the write-ahead log up to `bytes`, or is the primary itself.
    fn has(&mut self, shard: &ShardName, primary: &mut Session, bytes: i64) -> Result<bool> {
        if self.is_primary {
            return Ok(true);
        }
        let session = match &mut self.session {
            Some(session) => session,
            none => match Session::connect(shard, &self.address) {
                Ok(session) => none.insert(session),
                Err(error) => {
                    log::debug!("A standby does not answer: {error}");
                    return Ok(false);
                }
            },
        };
        let status = match ReplicaStatus::query(session, shard, None) {
            Ok(status) => status,
            Err(error) => {
                log::debug!("A standby does not answer: {error}");
                self.session = None;
                return Ok(false);
            }
        };
        if status.is_standby {
            return Ok(status.received >= bytes);
        }
        if database_identity(session, shard)? == database_identity(primary, shard)? {
            self.is_primary = true;
            return Ok(true);
        }
        let message =
            format!("`{}` should be a standby of shard `{shard}`, and takes writes", self.address.shown());
        // A primary that was frozen takes writes for a moment when it wakes.
        Err(Error::new(Kind::Locked, message)
            .hint("ringshard doctor, ringshard shards; stop the server that is not the shard's primary")
            .on_shard(shard))
    }
}
