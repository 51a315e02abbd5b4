//! The standbys of each shard: how far they are, and telling all shards of them.

use std::sync::Arc;

use postgres::types::Type;

use super::Cluster;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::pg::catalog;
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::net::session::{Parameter, Session};
use crate::pg::net::sqlstate;
use crate::pg::pool::Server;
use crate::pg::pool::replica_status::ReplicaStatus;
use crate::threads;

impl Cluster {
    /// Each replica that is known, and how it stands.
    pub fn standings(&self) -> Vec<(ShardName, String, Result<ReplicaStatus>)> {
        let asked = threads::at_once(self.shards().names(), |name| {
            let replicas = self.shards().replicas(&name);
            if replicas.is_empty() {
                return Vec::new();
            }
            let at = "SELECT pg_catalog.pg_current_wal_flush_lsn()::text";
            let primary = self.shards().checkout(&name).ok();
            let rows = primary.and_then(|mut session| session.query(at, &[]).ok()).unwrap_or_default();
            let at: Option<String> = rows.first().map(|row| row.get(0));
            let stand = |replica: &Arc<Server>| {
                let checked_out = self.shards().lend(replica);
                let standing = checked_out
                    .and_then(|mut session| ReplicaStatus::ask(&mut session, &name, at.as_deref()));
                (name.clone(), replica.address.shown().to_owned(), standing)
            };
            replicas.iter().map(stand).collect::<Vec<_>>()
        });
        asked.into_iter().flatten().collect()
    }

    /// Refuses a URL that is no standby of this shard.
    pub fn check_replica(&self, name: &ShardName, url: &ConnectionString) -> Result<()> {
        self.shards().shard(name)?;
        let address = self.shards().resolve(name, url)?;
        let mut session = Session::connect(name, &address)?;
        let said = catalog::describe(&mut session, name)?;
        catalog::check_identity(name, &address, self.id(), said.identity())?;
        if ReplicaStatus::ask(&mut session, name, None)?.is_standby {
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
        let told = self.shards().on_each(&self.belonging(), |shard, session| {
            let sql = "WITH known AS (UPDATE ringshard.shard_endpoint SET replicas = $2 WHERE shard = $1) \
                       UPDATE ringshard.meta SET stale_endpoints = stale_endpoints - $2::text[]";
            let parameters: &[Parameter<'_>] = &[(&name.as_str(), Type::TEXT), (&urls, Type::TEXT_ARRAY)];
            session.query(sql, parameters).map_err(|cause| sqlstate::doing("tell of replicas", shard, &cause))
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
