//! What this process knows of the cluster: the pools of the shards, and the newest known topology.
//!
//! The known topology (`view.rs`) is never trusted. Each answer of a shard has the shard's epoch; a newer epoch makes the
//! process read the topology again. This room reads and writes no users: see `pg/rows/`.

pub mod cache;
pub(crate) mod discovery;
pub mod prototype_log;
pub mod refresh;
pub mod replicas;
mod ring_file;
pub mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

use crate::error::{Error, Kind, Result};
use crate::model::names::{ClusterId, ShardName};
use crate::model::ring::topology::{Epoch, Topology, VIRTUAL_NODES_DEFAULT};
use crate::pg::catalog::{Incarnation, TopologyMd5};
use crate::pg::pool::Shards;
use ring_file::RingFile;
use view::View;

/// The shards, and what is known of the topology.
pub struct Cluster {
    pub(crate) shards: Shards,
    pub(crate) id: RwLock<Option<ClusterId>>,
    pub(crate) cache_folder: Option<PathBuf>,
    pub(crate) view: RwLock<Arc<View>>,
    /// Fenced stale primaries, whose rows `verify` compares too.
    pub(crate) stale_primaries: RwLock<BTreeSet<ShardName>>,
    /// Shards that answered with an old epoch, with that epoch and the one known then; each case is examined once.
    pub(crate) late: Mutex<BTreeSet<(ShardName, Epoch, Epoch)>>,
    /// How many statements about users were answered without a known stable ring.
    pub(crate) unconfirmed_replies: AtomicU32,
    /// The latest incarnation of each shard that any answer named.
    pub(crate) incarnations: Mutex<BTreeMap<ShardName, Incarnation>>,
    /// When the endpoint of a shard that does not answer was last discovered.
    pub(crate) discovered_at: Mutex<BTreeMap<ShardName, Instant>>,
}

impl Cluster {
    /// The cluster of these shards, unconnected: the topology comes from the cache, or is guessed (all shards with weight 1)
    /// until a shard answers.
    pub fn open(shards: Shards, id: Option<ClusterId>, cache_folder: Option<PathBuf>) -> Result<Self> {
        let cached = id.zip(cache_folder.as_deref()).and_then(|(id, folder)| cache::read(folder, id));
        // If a cached topology names an unknown shard, its address must be read from a catalog first.
        let names = shards.names();
        let cached = cached.filter(|cached| cached.topology.names().all(|name| names.contains(name)));
        let (epoch, topology) = if let Some(membership) = cached {
            (membership.epoch, membership.topology)
        } else {
            let guess = Topology::of_equals(VIRTUAL_NODES_DEFAULT, names);
            (Epoch::GUESSED, guess.map_err(|why| Error::new(Kind::Configuration, why))?)
        };
        let (ring, ring_file) = (OnceLock::new(), None);
        let (endpoints, stale_endpoints, topology_md5) = (BTreeMap::new(), BTreeMap::new(), None);
        let mut view = View {
            epoch,
            topology,
            ring,
            ring_file,
            change: None,
            desired_topology: None,
            endpoints,
            stale_endpoints,
            topology_md5,
        };
        if let Some((id, folder)) = id.zip(cache_folder.as_deref())
            && view.epoch != Epoch::GUESSED
            && RingFile::pays(&view.topology)
        {
            view.ring_file = RingFile::open(folder, id, &view.topology);
            if view.ring_file.is_none() {
                RingFile::write(folder, id, &view.topology, view.ring());
            }
        } else if view.epoch != Epoch::GUESSED {
            // The fast path compares it, and is faster also for the only statement of a process.
            view.topology_md5 = TopologyMd5::of(&view.topology);
        }
        if log::log_enabled!(log::Level::Info) {
            // The prototype says first that it builds the ring.
            view.ring();
        }
        Ok(Self::of(shards, id, cache_folder, Arc::new(view)))
    }

    /// The same cluster with other pools; from now on both learn separately.
    #[must_use]
    pub fn again(&self, shards: Shards) -> Self {
        Self::of(shards, self.id(), self.cache_folder.clone(), self.view())
    }

    fn of(shards: Shards, id: Option<ClusterId>, cache_folder: Option<PathBuf>, view: Arc<View>) -> Self {
        Self {
            shards,
            id: RwLock::new(id),
            cache_folder,
            view: RwLock::new(view),
            stale_primaries: RwLock::default(),
            late: Mutex::default(),
            unconfirmed_replies: AtomicU32::new(0),
            incarnations: Mutex::default(),
            discovered_at: Mutex::default(),
        }
    }

    /// The shards' pools.
    pub fn shards(&self) -> &Shards {
        &self.shards
    }

    /// The cluster's id, if known.
    pub fn id(&self) -> Option<ClusterId> {
        *self.id.read()
    }

    /// What is known of the topology.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read())
    }
}
