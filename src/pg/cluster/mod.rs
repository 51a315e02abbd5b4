//! What this process knows of the cluster: how each shard is reached, and which topology the shards said last.
//!
//! What is known of the topology (`view.rs`) is never trusted. Each answer of a shard carries the shard's epoch; a
//! newer one means that the topology is read again (`refresh.rs`). Nothing here reads or writes a user: see `pg/rows/`.

pub mod cache;
pub(crate) mod discovery;
pub mod prototype_log;
mod refresh;
pub mod replicas;
pub mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

use crate::error::{Error, Kind, Result};
use crate::model::names::{ClusterId, ShardName};
use crate::model::ring::topology::{Epoch, Topology, VIRTUAL_NODES_DEFAULT};
use crate::pg::pool::Shards;
use view::View;

/// The shards, and what is known of who owns what.
pub struct Cluster {
    pub(crate) shards: Shards,
    pub(crate) id: RwLock<Option<ClusterId>>,
    pub(crate) cache_folder: Option<PathBuf>,
    pub(crate) view: RwLock<Arc<View>>,
    /// Old data of shards, which `verify` looks at as well.
    pub(crate) stale_primaries: RwLock<BTreeSet<ShardName>>,
    /// Which shards were late, at which epoch, when which was known: they were looked into.
    pub(crate) late: Mutex<BTreeSet<(ShardName, Epoch, Epoch)>>,
    /// How many statements about users were answered while no ring is known to be at rest.
    pub(crate) unconfirmed_replies: AtomicU32,
    /// When the others were asked last where a shard is that does not answer.
    pub(crate) discovered_at: Mutex<BTreeMap<ShardName, Instant>>,
}

impl Cluster {
    /// The cluster of these shards. Connects to none: the topology comes from the cache, or is guessed
    /// (all shards of weight 1) until a shard says otherwise.
    pub fn open(shards: Shards, id: Option<ClusterId>, cache_folder: Option<PathBuf>) -> Result<Self> {
        let cached = id.zip(cache_folder.as_deref()).and_then(|(id, folder)| cache::read(folder, id));
        // A shard that was added elsewhere has its address in the catalog: better ask than not find it.
        let names = shards.names();
        let cached = cached.filter(|cached| cached.topology.names().all(|name| names.contains(name)));
        let (epoch, topology) = if let Some(membership) = cached {
            (membership.epoch, membership.topology)
        } else {
            let guess = Topology::of_equals(VIRTUAL_NODES_DEFAULT, names);
            (Epoch::GUESSED, guess.map_err(|why| Error::new(Kind::Configuration, why))?)
        };
        let ring = topology.ring();
        prototype_log::ring_built(&topology, &ring);
        let (endpoints, stale_endpoints, topology_md5) = (BTreeMap::new(), BTreeMap::new(), None);
        let view = View {
            epoch,
            topology,
            ring,
            change: None,
            desired_topology: None,
            endpoints,
            stale_endpoints,
            topology_md5,
        };
        Ok(Self::seen(shards, id, cache_folder, Arc::new(view)))
    }

    /// The same with other pools, and what it learns from here on.
    #[must_use]
    pub fn again(&self, shards: Shards) -> Self {
        Self::seen(shards, self.id(), self.cache_folder.clone(), self.view())
    }

    fn seen(shards: Shards, id: Option<ClusterId>, cache_folder: Option<PathBuf>, view: Arc<View>) -> Self {
        Self {
            shards,
            id: RwLock::new(id),
            cache_folder,
            view: RwLock::new(view),
            stale_primaries: RwLock::default(),
            late: Mutex::default(),
            unconfirmed_replies: AtomicU32::new(0),
            discovered_at: Mutex::default(),
        }
    }

    /// The shards' pools.
    pub fn shards(&self) -> &Shards {
        &self.shards
    }

    /// The cluster's id, if it is known.
    pub fn id(&self) -> Option<ClusterId> {
        *self.id.read()
    }

    /// What is known of the topology now.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read())
    }
}
