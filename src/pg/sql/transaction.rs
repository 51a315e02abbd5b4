//! A transaction of the user, open from one statement to the next: on the owner of the keys that its statements name.

use sqlparser::ast::Statement;

use super::answer::{Answer, Request, SETTINGS_TO_WRITE, command_tag, executed, in_memory, writes};
use super::by_key::{self, Opened, Refusal, prove};
use super::{analysed, check_is_about, is_understood, may_write, no_key};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::sql;
use crate::pg::cluster::Cluster;
use crate::pg::net::sqlstate;
use crate::pg::pool::PooledSession;
use crate::pg::scan::sql::refused;
use crate::pg::two_phase::roll_back;

/// A statement about a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// It begins one.
    Begin,
    /// It commits it.
    Commit,
    /// It rolls it back.
    RollBack,
    /// About a savepoint.
    Savepoint,
    /// Ends it, and would begin the next one.
    Chain,
}

/// What a statement is about a transaction; `None` for any other one.
pub fn control(text: &str) -> Option<Control> {
    match sql::parse(text).ok()? {
        Statement::StartTransaction { statements, .. } if statements.is_empty() => Some(Control::Begin),
        Statement::Commit { chain: false, .. } => Some(Control::Commit),
        Statement::Rollback { chain: false, savepoint: None } => Some(Control::RollBack),
        Statement::Commit { .. } | Statement::Rollback { chain: true, .. } => Some(Control::Chain),
        Statement::Rollback { .. } | Statement::Savepoint { .. } | Statement::ReleaseSavepoint { .. } => {
            Some(Control::Savepoint)
        }
        _ => None,
    }
}

/// An open transaction. Dropping it rolls it back.
pub struct Transaction {
    /// What begins it.
    begin: String,
    /// Its shard, once a statement has named a key.
    on: Option<(ShardName, PooledSession)>,
    /// Whether a statement in it has failed, so that it cannot be committed.
    has_failed: bool,
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some((_, session)) = &mut self.on {
            roll_back(session);
        }
    }
}

impl Transaction {
    /// Begins one, on no shard yet: `text` is what the user has typed.
    ///
    /// Fails for a transaction that could not prove that its shard owns a key: that takes a lock on the arc in an older snapshot.
    pub fn begin(text: &str) -> Result<Self> {
        let words = text.to_ascii_uppercase();
        if words.contains("READ ONLY")
            && ["REPEATABLE", "SERIALIZABLE"].iter().any(|level| words.contains(level))
        {
            let message =
                "a READ ONLY transaction of this isolation level cannot prove that its shard owns a key";
            return Err(Error::new(Kind::Usage, message).hint("leave out READ ONLY, or the isolation level"));
        }
        let text = text.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
        // A comment may end the text.
        Ok(Self { begin: format!("{text}\n; {SETTINGS_TO_WRITE}"), on: None, has_failed: false })
    }

    /// Makes it refuse what writes, also in functions.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.begin += "; SET TRANSACTION READ ONLY";
        self
    }

    /// The shard that it is on, and whether it can only be rolled back.
    pub fn state(&self) -> (Option<&ShardName>, bool) {
        (self.on.as_ref().map(|(shard, _)| shard), self.has_failed)
    }

    /// Runs a statement in it. As in Postgres, one that fails lets the transaction fail.
    pub fn run(&mut self, cluster: &Cluster, request: &Request<'_>) -> Result<Answer> {
        if self.has_failed {
            return Err(Error::new(
                Kind::Usage,
                "a statement of the transaction has failed, so it can only be rolled back",
            )
            .hint("ROLLBACK; ends it"));
        }
        self.run_next(cluster, request).inspect_err(|_| self.fail())
    }

    /// Lets it fail at the server, too, which knows to which savepoints it may go back.
    fn fail(&mut self) {
        self.has_failed = true;
        if let Some((_, session)) = &mut self.on {
            let _ = session.client().batch_execute("SELECT pg_catalog.int4div(1, 0)");
        }
    }

    fn run_next(&mut self, cluster: &Cluster, request: &Request<'_>) -> Result<Answer> {
        let sql = request.sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
        let keys = self.keys(cluster, request)?;
        let (shard, (columns, rows), count) = match &mut self.on {
            None => {
                let opened = by_key::open(cluster, &self.begin, sql, &keys)?;
                let Opened { shard, session, table, count } = opened;
                self.on = Some((shard.clone(), session));
                (shard, table, count)
            }
            Some((shard, session)) => {
                let done = prove(session, &keys, cluster.view().epoch).and_then(|()| executed(session, sql));
                match done {
                    Ok((table, count)) => (shard.clone(), table, count),
                    Err(cause) => {
                        let error = failed(shard, &cause);
                        if sqlstate::is_lost(&cause) {
                            session.spoil();
                        }
                        return Err(error);
                    }
                }
            }
        };
        let done = may_write(sql)
            .then(|| format!("{} on shard {shard}, not yet committed", command_tag(sql, count)));
        Ok(in_memory(columns, rows, done))
    }

    /// The keys that the statement names; none for one that may run on any shard, if the transaction is on one.
    fn keys(&self, cluster: &Cluster, request: &Request<'_>) -> Result<Vec<String>> {
        if !request.per_shard.is_empty() || request.all_shards || request.gather.is_some() {
            return Err(Error::new(Kind::Usage, "a transaction is on one shard")
                .hint("leave the option out, or COMMIT; first"));
        }
        let view = cluster.view();
        let tables = view.topology.tables();
        let statement = sql::parse(request.sql).map_err(|why| {
            Error::new(Kind::Usage, format!("it is not known where the statement belongs: {why}"))
        });
        if let Some(key) = request.key {
            let key = super::canonical(tables, key)?;
            if may_write(request.sql) {
                check_is_about(tables, statement.as_ref().ok(), &key)?;
            }
            return Ok(vec![key]);
        }
        let statement = statement.map_err(|error| error.hint("--key KEY says it"))?;
        let about = match &statement {
            Statement::Explain { statement, .. } => &**statement,
            statement => statement,
        };
        let found = analysed(tables, about, &std::collections::BTreeSet::new());
        let is_plain = is_understood(&found);
        match found.keys {
            Some(keys) if is_plain => Ok(keys),
            _ if writes(about) => {
                super::check_changes_rows("", Some(about))?;
                Err(no_key())
            }
            _ if found.names_sharded || !is_plain => Err(Error::new(
                Kind::Usage,
                "a transaction is on one shard, and the query names no sharding key that is a constant",
            )
            .hint("name it, as in WHERE user_id = 42; or --key KEY for all rows of its shard")),
            _ if self.on.is_none() => {
                Err(Error::new(Kind::Usage, "the transaction is on no shard yet, and the query names no key")
                    .hint("begin with a statement that names a key, or add --key KEY"))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Runs a statement about a savepoint.
    pub fn savepoint(&mut self, sql: &str) -> Result<Answer> {
        let Some((shard, session)) = &mut self.on else {
            return Err(Error::new(
                Kind::Usage,
                "the transaction is on no shard yet, so it has no savepoints",
            )
            .hint("begin with a statement that names a key"));
        };
        match executed(session, sql) {
            Ok(((columns, rows), _)) => {
                // Only ROLLBACK TO can be carried out behind a failure.
                self.has_failed = false;
                Ok(in_memory(columns, rows, None))
            }
            Err(cause) => {
                self.has_failed = true;
                Err(failed(shard, &cause))
            }
        }
    }

    /// Commits it; one that has failed is rolled back, which is an error.
    pub fn commit(mut self) -> Result<Answer> {
        if self.has_failed {
            let message = "the transaction is rolled back, as a statement of it has failed";
            return Err(Error::new(Kind::Failed, message).hint("its error says why; run all of it again"));
        }
        let on = self.on.take();
        let said = match on {
            None => "COMMIT of nothing".to_owned(),
            Some((shard, mut session)) => {
                by_key::commit(&mut session, "the transaction", &shard)?;
                log::info!("Committed a transaction to shard {shard}");
                format!("COMMIT on shard {shard}")
            }
        };
        Ok(Answer::said(&said))
    }

    /// Rolls it back.
    pub fn roll_back(self) -> Answer {
        let on = self.on.as_ref().map_or_else(String::new, |(shard, _)| format!(" on shard {shard}"));
        Answer::said(&format!("ROLLBACK{on}"))
    }
}

/// The error of a statement in a transaction.
fn failed(shard: &ShardName, cause: &postgres::Error) -> Error {
    match Refusal::of(cause) {
        Some(Refusal { is_moving: false, key: Some(key), owner: Some(owner), .. }) => {
            let message =
                format!("the transaction is on shard `{shard}`, and the key `{key}` is on `{owner}`");
            Error::new(Kind::Usage, message)
                .hint("ROLLBACK; then write a transaction for the keys of each shard")
                .on_shard(shard)
        }
        _ if sqlstate::is_lost(cause) => {
            sqlstate::doing("run the statement", shard, cause).adding("; the transaction is rolled back")
        }
        _ => refused(shard, cause),
    }
}
