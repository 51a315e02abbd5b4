//! Repair: moves misplaced rows to their owner. The only copy of a row is never deleted.
//!
//! It works on some users at a time. Their rows are read on their shard. On the owner, one transaction stores the missing
//! ones and compares the others. After that is on disk, a second transaction deletes on the shard each row that is equal on
//! the owner, and moves each that differs to the quarantine. A row is deleted only if it still has the content that was
//! read. So a crash at any point leaves at worst a duplicate, and the next run continues.
//!
//! Both transactions prevent a change until their commit (`sql/queries/verify/require_stable.sql`): the owner stays the
//! owner, and a shard on which a row is deleted does not receive its arc.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use postgres::types::{ToSql, Type};
use postgres::{IsolationLevel, Row, Transaction};

use super::Verified;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::arbiter;
use crate::model::ring::arc::ShardArc;
use crate::model::ring::position::Position;
use crate::model::ring::topology::Epoch;
use crate::model::user::{User, UserId};
use crate::pg::cluster::Cluster;
use crate::pg::net::advisory_lock::{self, RUN_LOCK};
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;
use crate::pg::pool::PooledSession;
use crate::pg::rebalance::standbys::Standbys;
use crate::pg::scan::snapshot::held_of;

/// How many users are repaired at a time.
const USERS_PER_STEP: usize = 1_000;
/// Operations, as `ringshard.side_effects` names them.
const INSERT: i32 = 4;
const DELETE: i32 = 8;
/// How often a step is repeated after a serialization failure or a deadlock.
const REPEATS_MAX: u32 = 50;
/// The pause before a repetition.
const REPEAT_PAUSE: Duration = Duration::from_millis(20);

/// The result of a repair.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Rows that were moved to their owner.
    pub moved: u64,
    /// Rows that were deleted, as the owner has an equal one.
    pub purged: u64,
    /// Rows that were moved to the quarantine, as the owner has a different one.
    pub quarantined: u64,
}

/// A repair in progress: holds the run lock until it is dropped or its connection is lost.
pub struct Repair<'a> {
    cluster: &'a Cluster,
    session: Session,
    arbiter: ShardName,
    standbys: Standbys,
    /// How long to wait for standbys that have not received a row; `None` does not wait.
    standby_patience: Option<Duration>,
}

/// Users as arrays, for one statement.
#[derive(Default)]
struct Columns {
    ids: Vec<i64>,
    texts: [Vec<Option<String>>; 3],
}

impl Columns {
    fn of<'a>(users: impl Iterator<Item = &'a User>) -> Self {
        let mut columns = Self::default();
        for user in users {
            columns.ids.push(user.user_id.number());
            for (column, text) in columns.texts.iter_mut().zip([&user.name, &user.region, &user.email]) {
                column.push(text.clone());
            }
        }
        columns
    }

    fn parameters(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        let texts = self.texts.iter().map(|texts| (texts as &(dyn ToSql + Sync), Type::TEXT_ARRAY));
        std::iter::once((&self.ids as &(dyn ToSql + Sync), Type::INT8_ARRAY)).chain(texts).collect()
    }
}

/// A user's row on the owner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AtOwner {
    /// It was stored by this repair.
    Stored,
    Equal,
    Differing,
}

/// Takes the run lock. Fails with `Locked` if another session has it. `standby_patience`: how long to wait for standbys, as in a
/// rebalance.
pub fn begin_repair(cluster: &Cluster, standby_patience: Option<Duration>) -> Result<Repair<'_>> {
    // Only the arbiter matters here; all shards are checked later.
    cluster.refresh()?;
    let arbiter = arbiter(&cluster.view().topology).clone();
    // Not from the pool: it is kept, and the pool may have only one.
    let mut session = cluster.shards().connect_direct(&arbiter)?;
    let doing = |cause| sqlstate::doing("take the run lock", &arbiter, &cause);
    if advisory_lock::try_lock(&mut session, RUN_LOCK).map_err(doing)? {
        let standbys = Standbys::default();
        return Ok(Repair { cluster, session, arbiter, standbys, standby_patience });
    }
    let holders =
        session.query(include_str!("../../../sql/queries/verify/run_lock_holder.sql"), &[]).map_err(doing)?;
    let holder = holders.first().map(|row| {
        let name: Option<String> = row.get(1);
        let name = name.filter(|name| !name.is_empty()).map(|name| format!(" (`{name}`)"));
        format!(": process {}{} on that server", row.get::<_, i32>(0), name.unwrap_or_default())
    });
    let message = format!(
        "the run lock on shard `{arbiter}` is held{}",
        holder.unwrap_or_else(|| ", or was a moment ago".into())
    );
    Err(Error::new(Kind::Locked, message)
        .hint("wait for the rebalance or the other verify --fix to end, then run this again")
        .on_shard(arbiter))
}

impl Repair<'_> {
    /// Fails with `Locked` if a change is under way, or the ring changed since the lock was taken.
    pub fn check(&self, verified: &Verified) -> Result<()> {
        if verified.is_changing {
            return Err(changing());
        }
        if *arbiter(&verified.in_force.1) != self.arbiter {
            let message = "the ring changed since the lock was taken";
            return Err(Error::new(Kind::Locked, message).hint("run this again"));
        }
        Ok(())
    }

    /// Carries out the plan. `progress` gets the number of repaired rows.
    pub fn carry_out(&mut self, verified: &Verified, progress: impl Fn(u64)) -> Result<Repaired> {
        let mut repaired = Repaired::default();
        let mut done = 0;
        // A standby that is behind already would stop it half-way.
        for (_, owner) in verified.plan.rows.keys() {
            self.wait_for_standbys(owner)?;
        }
        for ((shard, owner), ids) in &verified.plan.rows {
            for ids in ids.chunks(USERS_PER_STEP) {
                if !self.session.is_alive(false) {
                    let message =
                        format!("the connection to shard `{}` with the run lock was lost", self.arbiter);
                    return Err(Error::new(Kind::Partial, message)
                        .hint("run this again to continue")
                        .on_shard(&self.arbiter));
                }
                self.repair(verified.in_force.0, shard, owner, ids, &mut repaired)?;
                done += ids.len() as u64;
                progress(done);
            }
        }
        Ok(repaired)
    }

    fn repair(
        &mut self,
        epoch: Epoch,
        shard: &ShardName,
        owner: &ShardName,
        ids: &[UserId],
        repaired: &mut Repaired,
    ) -> Result<()> {
        let users = self.read(shard, ids)?;
        let at_owner = self.in_transaction(owner, "store misplaced users on their owner", epoch, |step| {
            let owned = users.iter().filter(|user| step.owns(Position::of_user(user.user_id)));
            let columns = Columns::of(owned);
            step.prepare_for(INSERT)?;
            let stored = step.query(
                include_str!("../../../sql/queries/verify/insert_missing.sql"),
                &columns.parameters(),
            )?;
            let stored = stored.iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>();
            let compared =
                step.query(include_str!("../../../sql/queries/verify/compare.sql"), &columns.parameters())?;
            let found = compared.iter().map(|row| {
                let (id, is_equal) = (row.get::<_, i64>(0), row.get::<_, bool>(1));
                let has = match (is_equal, stored.contains(&id)) {
                    (false, _) => AtOwner::Differing,
                    (true, true) => AtOwner::Stored,
                    (true, false) => AtOwner::Equal,
                };
                (UserId::new(id), has)
            });
            Ok(found.collect::<HashMap<_, _>>())
        })?;
        self.wait_for_standbys(owner)?;
        let reason = format!("differs from the row on its owner `{owner}` (verify --fix in epoch {epoch})");
        let part = self.in_transaction(shard, "delete users that their owner has", epoch, |step| {
            let select = |requested: &[AtOwner]| {
                let misplaced = users.iter().filter(|user| {
                    let has = at_owner.get(&user.user_id);
                    has.is_some_and(|has| requested.contains(has))
                        && !step.holds(Position::of_user(user.user_id))
                });
                Columns::of(misplaced)
            };
            let (copies, others) =
                (select(&[AtOwner::Stored, AtOwner::Equal]), select(&[AtOwner::Differing]));
            step.prepare_for(DELETE)?;
            let purged =
                step.query(include_str!("../../../sql/queries/verify/purge.sql"), &copies.parameters())?;
            let mut with_reason = others.parameters();
            with_reason.push((&reason, Type::TEXT));
            let quarantined =
                step.query(include_str!("../../../sql/queries/verify/quarantine.sql"), &with_reason)?;
            let was_stored = |row: &&Row| at_owner.get(&UserId::new(row.get(0))) == Some(&AtOwner::Stored);
            let moved = purged.iter().filter(was_stored).count() as u64;
            Ok(Repaired { moved, purged: purged.len() as u64 - moved, quarantined: quarantined.len() as u64 })
        })?;
        repaired.moved += part.moved;
        repaired.purged += part.purged;
        repaired.quarantined += part.quarantined;
        Ok(())
    }

    /// Waits until all standbys of the owner have the rows: the shard deletes its own next.
    fn wait_for_standbys(&mut self, owner: &ShardName) -> Result<()> {
        let Some(patience) = self.standby_patience else { return Ok(()) };
        let shards = self.cluster.shards();
        let mut primary = shards.checkout(owner)?;
        let waited = self.standbys.wait(shards, owner, &mut primary, patience, |_, pause| {
            thread::sleep(pause);
            shards.active_sessions().check()
        });
        waited.map_err(|error| match error.kind() {
            Kind::Locked => error.hint(
                "bring it back, or drop its slot, or ringshard replica remove; then ringshard verify --fix goes on",
            ),
            _ => error,
        })
    }

    /// Reads the rows of these users.
    fn read(&self, shard: &ShardName, ids: &[UserId]) -> Result<Vec<User>> {
        let ids: Vec<i64> = ids.iter().map(|id| id.number()).collect();
        let doing = |cause| sqlstate::doing("read misplaced users", shard, &cause);
        let mut session = self.cluster.shards().checkout(shard)?;
        let rows = session
            .query(include_str!("../../../sql/queries/verify/contents.sql"), &[(&ids, Type::INT8_ARRAY)])
            .map_err(doing)?;
        let user = |row: &Row| {
            Ok(User {
                user_id: UserId::new(row.try_get(0)?),
                name: row.try_get(1)?,
                region: row.try_get(2)?,
                email: row.try_get(3)?,
            })
        };
        rows.iter().map(user).collect::<Result<_, _>>().map_err(doing)
    }

    /// Runs `work` on a shard in one transaction, during which no change can begin, until its commit is on disk.
    fn in_transaction<T>(
        &self,
        shard: &ShardName,
        what: &str,
        epoch: Epoch,
        work: impl Fn(&mut RepairTransaction<'_>) -> Result<T, postgres::Error>,
    ) -> Result<T> {
        let mut session = self.cluster.shards().checkout(shard)?;
        let mut repeats = 0;
        loop {
            match self.once(&mut session, shard, epoch, &work) {
                Ok(Ok(result)) => return Ok(result),
                Ok(Err(error)) => return Err(error),
                Err(cause) if sqlstate::is_worth_repeating(&cause) && repeats < REPEATS_MAX => {
                    repeats += 1;
                    thread::sleep(REPEAT_PAUSE);
                }
                Err(cause) => {
                    let error = sqlstate::doing(what, shard, &cause);
                    // Nothing is lost, and the next run sees what was done.
                    let hint = error.hint_text().filter(|_| !sqlstate::is_lost(&cause));
                    let hint = hint.unwrap_or("run this again to continue").to_owned();
                    return Err(error.hint(hint));
                }
            }
        }
    }

    fn once<T>(
        &self,
        session: &mut PooledSession,
        shard: &ShardName,
        epoch: Epoch,
        work: impl Fn(&mut RepairTransaction<'_>) -> Result<T, postgres::Error>,
    ) -> Result<Result<T>, postgres::Error> {
        let begun = session.client().build_transaction().isolation_level(IsolationLevel::ReadCommitted);
        let mut transaction = begun.start()?;
        transaction.batch_execute(include_str!("../../../sql/queries/verify/begin.sql"))?;
        let require_stable = include_str!("../../../sql/queries/verify/require_stable.sql");
        if transaction.query_typed(require_stable, &[(&epoch.number(), Type::INT8)])?.is_empty() {
            return Ok(Err(changing()));
        }
        // A new statement sees what the locks waited for.
        let rows = transaction.query_typed(include_str!("../../../sql/queries/snapshot.sql"), &[])?;
        let held = only(rows, "read the arcs", shard).and_then(|row| {
            self.cluster.check_row(shard, &row)?;
            held_of(&row, shard)
        });
        let held = match held {
            Ok(held) if !held.is_confirmed => return Ok(Err(changing())),
            Ok(held) => held.arcs,
            Err(error) => return Ok(Err(error)),
        };
        let mut step = RepairTransaction { transaction, held };
        let result = work(&mut step)?;
        step.transaction.commit()?;
        Ok(Ok(result))
    }
}

impl Drop for Repair<'_> {
    fn drop(&mut self) {
        // Closing the session would release it too, a moment later.
        advisory_lock::unlock(&mut self.session, RUN_LOCK);
    }
}

/// A transaction on a shard, and the arcs that the shard has until its commit.
struct RepairTransaction<'client> {
    transaction: Transaction<'client>,
    held: Vec<ShardArc>,
}

impl RepairTransaction<'_> {
    fn query(
        &mut self,
        sql: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, postgres::Error> {
        self.transaction.query_typed(sql, parameters)
    }

    /// Whether the shard owns a position.
    fn owns(&self, position: Position) -> bool {
        self.held.iter().any(|held| held.is_owned() && held.arc.contains(position))
    }

    /// Whether it has an arc with a position, owned or fenced.
    fn holds(&self, position: Position) -> bool {
        self.held.iter().any(|held| held.arc.contains(position))
    }

    /// Disables the guard, as ownership is proved, and suppresses what these operations would set off, or fails.
    fn prepare_for(&mut self, operations: i32) -> Result<(), postgres::Error> {
        let sql = "SELECT pg_catalog.set_config('ringshard.guard', 'checked', true), \
                   ringshard.forbid_side_effects($1)";
        self.query(sql, &[(&operations, Type::INT4)]).map(|_| ())
    }
}

fn changing() -> Error {
    Error::new(Kind::Locked, "a change of the ring is under way")
        .hint("ringshard rebalance completes it; then run this again")
}
