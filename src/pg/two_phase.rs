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
#[derive(Debug, Default, PartialEq, Eq)]
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
    match session.client().batch_execute(&format!("{verb} PREPARED '{name}'")) {
        Err(cause) if cause.code() == Some(&SqlState::UNDEFINED_OBJECT) => Ok(()),
        result => result,
    }
}

/// Commits an open transaction on each of these shards: on all or on none. The first one decides. Returns the shards that will commit
/// only when `finish` reaches them.
pub(crate) fn commit(cluster: &Cluster, participants: Vec<Participant>) -> Result<Vec<Error>> {
    let mut participants = participants;
    let mut others = participants.split_off(1);
    let mut decider = participants.remove(0);
    let record =
        "INSERT INTO ringshard.committed_transaction (id) VALUES (pg_catalog.gen_random_uuid()) RETURNING id";
    let recorded = decider.session.client().query_typed(record, &[]);
    let id: Uuid = match recorded {
        Ok(rows) => only(rows, "record the commit", &decider.shard)?.get(0),
        Err(cause) => {
            let error = sqlstate::doing("record the commit", &decider.shard, &cause);
            roll_back_all(std::iter::once(decider).chain(others));
            return Err(error);
        }
    };
    let name = |shard: &ShardName| prepared_name(id, &decider.shard, shard);
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
    let decision = match &decided {
        Ok(()) => Decision::Committed,
        Err(cause) if sqlstate::is_lost(cause) || cause.code().is_none() => {
            decider.session.spoil();
            decided_meanwhile(cluster, &decider.shard, id)
        }
        Err(_) => Decision::RolledBack,
    };
    let verb = match decision {
        Decision::Committed => "COMMIT",
        Decision::RolledBack => "ROLLBACK",
        Decision::Open => {
            let message = format!(
                "the connection to shard `{}` was lost while it committed; the outcome is unknown",
                decider.shard
            );
            return Err(Error::new(Kind::Partial, message)
                .hint("ringshard doctor finishes the transaction on all shards once that one answers")
                .on_shard(&decider.shard));
        }
    };
    let left: Vec<Error> = threads::at_once(&mut others, |other| {
        let done = finish_prepared(&mut other.session, verb, &name(&other.shard));
        failpoint::point(Side::After, "finish");
        let Err(cause) = done else { return None };
        other.session.spoil();
        let again = cluster
            .reach(ReadIntent::Primary, &other.shard)
            .is_ok_and(|mut session| finish_prepared(&mut session, verb, &name(&other.shard)).is_ok());
        (!again).then(|| sqlstate::doing("finish the transaction", &other.shard, &cause))
    })
    .into_iter()
    .flatten()
    .collect();
    if decision == Decision::RolledBack {
        let cause =
            decided.err().map_or_else(String::new, |cause| format!(": {}", sqlstate::message_of(&cause)));
        let message =
            format!("cannot commit on shard `{}`{cause}; nothing was changed on any shard", decider.shard);
        return Err(Error::new(Kind::Failed, message).on_shard(&decider.shard));
    }
    if left.is_empty() && !decider.session.is_closed() {
        // A record that stays is deleted by `finish`.
        let _ = forget(&mut decider.session, id);
    }
    Ok(left)
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
    session.client().batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '2s'; SELECT ringshard.require_confirmed()")
        .map_err(|cause| failed(&cause))?;
    session.set_in_transaction(true);
    let sql =
        "INSERT INTO ringshard.committed_transaction (id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id";
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

/// What a shard has of such transactions: the names of the prepared ones, and its commit records.
#[derive(Default)]
struct Found {
    prepared: Vec<String>,
    records: Vec<Uuid>,
}

fn found(session: &mut Session, shard: &ShardName) -> Result<Found> {
    let sql = "SELECT ARRAY(SELECT gid FROM pg_catalog.pg_prepared_xacts \
               WHERE database = pg_catalog.current_database() AND gid LIKE 'ringshard:%'), \
               ARRAY(SELECT id FROM ringshard.committed_transaction)";
    let rows = session
        .query(sql, &[])
        .map_err(|cause| sqlstate::doing("list prepared transactions", shard, &cause))?;
    let row = only(rows, "list prepared transactions", shard)?;
    Ok(Found { prepared: row.get(0), records: row.get(1) })
}

/// Finishes the transactions on several shards whose process has ended: commits those that have a commit record, and rolls back the
/// others. Shards that do not answer are left for the next time.
pub fn finish(cluster: &Cluster) -> Finished {
    let mut finished = Finished::default();
    let names = cluster.shards().names();
    let mut is_complete = true;
    let mut look = |finished: &mut Finished| -> BTreeMap<ShardName, Found> {
        let answers = cluster.shards().on_each(&names, |shard, session| found(session, shard));
        answers
            .into_iter()
            .filter_map(|(shard, answer)| match answer {
                Ok(found) => Some((shard, found)),
                Err(error) => {
                    is_complete = false;
                    finished.failed.push(error);
                    None
                }
            })
            .collect()
    };
    let before = look(&mut finished);
    if before.values().all(|found| found.prepared.is_empty() && found.records.is_empty()) {
        finished.failed.clear();
        return finished;
    }
    let mut transactions: BTreeMap<(Uuid, ShardName), Vec<(&ShardName, &String)>> = BTreeMap::new();
    for (shard, found) in &before {
        for name in &found.prepared {
            if let Some(transaction) = parsed(name) {
                transactions.entry(transaction).or_default().push((shard, name));
            }
        }
    }
    for ((id, decider), prepared) in transactions {
        let finish_all = |decision| {
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
        };
        let decided = cluster
            .reach(ReadIntent::Primary, &decider)
            .and_then(|mut session| decide(&mut session, &decider, id, finish_all));
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
    // A record was written before the others had prepared: if none has it prepared now, after it was seen, all have committed.
    let after = look(&mut finished);
    if is_complete {
        let open: BTreeSet<Uuid> = after
            .values()
            .flat_map(|found| found.prepared.iter().filter_map(|name| Some(parsed(name)?.0)))
            .collect();
        for (shard, found) in &before {
            for id in found.records.iter().filter(|id| !open.contains(id)) {
                let forgotten = cluster.shards().checkout(shard).map(|mut session| forget(&mut session, *id));
                log::debug!("Deleted the commit record {id} on shard {shard}: {}", forgotten.is_ok());
            }
        }
    }
    finished
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
