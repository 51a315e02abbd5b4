//! What the words of shards come to: healthy, damaged, and in the middle of moves.

use proptest::prelude::*;

use super::*;
use crate::model::rebalance::RingState;
use crate::model::ring::arc::{ArcState, ShardArc};
use crate::model::ring::topology::{Epoch, ShardSpec, Weight};

fn name(number: usize) -> ShardName {
    format!("shard_{number}").parse().unwrap()
}

fn topology(shards: usize) -> Topology {
    Topology::of_equals(3, (1..=shards).map(name)).unwrap()
}

fn held(arc: Arc, epoch: i64, owned: bool) -> ShardArc {
    let fenced = ArcState::Fenced(name(4));
    ShardArc { arc, epoch: Epoch::new(epoch), state: if owned { ArcState::Owned } else { fenced } }
}

/// Three shards at rest, and a fourth that is in no topology.
fn at_rest() -> BTreeMap<ShardName, ShardState> {
    let topology = topology(3);
    let ring = topology.ring();
    let state =
        RingState { epoch: Epoch::FIRST, topology: topology.clone(), change: None, desired_topology: None };
    let word = |shard: &ShardName| ShardState {
        ring: state.clone(),
        arcs: expected_arcs(&ring, shard).into_iter().map(|arc| held(arc, 1, true)).collect(),
    };
    (1..=4).map(name).map(|shard| (shard.clone(), word(&shard))).collect()
}

/// The same with a change to four shards announced.
fn announced() -> BTreeMap<ShardName, ShardState> {
    let mut words = at_rest();
    for word in words.values_mut() {
        word.ring.epoch = Epoch::new(2);
        word.ring.change =
            Some(Change { next_topology: topology(4), participants: (1..=4).map(name).collect() });
    }
    words
}

/// Takes an arc out of a word.
fn take(word: &mut ShardState, hole: Arc) {
    let left = word.arcs.iter().flat_map(|held| {
        without(&[held.arc], &[hole]).into_iter().map(|arc| ShardArc { arc, ..held.clone() })
    });
    word.arcs = left.collect();
}

fn shown(findings: &Findings) -> Vec<String> {
    findings.faults.iter().map(ToString::to_string).collect()
}

#[test]
fn at_rest_each_shard_owns_what_the_ring_gives_it() {
    let words = at_rest();
    let findings = judge(&words);
    assert_eq!((findings.faults.as_slice(), findings.is_changing), (&[][..], false));
    for shard in [1, 2, 3, 4] {
        let scanner = findings.scanner(&name(shard));
        for at in 0..200_u128 {
            let position = Position::new(at * (u128::MAX / 199));
            let is_owner = *topology(3).ring().owner(position) == name(shard);
            assert_eq!(scanner.place(position) == RowPlacement::Home, is_owner);
            assert_ne!(scanner.place(position), RowPlacement::InFlight);
        }
    }
}

#[test]
fn at_rest_any_other_arc_is_a_fault_and_is_named() {
    let ring = topology(3).ring();
    let arc = expected_arcs(&ring, &name(1))[0];
    let half = Arc::new(arc.first(), Position::new(arc.first().number() + 9));
    let mut words = at_rest();
    take(words.get_mut(&name(1)).unwrap(), half);
    let lacks = format!("shard `shard_1` lacks the arc {half}, which the ring gives it");
    assert_eq!(shown(&judge(&words)), std::slice::from_ref(&lacks));
    words.get_mut(&name(1)).unwrap().arcs.push(held(half, 1, false));
    let fenced =
        format!("shard `shard_1` has let go of the arc {half}, and no change of the ring is under way");
    assert_eq!(shown(&judge(&words)), [lacks.clone(), fenced]);
    words.get_mut(&name(1)).unwrap().arcs.pop();
    words.get_mut(&name(4)).unwrap().arcs.push(held(half, 1, true));
    let foreign = format!("shard `shard_4` owns the arc {half}, which the ring gives to `shard_1`");
    assert_eq!(shown(&judge(&words)), [lacks, foreign.clone()]);
    let mut words = at_rest();
    words.get_mut(&name(4)).unwrap().arcs.push(held(half, 1, true));
    let findings = judge(&words);
    assert_eq!(shown(&findings), [foreign]);
    // Nothing is under way, so the other one's rows are in no flight.
    assert_eq!(findings.scanner(&name(4)).place(half.first()), RowPlacement::Misplaced);
    // A shard of the topology that says nothing at all.
    let mut words = at_rest();
    words.remove(&name(2));
    assert_eq!(judge(&words).faults.len(), expected_arcs(&ring, &name(2)).len());
}

#[test]
fn epochs_and_topologies_must_fit_together() {
    let mut words = at_rest();
    words.get_mut(&name(2)).unwrap().ring.epoch = Epoch::new(2);
    assert!(shown(&judge(&words))[0].contains("restored from an old backup"));
    let mut words = at_rest();
    words.get_mut(&name(2)).unwrap().ring.topology = topology(2);
    assert!(shown(&judge(&words))[0].contains("different topologies of one epoch"));
    // One that left the ring has no part in later changes.
    let mut words = at_rest();
    words.get_mut(&name(4)).unwrap().ring.epoch = Epoch::new(0);
    words.get_mut(&name(4)).unwrap().ring.topology = topology(4);
    assert_eq!(judge(&words).faults, []);
}

#[test]
fn no_step_of_a_move_is_a_fault() {
    let from = (1..=3).find(|from| !moved_to_four(*from).is_empty()).unwrap();
    let chunk = moved_to_four(from)[0];
    let (source, position) = (name(from), chunk.first());
    let mut words = announced();
    let mut said = vec![words.clone()];
    take(words.get_mut(&source).unwrap(), chunk);
    words.get_mut(&source).unwrap().arcs.push(held(chunk, 2, false));
    said.push(words.clone());
    words.get_mut(&name(4)).unwrap().arcs.push(held(chunk, 2, true));
    said.push(words.clone());
    take(words.get_mut(&source).unwrap(), chunk);
    said.push(words);
    for (step, words) in said.iter().enumerate() {
        let findings = judge(words);
        assert_eq!(findings.faults, [], "step {step}");
        assert!(findings.is_changing);
        let at = |shard: &ShardName| findings.scanner(shard).place(position);
        let expected = match step {
            0 | 1 => (RowPlacement::Home, RowPlacement::Misplaced),
            2 => (RowPlacement::InFlight, RowPlacement::Home),
            _ => (RowPlacement::Misplaced, RowPlacement::Home),
        };
        assert_eq!((at(&source), at(&name(4))), expected, "step {step}");
    }
    // Some have not heard of the change yet, or have finished it already.
    let mut words = announced();
    words.insert(name(2), at_rest()[&name(2)].clone());
    assert_eq!(judge(&words).faults, []);
    // Asked at two instants: two owners, which is harmless; nobody, which is not.
    let mut words = said[0].clone();
    words.insert(name(4), said[2][&name(4)].clone());
    let findings = judge(&words);
    assert!(findings.faults.iter().all(RingFault::is_harmless) && findings.faults.len() == 1);
    assert_eq!(findings.scanner(&source).place(position), RowPlacement::InFlight);
    assert_eq!(lasting(&findings.faults, &judge(&said[2]).faults), []);
    let mut words = said[3].clone();
    words.insert(name(4), said[1][&name(4)].clone());
    let findings = judge(&words);
    assert_eq!(findings.faults, [RingFault::Nobody(chunk)]);
    assert!(!findings.faults[0].is_harmless());
}

fn moved_to_four(from: usize) -> Vec<Arc> {
    let four = expected_arcs(&topology(4).ring(), &name(4));
    let before = expected_arcs(&topology(3).ring(), &name(from));
    before.iter().flat_map(|a| four.iter().filter_map(|b| a.intersection(*b))).collect()
}

#[test]
fn during_a_change_an_owner_is_one_by_the_old_ring_or_by_the_new_one() {
    let mut words = announced();
    let arc = expected_arcs(&topology(3).ring(), &name(1))[0];
    take(words.get_mut(&name(1)).unwrap(), arc);
    words.get_mut(&name(2)).unwrap().arcs.push(held(arc, 2, true));
    let faults = judge(&words).faults;
    assert!(!faults.is_empty());
    assert!(
        faults.iter().all(|fault| matches!(fault, RingFault::Foreign { shard, .. } if *shard == name(2)))
    );
    // One that takes back another one, of which nobody tells any more.
    for word in words.values_mut() {
        word.ring.change.as_mut().unwrap().next_topology = topology(3);
    }
    assert_eq!(judge(&words).faults, []);
    // But not for who takes no part in it.
    for word in words.values_mut() {
        word.ring.change.as_mut().unwrap().participants.retain(|member| *member != name(2));
    }
    assert!(!judge(&words).faults.is_empty());
}

#[test]
fn a_weight_is_part_of_the_ring() {
    let mut words = at_rest();
    let spec = ShardSpec { name: name(1), weight: Weight::try_from(2.0).unwrap() };
    let heavier = topology(3).with(spec).unwrap();
    for word in words.values_mut() {
        word.ring.topology = heavier.clone();
    }
    assert!(judge(&words).faults.iter().any(|fault| matches!(fault, RingFault::Lacks { .. })));
}

/// Arcs in order without overlaps, from a set of positions 0 to 127.
fn arcs_of(set: u128) -> Vec<Arc> {
    merged(
        (0..128)
            .filter(|bit| set >> bit & 1 == 1)
            .map(|bit| Arc::new(Position::new(bit), Position::new(bit))),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_left_is_the_difference_of_sets(these: u128, those: u128) {
        prop_assert_eq!(without(&arcs_of(these), &arcs_of(those)), arcs_of(these & !those));
    }

    #[test]
    fn at_rest_every_difference_from_the_ring_is_found(
        shard in 1_usize..=3, first: u128, length in 0_u128..=u128::MAX / 2, to in 1_usize..=4,
    ) {
        let hole = Arc::new(Position::new(first), Position::new(first.saturating_add(length)));
        let mut words = at_rest();
        let before = words.clone();
        take(words.get_mut(&name(shard)).unwrap(), hole);
        let taken = without(&owned(&before[&name(shard)]), &owned(&words[&name(shard)]));
        words.get_mut(&name(to)).unwrap().arcs.extend(taken.iter().map(|arc| held(*arc, 1, true)));
        let is_same = taken.is_empty() || shard == to;
        prop_assert_eq!(judge(&words).faults.is_empty(), is_same);
    }
}
