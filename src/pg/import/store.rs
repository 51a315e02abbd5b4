//! Stores a batch: first the rows, then the proof that the shard owns them, then the commit.
//!
//! Rows are sent before the barrier is taken. The arcs are read after it, in a separate statement, as an older snapshot would
//! not see what the barrier waited for. Rows of arcs that the shard does not own any more are deleted again in the same
//! transaction, and stored on their new owner.

use crate::pg::net::advisory_lock::BARRIER;
use crate::pg::scan::snapshot;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;
use postgres::error::SqlState;
use postgres::types::Type;

use super::batch::{RowBatch, RowOrigin};
use super::checkpoint::{self, Checkpoint, DONE, MIXED};
use super::{ImportOptions, ImportShared, OnConflict, checkpoint_after};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::ring::arc::ShardArc;
use crate::model::ring::position::Position;
use crate::model::user::UserId;
use crate::pg::cluster::Cluster;
use crate::pg::net::session::only;
use crate::pg::net::sqlstate::{self, ShardError};
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::pool::{PooledSession, Server};
use crate::pg::scan::snapshot::held_of;
use crate::threads;

/// How long rows wait for arcs that are being moved.
const MOVE_PATIENCE: Duration = Duration::from_mins(1);
/// The pause before the next try.
const MOVE_PAUSE: Duration = Duration::from_millis(20);

/// What all workers need.
pub(crate) struct Store<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) shared: &'a ImportShared,
    pub(crate) options: &'a ImportOptions,
    pub(crate) fingerprint: &'a str,
}

/// The result for a batch's rows.
#[derive(Default)]
struct Stored {
    inserted: u64,
    updated: u64,
    skipped: u64,
    /// Rows that an earlier run had stored.
    resumed: u64,
    /// Users that the shard does not own.
    not_owned: HashSet<UserId>,
}

/// The transaction of a batch: shard, rows and checkpoint.
struct Task<'a> {
    shard: &'a ShardName,
    batch: &'a RowBatch,
    /// The checkpoints before and after; `None` for rows that another shard's checkpoint is about.
    checkpoints: Option<(Option<&'a Checkpoint>, &'a Checkpoint)>,
}

impl Store<'_> {
    /// Stores a batch on its shard, and rows that the shard does not own on their owners. `staged`: use the temporary table at
    /// once, as there were conflicts before.
    pub(crate) fn batch(
        &self,
        shard: &ShardName,
        session: &mut PooledSession,
        batch: &RowBatch,
        checkpoint: &mut Option<Checkpoint>,
        staged: &mut bool,
    ) -> Result<()> {
        let after = checkpoint_after(self.shared, self.fingerprint, checkpoint.as_ref(), batch);
        let not_owned = self.attempt(
            session,
            &Task { shard, batch, checkpoints: Some((checkpoint.as_ref(), &after)) },
            staged,
        )?;
        *checkpoint = Some(after);
        if not_owned.is_empty() {
            Ok(())
        } else {
            self.store_on_owners(batch.part(|origin| not_owned.contains(&origin.user_id)))
        }
    }

    /// Stores rows on their current owners, until all are stored or the import is to stop. No checkpoint covers these rows yet.
    fn store_on_owners(&self, mut left: RowBatch) -> Result<()> {
        let begun = Instant::now();
        while !left.is_empty() && !self.shared.has_halted() {
            let coverage = {
                let _turn = self.shared.settling.lock();
                snapshot::open(self.cluster, ReadIntent::Primary, false)?.coverage
            };
            // A fenced range accepts no writes until its target has received it.
            let owner = |origin: &RowOrigin| {
                let route = coverage.route(Position::of_user(origin.user_id));
                route.filter(|route| route.owned).map(|route| route.shard.clone())
            };
            let owners: BTreeMap<UserId, Option<ShardName>> =
                left.origins().iter().map(|origin| (origin.user_id, owner(origin))).collect();
            let mut unsettled: HashSet<UserId> =
                owners.iter().filter(|(_, owner)| owner.is_none()).map(|(id, _)| *id).collect();
            let shards: HashSet<&ShardName> = owners.values().flatten().collect();
            for shard in shards {
                let part = left.part(|origin| owners[&origin.user_id].as_ref() == Some(shard));
                let mut session = self.cluster.shards().checkout(shard)?;
                // Not reused, as it may get a temporary table.
                session.spoil();
                unsettled.extend(self.attempt(
                    &mut session,
                    &Task { shard, batch: &part, checkpoints: None },
                    &mut true,
                )?);
            }
            self.shared.reroute(coverage);
            left = left.part(|origin| unsettled.contains(&origin.user_id));
            if let Some(origin) = left.origins().first() {
                if begun.elapsed() > MOVE_PATIENCE {
                    let message = format!(
                        "{}:{}: user `{}` is being moved to another shard, and the move does not finish",
                        self.options.file, origin.line, origin.user_id
                    );
                    return Err(Error::new(Kind::Locked, message)
                        .hint("run this again with the same file to continue"));
                }
                thread::sleep(MOVE_PAUSE);
            }
        }
        Ok(())
    }

    /// One transaction on one shard; after a conflict a second one, with the temporary table. Returns the users that the shard
    /// does not own.
    fn attempt(
        &self,
        session: &mut PooledSession,
        task: &Task<'_>,
        staged: &mut bool,
    ) -> Result<HashSet<UserId>> {
        let server = Arc::clone(session.server());
        let is_own = session.has_own_backend().map_err(|cause| self.failed(task, &cause))?;
        let client = session.client();
        let mut stored = Err(ShardError::Local(Error::new(Kind::Failed, "not tried")));
        let doubtful = task.batch.origins().iter().any(|origin| origin.doubtful);
        let try_direct = !*staged && !doubtful;
        if try_direct {
            stored = self.directly(client, &server, task);
        }
        let is_conflicting = matches!(&stored, Err(ShardError::Server(cause)) if cause.code() == Some(&SqlState::UNIQUE_VIOLATION));
        if !try_direct || is_conflicting {
            if is_conflicting {
                client.batch_execute("ROLLBACK").map_err(|cause| self.failed(task, &cause))?;
                *staged = self.options.on_conflict != OnConflict::Error;
            }
            stored = self.through_stage(client, &server, task, is_own);
        }
        let stored = stored.map_err(|first_error| {
            // This fails on a lost connection, which is rolled back by the server.
            let _ = client.batch_execute("ROLLBACK");
            match first_error {
                ShardError::Server(cause) => self.failed(task, &cause),
                ShardError::Local(error) => error,
            }
        })?;
        let counts = &self.shared.counts;
        for (count, number) in [
            (&counts.inserted, stored.inserted),
            (&counts.updated, stored.updated),
            (&counts.skipped, stored.skipped),
            (&counts.resumed, stored.resumed),
        ] {
            let _: u64 = AtomicU64::fetch_add(count, number, Ordering::SeqCst);
        }
        Ok(stored.not_owned)
    }

    fn failed(&self, task: &Task<'_>, cause: &postgres::Error) -> Error {
        let origins = task.batch.origins();
        let lines =
            origins.first().map_or(0, |origin| origin.line)..=origins.last().map_or(0, |origin| origin.line);
        let what = format!("import lines {} to {} of `{}`", lines.start(), lines.end(), self.options.file);
        let error = sqlstate::doing(&what, task.shard, cause);
        if sqlstate::is_lost(cause) {
            return error.hint("once the shard answers, run this again with the same file to continue");
        }
        error
    }

    /// Stores with COPY into the table itself.
    fn directly(
        &self,
        client: &mut Client,
        server: &Arc<Server>,
        task: &Task<'_>,
    ) -> Result<Stored, ShardError> {
        Self::begin(client, task)?;
        copy(
            client,
            "COPY public.users (user_id, name, region, email) FROM STDIN (FORMAT binary)",
            task.batch,
        )?;
        let not_owned = self.not_owned(client, server, task)?;
        if !not_owned.is_empty() {
            let ids: Vec<i64> = not_owned.iter().map(|id| id.number()).collect();
            let sql = "DELETE FROM public.users WHERE user_id = ANY ($1)";
            client.query_typed(sql, &[(&ids, Type::INT8_ARRAY)])?;
        }
        self.end(client, task, not_owned.is_empty())?;
        let inserted =
            task.batch.origins().iter().filter(|origin| !not_owned.contains(&origin.user_id)).count() as u64;
        Ok(Stored { inserted, not_owned, ..Stored::default() })
    }

    /// Stores with COPY into a temporary table, and from there into the table, handling conflicts.
    fn through_stage(
        &self,
        client: &mut Client,
        server: &Arc<Server>,
        task: &Task<'_>,
        has_own_backend: bool,
    ) -> Result<Stored, ShardError> {
        Self::begin(client, task)?;
        let stage = include_str!("../../../sql/queries/stage.sql");
        if has_own_backend {
            client.batch_execute(stage)?;
        } else {
            // Through a pooler others would meet the table.
            client.batch_execute(&stage.replace("ON COMMIT DELETE ROWS", "ON COMMIT DROP"))?;
        }
        let stage = "COPY pg_temp.ringshard_stage (user_id, name, region, email) FROM STDIN (FORMAT binary)";
        copy(client, stage, task.batch)?;
        let not_owned = self.not_owned(client, server, task)?;
        if !not_owned.is_empty() {
            let ids: Vec<i64> = not_owned.iter().map(|id| id.number()).collect();
            let sql = "DELETE FROM pg_temp.ringshard_stage WHERE user_id = ANY ($1)";
            client.query_typed(sql, &[(&ids, Type::INT8_ARRAY)])?;
        }
        let own: Vec<&RowOrigin> =
            task.batch.origins().iter().filter(|origin| !not_owned.contains(&origin.user_id)).collect();
        let mut stored = match self.options.on_conflict {
            OnConflict::Update => self.upsert(client, &own)?,
            OnConflict::Error | OnConflict::Skip => self.insert(client, task.shard, &own)?,
        };
        self.end(client, task, not_owned.is_empty())?;
        stored.not_owned = not_owned;
        Ok(stored)
    }

    fn insert(
        &self,
        client: &mut Client,
        shard: &ShardName,
        own: &[&RowOrigin],
    ) -> Result<Stored, ShardError> {
        let sql = "INSERT INTO public.users (user_id, name, region, email) \
                   SELECT user_id, name, region, email FROM pg_temp.ringshard_stage ORDER BY record \
                   ON CONFLICT (user_id) DO NOTHING RETURNING user_id";
        let ids = |rows: Vec<postgres::Row>| rows.iter().map(|row| UserId::new(row.get(0))).collect();
        let mut inserted: HashSet<UserId> = ids(client.query_typed(sql, &[])?);
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
        for origin in own {
            firsts.entry(origin.user_id).or_insert(origin.record);
        }
        for origin in is_conflicting {
            let is_first = firsts.get(&origin.user_id) == Some(&origin.record);
            if !(is_first && origin.doubtful && equal.contains(&origin.user_id)) {
                return Err(self.conflict(shard, origin, own).into());
            }
            stored.resumed += 1;
        }
        Ok(stored)
    }

    fn conflict(&self, shard: &ShardName, origin: &RowOrigin, own: &[&RowOrigin]) -> Error {
        let RowOrigin { user_id: id, line, .. } = origin;
        let file = &self.options.file;
        let first = own.iter().find(|other| other.user_id == *id && other.record < origin.record);
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

    fn upsert(&self, client: &mut Client, own: &[&RowOrigin]) -> Result<Stored, ShardError> {
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
             FROM pg_temp.ringshard_stage ORDER BY user_id, record DESC \
             ON CONFLICT (user_id) {action} RETURNING xmax::text = '0'"
        );
        let rows = client.query_typed(&sql, &[])?;
        let inserted = rows.iter().filter(|row| row.get(0)).count() as u64;
        let updated = rows.len() as u64 - inserted;
        Ok(Stored { inserted, updated, skipped: own.len() as u64 - inserted - updated, ..Stored::default() })
    }

    fn begin(client: &mut Client, task: &Task<'_>) -> Result<(), postgres::Error> {
        // A row that another shard's checkpoint covers must be on disk before that checkpoint.
        let synchronous = if task.checkpoints.is_some() { "off" } else { "on" };
        client.batch_execute(&format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL client_min_messages = warning; SET LOCAL row_security = off; \
             SET LOCAL ringshard.guard = 'checked'; SET LOCAL synchronous_commit = {synchronous}"
        ))
    }

    /// Takes the barrier, held to commit, and then reads the arcs. Returns the users that the shard does not own.
    fn not_owned(
        &self,
        client: &mut Client,
        server: &Arc<Server>,
        task: &Task<'_>,
    ) -> Result<HashSet<UserId>, ShardError> {
        let barrier = "SELECT pg_catalog.pg_advisory_xact_lock_shared($1)";
        client.query_typed(barrier, &[(&BARRIER, Type::INT8)])?;
        let rows = client.query_typed(include_str!("../../../sql/queries/snapshot.sql"), &[])?;
        let row = only(rows, "read the arcs", task.shard)?;
        self.cluster.check_row(task.shard, &row)?;
        let held = held_of(&row, task.shard)?;
        if self.cluster.is_suspect(server, held.epoch) {
            self.cluster.refresh()?;
        }
        if !self.cluster.shards().is_current(server) {
            // The shard has another primary, which must get these rows.
            return Ok(task.batch.origins().iter().map(|origin| origin.user_id).collect());
        }
        let routing = task.batch.routing.as_ref();
        if routing.is_some_and(|routing| routing.is_owned_by(task.shard, &held.arcs)) {
            return Ok(HashSet::new());
        }
        let owned: Vec<&ShardArc> = held.arcs.iter().filter(|held| held.is_owned()).collect();
        let is_owned = |position: Position| {
            let at = owned.partition_point(|held| held.arc.last() < position);
            owned.get(at).is_some_and(|held| held.arc.contains(position))
        };
        let ids = task.batch.origins().iter().map(|origin| origin.user_id);
        Ok(ids.filter(|id| !is_owned(Position::of_user(*id))).collect())
    }

    /// Writes the checkpoint, and commits.
    fn end(&self, client: &mut Client, task: &Task<'_>, is_complete: bool) -> Result<(), ShardError> {
        if let Some((before, after)) = task.checkpoints {
            if is_complete {
                checkpoint::write(client, self.options.source, after)?;
            } else {
                // Some rows still go to other shards, so the checkpoint must not cover this batch yet.
                self.shared.mixed.store(true, Ordering::SeqCst);
                let (committed_through, digest) =
                    before.map_or((0, 0), |checkpoint| (checkpoint.committed_through, checkpoint.digest));
                // On disk before the other rows are stored elsewhere, as it covers them too.
                client.batch_execute("SET LOCAL synchronous_commit = on")?;
                let part = Checkpoint {
                    committed_through,
                    digest,
                    high_water_mark: after.high_water_mark,
                    routing: MIXED.to_owned(),
                };
                checkpoint::write(client, self.options.source, &part)?;
            }
        }
        Ok(client.batch_execute("COMMIT")?)
    }

    /// All rows are stored: flushes each shard to disk, and then deletes the checkpoints. If a deletion fails, the import has
    /// succeeded all the same; returns these errors.
    pub(crate) fn finish(
        &self,
        sessions: &mut [(ShardName, PooledSession)],
        records: u64,
        digest: i64,
    ) -> Result<Vec<Error>> {
        let source = self.options.source;
        let mixed = self.shared.mixed.load(Ordering::SeqCst);
        let routing = if mixed { MIXED } else { self.fingerprint }.to_owned();
        let all = Checkpoint { committed_through: records, high_water_mark: records, digest, routing };
        let done = Checkpoint {
            committed_through: records,
            high_water_mark: records,
            digest,
            routing: DONE.to_owned(),
        };
        let all_ok = |results: Vec<Result<()>>| results.into_iter().collect::<Result<()>>();
        // First each shard's own checkpoint: `DONE` holds for all shards, so all must be on disk before it.
        all_ok(on_disk(sessions, &|client| checkpoint::write(client, source, &all)))?;
        all_ok(on_disk(sessions, &|client| checkpoint::write(client, source, &done)))?;
        let deleted = on_disk(sessions, &|client| checkpoint::delete(client, source));
        Ok(deleted.into_iter().filter_map(Result::err).collect())
    }
}

/// Runs a step on each shard in parallel, in a transaction that waits for the disk.
fn on_disk(
    sessions: &mut [(ShardName, PooledSession)],
    step: &(dyn Fn(&mut Client) -> Result<(), postgres::Error> + Sync),
) -> Vec<Result<()>> {
    threads::at_once(sessions, |(shard, session)| {
        let client = session.client();
        let ended = client
            .batch_execute("BEGIN READ WRITE; SET LOCAL synchronous_commit = on")
            .and_then(|()| step(client))
            .and_then(|()| client.batch_execute("COMMIT"));
        ended.map_err(|cause| {
            let error = sqlstate::doing("finish the import", shard, &cause);
            error.hint("run this again with the same file to continue")
        })
    })
}

/// Sends a batch.
fn copy(client: &mut Client, sql: &str, batch: &RowBatch) -> Result<(), postgres::Error> {
    let mut writer = client.copy_in(sql)?;
    for piece in batch.copy_data() {
        if let Err(cause) = writer.write_all(piece) {
            return Err(of_server(cause)
                .unwrap_or_else(|| unreachable!("the writer fails only with what the server by_shard")));
        }
    }
    writer.finish().map(|_| ())
}

/// The server's error within one of a writer.
fn of_server(cause: io::Error) -> Option<postgres::Error> {
    cause.into_inner()?.downcast::<postgres::Error>().ok().map(|inner| *inner)
}
