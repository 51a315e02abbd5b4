//! The rings of the tests, and which shard owns a user.

use ringshard::model::names::ShardName;
use ringshard::model::ring::Ring;
use ringshard::model::ring::position::Position;
use ringshard::model::ring::topology::{ShardSpec, Topology};
use ringshard::model::user::UserId;

pub(crate) fn shard_names(count: usize) -> Vec<ShardName> {
    (1..=count).map(|n| format!("shard_{n}").parse().unwrap()).collect()
}

/// The ring of the prototype: `shard_1` and so on, 100 virtual nodes each.
pub(crate) fn prototype_ring(count: usize) -> Ring {
    Topology::of_equals(100, shard_names(count)).unwrap().ring()
}

/// The number of the shard that owns a user, of three.
pub(crate) fn owner(id: i64) -> usize {
    owner_of(3, id)
}

/// The number of the shard that owns a user once `shard_4` has joined.
pub(crate) fn owner_of_four(id: i64) -> usize {
    owner_of(4, id)
}

fn owner_of(shards: usize, id: i64) -> usize {
    let ring = prototype_ring(shards);
    ring.owner(Position::of_user(UserId::new(id))).as_str().strip_prefix("shard_").unwrap().parse().unwrap()
}

/// The number of a shard that does not own a user, of three.
pub(crate) fn non_owner(id: i64) -> usize {
    owner(id) % 3 + 1
}

/// The topology of these shards, all of weight 1.
pub(crate) fn topology_of(numbers: &[usize]) -> Topology {
    let names = shard_names(9);
    Topology::of_equals(100, numbers.iter().map(|number| names[number - 1].clone())).unwrap()
}

/// The first `count` ids from `from` on that a shard owns.
pub(crate) fn ids_of(shard: usize, from: i64, count: usize) -> Vec<i64> {
    let (ring, name) = (prototype_ring(3), format!("shard_{shard}"));
    let is_mine = |id: &i64| ring.owner(Position::of_user(UserId::new(*id))).as_str() == name;
    (from..).filter(is_mine).take(count).collect()
}

pub(crate) fn heavier_first_shard() -> Topology {
    let weight = |name: &str| if name == "shard_1" { 4.0 } else { 1.0 };
    let shards = shard_names(3)
        .into_iter()
        .map(|name| ShardSpec { weight: weight(name.as_str()).try_into().unwrap(), name })
        .collect();
    Topology::new(100, shards).unwrap()
}

/// An id that this ring assigns to another shard than the prototype's, with both shards.
pub(crate) fn id_that_moves(ring: &Ring) -> (i64, usize, usize) {
    (1..)
        .find_map(|id| {
            let after = ring.owner(Position::of_user(UserId::new(id))).as_str();
            let after: usize = after.strip_prefix("shard_").unwrap().parse().unwrap();
            (after != owner(id)).then_some((id, owner(id), after))
        })
        .unwrap()
}

/// The owner of a key, among shards of weight 1 with 100 virtual nodes each.
pub(crate) fn owner_among<'a>(names: &[&'a str], key: impl std::fmt::Display + Copy) -> &'a str {
    let ring = Topology::of_equals(100, names.iter().map(|name| name.parse().unwrap())).unwrap().ring();
    let owner = ring.owner(Position::of_key(&key.to_string()));
    names.iter().find(|name| **name == owner.as_str()).unwrap()
}
