//! The ring: virtual nodes in order, and the owner of each position.
//!
//! Consistent hashing after Karger et al., "Consistent Hashing and Random Trees" (STOC 1997): the owner
//! of a position is the shard of the first virtual node at or after it, clockwise; past the last one, the
//! first. This is the one definition of ownership in the program. The ring holds no URL and no state of a
//! shard, and it never changes.

pub mod arc;
pub mod coverage;
pub mod key;
pub mod moved_share;
pub mod position;
pub mod topology;

use std::collections::BTreeMap;

use super::names::ShardName;
use arc::Arc;
use position::Position;

/// One point of a shard on the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtualNode<'ring> {
    /// Its shard.
    pub shard: &'ring ShardName,
    /// Its number among the shard's virtual nodes, from 0.
    pub index: u32,
    /// Its position.
    pub position: Position,
    /// Whether a lookup reached it over the top of the ring.
    pub wrapped: bool,
}

/// An arc and the shard that owns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnedArc<'ring> {
    /// The positions.
    pub arc: Arc,
    /// Their owner.
    pub shard: &'ring ShardName,
}

#[derive(Debug, Clone, Copy)]
struct NodeLabel {
    shard: u32,
    index: u32,
}

/// All virtual nodes, built once. A lookup allocates nothing.
#[derive(Debug, Clone)]
pub struct Ring {
    /// Sorted by name.
    shards: Vec<ShardName>,
    /// Sorted, without duplicates.
    points: Vec<Position>,
    /// The shard of each point, parallel to `points`.
    labels: Vec<NodeLabel>,
    /// For each value of a position's top bits, the first point that is not below all such positions.
    /// With four times as many slots as points, most lookups look at one point or two.
    slots: Vec<u32>,
    /// How far to shift a position to get its top bits.
    shift: u32,
}

impl Ring {
    /// The ring of these shards, each with its number of virtual nodes (at least one shard, at least one
    /// virtual node each, names unique: a [`super::ring::topology::Topology`] sees to it).
    pub fn new(shards: impl IntoIterator<Item = (ShardName, u32)>) -> Self {
        let mut shards: Vec<(ShardName, u32)> = shards.into_iter().collect();
        shards.sort();
        assert!(!shards.is_empty(), "a ring has at least one shard");
        let mut nodes = Vec::new();
        for (shard, (name, count)) in (0..).zip(&shards) {
            assert!(*count > 0, "a shard has at least one virtual node");
            let positions = Position::of_virtual_nodes(name.as_str(), *count);
            nodes
                .extend((0..).zip(positions).map(|(index, position)| (position, NodeLabel { shard, index })));
        }
        // Equal positions: the smaller name wins (names are sorted, so the smaller number).
        nodes.sort_unstable_by_key(|(position, label)| (*position, label.shard, label.index));
        nodes.dedup_by_key(|(position, _)| *position);
        let (points, labels): (Vec<Position>, Vec<NodeLabel>) = nodes.into_iter().unzip();
        let bits = (points.len() * 4).next_power_of_two().trailing_zeros();
        let shift = 128 - bits;
        let mut slots = Vec::with_capacity(1 << bits);
        for (at, point) in (0_u32..).zip(&points) {
            // All slots up to the point's own, which earlier points have not reached.
            let top = usize::try_from(point.number() >> shift).expect("as many top bits as slots");
            slots.resize(slots.len().max(top + 1), at);
        }
        let count = u32::try_from(points.len()).expect("a topology has fewer than 2^32 virtual nodes");
        slots.resize(1 << bits, count);
        Self { shards: shards.into_iter().map(|(name, _)| name).collect(), points, labels, slots, shift }
    }

    /// The shards, sorted by name.
    pub fn shards(&self) -> &[ShardName] {
        &self.shards
    }

    /// The number of virtual nodes.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Never: a ring has at least one virtual node.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The owner of a position.
    pub fn owner(&self, position: Position) -> &ShardName {
        let (at, _) = self.successor(position);
        &self.shards[self.labels[at].shard as usize]
    }

    /// The virtual node that owns a position: the first at or after it, clockwise.
    pub fn locate(&self, position: Position) -> VirtualNode<'_> {
        let (at, wrapped) = self.successor(position);
        VirtualNode { wrapped, ..self.node(at) }
    }

    /// How many virtual nodes a walk clockwise from position 0 passes before it comes to one at or after a
    /// position; all of them if there is none, and the way goes over the top.
    pub fn passed(&self, position: Position) -> usize {
        match self.successor(position) {
            (at, false) => at,
            (_, true) => self.len(),
        }
    }

    fn successor(&self, position: Position) -> (usize, bool) {
        let top = usize::try_from(position.number() >> self.shift).expect("as many top bits as slots");
        let mut at = self.slots[top] as usize;
        while let Some(point) = self.points.get(at) {
            if *point >= position {
                return (at, false);
            }
            at += 1;
        }
        (0, true)
    }

    fn node(&self, at: usize) -> VirtualNode<'_> {
        let NodeLabel { shard, index } = self.labels[at];
        VirtualNode { shard: &self.shards[shard as usize], index, position: self.points[at], wrapped: false }
    }

    /// All virtual nodes, clockwise from position 0.
    pub fn virtual_nodes(&self) -> impl Iterator<Item = VirtualNode<'_>> {
        (0..self.len()).map(|at| self.node(at))
    }

    /// The share of the ring that a virtual node answers for, by its place in [`Ring::virtual_nodes`].
    pub fn share_of_virtual_node(&self, at: usize) -> f64 {
        let point = self.points[at].number();
        let before = self.points[(at + self.len() - 1) % self.len()].number();
        if self.len() == 1 {
            return 1.0;
        }
        // The distance is at least 1: points are distinct.
        Arc::new(Position::new(1), Position::new(point.wrapping_sub(before))).share()
    }

    /// The arcs with their owners, in order, adjacent ones of one owner merged. They tile the ring.
    pub fn arcs(&self) -> Vec<OwnedArc<'_>> {
        let mut arcs: Vec<OwnedArc<'_>> = Vec::new();
        let mut first = Some(Position::FIRST);
        let ends = self.virtual_nodes().map(|node| (node.position, node.shard));
        // Positions after the last point belong to the first one.
        let over_the_top = (Position::LAST, self.node(0).shard);
        for (last, shard) in ends.chain([over_the_top]) {
            let Some(start) = first else { break };
            match arcs.last_mut() {
                Some(before) if before.shard == shard => before.arc = Arc::new(before.arc.first(), last),
                _ => arcs.push(OwnedArc { arc: Arc::new(start, last), shard }),
            }
            first = last.next();
        }
        arcs
    }

    /// The arcs of each shard that has any, in order.
    pub fn arcs_by_shard(&self) -> BTreeMap<&ShardName, Vec<Arc>> {
        let mut by_shard: BTreeMap<&ShardName, Vec<Arc>> = BTreeMap::new();
        for owned in self.arcs() {
            by_shard.entry(owned.shard).or_default().push(owned.arc);
        }
        by_shard
    }

    /// The share of each shard, 0 to 1, sorted by name. The sum is 1.
    pub fn shares(&self) -> Vec<(&ShardName, f64)> {
        let mut shares: Vec<(&ShardName, f64)> = self.shards.iter().map(|name| (name, 0.0)).collect();
        for (at, label) in self.labels.iter().enumerate() {
            shares[label.shard as usize].1 += self.share_of_virtual_node(at);
        }
        shares
    }

    /// A shard's share of the ring, 0 to 1; `None` if it is not on it.
    pub fn share(&self, name: &ShardName) -> Option<f64> {
        self.shares().into_iter().find(|(of, _)| *of == name).map(|(_, share)| share)
    }
}
