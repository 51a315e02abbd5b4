//! Hands over a chunk whose rows are too large to be held in memory, as those of a single key may be: one transaction of the
//! target takes them part by part, while one snapshot of the source reads them.

use std::collections::BTreeMap;

use postgres::types::Type;
use postgres::{IsolationLevel, Row, Transaction};
use uuid::Uuid;

use super::chunk_rows::{ChunkRows, TableRows};
use super::connection::{Connection, reply_of};
use crate::error::{Error, Kind};
use crate::model::names::ShardName;
use crate::model::rebalance::Reply;
use crate::model::ring::arc::Arc;
use crate::model::ring::topology::Epoch;
use crate::pg::net::session::Parameter;
use crate::pg::net::sqlstate::{self, ShardError};

/// A part is sent as soon as it has so many bytes of text.
const PART_BYTES: usize = 1 << 20;
/// Or so many rows.
const PART_ROWS: usize = 5_000;
/// How many rows are fetched at once, unless so many may have more than [`PART_BYTES`].
const FETCHED_ROWS: u64 = 500;

/// The chunk, the epoch in which it moves, and its source.
pub(crate) struct Handover<'a> {
    pub(crate) epoch: Epoch,
    pub(crate) chunk: Arc,
    pub(crate) source: &'a ShardName,
    pub(crate) rows: &'a ChunkRows,
}

impl Connection {
    /// Receives the chunk on this shard from `source`. An error of the source is `ShardError::Local`.
    pub(crate) fn receive_streamed(
        &mut self,
        source: &mut Connection,
        handover: &Handover<'_>,
    ) -> Result<Reply<ChunkRows>, ShardError> {
        let target = self.shard().clone();
        let from = handover.source;
        let at_source =
            |cause: postgres::Error| ShardError::Local(sqlstate::doing("read a chunk", from, &cause));
        let begin = source.session().client().build_transaction();
        let mut snapshot = begin
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .map_err(at_source)?;
        let fenced = snapshot
            .query_typed(
                include_str!("../../../sql/queries/fenced_chunk.sql"),
                &[
                    (&handover.epoch.number(), Type::INT8),
                    (&Uuid::from(handover.chunk.first()), Type::UUID),
                    (&Uuid::from(handover.chunk.last()), Type::UUID),
                    (&target.as_str(), Type::TEXT),
                ],
            )
            .map_err(at_source)?;
        if fenced.is_empty() {
            return Ok(Reply::Stale);
        }
        let mut receiving = self.session().client().transaction()?;
        let of = |part: fn(&TableRows) -> &str| handover.rows.tables().iter().map(part).collect::<Vec<_>>();
        let (names, columns) = (of(|table| &table.table), of(|table| &table.columns));
        let begin = "SELECT ringshard.begin_receive($1, $2, $3, $4, $5, $6)";
        let tables = [(&names as _, Type::TEXT_ARRAY), (&columns as _, Type::TEXT_ARRAY)];
        let begun = handover.call(&mut receiving, begin, &tables)?;
        if !matches!(begun, Reply::Done) {
            return Ok(begun);
        }
        let keys: BTreeMap<&str, &str> =
            fenced.iter().map(|row| (row.get("name"), row.get("key_column"))).collect();
        for table in handover.rows.tables() {
            // The target has compared the names.
            let key = keys.get(table.table.as_str()).copied().unwrap_or_default();
            let stored = handover.send(&mut snapshot, &mut receiving, &table.table, key, &at_source)?;
            if stored != (table.rows, table.digest.clone()) {
                let message =
                    format!("the stored rows of {} differ from the rows that were sent", table.table);
                return Err(ShardError::Local(Error::new(Kind::Failed, message).on_shard(&target)));
            }
        }
        let (rows, bytes) = (handover.rows.rows().cast_signed(), handover.rows.bytes().cast_signed());
        let end = "SELECT ringshard.end_receive($1, $2, $3, $4, $5, $6)";
        let ended = handover.call(&mut receiving, end, &[(&rows, Type::INT8), (&bytes, Type::INT8)])?;
        receiving.commit()?;
        Ok(ended)
    }
}

impl Handover<'_> {
    /// Calls a function of the target with epoch, chunk and source, and more.
    fn call(
        &self,
        receiving: &mut Transaction<'_>,
        sql: &str,
        more: &[Parameter<'_>],
    ) -> Result<Reply<ChunkRows>, postgres::Error> {
        let (epoch, source) = (self.epoch.number(), self.source.as_str());
        let (first, last) = (Uuid::from(self.chunk.first()), Uuid::from(self.chunk.last()));
        let mut parameters: Vec<Parameter<'_>> =
            vec![(&epoch, Type::INT8), (&first, Type::UUID), (&last, Type::UUID), (&source, Type::TEXT)];
        parameters.extend(more.iter().cloned());
        let row = receiving.query_typed_one(sql, &parameters)?;
        Ok(reply_of(row.get(0)))
    }

    /// Sends the rows of one table in parts; returns how many the target stored, and their digest.
    fn send(
        &self,
        snapshot: &mut Transaction<'_>,
        receiving: &mut Transaction<'_>,
        table: &str,
        key: &str,
        at_source: &impl Fn(postgres::Error) -> ShardError,
    ) -> Result<(i64, String), ShardError> {
        // A cursor, as the server would send all rows ahead of a slow target, and they would be held here.
        let open = format!(
            "DECLARE rows_of_chunk NO SCROLL CURSOR FOR \
             SELECT t.*::text FROM {table} AS t WHERE pg_catalog.md5(t.{key}::text)::uuid BETWEEN $1 AND $2"
        );
        let (first, last) = (Uuid::from(self.chunk.first()), Uuid::from(self.chunk.last()));
        snapshot.query_typed(&open, &[(&first, Type::UUID), (&last, Type::UUID)]).map_err(at_source)?;
        let count = (PART_BYTES as u64 / self.rows.largest().max(1)).clamp(1, FETCHED_ROWS);
        let fetch = format!("FETCH {count} FROM rows_of_chunk");
        let (mut rows, mut digest) = (0, 0);
        let (mut part, mut bytes): (Vec<Row>, usize) = (Vec::new(), 0);
        loop {
            let fetched = snapshot.query_typed(&fetch, &[]).map_err(at_source)?;
            let is_last = fetched.is_empty();
            let more = fetched.iter().map(|row| row.get::<_, &str>(0).len()).sum::<usize>();
            let mut store = |part: &mut Vec<Row>, bytes: &mut usize| {
                let stored = self.store(receiving, table, part)?;
                (rows, digest) = (rows + stored.0, digest + stored.1);
                part.clear();
                *bytes = 0;
                Ok::<(), ShardError>(())
            };
            // So a large row is alone.
            if !part.is_empty() && (is_last || bytes + more > PART_BYTES) {
                store(&mut part, &mut bytes)?;
            }
            if is_last {
                break;
            }
            bytes += more;
            part.extend(fetched);
            if bytes >= PART_BYTES || part.len() >= PART_ROWS {
                store(&mut part, &mut bytes)?;
            }
        }
        snapshot.batch_execute("CLOSE rows_of_chunk").map_err(at_source)?;
        Ok((rows, digest.to_string()))
    }

    /// Stores a part; returns the number of rows and their digest.
    fn store(
        &self,
        receiving: &mut Transaction<'_>,
        table: &str,
        part: &[Row],
    ) -> Result<(i64, i128), ShardError> {
        let part: Vec<&str> = part.iter().map(|row| row.get(0)).collect();
        let reason = format!("in conflict with rows from {} in epoch {}", self.source, self.epoch);
        let row = if let [large] = part[..]
            && large.len() > PART_BYTES
        {
            send_in_slices(receiving, large)?;
            receiving.query_typed_one(
                "SELECT row_count, digest::text \
                 FROM ringshard.store_rows($1, ARRAY[pg_catalog.current_setting('ringshard.row')], $2)",
                &[(&table, Type::TEXT), (&reason, Type::TEXT)],
            )?
        } else {
            receiving.query_typed_one(
                "SELECT row_count, digest::text FROM ringshard.store_rows($1, $2, $3)",
                &[(&table, Type::TEXT), (&part, Type::TEXT_ARRAY), (&reason, Type::TEXT)],
            )?
        };
        let digest: &str = row.get(1);
        // A sum of at most 2^63 numbers of 64 bits.
        Ok((row.get(0), digest.parse().expect("a whole number of at most 127 bits")))
    }
}

/// Puts a large row together on the target, in a setting of its transaction: as a parameter it would be held here in three
/// buffers, each with room for twice as much.
fn send_in_slices(receiving: &mut Transaction<'_>, row: &str) -> Result<(), postgres::Error> {
    receiving.batch_execute("SET LOCAL ringshard.row = ''")?;
    let append = "SELECT FROM pg_catalog.set_config('ringshard.row', pg_catalog.current_setting('ringshard.row') || $1, true)";
    let mut rest = row;
    while !rest.is_empty() {
        let (slice, behind) = rest.split_at(rest.floor_char_boundary(PART_BYTES));
        receiving.query_typed(append, &[(&slice, Type::TEXT)])?;
        rest = behind;
    }
    Ok(())
}
