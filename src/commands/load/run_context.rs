//! The state that the clients of a run share: the users, what was written, and the wrong answers.

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

/// How many wrong answers are kept one by one.
const FINDINGS_KEPT: usize = 100;

/// The parameters of a run.
#[derive(Debug)]
pub(crate) struct LoadPlan {
    pub(crate) clients: u32,
    pub(crate) duration: Duration,
    pub(crate) mix: Mix,
    /// Operations per second of all clients together; `None`: as fast as they are answered.
    pub(crate) rate: Option<u32>,
    pub(crate) choice: Choice,
    pub(crate) seed: u64,
    /// The number of this run in its write tags.
    pub(crate) run: u32,
    /// The shards with an asynchronous replica, which may lack the last acknowledged writes.
    pub(crate) async_replicas: Vec<ShardName>,
}

/// An answer that cannot be true.
#[derive(Debug, Clone)]
pub(crate) struct WrongAnswer {
    pub(crate) kind: &'static str,
    pub(crate) key: UserId,
    /// The shard that answered.
    pub(crate) shard: ShardName,
    /// The operation, or the check at the end.
    pub(crate) asked: &'static str,
    /// Since the run began.
    pub(crate) at_ms: u64,
    pub(crate) expected: String,
    pub(crate) seen: String,
    /// The time and the shard of the acknowledgement of the last write that is missing.
    pub(crate) acknowledged: Option<(u64, ShardName)>,
}

/// All wrong answers.
#[derive(Debug, Default)]
pub(crate) struct WrongAnswers {
    pub(crate) wrong: u64,
    /// Writes that a shard with an asynchronous replica acknowledged, and that are lost.
    pub(crate) lost_unreplicated: u64,
    pub(crate) by_kind: BTreeMap<&'static str, u64>,
    pub(crate) first: Vec<WrongAnswer>,
}

/// The kind of writes that an asynchronous replica may lack.
pub(crate) const LOST_UNREPLICATED: &str = "lost_unreplicated";

/// The state that all clients share.
pub(crate) struct RunContext {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) plan: LoadPlan,
    pub(crate) existing: ExistingKeys,
    pub(crate) histories: KeyHistories,
    /// The first id for new users, and how many ids are reserved.
    pub(crate) new_ids: (i64, u64),
    /// The number of users that each client has begun to create.
    pub(crate) created: Vec<AtomicU64>,
    pub(crate) begun: Instant,
    pub(crate) halt: AtomicBool,
    pub(crate) tallies: Vec<Mutex<Tally>>,
    names: RwLock<Vec<ShardName>>,
    /// The incarnation of each shard when the run began.
    incarnations: BTreeMap<ShardName, Incarnation>,
    findings: Mutex<WrongAnswers>,
    /// The number of users that another program changed or deleted during the run.
    pub(crate) changed_by_others: AtomicU64,
}

/// The incarnation of each shard in the cluster's view.
fn incarnations(cluster: &Cluster) -> BTreeMap<ShardName, Incarnation> {
    let view = cluster.view();
    view.endpoints.iter().map(|(name, endpoint)| (name.clone(), endpoint.incarnation)).collect()
}

impl RunContext {
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        plan: LoadPlan,
        existing: ExistingKeys,
        new_ids: (i64, u64),
    ) -> Self {
        Self {
            created: (0..plan.clients).map(|_| AtomicU64::new(0)).collect(),
            tallies: (0..plan.clients).map(|_| Mutex::default()).collect(),
            names: RwLock::new(cluster.shards().names()),
            incarnations: incarnations(&cluster),
            findings: Mutex::default(),
            changed_by_others: AtomicU64::new(0),
            histories: KeyHistories::new(),
            begun: Instant::now(),
            halt: AtomicBool::new(false),
            cluster,
            plan,
            existing,
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

    /// The names of the shards, by number.
    pub(crate) fn names(&self) -> parking_lot::RwLockReadGuard<'_, Vec<ShardName>> {
        self.names.read()
    }

    pub(crate) fn findings(&self) -> MutexGuard<'_, WrongAnswers> {
        self.findings.lock()
    }

    pub(crate) fn tally(&self, client: usize) -> MutexGuard<'_, Tally> {
        self.tallies[client].lock()
    }

    /// The owner of a key in the cluster's view.
    pub(crate) fn owner(&self, key: UserId) -> ShardName {
        self.cluster.view().ring().owner(Position::of_user(key)).clone()
    }

    /// The ids of the users whose creation was begun.
    pub(crate) fn created_ids(&self) -> Vec<UserId> {
        let clients = i64::from(self.plan.clients);
        let of_client = |(number, created): (i64, &AtomicU64)| {
            let count = i64::try_from(created.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
            (0..count).map(move |nth| UserId::new(self.new_ids.0 + nth * clients + number))
        };
        (0..).zip(&self.created).flat_map(of_client).collect()
    }

    pub(crate) fn has_halted(&self) -> bool {
        self.halt.load(Ordering::Relaxed)
    }

    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Compares an answer with the history of its key. `Ok(false)` if the expected value is not known. `min_version` is
    /// the minimum version when the operation began.
    fn compare(
        &self,
        key: UserId,
        min_version: Version,
        seen: Option<&User>,
    ) -> Result<bool, ImpossibleAnswer> {
        self.histories.with(key, |history| match history {
            Some(history) => history.judge(min_version, seen).map(|()| !history.is_broken()),
            None => self.compare_unwritten(key, seen),
        })
    }

    /// The same for a key that no client of this run has written.
    fn compare_unwritten(&self, key: UserId, seen: Option<&User>) -> Result<bool, ImpossibleAnswer> {
        if seen.is_some_and(|user| user.user_id != key) {
            return Err(ImpossibleAnswer::OtherUser);
        }
        match (self.existing.print(key), seen) {
            (None, _) => Ok(false),
            (Some(_), None) => Err(ImpossibleAnswer::Missing),
            (Some(print), Some(user)) if print == Fingerprint::of(user) => Ok(true),
            (Some(print), Some(user)) if print.lasting != Fingerprint::of(user).lasting => {
                Err(ImpossibleAnswer::OtherUser)
            }
            (Some(_), Some(_)) => Err(ImpossibleAnswer::Unknown),
        }
    }

    /// Compares an answer, and records it if it is wrong. Returns whether the expected value was known.
    pub(crate) fn check(
        &self,
        asked: &'static str,
        key: UserId,
        min_version: Version,
        seen: Option<&User>,
        shard: &ShardName,
    ) -> bool {
        let wrong = match self.compare(key, min_version, seen) {
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
        if self.existing.is_stranger(key) && seen.is_none_or(|user| user.user_id == key) {
            self.compare_stranger(finding);
            return true;
        }
        match wrong {
            ImpossibleAnswer::Older(_) => self.read_again(finding, min_version),
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

    /// The answer about a user that load did not make is not what was read at first: either another program changed the user,
    /// or the answer is wrong; a second read that shows the user as it was at first says the latter.
    fn compare_stranger(&self, finding: WrongAnswer) {
        let key = finding.key;
        let Ok((seen, _)) = Router(&self.cluster).find_user(key) else { return };
        if self.compare_unwritten(key, seen.as_ref()).is_ok() {
            self.note(WrongAnswer { kind: "stale_read", ..finding });
        } else if self.forget(key) {
            self.changed_by_others.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// From now on nothing is expected of this key. Returns whether something was.
    fn forget(&self, key: UserId) -> bool {
        let nothing = Fingerprint { lasting: 0, changing: 0 };
        let new = || KeyHistory::new(self.plan.run, key, 0, nothing, true);
        self.histories.with_new(key, new, |history| {
            let was_known = !history.is_broken();
            history.give_up();
            was_known
        })
    }

    /// The answer is too old: a second read distinguishes a stale answer from a lost write.
    fn read_again(&self, finding: WrongAnswer, min_version: Version) {
        let key = finding.key;
        let Ok((seen, shard)) = Router(&self.cluster).find_user(key) else {
            return self.give_up(WrongAnswer { kind: "older_value", ..finding });
        };
        match self.compare(key, min_version, seen.as_ref()) {
            // Another client has recorded it already.
            Ok(_) if self.histories.min_version(key) < min_version => {}
            Ok(_) => self.note(WrongAnswer { kind: "stale_read", ..finding }),
            Err(ImpossibleAnswer::Older(version)) => {
                self.take_back(WrongAnswer { shard, ..finding }, version, min_version);
            }
            Err(_) => self.give_up(WrongAnswer { kind: "older_value", ..finding }),
        }
    }

    /// Records lost writes.
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

    /// Whether a replica has taken over a shard since the run began.
    fn was_taken_over(&self, shard: &ShardName) -> bool {
        let Some(before) = self.incarnations.get(shard) else { return false };
        let has_changed = || incarnations(&self.cluster).get(shard).is_some_and(|now| now > before);
        // The last answer may not have shown it.
        has_changed() || self.cluster.refresh().is_ok() && has_changed()
    }

    /// Records a wrong answer after which the expected value of the key is not known.
    pub(crate) fn give_up(&self, finding: WrongAnswer) {
        if self.forget(finding.key) {
            self.note(finding);
        }
    }

    fn note(&self, finding: WrongAnswer) {
        log::error!(
            "Wrong answer ({}) of shard {} about user {}: expected {}, seen {}",
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
