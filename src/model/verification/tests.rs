//! Verification of states: healthy, damaged, and during moves.

use proptest::prelude::*;

use super::*;
use crate::model::rebalance::RingState;
use crate::model::ring::arc::{ArcState, ShardArc};
use crate::model::ring::topology::{Epoch, ShardSpec, Weight};

/// The arcs of a shard on the ring.
fn expected_arcs(ring: &Ring, shard: &ShardName) -> Vec<Arc> {
    ring.arcs().into_iter().filter(|owned| owned.shard == shard).map(|owned| owned.arc).collect()
}

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

/// Three shards without a change, and a fourth that is in no topology.
fn stable() -> BTreeMap<ShardName, ShardState> {
    let topology = topology(3);
    let ring = topology.ring();
    let state =
        RingState { epoch: Epoch::FIRST, topology: topology.clone(), change: None, desired_topology: None };
    let state = |shard: &ShardName| ShardState {
        ring: state.clone(),
        arcs: expected_arcs(&ring, shard).into_iter().map(|arc| held(arc, 1, true)).collect(),
    };
    (1..=4).map(name).map(|shard| (shard.clone(), state(&shard))).collect()
}

/// As `stable`, with an announced change to four shards.
fn announced() -> BTreeMap<ShardName, ShardState> {
    let mut states = stable();
    for state in states.values_mut() {
        state.ring.epoch = Epoch::new(2);
        state.ring.change =
            Some(Change { next_topology: topology(4), participants: (1..=4).map(name).collect() });
    }
    states
}

/// Removes positions from the arcs of a state.
fn take(state: &mut ShardState, hole: Arc) {
    let left = state.arcs.iter().flat_map(|held| {
        without(&[held.arc], &[hole]).into_iter().map(|arc| ShardArc { arc, ..held.clone() })
    });
    state.arcs = left.collect();
}

fn shown(findings: &Findings) -> Vec<String> {
    findings.faults.iter().map(ToString::to_string).collect()
}

#[test]
fn without_a_change_each_shard_owns_its_arcs_of_the_ring() {
    let states = stable();
    let findings = judge(&states);
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
fn without_a_change_any_other_arc_is_a_fault() {
    let ring = topology(3).ring();
    let arc = expected_arcs(&ring, &name(1))[0];
    let half = Arc::new(arc.first(), Position::new(arc.first().number() + 9));
    let mut states = stable();
    take(states.get_mut(&name(1)).unwrap(), half);
    let lacks = format!("shard `shard_1` lacks the arc {half}, which it owns on the ring");
    assert_eq!(shown(&judge(&states)), std::slice::from_ref(&lacks));
    states.get_mut(&name(1)).unwrap().arcs.push(held(half, 1, false));
    let fenced = format!("shard `shard_1` has fenced the arc {half}, but no change of the ring is under way");
    assert_eq!(shown(&judge(&states)), [lacks.clone(), fenced]);
    states.get_mut(&name(1)).unwrap().arcs.pop();
    states.get_mut(&name(4)).unwrap().arcs.push(held(half, 1, true));
    let foreign = format!("shard `shard_4` owns the arc {half}, whose owner on the ring is `shard_1`");
    assert_eq!(shown(&judge(&states)), [lacks, foreign.clone()]);
    let mut states = stable();
    states.get_mut(&name(4)).unwrap().arcs.push(held(half, 1, true));
    let findings = judge(&states);
    assert_eq!(shown(&findings), [foreign]);
    // Without a change no row is in flight.
    assert_eq!(findings.scanner(&name(4)).place(half.first()), RowPlacement::Misplaced);
    // A shard of the topology without a state.
    let mut states = stable();
    states.remove(&name(2));
    assert_eq!(judge(&states).faults.len(), expected_arcs(&ring, &name(2)).len());
}

#[test]
fn epochs_and_topologies_must_be_consistent() {
    let mut states = stable();
    states.get_mut(&name(2)).unwrap().ring.epoch = Epoch::new(2);
    assert!(shown(&judge(&states))[0].contains("restored from an old backup"));
    let mut states = stable();
    states.get_mut(&name(2)).unwrap().ring.topology = topology(2);
    assert!(shown(&judge(&states))[0].contains("different topologies in one epoch"));
    // A shard that left the ring takes no part in later changes.
    let mut states = stable();
    states.get_mut(&name(4)).unwrap().ring.epoch = Epoch::new(0);
    states.get_mut(&name(4)).unwrap().ring.topology = topology(4);
    assert_eq!(judge(&states).faults, []);
}

#[test]
fn no_step_of_a_move_is_a_fault() {
    let from = (1..=3).find(|from| !moved_to_four(*from).is_empty()).unwrap();
    let chunk = moved_to_four(from)[0];
    let (source, position) = (name(from), chunk.first());
    let mut states = announced();
    let mut said = vec![states.clone()];
    take(states.get_mut(&source).unwrap(), chunk);
    states.get_mut(&source).unwrap().arcs.push(held(chunk, 2, false));
    said.push(states.clone());
    states.get_mut(&name(4)).unwrap().arcs.push(held(chunk, 2, true));
    said.push(states.clone());
    take(states.get_mut(&source).unwrap(), chunk);
    said.push(states);
    for (step, states) in said.iter().enumerate() {
        let findings = judge(states);
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
    // Some are not in the change yet, or have finished it.
    let mut states = announced();
    states.insert(name(2), stable()[&name(2)].clone());
    assert_eq!(judge(&states).faults, []);
    // States of two times: two owners, which is harmless; no owner, which is not.
    let mut states = said[0].clone();
    states.insert(name(4), said[2][&name(4)].clone());
    let findings = judge(&states);
    assert!(findings.faults.iter().all(RingFault::is_harmless) && findings.faults.len() == 1);
    assert_eq!(findings.scanner(&source).place(position), RowPlacement::InFlight);
    assert_eq!(lasting(&findings.faults, &judge(&said[2]).faults), []);
    let mut states = said[3].clone();
    states.insert(name(4), said[1][&name(4)].clone());
    let findings = judge(&states);
    assert_eq!(findings.faults, [RingFault::Nobody(chunk)]);
    assert!(!findings.faults[0].is_harmless());
}

fn moved_to_four(from: usize) -> Vec<Arc> {
    let four = expected_arcs(&topology(4).ring(), &name(4));
    let before = expected_arcs(&topology(3).ring(), &name(from));
    before.iter().flat_map(|a| four.iter().filter_map(|b| a.intersection(*b))).collect()
}

#[test]
fn during_a_change_an_owner_is_one_on_the_old_or_the_new_ring() {
    let mut states = announced();
    let arc = expected_arcs(&topology(3).ring(), &name(1))[0];
    take(states.get_mut(&name(1)).unwrap(), arc);
    states.get_mut(&name(2)).unwrap().arcs.push(held(arc, 2, true));
    let faults = judge(&states).faults;
    assert!(!faults.is_empty());
    assert!(
        faults.iter().all(|fault| matches!(fault, RingFault::Foreign { shard, .. } if *shard == name(2)))
    );
    // A change that cancels another one, which no state has any more.
    for state in states.values_mut() {
        state.ring.change.as_mut().unwrap().next_topology = topology(3);
    }
    assert_eq!(judge(&states).faults, []);
    // But not on a shard that takes no part in it.
    for state in states.values_mut() {
        state.ring.change.as_mut().unwrap().participants.retain(|member| *member != name(2));
    }
    assert!(!judge(&states).faults.is_empty());
}

#[test]
fn a_weight_is_part_of_the_ring() {
    let mut states = stable();
    let spec = ShardSpec { name: name(1), weight: Weight::try_from(2.0).unwrap() };
    let heavier = topology(3).with(spec).unwrap();
    for state in states.values_mut() {
        state.ring.topology = heavier.clone();
    }
    assert!(judge(&states).faults.iter().any(|fault| matches!(fault, RingFault::Lacks { .. })));
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
    fn without_is_the_difference_of_sets(left: u128, right: u128) {
        prop_assert_eq!(without(&arcs_of(left), &arcs_of(right)), arcs_of(left & !right));
    }

    #[test]
    fn every_difference_from_a_stable_ring_is_found(
        shard in 1_usize..=3, first: u128, length in 0_u128..=u128::MAX / 2, to in 1_usize..=4,
    ) {
        let hole = Arc::new(Position::new(first), Position::new(first.saturating_add(length)));
        let mut states = stable();
        let before = states.clone();
        take(states.get_mut(&name(shard)).unwrap(), hole);
        let taken = without(&owned(&before[&name(shard)]), &owned(&states[&name(shard)]));
        states.get_mut(&name(to)).unwrap().arcs.extend(taken.iter().map(|arc| held(*arc, 1, true)));
        let is_same = taken.is_empty() || shard == to;
        prop_assert_eq!(judge(&states).faults.is_empty(), is_same);
    }
}
