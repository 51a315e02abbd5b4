//! Reads from the shards which topology is in force, and takes over what they say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use postgres::Row;

use super::view::View;
use super::{Cluster, cache, prototype_log};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::{RingState, arbiter};
use crate::model::ring::topology::{Epoch, Topology};
use crate::pg::catalog::{self, SelfDescription};
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::net::session::Session;
use crate::pg::net::sqlstate;

/// So many statements about users are worth a question for the topology, which makes the next ones cheaper.
const WORTH_ASKING: u32 = 32;

impl Cluster {
    /// The error of a statement that failed on a shard: if its catalog has another version, that is the reason.
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
            _ => sqlstate::doing(what, shard, cause),
        }
    }

    /// Refuses the answer of another shard's or cluster's database.
    pub(crate) fn check_row(&self, shard: &ShardName, row: &Row) -> Result<()> {
        let address = self.shards().address(shard)?;
        catalog::check_identity(shard, &address, self.id(), (row.get("shard"), row.get("cluster")))
    }

    /// Asks all shards for the topology and takes the newest. Fails only if none answers; the shards that
    /// did not are stale primaries with their errors.
    pub fn refresh(&self) -> Result<Vec<(ShardName, Error)>> {
        let answers = self.shards.on_each(&self.shards.names(), |name, session| self.describe(name, session));
        let mut said: BTreeMap<ShardName, SelfDescription> = BTreeMap::new();
        let mut failed = Vec::new();
        for (name, answer) in answers {
            match answer {
                Err(error) => failed.push((name, error)),
                Ok(answer) => drop(said.insert(name, answer)),
            }
        }
        if let Some((first, one)) = said.first_key_value() {
            let other = said.iter().find(|(_, other)| other.cluster != one.cluster);
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
        // What is left of a shard that is no part of the cluster any more says something only where nobody else does.
        let part = said
            .values()
            .filter(|said| said.ring.names(&said.shard))
            .max_by_key(|said| said.ring.finished_last());
        let newest = part.or_else(|| said.values().max_by_key(|said| said.ring.finished_last())).cloned();
        // A wrong database is no shard that is down: nothing may be read from it or written to it. That of a shard
        // that does not belong to the ring, or not yet, may be anything.
        let belongs = |name: &ShardName| newest.as_ref().is_none_or(|newest| newest.ring.names(name));
        // Nor is what is left of one that has another primary by now, which is looked for there from here on.
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
                    .and_then(|first| said.get(first))
                    .and_then(|first| first.ring.desired_topology.clone());
                self.take_over(newest, desired_topology).map(|()| failed)
            }
            None => Err(failed.into_iter().next().map_or_else(
                || Error::new(Kind::Configuration, "no shard is configured").hint("ringshard init-shards"),
                |(_, error)| error,
            )),
        }
    }

    /// The shards that may hold users, by what is known: who is to join holds none yet, and who has left none any more.
    pub(crate) fn holding(&self) -> Vec<ShardName> {
        let (view, names) = (self.view(), self.shards.names());
        if view.epoch == Epoch::GUESSED {
            return names;
        }
        let participants = view.participants();
        names.into_iter().filter(|name| participants.contains(name)).collect()
    }

    /// The shards that belong to the ring or are to do so, by what is known.
    pub(crate) fn belonging(&self) -> Vec<ShardName> {
        let (view, mut names) = (self.view(), self.shards.names());
        names.retain(|name| view.epoch == Epoch::GUESSED || view.belongs(name));
        names
    }

    /// The configured shards that have left the ring: what they say of themselves is of this cluster, and that they
    /// are no part of it. By the last refresh.
    pub fn departed(&self) -> Vec<ShardName> {
        let (view, mut others) = (self.view(), self.shards.names());
        others.retain(|name| !view.belongs(name));
        let answers = self.shards.on_each(&others, |name, session| self.describe(name, session));
        let has_left = |name: &ShardName, said: &SelfDescription| {
            said.ring.change.is_none()
                && said.ring.topology.shard(name).is_none()
                && said.ring.epoch > Epoch::FIRST
        };
        let left =
            answers.into_iter().filter(|(name, said)| said.as_ref().is_ok_and(|said| has_left(name, said)));
        left.map(|(name, _)| name).collect()
    }

    pub(crate) fn describe(&self, name: &ShardName, session: &mut Session) -> Result<SelfDescription> {
        let said = catalog::describe(session, name)?;
        let address = self.shards.address(name)?;
        catalog::check_identity(name, &address, self.id(), said.identity())?;
        Ok(said)
    }

    /// A shard has answered in this epoch, which is no older than what is known. If it is news, the shard is asked for the
    /// topology; and also once that is worth a question, as so far only a cache has said so: then what follows is cheaper.
    pub(crate) fn note_epoch(&self, shard: &ShardName, session: &mut Session, epoch: Epoch) -> Result<()> {
        let view = self.view();
        if epoch > view.epoch {
            return self.learn(self.describe(shard, session)?);
        }
        if view.topology_md5.is_none()
            && view.change.is_none()
            && self.unconfirmed_replies.fetch_add(1, Ordering::Relaxed) >= WORTH_ASKING
        {
            // What was asked is answered, whatever becomes of this.
            match self.describe(shard, session).and_then(|said| self.learn(said)) {
                Ok(()) => {}
                Err(error) => log::debug!("Could not ask for the topology: {error}"),
            }
            self.unconfirmed_replies.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes over what one shard said.
    pub(crate) fn learn(&self, said: SelfDescription) -> Result<()> {
        let desired_topology = {
            let view = self.view();
            let is_arbiter = *arbiter(&said.ring.topology) == said.shard;
            let is_news = (said.ring.epoch, &said.ring.topology) != (view.epoch, &view.topology);
            // Only the arbiter knows the desired topology.
            let knows =
                if is_arbiter || is_news { &said.ring.desired_topology } else { &view.desired_topology };
            knows.clone()
        };
        self.take_over(said, desired_topology)
    }

    /// What comes from all shards counts whatever was known before: a cache may hold anything.
    fn take_over(&self, said: SelfDescription, desired_topology: Option<Topology>) -> Result<()> {
        self.learn_places(&said)?;
        self.id.write().get_or_insert(said.cluster);
        let mut view = self.view.write();
        let same = said.ring.topology == view.topology;
        let is_news = !same || said.ring.epoch != view.epoch;
        let same_change = view.change.as_ref().map(|(change, _)| change) == said.ring.change.as_ref();
        let same_places = view.endpoints == said.endpoints && view.stale_endpoints == said.stale_endpoints;
        let same_ring = view.topology_md5 == said.topology_md5;
        if same_ring && !is_news && same_change && same_places && view.desired_topology == desired_topology {
            return Ok(());
        }
        if let Some(folder) = self.cache_folder.as_ref().filter(|_| is_news) {
            cache::write(folder, &said.membership());
        }
        let RingState { epoch, topology, change, .. } = said.ring;
        let ring = topology.ring();
        if !same {
            prototype_log::ring_built(&topology, &ring);
        }
        let change = change.map(|change| {
            let ring = change.next_topology.ring();
            (change, ring)
        });
        let SelfDescription { endpoints, stale_endpoints, topology_md5, .. } = said;
        *view = Arc::new(View {
            epoch,
            topology,
            ring,
            change,
            desired_topology,
            endpoints,
            stale_endpoints,
            topology_md5,
        });
        Ok(())
    }

    /// Adds the shards and standbys that this one knows of, if they belong to the cluster or are to do so; and finds
    /// those anew that are somewhere else now.
    pub(crate) fn learn_places(&self, said: &SelfDescription) -> Result<()> {
        let known = self.shards.names();
        for (name, place) in said.endpoints.iter().filter(|(name, _)| said.ring.names(name)) {
            let url = ConnectionString::new(&place.url);
            if !known.contains(name) {
                self.shards.add(name.clone(), &url)?;
            } else if said.stale_endpoints.get(self.shards.address(name)?.shown()) == Some(name) {
                // What is configured is where the shard was before a replica took it over.
                // A replica of the configuration is known with its password.
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
            let replicas: Vec<_> = place.replicas.iter().map(ConnectionString::new).collect();
            self.shards.add_replicas(name, &replicas)?;
        }
        Ok(())
    }
}
