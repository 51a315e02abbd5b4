//! The share of keys that a change of the ring moves, compared with `hash modulo shards`.

use std::collections::BTreeMap;

use super::Ring;
use super::arc::Arc;
use crate::model::names::ShardName;

/// The share of all keys that move, 0 to 1, by `(source, target)`.
pub type Flows<'names> = BTreeMap<(&'names ShardName, &'names ShardName), f64>;

/// A piece of the ring with its owners on two rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedArc<'rings> {
    /// The piece.
    pub arc: Arc,
    /// The owner on the first ring.
    pub source: &'rings ShardName,
    /// The owner on the second ring.
    pub target: &'rings ShardName,
}

impl SharedArc<'_> {
    /// Whether the owners differ.
    pub fn moves(&self) -> bool {
        self.source != self.target
    }
}

/// Overlays two rings; the pieces tile the ring, in order.
pub fn overlay<'rings>(before: &'rings Ring, after: &'rings Ring) -> Vec<SharedArc<'rings>> {
    let (before, after) = (before.arcs(), after.arcs());
    let mut pieces = Vec::with_capacity(before.len() + after.len());
    let (mut i, mut j) = (0, 0);
    // Both tile the ring, so they are walked together, piece by piece.
    while let (Some(old), Some(new)) = (before.get(i), after.get(j)) {
        let arc = Arc::new(old.arc.first().max(new.arc.first()), old.arc.last().min(new.arc.last()));
        pieces.push(SharedArc { arc, source: old.shard, target: new.shard });
        i += usize::from(old.arc.last() == arc.last());
        j += usize::from(new.arc.last() == arc.last());
    }
    pieces
}

/// The flows when one ring follows another.
pub fn ring_flows<'rings>(before: &'rings Ring, after: &'rings Ring) -> Flows<'rings> {
    let mut flows = Flows::new();
    for piece in overlay(before, after).into_iter().filter(SharedArc::moves) {
        *flows.entry((piece.source, piece.target)).or_default() += piece.arc.share();
    }
    flows
}

/// The flows when keys are at `names[hash % names.len()]` and one list of names follows another. Exact, as owners repeat
/// every `lcm(before, after)` hashes. Ignores weights.
#[expect(clippy::cast_precision_loss, reason = "at most a million slots")]
pub fn modulo_flows<'names>(before: &'names [ShardName], after: &'names [ShardName]) -> Flows<'names> {
    let slots = before.len() / greatest_common_divisor(before.len(), after.len()) * after.len();
    let mut counts: BTreeMap<(&ShardName, &ShardName), usize> = BTreeMap::new();
    for slot in 0..slots {
        let (old, new) = (&before[slot % before.len()], &after[slot % after.len()]);
        if old != new {
            *counts.entry((old, new)).or_default() += 1;
        }
    }
    counts.into_iter().map(|(pair, count)| (pair, count as f64 / slots as f64)).collect()
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// The share of all keys that moves.
pub fn moved(flows: &Flows<'_>) -> f64 {
    flows.values().fold(0.0, |sum, share| sum + share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<ShardName> {
        text.split_whitespace().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn modulo_moves_the_known_shares() {
        let (three, four) = (names("a b c"), names("a b c d"));
        assert!((moved(&modulo_flows(&three, &four)) - 0.75).abs() < 1e-12);
        assert!((moved(&modulo_flows(&four, &three)) - 0.75).abs() < 1e-12);
        assert!(modulo_flows(&four, &four).is_empty());
        // Only the half of `a` stays.
        assert!((moved(&modulo_flows(&names("a b"), &names("a c"))) - 0.5).abs() < 1e-12);
    }
}
