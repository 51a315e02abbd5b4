//! The replicas of each shard: reads their status, and writes them to the catalogs of all shards.

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
    /// Each known replica, with its status.
    pub fn replica_statuses(&self) -> Vec<(ShardName, String, Result<ReplicaStatus>)> {
        let statuses = threads::at_once(self.shards().names(), |name| {
            let replicas = self.shards().replicas(&name);
            if replicas.is_empty() {
                return Vec::new();
            }
            let at = "SELECT pg_catalog.pg_current_wal_flush_lsn()::text";
            let primary = self.shards().checkout(&name).ok();
            let rows = primary.and_then(|mut session| session.query(at, &[]).ok()).unwrap_or_default();
            let at: Option<String> = rows.first().map(|row| row.get(0));
            let status = |replica: &Arc<Server>| {
                let checked_out = self.shards().checkout_server(replica);
                let status = checked_out
                    .and_then(|mut session| ReplicaStatus::query(&mut session, &name, at.as_deref()));
                (name.clone(), replica.address.shown().to_owned(), status)
            };
            replicas.iter().map(status).collect::<Vec<_>>()
        });
        statuses.into_iter().flatten().collect()
    }

    /// Fails with `Configuration` if a URL is not a standby of this shard.
    pub fn check_replica(&self, name: &ShardName, url: &ConnectionString) -> Result<()> {
        self.shards().shard(name)?;
        let address = self.shards().resolve(name, url)?;
        let mut session = Session::connect(name, &address)?;
        if !ReplicaStatus::query(&mut session, name, None)?.is_standby {
            let message = format!(
                "the server at {} accepts writes, so it is not a replica of shard `{name}`",
                address.shown()
            );
            return Err(Error::new(Kind::Configuration, message)
                .hint("make it a streaming standby of the shard's primary: pg_basebackup -R, then start it")
                .on_shard(name));
        }
        let described = catalog::describe(&mut session, name);
        let description = described.map_err(|error| {
            error.hint("name a standby that follows the shard's primary, and its database")
        })?;
        catalog::check_identity(name, &address, self.id(), description.identity())
    }

    /// Writes the replicas of a shard to the catalogs of all shards; returns the errors of unreachable ones. Fails if none could
    /// be updated.
    pub fn write_replicas(&self, name: &ShardName) -> Result<Vec<Error>> {
        let urls: Vec<String> =
            self.shards().replicas(name).iter().map(|replica| replica.address.shown().to_owned()).collect();
        let written = self.shards().on_each(&self.belonging(), |shard, session| {
            let sql = "WITH known AS (UPDATE ringshard.shard_endpoint SET replicas = $2 WHERE shard = $1) \
                       UPDATE ringshard.meta SET stale_endpoints = stale_endpoints - $2::text[]";
            let parameters: &[Parameter<'_>] = &[(&name.as_str(), Type::TEXT), (&urls, Type::TEXT_ARRAY)];
            session
                .query(sql, parameters)
                .map_err(|cause| sqlstate::doing("write the replicas", shard, &cause))
        });
        let (mut unreachable, mut is_written) = (Vec::new(), false);
        for (_, written) in written {
            match written {
                Ok(_) => is_written = true,
                Err(error) if error.kind() == Kind::Unreachable => unreachable.push(error),
                Err(error) => return Err(error),
            }
        }
        match unreachable.pop() {
            Some(error) if !is_written => Err(error),
            last => Ok(unreachable.into_iter().chain(last).collect()),
        }
    }
}
