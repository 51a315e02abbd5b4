//! The plan of a change: what goes where, and how the shares change. A value that is shown before it is carried
//! out.

use std::collections::BTreeMap;

use super::Piece;
use crate::model::arc::Arc;
use crate::model::change::{modulo_flows, moved, ring_flows};
use crate::model::names::ShardName;
use crate::model::topology::Topology;

/// How much lies on some arcs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Users.
    pub rows: u64,
    /// Bytes of their rows.
    pub bytes: u64,
}

/// What goes from one shard to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// From whom.
    pub source: ShardName,
    /// To whom.
    pub target: ShardName,
    /// The ranges, in order.
    pub ranges: Vec<Arc>,
    /// What lies on them.
    pub load: Load,
}

/// The plan of a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The topology in force.
    pub before: Topology,
    /// The topology that is wished for.
    pub after: Topology,
    /// What is still to be moved, by source and target.
    pub flows: Vec<Flow>,
    /// What lies on all shards.
    pub total: Load,
}

impl Plan {
    /// A plan of these pieces; `loads` says what lies on each of them, in the same order.
    pub fn new(before: Topology, after: Topology, pieces: &[Piece], loads: &[Load], total: Load) -> Self {
        assert_eq!(pieces.len(), loads.len(), "each piece has a load");
        let mut flows: BTreeMap<(&ShardName, &ShardName), (Vec<Arc>, Load)> = BTreeMap::new();
        for (piece, load) in pieces.iter().zip(loads) {
            let (ranges, sum) = flows.entry((&piece.source, &piece.target)).or_default();
            ranges.push(piece.range);
            sum.rows += load.rows;
            sum.bytes += load.bytes;
        }
        let flows = flows
            .into_iter()
            .map(|((source, target), (ranges, load))| Flow {
                source: source.clone(),
                target: target.clone(),
                ranges,
                load,
            })
            .collect();
        Self { before, after, flows, total }
    }

    /// What is to be moved.
    pub fn moving(&self) -> Load {
        self.flows.iter().fold(Load::default(), |sum, flow| Load {
            rows: sum.rows + flow.load.rows,
            bytes: sum.bytes + flow.load.bytes,
        })
    }

    /// The share of all keys that the change moves, 0 to 1, by the rings alone.
    pub fn share(&self) -> f64 {
        moved(&ring_flows(&self.before.ring(), &self.after.ring()))
    }

    /// The least share that any change to these weights must move: what the shards that grow are to grow by.
    pub fn ideal_share(&self) -> f64 {
        let part = |topology: &Topology, name: &ShardName| {
            let all: f64 = topology.shards().iter().map(|spec| spec.weight.number()).sum();
            topology.shard(name).map_or(0.0, |spec| spec.weight.number() / all)
        };
        let grows = |name: &ShardName| (part(&self.after, name) - part(&self.before, name)).max(0.0);
        self.after.names().map(grows).fold(0.0, |sum, growth| sum + growth)
    }

    /// The share of all keys that would move if they were placed by `hash modulo shards`.
    pub fn modulo_share(&self) -> f64 {
        let old: Vec<ShardName> = self.before.names().cloned().collect();
        // The old ones in their order, the new ones behind.
        let mut new: Vec<ShardName> =
            old.iter().filter(|name| self.after.shard(name).is_some()).cloned().collect();
        new.extend(self.after.names().filter(|name| self.before.shard(name).is_none()).cloned());
        moved(&modulo_flows(&old, &new))
    }
}
