//! The cluster as this process sees it: the way of a row to its shard.
//!
//! What is known of the topology (`view.rs`) is never trusted. Each answer of a shard carries the shard's epoch; a
//! newer one means that the topology is read again, and a shard that does not own a key says so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use postgres::types::Type;

use super::pool::{Loan, Shards};
use super::replicas::Purpose;
use super::rows::{self, Answer, Change, Expected, Verdict};
use super::view::{View, Way};
use super::{cache, failure, moving, narrate};
use crate::error::{Error, Kind, Result};
use crate::model::names::{ClusterId, ShardName};
use crate::model::position::Position;
use crate::model::python;
use crate::model::reading::{Next, Reading, Said};
use crate::model::ring::VirtualNode;
use crate::model::topology::{Epoch, Topology, VIRTUAL_NODES_DEFAULT};
use crate::model::user::{User, UserId, UserPatch};

/// How long a write waits for a chunk that is being moved.
pub const FENCE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a write waits before it brings the move of its chunk to an end itself.
pub const FENCE_HELP_AFTER: Duration = Duration::from_secs(2);
/// The pause before a fenced key is tried again.
const FENCE_PAUSE: Duration = Duration::from_millis(20);
/// How often a transaction is run again that the server chose as the victim of a conflict.
const REPEATS_MAX: u32 = 50;
/// How long the server may take to end a session.
const SESSION_END_PATIENCE: Duration = Duration::from_secs(10);
/// How often one read is sent on from a fence: there are two shards, and each change asks them once more.
const HOPS_MAX: u32 = 8;
/// How often one command looks for a key's new owner.
const REFRESHES_MAX: u32 = 3;

/// The shards, and what is known of who owns what.
pub struct Cluster {
    pub(super) shards: Shards,
    pub(super) id: RwLock<Option<ClusterId>>,
    pub(super) cache_folder: Option<PathBuf>,
    pub(super) view: RwLock<Arc<View>>,
    /// Old data of shards, which `verify` looks at as well.
    pub(super) returned: RwLock<BTreeSet<ShardName>>,
    /// Which shards were late, at which epoch, when which was known: they were looked into.
    pub(super) late: Mutex<BTreeSet<(ShardName, Epoch, Epoch)>>,
    /// How many statements about users were answered while no ring is known to be at rest.
    pub(super) unheard: AtomicU32,
    /// When the others were asked last where a shard is that does not answer.
    pub(super) sought: Mutex<BTreeMap<ShardName, Instant>>,
}

/// The end of a write that may not be known.
enum Written {
    Answer(Answer, ShardName),
    /// The connection was lost before the answer came.
    Unknown(Lost),
}

/// A connection that was lost with a statement on it.
pub(super) struct Lost {
    pub(super) error: Error,
    pub(super) shard: ShardName,
    /// What the server calls the session.
    pub(super) session: String,
}

impl Cluster {
    /// The cluster of these shards. Connects to none: the topology comes from the cache, or is guessed
    /// (all shards of weight 1) until a shard says otherwise.
    pub fn open(shards: Shards, id: Option<ClusterId>, cache_folder: Option<PathBuf>) -> Result<Self> {
        let cached =
            id.as_ref().zip(cache_folder.as_deref()).and_then(|(id, folder)| cache::read(folder, id));
        // A shard that was added elsewhere has its address in the catalog: better ask than not find it.
        let names = shards.names();
        let cached = cached.filter(|cached| cached.topology.names().all(|name| names.contains(name)));
        let (epoch, topology) = if let Some(membership) = cached {
            (membership.epoch, membership.topology)
        } else {
            let guess = Topology::of_equals(VIRTUAL_NODES_DEFAULT, names);
            (Epoch::GUESSED, guess.map_err(|why| Error::new(Kind::Configuration, why))?)
        };
        let ring = topology.ring();
        narrate::ring_built(&topology, &ring);
        let (places, retired, ring_id) = (BTreeMap::new(), BTreeMap::new(), None);
        let view = View { epoch, topology, ring, change: None, wanted: None, places, retired, ring_id };
        Ok(Self::seen(shards, id, cache_folder, Arc::new(view)))
    }

    /// The same with other pools, and what it learns from here on.
    #[must_use]
    pub fn again(&self, shards: Shards) -> Self {
        Self::seen(shards, self.id(), self.cache_folder.clone(), self.view())
    }

    fn seen(shards: Shards, id: Option<ClusterId>, cache_folder: Option<PathBuf>, view: Arc<View>) -> Self {
        Self {
            shards,
            id: RwLock::new(id),
            cache_folder,
            view: RwLock::new(view),
            returned: RwLock::default(),
            late: Mutex::default(),
            unheard: AtomicU32::new(0),
            sought: Mutex::default(),
        }
    }

    /// The shards' pools.
    pub fn shards(&self) -> &Shards {
        &self.shards
    }

    /// The cluster's id, if it is known.
    pub fn id(&self) -> Option<ClusterId> {
        self.id.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is known of the topology now.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Hashes a key and finds its owner, with the seed's log lines.
    pub fn locate<'view>(view: &'view View, key: &str) -> (Position, VirtualNode<'view>) {
        let position = Position::of_key(key);
        let node = view.ring.locate(position);
        narrate::key_routed(key, position, node);
        (position, node)
    }

    /// Logs that a key goes to another shard, as the seed does.
    pub fn tell_reassigned(key: &str, shard: &ShardName) {
        narrate::key_reassigned(key, shard);
    }

    fn way(&self, id: UserId) -> Way {
        let (view, running) = (self.view(), self.shards.running());
        let since = running.now();
        let owner = if log::log_enabled!(log::Level::Info) {
            Self::locate(&view, &id.to_string()).1.shard.clone()
        } else {
            view.ring.owner(Position::of_user(id)).clone()
        };
        running.routed(since);
        Way { shard: owner, at_rest: view.at_rest() }
    }

    /// Waits a little for what others do on a shard; an error if the command is to stop.
    fn pause(&self, shard: &ShardName) -> Result<()> {
        let running = self.shards.running();
        let since = running.now();
        thread::sleep(FENCE_PAUSE);
        running.waited(shard, since);
        running.check()
    }

    /// Reads a user from its owner; one statement, one connection.
    pub fn get_user(&self, id: UserId) -> Result<User> {
        let (user, shard) = self.find_user(id)?;
        user.ok_or_else(|| not_found(id, &shard))
    }

    /// The same; that there is no such user is an answer, and who says so is told.
    pub fn find_user(&self, id: UserId) -> Result<(Option<User>, ShardName)> {
        log::info!("Received request to get user: {id}");
        let what = format!("get user `{id}`");
        let (user, shard) = self
            .read(Purpose::Look, &what, id)
            .inspect_err(|error| log::error!("Failed to {what}: {error}"))?;
        if user.is_none() {
            log::warn!("User {id} not found in shard {shard}");
        }
        Ok((user, shard))
    }

    /// The row, or that there is none, and who said so.
    pub(super) fn read(&self, purpose: Purpose, what: &str, id: UserId) -> Result<(Option<User>, ShardName)> {
        let mut way = self.way(id);
        let mut refreshes = 0;
        let mut lost_once = false;
        let mut reading = Reading::default();
        let mut hops = 0;
        loop {
            let get = |loan: &mut Loan, expected: Expected<'_>| rows::get(loan, expected, id);
            let answer = match self.ask(purpose, &way, what, get) {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) if !lost_once => {
                    lost_once = true;
                    continue;
                }
                Ok(Err(Lost { error, .. })) | Err(error) => return Err(error),
            };
            let said = match answer.verdict {
                Verdict::Fenced(Some(peer)) => {
                    Said::Fenced { peer, epoch: answer.arc_epoch.unwrap_or(answer.epoch) }
                }
                Verdict::NotHere => Said::NotHere { epoch: answer.epoch },
                _ => Said::Owned,
            };
            let shard = &way.shard;
            match reading.hear(shard, said, answer.user) {
                Next::Counts(user, shard) => return Ok((user, shard)),
                Next::Ask(_) if hops == HOPS_MAX => {
                    let message =
                        format!("cannot {what}: shard `{shard}` and its peer send each other for it");
                    return Err(Error::new(Kind::Failed, message)
                        .hint("ringshard doctor tells what is wrong with the arcs")
                        .on_shard(shard));
                }
                Next::Ask(next) => {
                    hops += 1;
                    way = Way::to(next);
                }
                Next::LookUp => {
                    way = Way::to(self.owner_after_refresh(what, id, shard, &mut refreshes)?);
                }
            }
        }
    }

    fn owner_after_refresh(
        &self,
        what: &str,
        id: UserId,
        shard: &ShardName,
        refreshes: &mut u32,
    ) -> Result<ShardName> {
        let position = Position::of_user(id);
        // While a change is under way: by the new ring, before all shards are asked again.
        let by_target = |view: &View| {
            let ring = view.change.as_ref().map(|(_, ring)| ring)?;
            Some(ring.owner(position).clone()).filter(|owner| owner != shard)
        };
        *refreshes += 1;
        if *refreshes == 1
            && let Some(owner) = by_target(&self.view())
        {
            return Ok(owner);
        }
        if *refreshes > REFRESHES_MAX {
            let message = format!("cannot {what}: shard `{shard}` does not own it, though the ring says so");
            return Err(Error::new(Kind::Failed, message)
                .hint(format!("ringshard ring locate {id} shows who has it"))
                .on_shard(shard));
        }
        self.refresh()?;
        let owner = self.way(id).shard;
        if owner != *shard {
            return Ok(owner);
        }
        // The ring gives it to the shard that says no: it has moved already, in a change that is under way.
        if *refreshes == 1
            && let Some(owner) = by_target(&self.view())
        {
            return Ok(owner);
        }
        Ok(self.holder(position).unwrap_or(owner))
    }

    /// Sends one statement to one shard. The inner error is a lost connection: the outcome is not known.
    fn ask(
        &self,
        purpose: Purpose,
        way: &Way,
        what: &str,
        statement: impl Fn(&mut Loan, Expected<'_>) -> Result<Answer, postgres::Error>,
    ) -> Result<Result<Answer, Lost>> {
        let shard = &way.shard;
        let mut loan = self.reach(purpose, shard)?;
        let id = self.id();
        let expected = Expected { cluster: id.as_ref(), shard, at_rest: way.at_rest };
        let mut tries = 0;
        let answer = loop {
            match statement(&mut loan, expected) {
                Ok(answer) => break answer,
                Err(cause) if failure::is_worth_repeating(&cause) && tries < REPEATS_MAX => {
                    tries += 1;
                    self.pause(shard)?;
                }
                Err(cause) => {
                    let error = failure::doing(what, shard, &cause);
                    if !failure::is_lost(&cause) {
                        return Err(error);
                    }
                    let session = loan.name().to_owned();
                    return Ok(Err(Lost { error, shard: shard.clone(), session }));
                }
            }
        };
        if answer.verdict == Verdict::Stranger {
            let said = match self.describe(shard, &mut loan) {
                // What is left of a shard that has another primary by now has another name.
                Err(error) if error.kind() == Kind::Configuration => {
                    drop(loan);
                    if self.moves_on(shard)? {
                        return self.ask(purpose, way, what, statement);
                    }
                    return Err(error);
                }
                said => said?,
            };
            let message = format!("shard `{shard}` changed its identity to `{}`", said.shard);
            return Err(Error::new(Kind::Configuration, message).hint("run this again").on_shard(shard));
        }
        let known = self.view().epoch;
        if answer.epoch >= known {
            self.hear(shard, &mut loan, answer.epoch)?;
        } else {
            let server = Arc::clone(loan.server());
            drop(loan);
            if self.is_suspect(&server, answer.epoch) {
                self.refresh()?;
            }
            if !self.shards.is_current(&server) {
                // What was done there was done on old data. If that cannot be fenced, it is at least not talked to.
                for error in self.fence_returned().into_iter().filter_map(Result::err) {
                    log::warn!("{error}");
                }
                return self.ask(purpose, way, what, statement);
            }
        }
        Ok(Ok(answer))
    }

    /// A write: to the owner, again after a fence or a change of the ring.
    fn write(&self, what: &str, change: Change<'_>) -> Result<Written> {
        let id = change.id();
        let statement = |loan: &mut Loan, expected: Expected<'_>| {
            let shard = expected.shard;
            match change {
                Change::Create(_) => log::debug!("Added user {id} to session for shard {shard}"),
                Change::Update(..) => log::debug!("Changed user {id} in session for shard {shard}"),
                Change::Delete(_) => log::debug!("Deleted user {id} in session for shard {shard}"),
            }
            rows::write(loan, expected, change)
        };
        let mut way = self.way(id);
        let mut refreshes = 0;
        let mut has_helped = false;
        let begun = Instant::now();
        loop {
            let answer = match self.ask(Purpose::Truth, &way, what, statement)? {
                Ok(answer) => answer,
                Err(lost) => return Ok(Written::Unknown(lost)),
            };
            let shard = &way.shard;
            match answer.verdict {
                Verdict::Fenced(peer) if begun.elapsed() > FENCE_PATIENCE => {
                    let peer = peer.map_or_else(|| "another shard".into(), |peer| format!("shard `{peer}`"));
                    let message = format!("cannot {what}: it is being moved from shard `{shard}` to {peer}");
                    return Err(Error::new(Kind::Locked, message)
                        .hint("try again in a moment")
                        .on_shard(shard));
                }
                Verdict::Fenced(_) => {
                    // Who moves it may be gone.
                    if !has_helped && begun.elapsed() > FENCE_HELP_AFTER {
                        has_helped = true;
                        let finished = moving::finish_chunk(self, shard, Position::of_user(id));
                        if let Err(error) = finished {
                            log::debug!("Could not finish the move of user {id}: {error}");
                        }
                    }
                    self.pause(shard)?;
                }
                Verdict::NotHere => {
                    way = Way::to(self.owner_after_refresh(what, id, shard, &mut refreshes)?);
                }
                _ => return Ok(Written::Answer(answer, way.shard)),
            }
        }
    }

    /// Stores a new user on its owner, durably; the owner.
    pub fn create_user(&self, user: &User) -> Result<ShardName> {
        let id = user.user_id;
        log::info!("Received request to create user: {}", python::dict(user));
        let shard = self.settle("create", Change::Create(user), |found| found == Some(user))?.1;
        log::info!("Committed user {id} to shard {shard}");
        Ok(shard)
    }

    /// Changes fields of a user; the user as it is then, and its owner.
    pub fn update_user(&self, id: UserId, patch: &UserPatch) -> Result<(User, ShardName)> {
        log::info!("Received request to update user: {id}");
        let as_wanted = |found: Option<&User>| found.is_some_and(|user| patch.holds_for(user));
        let (user, shard) = self.settle("update", Change::Update(id, patch), as_wanted)?;
        log::info!("Committed user {id} to shard {shard}");
        let user = user.ok_or_else(|| not_found(id, &shard))?;
        Ok((user, shard))
    }

    /// Deletes a user; the user as it was, unless the connection was lost on the way, and its owner.
    pub fn delete_user(&self, id: UserId) -> Result<(Option<User>, ShardName)> {
        log::info!("Received request to delete user: {id}");
        let (user, shard) = self.settle("delete", Change::Delete(id), |found| found.is_none())?;
        log::info!("Committed deletion of user {id} from shard {shard}");
        Ok((user, shard))
    }

    /// Writes, and finds out how it ended if the connection was lost: the old session is ended at the server
    /// first, so that what is read afterwards cannot change by it any more. The row, and who has it.
    fn settle(
        &self,
        verb: &str,
        change: Change<'_>,
        as_wanted: impl Fn(Option<&User>) -> bool,
    ) -> Result<(Option<User>, ShardName)> {
        let id = change.id();
        let what = format!("{verb} user `{id}`");
        let settled = self.write(&what, change).and_then(|written| match written {
            Written::Answer(answer, shard) => match answer.verdict {
                Verdict::Exists => Err(exists(id, &shard)),
                Verdict::NotFound => Err(not_found(id, &shard)),
                _ => Ok((answer.user, shard)),
            },
            Written::Unknown(lost) => {
                let read = self.end_session(&lost).and_then(|()| self.read(Purpose::Truth, &what, id));
                match read {
                    Ok((found, shard)) if as_wanted(found.as_ref()) => Ok((found, shard)),
                    Ok((found, shard)) => Err(not_as_wanted(&lost.error, id, found.is_some(), &shard)),
                    Err(_) => Err(unknown(&lost.error, id, &lost.shard)),
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

    /// Ends a session whose connection was lost, and returns when it is gone from the server. It may wait
    /// there for a lock without noticing that nobody listens, and commit later.
    pub(super) fn end_session(&self, lost: &Lost) -> Result<()> {
        let begun = Instant::now();
        loop {
            let mut loan = self.shards.checkout(&lost.shard)?;
            let left = loan
                .query(include_str!("../../sql/end_session.sql"), &[(&lost.session, Type::TEXT)])
                .map_err(|cause| failure::doing("end a lost session", &lost.shard, &cause))?;
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

fn not_found(id: UserId, shard: &ShardName) -> Error {
    Error::new(Kind::NotFound, format!("user `{id}` not found on shard `{shard}`, its owner"))
        .hint(format!("ringshard ring locate {id} asks all shards"))
        .on_shard(shard)
}

fn exists(id: UserId, shard: &ShardName) -> Error {
    Error::new(Kind::Conflict, format!("user `{id}` exists already on shard `{shard}`"))
        .hint(format!("ringshard get-user --id {id} shows it, ringshard update-user --id {id} changes it"))
        .on_shard(shard)
}

pub(super) fn not_as_wanted(lost: &Error, id: UserId, found: bool, shard: &ShardName) -> Error {
    let now = if found { "is there and not as wanted" } else { "is not there" };
    Error::new(lost.kind(), format!("{lost}; the user {now}, so it was not done, or was undone since"))
        .hint(format!(
            "ringshard get-user --id {id} shows the user; then run this again if it is still wanted"
        ))
        .on_shard(shard)
}

pub(super) fn unknown(lost: &Error, id: UserId, shard: &ShardName) -> Error {
    Error::new(lost.kind(), format!("{lost}; whether it was done is not known"))
        .hint(format!("once the shard answers: ringshard get-user --id {id}"))
        .on_shard(shard)
}
