//! Clusters, stable and during changes, from which a shard is removed.

use proptest::prelude::*;

use super::*;
use crate::model::rebalance::{RingState, pieces};
use crate::model::ring::arc::ShardArc;
use crate::model::verification::judge;

fn name(number: usize) -> ShardName {
    format!("shard_{number}").parse().unwrap()
}

fn topology(shards: impl IntoIterator<Item = usize>) -> Topology {
    Topology::of_equals(4, shards.into_iter().map(name)).unwrap()
}

fn ring_state(epoch: Epoch, topology: &Topology) -> RingState {
    RingState { epoch, topology: topology.clone(), change: None, desired_topology: None }
}

fn stable(shards: usize) -> Others {
    let topology = topology(1..=shards);
    let ring = topology.ring();
    let state = |shard: &ShardName| {
        let own = ring.arcs().into_iter().filter(|owned| owned.shard == shard);
        ShardState {
            ring: ring_state(Epoch::FIRST, &topology),
            arcs: own.map(|owned| ShardArc::owned(owned.arc, Epoch::FIRST)).collect(),
        }
    };
    topology.names().map(|shard| (shard.clone(), state(shard))).collect()
}

fn take(state: &mut ShardState, hole: Arc) {
    let left = state.arcs.iter().flat_map(|held| {
        without(&[held.arc], &[hole]).into_iter().map(|arc| ShardArc { arc, ..held.clone() })
    });
    state.arcs = left.collect();
}

/// A change to these shards under way, each of its moves as far as `steps` says: nothing, fenced, received, purged.
fn changing(shards: usize, to: &[usize], steps: &[u8]) -> Others {
    let mut states = stable(shards);
    let before = topology(1..=shards);
    let target = topology(to.iter().copied());
    let mut participants: Vec<ShardName> = before.names().chain(target.names()).cloned().collect();
    participants.sort();
    participants.dedup();
    let epoch = Epoch::FIRST.next();
    for member in &participants {
        let state = states
            .entry(member.clone())
            .or_insert_with(|| ShardState { ring: ring_state(epoch, &before), arcs: Vec::new() });
        state.ring.epoch = epoch;
        state.ring.change =
            Some(Change { next_topology: target.clone(), participants: participants.clone() });
    }
    for (piece, step) in pieces(&states, &target, epoch).unwrap().into_iter().zip(steps.iter().cycle()) {
        let held = |state| ShardArc { arc: piece.range, epoch, state };
        let source = states.get_mut(&piece.source).unwrap();
        if *step > 0 {
            take(source, piece.range);
        }
        if matches!(step, 1 | 2) {
            source.arcs.push(held(ArcState::Fenced(piece.target.clone())));
            source.arcs.sort_by_key(|held| held.arc);
        }
        if *step > 1 {
            let target = states.get_mut(&piece.target).unwrap();
            target.arcs.push(held(ArcState::Owned));
            target.arcs.sort_by_key(|held| held.arc);
        }
    }
    states
}

fn faults(states: &Others) -> Vec<String> {
    judge(states).faults.iter().map(ToString::to_string).collect()
}

/// Each position once.
fn union(arcs: &[Arc]) -> Vec<Arc> {
    let mut whole = vec![Arc::whole()];
    for arc in arcs {
        whole = without(&whole, &[*arc]);
    }
    without(&[Arc::whole()], &whole)
}

/// Updates the first `count` recipients.
fn apply(states: &mut Others, reassignment: &Reassignment, count: usize) {
    for (shard, recipient) in reassignment.recipients.iter().take(count) {
        let state = states.get_mut(shard).unwrap();
        assert_eq!(*state, recipient.seen);
        state.ring.epoch = reassignment.epoch;
        state.ring.topology = reassignment.topology.clone();
        state.ring.change = reassignment.change.clone();
        state.arcs = recipient.arcs.clone();
    }
}

/// A number of shards, the shards of the next topology, and the progress of each move.
fn changes() -> impl Strategy<Value = (usize, Vec<usize>, Vec<u8>)> {
    (3_usize..=5, proptest::collection::vec(0_u8..=3, 1..20), 0_usize..=2, 1_usize..=5).prop_map(
        |(shards, steps, kind, which)| {
            let mut to: Vec<usize> = (1..=shards).collect();
            match kind {
                0 => to.push(shards + 1),
                1 => drop(to.remove(which % shards)),
                _ => {
                    to.remove(which % shards);
                    to.push(shards + 1);
                }
            }
            (shards, to, steps)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_survivors_of_any_shard_are_a_cluster(
        (shards, to, steps) in changes(), which: usize, at_rest_first: bool, told: usize,
        has_backup: bool,
    ) {
        let mut states = if at_rest_first { stable(shards) } else { changing(shards, &to, &steps) };
        prop_assert_eq!(faults(&states), Vec::<String>::new());
        let dead = states.keys().nth(which % states.len()).unwrap().clone();
        let gone = states.remove(&dead).unwrap();
        let before = states.clone();
        // A complete replica, or none.
        let backup = if has_backup { owned(&gone) } else { Vec::new() };
        let reassignment = reassign(&states, &dead, &backup).unwrap();
        // Exactly the arcs that only the dead shard had are reassigned.
        let reassigned = merged(reassignment.pieces().into_iter().map(|(arc, _)| arc));
        let held = union(&before.values().flat_map(|state| arcs_of(&state.arcs)).collect::<Vec<_>>());
        let alone = without(&arcs_of(&gone.arcs), &held);
        // With a replica also those that it had received and others have not purged.
        let desired_topology = if has_backup { merged([alone, owned(&gone)].concat()) } else { alone };
        prop_assert_eq!(&reassigned, &union(&desired_topology));
        // Interrupted, and run again.
        let count = told % (states.len() + 1);
        apply(&mut states, &reassignment, count);
        let again = reassign(&states, &dead, &backup).unwrap();
        prop_assert_eq!((again.epoch, &again.topology, &again.change), (reassignment.epoch, &reassignment.topology, &reassignment.change));
        let left = again.recipients.len();
        apply(&mut states, &again, left);
        prop_assert_eq!(faults(&states), Vec::<String>::new());
        prop_assert!(states.values().all(|state| state.ring.topology.shard(&dead).is_none()));
        // The others keep their arcs.
        for (shard, state) in &before {
            prop_assert!(without(&owned(state), &owned(&states[shard])).is_empty());
        }
        prop_assert!(reassign(&states, &dead, &backup).unwrap().recipients.is_empty());
    }

    #[test]
    fn only_a_replica_without_missing_handovers_takes_over_unforced(
        (shards, to, steps) in changes(), later in proptest::collection::vec(0_u8..=3, 1..20), which: usize,
    ) {
        // Before, and some steps later.
        let then = changing(shards, &to, &steps);
        let later: Vec<u8> = (0..40).map(|at| steps[at % steps.len()].max(later[at % later.len()])).collect();
        let now = changing(shards, &to, &later);
        let shard = then.keys().nth(which % then.len()).unwrap().clone();
        let mut others = now.clone();
        let primary = others.remove(&shard).unwrap();
        prop_assert_eq!(missing_handovers(&others, &primary), vec![]);
        let replica = &then[&shard];
        let found = missing_handovers(&others, replica);
        // With the replica in its place the cluster is consistent if no hand-over is missing.
        let with = |state: &ShardState| {
            let mut states = others.clone();
            states.insert(shard.clone(), state.clone());
            states
        };
        prop_assert_eq!(found.is_empty(), faults(&with(replica)).is_empty(), "{:?}", found);
        prop_assert_eq!(faults(&with(&forced(&others, replica))), Vec::<String>::new());
        prop_assert_eq!(missing_handovers(&others, &forced(&others, replica)), vec![]);
    }
}

#[test]
fn an_unheard_announcement_is_repeated_and_an_unheard_end_is_missing() {
    let replica = stable(3)[&name(2)].clone();
    let mut others = changing(3, &[1, 2, 3, 4], &[0]);
    others.remove(&name(2));
    assert_eq!(missing_handovers(&others, &replica), []);
    let told = forced(&others, &replica);
    assert_eq!((told.ring.epoch, &told.ring.change), (Epoch::FIRST.next(), &others[&name(1)].ring.change));
    assert_eq!(told.arcs, replica.arcs);
    // Everything moved, and finished.
    let mut others = finished(changing(3, &[1, 2, 3, 4], &[3]));
    others.remove(&name(2));
    let epochs = MissingHandover::Epoch { has: Epoch::FIRST, should: Epoch::FIRST.next() };
    assert_eq!(missing_handovers(&others, &replica)[0], epochs);
}

/// Finishes the change.
fn finished(mut states: Others) -> Others {
    for state in states.values_mut() {
        state.ring.topology = state.ring.change.take().unwrap().next_topology;
    }
    states
}

/// A fence that outlived its change: its arc has moved to another shard since.
#[test]
fn a_fence_of_a_finished_change_does_not_count() {
    let fenced = changing(3, &[1, 2, 3, 4], &[1]);
    let has_fence = |state: &ShardState| state.arcs.iter().any(|held| held.state != ArcState::Owned);
    let (source, replica) = fenced.iter().find(|(_, state)| has_fence(state)).unwrap();
    let mut others = finished(changing(3, &[1, 2, 3, 4], &[3]));
    let primary = others.remove(source).unwrap();
    let now = forced(&others, replica);
    assert!(now.arcs.iter().all(|held| held.state == ArcState::Owned));
    assert_eq!(arcs_of(&now.arcs), arcs_of(&primary.arcs));
    others.insert(source.clone(), now);
    assert_eq!(faults(&others), Vec::<String>::new());
}

#[test]
fn the_last_shard_has_no_recipient() {
    let mut states = stable(1);
    states.clear();
    assert_eq!(reassign(&states, &name(1), &[]).unwrap_err(), "there is no other shard");
}
