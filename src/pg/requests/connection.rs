//! A mover's connection to one shard, and its requests: each request of `model/rebalance/` is one statement.

use postgres::types::{Json, Type};
use serde::Serialize;
use uuid::Uuid;

use super::chunk_rows::ChunkRows;
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::rebalance::{Announcement, Condition, Reply, Request, ShardState};
use crate::model::ring::arc::{Arc, ShardArc};
use crate::model::ring::position::Position;
use crate::model::ring::topology::{Epoch, Topology};
use crate::pg::catalog::{self, Incarnation, SelfDescription};
use crate::pg::cluster::Cluster;
use crate::pg::net::session::{Parameter, Session, only};
use crate::pg::net::sqlstate::{self, ShardError, on_shard};
use crate::pg::net::watchdog::InUse;

/// The settings of each of these connections. The functions require READ COMMITTED. `enable_seqscan` is off so that the index
/// on the position is used although the statistics of a new table are against it. Then a statement without an index seems so
/// expensive that Postgres would compile it, which takes ten times as long as the statement; so `jit` is off. The functions'
/// own statements are planned once a session; those that depend on sizes are built (EXECUTE), and planned each time anyway.
const PRELUDE: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; \
    SET client_min_messages = warning; SET statement_timeout = 0; SET lock_timeout = 0; \
    SET idle_session_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET enable_seqscan = off; SET jit = off; \
    SET plan_cache_mode = force_generic_plan; \
    SET ringshard.guard = 'checked'; \
    SELECT pg_catalog.set_config('session_replication_role', 'replica', false) \
    FROM pg_catalog.pg_roles WHERE rolsuper AND rolname = current_user";
/// The size of a chunk, as it is stored, unless a single key has more.
pub(crate) const CHUNK_BYTES: u64 = 512 << 10;

/// The settings that change the text of a row, for a transaction.
pub(crate) const ROW_TEXT: &str = include_str!("../../../sql/queries/row_text.sql");

/// Reads the state of a shard.
const SHARD_STATE: &str = concat!(
    "WITH snapshot AS (",
    include_str!("../../../sql/queries/snapshot.sql"),
    ")\n",
    include_str!("../../../sql/queries/shard_state.sql"),
);

/// Whether a shard was compared with the others since its server became its primary.
pub(crate) fn is_confirmed(cluster: &Cluster, shard: &ShardName, session: &mut Session) -> Result<bool> {
    let what = "read the timeline";
    let rows = session.query("SELECT ringshard.is_confirmed()", &[]);
    let rows = rows.map_err(|cause| cluster.explain(what, shard, session, &cause))?;
    // NULL without a row in `meta`.
    Ok(only(rows, what, shard)?.get::<_, Option<bool>>(0) != Some(false))
}

/// The reply that an answer of a function means.
pub(crate) fn reply_of(answer: &str) -> Reply<ChunkRows> {
    match answer {
        "done" => Reply::Done,
        "already" => Reply::Already,
        _ => Reply::Stale,
    }
}

/// A connection to one shard.
pub(crate) struct Connection {
    shard: ShardName,
    session: Session,
    /// The incarnation of its server, once it was read.
    incarnation: Option<Incarnation>,
    _in_use: InUse,
}

/// A shard's description and state, of one snapshot.
pub(crate) struct ObservedShard {
    pub(crate) description: SelfDescription,
    pub(crate) state: ShardState,
    /// Whether it was compared with the other shards since its server became its primary.
    pub(crate) is_confirmed: bool,
}

impl Connection {
    /// Connects, outside the pool, to a server that may not be confirmed: see [`Connection::open`].
    pub(crate) fn open_unconfirmed(cluster: &Cluster, shard: &ShardName) -> Result<Self> {
        Self::over(shard, cluster.shards().connect_direct(shard)?, true)
    }

    /// Uses an existing session; its settings are changed only if the server accepts writes.
    pub(crate) fn over(shard: &ShardName, mut session: Session, writes: bool) -> Result<Self> {
        if writes {
            let set_up = session.client().batch_execute(PRELUDE);
            // Of the session, as it is a mover's own.
            let row_text = ROW_TEXT.replace("SET LOCAL", "SET");
            let set_up = set_up.and_then(|()| session.client().batch_execute(&row_text));
            set_up.map_err(|cause| sqlstate::doing("prepare a connection", shard, &cause))?;
        }
        Ok(Self { shard: shard.clone(), incarnation: None, _in_use: session.in_use(), session })
    }

    /// The session.
    pub(crate) fn into_session(self) -> Session {
        self.session
    }

    /// The shard.
    pub(crate) fn shard(&self) -> &ShardName {
        &self.shard
    }

    /// The session, for other statements.
    pub(crate) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Whether the shard was compared with the others since this server became its primary.
    pub(crate) fn is_confirmed(&mut self, cluster: &Cluster) -> Result<bool> {
        is_confirmed(cluster, &self.shard, &mut self.session)
    }

    /// As [`Connection::observe`], with the final error.
    pub(crate) fn read_catalog(&mut self, cluster: &Cluster) -> Result<ObservedShard> {
        self.observe(cluster).map_err(on_shard("read the catalog", &self.shard))
    }

    /// Reads the shard's description and state, in one snapshot. Fails with `Configuration` if the database is another one, or
    /// its catalog is older.
    pub(crate) fn observe(&mut self, cluster: &Cluster) -> Result<ObservedShard, ShardError> {
        let rows = match self.session.query(SHARD_STATE, &[]) {
            Err(cause) if sqlstate::is_of_another_version(&cause) => {
                let error = cluster.explain("read the catalog", &self.shard, &mut self.session, &cause);
                return Err(ShardError::Local(error));
            }
            rows => rows?,
        };
        let row = only(rows, "read the catalog", &self.shard)?;
        let description = catalog::read_description(&row, &self.shard)?;
        let address = cluster.shards().address(&self.shard)?;
        catalog::check_identity(&self.shard, &address, cluster.id(), description.identity())?;
        let is_confirmed = row.get("is_confirmed");
        cluster.note_incarnations(&description);
        // A standby may not have received that its primary was confirmed.
        if is_confirmed && !row.get::<_, bool>("is_standby") {
            self.incarnation = Some(description.incarnation);
            cluster.check_incarnation(&self.shard, description.incarnation)?;
        }
        let arcs = catalog::arcs_of(&row, &self.shard)?;
        let state = ShardState { ring: description.ring.clone(), arcs };
        Ok(ObservedShard { description, state, is_confirmed })
    }

    /// Sends a request and returns the reply. `chunk_rows`: the most rows of a chunk.
    pub(crate) fn request(
        &mut self,
        request: &Request<ChunkRows>,
        chunk_rows: u32,
        cluster: &Cluster,
    ) -> Result<Reply<ChunkRows>, ShardError> {
        // What the other shards said since then may show that this server was replaced.
        if let Some(incarnation) = self.incarnation {
            cluster.check_incarnation(&self.shard, incarnation)?;
        }
        match request {
            Request::Look => Ok(Reply::State(Box::new(self.observe(cluster)?.state))),
            Request::Announce(announcement) => self.announce(announcement),
            Request::Cut { range } => self.chunk_end(*range, chunk_rows),
            Request::Fence { epoch, chunk, target } => {
                // Used only on the sides where the arc goes beyond the chunk.
                let before = Position::new(chunk.first().number().saturating_sub(1));
                let after = chunk.last().next().unwrap_or(Position::LAST);
                self.answer(
                    "SELECT ringshard.fence($1, $2, $3, $4, $5, $6)",
                    &[
                        (&epoch.number(), Type::INT8),
                        (&Uuid::from(chunk.first()), Type::UUID),
                        (&Uuid::from(chunk.last()), Type::UUID),
                        (&Uuid::from(before), Type::UUID),
                        (&Uuid::from(after), Type::UUID),
                        (&target.as_str(), Type::TEXT),
                    ],
                )
            }
            Request::Read { epoch, chunk, target } => {
                let rows = self.session.query(
                    "SELECT names, columns, counts, digests::text[] AS digests, bytes, largest, rows \
                     FROM ringshard.read_chunk($1, $2, $3, $4, $5)",
                    &[
                        (&epoch.number(), Type::INT8),
                        (&Uuid::from(chunk.first()), Type::UUID),
                        (&Uuid::from(chunk.last()), Type::UUID),
                        (&target.as_str(), Type::TEXT),
                        (&ChunkRows::BYTES_MAX, Type::INT8),
                    ],
                )?;
                Ok(rows.first().and_then(ChunkRows::of).map_or(Reply::Stale, Reply::Rows))
            }
            Request::Receive { epoch, chunk, source, rows } => {
                let (epoch, source) = (epoch.number(), source.as_str());
                let (first, last) = (Uuid::from(chunk.first()), Uuid::from(chunk.last()));
                let own: [Parameter<'_>; 4] =
                    [(&epoch, Type::INT8), (&first, Type::UUID), (&last, Type::UUID), (&source, Type::TEXT)];
                rows.with_parameters(|parameters| {
                    self.answer(
                        "SELECT ringshard.receive_chunk($1, $2, $3, $4, $5, $6, $7, $8::numeric[], $9, $10)",
                        &[&own, parameters].concat(),
                    )
                })
            }
            Request::Purge { epoch, chunk, target, decided_in } => {
                let sql = "SELECT ringshard.purge($1, $2, $3, $4, $5)";
                self.answer_about_fence(sql, *epoch, *chunk, target, *decided_in)
            }
            Request::Release { epoch, chunk, target, decided_in } => {
                let sql = "SELECT ringshard.release($1, $2, $3, $4, $5)";
                self.answer_about_fence(sql, *epoch, *chunk, target, *decided_in)
            }
            Request::Finish { epoch, expected, merged } => self.finish(*epoch, expected, merged),
        }
    }

    pub(crate) fn announce(&mut self, announcement: &Announcement) -> Result<Reply<ChunkRows>, ShardError> {
        let condition = match announcement.condition {
            Condition::Desired => "desired",
            Condition::Canceling => "canceling",
            Condition::Decided => "decided",
        };
        self.answer(
            "SELECT ringshard.announce($1, $2, $3, $4, $5)",
            &[
                (&announcement.epoch.number(), Type::INT8),
                (&Json(&announcement.topology), Type::JSONB),
                (&Json(&announcement.change.next_topology), Type::JSONB),
                (&Json(&announcement.change.participants), Type::JSONB),
                (&condition, Type::TEXT),
            ],
        )
    }

    fn chunk_end(&mut self, range: Arc, chunk_rows: u32) -> Result<Reply<ChunkRows>, ShardError> {
        let parameters: &[Parameter<'_>] = &[
            (&Uuid::from(range.first()), Type::UUID),
            (&Uuid::from(range.last()), Type::UUID),
            (&i64::from(chunk_rows.max(1)), Type::INT8),
            (&i64::try_from(CHUNK_BYTES).unwrap_or(i64::MAX), Type::INT8),
        ];
        let rows = self.session.query("SELECT ringshard.chunk_end($1, $2, $3, $4)", parameters)?;
        let last = rows.first().and_then(|row| row.get::<_, Option<Uuid>>(0)).map(Position::from);
        Ok(Reply::Cut(last.unwrap_or(range.last())))
    }

    fn answer_about_fence(
        &mut self,
        sql: &'static str,
        epoch: Epoch,
        chunk: Arc,
        target: &ShardName,
        decided_in: Epoch,
    ) -> Result<Reply<ChunkRows>, ShardError> {
        self.answer(
            sql,
            &[
                (&epoch.number(), Type::INT8),
                (&Uuid::from(chunk.first()), Type::UUID),
                (&Uuid::from(chunk.last()), Type::UUID),
                (&target.as_str(), Type::TEXT),
                (&decided_in.number(), Type::INT8),
            ],
        )
    }

    fn finish(
        &mut self,
        epoch: Epoch,
        expected: &[ShardArc],
        merged: &[Arc],
    ) -> Result<Reply<ChunkRows>, ShardError> {
        let uuids = |arcs: &mut dyn Iterator<Item = Arc>, end: fn(Arc) -> Position| -> Vec<Uuid> {
            arcs.map(|arc| Uuid::from(end(arc))).collect()
        };
        let arcs = || expected.iter().map(|shard_arc| shard_arc.arc);
        let epochs: Vec<i64> = expected.iter().map(|shard_arc| shard_arc.epoch.number()).collect();
        self.answer(
            "SELECT ringshard.finish($1, $2, $3, $4, $5, $6)",
            &[
                (&epoch.number(), Type::INT8),
                (&uuids(&mut arcs(), Arc::first), Type::UUID_ARRAY),
                (&uuids(&mut arcs(), Arc::last), Type::UUID_ARRAY),
                (&epochs, Type::INT8_ARRAY),
                (&uuids(&mut merged.iter().copied(), Arc::first), Type::UUID_ARRAY),
                (&uuids(&mut merged.iter().copied(), Arc::last), Type::UUID_ARRAY),
            ],
        )
    }

    /// Calls a function and returns its answer.
    pub(crate) fn answer(
        &mut self,
        sql: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Reply<ChunkRows>, ShardError> {
        let rows = self.session.query(sql, parameters)?;
        Ok(reply_of(only(rows, "change the ring", &self.shard)?.get(0)))
    }

    /// Sets the desired topology, if the shard is in this epoch without a change, and the desired topology is still `before`.
    /// Returns whether it was set.
    pub(crate) fn set_desired_topology(
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
