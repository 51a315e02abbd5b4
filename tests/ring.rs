//! The ring: golden vectors of the prototype, and laws.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use ringshard::model::names::ShardName;
use ringshard::model::ring::Ring;
use ringshard::model::ring::arc::check_tiling;
use ringshard::model::ring::moved_share::{modulo_flows, moved, ring_flows};
use ringshard::model::ring::position::Position;
use ringshard::model::ring::topology::Topology;
use ringshard::model::user::UserId;

fn names(count: usize) -> Vec<ShardName> {
    (1..=count).map(|n| format!("shard_{n}").parse().unwrap()).collect()
}

fn prototype_ring(shards: usize) -> Ring {
    Topology::of_equals(100, names(shards)).unwrap().ring()
}

fn owner_of_user(ring: &Ring, id: i64) -> &str {
    ring.owner(Position::of_user(UserId::new(id))).as_str()
}

#[test]
fn golden_first_and_last_point() {
    let ring = prototype_ring(3);
    assert_eq!(ring.len(), 300);
    let first = ring.virtual_nodes().next().unwrap();
    assert_eq!(first.position.to_string(), "1087510197202025856218102516356415008");
    assert_eq!(first.shard.as_str(), "shard_2");
    let last = ring.virtual_nodes().last().unwrap();
    assert_eq!(last.position.to_string(), "338892232135147403433223753552897515079");
    assert_eq!(last.shard.as_str(), "shard_1");
}

#[test]
fn golden_owners_of_keys_1_to_10() {
    let (three, four) = (prototype_ring(3), prototype_ring(4));
    let owners: Vec<&str> = (1..=10).map(|id| owner_of_user(&three, id)).collect();
    let expected = [2, 2, 2, 1, 2, 2, 1, 1, 3, 1].map(|n| format!("shard_{n}"));
    assert_eq!(owners, expected);
    for id in 1..=10 {
        let after = owner_of_user(&four, id);
        assert_eq!(after, if id == 5 { "shard_4" } else { owner_of_user(&three, id) });
    }
}

#[test]
fn golden_owners_of_regions() {
    let ring = prototype_ring(3);
    for (key, owner) in [("US", "shard_1"), ("EU", "shard_3"), ("APAC", "shard_2")] {
        assert_eq!(ring.owner(Position::of_key(key)).as_str(), owner);
    }
}

#[test]
fn golden_distribution_of_a_million_keys() {
    let (three, four) = (prototype_ring(3), prototype_ring(4));
    let mut counts = [0_u32; 3];
    let mut moved = 0;
    for id in 1..=1_000_000 {
        let position = Position::of_user(UserId::new(id));
        let (before, after) = (three.owner(position), four.owner(position));
        counts[three.shards().iter().position(|name| name == before).unwrap()] += 1;
        if before != after {
            assert_eq!(after.as_str(), "shard_4");
            moved += 1;
        }
    }
    assert_eq!(counts, [304_148, 330_796, 365_056]);
    assert_eq!(moved, 229_270);
}

#[test]
fn a_ring_of_many_virtual_nodes_finds_the_next_one() {
    let names = names(64);
    let ring = Ring::new(names.iter().map(|name| (name.clone(), 1_000)));
    let labels = names.iter().flat_map(|name| (0..1_000).map(move |index| (name, index)));
    let points: BTreeMap<Position, (&ShardName, u32)> =
        labels.map(|(name, index)| (Position::of_key(&format!("{name}#{index}")), (name, index))).collect();
    assert_eq!(ring.len(), points.len());
    let near = points.keys().flat_map(|point| [-1, 0, 1].map(|by| point.number().wrapping_add_signed(by)));
    let ends = [0, 1, u128::MAX - 1, u128::MAX];
    for position in near.chain(ends).map(Position::new) {
        let next = points.range(position..).next();
        let (at, label) = next.unwrap_or_else(|| points.first_key_value().unwrap());
        let node = ring.locate(position);
        assert_eq!((node.position, (node.shard, node.index), node.wrapped), (*at, *label, next.is_none()));
    }
    for (name, arcs) in ring.arcs_by_shard() {
        let of_ring = ring.arcs().into_iter().filter(|owned| owned.shard == name).map(|owned| owned.arc);
        assert!(of_ring.eq(arcs));
    }
}

#[test]
fn a_user_lies_where_its_decimal_key_lies() {
    for id in [0, 1, -7, 42, i64::MAX, i64::MIN] {
        assert_eq!(Position::of_user(UserId::new(id)), Position::of_key(&id.to_string()));
    }
}

/// The owner by the search of the prototype: all points in order, the first at or after the key, else the first.
fn naive_owner(shards: &[(ShardName, u32)], position: Position) -> ShardName {
    let mut points = BTreeSet::new();
    for (name, count) in shards {
        for index in 0..*count {
            points.insert((Position::of_key(&format!("{name}#{index}")), name.clone()));
        }
    }
    let at_or_after = points.iter().find(|(point, _)| *point >= position);
    at_or_after.or(points.first()).map(|(_, name)| name.clone()).unwrap()
}

fn any_shards() -> impl Strategy<Value = Vec<(ShardName, u32)>> {
    proptest::collection::btree_map("[a-z][a-z0-9_]{0,8}", 1_u32..40, 1..7)
        .prop_map(|shards| shards.into_iter().map(|(name, count)| (name.parse().unwrap(), count)).collect())
}

proptest! {
    #[test]
    fn the_owner_equals_a_naive_walk(shards in any_shards(), numbers in proptest::collection::vec(any::<u128>(), 1..40)) {
        let ring = Ring::new(shards.clone());
        let mut positions: Vec<Position> = numbers.into_iter().map(Position::new).collect();
        // The corners: the points themselves, one beside each, and the ends of the ring.
        for node in ring.virtual_nodes() {
            let number = node.position.number();
            positions.extend([number, number.wrapping_add(1), number.wrapping_sub(1)].map(Position::new));
        }
        positions.extend([Position::FIRST, Position::LAST]);
        for position in positions {
            prop_assert_eq!(ring.owner(position), &naive_owner(&shards, position));
            let node = ring.locate(position);
            prop_assert_eq!(node.shard, ring.owner(position));
            prop_assert_eq!(node.wrapped, node.position < position);
        }
    }

    #[test]
    fn arcs_tile_the_ring_and_name_the_owner(shards in any_shards(), number in any::<u128>()) {
        let ring = Ring::new(shards);
        let arcs = ring.arcs();
        prop_assert_eq!(check_tiling(arcs.iter().map(|owned| owned.arc)), Ok(()));
        for owned in &arcs {
            prop_assert_eq!(ring.owner(owned.arc.first()), owned.shard);
            prop_assert_eq!(ring.owner(owned.arc.last()), owned.shard);
        }
        let position = Position::new(number);
        let mut holders = arcs.iter().filter(|owned| owned.arc.contains(position));
        prop_assert_eq!(holders.next().unwrap().shard, ring.owner(position));
        prop_assert!(holders.next().is_none());
        prop_assert!(arcs.windows(2).all(|pair| pair[0].shard != pair[1].shard), "neighbours are merged");
    }

    #[test]
    fn shares_add_up_and_agree_with_the_arcs(shards in any_shards()) {
        let ring = Ring::new(shards);
        let shares = ring.shares();
        prop_assert!((shares.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-9);
        for (name, share) in shares {
            let of_arcs: f64 = ring.arcs().iter().filter(|owned| owned.shard == name).map(|owned| owned.arc.share()).sum();
            prop_assert!((share - of_arcs).abs() < 1e-9, "{name}: {share} {of_arcs}");
        }
    }

    #[test]
    fn a_new_shard_takes_keys_and_moves_no_others(shards in any_shards(), points in 1_u32..40, numbers in proptest::collection::vec(any::<u128>(), 1..100)) {
        let before = Ring::new(shards.clone());
        let new: ShardName = "NEW".parse().unwrap();
        let after = Ring::new(shards.into_iter().chain([(new.clone(), points)]));
        for position in numbers.into_iter().map(Position::new) {
            prop_assert!(after.owner(position) == before.owner(position) || *after.owner(position) == new);
        }
        let gain = after.shares().iter().find(|(name, _)| **name == new).unwrap().1;
        let flows = ring_flows(&before, &after);
        prop_assert!(flows.keys().all(|(_, target)| **target == new));
        prop_assert!((moved(&flows) - gain).abs() < 1e-9);
        // Removing it moves exactly its own keys.
        let back = ring_flows(&after, &before);
        prop_assert!(back.keys().all(|(source, _)| **source == new));
        prop_assert!((moved(&back) - gain).abs() < 1e-9);
    }

    #[test]
    fn the_order_of_shards_does_not_matter(shards in any_shards(), number in any::<u128>()) {
        let position = Position::new(number);
        let forward = Ring::new(shards.clone());
        let backward = Ring::new(shards.into_iter().rev());
        prop_assert_eq!(forward.locate(position), backward.locate(position));
    }

    #[test]
    fn modulo_flows_equal_counting(before in 1_usize..9, after in 1_usize..9) {
        let (before, after) = (names(before), names(after));
        let slots = before.len() * after.len();
        let counted = (0..slots).filter(|slot| before[slot % before.len()] != after[slot % after.len()]).count();
        #[expect(clippy::cast_precision_loss, reason = "at most 64")]
        let share = counted as f64 / slots as f64;
        prop_assert!((moved(&modulo_flows(&before, &after)) - share).abs() < 1e-12);
    }
}
