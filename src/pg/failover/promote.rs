//! A replica takes a shard over, whose primary is gone.
//!
//! The old primary must not answer, the others must hold still, and the replica must have seen all hand-overs that its
//! primary took part in: `model/succession.rs` decides. Then it is promoted, says that it is the next incarnation of
//! the shard, and the others are told, with a new epoch: whoever talks to one of them hears of it. Killed on the way, the
//! next run goes on.

use crate::pg::failover::survivors;
use std::sync;
use std::thread;
use std::time::{Duration, Instant};

use postgres::types::Type;

use super::survivors::{ForcedState, Survivors, ours};
use crate::error::{Error, Kind, Result};
use crate::model::failover_plan::{MissingHandover, forced, missing_handovers};
use crate::model::names::ShardName;
use crate::model::rebalance::{Announcement, Condition, Reply};
use crate::model::ring::topology::Epoch;
use crate::pg::catalog::Incarnation;
use crate::pg::cluster::Cluster;
use crate::pg::net::session::{Parameter, Session};
use crate::pg::net::sqlstate;
use crate::pg::pool::Server;
use crate::pg::pool::replica_status::ReplicaStatus;
use crate::pg::rebalance::connection::{Connection, ObservedShard};

/// How long the server may take to become a primary.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a replica may be at the same place. What it has received last may be half a record, which nobody replays; the
/// rest is replayed when it is promoted, whatever it waits for.
const REPLAY_PATIENCE: Duration = Duration::from_secs(2);
/// The pause before it is asked again.
const REPLAY_PAUSE: Duration = Duration::from_millis(20);
/// Whether it has received more than it has replayed, whether that is by intent, and how far it is.
const IS_LATE: &str = "SELECT coalesce(pg_catalog.pg_last_wal_receive_lsn() > pg_catalog.pg_last_wal_replay_lsn(), false), \
    CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_is_wal_replay_paused() ELSE false END, \
    pg_catalog.pg_last_wal_replay_lsn()::text";

/// What a takeover comes to, before it is done.
pub struct Takeover {
    shard: ShardName,
    replica: sync::Arc<Server>,
    rest: Survivors,
    /// Where the primary was.
    pub before: String,
    /// Where it will be.
    pub after: String,
    /// The last position of the write-ahead log that the replica has replayed.
    pub replayed: String,
    /// How old its last replayed transaction is, in seconds.
    pub age_seconds: Option<f64>,
    /// The hand-overs that it has not seen.
    pub missing_handovers: Vec<MissingHandover>,
    /// Whether it is a primary already, as an earlier takeover did not come to its end.
    pub is_begun: bool,
    /// The other standbys, which still follow the old primary.
    pub others: Vec<String>,
}

/// A takeover that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenOver {
    /// The epoch of all shards then; while a change of the ring is under way, its epoch.
    pub epoch: Epoch,
    /// Which incarnation of the shard it is.
    pub incarnation: Incarnation,
}

/// How a replica stands.
struct Candidate {
    replica: sync::Arc<Server>,
    link: Connection,
    standing: ReplicaStatus,
}

impl Candidate {
    fn of(shard: &ShardName, replica: sync::Arc<Server>) -> Result<Self> {
        let mut session = Session::connect(shard, &replica.address)?;
        let standing = ReplicaStatus::ask(&mut session, shard, None)?;
        let link = Connection::over(shard, session, !standing.is_standby)?;
        Ok(Self { replica, link, standing })
    }

    /// How much it has. One that takes writes has all there is.
    fn received(&self) -> i64 {
        if self.standing.is_standby { self.standing.received } else { i64::MAX }
    }

    /// Whether it takes writes as a takeover of this shard was begun with it. One that does so for another reason went
    /// its own way.
    fn has_begun(&mut self, cluster: &Cluster, known: Incarnation) -> bool {
        self.link.look(cluster).is_ok_and(|seen| seen.said.incarnation > known)
    }

    /// Waits until it has replayed what it has received: then it says what it would say as a primary.
    fn catches_up(&mut self) -> Result<()> {
        let mut at: Option<(Option<String>, Instant)> = None;
        loop {
            let shard = self.link.shard().clone();
            let rows = self.link.session().query(IS_LATE, &[]);
            let rows =
                rows.map_err(|cause| sqlstate::doing("ask a replica how far it is", &shard, &cause))?;
            let Some(row) = rows.first().filter(|row| row.get(0)) else { return Ok(()) };
            let now: Option<String> = row.get(2);
            match &at {
                Some((before, since)) if *before == now => {
                    if since.elapsed() > REPLAY_PATIENCE {
                        return Ok(());
                    }
                }
                _ => at = Some((now, Instant::now())),
            }
            if row.get(1) {
                let place = self.replica.address.shown();
                let message = format!(
                    "the replica of shard `{shard}` at {place} has not replayed all that it has received: replay is paused there"
                );
                return Err(Error::new(Kind::Locked, message)
                    .hint("SELECT pg_wal_replay_resume() there goes on; then run this again")
                    .on_shard(shard));
            }
            thread::sleep(REPLAY_PAUSE);
        }
    }
}

/// What it would come to if a replica of this shard took over: the one at `requested`, or else the one that has
/// received the most.
pub fn plan_takeover(cluster: &Cluster, shard: &ShardName, requested: Option<&str>) -> Result<Takeover> {
    refresh_survivors(cluster, shard)?;
    survivors::must_not_answer(cluster, shard)?;
    let rest = survivors::survivors(cluster, shard)?;
    let replicas = cluster.shards().replicas(shard);
    let shown = |replica: &Server| replica.address.shown().to_owned();
    let eligible =
        replicas.iter().filter(|one| requested.is_none_or(|requested| requested == one.address.shown()));
    let (mut candidates, mut failed) = (Vec::new(), None);
    for replica in eligible {
        match Candidate::of(shard, sync::Arc::clone(replica)) {
            Ok(candidate) => candidates.push(candidate),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if requested.is_none() && candidates.len() > 1 {
        let known = rest.incarnation(shard);
        candidates
            .retain_mut(|candidate| candidate.standing.is_standby || candidate.has_begun(cluster, known));
    }
    let Some(mut best) = candidates.into_iter().max_by_key(Candidate::received) else {
        return Err(failed.unwrap_or_else(|| none_known(shard, requested)));
    };
    best.catches_up()?;
    let seen = best.link.look(cluster).map_err(ours("look at the catalog of a replica", shard))?;
    let is_begun = !best.standing.is_standby && seen.said.incarnation > rest.incarnation(shard);
    Ok(Takeover {
        before: cluster.shards().address(shard)?.shown().to_owned(),
        after: shown(&best.replica),
        missing_handovers: missing_handovers(&rest.states(), &seen.state),
        others: replicas
            .iter()
            .map(|other| shown(other))
            .filter(|other| *other != shown(&best.replica))
            .collect(),
        shard: shard.clone(),
        rest,
        replayed: best.standing.replayed,
        age_seconds: best.standing.age_seconds,
        replica: best.replica,
        is_begun,
    })
}

/// Does it, as it was planned. What was missing hand-overs then is lost.
pub fn take_over(cluster: &Cluster, plan: &Takeover) -> Result<TakenOver> {
    let shard = &plan.shard;
    let _still = survivors::lock_changes(cluster, &plan.rest)?;
    let rest = survivors::survivors(cluster, shard)?;
    let changed = |what: &str| {
        Error::new(Kind::Locked, format!("{what} meanwhile; nothing was promoted"))
            .hint(format!("ringshard promote {shard}"))
            .on_shard(shard)
    };
    if rest.states() != plan.rest.states() {
        return Err(changed("the ring was changed"));
    }
    if rest.place(shard) != plan.rest.place(shard) {
        return Err(changed("the shard was taken over by another replica"));
    }
    survivors::must_not_answer(cluster, shard)?;
    let is_changing = announce_anew(cluster, &rest)?;
    let rest = if is_changing { survivors::survivors(cluster, shard)? } else { rest };
    let others = rest.states();
    let mut candidate = Candidate::of(shard, sync::Arc::clone(&plan.replica))?;
    let seen = candidate.link.look(cluster).map_err(ours("look at the catalog of a replica", shard))?;
    if missing_handovers(&others, &seen.state).iter().any(|one| !plan.missing_handovers.contains(one)) {
        return Err(changed("a hand-over was made"));
    }
    let Candidate { link, standing, .. } = candidate;
    let mut link = if standing.is_standby { promoted(shard, link)? } else { link };
    let seen = link.look(cluster).map_err(ours("look at the catalog", shard))?;
    // By now all is replayed that was received. It may still have to hear of an epoch.
    let is_late = rest.epoch().is_some_and(|epoch| seen.state.ring.epoch < epoch);
    if is_late || !missing_handovers(&others, &seen.state).is_empty() {
        let state = forced(&others, &seen.state);
        let stated = ForcedState {
            epoch: state.ring.epoch,
            topology: &state.ring.topology,
            change: state.ring.change.as_ref(),
            arcs: &state.arcs,
            dead: None,
        };
        let reply = link.restate(&seen.state, &stated).map_err(ours("settle its arcs", shard))?;
        if matches!(reply, Reply::Stale) {
            return Err(Error::new(Kind::Locked, format!("shard `{shard}` was changed meanwhile"))
                .hint(format!("ringshard promote {shard} goes on"))
                .on_shard(shard));
        }
    }
    let known = rest.incarnation(shard);
    let is_told = seen.said.incarnation > known;
    let incarnation =
        if is_told { seen.said.incarnation } else { Incarnation(known.0.max(seen.said.incarnation.0) + 1) };
    let newest = rest.epoch().unwrap_or(seen.state.ring.epoch).max(seen.state.ring.epoch);
    let is_changing = is_changing || rest.is_changing() || seen.state.ring.change.is_some();
    // Who goes on with a takeover has the epoch that it began with.
    let epoch =
        if is_changing || (is_told && seen.state.ring.epoch == newest) { newest } else { newest.next() };
    // Those that have not heard of a change which is under way hear of it when it goes on: in its epoch they would
    // seem to have finished it.
    let told = if is_changing { Epoch::GUESSED } else { epoch };
    tell_of_takeover(cluster, plan, &rest, link, incarnation, told)?;
    let address = plan.replica.address.clone();
    let standbys = cluster.shards().replicas(shard).into_iter();
    let standbys = standbys.filter(|one| one.address.shown() != address.shown()).collect();
    cluster.shards().replace(shard, address, standbys);
    cluster.refresh()?;
    Ok(TakenOver { epoch, incarnation })
}

/// A change that is under way goes on in a new epoch, before anybody takes over: whoever has read rows of the shard
/// before cannot hand them over any more, and what is left of the shard is known by its epoch. Whether there is one.
///
/// Where some shards have finished the change, all rows lie where they are to lie, and nothing is handed over.
fn announce_anew(cluster: &Cluster, rest: &Survivors) -> Result<bool> {
    let states = rest.states();
    let Some(newest) = states.values().max_by_key(|state| (state.ring.epoch, state.ring.change.is_none()))
    else {
        return Ok(false);
    };
    let Some(change) = newest.ring.change.clone() else { return Ok(false) };
    let told = Announcement {
        epoch: newest.ring.epoch.next(),
        topology: newest.ring.topology.clone(),
        change,
        condition: Condition::Decided,
    };
    for name in rest.names().filter(|name| told.change.participants.contains(name)) {
        let mut link = Connection::open(cluster, name)?;
        let reply = link.announce(&told).map_err(ours("announce a new epoch", name))?;
        if matches!(reply, Reply::Stale) {
            return Err(Error::new(Kind::Locked, format!("shard `{name}` was changed meanwhile"))
                .hint("try again in a moment")
                .on_shard(name));
        }
    }
    Ok(true)
}

/// Brings a takeover to its end of which not all have heard: some shards, or the configuration, which has the shard
/// at `configured`. `None` if there is none.
pub fn finish_takeover(
    cluster: &Cluster,
    shard: &ShardName,
    configured: Option<&str>,
) -> Result<Option<TakenOver>> {
    refresh_survivors(cluster, shard)?;
    let address = cluster.shards().address(shard)?.shown().to_owned();
    let view = cluster.view();
    let Some(place) = view.endpoints.get(shard).filter(|place| place.url == address) else {
        return Ok(None);
    };
    let Some((before, _)) = view.stale_endpoints.iter().find(|(_, of)| *of == shard) else { return Ok(None) };
    // If it is gone as well, another replica is to take over.
    let Ok(mut link) = Connection::open(cluster, shard) else { return Ok(None) };
    let rest = survivors::survivors(cluster, shard)?;
    let seen = link.look(cluster).map_err(ours("look at the catalog", shard))?;
    let (incarnation, epoch) = (seen.said.incarnation, seen.state.ring.epoch);
    let has_heard =
        |seen: &ObservedShard| seen.said.endpoints.get(shard).is_some_and(|of| of.incarnation == incarnation);
    if configured == Some(&address) && rest.seen.iter().all(|(_, seen)| has_heard(seen)) {
        return Ok(None);
    }
    let _still = survivors::lock_changes(cluster, &rest)?;
    let is_changing = rest.is_changing() || seen.state.ring.change.is_some();
    let bumped = if is_changing { Epoch::GUESSED } else { epoch };
    let parameters = told(shard, incarnation, &place.url, &place.replicas, before, bumped);
    for name in rest.names() {
        tell(&mut Connection::open(cluster, name)?, &parameters)?;
    }
    Ok(Some(TakenOver { epoch, incarnation }))
}

/// Tells the new primary first, then the others.
fn tell_of_takeover(
    cluster: &Cluster,
    plan: &Takeover,
    rest: &Survivors,
    mut link: Connection,
    incarnation: Incarnation,
    epoch: Epoch,
) -> Result<()> {
    let parameters = told(&plan.shard, incarnation, &plan.after, &plan.others, &plan.before, epoch);
    tell(&mut link, &parameters)?;
    for name in rest.names() {
        tell(&mut Connection::open(cluster, name)?, &parameters)?;
    }
    Ok(())
}

/// Reads the topology anew; that this shard does not answer is no surprise.
pub(crate) fn refresh_survivors(cluster: &Cluster, shard: &ShardName) -> Result<()> {
    match cluster.refresh() {
        Ok(_) => {}
        // It is the only one.
        Err(error) if error.kind() == Kind::Unreachable && cluster.shards().names() == [shard.clone()] => {}
        Err(error) => return Err(error),
    }
    if cluster.shards().names().contains(shard) {
        return Ok(());
    }
    Err(Error::new(Kind::NotFound, format!("no shard is called `{shard}`"))
        .hint("ringshard shards lists them"))
}

/// What each shard is told.
type TakeoverArguments = (String, i64, String, Vec<String>, String, i64);

fn told(
    shard: &ShardName,
    incarnation: Incarnation,
    url: &str,
    replicas: &[String],
    before: &str,
    epoch: Epoch,
) -> TakeoverArguments {
    (shard.to_string(), incarnation.0, url.into(), replicas.to_vec(), before.into(), epoch.number())
}

fn tell(link: &mut Connection, told: &TakeoverArguments) -> Result<()> {
    let shard = link.shard().clone();
    let (of, incarnation, url, replicas, before, epoch) = told;
    let parameters: &[Parameter<'_>] = &[
        (of, Type::TEXT),
        (incarnation, Type::INT8),
        (url, Type::TEXT),
        (replicas, Type::TEXT_ARRAY),
        (before, Type::TEXT),
        (epoch, Type::INT8),
    ];
    let answer = link.answer("SELECT ringshard.replace_primary($1, $2, $3, $4, $5, $6)", parameters);
    let told = answer.map_err(ours("tell of the new primary", &shard));
    match told.map_err(|error| error.hint(format!("ringshard promote {of} goes on")))? {
        Reply::Stale => {
            let message = format!("shard `{shard}` has heard of a later takeover of shard `{of}`");
            Err(Error::new(Kind::Conflict, message).hint("ringshard shards").on_shard(shard))
        }
        _ => Ok(()),
    }
}

fn none_known(shard: &ShardName, requested: Option<&str>) -> Error {
    let message = match requested {
        Some(url) => format!("{url} is no replica of shard `{shard}` that is known"),
        None => format!("no replica of shard `{shard}` is known"),
    };
    Error::new(Kind::NotFound, message)
        .hint(format!(
            "name it in the configuration: [shards.{shard}] replicas = [\"postgresql://…\"]; or, without one: ringshard \
             remove-shard {shard} --dead"
        ))
        .on_shard(shard)
}

/// Makes a primary of a standby.
fn promoted(shard: &ShardName, link: Connection) -> Result<Connection> {
    let mut session = link.into_session();
    let seconds = i32::try_from(PATIENCE.as_secs()).unwrap_or(i32::MAX);
    let sql = "SELECT pg_catalog.pg_promote(true, $1)";
    let rows = session.query(sql, &[(&seconds, Type::INT4)]).map_err(|cause| {
        let error = sqlstate::doing("promote the replica", shard, &cause);
        if error.kind() == Kind::Permission {
            return error.hint(
                "name a superuser in the replica's URL; or run pg_ctl promote on that machine, and then this again",
            );
        }
        error
    })?;
    if rows.first().is_some_and(|row| row.get(0)) {
        return Connection::over(shard, session, true);
    }
    let message = format!("the replica of shard `{shard}` did not become a primary in {seconds} s");
    Err(Error::new(Kind::Failed, message)
        .hint(format!("look at its log; ringshard promote {shard} goes on"))
        .on_shard(shard))
}
