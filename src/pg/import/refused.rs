//! Rows that a server refuses: a constraint, a value that does not fit, a trigger that raises an error.
//!
//! A batch in which a row is refused is stored once more, in parts: a part with such a row is halved, until the row is
//! alone. The rows are refused before the commit, so an import that ends meanwhile meets them again.

use std::ops::Range;
use std::sync::Arc;

use postgres::Client;

use super::RefusedRow;
use super::batch::{RowBatch, RowOrigin};
use super::store::{COPY_TO_STAGE, Store, Stored, Task, copy};
use crate::error::{Error, Kind};
use crate::model::names::ShardName;
use crate::pg::net::session::only;
use crate::pg::net::sqlstate::{self, ShardError};
use crate::pg::pool::Server;

/// What a transaction in parts has done so far.
#[derive(Default)]
struct Parts {
    /// The `record` of the first row in the temporary table; those of the others follow.
    first_record: i64,
    stored: Stored,
    /// The places of refused rows, with the reasons.
    refused: Vec<(usize, String)>,
}

impl Store<'_> {
    /// Stores a batch without the rows that the server refuses, which the sink gets. Without a sink the first one is an
    /// error.
    pub(crate) fn without_refused(
        &self,
        client: &mut Client,
        server: &Arc<Server>,
        task: &Task<'_>,
    ) -> Result<Stored, ShardError> {
        Self::begin_staged(client, task)?;
        // What is checked at the commit by default is checked with each part.
        client.batch_execute("SET CONSTRAINTS ALL IMMEDIATE")?;
        let not_owned = self.not_owned(client, server, task)?;
        let own = task.batch.part(|origin| !not_owned.contains(&origin.user_id));
        let mut parts = Parts::default();
        if !own.is_empty() {
            copy(client, COPY_TO_STAGE, &own)?;
            client.batch_execute(
                "CREATE INDEX IF NOT EXISTS ringshard_stage_record ON pg_temp.ringshard_stage (record)",
            )?;
            let rows = client.query_typed("SELECT min(record) FROM pg_temp.ringshard_stage", &[])?;
            parts.first_record = only(rows, "read the stage", task.shard)?.get(0);
            self.store_part(client, task.shard, &own, 0..own.origins().len(), &mut parts)?;
        }
        let Parts { mut stored, refused, .. } = parts;
        if let Some(sink) = self.refused {
            for (at, why) in refused {
                sink(&RefusedRow { record: own.origins()[at].record, user: own.user(at), why })?;
                stored.has_refused = true;
            }
        }
        stored.not_owned = not_owned;
        self.end(client, task, &stored)?;
        Ok(stored)
    }

    /// Stores a part of the rows behind a savepoint; if the server refuses it, its two halves.
    fn store_part(
        &self,
        client: &mut Client,
        shard: &ShardName,
        own: &RowBatch,
        range: Range<usize>,
        parts: &mut Parts,
    ) -> Result<(), ShardError> {
        if self.shared.has_halted() {
            return Err(Error::new(Kind::Partial, "stopped").into());
        }
        client.batch_execute("SAVEPOINT ringshard_part")?;
        let record = |at: usize| parts.first_record + i64::try_from(at).expect("a batch is small");
        let records = record(range.start)..record(range.end);
        let rows: Vec<&RowOrigin> = own.origins()[range.clone()].iter().collect();
        let cause = match self.store_staged(client, shard, records, &rows, own.origins()) {
            Ok(stored) => {
                client.batch_execute("RELEASE SAVEPOINT ringshard_part")?;
                parts.stored.add(&stored);
                return Ok(());
            }
            Err(ShardError::Server(cause)) if sqlstate::is_refusal(&cause) => cause,
            Err(error) => return Err(error),
        };
        client.batch_execute("ROLLBACK TO SAVEPOINT ringshard_part; RELEASE SAVEPOINT ringshard_part")?;
        if range.len() > 1 {
            let middle = range.start + range.len() / 2;
            self.store_part(client, shard, own, range.start..middle, parts)?;
            return self.store_part(client, shard, own, middle..range.end, parts);
        }
        let error = self.refusal(shard, own, range.start, &cause);
        if self.refused.is_none() {
            return Err(error.into());
        }
        parts.refused.push((range.start, error.message().to_owned()));
        Ok(())
    }

    fn refusal(&self, shard: &ShardName, own: &RowBatch, at: usize, cause: &postgres::Error) -> Error {
        let origin = &own.origins()[at];
        let (file, line, id) = (&self.options.file, origin.line, origin.user_id);
        let text = sqlstate::message_of(cause).replace('\n', "; ");
        let kind = match sqlstate::doing("store a user", shard, cause).kind() {
            Kind::Conflict => Kind::Conflict,
            _ => Kind::BadInput,
        };
        Error::new(kind, format!("{file}:{line}: shard `{shard}` refuses user `{id}`: {text}"))
            .on_shard(shard)
    }
}
