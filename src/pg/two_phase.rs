//! One transaction on several shards, committed in two phases, with *presumed abort* (C. Mohan, B. Lindsay, R. Obermarck:
//! Transaction Management in the R* Distributed Database Management System, ACM TODS 11(4), 1986).
//!
//! One shard decides. Its transaction writes a commit record before any other shard prepares, and its commit commits all. A
//! transaction that is prepared is committed if the record is there, and else rolled back, once that of the deciding shard has
//! ended. The argument: docs/internals/transactions.md.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::types::Type;
use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::pg::cluster::Cluster;
use crate::pg::failpoint::{self, Side};
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;
use crate::pg::pool::PooledSession;
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::requests::confirm::confirm;
use crate::threads;

/// How long to try to reach a shard whose connection was lost while it committed.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// What the names of prepared transactions begin with.
const PREFIX: &str = "ringshard";

/// A shard and its open transaction.
pub(crate) struct Participant {
    pub(crate) shard: ShardName,
    pub(crate) session: PooledSession,
}

/// What became of the transactions that were found prepared.
#[derive(Debug, Default)]
pub struct Finished {
    /// Committed on at least one shard now.
    pub committed: BTreeSet<Uuid>,
    /// Rolled back on at least one shard now.
    pub rolled_back: BTreeSet<Uuid>,
    /// Left as they are: their process is still at work.
    pub at_work: BTreeSet<Uuid>,
    /// Why the others were left.
    pub failed: Vec<Error>,
}

/// What one transaction came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Committed,
    RolledBack,
    /// Not yet known: its process is still at work.
    Open,
}

/// The name of a prepared transaction: `ringshard:ID:DECIDING_SHARD:SHARD`. A server with several shards needs one for each.
fn prepared_name(id: Uuid, decider: &ShardName, shard: &ShardName) -> String {
    format!("{PREFIX}:{id}:{decider}:{shard}")
}

/// The id and the deciding shard of such a name.
fn parsed(name: &str) -> Option<(Uuid, ShardName)> {
    let mut parts = name.split(':');
    if parts.next() != Some(PREFIX) {
        return None;
    }
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Ends a transaction that has done nothing that counts; if that fails, the session is not used again.
pub(crate) fn roll_back(session: &mut Session) {
    session.set_in_transaction(false);
    if session.client().batch_execute("ROLLBACK").is_err() {
        session.spoil();
    }
}

/// Carries out a command about a prepared transaction; one that is not there any more was finished by somebody else.
fn finish_prepared(session: &mut Session, verb: &str, name: &str) -> Result<(), postgres::Error> {
    let begun = Instant::now();
    loop {
        match session.client().batch_execute(&format!("{verb} PREPARED '{name}'")) {
            Err(cause) if cause.code() == Some(&SqlState::UNDEFINED_OBJECT) => return Ok(()),
            // Somebody else is at it.
            Err(cause)
                if cause.code() == Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE)
                    && begun.elapsed() < PATIENCE =>
            {
                thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

/// Commits an open transaction on each of these shards: on all or on none. The first one decides. An error of kind `Partial` if it is
/// not known yet on all shards; `finish` completes it.
pub(crate) fn commit(cluster: &Cluster, participants: Vec<Participant>) -> Result<()> {
    let mut others = participants;
    if others.is_empty() {
        return Ok(());
    }
    let mut decider = others.remove(0);
    let names: Vec<String> =
        std::iter::once(&decider).chain(&others).map(|participant| participant.shard.to_string()).collect();
    let record = "INSERT INTO ringshard.committed_transaction (id, shards) VALUES (pg_catalog.gen_random_uuid(), $1) RETURNING id";
    let recorded = decider.session.client().query_typed(record, &[(&names, Type::TEXT_ARRAY)]);
    let recorded = recorded
        .map_err(|cause| sqlstate::doing("record the commit", &decider.shard, &cause))
        .and_then(|rows| only(rows, "record the commit", &decider.shard));
    let id: Uuid = match recorded {
        Ok(row) => row.get(0),
        Err(error) => {
            roll_back_all(std::iter::once(decider).chain(others));
            return Err(error);
        }
    };
    let decider_name = decider.shard.clone();
    let name = |shard: &ShardName| prepared_name(id, &decider_name, shard);
    failpoint::point(Side::Before, "prepare");
    let prepared = threads::at_once(&mut others, |other| {
        let prepared =
            other.session.client().batch_execute(&format!("PREPARE TRANSACTION '{}'", name(&other.shard)));
        other.session.set_in_transaction(false);
        failpoint::point(Side::After, "prepare");
        prepared.map_err(|cause| sqlstate::doing("prepare the transaction", &other.shard, &cause))
    });
    if let Some(error) = prepared.into_iter().find_map(Result::err) {
        roll_back(&mut decider.session);
        threads::at_once(&mut others, |other| {
            // One that could not prepare has rolled back; of one that was lost `finish` will learn.
            if finish_prepared(&mut other.session, "ROLLBACK", &name(&other.shard)).is_err() {
                other.session.spoil();
            }
        });
        return Err(error);
    }
    failpoint::point(Side::Before, "decide");
    let decided = decider.session.client().batch_execute("COMMIT");
    decider.session.set_in_transaction(false);
    failpoint::point(Side::After, "decide");
    let Err(cause) = decided else {
        unfinished(finish_all(cluster, others, "COMMIT", &name))?;
        // A record that stays is deleted by `finish`.
        let _ = forget(&mut decider.session, id);
        return Ok(());
    };
    decider.session.spoil();
    // A pool may have only one connection.
    drop(decider);
    let failed = sqlstate::doing("commit", &decider_name, &cause);
    // Whatever the error says: the record is there or not.
    match decided_meanwhile(cluster, &decider_name, id) {
        Decision::Committed => unfinished(finish_all(cluster, others, "COMMIT", &name)),
        Decision::RolledBack => {
            finish_all(cluster, others, "ROLLBACK", &name);
            Err(failed.adding("; nothing was changed on any shard"))
        }
        Decision::Open => {
            let message = format!("{}; the outcome is unknown", failed.message());
            Err(Error::new(Kind::Partial, message)
                .hint("ringshard doctor finishes it on all shards once that one answers")
                .on_shard(&decider_name))
        }
    }
}

/// Finishes a decided transaction on the shards that have prepared it. Returns why not on some.
fn finish_all(
    cluster: &Cluster,
    others: Vec<Participant>,
    verb: &str,
    name: &(impl Fn(&ShardName) -> String + Sync),
) -> Vec<Error> {
    let left = threads::at_once(others, |Participant { shard, mut session }| {
        let done = finish_prepared(&mut session, verb, &name(&shard));
        failpoint::point(Side::After, "finish");
        let Err(cause) = done else { return None };
        session.spoil();
        drop(session);
        let again = cluster
            .reach(ReadIntent::Primary, &shard)
            .is_ok_and(|mut session| finish_prepared(&mut session, verb, &name(&shard)).is_ok());
        (!again).then(|| sqlstate::doing("finish the transaction", &shard, &cause))
    });
    left.into_iter().flatten().collect()
}

/// The error for a transaction that is committed, and not yet on all shards.
fn unfinished(left: Vec<Error>) -> Result<()> {
    let Some(first) = left.into_iter().next() else { return Ok(()) };
    let message = format!("the transaction is committed, but not yet everywhere: {}", first.message());
    Err(Error::new(Kind::Partial, message).hint("ringshard doctor finishes it once that shard answers"))
}

pub(crate) fn roll_back_all(participants: impl IntoIterator<Item = Participant>) {
    threads::at_once(participants, |mut participant| roll_back(&mut participant.session));
}

fn forget(session: &mut Session, id: Uuid) -> Result<(), postgres::Error> {
    let sql = "DELETE FROM ringshard.committed_transaction WHERE id = $1";
    session.client().query_typed(sql, &[(&id, Type::UUID)]).map(drop)
}

/// What the deciding shard says after its connection was lost.
fn decided_meanwhile(cluster: &Cluster, decider: &ShardName, id: Uuid) -> Decision {
    let begun = Instant::now();
    loop {
        let asked = cluster
            .reach(ReadIntent::Primary, decider)
            .and_then(|mut session| decide(&mut session, decider, id, |_| ()));
        match asked {
            Ok((decision, ())) if decision != Decision::Open => return decision,
            _ if begun.elapsed() > PATIENCE => return Decision::Open,
            _ => thread::sleep(PAUSE),
        }
    }
}

/// Asks the deciding shard about a transaction, and does something while that cannot change: as long as the transaction of the deciding
/// shard is open, its record is in the way of this one.
fn decide<T>(
    session: &mut Session,
    decider: &ShardName,
    id: Uuid,
    then: impl FnOnce(Decision) -> T,
) -> Result<(Decision, T)> {
    let failed = |cause: &postgres::Error| sqlstate::doing("read the commit record", decider, cause);
    session.set_in_transaction(true);
    let begin = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '2s'; SELECT ringshard.require_confirmed()";
    if let Err(cause) = session.client().batch_execute(begin) {
        roll_back(session);
        return Err(failed(&cause));
    }
    let sql = "INSERT INTO ringshard.committed_transaction (id, shards) VALUES ($1, '{}') ON CONFLICT DO NOTHING RETURNING id";
    let decision = match session.client().query_typed(sql, &[(&id, Type::UUID)]) {
        Ok(rows) if rows.is_empty() => Ok(Decision::Committed),
        Ok(_) => Ok(Decision::RolledBack),
        Err(cause) if cause.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(Decision::Open),
        Err(cause) => Err(failed(&cause)),
    };
    let answer = decision.map(|decision| (decision, then(decision)));
    roll_back(session);
    answer
}

/// What a primary has of such transactions: the names of the prepared ones, and its commit records with their shards.
#[derive(Default)]
struct Found {
    prepared: Vec<String>,
    records: Vec<(Uuid, Vec<String>)>,
}

/// Fails unless the server is the primary of the shard: another one may lack what is prepared.
fn found(session: &mut Session, shard: &ShardName) -> Result<Found> {
    let what = "list prepared transactions";
    let failed = |cause: postgres::Error| sqlstate::doing(what, shard, &cause);
    let sql = "SELECT ARRAY(SELECT gid FROM pg_catalog.pg_prepared_xacts \
                      WHERE database = pg_catalog.current_database() AND gid LIKE 'ringshard:%'), \
               pg_catalog.pg_is_in_recovery(), pg_catalog.to_regclass('ringshard.committed_transaction') IS NOT NULL";
    let row = only(session.query(sql, &[]).map_err(failed)?, what, shard)?;
    let (prepared, is_standby, has_records): (Vec<String>, bool, bool) = (row.get(0), row.get(1), row.get(2));
    if is_standby {
        let message = format!("cannot {what} on shard `{shard}`: the server is a standby");
        return Err(Error::new(Kind::Failed, message)
            .hint("ringshard shards shows the primaries")
            .on_shard(shard));
    }
    if !has_records {
        return Ok(Found { prepared, records: Vec::new() });
    }
    let rows =
        session.query("SELECT id, shards FROM ringshard.committed_transaction", &[]).map_err(failed)?;
    let found = Found { prepared, records: rows.iter().map(|row| (row.get(0), row.get(1))).collect() };
    if !found.prepared.is_empty() || !found.records.is_empty() {
        session.query("SELECT ringshard.require_confirmed()", &[]).map_err(failed)?;
    }
    Ok(found)
}

/// Asks all shards; with the errors of those that did not answer.
fn look(cluster: &Cluster, failed: &mut Vec<Error>) -> BTreeMap<ShardName, Found> {
    let answers = cluster.shards().on_each(&cluster.shards().names(), |shard, session| found(session, shard));
    let answered = answers.into_iter().filter_map(|(shard, answer)| match answer {
        Ok(found) => Some((shard, found)),
        Err(error) => {
            failed.push(error);
            None
        }
    });
    answered.collect()
}

/// Finishes the transactions on several shards whose process has ended: commits those that have a commit record, and rolls back the
/// others. Shards that do not answer are left for the next time.
pub fn finish(cluster: &Cluster) -> Finished {
    let mut finished = Finished::default();
    let before = look(cluster, &mut finished.failed);
    if before.values().all(|found| found.prepared.is_empty() && found.records.is_empty()) {
        finished.failed.clear();
        return finished;
    }
    for ((id, decider), prepared) in transactions(&before) {
        let ask = || {
            let mut session = cluster.reach(ReadIntent::Primary, &decider)?;
            decide(&mut session, &decider, id, |decision| finish_on(cluster, &prepared, decision))
        };
        // After a failover by somebody else.
        let decided = ask().or_else(|error| match confirm(cluster, &decider) {
            Ok(()) => ask(),
            Err(_) => Err(error),
        });
        match decided.and_then(|(decision, done)| done.map(|()| decision)) {
            Ok(Decision::Committed) => finished.committed.insert(id),
            Ok(Decision::RolledBack) => finished.rolled_back.insert(id),
            Ok(Decision::Open) => finished.at_work.insert(id),
            Err(error) => {
                finished.failed.push(error);
                false
            }
        };
    }
    // A record was written before the others had prepared. So if each of its shards is asked after the record was seen, and none has
    // it prepared, all have committed.
    let after = look(cluster, &mut Vec::new());
    let open: BTreeSet<Uuid> = transactions(&after).into_keys().map(|(id, _)| id).collect();
    let has_answered = |shard: &String| after.keys().any(|name| name.as_str() == shard);
    for (shard, found) in &before {
        for (id, shards) in &found.records {
            if !open.contains(id) && shards.iter().all(has_answered) {
                let forgotten = cluster.shards().checkout(shard).map(|mut session| forget(&mut session, *id));
                log::debug!("Deleted the commit record {id} on shard {shard}: {}", forgotten.is_ok());
            }
        }
    }
    finished
}

/// Rolls back what was prepared by the decision of a shard that is lost, with its commit records. Returns how many transactions; those
/// that another shard has committed already stay committed there.
pub(crate) fn roll_back_undecided(cluster: &Cluster, lost: &ShardName) -> Result<usize> {
    let before = look(cluster, &mut Vec::new());
    let of_lost = transactions(&before).into_iter().filter(|((_, decider), _)| decider == lost);
    let mut count = 0;
    for (_, prepared) in of_lost {
        finish_on(cluster, &prepared, Decision::RolledBack)?;
        count += 1;
    }
    Ok(count)
}

/// Prepared transactions, by id and deciding shard: where each is prepared, and under which name.
type Transactions = BTreeMap<(Uuid, ShardName), Vec<(ShardName, String)>>;

fn transactions(found: &BTreeMap<ShardName, Found>) -> Transactions {
    let mut transactions = Transactions::new();
    for (shard, found) in found {
        for name in &found.prepared {
            if let Some(transaction) = parsed(name) {
                transactions.entry(transaction).or_default().push((shard.clone(), name.clone()));
            }
        }
    }
    transactions
}

fn finish_on(cluster: &Cluster, prepared: &[(ShardName, String)], decision: Decision) -> Result<()> {
    let verb = match decision {
        Decision::Committed => "COMMIT",
        Decision::RolledBack => "ROLLBACK",
        Decision::Open => return Ok(()),
    };
    prepared.iter().try_for_each(|(shard, name)| {
        // The deciding transaction needs a connection of its own.
        let mut session = cluster.shards().checkout(shard)?;
        finish_prepared(&mut session, verb, name)
            .map_err(|cause| sqlstate::doing("finish a prepared transaction", shard, &cause))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_prepared_transactions_are_read_again() {
        let id: Uuid = "a3b1c2d4-0000-4000-8000-000000000007".parse().unwrap();
        let (decider, shard): (ShardName, ShardName) = ("shard_1".parse().unwrap(), "eu-2".parse().unwrap());
        let name = prepared_name(id, &decider, &shard);
        assert_eq!(name, "ringshard:a3b1c2d4-0000-4000-8000-000000000007:shard_1:eu-2");
        assert!(name.len() < 200);
        assert_eq!(parsed(&name), Some((id, decider)));
        for other in ["", "mine", "ringshard", "ringshard:x:shard_1:shard_2", "pgbouncer:1"] {
            assert_eq!(parsed(other), None, "{other}");
        }
    }
}
