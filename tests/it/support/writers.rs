//! Writers with old topologies, and a model of each key: which values it may have.
//!
//! A write is acknowledged (the key has that value), failed (it has no effect) or of unknown outcome (the key has one
//! of several values). What a standby that took a shard over had not received is counted apart: see `end_failover`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use postgres::Client;
use ringshard::error::{Error, Kind};
use ringshard::local::PrivateServer;
use ringshard::model::ring::position::Position;
use ringshard::model::user::{User, UserId, UserPatch};
use ringshard::pg::cluster::Cluster;
use ringshard::pg::net::conninfo::ConnectionString;
use ringshard::pg::pool::{PoolOptions, Shards};
use ringshard::pg::rows::Router;
use uuid::Uuid;

use super::random::Random;
use super::rings::shard_names;
use super::servers::Servers;

/// How old a value may be that a standby brings back: much older than any lag here.
const LAG: Duration = Duration::from_secs(10);

/// The values that a key may have: one, or several after an unknown outcome.
type Possible = BTreeSet<Option<u64>>;

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wrong {
    Lost,
    Stale,
    Resurrected,
    Duplicated,
    /// Two owners, or none.
    Owners,
    /// A command's answer, as that of `verify`.
    Answer,
}

struct Key {
    id: u64,
    possible: Possible,
    /// The values that it had, and until when.
    past: Vec<(Option<u64>, Instant)>,
}

/// A shard that is failing over.
struct Failover {
    begun: Instant,
    /// Who held which arcs before.
    before: Vec<Held>,
    /// What writers saw meanwhile that does not fit the model.
    seen: Vec<(Wrong, u64, String)>,
}

/// What a shard holds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Held {
    /// The first and last position, and for a fenced arc its peer.
    arcs: Vec<(u128, u128, Option<String>)>,
}

pub(crate) struct Writers<'a> {
    servers: &'a Servers,
    /// The keys of each writer, locked for each operation.
    keys: Vec<Mutex<Vec<Key>>>,
    failover: Mutex<Option<Failover>>,
    violations: Mutex<Vec<(Wrong, String)>>,
    /// How long each write took, in microseconds.
    stalls: Mutex<Vec<u64>>,
    pub(crate) operations: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) unknown: AtomicU64,
    /// Acknowledged writes that a standby had not received.
    pub(crate) unreplicated: AtomicU64,
    is_over: AtomicBool,
}

pub(crate) fn add(count: &AtomicU64) -> u64 {
    count.fetch_add(1, Ordering::SeqCst) + 1
}

pub(crate) fn get(count: &AtomicU64) -> u64 {
    count.load(Ordering::SeqCst)
}

/// The cluster as a process sees it that has the first configuration and no cache.
fn stale_cluster(servers: &Servers) -> Cluster {
    let entries = (1..=3).map(|n| (shard_names(3)[n - 1].clone(), ConnectionString::new(servers.url(n))));
    let private = PrivateServer::at(Some(servers.home()), None).unwrap();
    let options = PoolOptions { connect_timeout: Duration::from_secs(2), size: 2, statement_timeout: None };
    Cluster::open(Shards::new(entries, private, options).unwrap(), None, None).unwrap()
}

fn user(id: u64, value: u64) -> User {
    User {
        user_id: UserId::new(i64::try_from(id).unwrap()),
        name: Some(value.to_string()),
        region: None,
        email: None,
    }
}

fn value_of(user: &User) -> u64 {
    user.name.as_deref().unwrap().parse().unwrap()
}

fn position(id: u64) -> u128 {
    Position::of_user(UserId::new(i64::try_from(id).unwrap())).number()
}

impl Key {
    fn becomes(&mut self, possible: Possible) {
        let now = Instant::now();
        let replaced = self.possible.difference(&possible).map(|value| (*value, now));
        self.past.extend(replaced);
        self.past.retain(|(_, until)| until.elapsed() < Duration::from_mins(2));
        self.possible = possible;
    }

    fn wrong(&self, seen: Option<u64>) -> Wrong {
        match seen {
            None => Wrong::Lost,
            Some(_) if self.possible == Possible::from([None]) => Wrong::Resurrected,
            Some(_) => Wrong::Stale,
        }
    }
}

impl Held {
    fn read(client: &mut Client) -> Result<Self, postgres::Error> {
        if client.query_one("SELECT to_regclass('ringshard.arc') IS NULL", &[])?.get(0) {
            return Ok(Self::default());
        }
        let sql = "SELECT first, last, transfer_to FROM ringshard.arc ORDER BY first";
        let number = |row: &postgres::Row, at: usize| row.get::<_, Uuid>(at).as_u128();
        let rows = client.query(sql, &[])?;
        Ok(Self { arcs: rows.iter().map(|row| (number(row, 0), number(row, 1), row.get(2))).collect() })
    }

    fn holds(&self, position: u128) -> bool {
        self.arcs.iter().any(|(first, last, _)| (*first..=*last).contains(&position))
    }

    /// Whom the position is fenced for.
    fn peer(&self, position: u128) -> Option<&str> {
        let arc = self.arcs.iter().find(|(first, last, _)| (*first..=*last).contains(&position))?;
        arc.2.as_deref()
    }
}

impl<'a> Writers<'a> {
    pub(crate) fn new(servers: &'a Servers, writers: u64, keys_per_writer: u64) -> Self {
        let key = |id| Key { id, possible: Possible::from([None]), past: Vec::new() };
        let keys_of = |writer| (0..keys_per_writer).map(|at| key(1 + writer + at * writers)).collect();
        Self {
            servers,
            keys: (0..writers).map(|writer| Mutex::new(keys_of(writer))).collect(),
            failover: Mutex::default(),
            violations: Mutex::default(),
            stalls: Mutex::default(),
            operations: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            unreplicated: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    pub(crate) fn violation(&self, wrong: Wrong, what: String) {
        self.violations.lock().push((wrong, what));
    }

    pub(crate) fn violations(&self) -> MutexGuard<'_, Vec<(Wrong, String)>> {
        self.violations.lock()
    }

    /// How many violations there are of a kind.
    pub(crate) fn count(&self, wrong: Wrong) -> usize {
        self.violations.lock().iter().filter(|(kind, _)| *kind == wrong).count()
    }

    /// The times that writes took, shortest first, in microseconds.
    pub(crate) fn stalls(&self) -> Vec<u64> {
        let mut stalls = self.stalls.lock().clone();
        stalls.sort_unstable();
        stalls
    }

    /// What a writer saw that does not fit the model.
    fn mismatch(&self, wrong: Wrong, id: u64, what: String) {
        match &mut *self.failover.lock() {
            Some(failover) => failover.seen.push((wrong, id, what)),
            None => self.violation(wrong, what),
        }
    }

    /// Writes and reads the keys of one writer until the end.
    pub(crate) fn write(&self, writer: u64) {
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (writer + 1).wrapping_mul(0xD1B5_4A32_D192_ED03));
        let writers = u64::try_from(self.keys.len()).unwrap();
        let keys = &self.keys[usize::try_from(writer).unwrap()];
        let mut cluster = stale_cluster(self.servers);
        let (mut value, mut stalls) = (writer, Vec::new());
        while !self.is_over() {
            if random.below(200) == 0 {
                cluster = stale_cluster(self.servers);
            }
            {
                let mut keys = keys.lock();
                let at = random.below(u64::try_from(keys.len()).unwrap());
                value += writers;
                let begun = Instant::now();
                let kind = random.below(10);
                self.operate(&cluster, kind, value, &mut keys[usize::try_from(at).unwrap()]);
                if kind >= 4 {
                    stalls.push(u64::try_from(begun.elapsed().as_micros()).unwrap());
                }
            }
            add(&self.operations);
            // The lock is free for a moment: `end_failover` gets it.
            thread::yield_now();
        }
        self.stalls.lock().extend(stalls);
    }

    fn operate(&self, cluster: &Cluster, kind: u64, value: u64, key: &mut Key) {
        let (id, user_id) = (key.id, UserId::new(i64::try_from(key.id).unwrap()));
        // `Ok` is a value that was read, `Err` one that was written.
        let (verb, seen) = match kind {
            0..4 => match Router(cluster).get_user(user_id) {
                Ok(user) => ("get", Ok(Some(value_of(&user)))),
                Err(error) if error.kind() == Kind::NotFound => ("get", Ok(None)),
                Err(_) => return,
            },
            4..7 => match Router(cluster).create_user(&user(id, value)) {
                Ok(_) => {
                    self.must_hold("create", Wrong::Lost, key, Option::is_none);
                    ("create", Err(Some(value)))
                }
                Err(error) if error.kind() == Kind::Conflict => {
                    self.must_hold("refused create", Wrong::Resurrected, key, Option::is_some);
                    let mut possible = key.possible.clone();
                    possible.remove(&None);
                    // After a failover this may be any value that it had.
                    if !possible.is_empty() {
                        key.becomes(possible);
                    }
                    return;
                }
                Err(error) => return self.unknown(&error, key, Some(value)),
            },
            7..9 => {
                let name = Some(value.to_string().parse().unwrap());
                let patch = UserPatch { name, ..UserPatch::default() };
                match Router(cluster).update_user(user_id, &patch) {
                    Ok(_) => {
                        self.must_hold("update", Wrong::Resurrected, key, Option::is_some);
                        ("update", Err(Some(value)))
                    }
                    Err(error) if error.kind() == Kind::NotFound => ("update", Ok(None)),
                    Err(_) if key.possible == Possible::from([None]) => return,
                    Err(error) => return self.unknown(&error, key, Some(value)),
                }
            }
            _ => match Router(cluster).delete_user(user_id) {
                // After a lost connection: the user is deleted, by this client or another.
                Ok((None, _)) => ("delete", Err(None)),
                Ok((Some(user), _)) => {
                    let was = Some(value_of(&user));
                    if !key.possible.contains(&was) {
                        let what = format!("deleted {was:?} of {id}, which holds one of {:?}", key.possible);
                        self.mismatch(key.wrong(was), id, what);
                    }
                    ("delete", Err(None))
                }
                Err(error) if error.kind() == Kind::NotFound => ("delete", Ok(None)),
                Err(error) => return self.unknown(&error, key, None),
            },
        };
        match seen {
            Ok(seen) => {
                if !key.possible.contains(&seen) {
                    let what = format!("{verb} of {id} found {seen:?} instead of one of {:?}", key.possible);
                    self.mismatch(key.wrong(seen), id, what);
                }
                key.becomes(Possible::from([seen]));
            }
            Err(written) => {
                add(&self.acknowledged);
                key.becomes(Possible::from([written]));
            }
        }
    }

    fn must_hold(&self, verb: &str, wrong: Wrong, key: &Key, holds: fn(&Option<u64>) -> bool) {
        if !key.possible.iter().any(holds) {
            self.mismatch(
                wrong,
                key.id,
                format!("{verb} of {}, which holds one of {:?}", key.id, key.possible),
            );
        }
    }

    fn unknown(&self, error: &Error, key: &mut Key, value: Option<u64>) {
        // A write that was refused during a move has no effect.
        if error.kind() != Kind::Locked {
            add(&self.unknown);
            key.possible.insert(value);
        }
    }

    fn held(&self) -> Vec<Held> {
        self.each_shard(|client| Held::read(client).unwrap())
    }

    fn each_shard<T>(&self, mut read: impl FnMut(&mut Client) -> T) -> Vec<T> {
        (1..=self.servers.count()).map(|number| read(&mut self.servers.client(number))).collect()
    }

    /// The rows of all shards: the value of each id.
    fn rows(&self) -> Vec<BTreeMap<u64, u64>> {
        self.each_shard(|client| {
            if client.query_one("SELECT to_regclass('public.users') IS NULL", &[]).unwrap().get(0) {
                return BTreeMap::new();
            }
            let rows = client.query("SELECT user_id, name FROM users", &[]).unwrap();
            let pair = |row: &postgres::Row| {
                (u64::try_from(row.get::<_, i64>(0)).unwrap(), row.get::<_, &str>(1).parse().unwrap())
            };
            rows.iter().map(pair).collect()
        })
    }

    /// To be called just before a primary is killed, while all shards answer.
    pub(crate) fn begin_failover(&self) {
        let before = self.held();
        *self.failover.lock() = Some(Failover { begun: Instant::now(), before, seen: Vec::new() });
    }

    /// Compares all keys with what the shards hold, after the standby of this shard has become its primary, while no
    /// rebalance runs. The model of a key that this shard held goes back to what its standby had.
    pub(crate) fn end_failover(&self, number: usize) {
        let mut all: Vec<_> = self.keys.iter().map(Mutex::lock).collect();
        let (now, rows) = loop {
            let (held, rows) = (self.held(), self.rows());
            // A client may finish the move of a chunk between two of these.
            if held == self.held() {
                break (held, rows);
            }
        };
        let Failover { begun, before, seen } = self.failover.lock().take().unwrap();
        let name = format!("shard_{number}");
        let held_by_it = |held: &[Held], at: u128| {
            held[number - 1].holds(at) || held.iter().any(|held| held.peer(at) == Some(&name))
        };
        let was_its = |id: u64| held_by_it(&before, position(id)) || held_by_it(&now, position(id));
        for (wrong, id, what) in seen {
            if was_its(id) {
                add(&self.unreplicated);
            } else {
                self.violation(wrong, format!("{what}, and `{name}`, which failed over, did not hold it"));
            }
        }
        for key in all.iter_mut().flat_map(|keys| keys.iter_mut()) {
            let at = position(key.id);
            let (fenced, owners): (Vec<_>, Vec<_>) =
                (0..now.len()).filter(|n| now[*n].holds(at)).partition(|n| now[*n].peer(at).is_some());
            let holder = match (&owners[..], &fenced[..]) {
                ([one], _) | ([], [one]) => *one,
                _ => {
                    let what =
                        format!("user {} is owned by {owners:?}, fenced by {fenced:?} (from 0)", key.id);
                    self.violation(Wrong::Owners, what);
                    continue;
                }
            };
            let elsewhere = |n: &usize| rows[*n].contains_key(&key.id) && !now[*n].holds(at);
            if let Some(other) = (0..rows.len()).find(elsewhere) {
                let what = format!("user {} is also on shard {}, on none of its arcs", key.id, other + 1);
                self.violation(Wrong::Duplicated, what);
            }
            let value = rows[holder].get(&key.id).copied();
            if key.possible.contains(&value) {
                continue;
            }
            let is_recent = key.past.iter().any(|(past, until)| *past == value && *until + LAG > begun);
            if was_its(key.id) && is_recent {
                add(&self.unreplicated);
            } else {
                let what = format!("{} holds {value:?} instead of one of {:?}", key.id, key.possible);
                self.violation(key.wrong(value), format!("after `{name}` failed over {what}"));
            }
            key.becomes(Possible::from([value]));
        }
    }

    /// Compares all keys with the rows, when nothing is under way.
    pub(crate) fn compare(&self) {
        let rows = self.rows();
        for key in self.keys.iter().flat_map(|keys| keys.lock().drain(..).collect::<Vec<_>>()) {
            let found: Vec<u64> = rows.iter().filter_map(|rows| rows.get(&key.id).copied()).collect();
            let wrong = match found[..] {
                [] if key.possible.contains(&None) => continue,
                [value] if key.possible.contains(&Some(value)) => continue,
                [] => Wrong::Lost,
                [value] => key.wrong(Some(value)),
                _ => Wrong::Duplicated,
            };
            let what = format!("in the end {} holds {found:?} instead of one of {:?}", key.id, key.possible);
            self.violation(wrong, what);
        }
    }
}
