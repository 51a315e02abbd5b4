//! What a takeover and a removal have in common: the shard must be gone, the others must hold still, and a shard is told
//! what it has from then on.

use std::time::Duration;

use postgres::types::{Json, Type};
use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::{Change, Reply, ShardState};
use crate::model::ring::arc::{Arc, merged};
use crate::model::ring::arc::{ArcState, ShardArc};
use crate::model::ring::position::Position;
use crate::model::ring::topology::{Epoch, Topology};
use crate::pg::catalog::{Incarnation, ShardEndpoint};
use crate::pg::cluster::Cluster;
use crate::pg::net::session::Session;
use crate::pg::net::sqlstate;
use crate::pg::net::sqlstate::ShardError;
use crate::pg::rebalance::chunk_rows::ChunkRows;
use crate::pg::rebalance::connection::{Connection, ObservedShard};
use crate::pg::rebalance::run_lock::RunLock;
use crate::pg::rebalance::run_state::{RebalanceOptions, RunState};
use crate::threads;

/// How long a server may take to answer before it counts as gone.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

/// The other shards, as they stand.
pub(crate) struct Survivors {
    /// What each says.
    pub(crate) seen: Vec<(ShardName, ObservedShard)>,
}

impl Survivors {
    pub(crate) fn states(&self) -> std::collections::BTreeMap<ShardName, ShardState> {
        self.seen.iter().map(|(name, seen)| (name.clone(), seen.state.clone())).collect()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &ShardName> {
        self.seen.iter().map(|(name, _)| name)
    }

    /// Where they think that a shard is: the word about its latest incarnation.
    pub(crate) fn place(&self, shard: &ShardName) -> Option<&ShardEndpoint> {
        let endpoints = self.seen.iter().filter_map(|(_, seen)| seen.said.endpoints.get(shard));
        endpoints.max_by_key(|place| place.incarnation)
    }

    pub(crate) fn incarnation(&self, shard: &ShardName) -> Incarnation {
        self.place(shard).map_or_else(Incarnation::default, |place| place.incarnation)
    }

    /// The last epoch that any of them has heard of.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        self.seen.iter().map(|(_, seen)| seen.state.ring.epoch).max()
    }

    pub(crate) fn is_changing(&self) -> bool {
        self.seen.iter().any(|(_, seen)| seen.state.ring.change.is_some())
    }
}

pub(crate) fn ours(what: &str, shard: &ShardName) -> impl Fn(ShardError) -> Error {
    move |trouble| match trouble {
        ShardError::Server(cause) => sqlstate::doing(what, shard, &cause),
        ShardError::Ours(error) => error,
    }
}

/// Refuses if anything answers where a shard is: two servers for one shard would part its data.
pub(crate) fn must_not_answer(cluster: &Cluster, shard: &ShardName) -> Result<()> {
    let address = cluster.shards().address(shard)?.straight(PROBE_PATIENCE);
    let answer = match Session::try_connect(shard, &address) {
        Ok(_) => "it takes connections".to_owned(),
        Err(failed) if failed.is_there => failed.words,
        // One that is stopped, or at its limit, may go on where it was.
        Err(failed) if address.accepts(PROBE_PATIENCE) => format!("it listens, though: {}", failed.words),
        Err(_) => return Ok(()),
    };
    let message = format!("shard `{shard}` is not gone: a server answers at {}: {answer}", address.shown());
    Err(Error::new(Kind::Conflict, message)
        .hint("stop that server, and make sure that it stays down; then run this again")
        .on_shard(shard))
}

/// What all other shards say. Each of them must answer.
pub(crate) fn survivors(cluster: &Cluster, shard: &ShardName) -> Result<Survivors> {
    let view = cluster.view();
    let mut names: Vec<ShardName> = view.participants().into_iter().cloned().collect();
    names.retain(|name| name != shard);
    let seen = threads::at_once(names, |name| {
        let mut link = Connection::open(cluster, &name)?;
        let seen = link.look(cluster).map_err(ours("look at the catalog", &name))?;
        Ok((name, seen))
    });
    Ok(Survivors { seen: seen.into_iter().collect::<Result<_>>()? })
}

/// Nobody changes the ring while this is held. `None` where there is no other shard.
pub(crate) fn lock_changes(cluster: &Cluster, rest: &Survivors) -> Result<Option<RunLock>> {
    let run = RunState::new(cluster, RebalanceOptions::default());
    // Whoever changes the ring takes it on the first shard of the topology in force.
    let newest = rest.seen.iter().map(|(_, seen)| &seen.state).max_by_key(|state| state.ring.epoch);
    let first = newest.and_then(|state| {
        let is_there = |name: &&ShardName| rest.names().any(|other| other == *name);
        state.ring.topology.names().find(is_there)
    });
    first.map(|arbiter| RunLock::take(&run, arbiter)).transpose()
}

/// What a shard has from here on.
pub(crate) struct ForcedState<'a> {
    pub(crate) epoch: Epoch,
    pub(crate) topology: &'a Topology,
    pub(crate) change: Option<&'a Change>,
    pub(crate) arcs: &'a [ShardArc],
    /// A shard that is no part of the cluster any more, and where it was.
    pub(crate) dead: Option<(&'a ShardName, &'a str)>,
}

impl ForcedState<'_> {
    /// Whether nothing is under way, and these arcs are just those that the ring gives the shard.
    fn is_stable(&self, shard: &ShardName) -> bool {
        let ring = self.topology.ring();
        let given = ring.arcs().into_iter().filter(|owned| owned.shard == shard).map(|owned| owned.arc);
        let is_owned = |held: &ShardArc| held.state == ArcState::Owned;
        self.change.is_none()
            && self.arcs.iter().all(is_owned)
            && merged(self.arcs.iter().map(|held| held.arc)) == merged(given)
    }
}

type Columns = (Vec<Uuid>, Vec<Uuid>, Vec<i64>, Vec<Option<String>>);

fn columns(arcs: &[ShardArc]) -> Columns {
    let ends = |end: fn(Arc) -> Position| arcs.iter().map(|held| end(held.arc).into()).collect();
    let peer = |held: &ShardArc| match &held.state {
        ArcState::Owned => None,
        ArcState::Fenced(peer) => Some(peer.to_string()),
    };
    let epochs = arcs.iter().map(|held| held.epoch.number()).collect();
    (ends(Arc::first), ends(Arc::last), epochs, arcs.iter().map(peer).collect())
}

impl Connection {
    /// Puts a statement in place of what the shard said. [`Reply::Stale`] if it says something else by now.
    pub(crate) fn restate(
        &mut self,
        seen: &ShardState,
        stated: &ForcedState<'_>,
    ) -> Result<Reply<ChunkRows>, ShardError> {
        let (seen_firsts, seen_lasts, seen_epochs, seen_peers) = columns(&seen.arcs);
        let (firsts, lasts, epochs, peers) = columns(stated.arcs);
        let is_stable = stated.is_stable(self.shard());
        let (dead, dead_url) = (stated.dead.map(|(name, _)| name.as_str()), stated.dead.map(|(_, url)| url));
        self.answer(
            "SELECT ringshard.overwrite_state($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
            &[
                (&seen.ring.epoch.number(), Type::INT8),
                (&seen_firsts, Type::UUID_ARRAY),
                (&seen_lasts, Type::UUID_ARRAY),
                (&seen_epochs, Type::INT8_ARRAY),
                (&seen_peers, Type::TEXT_ARRAY),
                (&stated.epoch.number(), Type::INT8),
                (&Json(stated.topology), Type::JSONB),
                (&stated.change.map(|change| Json(&change.next_topology)), Type::JSONB),
                (&stated.change.map(|change| Json(&change.participants)), Type::JSONB),
                (&firsts, Type::UUID_ARRAY),
                (&lasts, Type::UUID_ARRAY),
                (&epochs, Type::INT8_ARRAY),
                (&peers, Type::TEXT_ARRAY),
                (&is_stable, Type::BOOL),
                (&dead, Type::TEXT),
                (&dead_url, Type::TEXT),
            ],
        )
    }
}
