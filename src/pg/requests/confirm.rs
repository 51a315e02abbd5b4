//! Confirms the primary of a shard after a failover that somebody else made.
//!
//! Each shard records the server and the timeline on which it was last compared with the others
//! (`ringshard.is_confirmed`). A server that was promoted since then is on another timeline. It may lack the last
//! transactions of the old primary, and among them hand-overs: then it owns arcs that another shard received, or nobody owns
//! arcs that its old primary received. So before it serves, or takes part in a change, its state is compared with those of
//! the other shards (`model/failover_plan/`).
//!
//! Needs no lock. While the server is not confirmed it takes part in no hand-over. A mover that was at work with the old
//! primary acts in an earlier epoch: if a change is under way, it is announced to the others in a new epoch before their
//! states are read.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use postgres::types::{Json, Type};

use super::connection::{Connection, ObservedShard, is_confirmed};
use crate::error::{Error, Kind, Result};
use crate::model::failover_plan::{LOST_HANDOVER_HINT, MissingHandover, Others, forced, missing_handovers};
use crate::model::names::ShardName;
use crate::model::rebalance::{Announcement, Condition, Reply, ShardState, arbiter};
use crate::model::ring::topology::{Epoch, Topology};
use crate::pg::catalog::Incarnation;
use crate::pg::cluster::Cluster;
use crate::pg::net::session::only;
use crate::pg::net::sqlstate::{self, on_shard};
use crate::threads;

/// How often the states are read, as other clients may change them at the same time.
const ROUNDS_MAX: u32 = 20;
/// The pause between two rounds.
const ROUND_PAUSE: Duration = Duration::from_millis(50);
/// A hand-over is missing if so many rounds in a row show it: the states are read at different times.
const MISSING_ROUNDS: u32 = 3;

/// The states of the shards in one round.
struct Observed {
    own: ObservedShard,
    connection: Connection,
    others: BTreeMap<ShardName, ObservedShard>,
    /// The first shard that did not answer.
    silent: Option<Error>,
}

/// What a round led to.
enum Round {
    /// The server is confirmed.
    Confirmed,
    /// Another client changed something: read the states again.
    Changed,
    /// It lacks hand-overs.
    Missing(Vec<MissingHandover>),
}

impl Connection {
    /// Connects, outside the pool, and confirms the server if another one was the primary before.
    pub(crate) fn open(cluster: &Cluster, shard: &ShardName) -> Result<Self> {
        let mut connection = Self::open_unconfirmed(cluster, shard)?;
        if connection.is_confirmed(cluster)? {
            return Ok(connection);
        }
        confirm(cluster, shard)?;
        Self::open_unconfirmed(cluster, shard)
    }

    /// As [`Connection::open`], for what only reads: also through a connection pooler.
    pub(crate) fn to_read(cluster: &Cluster, shard: &ShardName) -> Result<Self> {
        let connect = || Self::over(shard, cluster.shards().connect_unpooled(shard)?, false);
        let mut connection = connect()?;
        if connection.is_confirmed(cluster)? {
            return Ok(connection);
        }
        confirm(cluster, shard)?;
        connect()
    }
}

/// Compares the state of a shard with those of the others, and confirms its server if nothing is missing. Fails with `Failed`
/// if it lacks hand-overs, and with `Unreachable` if a shard does not answer whose state is needed.
pub(crate) fn confirm(cluster: &Cluster, shard: &ShardName) -> Result<()> {
    match confirm_unless_lacking(cluster, shard)? {
        None => Ok(()),
        Some(missing) => Err(refused(cluster, shard, &missing)),
    }
}

/// The shards whose servers are not confirmed, and the hand-overs that each lacks. Those that lack none are confirmed.
pub(crate) fn lacking(cluster: &Cluster) -> Result<Vec<(ShardName, Vec<MissingHandover>)>> {
    let confirmed =
        cluster.shards().on_each(&cluster.belonging(), |name, session| is_confirmed(cluster, name, session));
    let mut lacking = Vec::new();
    for (shard, is_confirmed) in confirmed {
        if !is_confirmed? && let Some(missing) = confirm_unless_lacking(cluster, &shard)? {
            lacking.push((shard, missing));
        }
    }
    Ok(lacking)
}

/// As [`confirm`], but returns the hand-overs that the server lacks; then it stays unconfirmed.
pub(crate) fn confirm_unless_lacking(
    cluster: &Cluster,
    shard: &ShardName,
) -> Result<Option<Vec<MissingHandover>>> {
    let mut missing_rounds = 0;
    for _ in 0..ROUNDS_MAX {
        match round(cluster, shard)? {
            Round::Confirmed => return Ok(None),
            Round::Changed => missing_rounds = 0,
            Round::Missing(missing) => {
                missing_rounds += 1;
                if missing_rounds == MISSING_ROUNDS {
                    return Ok(Some(missing));
                }
            }
        }
        thread::sleep(ROUND_PAUSE);
    }
    let message = format!(
        "another server became the primary of shard `{shard}`, and the shards change while it is compared with them"
    );
    Err(Error::new(Kind::Locked, message).hint("try again in a moment").on_shard(shard))
}

fn round(cluster: &Cluster, shard: &ShardName) -> Result<Round> {
    let mut observed = observe(cluster, shard)?;
    if observed.own.is_confirmed {
        return Ok(Round::Confirmed);
    }
    let missing = observed.missing(shard)?;
    if !missing.is_empty() {
        return Ok(Round::Missing(missing));
    }
    // From here on no client takes the old primary for the shard, wherever it comes back.
    let incarnation = begin(&mut observed, shard)?;
    let topology = observed.own.state.ring.topology.clone();
    record(cluster, shard, observed.others.keys(), incarnation, (None, &topology))?;
    let announced = match announce_anew(cluster, &observed.states(), (shard, &observed.own.state)) {
        Err(error) if error.kind() == Kind::Locked => return Ok(Round::Changed),
        announced => announced?,
    };
    if let Some(announcement) = &announced {
        observed = observe(cluster, shard)?;
        let missing = observed.missing(shard)?;
        if !missing.is_empty() {
            return Ok(Round::Missing(missing));
        }
        // Before it is confirmed: then it takes part in nothing that a mover decided in an earlier epoch.
        let told = observed.connection.announce(announcement);
        if matches!(told.map_err(on_shard("announce a new epoch", shard))?, Reply::Stale) {
            return Ok(Round::Changed);
        }
    }
    let mut state = observed.own.state.clone();
    if let Some(announcement) = &announced {
        state.ring.epoch = state.ring.epoch.max(announcement.epoch);
    } else if let Some(forced) = observed.end_of_the_change() {
        let reply = observed.connection.overwrite_state(&state, &forced, None);
        if matches!(reply.map_err(on_shard("end the change", shard))?, Reply::Stale) {
            return Ok(Round::Changed);
        }
        state = forced;
    }
    let epoch = if announced.is_some() { None } else { observed.epoch_to_begin(&state) };
    // If this ends here, the next client continues, as the server is not confirmed yet.
    if epoch.is_some()
        && !record(cluster, shard, observed.others.keys(), incarnation, (epoch, &state.ring.topology))?
    {
        return Ok(Round::Changed);
    }
    let reply = observed.connection.answer(
        "SELECT ringshard.confirm_primary($1, $2, $3)",
        &[
            (&state.ring.epoch.number(), Type::INT8),
            (&incarnation.0, Type::INT8),
            (&epoch.unwrap_or(Epoch::GUESSED).number(), Type::INT8),
        ],
    );
    if matches!(reply.map_err(on_shard("record its new primary", shard))?, Reply::Stale) {
        return Ok(Round::Changed);
    }
    log::info!("Another server became the primary of shard {shard}: it lacks no hand-over");
    cluster.refresh()?;
    Ok(Round::Confirmed)
}

/// Reads the states of all shards that may have arcs, or are to get some.
fn observe(cluster: &Cluster, shard: &ShardName) -> Result<Observed> {
    cluster.refresh()?;
    let view = cluster.view();
    let holding = view.participants();
    let mut names: BTreeSet<&ShardName> = holding.clone();
    names.extend(view.goal().names().chain([shard]));
    let observed = threads::at_once(names, |name| {
        let opened = Connection::open_unconfirmed(cluster, name);
        let observed = opened.and_then(|mut connection| {
            let observed = connection.read_catalog(cluster)?;
            Ok((connection, observed))
        });
        (name.clone(), observed)
    });
    let (mut others, mut own, mut silent) = (BTreeMap::new(), None, None);
    for (name, observed) in observed {
        match observed {
            Ok(found) if name == *shard => own = Some(found),
            Ok((_, observed)) => drop(others.insert(name, observed)),
            // One that is only to get arcs has none.
            Err(error) if name != *shard && error.kind() == Kind::Unreachable => {
                silent = silent.or(Some(error).filter(|_| holding.contains(&name)));
            }
            Err(error) => return Err(error),
        }
    }
    let (connection, own) = own.expect("its name is in the list");
    Ok(Observed { own, connection, others, silent })
}

impl Observed {
    fn states(&self) -> Others {
        self.others.iter().map(|(name, observed)| (name.clone(), observed.state.clone())).collect()
    }

    /// The hand-overs that the shard lacks. Fails with `Unreachable` if a shard does not answer whose state is needed.
    fn missing(&self, shard: &ShardName) -> Result<Vec<MissingHandover>> {
        match &self.silent {
            None => Ok(missing_handovers(&self.states(), &self.own.state)),
            Some(_) if self.agrees_with_all_that_answer(shard) => Ok(Vec::new()),
            Some(silent) => {
                let message = format!(
                    "another server became the primary of shard `{shard}`, and must be compared with the other shards \
                     first: {silent}"
                );
                Err(Error::new(Kind::Unreachable, message)
                    .hint("ringshard shards shows which shards do not answer; bring them back, then run this again")
                    .on_shard(shard))
            }
        }
    }

    /// Whether no change is under way by the shards that answer, at least one of them, and the shard is in their epoch and has
    /// exactly its arcs of their topology. A change that it missed would have been announced to all of them before anything was handed over.
    fn agrees_with_all_that_answer(&self, shard: &ShardName) -> bool {
        let own = &self.own.state;
        let agrees = |other: &ObservedShard| {
            let ring = &other.state.ring;
            other.is_confirmed
                && ring.change.is_none()
                && (ring.epoch, &ring.topology) == (own.ring.epoch, &own.ring.topology)
        };
        own.is_stable(shard) && !self.others.is_empty() && self.others.values().all(agrees)
    }

    /// The state of a shard that has not heard of the end of a change, after that end; `None` if it has.
    fn end_of_the_change(&self) -> Option<ShardState> {
        let own = &self.own.state;
        let others = self.states();
        let newest = others.values().map(|other| other.ring.finished_last()).max()?;
        let is_behind = own.ring.change.is_some() && own.ring.finished_last() < newest;
        is_behind.then(|| forced(&others, own))
    }

    /// The epoch in which the new primary serves, by which the old one is recognized if it comes back: a new one, or the newest
    /// if the shard is behind it. `None` during a change, and if a shard does not answer.
    fn epoch_to_begin(&self, own: &ShardState) -> Option<Epoch> {
        let is_changing = |other: &ObservedShard| other.state.ring.change.is_some();
        if self.silent.is_some() || own.ring.change.is_some() || self.others.values().any(is_changing) {
            return None;
        }
        let newest = self.others.values().map(|other| other.state.ring.epoch).max();
        Some(newest.filter(|newest| own.ring.epoch < *newest).unwrap_or_else(|| own.ring.epoch.next()))
    }
}

/// Gives the new primary an incarnation after those that the other shards know of.
fn begin(observed: &mut Observed, shard: &ShardName) -> Result<Incarnation> {
    let known = observed.others.values().filter_map(|other| other.description.endpoints.get(shard));
    let known = known.map(|endpoint| endpoint.incarnation).max().unwrap_or_default();
    let what = "begin to confirm a new primary";
    let rows = observed
        .connection
        .session()
        .query("SELECT ringshard.begin_to_confirm($1)", &[(&known.0, Type::INT8)])
        .map_err(|cause| sqlstate::doing(what, shard, &cause))?;
    Ok(Incarnation(only(rows, what, shard)?.get(0)))
}

/// Records the new incarnation on the other shards, and begins the epoch there, if there is one. The arbiter comes first: from
/// then on no change of that epoch can be announced. (If the shard is the arbiter itself, it announces nothing before it is
/// confirmed.) Returns whether no change was announced before.
pub(crate) fn record<'a>(
    cluster: &Cluster,
    shard: &ShardName,
    others: impl Iterator<Item = &'a ShardName>,
    incarnation: Incarnation,
    (epoch, topology): (Option<Epoch>, &Topology),
) -> Result<bool> {
    let first = arbiter(topology);
    let mut names: Vec<&ShardName> = others.collect();
    names.sort_by_key(|name| (*name != first, *name));
    for name in names {
        let mut connection = Connection::open_unconfirmed(cluster, name)?;
        let reply = connection.answer(
            "SELECT ringshard.record_incarnation($1, $2, $3, $4)",
            &[
                (&shard.as_str(), Type::TEXT),
                (&incarnation.0, Type::INT8),
                (&Json(topology), Type::JSONB),
                (&epoch.map(Epoch::number), Type::INT8),
            ],
        );
        let what = format!("record the new primary of shard `{shard}`");
        if matches!(reply.map_err(on_shard(&what, name))?, Reply::Stale) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Announces a change under way to these shards in a new epoch, before another server becomes the primary of the shard that is
/// not among them: then a mover that read rows from the old primary cannot hand them over any more, and the old primary is
/// recognized by its epoch. `None` if no change is under way.
///
/// If some shards have finished the change, all rows are on their owners, and nothing is handed over; nor is anything announced if
/// the shard takes no part in the change.
pub(crate) fn announce_anew(
    cluster: &Cluster,
    others: &Others,
    (shard, own): (&ShardName, &ShardState),
) -> Result<Option<Announcement>> {
    let states = others.values().chain([own]);
    let newest = states.max_by_key(|state| (state.ring.epoch, state.ring.change.is_none()));
    let Some((newest, change)) = newest.and_then(|newest| Some((newest, newest.ring.change.clone()?))) else {
        return Ok(None);
    };
    if !change.participants.contains(shard) {
        return Ok(None);
    }
    let announcement = Announcement {
        epoch: newest.ring.epoch.next(),
        topology: newest.ring.topology.clone(),
        change,
        condition: Condition::Decided,
    };
    // In the order in which a change is finished. The arbiter first: then no cancel is decided in the same epoch. (One that is
    // not confirmed decides nothing.) Then the leaving shards: the others have not finished before them.
    let next = &announcement.change.next_topology;
    let first = arbiter(&announcement.topology);
    let mut names: Vec<&ShardName> =
        others.keys().filter(|name| announcement.change.participants.contains(name)).collect();
    names.sort_by_key(|name| (*name != first, next.shard(name).is_some(), *name));
    for name in names {
        let mut connection = Connection::open_unconfirmed(cluster, name)?;
        let reply = connection.announce(&announcement).map_err(on_shard("announce a new epoch", name))?;
        if matches!(reply, Reply::Stale) {
            return Err(Error::new(Kind::Locked, format!("shard `{name}` was changed in the meantime"))
                .hint("try again in a moment")
                .on_shard(name));
        }
    }
    Ok(Some(announcement))
}

fn refused(cluster: &Cluster, shard: &ShardName, missing: &[MissingHandover]) -> Error {
    let address = cluster.shards().address(shard);
    let at = address.map_or_else(|_| String::new(), |address| format!(" at {}", address.shown()));
    let lines: String = missing.iter().map(|missing| format!("\n  {missing}")).collect();
    let message = format!(
        "the primary of shard `{shard}`{at} was promoted without hand-overs that its predecessor had committed, so it does not \
         serve:{lines}"
    );
    Error::new(Kind::Failed, message).hint(LOST_HANDOVER_HINT).on_shard(shard)
}
