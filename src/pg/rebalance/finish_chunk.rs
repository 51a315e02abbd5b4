//! A client that meets a fence for long brings that chunk to its end itself: nobody has to wait for an operator.

use std::time::Duration;

use super::connections::Connections;
use super::executor::step;
use super::plan::look;
use super::run_state::{RebalanceOptions, RunState};
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::rebalance::Leftover;
use crate::model::rebalance::chunk::{ChunkMove, ChunkOutcome};
use crate::model::ring::arc::ArcState;
use crate::model::ring::position::Position;
use crate::pg::cluster::Cluster;

/// How long a client waits for others in each step.
const PATIENCE: Duration = Duration::from_secs(1);

/// Moves the fenced chunk that a position lies on, if the shard has one. Whether it was brought to its end.
pub(crate) fn finish_chunk(cluster: &Cluster, shard: &ShardName, position: Position) -> Result<bool> {
    let mut run = RunState::new(cluster, RebalanceOptions::default());
    run.patience = PATIENCE;
    let mut links = Connections::new(&run);
    let state = look(&mut links, shard, cluster)?;
    let held = state.arcs.into_iter().find(|held| held.arc.contains(position));
    let Some((held, ArcState::Fenced(target))) = held.map(|held| (held.clone(), held.state)) else {
        return Ok(false);
    };
    log::info!("Finishing the move of {} from shard {shard} to {target}", held.arc);
    let leftover = Leftover { epoch: held.epoch, source: shard.clone(), target, chunk: held.arc };
    let mut chunk = ChunkMove::of_leftover(&leftover);
    loop {
        match step(&run, &mut links, &mut chunk)?.0 {
            ChunkOutcome::Next => {}
            ChunkOutcome::ChunkMoved | ChunkOutcome::Moved => return Ok(true),
            // In the meantime another mover was at it, or the change was taken back.
            ChunkOutcome::Surprise => return Ok(false),
        }
    }
}
