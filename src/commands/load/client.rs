//! One client of a run: a thread that runs one operation after the other and checks each answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::run_context::{RunContext, WrongAnswer};
use crate::error::{Error, Kind, Result};
use crate::model::load::fake_users;
use crate::model::load::key_history::{Acknowledgement, KeyHistory};
use crate::model::load::keys::{Fingerprint, draw};
use crate::model::load::mix::LoadOperation;
use crate::model::load::random::Stream;
use crate::model::load::write_tag::WriteTag;
use crate::model::names::ShardName;
use crate::model::ring::position::Position;
use crate::model::user::{User, UserId, UserPatch};
use crate::pg::cluster::Cluster;
use crate::pg::rows::Router;

/// How often a client draws a key before it gives up finding a user that it can change.
const TRIES: u32 = 16;
/// How long a client pauses a shard that failed: at first, and at most.
const SHARD_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How often a waiting client polls whether the run has ended.
const STEP: Duration = Duration::from_millis(50);
/// After so many skipped operations in a row the client sleeps a little.
const SKIPS_IN_A_ROW: u32 = 64;
/// The kind of error of an operation that was skipped because its shard had just failed.
pub(crate) const NOT_TRIED: &str = "not_tried";

/// The pause of a shard that failed, so that the client works with the others.
struct ShardPause {
    until: Instant,
    pause: Duration,
}

/// A running client.
pub(crate) struct Client {
    context: Arc<RunContext>,
    cluster: Cluster,
    number: u32,
    stream: Stream,
    /// The number of keys drawn, from all keys and from its own.
    turns: (u64, u64),
    paused_shards: HashMap<ShardName, ShardPause>,
    skipped_in_a_row: u32,
    /// When the last operation ended.
    ended: Instant,
}

impl Client {
    pub(crate) fn new(context: Arc<RunContext>, cluster: Cluster, number: u32) -> Self {
        let stream = Stream::new(context.plan.seed, u64::from(number));
        let (paused_shards, ended) = (HashMap::new(), Instant::now());
        Self { context, cluster, number, stream, turns: (0, 0), paused_shards, skipped_in_a_row: 0, ended }
    }

    /// Runs operations until the end of the run.
    pub(crate) fn work(mut self) {
        let (begun, plan) = (self.context.begun, &self.context.plan);
        let end = begun + plan.duration;
        let clients = f64::from(plan.clients);
        let interval = plan.rate.map(|rate| Duration::from_secs_f64(clients / f64::from(rate)));
        let mut due = begun + interval.unwrap_or_default().mul_f64(f64::from(self.number) / clients);
        loop {
            if interval.is_none() {
                due = Instant::now();
            }
            if due >= end || self.context.has_halted() {
                break;
            }
            let now = if interval.is_some() { self.wait_for(due) } else { due };
            if now >= end || self.context.has_halted() {
                break;
            }
            let operation = self.context.plan.mix.draw(&mut self.stream);
            self.perform(operation, due);
            due += interval.unwrap_or_default();
        }
        // Operations that were due and never begun must be counted.
        if let Some(interval) = interval {
            let left = end.min(Instant::now()).saturating_duration_since(due);
            let late = left.as_secs_f64() / interval.as_secs_f64();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let late = late.ceil() as u64;
            self.context.tally(self.number as usize).not_begun += late;
        }
    }

    /// Waits until `due`, or until the run is halted; returns the time then.
    fn wait_for(&self, due: Instant) -> Instant {
        loop {
            let now = Instant::now();
            let left = due.saturating_duration_since(now);
            if left.is_zero() || self.context.has_halted() {
                return now;
            }
            thread::sleep(left.min(STEP));
        }
    }

    /// Runs one operation. Its latency counts from when it was due.
    fn perform(&mut self, requested: LoadOperation, due: Instant) {
        let context = Arc::clone(&self.context);
        let own = match requested {
            LoadOperation::Update | LoadOperation::Delete => self.draw_own(),
            _ => None,
        };
        let any = match requested {
            LoadOperation::Create => None,
            // If no user can be changed, one is read.
            _ => own.or_else(|| self.draw_any()),
        };
        let (operation, key) = match (requested, any) {
            (LoadOperation::Create, _) | (_, None) => match self.next_new() {
                Some(key) => (LoadOperation::Create, key),
                None => return,
            },
            (LoadOperation::Update | LoadOperation::Delete, Some(key)) if own.is_none() => {
                (LoadOperation::Get, key)
            }
            (_, Some(key)) => (requested, key),
        };
        if !self.paused_shards.is_empty() && self.skips(operation, key) {
            return;
        }
        let answered = match operation {
            LoadOperation::Get => self.get(key),
            LoadOperation::Create => self.create(key),
            LoadOperation::Update => self.change(key, false),
            LoadOperation::Delete => self.change(key, true),
        };
        let at = self.ended.saturating_duration_since(context.begun);
        let took = self.ended.saturating_duration_since(due);
        match answered {
            Ok(shard) => {
                self.skipped_in_a_row = 0;
                if !self.paused_shards.is_empty() {
                    self.paused_shards.remove(&shard);
                }
                let number = context.number_of(&shard);
                context.tally(self.number as usize).answered(operation, Some(number), at, took);
            }
            Err(error) => {
                let shard = error.shard().and_then(|shard| shard.parse().ok());
                let shard: ShardName = shard.unwrap_or_else(|| self.owner(key));
                let number = context.number_of(&shard);
                let message = || error.message().to_owned();
                let mut tally = context.tally(self.number as usize);
                tally.failed(operation, Some(number), at, error.kind().name(), message);
                drop(tally);
                if error.kind() != Kind::Locked {
                    let pause = self
                        .paused_shards
                        .entry(shard)
                        .or_insert(ShardPause { until: self.ended, pause: SHARD_PAUSE.0 });
                    pause.until = self.ended + pause.pause;
                    pause.pause = (pause.pause * 2).min(SHARD_PAUSE.1);
                }
            }
        }
    }

    /// Whether the owner of a key has just failed: then the operation fails without being tried.
    fn skips(&mut self, operation: LoadOperation, key: UserId) -> bool {
        let owner = self.owner(key);
        let now = Instant::now();
        if self.paused_shards.get(&owner).is_none_or(|pause| pause.until <= now) {
            return false;
        }
        let number = self.context.number_of(&owner);
        let at = now.saturating_duration_since(self.context.begun);
        let message = || format!("not tried, because shard `{owner}` had just failed");
        let mut tally = self.context.tally(self.number as usize);
        tally.failed(operation, Some(number), at, NOT_TRIED, message);
        drop(tally);
        self.skipped_in_a_row += 1;
        if self.skipped_in_a_row >= SKIPS_IN_A_ROW {
            thread::sleep(SHARD_PAUSE.0 / 10);
        }
        true
    }

    /// The owner of a key in this client's view.
    fn owner(&self, key: UserId) -> ShardName {
        self.cluster.view().ring().owner(Position::of_user(key)).clone()
    }

    /// Draws any user that exists or may exist.
    fn draw_any(&mut self) -> Option<UserId> {
        let (existing, created) = (self.context.existing.len() as u64, &self.context.created);
        let counts = created.iter().map(|created| created.load(Ordering::Relaxed));
        let clients = u64::from(self.context.plan.clients);
        let all = existing + counts.sum::<u64>();
        if all == 0 {
            return None;
        }
        let turn = self.turns.0 * clients + u64::from(self.number);
        self.turns.0 += 1;
        let at = draw(self.context.plan.choice, all, turn, &mut self.stream);
        if at < existing {
            return Some(self.context.existing.id(usize::try_from(at).ok()?));
        }
        // The clients create in turns, but not at the same pace: this client may not have created its user yet.
        let at = at - existing;
        (0..clients).find_map(|further| {
            let client = (at + further) % clients;
            let count = created[usize::try_from(client).ok()?].load(Ordering::Relaxed);
            (count > 0).then(|| self.new_id(client, (at / clients) % count))
        })
    }

    /// Draws a user that this client may change: each user belongs to one client.
    fn draw_own(&mut self) -> Option<UserId> {
        let (clients, number) = (u64::from(self.context.plan.clients), u64::from(self.number));
        let existing = self.context.existing.made() as u64;
        let existing = existing / clients + u64::from(existing % clients > number);
        let created = self.context.created[self.number as usize].load(Ordering::Relaxed);
        for _ in 0..TRIES.min(u32::try_from(existing + created).unwrap_or(TRIES)) {
            let at = draw(self.context.plan.choice, existing + created, self.turns.1, &mut self.stream);
            self.turns.1 += 1;
            let key = if at < existing {
                self.context.existing.made_id(usize::try_from(at * clients + number).ok()?)
            } else {
                self.new_id(number, at - existing)
            };
            let is_writable =
                |history: Option<&mut KeyHistory>| history.is_none_or(|history| history.is_writable());
            if self.context.histories.with(key, is_writable) {
                return Some(key);
            }
        }
        None
    }

    /// The id of the n-th user that a client creates, from 0.
    fn new_id(&self, client: u64, nth: u64) -> UserId {
        let further = nth * u64::from(self.context.plan.clients) + client;
        UserId::new(
            self.context.new_ids.0 + i64::try_from(further).expect("less than the number of reserved ids"),
        )
    }

    /// The id of this client's next new user, unless all are used up.
    fn next_new(&self) -> Option<UserId> {
        let nth = self.context.created[self.number as usize].load(Ordering::Relaxed);
        let clients = u64::from(self.context.plan.clients);
        ((nth + 1) * clients <= self.context.new_ids.1).then(|| self.new_id(u64::from(self.number), nth))
    }

    fn end<T>(&mut self, result: T) -> T {
        self.ended = Instant::now();
        result
    }

    /// Compares an answer with what was written.
    fn check(
        &self,
        operation: LoadOperation,
        key: UserId,
        min_version: u32,
        seen: Option<&User>,
        shard: &ShardName,
    ) {
        let is_compared = self.context.check(operation.name(), key, min_version, seen, shard);
        self.context.tally(self.number as usize).checked += u64::from(is_compared);
    }

    fn get(&mut self, key: UserId) -> Result<ShardName> {
        let min_version = self.context.histories.min_version(key);
        let answer = Router(&self.cluster).find_user(key);
        let (seen, shard) = self.end(answer)?;
        self.check(LoadOperation::Get, key, min_version, seen.as_ref(), &shard);
        Ok(shard)
    }

    fn create(&mut self, key: UserId) -> Result<ShardName> {
        let user = fake_users::user(self.context.plan.seed, key);
        let new = || KeyHistory::new(self.context.plan.run, key, self.number, Fingerprint::of(&user), false);
        let tag = self.context.histories.with_new(key, new, |history| history.begin(false));
        // From here on other clients may read it.
        self.context.created[self.number as usize].fetch_add(1, Ordering::Relaxed);
        let user = User { email: Some(tag.to_string()), ..user };
        let answer = Router(&self.cluster).create_user(&user).map(|(_, shard)| shard);
        match self.end(answer) {
            Ok(shard) => {
                self.acknowledge(key, &shard);
                Ok(shard)
            }
            Err(error) if error.kind() == Kind::Conflict => {
                self.refuse(key);
                let shard = self.shard_of(&error, key);
                self.context.give_up(WrongAnswer {
                    kind: "unexpected_user",
                    key,
                    shard: shard.clone(),
                    asked: LoadOperation::Create.name(),
                    at_ms: self.context.now_ms(),
                    expected: "no user".into(),
                    seen: "a user that exists already".into(),
                    acknowledged: None,
                });
                Ok(shard)
            }
            Err(error) => self.not_done(key, error),
        }
    }

    /// Updates or deletes a user that exists.
    fn change(&mut self, key: UserId, deletes: bool) -> Result<ShardName> {
        let context = Arc::clone(&self.context);
        let print = context.existing.print(key);
        let new = || {
            let print = print.expect("a user that did not exist before was created, and has a history");
            KeyHistory::new(context.plan.run, key, self.number, print, true)
        };
        let (min_version, tag) =
            context.histories.with_new(key, new, |history| (history.min_version(), history.begin(deletes)));
        let operation = if deletes { LoadOperation::Delete } else { LoadOperation::Update };
        let answer = if deletes {
            Router(&self.cluster).delete_user(key).map(|(_, shard)| (None, shard))
        } else {
            Router(&self.cluster).update_user(key, &patch(tag)).map(|(user, shard)| (Some(user), shard))
        };
        match self.end(answer) {
            Ok((seen, shard)) => {
                self.acknowledge(key, &shard);
                self.check(operation, key, tag.version, seen.as_ref(), &shard);
                Ok(shard)
            }
            Err(error) if error.kind() == Kind::NotFound => {
                self.refuse(key);
                let shard = self.shard_of(&error, key);
                self.check(operation, key, min_version, None, &shard);
                Ok(shard)
            }
            Err(error) => self.not_done(key, error),
        }
    }

    fn acknowledge(&self, key: UserId, shard: &ShardName) {
        let by = Acknowledgement { at_ms: self.context.now_ms(), shard: self.context.number_of(shard) };
        self.context.histories.with(key, |history| history.map(|history| history.acknowledge(by)));
    }

    fn refuse(&self, key: UserId) {
        self.context.histories.with(key, |history| history.map(KeyHistory::refuse));
    }

    /// Handles a failed write. Only one that gave up waiting for a move is known not to have been applied.
    fn not_done(&self, key: UserId, error: Error) -> Result<ShardName> {
        if error.kind() == Kind::Locked {
            self.refuse(key);
        }
        Err(error)
    }

    fn shard_of(&self, error: &Error, key: UserId) -> ShardName {
        error.shard().and_then(|shard| shard.parse().ok()).unwrap_or_else(|| self.owner(key))
    }
}

/// The fields that an update sets.
fn patch(tag: WriteTag) -> UserPatch {
    let email = tag.to_string().parse().expect("a tag fits into an email");
    UserPatch { email: Some(Some(email)), ..UserPatch::default() }
}
