//! Reads and writes one row: finds the owner, sends it one statement, and retries until the answer is final.
//!
//! The known topology may be outdated. Each answer of a shard has the shard's epoch and says whether the shard owns the key,
//! so a client with an old topology notices it, refreshes and tries again. Every loop here is bounded.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use postgres::types::Type;

use super::errors::{behind, exists, not_as_requested, not_found, typed, unknown};
use super::keyed::{Change, Keyed, Stored, UserWrite};
use super::locate;
use super::statements::{Expected, ReplyStatus, RowOperation, RowReply, UserChange};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::point_read::{KeyReply, PointRead, ReadStep};
use crate::model::python_repr;
use crate::model::ring::key::Key;
use crate::model::user::{User, UserId, UserPatch};
use crate::pg::cluster::Cluster;
use crate::pg::cluster::refresh::no_prototype;
use crate::pg::cluster::view::{StableRing, View};
use crate::pg::net::sqlstate;
use crate::pg::pool::PooledSession;
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::requests::confirm::confirm;
use crate::pg::{failover, rebalance};

/// How long a write waits for a chunk that is being moved.
pub const FENCE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a write waits before it completes the move of its chunk itself.
pub const FENCE_HELP_AFTER: Duration = Duration::from_secs(2);
/// The pause before a fenced key is tried again.
const FENCE_PAUSE: Duration = Duration::from_millis(20);
/// How often a transaction is repeated after a serialization failure or a deadlock.
const RETRIES_MAX: u32 = 50;
/// How long the server may take to end a session.
const SESSION_END_PATIENCE: Duration = Duration::from_secs(10);
/// How often one read follows a fence: it alternates between two shards, once more for each change.
const HOPS_MAX: u32 = 8;
/// How often one command determines the owner of a key again.
const REFRESHES_MAX: u32 = 3;
/// How often one statement is sent again because its shard has another primary.
const REROUTES_MAX: u32 = 3;

/// Reads and writes users of a cluster, each on its owner.
pub struct Router<'a>(pub &'a Cluster);

/// The shard that a statement about a key is sent to.
struct Route {
    shard: ShardName,
    /// The stable ring by which it is the owner; `None` if a change is known to be under way.
    stable_ring: Option<StableRing>,
}

impl Route {
    /// To a shard that was not found by the ring.
    fn to(shard: ShardName) -> Self {
        Self { shard, stable_ring: None }
    }
}

/// A connection that was lost while a statement ran.
pub(crate) struct LostConnection {
    pub(crate) error: Error,
    pub(crate) shard: ShardName,
    /// The name of the session on the server.
    pub(crate) session: String,
}

/// The result of one attempt to send a statement.
enum Attempt<R> {
    /// The shard answered.
    Answer(RowReply<R>),
    /// The server rolled the transaction back because of a conflict.
    Retry,
    /// The server is not the shard's primary any more, and the new one is known.
    Rerouted,
    /// The connection was lost before the answer: the outcome is unknown.
    Lost(LostConnection),
}

/// The result of a statement after all retries.
enum Sent<R> {
    /// The shard answered.
    Answered(RowReply<R>),
    /// The outcome is unknown.
    Lost(LostConnection),
}

impl Router<'_> {
    /// Reads a user from its owner. Fails with `NotFound` if there is none.
    pub fn get_user(&self, id: UserId) -> Result<User> {
        let (user, shard) = self.find_user(id)?;
        user.ok_or_else(|| not_found(&id.to_string(), &shard))
    }

    /// As [`Router::get_user`], but returns `None` if there is no such user; with the owner.
    pub fn find_user(&self, id: UserId) -> Result<(Option<User>, ShardName)> {
        self.find(&self.key(id))
    }

    /// Stores a new user on its owner, durably; returns the stored user, which a trigger may have changed, and its owner. Fails
    /// with `Conflict` if the user exists.
    pub fn create_user(&self, user: &User) -> Result<(User, ShardName)> {
        let id = user.user_id;
        log::info!("Received request to create user: {}", python_repr::dict(user));
        self.put(&UserWrite { key: self.key(id), change: UserChange::Create(user) })
    }

    /// Changes fields of a user; returns the new user, and its owner. Fails with `NotFound` if there is none.
    pub fn update_user(&self, id: UserId, patch: &UserPatch) -> Result<(User, ShardName)> {
        log::info!("Received request to update user: {id}");
        self.put(&UserWrite { key: self.key(id), change: UserChange::Update(id, patch) })
    }

    /// Deletes a user; returns the deleted user, unless the connection was lost, and its owner. Fails with `NotFound` if there
    /// is none.
    pub fn delete_user(&self, id: UserId) -> Result<(Option<User>, ShardName)> {
        self.delete(&UserWrite { key: self.key(id), change: UserChange::Delete(id) })
    }

    pub(super) fn find<K: Keyed>(&self, row: &K) -> Result<(Option<K::Row>, ShardName)> {
        let key = row.key();
        log::info!("Received request to get user: {key}");
        let what = format!("get user `{key}`");
        let (found, shard) = self
            .read(ReadIntent::AllowReplica, &what, row)
            .inspect_err(|error| log::error!("Failed to {what}: {error}"))?;
        if found.is_none() {
            log::warn!("User {key} not found in shard {shard}");
        }
        Ok((found, shard))
    }

    pub(super) fn put<C: Change>(&self, change: &C) -> Result<(Stored<C>, ShardName)> {
        let key = change.of().key();
        let (stored, shard) = self.settle(change)?;
        log::info!("Committed user {key} to shard {shard}");
        let stored = stored.ok_or_else(|| not_found(&key, &shard))?;
        Ok((stored, shard))
    }

    pub(super) fn delete<C: Change>(&self, change: &C) -> Result<(Option<Stored<C>>, ShardName)> {
        let key = change.of().key();
        log::info!("Received request to delete user: {key}");
        let (deleted, shard) = self.settle(change)?;
        log::info!("Committed deletion of user {key} from shard {shard}");
        Ok((deleted, shard))
    }

    /// Hashes an id; the time counts as routing.
    fn key(&self, id: UserId) -> Key {
        let active = self.0.shards().active_sessions();
        let since = active.now();
        let key = Key::of_user(id);
        active.routed(since);
        key
    }

    /// The owner of a key, by the known ring.
    fn route(&self, row: &impl Keyed) -> Route {
        let (view, active) = (self.0.view(), self.0.shards().active_sessions());
        let since = active.now();
        let owner = if log::log_enabled!(log::Level::Info) {
            view.locate(&row.key(), row.position()).shard.clone()
        } else {
            view.owner(row.position()).clone()
        };
        active.routed(since);
        Route { shard: owner, stable_ring: view.stable_ring() }
    }

    /// Waits a moment for a shard; an error if the command was stopped.
    fn pause(&self, shard: &ShardName) -> Result<()> {
        let active = self.0.shards().active_sessions();
        let since = active.now();
        thread::sleep(FENCE_PAUSE);
        active.waited(shard, since);
        active.check()
    }

    /// Reads a row; returns it, or `None`, and the shard that answered.
    pub(crate) fn read<K: Keyed>(
        &self,
        intent: ReadIntent,
        what: &str,
        row: &K,
    ) -> Result<(Option<K::Row>, ShardName)> {
        let mut route = self.route(row);
        let (mut refreshes, mut hops, mut lost_once) = (0, 0, false);
        let mut read = PointRead::default();
        loop {
            let get = |session: &mut PooledSession, expected: Expected<'_>| row.read(session, expected);
            let answer = match self.send(intent, &route, what, get)? {
                Sent::Answered(answer) => answer,
                Sent::Lost(_) if !lost_once => {
                    lost_once = true;
                    continue;
                }
                Sent::Lost(lost) => return Err(lost.error),
            };
            let reply = match answer.status {
                ReplyStatus::Fenced(Some(target)) => {
                    KeyReply::Fenced { target, epoch: answer.arc_epoch.unwrap_or(answer.epoch) }
                }
                ReplyStatus::NotOwner => KeyReply::NotOwner { epoch: answer.epoch },
                _ => KeyReply::Owned,
            };
            let shard = &route.shard;
            match read.answer(shard, reply, answer.row) {
                ReadStep::Counts(found, shard) => return Ok((found, shard)),
                ReadStep::Ask(_) if hops == HOPS_MAX => {
                    let message = format!("cannot {what}: two shards have it fenced for each other");
                    return Err(Error::new(Kind::Failed, message)
                        .hint("ringshard doctor shows what is wrong with the arcs")
                        .on_shard(shard));
                }
                ReadStep::Ask(next) => {
                    hops += 1;
                    route = Route::to(next);
                }
                ReadStep::LookUp => {
                    route = Route::to(self.owner_after_refresh(what, row, shard, &mut refreshes)?);
                }
            }
        }
    }

    fn owner_after_refresh(
        &self,
        what: &str,
        row: &impl Keyed,
        shard: &ShardName,
        refreshes: &mut u32,
    ) -> Result<ShardName> {
        let position = row.position();
        // During a change: the owner by the next topology, before all shards are asked.
        let by_next_topology = |view: &View| {
            let ring = view.change.as_ref().map(|(_, ring)| ring)?;
            Some(ring.owner(position).clone()).filter(|owner| owner != shard)
        };
        *refreshes += 1;
        if *refreshes == 1
            && let Some(owner) = by_next_topology(&self.0.view())
        {
            return Ok(owner);
        }
        if *refreshes > REFRESHES_MAX {
            let message =
                format!("cannot {what}: shard `{shard}` is its owner by the ring, but does not own it");
            return Err(Error::new(Kind::Failed, message)
                .hint(format!("ringshard ring locate {} shows which shards have it", typed(&row.key())))
                .on_shard(shard));
        }
        self.0.view().check_ring_file(position);
        self.0.refresh()?;
        let owner = self.route(row).shard;
        if owner != *shard {
            return Ok(owner);
        }
        // The shard is the owner by the ring and denies it: the key has moved already, in a change that is under way.
        if *refreshes == 1
            && let Some(owner) = by_next_topology(&self.0.view())
        {
            return Ok(owner);
        }
        Ok(locate::holder(self.0, position).unwrap_or(owner))
    }

    /// Sends one statement to one shard, with retries.
    fn send<R>(
        &self,
        intent: ReadIntent,
        route: &Route,
        what: &str,
        statement: impl Fn(&mut PooledSession, Expected<'_>) -> Result<RowReply<R>, postgres::Error>,
    ) -> Result<Sent<R>> {
        let (mut retries, mut reroutes) = (0, 0);
        loop {
            match self.attempt(intent, route, what, &statement, retries < RETRIES_MAX)? {
                Attempt::Answer(answer) => return Ok(Sent::Answered(answer)),
                Attempt::Lost(lost) => return Ok(Sent::Lost(lost)),
                Attempt::Retry => {
                    retries += 1;
                    self.pause(&route.shard)?;
                }
                Attempt::Rerouted if reroutes == REROUTES_MAX => {
                    let shard = &route.shard;
                    let message = format!("cannot {what}: the primary of shard `{shard}` keeps changing");
                    return Err(Error::new(Kind::Unreachable, message)
                        .hint("ringshard shards shows the address of each shard; then run this again")
                        .on_shard(shard));
                }
                Attempt::Rerouted => reroutes += 1,
            }
        }
    }

    /// Sends one statement to one shard, once.
    fn attempt<R>(
        &self,
        intent: ReadIntent,
        route: &Route,
        what: &str,
        statement: impl Fn(&mut PooledSession, Expected<'_>) -> Result<RowReply<R>, postgres::Error>,
        may_retry: bool,
    ) -> Result<Attempt<R>> {
        let (cluster, shard) = (self.0, &route.shard);
        let mut session = cluster.reach(intent, shard)?;
        let least_epoch = cluster.least_epoch(session.server());
        let expected = Expected { cluster: cluster.id(), shard, least_epoch, stable_ring: route.stable_ring };
        let answer = match statement(&mut session, expected) {
            Ok(answer) => answer,
            Err(cause) if may_retry && sqlstate::is_worth_repeating(&cause) => return Ok(Attempt::Retry),
            Err(cause) => {
                let error = cluster.explain(what, shard, &mut session, &cause);
                if !sqlstate::is_lost(&cause) {
                    return Err(error);
                }
                let session = session.name().to_owned();
                return Ok(Attempt::Lost(LostConnection { error, shard: shard.clone(), session }));
            }
        };
        if answer.status == ReplyStatus::WrongShard {
            return self.reroute(shard, session);
        }
        if answer.status == ReplyStatus::OtherColumns {
            return Err(no_prototype(what, shard));
        }
        if answer.status == ReplyStatus::Unconfirmed {
            // The next attempt connects anew: the URL may lead to another server by now.
            session.spoil();
            drop(session);
            confirm(cluster, shard)?;
            return Ok(Attempt::Rerouted);
        }
        let is_late = answer.status == ReplyStatus::Late;
        if answer.epoch >= cluster.view().epoch && !is_late {
            // The answer stands, also if the topology cannot be read.
            return match cluster.note_epoch(shard, &mut session, answer.epoch) {
                Err(error) if error.kind() != Kind::Unreachable => Err(error),
                _ => Ok(Attempt::Answer(answer)),
            };
        }
        let server = Arc::clone(session.server());
        drop(session);
        cluster.examine(&server, answer.epoch)?;
        if cluster.shards().is_current(&server) {
            return match (is_late, may_retry) {
                (false, _) => Ok(Attempt::Answer(answer)),
                (true, true) => Ok(Attempt::Retry),
                (true, false) => Err(behind(what, shard)),
            };
        }
        // The server is a stale primary, so its answer does not count. If it cannot be fenced, it is at least not used again.
        for error in failover::fence_stale_primaries(cluster).into_iter().filter_map(Result::err) {
            log::warn!("{error}");
        }
        Ok(Attempt::Rerouted)
    }

    /// The database says that it is not this shard: the shard may have another primary.
    fn reroute<R>(&self, shard: &ShardName, mut session: PooledSession) -> Result<Attempt<R>> {
        match self.0.describe(shard, &mut session) {
            // A fenced stale primary has another name.
            Err(error) if error.kind() == Kind::Configuration => {
                drop(session);
                if self.0.has_moved(shard)? { Ok(Attempt::Rerouted) } else { Err(error) }
            }
            Err(error) => Err(error),
            Ok(description) => {
                let message = format!("shard `{shard}` changed its identity to `{}`", description.shard);
                Err(Error::new(Kind::Configuration, message).hint("run this again").on_shard(shard))
            }
        }
    }

    /// Writes on the owner, with retries after a fence or a change. The result, and the shard that was asked last.
    fn write<C: Change>(&self, what: &str, change: &C) -> Result<(Sent<Stored<C>>, ShardName)> {
        let id = change.of().key();
        let statement = |session: &mut PooledSession, expected: Expected<'_>| {
            let shard = expected.shard;
            match change.operation() {
                RowOperation::Create => log::debug!("Added user {id} to session for shard {shard}"),
                RowOperation::Update => log::debug!("Changed user {id} in session for shard {shard}"),
                RowOperation::Delete => log::debug!("Deleted user {id} in session for shard {shard}"),
            }
            change.write(session, expected)
        };
        let mut route = self.route(change.of());
        let (mut refreshes, mut has_helped) = (0, false);
        let begun = Instant::now();
        loop {
            let answer = match self.send(ReadIntent::Primary, &route, what, statement)? {
                Sent::Answered(answer) => answer,
                lost @ Sent::Lost(_) => return Ok((lost, route.shard)),
            };
            let shard = &route.shard;
            match answer.status {
                ReplyStatus::Fenced(target) if begun.elapsed() > FENCE_PATIENCE => {
                    let target =
                        target.map_or_else(|| "another shard".into(), |name| format!("shard `{name}`"));
                    let message =
                        format!("cannot {what}: it is being moved from shard `{shard}` to {target}");
                    return Err(Error::new(Kind::Locked, message)
                        .hint("try again in a moment")
                        .on_shard(shard));
                }
                ReplyStatus::Fenced(_) => {
                    // The mover may have been killed.
                    if !has_helped && begun.elapsed() > FENCE_HELP_AFTER {
                        has_helped = true;
                        if let Err(error) = rebalance::finish_chunk(self.0, shard, change.of().position()) {
                            log::debug!("Could not finish the move of user {id}: {error}");
                        }
                    }
                    self.pause(shard)?;
                }
                ReplyStatus::NotOwner => {
                    route = Route::to(self.owner_after_refresh(what, change.of(), shard, &mut refreshes)?);
                }
                _ => return Ok((Sent::Answered(answer), route.shard)),
            }
        }
    }

    /// Writes, and determines the outcome if the connection was lost: first the old session is ended on the server, so that it
    /// cannot commit later, then the row is read. Returns the row, and its owner.
    fn settle<C: Change>(&self, change: &C) -> Result<(Option<Stored<C>>, ShardName)> {
        let (verb, id) = (change.operation().name(), change.of().key());
        let what = format!("{verb} user `{id}`");
        let settled = self.write(&what, change).and_then(|written| match written {
            (Sent::Answered(answer), shard) => match answer.status {
                ReplyStatus::Exists => Err(exists(&id, &shard, &change.flags())),
                ReplyStatus::NotFound => Err(not_found(&id, &shard)),
                _ => Ok((answer.row, shard)),
            },
            (Sent::Lost(lost), _) => {
                let read =
                    self.end_session(&lost).and_then(|()| self.read(ReadIntent::Primary, &what, change.of()));
                match read {
                    Ok((found, shard)) if change.is_done(found.as_ref()) => Ok((found, shard)),
                    Ok((found, shard)) => Err(not_as_requested(&lost.error, &id, found.is_some(), &shard)),
                    Err(_) => Err(unknown(&lost.error, &id, &lost.shard)),
                }
            }
        });
        settled.inspect_err(|error| {
            let shard = error.shard().unwrap_or("unknown");
            if error.kind() == Kind::NotFound {
                log::warn!("User {id} not found in shard {shard}");
            } else {
                log::error!("Failed to {verb} user {id} in shard {shard}: {error}");
            }
        })
    }

    /// Ends a session whose connection was lost, and returns when it has ended. Otherwise it might wait for a lock without
    /// noticing the loss, and commit later.
    pub(crate) fn end_session(&self, lost: &LostConnection) -> Result<()> {
        let begun = Instant::now();
        loop {
            let mut session = self.0.shards().checkout(&lost.shard)?;
            let fail = |cause| sqlstate::doing("end a lost session", &lost.shard, &cause);
            if !session.is_found_by_name().map_err(fail)? {
                return Err(lost.error.clone());
            }
            let left = session
                .query(include_str!("../../../sql/queries/end_session.sql"), &[(&lost.session, Type::TEXT)])
                .map_err(fail)?;
            if left.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > SESSION_END_PATIENCE {
                return Err(lost.error.clone());
            }
            self.pause(&lost.shard)?;
        }
    }
}
