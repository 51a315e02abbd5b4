//! A mover's own connection to a shard, and what it asks there: each request of `model/moves/` is one statement.

use postgres::types::{Json, Type};
use serde::Serialize;
use uuid::Uuid;

use super::chunk_rows::ChunkRows;
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::rebalance::{Announcement, Condition, Reply, Request, ShardState};
use crate::model::ring::arc::Arc;
use crate::model::ring::arc::ShardArc;
use crate::model::ring::position::Position;
use crate::model::ring::topology::{Epoch, Topology};
use crate::pg::catalog;
use crate::pg::catalog::SelfDescription;
use crate::pg::cluster::Cluster;
use crate::pg::net::session::{Parameter, Session, only};
use crate::pg::net::sqlstate;
use crate::pg::net::sqlstate::ShardError;

/// What each of these connections begins with. The functions refuse other isolation levels. Plans: an index on the
/// position is there while rows move, and a fresh table's statistics do not speak for it. What has no index then seems
/// dear enough to be compiled, which would take ten times as long as the statement.
const PRELUDE: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; \
    SET client_min_messages = warning; SET statement_timeout = 0; SET lock_timeout = 0; \
    SET idle_session_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET enable_seqscan = off; SET jit = off; \
    SET ringshard.guard = 'checked'";

/// A connection to one shard.
pub(crate) struct Connection {
    shard: ShardName,
    session: Session,
}

/// What a shard said of itself.
pub(crate) struct ObservedShard {
    pub(crate) said: SelfDescription,
    pub(crate) state: ShardState,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(cluster: &Cluster, shard: &ShardName) -> Result<Self> {
        Self::over(shard, cluster.shards().connect_apart(shard)?, true)
    }

    /// Over a session that is there, which is set up only if the server takes writes.
    pub(crate) fn over(shard: &ShardName, mut session: Session, writes: bool) -> Result<Self> {
        if writes {
            let set_up = session.client().batch_execute(PRELUDE);
            set_up.map_err(|cause| sqlstate::doing("prepare a connection", shard, &cause))?;
        }
        Ok(Self { shard: shard.clone(), session })
    }

    /// The connection, given back.
    pub(crate) fn into_session(self) -> Session {
        self.session
    }

    /// The shard.
    pub(crate) fn shard(&self) -> &ShardName {
        &self.shard
    }

    /// The connection, for what is no request.
    pub(crate) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// What the shard says of itself, in one snapshot.
    pub(crate) fn look(&mut self, cluster: &Cluster) -> Result<ObservedShard, ShardError> {
        let rows = match self.session.query(include_str!("../../../sql/queries/look.sql"), &[]) {
            Err(cause) if sqlstate::is_of_another_version(&cause) => {
                let error = cluster.explain("read the catalog", &self.shard, &mut self.session, &cause);
                return Err(ShardError::Ours(error));
            }
            rows => rows?,
        };
        let row = only(rows, "read the catalog", &self.shard)?;
        let said = catalog::description(&row, &self.shard)?;
        let address = cluster.shards().address(&self.shard)?;
        catalog::check_identity(&self.shard, &address, cluster.id(), said.identity())?;
        let arcs = catalog::arcs_of(&row, &self.shard)?;
        let state = ShardState { ring: said.ring.clone(), arcs };
        Ok(ObservedShard { said, state })
    }

    /// Asks, and takes the answer. `chunk_rows`: the most rows of a chunk.
    pub(crate) fn ask(
        &mut self,
        request: &Request<ChunkRows>,
        chunk_rows: u32,
        cluster: &Cluster,
    ) -> Result<Reply<ChunkRows>, ShardError> {
        match request {
            Request::Look => Ok(Reply::State(Box::new(self.look(cluster)?.state))),
            Request::Announce(announcement) => self.announce(announcement),
            Request::Cut { range } => self.cut(*range, chunk_rows),
            Request::Fence { epoch, chunk, target } => {
                // Only where the chunk is a part of its arc are these looked at.
                let before = Position::new(chunk.first().number().saturating_sub(1));
                let behind = chunk.last().next().unwrap_or(Position::LAST);
                self.answer(
                    "SELECT ringshard.fence($1, $2, $3, $4, $5, $6)",
                    &[
                        (&epoch.number(), Type::INT8),
                        (&Uuid::from(chunk.first()), Type::UUID),
                        (&Uuid::from(chunk.last()), Type::UUID),
                        (&Uuid::from(before), Type::UUID),
                        (&Uuid::from(behind), Type::UUID),
                        (&target.as_str(), Type::TEXT),
                    ],
                )
            }
            Request::Read { epoch, chunk, target } => {
                let rows = self.session.query(
                    include_str!("../../../sql/queries/read_chunk.sql"),
                    &[
                        (&epoch.number(), Type::INT8),
                        (&Uuid::from(chunk.first()), Type::UUID),
                        (&Uuid::from(chunk.last()), Type::UUID),
                        (&target.as_str(), Type::TEXT),
                    ],
                )?;
                Ok(rows.first().map_or(Reply::Stale, |row| Reply::Rows(ChunkRows::of(row))))
            }
            Request::Adopt { epoch, chunk, source, rows } => {
                let (epoch, source) = (epoch.number(), source.as_str());
                let (first, last) = (Uuid::from(chunk.first()), Uuid::from(chunk.last()));
                let mut parameters: Vec<Parameter<'_>> = vec![
                    (&epoch, Type::INT8),
                    (&first, Type::UUID),
                    (&last, Type::UUID),
                    (&source, Type::TEXT),
                ];
                parameters.extend(rows.parameters());
                self.answer(
                    "SELECT ringshard.receive_chunk($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                    &parameters,
                )
            }
            Request::Purge { epoch, chunk, target } => {
                self.of_a_fence("SELECT ringshard.purge($1, $2, $3, $4)", *epoch, *chunk, target)
            }
            Request::Release { epoch, chunk, target } => {
                self.of_a_fence("SELECT ringshard.release($1, $2, $3, $4)", *epoch, *chunk, target)
            }
            Request::Finish { epoch, seen, merged } => self.finish(*epoch, seen, merged),
        }
    }

    pub(crate) fn announce(&mut self, told: &Announcement) -> Result<Reply<ChunkRows>, ShardError> {
        let condition = match told.condition {
            Condition::Desired => "desired",
            Condition::TakenBack => "taken_back",
            Condition::Decided => "decided",
        };
        self.answer(
            "SELECT ringshard.announce($1, $2, $3, $4, $5)",
            &[
                (&told.epoch.number(), Type::INT8),
                (&Json(&told.topology), Type::JSONB),
                (&Json(&told.change.next_topology), Type::JSONB),
                (&Json(&told.change.participants), Type::JSONB),
                (&condition, Type::TEXT),
            ],
        )
    }

    fn cut(&mut self, range: Arc, chunk_rows: u32) -> Result<Reply<ChunkRows>, ShardError> {
        let parameters: &[Parameter<'_>] = &[
            (&Uuid::from(range.first()), Type::UUID),
            (&Uuid::from(range.last()), Type::UUID),
            (&i64::from(chunk_rows.saturating_sub(1)), Type::INT8),
        ];
        let rows = self.session.query(include_str!("../../../sql/queries/cut.sql"), parameters)?;
        let last = rows.first().map(|row| row.get::<_, Uuid>(0).into());
        Ok(Reply::Cut(last.unwrap_or(range.last())))
    }

    fn of_a_fence(
        &mut self,
        sql: &'static str,
        epoch: Epoch,
        chunk: Arc,
        target: &ShardName,
    ) -> Result<Reply<ChunkRows>, ShardError> {
        self.answer(
            sql,
            &[
                (&epoch.number(), Type::INT8),
                (&Uuid::from(chunk.first()), Type::UUID),
                (&Uuid::from(chunk.last()), Type::UUID),
                (&target.as_str(), Type::TEXT),
            ],
        )
    }

    fn finish(
        &mut self,
        epoch: Epoch,
        seen: &[ShardArc],
        merged: &[Arc],
    ) -> Result<Reply<ChunkRows>, ShardError> {
        let uuids = |arcs: &mut dyn Iterator<Item = Arc>, end: fn(Arc) -> Position| -> Vec<Uuid> {
            arcs.map(|arc| Uuid::from(end(arc))).collect()
        };
        let held = || seen.iter().map(|held| held.arc);
        let epochs: Vec<i64> = seen.iter().map(|held| held.epoch.number()).collect();
        self.answer(
            "SELECT ringshard.finish($1, $2, $3, $4, $5, $6)",
            &[
                (&epoch.number(), Type::INT8),
                (&uuids(&mut held(), Arc::first), Type::UUID_ARRAY),
                (&uuids(&mut held(), Arc::last), Type::UUID_ARRAY),
                (&epochs, Type::INT8_ARRAY),
                (&uuids(&mut merged.iter().copied(), Arc::first), Type::UUID_ARRAY),
                (&uuids(&mut merged.iter().copied(), Arc::last), Type::UUID_ARRAY),
            ],
        )
    }

    /// A function's word.
    pub(crate) fn answer(
        &mut self,
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Reply<ChunkRows>, ShardError> {
        let rows = self.session.query(sql, parameters)?;
        Ok(match only(rows, "change the ring", &self.shard)?.get::<_, &str>(0) {
            "done" => Reply::Done,
            "already" => Reply::Already,
            _ => Reply::Stale,
        })
    }

    /// Wishes for a topology, if nothing is under way in this epoch and the wish is still that. Whether it is so.
    pub(crate) fn wish(
        &mut self,
        epoch: Epoch,
        before: Option<&Topology>,
        desired_topology: Option<&Topology>,
    ) -> Result<bool, ShardError> {
        fn json<T: Serialize>(value: Option<&T>) -> Option<Json<&T>> {
            value.map(Json)
        }
        let rows = self.session.query(
            "UPDATE ringshard.meta SET desired_topology = $3 \
             WHERE epoch = $1 AND status = 'done' AND desired_topology IS NOT DISTINCT FROM $2 RETURNING true",
            &[(&epoch.number(), Type::INT8), (&json(before), Type::JSONB), (&json(desired_topology), Type::JSONB)],
        )?;
        Ok(!rows.is_empty())
    }
}
