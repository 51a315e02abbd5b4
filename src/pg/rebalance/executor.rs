//! Carrying a change out: the steps of the mover one by one, the chunks by several workers.

use crate::pg::rebalance::plan;
use std::collections::{BTreeMap, VecDeque};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::chunk_rows::ChunkRows;
use super::connection::Connection;
use super::connections::Connections;
use super::plan::{Planned, damaged};
use super::position_index;
use super::run_lock::RunLock;
use super::run_state::{MoveProgress, Moved, RebalanceOptions, RunState};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::chunk::{ChunkMove, ChunkOutcome};
use crate::model::rebalance::mover::{Mover, Phase};
use crate::model::rebalance::plan::Load;
use crate::model::rebalance::{Goal, Reply, Request, arbiter};
use crate::model::ring::topology::Topology;
use crate::pg::cluster::Cluster;
use crate::threads;

/// How often the caller is told how far it is.
const TELL_INTERVAL: Duration = Duration::from_millis(50);
/// The pause between two looks at all shards that found nothing new.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

type Chunk = ChunkMove<ChunkRows>;

/// Carries out a change: `Goal::Forward` to its end, `Goal::Back` to where it was. `tell` is called again and
/// again; when it says no, all stop behind the chunk in hand, and the failure is of kind `Partial`.
pub fn carry_out(
    cluster: &Cluster,
    planned: &Planned,
    goal: Goal,
    options: RebalanceOptions,
    mut tell: impl FnMut(&MoveProgress) -> bool,
) -> Result<Moved> {
    let run = RunState::new(cluster, options);
    let result = thread::scope(|scope| {
        let driver = scope.spawn(|| drive(&run, planned, goal));
        let mut told = Instant::now();
        while !driver.is_finished() {
            if told.elapsed() >= TELL_INTERVAL {
                told = Instant::now();
                if !tell(&run.told()) {
                    run.stop();
                }
            }
            thread::sleep(Duration::from_millis(5));
        }
        threads::join(driver)
    });
    result.map(|()| run.moved())
}

/// Drops what a change leaves behind for the next one; where nothing is under way.
pub fn drop_position_indexes(cluster: &Cluster) -> Result<()> {
    let states = plan::collect_states(cluster, false)?.states;
    let run = RunState::new(cluster, RebalanceOptions::default());
    // Whoever is at work needs it.
    let Ok(_lock) = RunLock::take(&run, arbiter(&cluster.view().topology)) else { return Ok(()) };
    for shard in states.keys() {
        position_index::drop_it(&mut Connection::open(cluster, shard)?, shard)?;
    }
    Ok(())
}

fn drive(run: &RunState<'_>, planned: &Planned, goal: Goal) -> Result<()> {
    let first = arbiter(&planned.plan.before);
    let mut lock = if run.options.unlocked { None } else { Some(RunLock::take(run, first)?) };
    if let Some(lock) = &mut lock {
        lock.begin(planned.moved.plus(planned.plan.moving()));
    }
    if planned.is_under_way {
        run.begins();
    }
    let mut links = Connections::new(run);
    let mut mover: Mover<ChunkRows> = Mover::new(goal, planned.plan.before.names().cloned());
    let mut looked = Instant::now();
    loop {
        let phase = mover.phase();
        if let Some(lock) = &mut lock
            && phase != Phase::Looking
        {
            lock.is_at(phase.word());
        }
        let moves = mover.take_moves();
        if !moves.is_empty() {
            if let Some(lock) = &mut lock {
                lock.is_at("indexing");
            }
            position_index::build_all(run, moves.iter().map(ChunkMove::source).collect())?;
            if let Some(lock) = &mut lock {
                lock.is_at("moving");
            }
            move_chunks(run, moves)?;
            continue;
        }
        if goal == Goal::Forward {
            check_target(&mover, planned)?;
        }
        let Some((shard, request)) = mover.ask() else { break };
        if run.is_stopped() {
            return Err(run.stopped());
        }
        match request {
            Request::Look => {
                // Nobody is in a hurry to see the same again.
                if shard == *first {
                    thread::sleep(LOOK_PAUSE.saturating_sub(looked.elapsed()));
                    looked = Instant::now();
                }
                run.is_at("looking at the shards".into());
                learn(&mut links, &shard, run);
            }
            _ => run.is_at(phase.word().into()),
        }
        let reply = links.ask(&shard, &request)?;
        if matches!((&request, &reply), (Request::Announce(_), Reply::Done | Reply::Already)) {
            run.begins();
        }
        mover.hear(reply).map_err(damaged)?;
    }
    run.is_at("tidying up".into());
    if let Some(lock) = &mut lock {
        lock.is_at("ended");
    }
    for shard in mover.states().keys() {
        position_index::drop_it(links.link(shard)?, shard)?;
    }
    Ok(())
}

/// Only what was shown is carried out: no other wish, and no other mover's change.
fn check_target(mover: &Mover<ChunkRows>, planned: &Planned) -> Result<()> {
    let is_other = |target: &Topology| *target != planned.plan.after;
    let announced = match mover.ask() {
        Some((_, Request::Announce(told))) => Some(told.change.next_topology),
        _ => None,
    };
    let epoch = mover.epoch();
    let mut under_way = mover.states().values().filter(|state| Some(state.ring.epoch) == epoch);
    if announced.as_ref().is_some_and(is_other)
        || under_way
            .any(|state| state.ring.change.as_ref().is_some_and(|change| is_other(&change.next_topology)))
    {
        return Err(Error::new(
            Kind::Locked,
            "the wish, or the change under way, is another one than was shown",
        )
        .hint("ringshard rebalance --dry-run shows what it is now"));
    }
    Ok(())
}

/// A shard that is new to this process has its address in the catalogs of the others.
fn learn(links: &mut Connections<'_>, shard: &ShardName, run: &RunState<'_>) {
    if run.cluster.shards().names().contains(shard) {
        return;
    }
    for known in run.cluster.shards().names() {
        if plan::look(links, &known, run.cluster).is_ok() && run.cluster.shards().names().contains(shard) {
            break;
        }
    }
}

/// Moves these ranges: one worker for each pair of source and target, as many at once as is allowed.
fn move_chunks(run: &RunState<'_>, moves: Vec<Chunk>) -> Result<()> {
    let mut by_pair: BTreeMap<(ShardName, ShardName), VecDeque<Chunk>> = BTreeMap::new();
    for chunk in moves {
        by_pair.entry((chunk.source().clone(), chunk.target().clone())).or_default().push_back(chunk);
    }
    let workers = by_pair.len().min(run.options.jobs.max(1) as usize);
    let queues = Mutex::new(by_pair.into_values().collect::<VecDeque<_>>());
    let trouble: Mutex<Option<Error>> = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut links = Connections::new(run);
                loop {
                    let next = queues.lock().pop_front();
                    let Some(queue) = next else { return };
                    if let Err(error) = move_queue(run, &mut links, queue) {
                        trouble.lock().get_or_insert(error);
                        run.stop();
                        return;
                    }
                }
            });
        }
    });
    match trouble.into_inner() {
        Some(error) => Err(error),
        None if run.is_stopped() => Err(run.stopped()),
        None => Ok(()),
    }
}

fn move_queue(run: &RunState<'_>, links: &mut Connections<'_>, queue: VecDeque<Chunk>) -> Result<()> {
    for mut chunk in queue {
        run.is_at_pair(chunk.source(), chunk.target());
        let mut rows = 0;
        loop {
            if run.is_stopped() && chunk.is_between_chunks() {
                return Err(run.stopped());
            }
            let (outcome, adopted) = step(run, links, &mut chunk)?;
            rows += adopted;
            match outcome {
                ChunkOutcome::Next => {}
                ChunkOutcome::ChunkMoved => run.throttle(std::mem::take(&mut rows)),
                ChunkOutcome::Moved => {
                    run.throttle(rows);
                    break;
                }
                // Another mover is at it: what is left is seen at the next look.
                ChunkOutcome::Surprise => break,
            }
        }
    }
    Ok(())
}

/// One step of a chunk, and how many rows were taken over by it.
pub(crate) fn step(
    run: &RunState<'_>,
    links: &mut Connections<'_>,
    chunk: &mut Chunk,
) -> Result<(ChunkOutcome, u64)> {
    let (shard, request) = chunk.ask();
    let shard = shard.clone();
    let reply = links.ask(&shard, &request)?;
    let mut adopted = 0;
    if let (Request::Adopt { rows, .. }, Reply::Done) = (&request, &reply) {
        adopted = rows.rows();
        run.count(Load { rows: adopted, bytes: rows.bytes() });
    }
    Ok((chunk.hear(reply), adopted))
}
