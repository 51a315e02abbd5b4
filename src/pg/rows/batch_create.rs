//! A batch of creates: one transaction on each shard, all users or none.
//!
//! On any problem nothing is stored, and the caller creates the users one by one, which reports the problem of each. Only if
//! a COMMIT is not answered may a part of the users be stored.

use std::collections::BTreeMap;

use postgres::types::Type;
use uuid::Uuid;

use super::errors::{not_as_requested, unknown};
use super::router::{LostConnection, Router};
use crate::error::Error;
use crate::model::names::{ClusterId, ShardName};
use crate::model::ring::key::Key;
use crate::model::ring::position::Position;
use crate::model::ring::topology::Epoch;
use crate::model::user::User;
use crate::pg::catalog::CATALOG_VERSION;
use crate::pg::net::sqlstate;
use crate::pg::pool::PooledSession;
use crate::pg::pool::read_routing::ReadIntent;
use crate::threads;

/// Ends the transaction. The guard is active again for a deferred trigger that runs at the commit.
const COMMIT: &str = "SET LOCAL ringshard.guard TO DEFAULT; COMMIT";

/// The result of a batch of creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchOutcome {
    /// All are stored, durably.
    Stored,
    /// None is stored: [`Router::create_user`] reports why, user by user.
    NotStored,
    /// A shard did not answer a commit. One outcome for each user, in order.
    Partial(Vec<UserOutcome>),
}

/// The outcome of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserOutcome {
    /// It is stored.
    Stored,
    /// It was certainly not stored: [`Router::create_user`] may try again.
    Absent,
    /// The outcome is unknown, or the user was stored and changed since.
    Failed(Error),
}

/// The users of one shard, with a connection.
struct ShardPart<'a> {
    shard: &'a ShardName,
    session: PooledSession,
    /// The indexes of its users, in the order of their ids, so that two batches on one shard cannot deadlock.
    indexes: Vec<usize>,
    /// True from before BEGIN until the server has confirmed the end of the transaction.
    is_open: bool,
}

/// What must hold of a shard for its part to be stored.
#[derive(Clone, Copy)]
struct Proof {
    cluster: Option<ClusterId>,
    epoch: Epoch,
}

/// A commit whose outcome is unknown.
struct Unanswered {
    lost: LostConnection,
    cause: postgres::Error,
    transaction: String,
    indexes: Vec<usize>,
}

impl Drop for ShardPart<'_> {
    fn drop(&mut self) {
        // A session with an open transaction must not be reused.
        if self.is_open {
            self.session.spoil();
        }
    }
}

impl Router<'_> {
    /// Stores up to some hundreds of new users, each on its owner, durably, with one transaction on each shard: all or none.
    /// Nothing is stored if one of them exists, is given twice, or is being moved to another shard.
    pub fn create_users(&self, users: &[User]) -> BatchOutcome {
        let view = self.0.view();
        let mut owners: BTreeMap<&ShardName, Vec<usize>> = BTreeMap::new();
        for (index, user) in users.iter().enumerate() {
            owners.entry(view.ring().owner(Position::of_user(user.user_id))).or_default().push(index);
        }
        let proof = Proof { cluster: self.0.id(), epoch: view.epoch };
        let batch = match self.open_parts(users, owners) {
            Ok(parts) => self.store(users, parts, proof),
            Err(error) => {
                log::debug!("Could not begin to store {} users together: {error}", users.len());
                return BatchOutcome::NotStored;
            }
        };
        let end = match &batch {
            BatchOutcome::Stored => "all",
            BatchOutcome::NotStored => "none",
            BatchOutcome::Partial(_) => "not all",
        };
        log::debug!("Stored {end} of {} users together", users.len());
        batch
    }

    /// Connects to all owners, one after the other in the order of their names, so that two batches that share a small pool
    /// cannot deadlock.
    fn open_parts<'a>(
        &self,
        users: &[User],
        owners: BTreeMap<&'a ShardName, Vec<usize>>,
    ) -> Result<Vec<ShardPart<'a>>, Error> {
        let open = |(shard, mut indexes): (&'a ShardName, Vec<usize>)| {
            indexes.sort_unstable_by_key(|index| users[*index].user_id);
            Ok(ShardPart { shard, session: self.0.shards().checkout(shard)?, indexes, is_open: false })
        };
        owners.into_iter().map(open).collect()
    }

    fn store(&self, users: &[User], mut parts: Vec<ShardPart<'_>>, proof: Proof) -> BatchOutcome {
        let stored = threads::at_once(&mut parts, |part| part.store(users, proof));
        // The transaction ids, if all parts stored all their users.
        let transactions: Option<Vec<String>> =
            stored.into_iter().zip(&parts).map(|(stored, part)| part.transaction_of(stored)).collect();
        let Some(transactions) = transactions else {
            self.undo(parts);
            return BatchOutcome::NotStored;
        };
        let ends = threads::at_once(&mut parts, |part| part.end(COMMIT));
        let mut unanswered = Vec::new();
        for ((part, transaction), end) in parts.into_iter().zip(transactions).zip(ends) {
            if let Err(cause) = end {
                let (lost, indexes) = (part.lost(&cause), part.indexes.clone());
                unanswered.push(Unanswered { lost, cause, transaction, indexes });
            }
        }
        if unanswered.is_empty() {
            return BatchOutcome::Stored;
        }
        // All connections were returned by now: a pool may have only one.
        let mut outcomes = vec![UserOutcome::Stored; users.len()];
        for commit in &unanswered {
            self.settle_commit(users, commit, &mut outcomes);
        }
        let all = |one: &UserOutcome| outcomes.iter().all(|outcome| outcome == one);
        if all(&UserOutcome::Stored) {
            BatchOutcome::Stored
        } else if all(&UserOutcome::Absent) {
            BatchOutcome::NotStored
        } else {
            BatchOutcome::Partial(outcomes)
        }
    }

    /// Rolls all transactions back. One whose connection was lost cannot commit, but its session may hold locks until the
    /// server notices, and block the next create: so it is ended.
    fn undo(&self, mut parts: Vec<ShardPart<'_>>) {
        let ends = threads::at_once(&mut parts, |part| part.end("ROLLBACK"));
        let lost: Vec<LostConnection> = parts
            .into_iter()
            .zip(ends)
            .filter_map(|(part, end)| end.err().map(|cause| part.lost(&cause)))
            .collect();
        for lost in lost {
            if let Err(error) = self.end_session(&lost) {
                log::debug!("Could not end a lost session: {error}");
            }
        }
    }

    /// Determines the outcome of a commit. First its session is ended, so that the outcome is final. Then the server knows
    /// whether the transaction was rolled back; otherwise the users are read.
    fn settle_commit(&self, users: &[User], commit: &Unanswered, outcomes: &mut [UserOutcome]) {
        let Unanswered { lost, cause, transaction, indexes } = commit;
        log::debug!(
            "The commit of {} users on shard {} was not answered: {cause}",
            indexes.len(),
            lost.shard
        );
        let mut has_ended = self.end_session(lost).is_ok();
        let was_undone = has_ended && self.was_undone(&lost.shard, transaction);
        for index in indexes {
            let user = &users[*index];
            let id = user.user_id;
            let what = format!("create user `{id}`");
            // A shard that fails to answer once is not asked hundreds of times.
            let read = if has_ended && !was_undone {
                self.read(ReadIntent::Primary, &what, &Key::of_user(id)).ok()
            } else {
                None
            };
            let error = sqlstate::doing(&what, &lost.shard, cause);
            outcomes[*index] = match read {
                _ if was_undone => UserOutcome::Absent,
                Some((Some(found), _)) if found == *user => UserOutcome::Stored,
                Some((found, shard)) => {
                    UserOutcome::Failed(not_as_requested(&error, &id.to_string(), found.is_some(), &shard))
                }
                None => {
                    has_ended = false;
                    UserOutcome::Failed(unknown(&error, &id.to_string(), &lost.shard))
                }
            };
        }
    }

    /// Whether a transaction was certainly rolled back.
    fn was_undone(&self, shard: &ShardName, transaction: &String) -> bool {
        let sql = "SELECT pg_catalog.pg_xact_status($1::text::xid8) = 'aborted'";
        let Ok(mut session) = self.0.shards().checkout(shard) else { return false };
        let status = session.query(sql, &[(transaction, Type::TEXT)]);
        status.is_ok_and(|rows| rows.first().is_some_and(|row| row.get::<_, Option<bool>>(0) == Some(true)))
    }
}

impl ShardPart<'_> {
    /// Begins the transaction, and stores the users if the shard owns them all. Returns how many it stored, and the transaction
    /// id.
    fn store(&mut self, users: &[User], proof: Proof) -> Result<(i64, String), postgres::Error> {
        let mine: Vec<&User> = self.indexes.iter().map(|index| &users[*index]).collect();
        let ids: Vec<i64> = mine.iter().map(|user| user.user_id.number()).collect();
        let positions: Vec<Uuid> =
            mine.iter().map(|user| Uuid::from(Position::of_user(user.user_id))).collect();
        let texts = |field: fn(&User) -> Option<&str>| -> Vec<Option<&str>> {
            mine.iter().map(|user| field(user)).collect()
        };
        let names = texts(|user| user.name.as_deref());
        let regions = texts(|user| user.region.as_deref());
        let emails = texts(|user| user.email.as_deref());
        self.is_open = true;
        self.session.set_in_transaction(true);
        self.session.client().batch_execute(include_str!("../../../sql/queries/begin_create_users.sql"))?;
        let rows = self.session.query(
            include_str!("../../../sql/queries/create_users.sql"),
            &[
                (&proof.cluster, Type::UUID),
                (&self.shard.as_str(), Type::TEXT),
                (&proof.epoch.number(), Type::INT8),
                (&CATALOG_VERSION, Type::INT4),
                (&positions, Type::UUID_ARRAY),
                (&ids, Type::INT8_ARRAY),
                (&names, Type::TEXT_ARRAY),
                (&regions, Type::TEXT_ARRAY),
                (&emails, Type::TEXT_ARRAY),
            ],
        )?;
        // An aggregate without GROUP BY is one row.
        rows.first().map_or_else(|| Ok((0, String::new())), |row| Ok((row.try_get(0)?, row.try_get(1)?)))
    }

    /// The transaction id, if all users were stored.
    fn transaction_of(&self, stored: Result<(i64, String), postgres::Error>) -> Option<String> {
        let requested = self.indexes.len();
        match stored {
            Ok((count, transaction)) if usize::try_from(count) == Ok(requested) => Some(transaction),
            Ok((count, _)) => {
                log::debug!("Shard {} stored {count} of {requested} users: they are rolled back", self.shard);
                None
            }
            Err(cause) => {
                log::debug!("{}", sqlstate::doing("create users together", self.shard, &cause));
                None
            }
        }
    }

    /// Ends the transaction with `COMMIT` or `ROLLBACK`.
    fn end(&mut self, statement: &str) -> Result<(), postgres::Error> {
        self.session.client().batch_execute(statement)?;
        self.is_open = false;
        self.session.set_in_transaction(false);
        Ok(())
    }

    /// Its lost connection.
    fn lost(&self, cause: &postgres::Error) -> LostConnection {
        let error = sqlstate::doing("create users together", self.shard, cause);
        LostConnection { error, shard: self.shard.clone(), session: self.session.name().to_owned() }
    }
}
