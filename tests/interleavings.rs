//! The move protocol under a scheduler that tries interleavings: two movers, writers and readers with stale rings, an
//! auditor, crashes at every step, and cancelled changes, all from one seed. The movers and the point reads are those
//! of the program; the shards are a model instead of Postgres.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "interleavings/auditor.rs"]
mod auditor;
#[path = "interleavings/shard.rs"]
mod shard;
#[path = "interleavings/world.rs"]
mod world;

use shard::Mutant;
use world::World;

const SCHEDULES: u64 = 3_000;

/// The first of these schedules with a violation.
fn first_violation(mutant: Option<Mutant>, schedules: u64) -> Option<(u64, String)> {
    (0..schedules).find_map(|seed| World::new(seed, mutant).run().err().map(|violation| (seed, violation)))
}

#[test]
fn no_schedule_loses_duplicates_or_revives_a_row() {
    assert_eq!(first_violation(None, SCHEDULES), None);
}

/// A scheduler that does nothing would find nothing.
#[test]
fn the_schedules_include_moves_crashes_and_cancellations() {
    let mut sum = world::Counts::default();
    for seed in 0..300 {
        let mut world = World::new(seed, None);
        world.run().unwrap();
        sum.add(&world.counts);
    }
    let least = sum.least();
    assert!(least > 100, "{sum:?}");
}

#[test]
fn each_mutant_is_caught() {
    for mutant in Mutant::ALL {
        let found = first_violation(Some(mutant), 20_000);
        assert!(found.is_some(), "{mutant:?} was not caught");
    }
}
