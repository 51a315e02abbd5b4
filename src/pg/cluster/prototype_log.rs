//! The log lines of the Python prototype about hashing, with its levels and its wording.

use crate::model::names::ShardName;
use crate::model::python_repr;
use crate::model::ring::position::Position;
use crate::model::ring::topology::Topology;
use crate::model::ring::{Ring, VirtualNode};

/// A ring was built.
pub(crate) fn ring_built(topology: &Topology, ring: &Ring) {
    log::info!(
        "Initializing consistent hashing with nodes: {}, virtual_nodes: {}",
        python_repr::list(topology.names().map(ShardName::as_str)),
        topology.virtual_nodes()
    );
    if log::log_enabled!(log::Level::Debug) {
        let mut nodes: Vec<VirtualNode<'_>> = ring.virtual_nodes().collect();
        nodes.sort_by_key(|node| (node.shard, node.index));
        for VirtualNode { shard, index, position, .. } in nodes {
            log::debug!("Hashed key '{shard}#{index}' to {position}");
            log::debug!("Added virtual node {shard}#{index} for {shard} at hash {position}");
        }
    }
    log::info!("Hash ring built with {} virtual nodes", ring.len());
}

/// A key has another owner than before.
pub fn key_reassigned(key: &str, shard: &ShardName) {
    log::info!("Key {} reassigned to {shard}", python_repr::repr(key));
}

/// A key was routed.
pub(crate) fn key_routed(key: &str, position: Position, node: VirtualNode<'_>) {
    log::debug!("Hashed key {} to {position}", python_repr::repr(key));
    let key = python_repr::repr(key);
    if node.wrapped {
        log::info!("Key {key} (hash: {position}) wrapped around to node {}", node.shard);
    } else {
        log::info!("Key {key} (hash: {position}) assigned to node {}", node.shard);
    }
}
