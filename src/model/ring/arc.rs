//! Arcs: inclusive ranges of positions that never wrap.

use std::fmt;

use super::position::Position;
use super::topology::Epoch;
use crate::model::names::ShardName;

/// The positions `first ..= last`, `first <= last`. What goes over the top of the ring is two arcs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arc {
    first: Position,
    last: Position,
}

impl Arc {
    /// The arc from `first` to `last`, both included.
    pub fn new(first: Position, last: Position) -> Self {
        assert!(first <= last, "an arc never wraps: {first} > {last}");
        Self { first, last }
    }

    /// All positions.
    pub const fn whole() -> Self {
        Self { first: Position::FIRST, last: Position::LAST }
    }

    /// Its first position.
    pub const fn first(self) -> Position {
        self.first
    }

    /// Its last position.
    pub const fn last(self) -> Position {
        self.last
    }

    /// Whether a position lies on it.
    pub fn contains(self, position: Position) -> bool {
        self.first <= position && position <= self.last
    }

    /// The positions that lie on both.
    pub fn intersection(self, other: Self) -> Option<Self> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (first <= last).then_some(Self { first, last })
    }

    /// The part of the ring that it covers, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
    pub fn share(self) -> f64 {
        ((self.last.number() - self.first.number()) as f64 + 1.0) / 2_f64.powi(128)
    }
}

impl fmt::Display for Arc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}..={:032x}", self.first.number(), self.last.number())
    }
}

/// The state of an arc on a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArcState {
    /// The shard owns it.
    Owned,
    /// The shard has fenced it, for this target.
    Fenced(ShardName),
}

/// An arc in the catalog of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardArc {
    /// The positions.
    pub arc: Arc,
    /// The epoch in which the shard received or fenced it.
    pub epoch: Epoch,
    /// Its state.
    pub state: ArcState,
}

impl ShardArc {
    /// An owned arc, received in this epoch.
    pub fn owned(arc: Arc, epoch: Epoch) -> Self {
        Self { arc, epoch, state: ArcState::Owned }
    }

    /// Whether it is owned and not fenced.
    pub fn is_owned(&self) -> bool {
        self.state == ArcState::Owned
    }
}

/// Where a set of arcs fails to cover each position exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TilingFault {
    /// No shard has this arc.
    Gap(Arc),
    /// More than one shard has this arc.
    Overlap(Arc),
}

/// Checks that arcs, in any order, cover the ring without gap or overlap; the first fault if they do not.
pub fn check_tiling(arcs: impl IntoIterator<Item = Arc>) -> Result<(), TilingFault> {
    let mut arcs: Vec<Arc> = arcs.into_iter().collect();
    arcs.sort_unstable();
    // The first position that is not covered yet; `None` past the end of the ring.
    let mut open = Some(Position::FIRST);
    for arc in arcs {
        match open {
            Some(open) if arc.first > open => {
                let before = Position::new(arc.first.number() - 1);
                return Err(TilingFault::Gap(Arc::new(open, before)));
            }
            Some(open) if arc.first == open => {}
            Some(open) => {
                let last = arc.last.min(Position::new(open.number() - 1));
                return Err(TilingFault::Overlap(Arc::new(arc.first, last)));
            }
            None => return Err(TilingFault::Overlap(arc)),
        }
        open = arc.last.next();
    }
    open.map_or(Ok(()), |open| Err(TilingFault::Gap(Arc::new(open, Position::LAST))))
}

/// The index of the arc with a position, in sorted arcs without overlaps.
pub fn find(arcs: &[Arc], position: Position) -> Option<usize> {
    let at = arcs.partition_point(|arc| arc.last < position);
    arcs.get(at).filter(|arc| arc.contains(position)).map(|_| at)
}

/// Appends an arc, merged with the last one if they are adjacent.
pub fn append(arcs: &mut Vec<Arc>, arc: Arc) {
    match arcs.last_mut() {
        Some(before) if before.last.next() == Some(arc.first) => *before = Arc::new(before.first, arc.last),
        _ => arcs.push(arc),
    }
}

/// Sorts arcs and merges adjacent ones. Overlaps stay.
pub fn merged(arcs: impl IntoIterator<Item = Arc>) -> Vec<Arc> {
    let mut sorted: Vec<Arc> = arcs.into_iter().collect();
    sorted.sort_unstable();
    let mut merged = Vec::new();
    for arc in sorted {
        append(&mut merged, arc);
    }
    merged
}

/// The positions on any of these arcs, which may overlap: in order, as few arcs as possible.
pub fn union(arcs: impl IntoIterator<Item = Arc>) -> Vec<Arc> {
    let mut union: Vec<Arc> = Vec::new();
    for arc in merged(arcs) {
        match union.last_mut() {
            Some(before) if before.last.next().is_none_or(|next| arc.first <= next) => {
                before.last = before.last.max(arc.last);
            }
            _ => union.push(arc),
        }
    }
    union
}

/// The positions in `arcs` and not in `excluded`; both sorted and without overlaps.
pub fn without(arcs: &[Arc], excluded: &[Arc]) -> Vec<Arc> {
    let mut left = Vec::new();
    for arc in arcs {
        let mut first = Some(arc.first());
        let from = excluded.partition_point(|other| other.last() < arc.first());
        for other in excluded[from..].iter().take_while(|other| other.first() <= arc.last()) {
            if let Some(first) = first.filter(|first| *first < other.first()) {
                left.push(Arc::new(first, Position::new(other.first().number() - 1)));
            }
            first = other.last().next();
        }
        left.extend(first.filter(|first| *first <= arc.last()).map(|first| Arc::new(first, arc.last())));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arc(first: u128, last: u128) -> Arc {
        Arc::new(Position::new(first), Position::new(last))
    }

    #[test]
    fn a_union_has_each_position_once() {
        let nested = [arc(5, 30), arc(10, 20), arc(31, 40), arc(35, 50), arc(60, 70), arc(60, 70)];
        assert_eq!(union(nested), [arc(5, 50), arc(60, 70)]);
        assert_eq!(union([Arc::whole(), arc(1, 2)]), [Arc::whole()]);
    }

    #[test]
    fn tiling_finds_gaps_and_overlaps() {
        let all = u128::MAX;
        assert_eq!(check_tiling([arc(0, all)]), Ok(()));
        assert_eq!(check_tiling([arc(11, all), arc(0, 10)]), Ok(()));
        assert_eq!(check_tiling([]), Err(TilingFault::Gap(arc(0, all))));
        assert_eq!(check_tiling([arc(12, all), arc(0, 10)]), Err(TilingFault::Gap(arc(11, 11))));
        assert_eq!(check_tiling([arc(0, all - 1)]), Err(TilingFault::Gap(arc(all, all))));
        assert_eq!(check_tiling([arc(0, 10), arc(10, all)]), Err(TilingFault::Overlap(arc(10, 10))));
        assert_eq!(check_tiling([arc(0, all), arc(5, 9)]), Err(TilingFault::Overlap(arc(5, 9))));
        assert_eq!(check_tiling([arc(0, 10), arc(3, 5), arc(11, all)]), Err(TilingFault::Overlap(arc(3, 5))));
    }

    #[test]
    fn adjacent_arcs_are_merged() {
        let all = [arc(5, 9), arc(0, 4), arc(11, 20), arc(21, u128::MAX)];
        assert_eq!(merged(all), [arc(0, 9), arc(11, u128::MAX)]);
        assert_eq!(merged([]), []);
    }

    #[test]
    fn a_position_is_found_on_its_arc_or_on_none() {
        let arcs = [arc(5, 9), arc(11, 20), arc(21, u128::MAX)];
        for (at, requested) in
            [(4, None), (5, Some(0)), (9, Some(0)), (10, None), (20, Some(1)), (u128::MAX, Some(2))]
        {
            assert_eq!(find(&arcs, Position::new(at)), requested, "{at}");
        }
        assert_eq!(find(&[], Position::new(0)), None);
    }

    #[test]
    fn shares_add_up() {
        assert!((arc(0, u128::MAX).share() - 1.0).abs() < f64::EPSILON);
        assert!((arc(0, u128::MAX / 2).share() - 0.5).abs() < f64::EPSILON);
    }
}
