//! Stores the rows of the temporary table of an import, handling conflicts.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use postgres::Client;
use postgres::types::Type;

use super::OnConflict;
use super::batch::RowOrigin;
use super::store::{Store, Stored};
use crate::error::{Error, Kind};
use crate::model::names::ShardName;
use crate::model::user::UserId;
use crate::pg::net::sqlstate::ShardError;

/// Fails if a trigger or a rule of the user's own left out one of these rows of the stage, or stored it under another id.
const CHECK_STORED: &str = "SELECT ringshard.raise_other_row(pg_catalog.min(stage.user_id)) \
    FROM pg_temp.ringshard_stage AS stage \
    WHERE ringshard.has_user_triggers() AND stage.record >= $1 AND stage.record < $2 \
      AND NOT EXISTS (SELECT FROM public.users WHERE users.user_id = stage.user_id) \
    HAVING pg_catalog.count(*) > 0";

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
        let records = [(&records.start as _, Type::INT8), (&records.end as _, Type::INT8)];
        let mut inserted: HashSet<UserId> = ids(client.query_typed(sql, &records)?);
        client.query_typed(CHECK_STORED, &records)?;
        let mut stored = Stored { inserted: inserted.len() as u64, ..Stored::default() };
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
        let first = all.iter().find(|other| other.user_id == *id && other.record < origin.record);
        let message = match first {
            Some(first) => format!("{file}:{line}: user `{id}` is in line {} already", first.line),
            None => format!("{file}:{line}: user `{id}` exists already on shard `{shard}`"),
        };
        Error::new(Kind::Conflict, message)
            .hint(
                "--on-conflict skip keeps existing users, --on-conflict update sets the columns of the file",
            )
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
             ON CONFLICT (user_id) {action} RETURNING xmax::text = '0'"
        );
        let records = [(&records.start as _, Type::INT8), (&records.end as _, Type::INT8)];
        let rows = client.query_typed(&sql, &records)?;
        client.query_typed(CHECK_STORED, &records)?;
        let inserted = rows.iter().filter(|row| row.get(0)).count() as u64;
        let updated = rows.len() as u64 - inserted;
        Ok(Stored { inserted, updated, skipped: own.len() as u64 - inserted - updated, ..Stored::default() })
    }
}
