//! Applies a statement that cannot run in a transaction. It is recorded before it begins and after it ended, so that the next run
//! knows that it was interrupted, and removes what it left.

use std::thread;

use postgres::types::Type;

use super::apply::{PAUSE, TRIES_MAX, failure, is_worth_another_try, not_stable};
use super::record::{self, ChangeState};
use super::safety;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::schema::SchemaChange;
use crate::model::schema::statement::{Alone, Statement};
use crate::model::table::Tables;
use crate::pg::net::advisory_lock::{self, SCHEMA_CHANGE};
use crate::pg::net::session::Session;
use crate::pg::net::sqlstate;
use crate::pg::rebalance::lock_holder;
use crate::pg::requests::connection::Connection;

/// A change of one statement, on one shard.
struct Work<'a> {
    shard: &'a ShardName,
    change: &'a SchemaChange,
    statement: &'a Statement,
    alone: &'a Alone,
    tables: &'a Tables,
}

/// Applies a change of one statement that cannot run in a transaction, unless the shard has it.
pub(super) fn apply(
    connection: &mut Connection,
    change: &SchemaChange,
    statement: &Statement,
    tables: &Tables,
) -> Result<()> {
    let alone = statement.alone.as_ref().expect("the caller checked it");
    let shard = connection.shard().clone();
    take_lock(connection, &shard)?;
    Work { shard: &shard, change, statement, alone, tables }.apply(connection.session())
}

/// Waits until no earlier run of such a statement is at work: the server goes on with one whose client has ended.
fn take_lock(connection: &mut Connection, shard: &ShardName) -> Result<()> {
    let fail = |cause: postgres::Error| sqlstate::doing("take the lock of schema changes", shard, &cause);
    for _ in 0..TRIES_MAX {
        if advisory_lock::try_lock(connection.session(), SCHEMA_CHANGE).map_err(fail)? {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    let holder = lock_holder::holder(connection, SCHEMA_CHANGE).unwrap_or_else(|| "another session".into());
    Err(Error::new(Kind::Locked, format!("{holder} still runs a change of the schema on shard `{shard}`"))
        .hint("wait until it ends, or end it with pg_terminate_backend; then run this again")
        .on_shard(shard))
}

impl Work<'_> {
    fn apply(&self, session: &mut Session) -> Result<()> {
        let own = |cause: postgres::Error| failure(self.change, None, self.shard, &cause);
        let stable = "SELECT FROM ringshard.meta WHERE status = 'done' AND desired_topology IS NULL";
        if session.query(stable, &[]).map_err(own)?.is_empty() {
            return Err(not_stable(self.shard));
        }
        let recorded = record::read(session, self.shard)?.into_iter().find(|one| one.id == self.change.id);
        let is_resumed = match recorded.map(|recorded| recorded.state) {
            Some(ChangeState::Applied) => return Ok(()),
            Some(ChangeState::Applying) => true,
            None => false,
        };
        self.drop_unfinished(session)?;
        let before = safety::faults(session.client(), self.tables).map_err(own)?;
        if !is_resumed {
            let state = ChangeState::Applying.as_str();
            let change = self.change;
            let parameters: &[_] = &[
                (&change.id as &(dyn postgres::types::ToSql + Sync), Type::UUID),
                (&change.name, Type::TEXT),
                (&change.text, Type::TEXT),
                (&state, Type::TEXT),
            ];
            session.client().execute_typed(record::INSERT, parameters).map_err(own)?;
        }
        if !(is_resumed && self.is_done(session).map_err(own)?) {
            self.run(session)?;
        }
        self.check(session, &before)?;
        let done = "UPDATE ringshard.schema_change SET state = 'applied', changed_at = pg_catalog.now() WHERE id = $1";
        session.query(done, &[(&self.change.id, Type::UUID)]).map_err(own)?;
        Ok(())
    }

    /// Runs the statement. If it fails, what it left is removed, with its record.
    fn run(&self, session: &mut Session) -> Result<()> {
        // VACUUM may lock a table against all others; the other ones wait for older transactions, and nobody waits behind them.
        let is_short = *self.alone == Alone::Vacuum;
        let timeout = if is_short { "SET lock_timeout = '500ms'" } else { "SET lock_timeout = 0" };
        let mut tries = 0;
        let ran = loop {
            let client = session.client();
            match client.batch_execute(timeout).and_then(|()| client.batch_execute(&self.statement.text)) {
                Err(cause) if is_short && tries < TRIES_MAX && is_worth_another_try(&cause) => {
                    tries += 1;
                    thread::sleep(PAUSE);
                }
                ran => break ran,
            }
        };
        let Err(cause) = ran else { return Ok(()) };
        let error = failure(self.change, Some(self.statement), self.shard, &cause);
        if sqlstate::is_lost(&cause) {
            return Err(error);
        }
        self.undo(session)
            .map_err(|left| error.clone().adding(&format!("; and what it left is still there: {left}")))?;
        Err(error)
    }

    /// Fails if a table of the cluster cannot be used any more; then an index that was created is dropped.
    fn check(&self, session: &mut Session, before: &[safety::Fault]) -> Result<()> {
        let own = |cause: postgres::Error| failure(self.change, None, self.shard, &cause);
        let after = safety::faults(session.client(), self.tables).map_err(own)?;
        let Some(error) = safety::refusal(self.change, self.shard, before, &after) else { return Ok(()) };
        if let Alone::CreateIndex { index, table } = self.alone
            && let Some((name, _)) = find_index(session, index, table).map_err(own)?
        {
            drop_index(session, &name).map_err(own)?;
        }
        self.undo(session)?;
        Err(error)
    }

    /// Removes what the statement left, and its record.
    fn undo(&self, session: &mut Session) -> Result<()> {
        self.drop_unfinished(session)?;
        session
            .query("DELETE FROM ringshard.schema_change WHERE id = $1", &[(&self.change.id, Type::UUID)])
            .map_err(|cause| failure(self.change, None, self.shard, &cause))?;
        Ok(())
    }

    /// Whether the statement had its effect before its run was interrupted.
    fn is_done(&self, session: &mut Session) -> Result<bool, postgres::Error> {
        match self.alone {
            Alone::CreateIndex { index, table } => {
                Ok(find_index(session, index, table)?.is_some_and(|(_, is_valid)| is_valid))
            }
            Alone::DropIndex { index } => {
                let rows =
                    session.query("SELECT pg_catalog.to_regclass($1) IS NULL", &[(index, Type::TEXT)])?;
                Ok(rows.first().is_some_and(|row| row.get(0)))
            }
            Alone::Reindex | Alone::Vacuum => Ok(false),
        }
    }

    /// Drops the invalid indexes that an interrupted run left. Fails with `Locked` if one is being built.
    fn drop_unfinished(&self, session: &mut Session) -> Result<()> {
        let own = |cause: postgres::Error| failure(self.change, None, self.shard, &cause);
        let (index, table) = match self.alone {
            Alone::CreateIndex { index, table } => (Some(index), Some(table)),
            Alone::Reindex => (None, None),
            Alone::DropIndex { .. } | Alone::Vacuum => return Ok(()),
        };
        let sql = include_str!("../../../sql/queries/schema/unfinished_indexes.sql");
        let rows = session.query(sql, &[(&index, Type::TEXT), (&table, Type::TEXT)]).map_err(own)?;
        for row in rows {
            let (name, builder): (String, Option<i32>) = (row.get("name"), row.get("builder"));
            if let Some(pid) = builder {
                let message = format!("session {pid} on shard `{}` is building the index {name}", self.shard);
                return Err(Error::new(Kind::Locked, message)
                    .hint("wait until it is built, then run this again")
                    .on_shard(self.shard));
            }
            log::info!("Dropping the invalid index {name} of shard {}, which was left behind", self.shard);
            drop_index(session, &name).map_err(own)?;
        }
        Ok(())
    }
}

/// The quoted name of an index, and whether it is valid.
fn find_index(
    session: &mut Session,
    index: &String,
    table: &String,
) -> Result<Option<(String, bool)>, postgres::Error> {
    let sql = "SELECT i.indexrelid::regclass::text, i.indisvalid \
               FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid \
               WHERE c.relname = (pg_catalog.parse_ident($1))[1]::name AND i.indrelid = pg_catalog.to_regclass($2)";
    let rows = session.query(sql, &[(index, Type::TEXT), (table, Type::TEXT)])?;
    Ok(rows.first().map(|row| (row.get(0), row.get(1))))
}

fn drop_index(session: &mut Session, name: &str) -> Result<(), postgres::Error> {
    session.client().batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"))
}
