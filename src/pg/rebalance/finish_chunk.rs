//! Completes a single chunk: a client whose write is blocked by a fence for long does it itself, so that no write waits for
//! an operator.

use std::time::Duration;

use super::connections::Connections;
use super::executor::step;
use super::plan::{collect_states, damaged, observe};
use super::run_state::{RebalanceOptions, RunState};
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::rebalance::chunk::{ChunkMove, ChunkOutcome};
use crate::model::rebalance::{Direction, Leftover, Reply, Work, next_work};
use crate::model::ring::arc::{ArcState, ShardArc};
use crate::model::ring::position::Position;
use crate::pg::cluster::Cluster;

/// How long a client waits for locks and shards in each step.
const PATIENCE: Duration = Duration::from_secs(1);

/// Completes the move of the fenced chunk at a position, if the shard has one. Returns whether it was completed.
pub(crate) fn finish_chunk(cluster: &Cluster, shard: &ShardName, position: Position) -> Result<bool> {
    let mut run_state = RunState::new(cluster, RebalanceOptions::default());
    run_state.patience = PATIENCE;
    let mut connections = Connections::new(&run_state);
    let state = observe(&mut connections, shard, cluster)?;
    let shard_arc = state.arcs.iter().find(|shard_arc| shard_arc.arc.contains(position));
    let Some(ShardArc { arc, epoch, state: ArcState::Fenced(target) }) = shard_arc.cloned() else {
        return Ok(false);
    };
    log::info!("Finishing the move of {arc} from shard {shard} to {target}");
    let leftover = Leftover { epoch, source: shard.clone(), target, chunk: arc };
    if epoch < state.ring.epoch {
        return settle(cluster, &mut connections, &leftover);
    }
    let mut chunk = ChunkMove::of_leftover(&leftover, state.ring.epoch);
    loop {
        match step(&run_state, &mut connections, &mut chunk)?.0 {
            ChunkOutcome::Next => {}
            ChunkOutcome::ChunkMoved | ChunkOutcome::Moved => return Ok(true),
            // Another mover moved it, or the change was canceled.
            ChunkOutcome::Unexpected => return Ok(false),
        }
    }
}

/// Settles a chunk that was fenced in an epoch before that of the change, as a mover does: see `Work::Settle`. Returns whether it
/// was settled.
fn settle(cluster: &Cluster, connections: &mut Connections<'_>, leftover: &Leftover) -> Result<bool> {
    let states = collect_states(cluster, false)?.states;
    let Work::Settle(leftovers) = next_work(&states, Direction::Forward).map_err(damaged)? else {
        return Ok(false);
    };
    let Some((_, is_taken)) = leftovers.iter().find(|(other, _)| other == leftover) else { return Ok(false) };
    let Some(decided_in) = states.values().map(|state| state.ring.epoch).max() else { return Ok(false) };
    let request = if *is_taken {
        connections.wait_for_standbys(&leftover.target)?;
        leftover.purge(decided_in)
    } else {
        leftover.release(decided_in)
    };
    let reply = connections.request(&leftover.source, &request)?;
    Ok(matches!(reply, Reply::Done | Reply::Already))
}
