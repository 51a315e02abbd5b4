//! Coverage: which shard's rows count for each position, from snapshots of all shards at nearly the same time.
//!
//! If a chunk moved between two snapshots, two shards may have its positions, or none. Pure: this module holds no connection
//! and no row.

use std::collections::BTreeMap;

use super::arc::{Arc, ShardArc, append, merged};
use super::position::Position;
use super::topology::Epoch;
use crate::model::names::ShardName;

/// The arcs of all shards, combined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// The serving shard of each arc, in order, with adjacent arcs of one shard merged; without the gaps.
    routes: Vec<ServingArc>,
    /// The arcs that a shard has and another one serves, so that its rows there must be excluded.
    left_out: BTreeMap<ShardName, Vec<Arc>>,
    gaps: Vec<Arc>,
    twice: Vec<OwnedTwice>,
}

/// An arc that two shards own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedTwice {
    /// The positions.
    pub arc: Arc,
    /// The shards, and the epochs of their arcs, sorted by name.
    pub owners: [(ShardName, Epoch); 2],
}

impl OwnedTwice {
    /// Whether this is still there in later snapshots, all of which were taken after those of `earlier`. No move does that:
    /// when the target owns a chunk, its source has already let go of it.
    pub fn lasts_since(&self, earlier: &[Self]) -> bool {
        earlier.iter().any(|other| {
            other.owners == self.owners
                && (other.arc.contains(self.arc.first()) || self.arc.contains(other.arc.first()))
        })
    }
}

/// An arc and the shard whose rows count there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServingArc {
    /// The positions.
    pub arc: Arc,
    /// The shard whose rows count.
    pub shard: ShardName,
    /// Whether that shard owns the arc; otherwise it is fenced there, and its target has not received it.
    pub owned: bool,
}

/// Walks the arcs of one shard in order.
struct Walk<'held> {
    shard: &'held ShardName,
    rest: Vec<&'held ShardArc>,
}

impl<'held> Walk<'held> {
    fn new(shard: &'held ShardName, held: &'held [ShardArc]) -> Self {
        let mut rest: Vec<&ShardArc> = held.iter().collect();
        rest.sort_unstable_by_key(|held| std::cmp::Reverse(held.arc));
        Self { shard, rest }
    }

    /// The shard's arc at a position, and the last position up to which the answer holds. Calls must be in the order of the
    /// positions.
    fn at(&mut self, position: Position) -> (Option<&'held ShardArc>, Position) {
        while self.rest.last().is_some_and(|held| held.arc.last() < position) {
            self.rest.pop();
        }
        match self.rest.last() {
            Some(held) if held.arc.first() <= position => (Some(held), held.arc.last()),
            // The arc begins after `position`, so not at the first position of the ring.
            Some(held) => (None, Position::new(held.arc.first().number() - 1)),
            None => (None, Position::LAST),
        }
    }
}

impl Coverage {
    /// Decides for each position:
    ///
    /// - the rows of the owner count; of two owners that of the later epoch, as the other's snapshot is from before its fence
    /// - without an owner, the rows of a shard that has it fenced count: in its snapshot the target had not received it
    /// - otherwise it is a gap
    ///
    /// In each committed state of a move every position is owned or fenced on some shard, so a gap means that a chunk was handed
    /// over between two snapshots.
    pub fn of(held: &BTreeMap<ShardName, Vec<ShardArc>>) -> Self {
        let mut coverage =
            Self { routes: Vec::new(), left_out: BTreeMap::new(), gaps: Vec::new(), twice: Vec::new() };
        let mut walks: Vec<Walk<'_>> = held.iter().map(|(shard, arcs)| Walk::new(shard, arcs)).collect();
        let mut open = Some(Position::FIRST);
        while let Some(first) = open {
            let mut last = Position::LAST;
            let mut holders: Vec<(&ShardName, &ShardArc)> = Vec::new();
            for walk in &mut walks {
                let (held, until) = walk.at(first);
                last = last.min(until);
                holders.extend(held.map(|held| (walk.shard, held)));
            }
            coverage.decide(Arc::new(first, last), &holders);
            open = last.next();
        }
        coverage
    }

    fn decide(&mut self, arc: Arc, holders: &[(&ShardName, &ShardArc)]) {
        // Owners first, then later epochs, then names.
        let best = holders.iter().rev().max_by_key(|(_, held)| (held.is_owned(), held.epoch));
        let Some((server, held)) = best else {
            append(&mut self.gaps, arc);
            return;
        };
        let mut owners = holders.iter().filter(|(_, held)| held.is_owned());
        if let (Some(one), Some(other)) = (owners.next(), owners.next()) {
            let owners = [one, other].map(|(shard, held)| ((*shard).clone(), held.epoch));
            self.twice.push(OwnedTwice { arc, owners });
        }
        for (shard, _) in holders.iter().filter(|(shard, _)| shard != server) {
            append(self.left_out.entry((*shard).clone()).or_default(), arc);
        }
        match self.routes.last_mut() {
            Some(before)
                if before.shard == **server
                    && before.owned == held.is_owned()
                    && before.arc.last().next() == Some(arc.first()) =>
            {
                before.arc = Arc::new(before.arc.first(), arc.last());
            }
            _ => self.routes.push(ServingArc { arc, shard: (*server).clone(), owned: held.is_owned() }),
        }
    }

    /// The serving shards, in order.
    pub fn routes(&self) -> &[ServingArc] {
        &self.routes
    }

    /// The arcs that no shard has, in order.
    pub fn gaps(&self) -> &[Arc] {
        &self.gaps
    }

    /// The arcs that two shards own, in order.
    pub fn twice(&self) -> &[OwnedTwice] {
        &self.twice
    }

    /// The arcs on which the rows of this shard must be excluded.
    pub fn left_out(&self, shard: &ShardName) -> &[Arc] {
        self.left_out.get(shard).map_or(&[], Vec::as_slice)
    }

    /// Whether a shard with these arcs owns everything that it serves here.
    pub fn is_owned_by(&self, shard: &ShardName, held: &[ShardArc]) -> bool {
        let owned = merged(held.iter().filter(|held| held.is_owned()).map(|held| held.arc));
        self.routes.iter().filter(|route| route.shard == *shard).all(|route| {
            let at = owned.partition_point(|arc| arc.last() < route.arc.last());
            owned.get(at).is_some_and(|arc| arc.contains(route.arc.first()) && arc.contains(route.arc.last()))
        })
    }

    /// The serving shard of a position; `None` in a gap.
    pub fn route(&self, position: Position) -> Option<&ServingArc> {
        let at = self.routes.partition_point(|route| route.arc.last() < position);
        self.routes.get(at).filter(|route| route.arc.contains(position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ring::arc::ArcState;

    fn held(first: u128, last: u128, epoch: i64, owned: bool) -> ShardArc {
        let arc = Arc::new(Position::new(first), Position::new(last));
        let fenced = ArcState::Fenced("another".parse().unwrap());
        ShardArc { arc, epoch: Epoch::new(epoch), state: if owned { ArcState::Owned } else { fenced } }
    }

    fn cover<const N: usize>(shards: [(&str, Vec<ShardArc>); N]) -> Coverage {
        Coverage::of(&shards.into_iter().map(|(name, held)| (name.parse().unwrap(), held)).collect())
    }

    fn left_out(coverage: &Coverage, shard: &str) -> Vec<(u128, u128)> {
        let arcs = coverage.left_out(&shard.parse().unwrap());
        arcs.iter().map(|arc| (arc.first().number(), arc.last().number())).collect()
    }

    const ALL: u128 = u128::MAX;

    #[test]
    fn arcs_that_tile_the_ring_leave_nothing_out() {
        let coverage = cover([
            ("a", vec![held(10, 19, 1, true), held(0, 4, 1, true)]),
            ("b", vec![held(5, 9, 1, true), held(20, ALL, 1, true)]),
        ]);
        assert_eq!(coverage.gaps(), []);
        assert!(left_out(&coverage, "a").is_empty() && left_out(&coverage, "b").is_empty());
        assert_eq!(coverage.routes().len(), 4);
        for (position, shard) in [(0, "a"), (4, "a"), (5, "b"), (9, "b"), (10, "a"), (20, "b"), (ALL, "b")] {
            assert_eq!(coverage.route(Position::new(position)).unwrap().shard.as_str(), shard);
        }
    }

    #[test]
    fn each_step_of_a_move_has_one_server() {
        // Before the fence, fenced, handed over and not purged, purged: S has 0..=9 at first.
        let rest = held(10, ALL, 1, true);
        for (source, target, server, out_of_source) in [
            (vec![held(0, 9, 1, true)], vec![], "s", vec![]),
            (vec![held(0, 9, 2, false)], vec![], "s", vec![]),
            (vec![held(0, 9, 2, false)], vec![held(0, 9, 2, true)], "d", vec![(0, 9)]),
            (vec![], vec![held(0, 9, 2, true)], "d", vec![]),
            // The source's snapshot is from before the fence, the target's from after the hand-over.
            (vec![held(0, 9, 1, true)], vec![held(0, 9, 2, true)], "d", vec![(0, 9)]),
        ] {
            let target = [target, vec![rest.clone()]].concat();
            let coverage = cover([("s", source), ("d", target)]);
            assert_eq!(coverage.gaps(), []);
            assert_eq!(coverage.route(Position::new(3)).unwrap().shard.as_str(), server);
            assert_eq!(left_out(&coverage, "s"), out_of_source);
            assert!(left_out(&coverage, "d").is_empty());
        }
        // The source's snapshot is from after the purge, the target's from before the hand-over.
        let coverage = cover([("s", vec![]), ("d", vec![rest])]);
        assert_eq!(coverage.gaps(), [Arc::new(Position::new(0), Position::new(9))]);
        assert_eq!(coverage.route(Position::new(3)), None);
    }

    #[test]
    fn a_shard_with_a_fenced_arc_does_not_own_all() {
        let coverage = cover([
            ("a", vec![held(0, 9, 1, true), held(20, 29, 1, true)]),
            ("b", vec![held(10, 19, 1, true), held(30, ALL, 1, true)]),
        ]);
        let a = "a".parse().unwrap();
        for (arcs, owns) in [
            (vec![held(0, 9, 1, true), held(20, 29, 1, true)], true),
            (vec![held(0, 4, 1, true), held(5, 9, 1, true), held(20, 40, 1, true)], true),
            (vec![held(0, 4, 1, true), held(5, 9, 2, false), held(20, 29, 1, true)], false),
            (vec![held(0, 9, 1, true), held(21, 29, 1, true)], false),
            (vec![], false),
        ] {
            assert_eq!(coverage.is_owned_by(&a, &arcs), owns, "{arcs:?}");
        }
    }

    #[test]
    fn only_the_common_part_of_an_overlap_is_left_out() {
        let coverage = cover([
            ("s", vec![held(0, 20, 1, true)]),
            ("d", vec![held(5, 9, 2, true), held(21, ALL, 1, true)]),
        ]);
        assert_eq!(left_out(&coverage, "s"), [(5, 9)]);
        assert!(left_out(&coverage, "d").is_empty());
        // Of two owners of one epoch, which only damage can cause, the smaller name serves.
        let coverage = cover([("b", vec![held(0, ALL, 1, true)]), ("a", vec![held(0, ALL, 1, true)])]);
        assert_eq!(coverage.routes()[0].shard.as_str(), "a");
    }

    #[test]
    fn two_owners_last_only_if_they_are_damage() {
        let rest = held(30, ALL, 1, true);
        let of = |source: ShardArc, target: ShardArc| {
            cover([("s", vec![source]), ("d", vec![target, rest.clone()])])
        };
        // The source's snapshot is from before the fence; then the next chunk moves.
        let first = of(held(0, 29, 1, true), held(0, 9, 2, true));
        let second = of(held(10, 29, 1, true), held(0, 19, 2, true));
        assert_eq!(first.twice().len(), 1);
        assert_eq!(second.twice()[0].arc, Arc::new(Position::new(10), Position::new(19)));
        assert!(!second.twice()[0].lasts_since(first.twice()));
        // The move goes back, in a later epoch.
        let back = of(held(0, 9, 3, true), held(0, 9, 2, true));
        assert!(!back.twice()[0].lasts_since(first.twice()));
        // Nothing moves, or only a part of it does.
        assert!(first.twice()[0].lasts_since(first.twice()));
        assert!(of(held(5, 29, 1, true), held(0, 9, 2, true)).twice()[0].lasts_since(first.twice()));
        // An arc that is fenced has one owner.
        assert!(of(held(0, 29, 1, false), held(0, 9, 2, true)).twice().is_empty());
    }
}
