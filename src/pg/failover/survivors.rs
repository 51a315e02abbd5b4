//! What a takeover and a removal share: the shard must not answer, the other shards must not change meanwhile, and the new
//! state of a shard is written.

use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::ShardState;
use crate::model::ring::topology::Epoch;
use crate::pg::catalog::{Incarnation, ShardEndpoint};
use crate::pg::cluster::Cluster;
use crate::pg::net::session::Session;
use crate::pg::rebalance::run_lock::RunLock;
use crate::pg::rebalance::run_state::{RebalanceOptions, RunState};
use crate::pg::requests::connection::{Connection, ObservedShard};
use crate::threads;

/// How long a server may take to answer before it counts as down.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

/// The states of the other shards.
pub(crate) struct Survivors {
    /// Description and state of each.
    pub(crate) observed: Vec<(ShardName, ObservedShard)>,
}

impl Survivors {
    pub(crate) fn states(&self) -> std::collections::BTreeMap<ShardName, ShardState> {
        self.observed.iter().map(|(name, observed)| (name.clone(), observed.state.clone())).collect()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &ShardName> {
        self.observed.iter().map(|(name, _)| name)
    }

    /// The endpoint of a shard, of its latest incarnation that any of them knows.
    pub(crate) fn endpoint(&self, shard: &ShardName) -> Option<&ShardEndpoint> {
        let endpoints =
            self.observed.iter().filter_map(|(_, observed)| observed.description.endpoints.get(shard));
        endpoints.max_by_key(|endpoint| endpoint.incarnation)
    }

    pub(crate) fn incarnation(&self, shard: &ShardName) -> Incarnation {
        self.endpoint(shard).map_or_else(Incarnation::default, |endpoint| endpoint.incarnation)
    }

    /// The latest epoch that any of them is in.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        self.observed.iter().map(|(_, observed)| observed.state.ring.epoch).max()
    }

    pub(crate) fn is_changing(&self) -> bool {
        self.observed.iter().any(|(_, observed)| observed.state.ring.change.is_some())
    }
}

/// Fails with `Conflict` if a server answers at the shard's address: two primaries of one shard would diverge.
pub(crate) fn must_not_answer(cluster: &Cluster, shard: &ShardName) -> Result<()> {
    let address = cluster.shards().address(shard)?.without_proxy(PROBE_PATIENCE);
    let answer = match Session::try_connect(shard, &address) {
        Ok(_) => "it accepts connections".to_owned(),
        Err(failed) if failed.has_answered => failed.message,
        // A process that is suspended, or has no free connections, may continue later.
        Err(failed) if address.accepts(PROBE_PATIENCE) => {
            format!("it accepts TCP connections, but: {}", failed.message)
        }
        Err(_) => return Ok(()),
    };
    let message = format!("shard `{shard}` is not down: a server answers at {}: {answer}", address.shown());
    Err(Error::new(Kind::Conflict, message)
        .hint("nothing is to be done while it serves; to replace it, stop its server first, and make sure that it stays down")
        .on_shard(shard))
}

/// Reads the states of all other shards. Each must answer. (One that is not confirmed is compared with the others when it is used
/// next.)
pub(crate) fn read(cluster: &Cluster, shard: &ShardName) -> Result<Survivors> {
    let view = cluster.view();
    let mut names: Vec<ShardName> = view.participants().into_iter().cloned().collect();
    names.retain(|name| name != shard);
    let observed = threads::at_once(names, |name| {
        let mut connection = Connection::open_unconfirmed(cluster, &name)?;
        let observed = connection.read_catalog(cluster)?;
        Ok((name, observed))
    });
    Ok(Survivors { observed: observed.into_iter().collect::<Result<_>>()? })
}

/// Takes the run lock, so that no rebalance runs meanwhile. `None` if there is no other shard.
pub(crate) fn lock_changes(cluster: &Cluster, survivors: &Survivors) -> Result<Option<RunLock>> {
    let run_state = RunState::new(cluster, RebalanceOptions::default());
    // A mover takes it on the first shard of the topology in force.
    let newest =
        survivors.observed.iter().map(|(_, observed)| &observed.state).max_by_key(|state| state.ring.epoch);
    let first = newest.and_then(|state| {
        let is_survivor = |name: &&ShardName| survivors.names().any(|other| other == *name);
        state.ring.topology.names().find(is_survivor)
    });
    first.map(|arbiter| RunLock::take(&run_state, arbiter)).transpose()
}
