//! Repair: moves misplaced rows to their owner. The only copy of a row is never deleted.
//!
//! It works on the rows of some keys at a time, in all sharded tables. They are read on their shard. On the owner, one transaction
//! stores the rows of the keys that a table there lacks, and compares the others. After that is on disk, a second transaction
//! deletes on the shard the rows of each key that are equal on the owner, and moves those that differ to the quarantine. A row is
//! deleted only if it still has the content that was read. So a crash at any point leaves at worst a duplicate, and the next run
//! continues.
//!
//! Both transactions prevent a change until their commit (`sql/queries/verify/require_stable.sql`): the owner stays the
//! owner, and a shard on which a row is deleted does not receive its arc.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use postgres::types::{ToSql, Type};
use postgres::{IsolationLevel, Row, Transaction};

use super::Verified;
use super::misplaced::{of_keys, rows_of_keys};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::arbiter;
use crate::model::ring::arc::ShardArc;
use crate::model::ring::position::Position;
use crate::model::ring::topology::Epoch;
use crate::model::table::{ShardingKey, TableName};
use crate::pg::cluster::Cluster;
use crate::pg::net::advisory_lock::{self, RUN_LOCK};
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;
use crate::pg::pool::PooledSession;
use crate::pg::rebalance::standbys::Standbys;
use crate::pg::requests::connection::ROW_TEXT;
use crate::pg::scan::snapshot::held_of;

/// How many keys are repaired at a time.
const KEYS_PER_STEP: usize = 1_000;
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

/// The keys of one step, each with the tables that have misplaced rows of it.
type Keys<'a> = [(&'a String, &'a BTreeSet<usize>)];

/// The rows of a key in a table, by the table's place in the topology, as texts, sorted.
type Rows = BTreeMap<usize, BTreeMap<String, Vec<String>>>;

/// The rows of a key in a table on the owner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AtOwner {
    /// They were stored by this repair.
    Stored,
    Equal,
    Differing,
}

/// What the owner has, by the place of the table and the key.
type AtOwners = BTreeMap<(usize, String), AtOwner>;

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
        for (_, owner) in verified.plan.keys.keys() {
            self.wait_for_standbys(owner)?;
        }
        for ((shard, owner), keys) in &verified.plan.keys {
            let keys: Vec<_> = keys.iter().collect();
            for keys in keys.chunks(KEYS_PER_STEP) {
                if !self.session.is_alive(false) {
                    let message =
                        format!("the connection to shard `{}` with the run lock was lost", self.arbiter);
                    return Err(Error::new(Kind::Partial, message)
                        .hint("run this again to continue")
                        .on_shard(&self.arbiter));
                }
                done += self.repair(verified, (shard, owner), keys, &mut repaired)?;
                progress(done);
            }
        }
        Ok(repaired)
    }

    /// Repairs the rows of some keys; returns their number.
    fn repair(
        &mut self,
        verified: &Verified,
        (shard, owner): (&ShardName, &ShardName),
        keys: &Keys<'_>,
        repaired: &mut Repaired,
    ) -> Result<u64> {
        let (epoch, topology) = &verified.in_force;
        let tables: Vec<_> = topology.tables().sharded().collect();
        let rows =
            self.in_transaction(shard, "read misplaced rows", *epoch, |step| step.rows_of(&tables, keys))?;
        let order = self.order(owner, &tables)?;
        let at_owner = self.in_transaction(owner, "store misplaced rows on their owner", *epoch, |step| {
            step.store_missing(&tables, &order, &rows, keys)
        })?;
        self.wait_for_standbys(owner)?;
        let reason = format!("differs from the rows on its owner `{owner}` (verify --fix in epoch {epoch})");
        let part = self.in_transaction(shard, "delete rows that their owner has", *epoch, |step| {
            step.delete(&tables, &order, &rows, &at_owner, &reason)
        })?;
        repaired.moved += part.moved;
        repaired.purged += part.purged;
        repaired.quarantined += part.quarantined;
        Ok(rows.values().flat_map(BTreeMap::values).map(|rows| rows.len() as u64).sum())
    }

    /// The places of the tables in the order in which rows are stored.
    fn order(&self, shard: &ShardName, tables: &[(&TableName, &ShardingKey)]) -> Result<Vec<usize>> {
        let what = "read the sharded tables";
        let mut session = self.cluster.shards().checkout(shard)?;
        let rows = session
            .query("SELECT (ringshard.tables_in_order()).names", &[])
            .map_err(|cause| sqlstate::doing(what, shard, &cause))?;
        let names: Vec<String> = only(rows, what, shard)?.get(0);
        let place = |name: &String| tables.iter().position(|(table, _)| table.as_sql() == name);
        Ok(names.iter().filter_map(place).collect())
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
                "bring it back, or drop its slot, or unregister it (ringshard replica --help shows how); then ringshard verify --fix goes on",
            ),
            _ => error,
        })
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
        transaction.batch_execute(ROW_TEXT)?;
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

    /// The rows of these keys.
    fn rows_of(
        &mut self,
        tables: &[(&TableName, &ShardingKey)],
        keys: &Keys<'_>,
    ) -> Result<Rows, postgres::Error> {
        let read = |(at, table): (usize, &(&TableName, &ShardingKey))| {
            let keys: Vec<&str> =
                keys.iter().filter(|(_, of)| of.contains(&at)).map(|(key, _)| key.as_str()).collect();
            Ok((at, rows_of_keys(&mut self.transaction, *table, &keys)?))
        };
        tables.iter().enumerate().map(read).collect()
    }

    /// Stores the rows of keys that a table of this shard, their owner, lacks; compares the others.
    fn store_missing(
        &mut self,
        tables: &[(&TableName, &ShardingKey)],
        order: &[usize],
        rows: &Rows,
        keys: &Keys<'_>,
    ) -> Result<AtOwners, postgres::Error> {
        self.prepare_for(INSERT)?;
        let before = self.rows_of(tables, keys)?;
        for at in order {
            let (table, _) = tables[*at];
            let missing = rows[at]
                .iter()
                .filter(|(key, _)| !before[at].contains_key(*key) && self.owns(Position::of_key(key)));
            let missing: Vec<&str> = missing.flat_map(|(_, rows)| rows).map(String::as_str).collect();
            if !missing.is_empty() {
                let sql = "SELECT row_count FROM ringshard.store_rows($1, $2, 'in conflict with a repair')";
                self.query(sql, &[(&table.as_sql(), Type::TEXT), (&missing, Type::TEXT_ARRAY)])?;
            }
        }
        let after = self.rows_of(tables, keys)?;
        let mut found = AtOwners::new();
        for (at, rows) in rows {
            for (key, rows) in rows.iter().filter(|(key, _)| after[at].contains_key(*key)) {
                let has = match (after[at][key] == *rows, before[at].contains_key(key)) {
                    (false, _) => AtOwner::Differing,
                    (true, false) => AtOwner::Stored,
                    (true, true) => AtOwner::Equal,
                };
                found.insert((*at, key.clone()), has);
            }
        }
        Ok(found)
    }

    /// Deletes the rows that the owner has, and moves those that differ there to the quarantine.
    fn delete(
        &mut self,
        tables: &[(&TableName, &ShardingKey)],
        order: &[usize],
        rows: &Rows,
        at_owner: &AtOwners,
        reason: &str,
    ) -> Result<Repaired, postgres::Error> {
        self.prepare_for(DELETE)?;
        let mut repaired = Repaired::default();
        for at in order.iter().rev() {
            let (table, key) = tables[*at];
            for has in [AtOwner::Stored, AtOwner::Equal, AtOwner::Differing] {
                let of = rows[at].iter().filter(|(key, _)| {
                    at_owner.get(&(*at, (*key).clone())) == Some(&has) && !self.holds(Position::of_key(key))
                });
                let (keys, texts): (Vec<&str>, Vec<&Vec<String>>) =
                    of.map(|(key, rows)| (key.as_str(), rows)).unzip();
                if keys.is_empty() {
                    continue;
                }
                let texts: Vec<&str> = texts.into_iter().flatten().map(String::as_str).collect();
                let sql = format!(
                    "WITH deleted AS (DELETE FROM {} AS t WHERE {} AND t.*::text = ANY ($2) RETURNING t.*::text AS contents), \
                          aside AS (INSERT INTO ringshard.quarantine (reason, table_name, contents) \
                                    SELECT $3, $4, contents FROM deleted WHERE $5) \
                     SELECT pg_catalog.count(*) FROM deleted",
                    table.as_sql(),
                    of_keys(key),
                );
                let deleted = self.query(
                    &sql,
                    &[
                        (&keys, Type::TEXT_ARRAY),
                        (&texts, Type::TEXT_ARRAY),
                        (&reason, Type::TEXT),
                        (&table.as_sql(), Type::TEXT),
                        (&(has == AtOwner::Differing), Type::BOOL),
                    ],
                )?;
                let count = deleted.first().map_or(0, |row| row.get::<_, i64>(0)).unsigned_abs();
                *match has {
                    AtOwner::Stored => &mut repaired.moved,
                    AtOwner::Equal => &mut repaired.purged,
                    AtOwner::Differing => &mut repaired.quarantined,
                } += count;
            }
        }
        Ok(repaired)
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
