//! Many creates at once: one transaction a shard, and all of them or none.
//!
//! Nothing is decided here that `create_user` would decide otherwise. Whatever is in the way, nothing is stored, and
//! the caller goes on one user at a time, which finds out what it is and at whose turn. Only a COMMIT that went
//! unanswered makes a part of the users stored.

use std::collections::BTreeMap;

use postgres::types::Type;
use uuid::Uuid;

use super::router::{LostConnection, Router, not_as_requested, unknown};
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

/// Ends the transaction. What may still run at the commit, a deferred trigger, is watched by the guard again.
const COMMIT: &str = "SET LOCAL ringshard.guard TO DEFAULT; COMMIT";

/// What became of users that were to be stored together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchOutcome {
    /// All are stored, durably.
    Stored,
    /// None is, and nothing was done: [`Router::create_user`] tells why, user by user.
    NotStored,
    /// A shard did not say how its commit ended. One fate a user, in the users' order.
    Partial(Vec<UserOutcome>),
}

/// What became of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserOutcome {
    /// It is stored.
    Stored,
    /// It is known not to have been stored: [`Router::create_user`] may do it again.
    Absent,
    /// It is not known, or it was stored and is not as it was any more.
    Failed(Error),
}

/// The users of one shard, on a connection of their own.
struct ShardPart<'a> {
    shard: &'a ShardName,
    session: PooledSession,
    /// Where its users stand, in the order of their ids: so two batches on one shard never wait for each other.
    places: Vec<usize>,
    /// From before BEGIN until the server has said that the transaction is over.
    is_open: bool,
}

/// What a shard must be for its part to be stored.
#[derive(Clone, Copy)]
struct Proof {
    cluster: Option<ClusterId>,
    epoch: Epoch,
}

/// A commit whose end is not known.
struct Unanswered {
    lost: LostConnection,
    cause: postgres::Error,
    transaction: String,
    places: Vec<usize>,
}

impl Drop for ShardPart<'_> {
    fn drop(&mut self) {
        // Nobody else may meet an open transaction.
        if self.is_open {
            self.session.spoil();
        }
    }
}

impl Router<'_> {
    /// Stores new users, some hundreds, each on its owner: durably, by one transaction a shard, and all or none.
    /// Nothing is done if one of them exists, is named twice, or lies on an arc that is on its way to another shard.
    pub fn create_users(&self, users: &[User]) -> BatchOutcome {
        let view = self.0.view();
        let mut owners: BTreeMap<&ShardName, Vec<usize>> = BTreeMap::new();
        for (place, user) in users.iter().enumerate() {
            owners.entry(view.ring.owner(Position::of_user(user.user_id))).or_default().push(place);
        }
        let proof = Proof { cluster: self.0.id(), epoch: view.epoch };
        let batch = match self.lend(users, owners) {
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

    /// Connections to all the owners, one after the other in the order of their names: two batches that share a
    /// small pool cannot wait for each other's.
    fn lend<'a>(
        &self,
        users: &[User],
        owners: BTreeMap<&'a ShardName, Vec<usize>>,
    ) -> Result<Vec<ShardPart<'a>>, Error> {
        let lend = |(shard, mut places): (&'a ShardName, Vec<usize>)| {
            places.sort_unstable_by_key(|place| users[*place].user_id);
            Ok(ShardPart { shard, session: self.0.shards().checkout(shard)?, places, is_open: false })
        };
        owners.into_iter().map(lend).collect()
    }

    fn store(&self, users: &[User], mut parts: Vec<ShardPart<'_>>, proof: Proof) -> BatchOutcome {
        let stored = threads::at_once(&mut parts, |part| part.store(users, proof));
        // The transaction of each part, if it has stored all its users.
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
                let (lost, places) = (part.lost(&cause), part.places.clone());
                unanswered.push(Unanswered { lost, cause, transaction, places });
            }
        }
        if unanswered.is_empty() {
            return BatchOutcome::Stored;
        }
        // All connections are back by now: a pool may have only one.
        let mut fates = vec![UserOutcome::Stored; users.len()];
        for commit in &unanswered {
            self.settle_commit(users, commit, &mut fates);
        }
        let all = |one: &UserOutcome| fates.iter().all(|fate| fate == one);
        if all(&UserOutcome::Stored) {
            BatchOutcome::Stored
        } else if all(&UserOutcome::Absent) {
            BatchOutcome::NotStored
        } else {
            BatchOutcome::Partial(fates)
        }
    }

    /// Ends all the transactions with nothing done. One whose connection is lost can never commit, but its session
    /// may hold its rows for as long as the server does not notice: whoever creates them next would wait for it.
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

    /// Finds out how a commit ended. Its session is ended at the server first, so that it cannot end otherwise
    /// later. Then the server knows whether the transaction was undone; if it does not say so, the users are read.
    fn settle_commit(&self, users: &[User], commit: &Unanswered, fates: &mut [UserOutcome]) {
        let Unanswered { lost, cause, transaction, places } = commit;
        log::debug!("The commit of {} users on shard {} was not answered: {cause}", places.len(), lost.shard);
        let mut is_gone = self.end_session(lost).is_ok();
        let was_undone = is_gone && self.was_undone(&lost.shard, transaction);
        for place in places {
            let user = &users[*place];
            let id = user.user_id;
            let what = format!("create user `{id}`");
            // A shard that does not answer once is not asked hundreds of times.
            let read = if is_gone && !was_undone {
                self.read(ReadIntent::Primary, &what, Key::of_user(id)).ok()
            } else {
                None
            };
            let error = sqlstate::doing(&what, &lost.shard, cause);
            fates[*place] = match read {
                _ if was_undone => UserOutcome::Absent,
                Some((Some(found), _)) if found == *user => UserOutcome::Stored,
                Some((found, shard)) => {
                    UserOutcome::Failed(not_as_requested(&error, id, found.is_some(), &shard))
                }
                None => {
                    is_gone = false;
                    UserOutcome::Failed(unknown(&error, id, &lost.shard))
                }
            };
        }
    }

    /// Whether a transaction is known to have been undone.
    fn was_undone(&self, shard: &ShardName, transaction: &String) -> bool {
        let sql = "SELECT pg_catalog.pg_xact_status($1::text::xid8) = 'aborted'";
        let Ok(mut session) = self.0.shards().checkout(shard) else { return false };
        let said = session.query(sql, &[(transaction, Type::TEXT)]);
        said.is_ok_and(|rows| rows.first().is_some_and(|row| row.get::<_, Option<bool>>(0) == Some(true)))
    }
}

impl ShardPart<'_> {
    /// Begins the transaction, and stores the users if the shard owns them all. How many it stored, and by which
    /// transaction.
    fn store(&mut self, users: &[User], proof: Proof) -> Result<(i64, String), postgres::Error> {
        let mine: Vec<&User> = self.places.iter().map(|place| &users[*place]).collect();
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

    /// The transaction, if it stored all the users.
    fn transaction_of(&self, stored: Result<(i64, String), postgres::Error>) -> Option<String> {
        let requested = self.places.len();
        match stored {
            Ok((count, transaction)) if usize::try_from(count) == Ok(requested) => Some(transaction),
            Ok((count, _)) => {
                log::debug!("Shard {} stored {count} of {requested} users: they are taken back", self.shard);
                None
            }
            Err(cause) => {
                log::debug!("{}", sqlstate::doing("create users together", self.shard, &cause));
                None
            }
        }
    }

    /// Ends the transaction by `COMMIT` or `ROLLBACK`.
    fn end(&mut self, statement: &str) -> Result<(), postgres::Error> {
        self.session.client().batch_execute(statement)?;
        self.is_open = false;
        Ok(())
    }

    /// Its session, which did not say how the transaction ended.
    fn lost(&self, cause: &postgres::Error) -> LostConnection {
        let error = sqlstate::doing("create users together", self.shard, cause);
        LostConnection { error, shard: self.shard.clone(), session: self.session.name().to_owned() }
    }
}
