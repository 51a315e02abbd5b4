//! A statement that writes on all shards: each in one transaction, all of them committed or none.
//!
//! Each transaction takes the barrier of its shard before anything is read, so no arc leaves a shard from then on. Once no chunk is
//! between two shards either, each row is on exactly one of them, and stays there to the end. The argument:
//! docs/internals/transactions.md.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use sqlparser::ast::Statement;

use super::answer::{Answer, BEGIN_TO_WRITE, Table, command_tag, executed, in_memory};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::report::Cell;
use crate::model::ring::arc::{Arc, ShardArc, without};
use crate::model::ring::coverage::Coverage;
use crate::model::ring::position::Position;
use crate::model::sql::writes::{Everywhere, everywhere, with_rows};
use crate::model::table::Tables;
use crate::pg::cluster::Cluster;
use crate::pg::net::advisory_lock::{ALL_SHARDS, BARRIER};
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::rebalance::finish_chunk;
use crate::pg::requests::confirm::confirm;
use crate::pg::rows::router::FENCE_PATIENCE;
use crate::pg::scan::snapshot::{Held, held_of};
use crate::pg::scan::sql::refused;
use crate::pg::two_phase::{self, Participant, roll_back_all};
use crate::threads;

/// The pause before the shards are asked again.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a mover has to complete a chunk before it is completed here.
const MOVER_PATIENCE: Duration = Duration::from_secs(1);
/// How often the statement is run again because of a conflict.
const CONFLICTS_MAX: u32 = 3;

/// What one attempt came to.
enum Attempt {
    Done(Answer),
    /// The shards are to be asked again.
    Again,
    Conflict(Error),
}

/// Runs a statement that writes on all shards.
pub(super) fn run(cluster: &Cluster, sql: &str, statement: &Statement) -> Result<Answer> {
    let sql = sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    let (begun, mut conflicts) = (Instant::now(), 0);
    // Of a shard that is to join, a plan tells.
    cluster.refresh()?;
    // A transaction that was left prepared may be in the way; if not, this does not need it.
    two_phase::finish(cluster);
    loop {
        let tables = cluster.view().topology.tables().clone();
        let how = check(&tables, statement)?;
        match attempt(cluster, sql, statement, &how, &tables)? {
            Attempt::Done(answer) => return Ok(answer),
            Attempt::Again if begun.elapsed() > FENCE_PATIENCE => {
                return Err(Error::new(Kind::Locked, "rows are between two shards, and do not arrive")
                    .hint("ringshard status shows the progress; then run this again"));
            }
            Attempt::Again => {}
            Attempt::Conflict(error) => {
                conflicts += 1;
                if conflicts > CONFLICTS_MAX {
                    return Err(error);
                }
            }
        }
        cluster.shards().active_sessions().check()?;
        thread::sleep(PAUSE);
        cluster.refresh()?;
    }
}

/// How a statement runs on all shards; an error if it cannot.
pub(super) fn check(tables: &Tables, statement: &Statement) -> Result<Everywhere> {
    everywhere(tables, statement).map_err(|why| {
        Error::new(Kind::Usage, format!("the statement cannot run on all shards: {why}")).hint(
            "write it so that each shard can run it by itself, or name the key, as in WHERE user_id = 42",
        )
    })
}

fn attempt(
    cluster: &Cluster,
    sql: &str,
    statement: &Statement,
    how: &Everywhere,
    tables: &Tables,
) -> Result<Attempt> {
    let is_reference = matches!(how, Everywhere::Reference(_));
    let mut participants = Vec::new();
    // A shard that will join has the reference tables already.
    let all = if is_reference { cluster.belonging() } else { cluster.holding() };
    for (shard, session) in
        cluster.shards().checkout_each_for(ReadIntent::Primary, &all, |_, session| Ok(session))
    {
        participants.push(Participant { shard, session: session? });
    }
    let Some(first) = participants.first_mut() else {
        return Err(Error::new(Kind::Configuration, "no shard is configured").hint("ringshard init-shards"));
    };
    // Two of these at once, each behind a row of the other on another shard, would wait for ever.
    let locked = begin(&mut first.session, "").and_then(|()| {
        first
            .session
            .client()
            .batch_execute(&format!("SELECT pg_catalog.pg_advisory_xact_lock({ALL_SHARDS})"))
    });
    let first = first.shard.clone();
    let holding = cluster.holding();
    let joining: BTreeSet<ShardName> = all.iter().filter(|name| !holding.contains(name)).cloned().collect();
    let opened = match locked {
        Ok(()) => open(cluster, &mut participants, &joining),
        Err(cause) => Err(Failure::Server(first, cause)),
    };
    let outcome = opened.and_then(|owners| match owners {
        None => Ok(None),
        Some(_) if *cluster.view().topology.tables() != *tables => Ok(None),
        Some(owners) => {
            let texts = texts(sql, statement, how, &owners, &participants);
            execute(&mut participants, &texts, how).map(Some)
        }
    });
    match outcome {
        Ok(Some(tables)) => committed(cluster, participants, tables, sql, how).map(Attempt::Done),
        Ok(None) => {
            roll_back_all(participants);
            Ok(Attempt::Again)
        }
        Err(failure) => {
            roll_back_all(participants);
            match failure {
                Failure::Local(error) => Err(error),
                Failure::Server(shard, cause)
                    if sqlstate::is_lost(&cause) || sqlstate::is_worth_repeating(&cause) =>
                {
                    Ok(Attempt::Conflict(sqlstate::doing("run the statement", &shard, &cause)))
                }
                Failure::Server(shard, cause) => Err(refused(&shard, &cause)),
            }
        }
    }
}

/// Why an attempt failed before anything was committed.
enum Failure {
    Server(ShardName, postgres::Error),
    Local(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Local(error)
    }
}

fn begin(session: &mut Session, then: &str) -> Result<(), postgres::Error> {
    if !session.is_in_transaction() {
        session.client().batch_execute(BEGIN_TO_WRITE)?;
        session.set_in_transaction(true);
    }
    session.client().batch_execute(then)
}

/// Does the same in all transactions at once.
fn on_all<T: Send>(
    participants: &mut [Participant],
    work: impl Fn(&ShardName, &mut Session) -> Result<T, postgres::Error> + Sync,
) -> Result<Vec<(ShardName, T)>, Failure> {
    let answers = threads::at_once(participants, |participant| {
        let answer = work(&participant.shard, &mut participant.session);
        answer
            .map(|answer| (participant.shard.clone(), answer))
            .map_err(|cause| (participant.shard.clone(), cause))
    });
    answers.into_iter().collect::<Result<_, _>>().map_err(|(shard, cause)| Failure::Server(shard, cause))
}

/// Takes the barrier on each shard, and waits until no chunk is between two of them. Returns who owns what then; `None` if the shards are
/// to be asked again.
fn open(
    cluster: &Cluster,
    participants: &mut Vec<Participant>,
    joining: &BTreeSet<ShardName>,
) -> Result<Option<Coverage>, Failure> {
    let take = format!("SELECT pg_catalog.pg_advisory_xact_lock_shared({BARRIER})");
    on_all(participants, |_, session| begin(session, &take))?;
    let begun = Instant::now();
    loop {
        // Each statement sees what has been committed before it.
        let read = on_all(participants, |shard, session| {
            // One that will join has no arcs.
            let holds = !joining.contains(shard);
            let sql = include_str!("../../../sql/queries/snapshot.sql");
            holds.then(|| session.client().query_typed(sql, &[])).transpose()
        })?;
        let known = cluster.view().epoch;
        let (mut arcs, mut epochs) = (BTreeMap::<ShardName, Vec<ShardArc>>::new(), Vec::new());
        for (shard, rows) in read {
            let Some(rows) = rows else { continue };
            let row = only(rows, "read the arcs", &shard)?;
            cluster.check_row(&shard, &row)?;
            let Held { epoch, arcs: held, is_confirmed, left_behind } = held_of(&row, &shard)?;
            if !is_confirmed {
                // A pool may have only one connection.
                roll_back_all(participants.drain(..));
                confirm(cluster, &shard)?;
                return Ok(None);
            }
            let own: Vec<Arc> = held.iter().map(|held| held.arc).collect();
            if !without(&left_behind, &own).is_empty() {
                let message = format!(
                    "shard `{shard}` still has rows that it gave away, which the statement would change"
                );
                return Err(Error::new(Kind::Conflict, message)
                    .hint("ringshard verify shows them, and what to do")
                    .on_shard(&shard)
                    .into());
            }
            epochs.push((shard.clone(), epoch));
            arcs.insert(shard, held);
        }
        // Another server may have taken the place of one; or this process does not know the newest topology, and so perhaps not the
        // tables.
        let server = |shard: &ShardName| {
            participants
                .iter()
                .find(|of| of.shard == *shard)
                .map(|of| std::sync::Arc::clone(of.session.server()))
        };
        let suspect = epochs.iter().find_map(|(shard, epoch)| {
            let server = server(shard)?;
            (*epoch > known || *epoch < cluster.least_epoch(&server)).then_some((server, *epoch))
        });
        if let Some((server, epoch)) = suspect {
            roll_back_all(participants.drain(..));
            cluster.examine(&server, epoch)?;
            return Ok(None);
        }
        let coverage = Coverage::of(&arcs);
        let fenced = arcs.iter().find_map(|(shard, held)| {
            held.iter().find(|held| !held.is_owned()).map(|held| (shard.clone(), held.arc.first()))
        });
        let Some((shard, position)) = fenced else {
            let is_whole = coverage.gaps().is_empty() && coverage.twice().is_empty();
            // The snapshots have switched it off.
            let limit = "SET LOCAL statement_timeout TO DEFAULT";
            on_all(participants, |_, session| session.client().batch_execute(limit))?;
            return Ok(is_whole.then_some(coverage));
        };
        if begun.elapsed() > FENCE_PATIENCE {
            return Ok(None);
        }
        if begun.elapsed() > MOVER_PATIENCE {
            finish_chunk(cluster, &shard, position)?;
        }
        cluster.shards().active_sessions().check()?;
        thread::sleep(PAUSE);
    }
}

/// What each shard runs; a shard without a row of an INSERT runs nothing.
fn texts(
    sql: &str,
    statement: &Statement,
    how: &Everywhere,
    owners: &Coverage,
    participants: &[Participant],
) -> BTreeMap<ShardName, String> {
    let all = |text: &str| participants.iter().map(|of| (of.shard.clone(), text.to_owned())).collect();
    match how {
        Everywhere::Same => all(sql),
        Everywhere::Reference(statement) => all(&statement.to_string()),
        Everywhere::Rows(keys) => {
            let mut rows: BTreeMap<ShardName, BTreeSet<usize>> = BTreeMap::new();
            for (at, key) in keys.iter().enumerate() {
                if let Some(route) = owners.route(Position::of_key(key)) {
                    rows.entry(route.shard.clone()).or_default().insert(at);
                }
            }
            let of_shard = |(shard, rows)| Some((shard, with_rows(statement, &rows)?.to_string()));
            rows.into_iter().filter_map(of_shard).collect()
        }
    }
}

/// Runs the statement on all shards at once. The changed rows of a reference table must be the same on all of them.
fn execute(
    participants: &mut [Participant],
    texts: &BTreeMap<ShardName, String>,
    how: &Everywhere,
) -> Result<Vec<(ShardName, Table, u64)>, Failure> {
    let done = on_all(participants, |shard, session| {
        texts.get(shard).map(|text| executed(session, text)).transpose()
    })?;
    let mut done: Vec<(ShardName, Table, u64)> = done
        .into_iter()
        .filter_map(|(shard, done)| done.map(|(table, count)| (shard, table, count)))
        .collect();
    if matches!(how, Everywhere::Reference(_)) {
        let mut first: Option<(ShardName, Vec<String>)> = None;
        for (shard, (columns, rows), _) in &mut done {
            columns.pop();
            let mut written: Vec<String> = rows.iter_mut().map(|row| format!("{:?}", row.pop())).collect();
            written.sort_unstable();
            match &first {
                None => first = Some((shard.clone(), written)),
                Some((_, same)) if *same == written => {}
                Some((other, _)) => {
                    let message = format!(
                        "the shards `{other}` and `{shard}` would have other rows in a table that is the same on all of them"
                    );
                    return Err(Failure::Local(
                        Error::new(Kind::Conflict, message)
                            .hint("write values as constants, where a default or a function has another value on each shard; ringshard verify compares the tables")
                            .on_shard(shard),
                    ));
                }
            }
        }
    }
    Ok(done)
}

/// Commits, and makes the answer.
fn committed(
    cluster: &Cluster,
    participants: Vec<Participant>,
    done: Vec<(ShardName, Table, u64)>,
    sql: &str,
    how: &Everywhere,
) -> Result<Answer> {
    let (mut participants, idle): (Vec<_>, Vec<_>) =
        participants.into_iter().partition(|of| done.iter().any(|(shard, ..)| *shard == of.shard));
    roll_back_all(idle);
    let two_phases = match can_prepare(&mut participants) {
        Ok(can) => can,
        Err(error) => {
            roll_back_all(participants);
            return Err(error);
        }
    };
    if two_phases || participants.len() == 1 {
        two_phase::commit(cluster, participants)?;
    } else {
        one_after_the_other(participants)?;
    }
    let is_reference = matches!(how, Everywhere::Reference(_));
    let counts: Vec<u64> = done.iter().map(|(.., count)| *count).collect();
    let total = if is_reference { counts.first().copied().unwrap_or(0) } else { counts.iter().sum() };
    let names: Vec<String> = done
        .iter()
        .map(|(shard, _, count)| if is_reference { shard.to_string() } else { format!("{shard}: {count}") })
        .collect();
    let mut note = format!("{} on {} shards ({})", command_tag(sql, total), names.len(), names.join(", "));
    if !two_phases && names.len() > 1 {
        note += "; one transaction after the other, as max_prepared_transactions is 0";
    }
    log::info!("Committed a statement to {} shards", names.len());
    let mut done = done.into_iter();
    let (columns, mut rows) = done.next().map_or_else(Default::default, |(_, table, _)| table);
    if !is_reference {
        rows.extend(done.flat_map(|(_, (_, rows), _)| rows));
    }
    let rows: Vec<Vec<Cell>> = rows;
    Ok(in_memory(columns, rows, Some(note)))
}

/// Whether each server can prepare transactions.
fn can_prepare(participants: &mut [Participant]) -> Result<bool> {
    let sql = "SELECT pg_catalog.current_setting('max_prepared_transactions')::integer > 0";
    let can = on_all(participants, |_, session| {
        let rows = session.client().query_typed(sql, &[])?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    });
    match can {
        Ok(can) => Ok(can.into_iter().all(|(_, can)| can)),
        Err(Failure::Local(error)) => Err(error),
        Err(Failure::Server(shard, cause)) => Err(sqlstate::doing("read a setting", &shard, &cause)),
    }
}

/// Commits one transaction after the other. If one of them fails, those before it stay.
fn one_after_the_other(participants: Vec<Participant>) -> Result<()> {
    let mut committed: Vec<String> = Vec::new();
    let mut left = participants.into_iter();
    while let Some(Participant { shard, mut session }) = left.next() {
        let done = session.client().batch_execute("COMMIT");
        session.set_in_transaction(false);
        let Err(cause) = done else {
            committed.push(format!("`{shard}`"));
            continue;
        };
        session.spoil();
        let others: Vec<String> = left.as_slice().iter().map(|other| format!("`{}`", other.shard)).collect();
        roll_back_all(left);
        let error = sqlstate::doing("commit the statement", &shard, &cause);
        if committed.is_empty() && !sqlstate::is_lost(&cause) && cause.code().is_some() {
            return Err(error);
        }
        let mut message = error.message().to_owned();
        if sqlstate::is_lost(&cause) || cause.code().is_none() {
            message += "; its outcome there is unknown";
        }
        for (what, shards) in [("committed", committed), ("rolled back", others)] {
            if !shards.is_empty() {
                message = format!("{message}; {what} on {}", shards.join(", "));
            }
        }
        return Err(Error::new(Kind::Partial, message)
            .hint("read the rows before this is run again; with max_prepared_transactions above 0 on each server it would be all or nothing")
            .on_shard(&shard));
    }
    Ok(())
}
