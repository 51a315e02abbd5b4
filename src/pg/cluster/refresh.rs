//! Reads the topology and the endpoints from the catalogs of the shards, and updates the view.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use postgres::Row;

use super::view::View;
use super::{Cluster, cache};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::{RingState, arbiter};
use crate::model::ring::topology::{Epoch, Topology};
use crate::pg::catalog::{self, Incarnation, SelfDescription};
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::net::session::Session;
use crate::pg::net::sqlstate;

/// After this many statements about users, reading the topology pays, as it makes the next ones cheaper.
const WORTH_ASKING: u32 = 32;

/// Why a command that serves the table of the Python prototype alone fails.
pub(crate) const NO_PROTOTYPE: &str =
    "this cluster has no table `users` with the columns user_id, name, region and email";

/// For a statement about that table.
pub(crate) fn no_prototype(what: &str, shard: &ShardName) -> Error {
    Error::new(Kind::Configuration, format!("cannot {what}: {NO_PROTOTYPE}"))
        .hint("ringshard table list shows its tables; ringshard sql reads them")
        .on_shard(shard)
}

impl Cluster {
    /// The error of a statement that failed on a shard; if its catalog has another version, the error says so.
    pub(crate) fn explain(
        &self,
        what: &str,
        shard: &ShardName,
        session: &mut Session,
        cause: &postgres::Error,
    ) -> Error {
        let described = sqlstate::is_of_another_version(cause).then(|| self.describe(shard, session));
        match described {
            Some(Err(error)) => error,
            // The commands about users serve a table of the Python prototype's shape.
            Some(Ok(known))
                if cause.as_db_error().is_some_and(|error| error.message().contains("users"))
                    && !known.ring.topology.tables().has_prototype() =>
            {
                no_prototype(what, shard)
            }
            _ => sqlstate::doing(what, shard, cause),
        }
    }

    /// Fails with `Configuration` if an answer came from the database of another shard or cluster.
    pub(crate) fn check_row(&self, shard: &ShardName, row: &Row) -> Result<()> {
        let address = self.shards().address(shard)?;
        catalog::check_identity(shard, &address, self.id(), (row.get("shard"), row.get("cluster")))
    }

    /// Reads the topology from all shards and takes the newest one. Returns the shards that failed, with their errors. Fails if
    /// none answers, or if a database is of another shard or cluster.
    pub fn refresh(&self) -> Result<Vec<(ShardName, Error)>> {
        let answers = self.shards.on_each(&self.shards.names(), |name, session| self.describe(name, session));
        let mut described: BTreeMap<ShardName, SelfDescription> = BTreeMap::new();
        let mut failed = Vec::new();
        for (name, answer) in answers {
            match answer {
                Err(error) => failed.push((name, error)),
                Ok(answer) => drop(described.insert(name, answer)),
            }
        }
        if let Some((first, one)) = described.first_key_value() {
            let other = described.iter().find(|(_, other)| other.cluster != one.cluster);
            if let Some((name, other)) = other {
                let message = format!(
                    "shards `{first}` and `{name}` belong to different clusters: `{}` and `{}`",
                    one.cluster, other.cluster
                );
                return Err(Error::new(Kind::Configuration, message)
                    .hint("correct the URLs: ringshard config show names where each comes from")
                    .on_shard(name));
            }
        }
        // The server at a shard's address may have been replaced by one that another host of its URL leads to.
        for description in described.values() {
            self.note_incarnations(description);
        }
        described.retain(|name, description| {
            let superseded = self.check_incarnation(name, description.incarnation).err();
            let is_current = superseded.is_none();
            failed.extend(superseded.map(|error| (name.clone(), error)));
            is_current
        });
        // A shard that has left the cluster counts only if no other one answers.
        let part = described
            .values()
            .filter(|description| description.ring.names(&description.shard))
            .max_by_key(|description| description.ring.finished_last());
        let newest = part
            .or_else(|| described.values().max_by_key(|description| description.ring.finished_last()))
            .cloned();
        // A wrong database is an error and not a shard that is down, as nothing may be read from it or written to it. The
        // database of a shard outside the ring does not matter.
        let belongs = |name: &ShardName| newest.as_ref().is_none_or(|newest| newest.ring.names(name));
        // Nor does a stale primary, as the shard's new address is known now.
        let is_stale = |name: &ShardName| {
            let address = self.shards.address(name).ok();
            newest
                .as_ref()
                .zip(address)
                .is_some_and(|(newest, at)| newest.stale_endpoints.get(at.shown()) == Some(name))
        };
        let wrong = failed
            .iter()
            .find(|(name, error)| error.kind() == Kind::Configuration && belongs(name) && !is_stale(name));
        if let Some((_, error)) = wrong {
            return Err(error.clone());
        }
        match newest {
            Some(newest) => {
                let first = newest.ring.topology.names().next();
                let desired_topology = first
                    .and_then(|first| described.get(first))
                    .and_then(|first| first.ring.desired_topology.clone());
                self.update_view(newest, desired_topology).map(|()| failed)
            }
            None => Err(failed.into_iter().next().map_or_else(
                || Error::new(Kind::Configuration, "no shard is configured").hint("ringshard init-shards"),
                |(_, error)| error,
            )),
        }
    }

    /// The error for a server of a shard of which a later incarnation is known.
    fn superseded(&self, shard: &ShardName, found: Incarnation, latest: Incarnation) -> Error {
        let at = self.shards.address(shard).map_or_else(|_| String::new(), |at| at.shown().to_owned());
        let message = format!(
            "the server at {at} is a stale primary of shard `{shard}`: it is incarnation {}, and another server became \
             incarnation {}",
            found.0, latest.0
        );
        Error::new(Kind::Conflict, message)
            .hint(format!(
                "stop that server, or make it a standby of the new primary, then run this again; if the other server is gone \
                 for good: ringshard promote {shard} --force makes this one the primary again"
            ))
            .on_shard(shard)
    }

    /// Remembers the incarnations that a shard names, its own among them.
    pub(crate) fn note_incarnations(&self, description: &SelfDescription) {
        let mut known = self.incarnations.lock();
        let endpoints = description.endpoints.iter().map(|(name, endpoint)| (name, endpoint.incarnation));
        for (name, incarnation) in endpoints.chain([(&description.shard, description.incarnation)]) {
            let latest = known.entry(name.clone()).or_default();
            *latest = incarnation.max(*latest);
        }
    }

    /// Fails with `Conflict` if the server of a shard is older than the incarnation that is known of.
    pub(crate) fn check_incarnation(&self, shard: &ShardName, found: Incarnation) -> Result<()> {
        let latest = self.incarnations.lock().get(shard).copied().unwrap_or_default();
        if latest > found { Err(self.superseded(shard, found, latest)) } else { Ok(()) }
    }

    /// The shards that may have users, as far as known: not those that will join, nor those that have left.
    pub(crate) fn holding(&self) -> Vec<ShardName> {
        let (view, names) = (self.view(), self.shards.names());
        if view.epoch == Epoch::GUESSED {
            return names;
        }
        let participants = view.participants();
        names.into_iter().filter(|name| participants.contains(name)).collect()
    }

    /// The shards that belong to the ring or will join, as far as known.
    pub(crate) fn belonging(&self) -> Vec<ShardName> {
        let (view, mut names) = (self.view(), self.shards.names());
        names.retain(|name| view.epoch == Epoch::GUESSED || view.belongs(name));
        names
    }

    /// The configured shards that have left the ring, by the last refresh: their catalogs are of this cluster, and say that
    /// they are not part of it.
    pub fn departed(&self) -> Vec<ShardName> {
        let (view, mut others) = (self.view(), self.shards.names());
        others.retain(|name| !view.belongs(name));
        let answers = self.shards.on_each(&others, |name, session| self.describe(name, session));
        let has_left = |name: &ShardName, description: &SelfDescription| {
            description.ring.change.is_none()
                && description.ring.topology.shard(name).is_none()
                && description.ring.epoch > Epoch::FIRST
        };
        let left = answers.into_iter().filter(|(name, description)| {
            description.as_ref().is_ok_and(|description| has_left(name, description))
        });
        left.map(|(name, _)| name).collect()
    }

    pub(crate) fn describe(&self, name: &ShardName, session: &mut Session) -> Result<SelfDescription> {
        let description = catalog::describe(session, name)?;
        let address = self.shards.address(name)?;
        catalog::check_identity(name, &address, self.id(), description.identity())?;
        Ok(description)
    }

    /// Handles an answer with this epoch, which is not older than the known one. If it is newer, the topology is read from the
    /// shard; also after some answers if only the cache has confirmed the topology, as then the fast path can be used.
    pub(crate) fn note_epoch(&self, shard: &ShardName, session: &mut Session, epoch: Epoch) -> Result<()> {
        let view = self.view();
        if epoch > view.epoch {
            return self.learn(self.describe(shard, session)?);
        }
        if view.topology_md5.is_none()
            && view.change.is_none()
            && self.unconfirmed_replies.fetch_add(1, Ordering::Relaxed) >= WORTH_ASKING
        {
            // A failure does not matter to the statement that was answered.
            match self.describe(shard, session).and_then(|description| self.learn(description)) {
                Ok(()) => {}
                Err(error) => log::debug!("Could not read the topology: {error}"),
            }
            self.unconfirmed_replies.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Updates the view with the description of one shard.
    pub(crate) fn learn(&self, description: SelfDescription) -> Result<()> {
        let desired_topology = {
            let view = self.view();
            let is_arbiter = *arbiter(&description.ring.topology) == description.shard;
            let is_new = (description.ring.epoch, &description.ring.topology) != (view.epoch, &view.topology);
            // Only the arbiter knows the desired topology.
            let knows = if is_arbiter || is_new {
                &description.ring.desired_topology
            } else {
                &view.desired_topology
            };
            knows.clone()
        };
        self.update_view(description, desired_topology)
    }

    /// Replaces the view, whatever it was before: a cache may be wrong.
    fn update_view(&self, description: SelfDescription, desired_topology: Option<Topology>) -> Result<()> {
        self.learn_places(&description)?;
        // A shard that has left may come back as a new one of its name.
        self.incarnations.lock().retain(|name, _| description.endpoints.contains_key(name));
        self.id.write().get_or_insert(description.cluster);
        let mut view = self.view.write();
        let same = description.ring.topology == view.topology;
        let is_new = !same || description.ring.epoch != view.epoch;
        let same_change = view.change.as_ref().map(|(change, _)| change) == description.ring.change.as_ref();
        let same_places =
            view.endpoints == description.endpoints && view.stale_endpoints == description.stale_endpoints;
        let same_ring = view.topology_md5 == description.topology_md5;
        if same_ring && !is_new && same_change && same_places && view.desired_topology == desired_topology {
            return Ok(());
        }
        if let Some(folder) = self.cache_folder.as_ref().filter(|_| is_new) {
            cache::write(folder, &description.membership());
        }
        let RingState { epoch, topology, change, .. } = description.ring;
        let ring = if same { view.ring.clone() } else { OnceLock::new() };
        let change = change.map(|change| {
            let ring = change.next_topology.ring();
            (change, ring)
        });
        let SelfDescription { endpoints, stale_endpoints, topology_md5, .. } = description;
        *view = Arc::new(View {
            epoch,
            topology,
            ring,
            ring_file: None,
            change,
            desired_topology,
            endpoints,
            stale_endpoints,
            topology_md5,
        });
        Ok(())
    }

    /// Adds the shards and standbys that a description has, if they belong to the cluster or will join, and updates addresses
    /// that changed.
    pub(crate) fn learn_places(&self, description: &SelfDescription) -> Result<()> {
        let known = self.shards.names();
        for (name, endpoint) in description.endpoints.iter().filter(|(name, _)| description.ring.names(name))
        {
            let url = ConnectionString::new(&endpoint.url);
            if !known.contains(name) {
                self.shards.add(name.clone(), &url)?;
            } else if description.stale_endpoints.get(self.shards.address(name)?.shown()) == Some(name) {
                // The configured address is that of a stale primary. The new primary may be configured as a replica, with its
                // password.
                let address = self.shards.resolve(name, &url)?;
                let (here, others): (Vec<_>, Vec<_>) = self
                    .shards
                    .replicas(name)
                    .into_iter()
                    .partition(|replica| replica.address.shown() == address.shown());
                let address = here.first().map_or(address, |replica| replica.address.clone());
                log::info!("Shard {name} is at {} now", address.shown());
                self.shards.replace(name, address, others);
            }
            let replicas: Vec<_> = endpoint.replicas.iter().map(ConnectionString::new).collect();
            self.shards.add_replicas(name, &replicas)?;
        }
        Ok(())
    }
}
