//! One client of a run: a thread that does one operation after the other, and checks each answer.

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

/// How often a user is looked for that can be changed.
const TRIES: u32 = 16;
/// How long a shard that failed is left alone: at first, and at most.
const REST: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How soon a client that waits for its turn notices the end.
const STEP: Duration = Duration::from_millis(50);
/// After so many operations in a row that were not tried, it waits a little.
const SKIPS_IN_A_ROW: u32 = 64;
/// The kind of errors of operations that were not tried, as their shard had just failed.
pub(crate) const NOT_TRIED: &str = "not_tried";

/// A shard that failed: it is left alone for a while, so that the client is there for the others.
struct ShardPause {
    until: Instant,
    pause: Duration,
}

/// A client at work.
pub(crate) struct Client {
    context: Arc<RunContext>,
    cluster: Cluster,
    number: u32,
    stream: Stream,
    /// How many keys were drawn, of all and of its own.
    turns: (u64, u64),
    resting: HashMap<ShardName, ShardPause>,
    skipped_in_a_row: u32,
    /// When the last operation ended.
    ended: Instant,
}

impl Client {
    pub(crate) fn new(context: Arc<RunContext>, cluster: Cluster, number: u32) -> Self {
        let stream = Stream::new(context.plan.seed, u64::from(number));
        let (resting, ended) = (HashMap::new(), Instant::now());
        Self { context, cluster, number, stream, turns: (0, 0), resting, skipped_in_a_row: 0, ended }
    }

    /// Works until the time is over.
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
        // What was due and never begun must not make the others look good.
        if let Some(interval) = interval {
            let left = end.min(Instant::now()).saturating_duration_since(due);
            let late = left.as_secs_f64() / interval.as_secs_f64();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let late = late.ceil() as u64;
            self.context.tally(self.number as usize).not_begun += late;
        }
    }

    /// Waits until then, or until the run is halted; the time then.
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

    /// Does one operation. Its latency counts from when it was due.
    fn perform(&mut self, requested: LoadOperation, due: Instant) {
        let context = Arc::clone(&self.context);
        let own = match requested {
            LoadOperation::Update | LoadOperation::Delete => self.draw_own(),
            _ => None,
        };
        let any = match requested {
            LoadOperation::Create => None,
            // Where no user can be changed, one is read.
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
        if !self.resting.is_empty() && self.rests(operation, key) {
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
                if !self.resting.is_empty() {
                    self.resting.remove(&shard);
                }
                let number = context.number_of(&shard);
                context.tally(self.number as usize).answered(operation, Some(number), at, took);
            }
            Err(error) => {
                let shard = error.shard().and_then(|shard| shard.parse().ok());
                let shard: ShardName = shard.unwrap_or_else(|| self.owner(key));
                let number = context.number_of(&shard);
                let told = || error.message().to_owned();
                let mut tally = context.tally(self.number as usize);
                tally.failed(operation, Some(number), at, error.kind().name(), told);
                drop(tally);
                if error.kind() != Kind::Locked {
                    let rest =
                        self.resting.entry(shard).or_insert(ShardPause { until: self.ended, pause: REST.0 });
                    rest.until = self.ended + rest.pause;
                    rest.pause = (rest.pause * 2).min(REST.1);
                }
            }
        }
    }

    /// Whether the owner of a key failed just now: then the operation fails without being tried.
    fn rests(&mut self, operation: LoadOperation, key: UserId) -> bool {
        let owner = self.owner(key);
        let now = Instant::now();
        if self.resting.get(&owner).is_none_or(|rest| rest.until <= now) {
            return false;
        }
        let number = self.context.number_of(&owner);
        let at = now.saturating_duration_since(self.context.begun);
        let told = || format!("shard `{owner}` failed just before, and was left alone for a moment");
        let mut tally = self.context.tally(self.number as usize);
        tally.failed(operation, Some(number), at, NOT_TRIED, told);
        drop(tally);
        self.skipped_in_a_row += 1;
        if self.skipped_in_a_row >= SKIPS_IN_A_ROW {
            thread::sleep(REST.0 / 10);
        }
        true
    }

    /// The owner of a key, by what this client knows.
    fn owner(&self, key: UserId) -> ShardName {
        self.cluster.view().ring.owner(Position::of_user(key)).clone()
    }

    /// Any user that is there, or may be.
    fn draw_any(&mut self) -> Option<UserId> {
        let (known, created) = (self.context.known.len() as u64, &self.context.created);
        let counts = created.iter().map(|created| created.load(Ordering::Relaxed));
        let clients = u64::from(self.context.plan.clients);
        let all = known + counts.sum::<u64>();
        if all == 0 {
            return None;
        }
        let turn = self.turns.0 * clients + u64::from(self.number);
        self.turns.0 += 1;
        let at = draw(self.context.plan.choice, all, turn, &mut self.stream);
        if at < known {
            return Some(self.context.known.id(usize::try_from(at).ok()?));
        }
        // The clients create in turns, but not at the same pace: whose turn it is may not have come yet.
        let at = at - known;
        (0..clients).find_map(|further| {
            let client = (at + further) % clients;
            let count = created[usize::try_from(client).ok()?].load(Ordering::Relaxed);
            (count > 0).then(|| self.new_id(client, (at / clients) % count))
        })
    }

    /// A user that this client may change: each is one client's.
    fn draw_own(&mut self) -> Option<UserId> {
        let (clients, number) = (u64::from(self.context.plan.clients), u64::from(self.number));
        let known = if self.context.known.strangers() > 0 { 0 } else { self.context.known.len() as u64 };
        let known = known / clients + u64::from(known % clients > number);
        let created = self.context.created[self.number as usize].load(Ordering::Relaxed);
        for _ in 0..TRIES.min(u32::try_from(known + created).unwrap_or(TRIES)) {
            let at = draw(self.context.plan.choice, known + created, self.turns.1, &mut self.stream);
            self.turns.1 += 1;
            let key = if at < known {
                self.context.known.id(usize::try_from(at * clients + number).ok()?)
            } else {
                self.new_id(number, at - known)
            };
            let is_writable =
                |history: Option<&mut KeyHistory>| history.is_none_or(|known| known.is_writable());
            if self.context.histories.with(key, is_writable) {
                return Some(key);
            }
        }
        None
    }

    /// The id of the n-th user that a client creates, from 0 on.
    fn new_id(&self, client: u64, nth: u64) -> UserId {
        let further = nth * u64::from(self.context.plan.clients) + client;
        UserId::new(self.context.new_ids.0 + i64::try_from(further).expect("it is less than the claim"))
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
        // From here on others read it.
        self.context.created[self.number as usize].fetch_add(1, Ordering::Relaxed);
        let user = User { email: Some(tag.to_string()), ..user };
        let answer = Router(&self.cluster).create_user(&user);
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
                    seen: "a user that is there already".into(),
                    acknowledged: None,
                });
                Ok(shard)
            }
            Err(error) => self.not_done(key, error),
        }
    }

    /// Changes or deletes a user that is there for sure.
    fn change(&mut self, key: UserId, deletes: bool) -> Result<ShardName> {
        let context = Arc::clone(&self.context);
        let print = context.known.print(key);
        let new = || {
            let print = print.expect("a user that is not known yet was created, and has a history");
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

    /// A write failed. Only of one that waited for a move in vain is it sure that it was not done.
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

/// What an update sets.
fn patch(tag: WriteTag) -> UserPatch {
    let email = tag.to_string().parse().expect("a tag is shorter than an email may be");
    UserPatch { email: Some(Some(email)), ..UserPatch::default() }
}
