//! Stores a batch: first the rows, then the proof that the shard owns them, then the commit.
//!
//! Rows are sent before the barrier is taken. The arcs are read after it, in a separate statement, as an older snapshot would
//! not see what the barrier waited for. Rows of arcs that the shard does not own any more are deleted again in the same
//! transaction, and stored on their new owner.

use crate::pg::net::advisory_lock::BARRIER;
use crate::pg::scan::snapshot;
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;
use postgres::error::SqlState;
use postgres::types::Type;

use super::batch::{RowBatch, RowOrigin};
use super::checkpoint::{self, Checkpoint, MIXED};
use super::progress::{Progress, held_back};
use super::{Changed, ImportOptions, ImportShared, OnConflict, RefusedSink};
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

/// How long rows wait for arcs that are being moved.
const MOVE_PATIENCE: Duration = Duration::from_mins(1);
/// The pause before the next try.
const MOVE_PAUSE: Duration = Duration::from_millis(20);
/// How often a batch is tried that is in the way of another program's locks; each pause is longer than the one before.
const TRIES_MAX: u32 = 10;
const TRY_PAUSE: Duration = Duration::from_millis(50);

pub(crate) const COPY_TO_STAGE: &str =
    "COPY pg_temp.ringshard_stage (user_id, name, region, email) FROM STDIN (FORMAT binary)";

/// What all workers need.
pub(crate) struct Store<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) shared: &'a ImportShared,
    pub(crate) options: &'a ImportOptions,
    pub(crate) fingerprint: &'a str,
    /// Who collects the rows that a server refuses.
    pub(crate) refused: Option<&'a RefusedSink>,
}

/// The result for a batch's rows.
#[derive(Default)]
pub(crate) struct Stored {
    pub(super) inserted: u64,
    pub(super) updated: u64,
    pub(super) skipped: u64,
    /// Rows that an earlier run had stored.
    pub(super) resumed: u64,
    /// Rows that triggers changed.
    pub(super) changed: Changed,
    /// Users that the shard does not own.
    pub(crate) not_owned: HashSet<UserId>,
    /// Whether the server refused rows.
    pub(crate) has_refused: bool,
}

impl Stored {
    /// Adds the numbers of rows.
    pub(crate) fn add(&mut self, other: &Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.skipped += other.skipped;
        self.resumed += other.resumed;
        self.changed.add(other.changed);
    }
}

/// The transaction of a batch: shard, rows and checkpoint.
pub(crate) struct Task<'a> {
    pub(crate) shard: &'a ShardName,
    pub(crate) batch: &'a RowBatch,
    /// The checkpoints before and after; `None` for rows that another shard's checkpoint is about.
    checkpoints: Option<(Option<&'a Checkpoint>, &'a Checkpoint)>,
    /// Whether the session's backend serves others after the transaction.
    is_pooled: bool,
}

fn is_pooled(session: &mut PooledSession, shard: &ShardName) -> Result<bool> {
    let is_own = session.has_own_backend();
    is_own.map(|is_own| !is_own).map_err(|cause| sqlstate::doing("prepare a connection", shard, &cause))
}

impl Store<'_> {
    /// Stores a batch on its shard, and rows that the shard does not own on their owners.
    pub(crate) fn batch(
        &self,
        shard: &ShardName,
        session: &mut PooledSession,
        batch: &RowBatch,
        progress: &mut Progress,
    ) -> Result<()> {
        let before = progress.checkpoint.clone();
        let mut after = progress.after(self.shared, self.fingerprint, batch);
        let is_pooled = is_pooled(session, shard)?;
        let task = Task { shard, batch, checkpoints: Some((before.as_ref(), &after)), is_pooled };
        let stored = self.attempt(session, &task, &mut progress.staged)?;
        let mut has_refused = stored.has_refused;
        if !stored.not_owned.is_empty() {
            let others = batch.part(|origin| stored.not_owned.contains(&origin.user_id));
            has_refused |= self.store_on_owners(others)?;
        }
        if has_refused {
            progress.has_refused = true;
            after = held_back(&after, before.as_ref());
        }
        progress.checkpoint = Some(after);
        Ok(())
    }

    /// Stores rows on their current owners, until all are stored or the import is to stop. No checkpoint covers these rows
    /// yet. Returns whether rows were refused.
    fn store_on_owners(&self, mut left: RowBatch) -> Result<bool> {
        let begun = Instant::now();
        let mut has_refused = false;
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
                let is_pooled = is_pooled(&mut session, shard)?;
                let task = Task { shard, batch: &part, checkpoints: None, is_pooled };
                let stored = self.attempt(&mut session, &task, &mut true)?;
                unsettled.extend(stored.not_owned);
                has_refused |= stored.has_refused;
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
        Ok(has_refused)
    }

    /// Stores a batch on one shard. A transaction that another program's locks ended is repeated.
    fn attempt(&self, session: &mut PooledSession, task: &Task<'_>, staged: &mut bool) -> Result<Stored> {
        let server = Arc::clone(session.server());
        let client = session.client();
        let mut tries = 1;
        let stored = loop {
            let error = match self.try_once(client, &server, task, staged) {
                Ok(stored) => break stored,
                Err(error) => error,
            };
            // This fails on a lost connection, which is rolled back by the server.
            let _ = client.batch_execute("ROLLBACK");
            match error {
                ShardError::Server(cause) if is_lock_failure(&cause) => {
                    if tries == TRIES_MAX || self.shared.has_halted() {
                        return Err(self
                            .failed(task, &cause)
                            .hint("another program locks these users; run this again with the same file to continue"));
                    }
                    let why = sqlstate::message_of(&cause).replace('\n', "; ");
                    log::info!("Repeats a batch on {}: {why}", task.shard);
                    thread::sleep(TRY_PAUSE * tries);
                    tries += 1;
                }
                ShardError::Server(cause) => return Err(self.failed(task, &cause)),
                ShardError::Local(error) => return Err(error),
            }
        };
        let counts = &self.shared.counts;
        for (count, number) in [
            (&counts.inserted, stored.inserted),
            (&counts.updated, stored.updated),
            (&counts.skipped, stored.skipped),
            (&counts.resumed, stored.resumed),
        ] {
            let _: u64 = AtomicU64::fetch_add(count, number, Ordering::SeqCst);
        }
        counts.changed.lock().add(stored.changed);
        Ok(stored)
    }

    /// One transaction on one shard; after a conflict a second one, with the temporary table; if the server refuses rows, a
    /// last one in parts.
    fn try_once(
        &self,
        client: &mut Client,
        server: &Arc<Server>,
        task: &Task<'_>,
        staged: &mut bool,
    ) -> Result<Stored, ShardError> {
        let doubtful = task.batch.origins().iter().any(|origin| origin.doubtful);
        if !*staged && !doubtful {
            match self.directly(client, server, task) {
                // Triggers of the user's own may change or leave out rows, which COPY does not tell.
                Ok(None) => {
                    client.batch_execute("ROLLBACK")?;
                    *staged = true;
                }
                Ok(Some(stored)) => return Ok(stored),
                Err(ShardError::Server(cause)) if sqlstate::is_refusal(&cause) => {
                    client.batch_execute("ROLLBACK")?;
                    if cause.code() == Some(&SqlState::UNIQUE_VIOLATION) {
                        *staged = self.options.on_conflict != OnConflict::Error;
                    } else {
                        return self.without_refused(client, server, task);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        match self.through_stage(client, server, task) {
            Err(ShardError::Server(cause)) if sqlstate::is_refusal(&cause) => {
                client.batch_execute("ROLLBACK")?;
                self.without_refused(client, server, task)
            }
            stored => stored,
        }
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

    /// Stores with COPY into the table itself; `None` if it cannot be known what was stored, and nothing was committed.
    fn directly(
        &self,
        client: &mut Client,
        server: &Arc<Server>,
        task: &Task<'_>,
    ) -> Result<Option<Stored>, ShardError> {
        Self::begin(client, task)?;
        copy(
            client,
            "COPY public.users (user_id, name, region, email) FROM STDIN (FORMAT binary)",
            task.batch,
        )?;
        let has_triggers = client.query_typed_one("SELECT ringshard.has_user_triggers()", &[])?;
        if has_triggers.get(0) {
            return Ok(None);
        }
        let not_owned = self.not_owned(client, server, task)?;
        if !not_owned.is_empty() {
            let ids: Vec<i64> = not_owned.iter().map(|id| id.number()).collect();
            let sql = "DELETE FROM public.users WHERE user_id = ANY ($1)";
            client.query_typed(sql, &[(&ids, Type::INT8_ARRAY)])?;
        }
        let inserted =
            task.batch.origins().iter().filter(|origin| !not_owned.contains(&origin.user_id)).count() as u64;
        let stored = Stored { inserted, not_owned, ..Stored::default() };
        self.end(client, task, &stored)?;
        Ok(Some(stored))
    }

    /// Stores with COPY into a temporary table, and from there into the table, handling conflicts.
    fn through_stage(
        &self,
        client: &mut Client,
        server: &Arc<Server>,
        task: &Task<'_>,
    ) -> Result<Stored, ShardError> {
        Self::begin_staged(client, task)?;
        copy(client, COPY_TO_STAGE, task.batch)?;
        let not_owned = self.not_owned(client, server, task)?;
        if !not_owned.is_empty() {
            let ids: Vec<i64> = not_owned.iter().map(|id| id.number()).collect();
            let sql = "DELETE FROM pg_temp.ringshard_stage WHERE user_id = ANY ($1)";
            client.query_typed(sql, &[(&ids, Type::INT8_ARRAY)])?;
        }
        let own: Vec<&RowOrigin> =
            task.batch.origins().iter().filter(|origin| !not_owned.contains(&origin.user_id)).collect();
        let mut stored = self.store_staged(client, task.shard, 0..i64::MAX, &own, task.batch.origins())?;
        stored.not_owned = not_owned;
        self.end(client, task, &stored)?;
        Ok(stored)
    }

    fn begin(client: &mut Client, task: &Task<'_>) -> Result<(), postgres::Error> {
        // A row that another shard's checkpoint covers must be on disk before that checkpoint.
        let synchronous = if task.checkpoints.is_some() { "off" } else { "on" };
        client.batch_execute(&format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL client_min_messages = warning; \
             SET LOCAL row_security = off; SET LOCAL statement_timeout = 0; \
             SET LOCAL ringshard.guard = 'checked'; SET LOCAL synchronous_commit = {synchronous}"
        ))
    }

    /// Begins, and makes the temporary table. Through a pooler others would meet it, so it ends with the transaction.
    pub(crate) fn begin_staged(client: &mut Client, task: &Task<'_>) -> Result<(), postgres::Error> {
        Self::begin(client, task)?;
        let stage = include_str!("../../../sql/queries/stage.sql");
        if task.is_pooled {
            client.batch_execute(&stage.replace("ON COMMIT DELETE ROWS", "ON COMMIT DROP"))
        } else {
            client.batch_execute(stage)
        }
    }

    /// Takes the barrier, held to commit, and then reads the arcs. Returns the users that the shard does not own.
    pub(crate) fn not_owned(
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
        if held.is_confirmed {
            self.cluster.examine(server, held.epoch)?;
        }
        if !held.is_confirmed || !self.cluster.shards().is_current(server) {
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
    pub(crate) fn end(
        &self,
        client: &mut Client,
        task: &Task<'_>,
        stored: &Stored,
    ) -> Result<(), ShardError> {
        if let Some((before, after)) = task.checkpoints {
            if stored.not_owned.is_empty() && stored.has_refused {
                checkpoint::write(client, self.options, &held_back(after, before))?;
            } else if stored.not_owned.is_empty() {
                checkpoint::write(client, self.options, after)?;
            } else {
                // Some rows still go to other shards, so the checkpoint must not cover this batch yet.
                self.shared.mixed.store(true, Ordering::SeqCst);
                // On disk before the other rows are stored elsewhere, as it covers them too.
                client.batch_execute("SET LOCAL synchronous_commit = on")?;
                let part = Checkpoint { routing: MIXED.to_owned(), ..held_back(after, before) };
                checkpoint::write(client, self.options, &part)?;
            }
        }
        Ok(client.batch_execute("COMMIT")?)
    }
}

/// Whether another program's locks were in the way: the same transaction may succeed later.
fn is_lock_failure(cause: &postgres::Error) -> bool {
    sqlstate::is_worth_repeating(cause) || cause.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
}

/// Sends a batch.
pub(crate) fn copy(client: &mut Client, sql: &str, batch: &RowBatch) -> Result<(), postgres::Error> {
    let mut writer = client.copy_in(sql)?;
    for piece in batch.copy_data() {
        if let Err(cause) = writer.write_all(piece) {
            return Err(of_server(cause)
                .unwrap_or_else(|| unreachable!("the writer fails only with an error of the crate")));
        }
    }
    writer.finish().map(|_| ())
}

/// The server's error within one of a writer.
fn of_server(cause: io::Error) -> Option<postgres::Error> {
    cause.into_inner()?.downcast::<postgres::Error>().ok().map(|inner| *inner)
}
