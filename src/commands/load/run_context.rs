//! What the clients of a run have in common: the users, what was written, and what was found wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard, RwLock};

use super::key_histories::KeyHistories;
use super::tally::Tally;
use crate::error::Result;
use crate::model::load::key_history::{Acknowledgement, ImpossibleAnswer, KeyHistory, Version, in_words};
use crate::model::load::keys::{Choice, ExistingKeys, Fingerprint};
use crate::model::load::mix::Mix;
use crate::model::names::ShardName;
use crate::model::ring::position::Position;
use crate::model::user::{User, UserId};
use crate::pg::catalog::Incarnation;
use crate::pg::cluster::Cluster;
use crate::pg::rows::Router;

/// How many findings are told one by one.
const FINDINGS_KEPT: usize = 100;

/// What a run is to be like.
#[derive(Debug)]
pub(crate) struct LoadPlan {
    pub(crate) clients: u32,
    pub(crate) duration: Duration,
    pub(crate) mix: Mix,
    /// Operations a second, of all clients together; `None`: as fast as they are answered.
    pub(crate) rate: Option<u32>,
    pub(crate) choice: Choice,
    pub(crate) seed: u64,
    /// Told by the marks of this run.
    pub(crate) run: u32,
    /// The shards whose replica may lack what was acknowledged last.
    pub(crate) async_replicas: Vec<ShardName>,
}

/// An answer that cannot be true.
#[derive(Debug, Clone)]
pub(crate) struct WrongAnswer {
    pub(crate) kind: &'static str,
    pub(crate) key: UserId,
    /// Who answered.
    pub(crate) shard: ShardName,
    /// What was asked: an operation, or the check at the end.
    pub(crate) asked: &'static str,
    /// Since the run began.
    pub(crate) at_ms: u64,
    pub(crate) expected: String,
    pub(crate) seen: String,
    /// When, and by whom, the last write was acknowledged that is not seen.
    pub(crate) acknowledged: Option<(u64, ShardName)>,
}

/// All that was found.
#[derive(Debug, Default)]
pub(crate) struct WrongAnswers {
    pub(crate) wrong: u64,
    /// Writes that were acknowledged by a shard with an asynchronous replica, and are gone.
    pub(crate) lost_unreplicated: u64,
    pub(crate) by_kind: BTreeMap<&'static str, u64>,
    pub(crate) first: Vec<WrongAnswer>,
}

/// The kind of writes that an asynchronous replica may lack.
pub(crate) const LOST_UNREPLICATED: &str = "lost_unreplicated";

/// What all clients share.
pub(crate) struct RunContext {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) plan: LoadPlan,
    pub(crate) known: ExistingKeys,
    pub(crate) histories: KeyHistories,
    /// The first id of users that are created, and how many there may be.
    pub(crate) new_ids: (i64, u64),
    /// How many users each client has begun to create.
    pub(crate) created: Vec<AtomicU64>,
    pub(crate) begun: Instant,
    pub(crate) halt: AtomicBool,
    pub(crate) tallies: Vec<Mutex<Tally>>,
    names: RwLock<Vec<ShardName>>,
    /// Which incarnation of each shard there was when the run began.
    incarnations: BTreeMap<ShardName, Incarnation>,
    findings: Mutex<WrongAnswers>,
}

/// Which incarnation of each shard there is, by what is known.
fn incarnations(cluster: &Cluster) -> BTreeMap<ShardName, Incarnation> {
    let view = cluster.view();
    view.endpoints.iter().map(|(name, place)| (name.clone(), place.incarnation)).collect()
}

impl RunContext {
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        plan: LoadPlan,
        known: ExistingKeys,
        new_ids: (i64, u64),
    ) -> Self {
        Self {
            created: (0..plan.clients).map(|_| AtomicU64::new(0)).collect(),
            tallies: (0..plan.clients).map(|_| Mutex::default()).collect(),
            names: RwLock::new(cluster.shards().names()),
            incarnations: incarnations(&cluster),
            findings: Mutex::default(),
            histories: KeyHistories::new(),
            begun: Instant::now(),
            halt: AtomicBool::new(false),
            cluster,
            plan,
            known,
            new_ids,
        }
    }

    /// The number of a shard.
    pub(crate) fn number_of(&self, shard: &ShardName) -> usize {
        let find = |names: &[ShardName]| names.iter().position(|name| name == shard);
        if let Some(number) = find(&self.names()) {
            return number;
        }
        let mut names = self.names.write();
        find(&names).unwrap_or_else(|| {
            names.push(shard.clone());
            names.len() - 1
        })
    }

    /// The shards by their numbers.
    pub(crate) fn names(&self) -> parking_lot::RwLockReadGuard<'_, Vec<ShardName>> {
        self.names.read()
    }

    pub(crate) fn findings(&self) -> MutexGuard<'_, WrongAnswers> {
        self.findings.lock()
    }

    pub(crate) fn tally(&self, client: usize) -> MutexGuard<'_, Tally> {
        self.tallies[client].lock()
    }

    /// The owner of a key, by what is known.
    pub(crate) fn owner(&self, key: UserId) -> ShardName {
        self.cluster.view().ring.owner(Position::of_user(key)).clone()
    }

    pub(crate) fn has_halted(&self) -> bool {
        self.halt.load(Ordering::Relaxed)
    }

    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether an answer can be true, and whether that is known at all. `min_version` is what counted when the question was
    /// asked.
    fn judge(
        &self,
        key: UserId,
        min_version: Version,
        seen: Option<&User>,
    ) -> Result<bool, ImpossibleAnswer> {
        self.histories.with(key, |history| match history {
            Some(history) => history.judge(min_version, seen).map(|()| !history.is_broken()),
            None => self.judge_unwritten(key, seen),
        })
    }

    /// The same for a key that nobody in this run writes.
    fn judge_unwritten(&self, key: UserId, seen: Option<&User>) -> Result<bool, ImpossibleAnswer> {
        if seen.is_some_and(|user| user.user_id != key) {
            return Err(ImpossibleAnswer::OtherUser);
        }
        // Users that no load has made may be changed, and deleted, by whom they belong to.
        if self.known.strangers() > 0 {
            return Ok(false);
        }
        match (self.known.print(key), seen) {
            (None, _) => Ok(false),
            (Some(_), None) => Err(ImpossibleAnswer::Missing),
            (Some(print), Some(user)) if print == Fingerprint::of(user) => Ok(true),
            (Some(print), Some(user)) if print.lasting != Fingerprint::of(user).lasting => {
                Err(ImpossibleAnswer::OtherUser)
            }
            (Some(_), Some(_)) => Err(ImpossibleAnswer::Unknown),
        }
    }

    /// Judges an answer, and notes what is wrong with it. Whether it could be judged.
    pub(crate) fn check(
        &self,
        asked: &'static str,
        key: UserId,
        min_version: Version,
        seen: Option<&User>,
        shard: &ShardName,
    ) -> bool {
        let wrong = match self.judge(key, min_version, seen) {
            Ok(is_known) => return is_known,
            Err(wrong) => wrong,
        };
        let finding = WrongAnswer {
            kind: "",
            key,
            shard: shard.clone(),
            asked,
            at_ms: self.now_ms(),
            expected: self.expected(key, min_version),
            seen: in_words(key, seen),
            acknowledged: None,
        };
        match wrong {
            ImpossibleAnswer::Older(_) => self.look_again(finding, min_version),
            ImpossibleAnswer::Missing => self.give_up(WrongAnswer { kind: "missing_user", ..finding }),
            ImpossibleAnswer::OtherUser => self.give_up(WrongAnswer { kind: "wrong_user", ..finding }),
            ImpossibleAnswer::NotDone(_) => self.give_up(WrongAnswer { kind: "phantom_write", ..finding }),
            ImpossibleAnswer::Unknown => self.give_up(WrongAnswer { kind: "unknown_value", ..finding }),
        }
        true
    }

    fn expected(&self, key: UserId, min_version: Version) -> String {
        let as_it_was = || "the user as it was when the run began".into();
        self.histories
            .with(key, |history| history.map_or_else(as_it_was, |history| history.expected(min_version)))
    }

    /// Something older was seen than what counts: one more read tells a stale answer from a lost write.
    fn look_again(&self, finding: WrongAnswer, min_version: Version) {
        let key = finding.key;
        let Ok((seen, shard)) = Router(&self.cluster).find_user(key) else {
            return self.give_up(WrongAnswer { kind: "older_value", ..finding });
        };
        match self.judge(key, min_version, seen.as_ref()) {
            // Another client was here first, and has told it.
            Ok(_) if self.histories.min_version(key) < min_version => {}
            Ok(_) => self.note(WrongAnswer { kind: "stale_read", ..finding }),
            Err(ImpossibleAnswer::Older(version)) => {
                self.take_back(WrongAnswer { shard, ..finding }, version, min_version);
            }
            Err(_) => self.give_up(WrongAnswer { kind: "older_value", ..finding }),
        }
    }

    /// Writes are gone.
    fn take_back(&self, finding: WrongAnswer, version: Version, min_version: Version) {
        let take_back = |history: Option<&mut KeyHistory>| {
            history.map(|history| history.take_back_to(version, min_version))
        };
        let Some(lost) = self.histories.with(finding.key, take_back) else {
            return;
        };
        if lost.writes == 0 {
            return;
        }
        let acknowledged =
            lost.last.map(|Acknowledgement { at_ms, shard }| (at_ms, self.names()[shard].clone()));
        let by = acknowledged.as_ref().map_or(&finding.shard, |(_, by)| by);
        let is_excused = self.plan.async_replicas.contains(by) && self.was_taken_over(by);
        let kind = match (is_excused, lost.is_revival) {
            (true, _) => LOST_UNREPLICATED,
            (false, true) => "revived_delete",
            (false, false) => "lost_write",
        };
        if is_excused {
            self.findings().lost_unreplicated += u64::from(lost.writes);
        }
        self.note(WrongAnswer { kind, acknowledged, ..finding });
    }

    /// Whether a replica has taken a shard over since the run began.
    fn was_taken_over(&self, shard: &ShardName) -> bool {
        let Some(before) = self.incarnations.get(shard) else { return false };
        let is_another = || incarnations(&self.cluster).get(shard).is_some_and(|now| now > before);
        // Who answered last may not have told of it.
        is_another() || self.cluster.refresh().is_ok() && is_another()
    }

    /// After this nothing is known of the key any more.
    pub(crate) fn give_up(&self, finding: WrongAnswer) {
        let key = finding.key;
        let nothing = Fingerprint { lasting: 0, changing: 0 };
        let new = || KeyHistory::new(self.plan.run, key, 0, nothing, true);
        let was_known = self.histories.with_new(key, new, |history| {
            let was_known = !history.is_broken();
            history.give_up();
            was_known
        });
        if was_known {
            self.note(finding);
        }
    }

    fn note(&self, finding: WrongAnswer) {
        log::error!(
            "ImpossibleAnswer answer ({}) of shard {} about user {}: expected {}, seen {}",
            finding.kind,
            finding.shard,
            finding.key,
            finding.expected,
            finding.seen
        );
        let mut findings = self.findings();
        if finding.kind != LOST_UNREPLICATED {
            findings.wrong += 1;
        }
        *findings.by_kind.entry(finding.kind).or_default() += 1;
        if findings.first.len() < FINDINGS_KEPT {
            findings.first.push(finding);
        }
    }
}
