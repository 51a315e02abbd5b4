//! Carries out a change: sends the mover's requests one by one, and moves the chunks with several workers.

use crate::pg::rebalance::plan;
use std::collections::{BTreeMap, VecDeque};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::connections::Connections;
use super::plan::{Planned, damaged};
use super::position_index;
use super::preflight::check_tables_alike;
use super::run_lock::RunLock;
use super::run_state::{MoveProgress, Moved, RebalanceOptions, RunState};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::chunk::{ChunkMove, ChunkOutcome};
use crate::model::rebalance::mover::{Mover, Phase};
use crate::model::rebalance::plan::Load;
use crate::model::rebalance::{Direction, Reply, Request, arbiter};
use crate::model::ring::topology::Topology;
use crate::pg::cluster::Cluster;
use crate::pg::requests::chunk_rows::ChunkRows;
use crate::pg::requests::connection::{CHUNK_BYTES, Connection};
use crate::threads;

/// How often progress is reported.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);
/// The least time between two rounds of reading all states.
const ROUND_PAUSE: Duration = Duration::from_millis(20);

type Chunk = ChunkMove<ChunkRows>;

/// Carries out a change (`Direction::Forward`) or cancels it (`Direction::Back`). `report` is called regularly; when it
/// returns false, all workers stop after their current chunk, and the error is of kind `Partial`.
pub fn carry_out(
    cluster: &Cluster,
    planned: &Planned,
    direction: Direction,
    options: RebalanceOptions,
    mut report: impl FnMut(&MoveProgress) -> bool,
) -> Result<Moved> {
    let run_state = RunState::new(cluster, options).with_spreads(planned.spreads.clone());
    let result = thread::scope(|scope| {
        let worker = threads::start_in(scope, || execute(&run_state, planned, direction))?;
        let mut reported = Instant::now();
        while !worker.is_finished() {
            if reported.elapsed() >= REPORT_INTERVAL {
                reported = Instant::now();
                if !report(&run_state.progress()) {
                    run_state.stop();
                }
            }
            thread::sleep(Duration::from_millis(5));
        }
        threads::join(worker)
    });
    result.map(|()| run_state.moved())
}

/// Drops the indexes on the position that an earlier change left, unless a mover runs.
pub fn drop_position_indexes(cluster: &Cluster) -> Result<()> {
    let states = plan::collect_states(cluster, false)?.states;
    let run_state = RunState::new(cluster, RebalanceOptions::default());
    // A running mover needs them.
    let Ok(_lock) = RunLock::take(&run_state, arbiter(&cluster.view().topology)) else { return Ok(()) };
    for shard in states.keys() {
        position_index::drop_all(&mut Connection::open(cluster, shard)?, shard)?;
    }
    Ok(())
}

fn execute(run_state: &RunState<'_>, planned: &Planned, direction: Direction) -> Result<()> {
    let first = arbiter(&planned.plan.before);
    let mut lock = if run_state.options.unlocked { None } else { Some(RunLock::take(run_state, first)?) };
    if let Some(lock) = &mut lock {
        lock.begin(planned.moved.plus(planned.plan.moving()));
    }
    if planned.is_under_way {
        run_state.set_begun();
    } else if planned.plan.before.tables() == planned.plan.after.tables() {
        let (before, after) = (&planned.plan.before, &planned.plan.after);
        let joining = after.names().filter(|name| before.shard(name).is_none());
        let names: Vec<ShardName> = before.names().chain(joining).cloned().collect();
        check_tables_alike(run_state.cluster, &names, before.tables())?;
    }
    let mut connections = Connections::new(run_state);
    // A standby that is behind already would stop the first chunk while it is fenced.
    let plan = &planned.plan;
    for shard in
        plan.before.names().chain(plan.after.names().filter(|name| plan.before.shard(name).is_none()))
    {
        connections.wait_for_standbys(shard)?;
    }
    let mut mover: Mover<ChunkRows> = Mover::new(direction, planned.plan.before.names().cloned());
    let mut round_began = Instant::now();
    loop {
        let phase = mover.phase();
        if let Some(lock) = &mut lock
            && phase != Phase::Looking
        {
            lock.set_phase(phase.name());
        }
        let moves = mover.take_moves();
        if !moves.is_empty() {
            if let Some(lock) = &mut lock {
                lock.set_phase("indexing");
            }
            position_index::build_all(run_state, moves.iter().map(ChunkMove::source).collect())?;
            if let Some(lock) = &mut lock {
                lock.set_phase("moving");
            }
            move_chunks(run_state, moves)?;
            continue;
        }
        if direction == Direction::Forward {
            check_target(&mover, planned)?;
        }
        let Some((shard, request)) = mover.next_request() else { break };
        if run_state.is_stopped() {
            return Err(run_state.stopped());
        }
        match request {
            Request::Look => {
                // Another round so soon would find nothing new.
                if shard == *first {
                    thread::sleep(ROUND_PAUSE.saturating_sub(round_began.elapsed()));
                    round_began = Instant::now();
                }
                run_state.set_current("reading the state of the shards".into());
                discover(&mut connections, &shard, run_state);
            }
            _ => run_state.set_current(phase.name().into()),
        }
        // As in `step`: a chunk that another mover handed over.
        if let Request::Purge { target, .. } = &request {
            connections.wait_for_standbys(target)?;
        }
        let reply = connections.request(&shard, &request)?;
        if matches!((&request, &reply), (Request::Announce(_), Reply::Done | Reply::Already)) {
            run_state.set_begun();
        }
        mover.handle(reply).map_err(damaged)?;
    }
    run_state.set_current("tidying up".into());
    if let Some(lock) = &mut lock {
        lock.set_phase("ended");
    }
    for shard in mover.states().keys() {
        position_index::drop_all(connections.connection(shard)?, shard)?;
    }
    Ok(())
}

/// Fails with `Locked` if the change is not the planned one, which the user confirmed.
fn check_target(mover: &Mover<ChunkRows>, planned: &Planned) -> Result<()> {
    let is_other = |target: &Topology| *target != planned.plan.after;
    let announced = match mover.next_request() {
        Some((_, Request::Announce(announcement))) => Some(announcement.change.next_topology),
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
            "the desired topology or the change under way is not the one that was planned",
        )
        .hint("ringshard rebalance --dry-run shows the current plan"));
    }
    Ok(())
}

/// Finds the endpoint of a shard that is new to this process in the catalogs of the others.
fn discover(connections: &mut Connections<'_>, shard: &ShardName, run_state: &RunState<'_>) {
    if run_state.cluster.shards().names().contains(shard) {
        return;
    }
    for known in run_state.cluster.shards().names() {
        if plan::observe(connections, &known, run_state.cluster).is_ok()
            && run_state.cluster.shards().names().contains(shard)
        {
            break;
        }
    }
}

/// Moves these ranges with at most `jobs` workers. A pair of source and target is one queue, which one worker takes.
fn move_chunks(run_state: &RunState<'_>, moves: Vec<Chunk>) -> Result<()> {
    let mut by_pair: BTreeMap<(ShardName, ShardName), VecDeque<Chunk>> = BTreeMap::new();
    for chunk in moves {
        by_pair.entry((chunk.source().clone(), chunk.target().clone())).or_default().push_back(chunk);
    }
    let workers = by_pair.len().min(run_state.options.jobs.max(1) as usize);
    let queues = Mutex::new(by_pair.into_values().collect::<VecDeque<_>>());
    let first_error: Mutex<Option<Error>> = Mutex::new(None);
    threads::on_workers(workers, || {
        let mut connections = Connections::new(run_state);
        loop {
            let next = queues.lock().pop_front();
            let Some(queue) = next else { return };
            if let Err(error) = move_queue(run_state, &mut connections, queue) {
                first_error.lock().get_or_insert(error);
                run_state.stop();
                return;
            }
        }
    });
    match first_error.into_inner() {
        Some(error) => Err(error),
        None if run_state.is_stopped() => Err(run_state.stopped()),
        None => Ok(()),
    }
}

fn move_queue(
    run_state: &RunState<'_>,
    connections: &mut Connections<'_>,
    queue: VecDeque<Chunk>,
) -> Result<()> {
    for mut chunk in queue {
        run_state.set_current_pair(chunk.source(), chunk.target());
        let mut rows = 0;
        loop {
            if run_state.is_stopped() && chunk.is_between_chunks() {
                return Err(run_state.stopped());
            }
            let (outcome, received) = step(run_state, connections, &mut chunk)?;
            rows += received;
            match outcome {
                ChunkOutcome::Next => {}
                ChunkOutcome::ChunkMoved => run_state.throttle(std::mem::take(&mut rows)),
                ChunkOutcome::Moved => {
                    run_state.throttle(rows);
                    break;
                }
                // Another mover works on it; the next round shows what is left.
                ChunkOutcome::Unexpected => break,
            }
        }
    }
    Ok(())
}

/// Takes one step of a chunk; returns its outcome, and how many rows the target received.
pub(crate) fn step(
    run_state: &RunState<'_>,
    connections: &mut Connections<'_>,
    chunk: &mut Chunk,
) -> Result<(ChunkOutcome, u64)> {
    let (shard, request) = chunk.request();
    let shard = shard.clone();
    // The fence must not be lost once the target owns the chunk, nor the chunk once the source has none of it.
    match request {
        Request::Receive { .. } => connections.wait_for_standbys(chunk.source())?,
        Request::Purge { .. } => connections.wait_for_standbys(chunk.target())?,
        _ => {}
    }
    let even_cut = match request {
        Request::Cut { range } => run_state.even_cut(&shard, range, CHUNK_BYTES),
        _ => None,
    };
    let reply = match even_cut {
        Some(last) => Reply::Cut(last),
        None => connections.request(&shard, &request)?,
    };
    let mut received = 0;
    if let (Request::Receive { rows, .. }, Reply::Done) = (&request, &reply) {
        received = rows.rows();
        run_state.count(Load { rows: received, bytes: rows.bytes() });
    }
    Ok((chunk.handle(reply), received))
}
