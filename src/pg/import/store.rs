//! Storing a batch: rows first, then the proof that the shard owns them, then commit.
//!
//! Rows are sent before the barrier is taken, and the arcs are looked at behind it, in a statement of their own
//! (an older snapshot would not see what the barrier waited for). Rows of arcs that are no longer owned are taken
//! out again in the same transaction and go to their new owner.

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
use super::checkpoint;
use super::checkpoint::{Checkpoint, DONE, MIXED};
use super::{ImportOptions, ImportShared, OnConflict, known_after};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::ring::arc::ShardArc;
use crate::model::ring::position::Position;
use crate::model::user::UserId;
use crate::pg::cluster::Cluster;
use crate::pg::net::session::only;
use crate::pg::net::sqlstate;
use crate::pg::net::sqlstate::ShardError;
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::pool::{PooledSession, Server};
use crate::pg::scan::snapshot::held_of;
use crate::threads;

/// How long rows wait for arcs that are on their way to another shard.
const MOVE_PATIENCE: Duration = Duration::from_mins(1);
/// The pause before they are tried again.
const MOVE_PAUSE: Duration = Duration::from_millis(20);

/// What all workers store with.
pub(crate) struct Store<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) shared: &'a ImportShared,
    pub(crate) options: &'a ImportOptions,
    pub(crate) fingerprint: &'a str,
}

/// What became of a batch's rows.
#[derive(Default)]
struct Stored {
    inserted: u64,
    updated: u64,
    skipped: u64,
    /// Rows that an earlier run had stored.
    resumed: u64,
    /// Users that the shard does not own any more.
    left: HashSet<UserId>,
}

/// A batch's transaction: who stores what, and what the shard writes down about it.
struct Task<'a> {
    shard: &'a ShardName,
    batch: &'a RowBatch,
    /// What the shard knows of the file before and after; `None` for rows that another shard answers for.
    word: Option<(Option<&'a Checkpoint>, &'a Checkpoint)>,
}

impl Store<'_> {
    /// Stores a batch on its shard, and what the shard does not own any more on whoever does. `staged`: rows
    /// go through a temporary table at once, as there were conflicts before.
    pub(crate) fn batch(
        &self,
        shard: &ShardName,
        session: &mut PooledSession,
        batch: &RowBatch,
        known: &mut Option<Checkpoint>,
        staged: &mut bool,
    ) -> Result<()> {
        let after = known_after(self.shared, self.fingerprint, known.as_ref(), batch);
        let left =
            self.attempt(session, &Task { shard, batch, word: Some((known.as_ref(), &after)) }, staged)?;
        *known = Some(after);
        if left.is_empty() { Ok(()) } else { self.settle(batch.part(|place| left.contains(&place.user_id))) }
    }

    /// Finds the owners of rows anew until all are stored, or until the import is to stop: no shard's word says yet
    /// that these are in.
    fn settle(&self, mut left: RowBatch) -> Result<()> {
        let begun = Instant::now();
        while !left.is_empty() && !self.shared.has_halted() {
            let coverage = {
                let _turn = self.shared.settling.lock();
                snapshot::open(self.cluster, ReadIntent::Primary, false)?.coverage
            };
            // Fenced: nobody may write there until the other shard has taken over.
            let owner = |place: &RowOrigin| {
                let route = coverage.route(Position::of_user(place.user_id));
                route.filter(|route| route.owned).map(|route| route.shard.clone())
            };
            let owners: BTreeMap<UserId, Option<ShardName>> =
                left.places().iter().map(|place| (place.user_id, owner(place))).collect();
            let mut unsettled: HashSet<UserId> =
                owners.iter().filter(|(_, owner)| owner.is_none()).map(|(id, _)| *id).collect();
            let shards: HashSet<&ShardName> = owners.values().flatten().collect();
            for shard in shards {
                let part = left.part(|place| owners[&place.user_id].as_ref() == Some(shard));
                let mut session = self.cluster.shards().checkout(shard)?;
                // It may get a temporary table.
                session.spoil();
                unsettled.extend(self.attempt(
                    &mut session,
                    &Task { shard, batch: &part, word: None },
                    &mut true,
                )?);
            }
            self.shared.reroute(coverage);
            left = left.part(|place| unsettled.contains(&place.user_id));
            if let Some(place) = left.places().first() {
                if begun.elapsed() > MOVE_PATIENCE {
                    let message = format!(
                        "{}:{}: user `{}` is being moved to another shard, and that does not end",
                        self.options.file, place.line, place.user_id
                    );
                    return Err(Error::new(Kind::Locked, message)
                        .hint("run this again with the same file: it goes on"));
                }
                thread::sleep(MOVE_PAUSE);
            }
        }
        Ok(())
    }

    /// One transaction on one shard, or two: if rows are in each other's way, again through a temporary table.
    /// The users that are not the shard's any more.
    fn attempt(
        &self,
        session: &mut PooledSession,
        task: &Task<'_>,
        staged: &mut bool,
    ) -> Result<HashSet<UserId>> {
        let server = Arc::clone(session.server());
        let client = session.client();
        let mut stored = Err(ShardError::Ours(Error::new(Kind::Failed, "not tried yet")));
        let doubtful = task.batch.places().iter().any(|place| place.doubtful);
        let try_direct = !*staged && !doubtful;
        if try_direct {
            stored = self.directly(client, &server, task);
        }
        let in_the_way = matches!(&stored, Err(ShardError::Server(cause)) if cause.code() == Some(&SqlState::UNIQUE_VIOLATION));
        if !try_direct || in_the_way {
            if in_the_way {
                client.batch_execute("ROLLBACK").map_err(|cause| self.failed(task, &cause))?;
                *staged = self.options.on_conflict != OnConflict::Error;
            }
            stored = self.through_a_table(client, &server, task);
        }
        let stored = stored.map_err(|trouble| {
            // A lost connection has rolled back by itself.
            let _ = client.batch_execute("ROLLBACK");
            match trouble {
                ShardError::Server(cause) => self.failed(task, &cause),
                ShardError::Ours(error) => error,
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
        Ok(stored.left)
    }

    fn failed(&self, task: &Task<'_>, cause: &postgres::Error) -> Error {
        let places = task.batch.places();
        let lines =
            places.first().map_or(0, |place| place.line)..=places.last().map_or(0, |place| place.line);
        let what = format!("import lines {} to {} of `{}`", lines.start(), lines.end(), self.options.file);
        let error = sqlstate::doing(&what, task.shard, cause);
        if sqlstate::is_lost(cause) {
            return error.hint("once the shard answers, run this again with the same file: it goes on");
        }
        error
    }

    /// Into the table itself.
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
        let left = self.not_owned(client, server, task)?;
        if !left.is_empty() {
            let ids: Vec<i64> = left.iter().map(|id| id.number()).collect();
            let sql = "DELETE FROM public.users WHERE user_id = ANY ($1)";
            client.query_typed(sql, &[(&ids, Type::INT8_ARRAY)])?;
        }
        self.end(client, task, left.is_empty())?;
        let inserted =
            task.batch.places().iter().filter(|place| !left.contains(&place.user_id)).count() as u64;
        Ok(Stored { inserted, left, ..Stored::default() })
    }

    /// Into a temporary table, and from there into the table, with an eye on what is there already.
    fn through_a_table(
        &self,
        client: &mut Client,
        server: &Arc<Server>,
        task: &Task<'_>,
    ) -> Result<Stored, ShardError> {
        Self::begin(client, task)?;
        client.batch_execute(include_str!("../../../sql/queries/stage.sql"))?;
        let stage = "COPY pg_temp.ringshard_stage (user_id, name, region, email) FROM STDIN (FORMAT binary)";
        copy(client, stage, task.batch)?;
        let left = self.not_owned(client, server, task)?;
        if !left.is_empty() {
            let ids: Vec<i64> = left.iter().map(|id| id.number()).collect();
            let sql = "DELETE FROM pg_temp.ringshard_stage WHERE user_id = ANY ($1)";
            client.query_typed(sql, &[(&ids, Type::INT8_ARRAY)])?;
        }
        let mine: Vec<&RowOrigin> =
            task.batch.places().iter().filter(|place| !left.contains(&place.user_id)).collect();
        let mut stored = match self.options.on_conflict {
            OnConflict::Update => self.upsert(client, &mine)?,
            OnConflict::Error | OnConflict::Skip => self.insert(client, task.shard, &mine)?,
        };
        self.end(client, task, left.is_empty())?;
        stored.left = left;
        Ok(stored)
    }

    fn insert(
        &self,
        client: &mut Client,
        shard: &ShardName,
        mine: &[&RowOrigin],
    ) -> Result<Stored, ShardError> {
        let sql = "INSERT INTO public.users (user_id, name, region, email) \
                   SELECT user_id, name, region, email FROM pg_temp.ringshard_stage ORDER BY record \
                   ON CONFLICT (user_id) DO NOTHING RETURNING user_id";
        let ids = |rows: Vec<postgres::Row>| rows.iter().map(|row| UserId::new(row.get(0))).collect();
        let mut inserted: HashSet<UserId> = ids(client.query_typed(sql, &[])?);
        let mut stored = Stored { inserted: inserted.len() as u64, ..Stored::default() };
        // Of two rows of one user the first was inserted.
        let in_the_way: Vec<&&RowOrigin> =
            mine.iter().filter(|place| !inserted.remove(&place.user_id)).collect();
        if self.options.on_conflict == OnConflict::Skip {
            stored.skipped = in_the_way.len() as u64;
            return Ok(stored);
        }
        let doubtful: Vec<i64> =
            in_the_way.iter().filter(|place| place.doubtful).map(|place| place.user_id.number()).collect();
        let sql = "SELECT stage.user_id FROM pg_temp.ringshard_stage AS stage JOIN public.users USING (user_id) \
                   WHERE stage.user_id = ANY ($1) AND (stage.name, stage.region, stage.email) \
                         IS NOT DISTINCT FROM (users.name, users.region, users.email)";
        let equal: HashSet<UserId> = if doubtful.is_empty() {
            HashSet::new()
        } else {
            ids(client.query_typed(sql, &[(&doubtful, Type::INT8_ARRAY)])?)
        };
        // The second row of one user is in the way of the first, whatever an earlier run did.
        let mut firsts: HashMap<UserId, u64> = HashMap::new();
        for place in mine {
            firsts.entry(place.user_id).or_insert(place.record);
        }
        for place in in_the_way {
            let is_first = firsts.get(&place.user_id) == Some(&place.record);
            if !(is_first && place.doubtful && equal.contains(&place.user_id)) {
                return Err(self.conflict(shard, place, mine).into());
            }
            stored.resumed += 1;
        }
        Ok(stored)
    }

    fn conflict(&self, shard: &ShardName, place: &RowOrigin, mine: &[&RowOrigin]) -> Error {
        let RowOrigin { user_id: id, line, .. } = place;
        let file = &self.options.file;
        let first = mine.iter().find(|other| other.user_id == *id && other.record < place.record);
        let message = match first {
            Some(first) => format!("{file}:{line}: user `{id}` stands in line {} already", first.line),
            None => format!("{file}:{line}: user `{id}` exists already on shard `{shard}`"),
        };
        Error::new(Kind::Conflict, message)
            .hint("--on-conflict skip leaves users as they are, --on-conflict update sets the columns of the file")
            .on_shard(shard)
    }

    fn upsert(&self, client: &mut Client, mine: &[&RowOrigin]) -> Result<Stored, ShardError> {
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
        // Of two rows of one user the last counts.
        let sql = format!(
            "INSERT INTO public.users (user_id, name, region, email) \
             SELECT DISTINCT ON (user_id) user_id, name, region, email \
             FROM pg_temp.ringshard_stage ORDER BY user_id, record DESC \
             ON CONFLICT (user_id) {action} RETURNING xmax::text = '0'"
        );
        let rows = client.query_typed(&sql, &[])?;
        let inserted = rows.iter().filter(|row| row.get(0)).count() as u64;
        let updated = rows.len() as u64 - inserted;
        Ok(Stored { inserted, updated, skipped: mine.len() as u64 - inserted - updated, ..Stored::default() })
    }

    fn begin(client: &mut Client, task: &Task<'_>) -> Result<(), postgres::Error> {
        // A row that another shard answers for is on disk before that shard says that it is in.
        let synchronous = if task.word.is_some() { "off" } else { "on" };
        client.batch_execute(&format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL client_min_messages = warning; \
             SET LOCAL ringshard.guard = 'checked'; SET LOCAL synchronous_commit = {synchronous}"
        ))
    }

    /// Takes the barrier, held to commit, and then looks at the arcs: whose rows are not owned here any more.
    fn not_owned(
        &self,
        client: &mut Client,
        server: &Arc<Server>,
        task: &Task<'_>,
    ) -> Result<HashSet<UserId>, ShardError> {
        client.batch_execute("SELECT pg_catalog.pg_advisory_xact_lock_shared(7283001)")?;
        let rows = client.query_typed(include_str!("../../../sql/queries/snapshot.sql"), &[])?;
        let row = only(rows, "read the arcs", task.shard)?;
        self.cluster.check_row(task.shard, &row)?;
        let held = held_of(&row, task.shard)?;
        if self.cluster.is_suspect(server, held.epoch) {
            self.cluster.refresh()?;
        }
        if !self.cluster.shards().is_current(server) {
            // The shard is somewhere else by now: these go there.
            return Ok(task.batch.places().iter().map(|place| place.user_id).collect());
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
        let ids = task.batch.places().iter().map(|place| place.user_id);
        Ok(ids.filter(|id| !is_owned(Position::of_user(*id))).collect())
    }

    /// Writes down how far the shard has the file, and commits.
    fn end(&self, client: &mut Client, task: &Task<'_>, is_whole: bool) -> Result<(), ShardError> {
        if let Some((before, after)) = task.word {
            if is_whole {
                checkpoint::write(client, self.options.source, after)?;
            } else {
                // The rest is still to be settled: no word yet about records that may not be in.
                self.shared.mixed.store(true, Ordering::SeqCst);
                let (records, digest) = before.map_or((0, 0), |known| (known.records, known.digest));
                // On disk before the rest is stored elsewhere, which it vouches for.
                client.batch_execute("SET LOCAL synchronous_commit = on")?;
                let part = Checkpoint { records, digest, high: after.high, routing: MIXED.to_owned() };
                checkpoint::write(client, self.options.source, &part)?;
            }
        }
        Ok(client.batch_execute("COMMIT")?)
    }

    /// All is in: flushes each shard, so that all of it is on disk, and then forgets the import on each. A shard
    /// that could not be told to forget is no failure by then: nobody knows whether it did.
    pub(crate) fn finish(
        &self,
        sessions: &mut [(ShardName, PooledSession)],
        records: u64,
        digest: i64,
    ) -> Result<Vec<Error>> {
        let source = self.options.source;
        let mixed = self.shared.mixed.load(Ordering::SeqCst);
        let routing = if mixed { MIXED } else { self.fingerprint }.to_owned();
        let all = Checkpoint { records, high: records, digest, routing };
        let done = Checkpoint { records, high: records, digest, routing: DONE.to_owned() };
        let on_all = |results: Vec<Result<()>>| results.into_iter().collect::<Result<()>>();
        // First each for itself: a shard that says `done` vouches for all, so all must be on disk by then.
        on_all(on_disk(sessions, &|client| checkpoint::write(client, source, &all)))?;
        on_all(on_disk(sessions, &|client| checkpoint::write(client, source, &done)))?;
        let forgotten = on_disk(sessions, &|client| checkpoint::forget(client, source));
        Ok(forgotten.into_iter().filter_map(Result::err).collect())
    }
}

/// Takes a step on each shard at once, in a transaction that waits for the disk.
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
            error.hint("run this again with the same file: it goes on")
        })
    })
}

/// Sends a batch.
fn copy(client: &mut Client, sql: &str, batch: &RowBatch) -> Result<(), postgres::Error> {
    let mut writer = client.copy_in(sql)?;
    for piece in batch.copy_data() {
        if let Err(cause) = writer.write_all(piece) {
            return Err(of_server(cause)
                .unwrap_or_else(|| unreachable!("the writer fails only with what the server said")));
        }
    }
    writer.finish().map(|_| ())
}

/// The server's error within one of a writer.
fn of_server(cause: io::Error) -> Option<postgres::Error> {
    cause.into_inner()?.downcast::<postgres::Error>().ok().map(|inner| *inner)
}
