//! The plan of a change: which ranges move between which shards, and how the shares change. It is shown before it is
//! carried out, and it moves nothing.

use std::collections::BTreeMap;

use super::Transfer;
use crate::model::names::ShardName;
use crate::model::ring::arc::Arc;
use crate::model::ring::moved_share::{modulo_flows, moved, ring_flows};
use crate::model::ring::topology::Topology;
use crate::model::table::TableName;

/// The data on some arcs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Number of rows.
    pub rows: u64,
    /// Bytes of their rows.
    pub bytes: u64,
}

impl Load {
    /// The sum of both.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, bytes: self.bytes + other.bytes }
    }
}

/// A key with so many rows that moving it takes a while; all rows of a key move at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeavyKey {
    /// The table that has the rows.
    pub table: TableName,
    /// The key as text.
    pub key: String,
    /// About how many rows it has there.
    pub rows: u64,
}

/// What moves from one shard to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedRows {
    /// The shard that gives.
    pub source: ShardName,
    /// The shard that receives.
    pub target: ShardName,
    /// The ranges, in order.
    pub ranges: Vec<Arc>,
    /// The data on them.
    pub load: Load,
}

/// The plan of a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The topology in force.
    pub before: Topology,
    /// The topology that the change leads to.
    pub after: Topology,
    /// What is still to move, by source and target.
    pub flows: Vec<MovedRows>,
    /// The data on all shards.
    pub total: Load,
}

impl Plan {
    /// A plan of these pieces; `loads` has the data on each, in the same order.
    pub fn new(before: Topology, after: Topology, pieces: &[Transfer], loads: &[Load], total: Load) -> Self {
        assert_eq!(pieces.len(), loads.len(), "each piece has a load");
        let mut flows: BTreeMap<(&ShardName, &ShardName), (Vec<Arc>, Load)> = BTreeMap::new();
        for (piece, load) in pieces.iter().zip(loads) {
            let (ranges, sum) = flows.entry((&piece.source, &piece.target)).or_default();
            ranges.push(piece.range);
            *sum = sum.plus(*load);
        }
        let flows = flows
            .into_iter()
            .map(|((source, target), (ranges, load))| MovedRows {
                source: source.clone(),
                target: target.clone(),
                ranges,
                load,
            })
            .collect();
        Self { before, after, flows, total }
    }

    /// The data that is still to move.
    pub fn moving(&self) -> Load {
        self.flows.iter().fold(Load::default(), |sum, flow| sum.plus(flow.load))
    }

    /// The share of all keys that the change moves, 0 to 1, by the rings alone.
    pub fn share(&self) -> f64 {
        moved(&ring_flows(&self.before.ring(), &self.after.ring()))
    }

    /// The smallest share that a change to these weights can move: the sum of the growth of all growing shards, 0 to 1.
    pub fn ideal_share(&self) -> f64 {
        let part = |topology: &Topology, name: &ShardName| {
            let all: f64 = topology.shards().iter().map(|spec| spec.weight.number()).sum();
            topology.shard(name).map_or(0.0, |spec| spec.weight.number() / all)
        };
        let grows = |name: &ShardName| (part(&self.after, name) - part(&self.before, name)).max(0.0);
        self.after.names().map(grows).fold(0.0, |sum, growth| sum + growth)
    }

    /// The share of all keys that would move with `hash modulo shards`, 0 to 1.
    pub fn modulo_share(&self) -> f64 {
        let old: Vec<ShardName> = self.before.names().cloned().collect();
        // The old shards in their order, then the new ones.
        let mut new: Vec<ShardName> =
            old.iter().filter(|name| self.after.shard(name).is_some()).cloned().collect();
        new.extend(self.after.names().filter(|name| self.before.shard(name).is_none()).cloned());
        moved(&modulo_flows(&old, &new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ring::position::Position;
    use crate::model::ring::topology::{Epoch, ShardSpec, Weight};

    fn shard(number: usize) -> ShardName {
        format!("shard_{number}").parse().unwrap()
    }

    #[test]
    fn a_fourth_shard_moves_the_share_that_the_ring_says() {
        let before = Topology::of_equals(100, (1..=3).map(shard)).unwrap();
        let after = before.with(ShardSpec { name: shard(4), weight: Weight::ONE }).unwrap();
        assert_eq!(after.without(&shard(4)).unwrap(), before);
        let piece = |source, first, last| Transfer {
            epoch: Epoch::new(2),
            source: shard(source),
            target: shard(4),
            range: Arc::new(Position::new(first), Position::new(last)),
        };
        let pieces = [piece(2, 0, 9), piece(1, 10, 19), piece(2, 30, 39)];
        let load = |rows| Load { rows, bytes: rows * 10 };
        let loads = [load(1), load(2), load(4)];
        let plan = Plan::new(before.clone(), after.clone(), &pieces, &loads, load(100));
        assert_eq!(plan.flows.len(), 2);
        assert_eq!((&plan.flows[0].source, plan.flows[0].load), (&shard(1), load(2)));
        assert_eq!((plan.flows[1].ranges.len(), plan.flows[1].load), (2, load(5)));
        assert_eq!(plan.moving(), load(7));
        // 22.93 %; an even ring would move 25 %, and modulo 75 %.
        assert!((plan.share() - 0.2293).abs() < 0.0005, "{}", plan.share());
        assert!((plan.ideal_share() - 0.25).abs() < 1e-9);
        assert!((plan.modulo_share() - 0.75).abs() < 1e-9);
        // The other way: the three that stay grow by a twelfth each.
        let back = Plan::new(after, before, &[], &[], load(100));
        assert!((back.share() - plan.share()).abs() < 1e-9);
        assert!((back.ideal_share() - 0.25).abs() < 1e-9);
        assert!((back.modulo_share() - 0.75).abs() < 1e-9);
    }

    #[test]
    fn a_weight_can_be_changed_and_the_last_shard_stays() {
        let one = Topology::of_equals(100, [shard(1)]).unwrap();
        assert!(one.without(&shard(1)).is_err());
        let heavier = one.with(ShardSpec { name: shard(1), weight: 2.0.try_into().unwrap() }).unwrap();
        assert_eq!(heavier.shards().len(), 1);
        assert_eq!(heavier.ring().len(), 200);
    }
}
