//! The move protocol under a scheduler that tries interleavings: two movers, writers and readers with stale rings,
//! one who verifies, crashes at every step, and cancelled changes, all from one seed. The movers and the reader's way are those of the
//! program; the shards are twenty lines each instead of Postgres.
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

/// The first schedule of these that goes wrong, and how.
fn first_violation(mutant: Option<Mutant>, schedules: u64) -> Option<(u64, String)> {
    (0..schedules).find_map(|seed| World::new(seed, mutant).run().err().map(|violation| (seed, violation)))
}

#[test]
fn no_schedule_loses_duplicates_or_revives_a_row() {
    assert_eq!(first_violation(None, SCHEDULES), None);
}

/// How much the schedules do: a scheduler that does nothing finds nothing.
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
