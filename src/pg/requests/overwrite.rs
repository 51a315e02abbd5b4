//! Replaces the whole state of a shard, by compare and set.

use postgres::types::{Json, Type};
use uuid::Uuid;

use super::chunk_rows::ChunkRows;
use super::connection::Connection;
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::rebalance::{Reply, RingState, ShardState};
use crate::model::ring::arc::{Arc, ArcState, ShardArc};
use crate::model::ring::position::Position;
use crate::pg::net::sqlstate::ShardError;

type Columns = (Vec<Uuid>, Vec<Uuid>, Vec<i64>, Vec<Option<String>>);

fn columns(arcs: &[ShardArc]) -> Columns {
    let ends = |end: fn(Arc) -> Position| arcs.iter().map(|shard_arc| end(shard_arc.arc).into()).collect();
    let target = |shard_arc: &ShardArc| match &shard_arc.state {
        ArcState::Owned => None,
        ArcState::Fenced(target) => Some(target.to_string()),
    };
    let epochs = arcs.iter().map(|shard_arc| shard_arc.epoch.number()).collect();
    (ends(Arc::first), ends(Arc::last), epochs, arcs.iter().map(target).collect())
}

impl Connection {
    /// Replaces the state of the shard; [`Reply::Stale`] if it is not the observed one any more. `dead`: a shard that leaves the
    /// cluster, and its address.
    pub(crate) fn overwrite_state(
        &mut self,
        observed: &ShardState,
        forced: &ShardState,
        dead: Option<(&ShardName, &str)>,
    ) -> Result<Reply<ChunkRows>, ShardError> {
        let (seen_firsts, seen_lasts, seen_epochs, seen_targets) = columns(&observed.arcs);
        let (firsts, lasts, epochs, targets) = columns(&forced.arcs);
        let is_stable = forced.is_stable(self.shard());
        let (dead, dead_url) = (dead.map(|(name, _)| name.as_str()), dead.map(|(_, url)| url));
        let RingState { epoch, topology, change, .. } = &forced.ring;
        let change = change.as_ref();
        self.answer(
            "SELECT ringshard.overwrite_state($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
            &[
                (&observed.ring.epoch.number(), Type::INT8),
                (&seen_firsts, Type::UUID_ARRAY),
                (&seen_lasts, Type::UUID_ARRAY),
                (&seen_epochs, Type::INT8_ARRAY),
                (&seen_targets, Type::TEXT_ARRAY),
                (&epoch.number(), Type::INT8),
                (&Json(topology), Type::JSONB),
                (&change.map(|change| Json(&change.next_topology)), Type::JSONB),
                (&change.map(|change| Json(&change.participants)), Type::JSONB),
                (&firsts, Type::UUID_ARRAY),
                (&lasts, Type::UUID_ARRAY),
                (&epochs, Type::INT8_ARRAY),
                (&targets, Type::TEXT_ARRAY),
                (&is_stable, Type::BOOL),
                (&dead, Type::TEXT),
                (&dead_url, Type::TEXT),
            ],
        )
    }
}
