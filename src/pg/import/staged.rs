//! Stores the rows of the temporary table of an import, handling conflicts.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use postgres::Client;
use postgres::types::Type;

use super::batch::RowOrigin;
use super::store::{Store, Stored};
use super::{Changed, OnConflict};
use crate::error::{Error, Kind};
use crate::model::names::ShardName;
use crate::model::user::UserId;
use crate::pg::net::session::Parameter;
use crate::pg::net::sqlstate::ShardError;

/// Whether `users` has triggers or rules of the user's own. Fails if one of them left out one of these rows of the stage, or
/// stored it under another id.
const CHECK_STORED: &str = "SELECT ringshard.has_user_triggers(), (\
        SELECT ringshard.raise_other_row(pg_catalog.min(stage.user_id)) FROM pg_temp.ringshard_stage AS stage \
        WHERE ringshard.has_user_triggers() AND stage.record >= $1 AND stage.record < $2 \
          AND NOT EXISTS (SELECT FROM public.users WHERE users.user_id = stage.user_id) \
        HAVING pg_catalog.count(*) > 0)";

impl Store<'_> {
    /// Stores the rows of the temporary table with these numbers, which are `own`. The batch has `all`.
    pub(crate) fn store_staged(
        &self,
        client: &mut Client,
        shard: &ShardName,
        records: Range<i64>,
        own: &[&RowOrigin],
        all: &[RowOrigin],
    ) -> Result<Stored, ShardError> {
        match self.options.on_conflict {
            OnConflict::Update => self.upsert(client, &records, own),
            OnConflict::Error | OnConflict::Skip => self.insert(client, shard, &records, own, all),
        }
    }

    fn insert(
        &self,
        client: &mut Client,
        shard: &ShardName,
        records: &Range<i64>,
        own: &[&RowOrigin],
        all: &[RowOrigin],
    ) -> Result<Stored, ShardError> {
        let sql = "INSERT INTO public.users (user_id, name, region, email) \
                   SELECT user_id, name, region, email FROM pg_temp.ringshard_stage \
                   WHERE record >= $1 AND record < $2 ORDER BY record \
                   ON CONFLICT (user_id) DO NOTHING RETURNING user_id";
        let ids = |rows: Vec<postgres::Row>| rows.iter().map(|row| UserId::new(row.get(0))).collect();
        let records: [Parameter<'_>; 2] = [(&records.start, Type::INT8), (&records.end, Type::INT8)];
        let mut inserted: HashSet<UserId> = ids(client.query_typed(sql, &records)?);
        let changed = self.changed_by_triggers(client, records, &inserted)?;
        let mut stored = Stored { inserted: inserted.len() as u64, changed, ..Stored::default() };
        // Of two rows with one id the first was inserted.
        let is_conflicting: Vec<&&RowOrigin> =
            own.iter().filter(|origin| !inserted.remove(&origin.user_id)).collect();
        if self.options.on_conflict == OnConflict::Skip {
            stored.skipped = is_conflicting.len() as u64;
            return Ok(stored);
        }
        let doubtful: Vec<i64> = is_conflicting
            .iter()
            .filter(|origin| origin.doubtful)
            .map(|origin| origin.user_id.number())
            .collect();
        let sql = "SELECT stage.user_id FROM pg_temp.ringshard_stage AS stage JOIN public.users USING (user_id) \
                   WHERE stage.user_id = ANY ($1) AND (stage.name, stage.region, stage.email) \
                         IS NOT DISTINCT FROM (users.name, users.region, users.email)";
        let equal: HashSet<UserId> = if doubtful.is_empty() {
            HashSet::new()
        } else {
            ids(client.query_typed(sql, &[(&doubtful, Type::INT8_ARRAY)])?)
        };
        // The second row with one id always conflicts, whatever an earlier run did.
        let mut firsts: HashMap<UserId, u64> = HashMap::new();
        for origin in all {
            firsts.entry(origin.user_id).or_insert(origin.record);
        }
        for origin in is_conflicting {
            let is_first = firsts.get(&origin.user_id) == Some(&origin.record);
            if !(is_first && origin.doubtful && equal.contains(&origin.user_id)) {
                return Err(self.conflict(shard, origin, all).into());
            }
            stored.resumed += 1;
        }
        Ok(stored)
    }

    fn conflict(&self, shard: &ShardName, origin: &RowOrigin, all: &[RowOrigin]) -> Error {
        let RowOrigin { user_id: id, line, .. } = origin;
        let file = &self.options.file;
        let typed = if file == "stdin" { "-" } else { file };
        let first = all.iter().find(|other| other.user_id == *id && other.record < origin.record);
        let message = match first {
            Some(first) => format!("{file}:{line}: user `{id}` is in line {} already", first.line),
            None => format!("{file}:{line}: user `{id}` exists already on shard `{shard}`"),
        };
        Error::new(Kind::Conflict, message)
            .hint(format!(
                "ringshard import {typed} --on-conflict skip keeps existing users, --on-conflict update sets the columns of \
                 the file"
            ))
            .on_shard(shard)
    }

    fn upsert(
        &self,
        client: &mut Client,
        records: &Range<i64>,
        own: &[&RowOrigin],
    ) -> Result<Stored, ShardError> {
        let columns = ["name", "region", "email"].into_iter().zip(self.options.has);
        let set: Vec<String> = columns
            .filter(|(_, has)| *has)
            .map(|(column, _)| format!("{column} = excluded.{column}"))
            .collect();
        let action = if set.is_empty() {
            "DO NOTHING".to_owned()
        } else {
            format!("DO UPDATE SET {}", set.join(", "))
        };
        // Of two rows with one id the last counts.
        let sql = format!(
            "INSERT INTO public.users (user_id, name, region, email) \
             SELECT DISTINCT ON (user_id) user_id, name, region, email \
             FROM pg_temp.ringshard_stage WHERE record >= $1 AND record < $2 ORDER BY user_id, record DESC \
             ON CONFLICT (user_id) {action} RETURNING user_id, xmax::text = '0'"
        );
        let records: [Parameter<'_>; 2] = [(&records.start, Type::INT8), (&records.end, Type::INT8)];
        let rows = client.query_typed(&sql, &records)?;
        let written = rows.iter().map(|row| UserId::new(row.get(0))).collect();
        let changed = self.changed_by_triggers(client, records, &written)?;
        let inserted = rows.iter().filter(|row| row.get(1)).count() as u64;
        let updated = rows.len() as u64 - inserted;
        let skipped = own.len() as u64 - inserted - updated;
        Ok(Stored { inserted, updated, skipped, changed, ..Stored::default() })
    }

    /// The users among `written`, from these rows of the stage, that a trigger of the user's own stored with other values. Fails
    /// if one left out a row, or stored it under another id. A table without triggers costs no more than the question.
    fn changed_by_triggers(
        &self,
        client: &mut Client,
        [first, end]: [Parameter<'_>; 2],
        written: &HashSet<UserId>,
    ) -> Result<Changed, ShardError> {
        let has_triggers = client.query_typed_one(CHECK_STORED, &[first.clone(), end.clone()])?;
        if !has_triggers.get::<_, bool>(0) {
            return Ok(Changed::default());
        }
        let written: Vec<i64> = written.iter().map(|id| id.number()).collect();
        let last_counts = self.options.on_conflict == OnConflict::Update;
        let [name, region, email] = self.options.has;
        let changed = client.query_typed_one(
            include_str!("../../../sql/queries/changed_in_stage.sql"),
            &[
                first,
                end,
                (&written, Type::INT8_ARRAY),
                (&last_counts, Type::BOOL),
                (&name, Type::BOOL),
                (&region, Type::BOOL),
                (&email, Type::BOOL),
            ],
        )?;
        let users: i64 = changed.get(0);
        let example = changed.get::<_, Option<i64>>(1).map(UserId::new);
        Ok(Changed { users: users.unsigned_abs(), example })
    }
}
