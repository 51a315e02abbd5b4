//! Promotes a replica of a shard whose primary is gone.
//!
//! The old primary must not answer, the ring must not change meanwhile, and the replica must have replayed all hand-overs of
//! its primary; `model/failover_plan/` decides. Then the replica is promoted and becomes the next incarnation of the shard,
//! and the other shards learn that, in a new epoch, from which clients learn it. If the process is killed, the next run
//! continues.

use crate::pg::failover::survivors;
use std::time::{Duration, Instant};
use std::{sync, thread};

use postgres::types::Type;

use super::survivors::Survivors;
use crate::error::{Error, Kind, Result};
use crate::model::failover_plan::{MissingHandover, forced, missing_handovers};
use crate::model::names::ShardName;
use crate::model::rebalance::Reply;
use crate::model::ring::arc::ShardArc;
use crate::model::ring::topology::Epoch;
use crate::pg::catalog::Incarnation;
use crate::pg::cluster::Cluster;
use crate::pg::net::session::{Parameter, Session, only};
use crate::pg::net::sqlstate::{self, on_shard};
use crate::pg::pool::Server;
use crate::pg::pool::replica_status::ReplicaStatus;
use crate::pg::requests::confirm::{announce_anew, lacking};
use crate::pg::requests::connection::{Connection, ObservedShard};

/// How long the promotion of the server may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a replica may make no progress before replay counts as complete: the last record that it received may be
/// incomplete, and a promotion replays the rest in any case.
const REPLAY_PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two checks of the progress.
const REPLAY_PAUSE: Duration = Duration::from_millis(20);
/// Whether it has received more than it has replayed, whether replay is paused, and how far it has replayed.
const IS_LATE: &str = "SELECT coalesce(pg_catalog.pg_last_wal_receive_lsn() > pg_catalog.pg_last_wal_replay_lsn(), false), \
    CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_is_wal_replay_paused() ELSE false END, \
    pg_catalog.pg_last_wal_replay_lsn()::text";

/// The plan of a takeover.
pub struct Takeover {
    /// The shard.
    pub shard: ShardName,
    replica: sync::Arc<Server>,
    survivors: Survivors,
    /// The address of the old primary.
    pub before: String,
    /// The address of the new primary.
    pub after: String,
    /// The last position of the write-ahead log that the replica has replayed.
    pub replayed: String,
    /// How old its last replayed transaction is, in seconds.
    pub age_seconds: Option<f64>,
    /// The hand-overs that it has not replayed.
    pub missing_handovers: Vec<MissingHandover>,
    /// Whether it is a primary already, because of an earlier takeover that was interrupted.
    pub is_begun: bool,
    /// The other standbys, which still follow the old primary.
    pub others: Vec<String>,
}

/// The result of a takeover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenOver {
    /// The new epoch of all shards; during a change, the epoch of the change.
    pub epoch: Epoch,
    /// The incarnation of the new primary.
    pub incarnation: Incarnation,
    /// How many rows are on none of its arcs, and went to its quarantine.
    pub quarantined: u64,
}

/// A replica, with its status.
struct Candidate {
    replica: sync::Arc<Server>,
    connection: Connection,
    status: ReplicaStatus,
}

impl Candidate {
    fn of(shard: &ShardName, replica: sync::Arc<Server>) -> Result<Self> {
        let mut session = Session::connect(shard, &replica.address)?;
        let status = ReplicaStatus::query(&mut session, shard, None)?;
        let connection = Connection::over(shard, session, !status.is_standby)?;
        Ok(Self { replica, connection, status })
    }

    /// How much of the log it has received, in bytes. A primary ranks highest.
    fn received(&self) -> i64 {
        if self.status.is_standby { self.status.received } else { i64::MAX }
    }

    /// Whether it is a primary because of an interrupted takeover of this shard. A replica that was promoted otherwise has
    /// diverged.
    fn has_begun(&mut self, cluster: &Cluster, known: Incarnation) -> bool {
        self.connection.observe(cluster).is_ok_and(|observed| observed.description.incarnation > known)
    }

    /// Waits until it has replayed what it has received, so that its catalog is the one it would have as a primary.
    fn catch_up(&mut self) -> Result<()> {
        let mut at: Option<(Option<String>, Instant)> = None;
        loop {
            let shard = self.connection.shard().clone();
            let rows = self.connection.session().query(IS_LATE, &[]);
            let rows =
                rows.map_err(|cause| sqlstate::doing("read the progress of a replica", &shard, &cause))?;
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
                let endpoint = self.replica.address.shown();
                let message = format!(
                    "replay is paused on the replica of shard `{shard}` at {endpoint}, before the end of the log that it has received"
                );
                return Err(Error::new(Kind::Locked, message)
                    .hint("run SELECT pg_wal_replay_resume() on that server, then run this again")
                    .on_shard(shard));
            }
            thread::sleep(REPLAY_PAUSE);
        }
    }
}

/// Plans a takeover by the replica at `requested`, or by the one that has received the most. Fails with `Conflict` if the
/// old primary answers, and with `NotFound` without a known replica.
pub fn plan_takeover(cluster: &Cluster, shard: &ShardName, requested: Option<&str>) -> Result<Takeover> {
    refresh_survivors(cluster, shard)?;
    survivors::must_not_answer(cluster, shard)?;
    let survivors = survivors::read(cluster, shard)?;
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
        let known = survivors.incarnation(shard);
        candidates.retain_mut(|candidate| candidate.status.is_standby || candidate.has_begun(cluster, known));
    }
    let Some(mut best) = candidates.into_iter().max_by_key(Candidate::received) else {
        return Err(failed.unwrap_or_else(|| none_known(shard, requested)));
    };
    best.catch_up()?;
    let observed = best.connection.read_catalog(cluster)?;
    let is_begun = !best.status.is_standby && observed.description.incarnation > survivors.incarnation(shard);
    Ok(Takeover {
        before: cluster.shards().address(shard)?.shown().to_owned(),
        after: shown(&best.replica),
        missing_handovers: missing_handovers(&survivors.states(), &observed.state),
        others: replicas
            .iter()
            .map(|other| shown(other))
            .filter(|other| *other != shown(&best.replica))
            .collect(),
        shard: shard.clone(),
        survivors,
        replayed: best.status.replayed,
        age_seconds: best.status.age_seconds,
        replica: best.replica,
        is_begun,
    })
}

/// The takeovers by servers that somebody else promoted without hand-overs that their predecessors had committed. Of two that
/// own an arc, the one that received it first comes first, and gives it up.
pub fn plan_restorations(cluster: &Cluster) -> Result<Vec<Takeover>> {
    let mut plans = Vec::new();
    for (shard, missing_handovers) in lacking(cluster)? {
        let replica = cluster.shards().shard(&shard)?;
        let at = replica.address.shown().to_owned();
        let own = Connection::open_unconfirmed(cluster, &shard)?.read_catalog(cluster)?.state;
        let plan = Takeover {
            replica,
            survivors: survivors::read(cluster, &shard)?,
            before: at.clone(),
            after: at,
            replayed: String::new(),
            age_seconds: None,
            missing_handovers,
            is_begun: false,
            others: cluster.shards().replicas(&shard).iter().map(|one| one.address.shown().into()).collect(),
            shard,
        };
        let contested = |held: &&ShardArc| {
            plan.missing_handovers.iter().any(|missing| match missing {
                MissingHandover::Gave { arcs, .. } => {
                    arcs.iter().any(|arc| arc.intersection(held.arc).is_some())
                }
                _ => false,
            })
        };
        plans.push((own.arcs.iter().filter(contested).map(|held| held.epoch).max(), plan));
    }
    plans.sort_by_key(|(latest, _)| *latest);
    Ok(plans.into_iter().map(|(_, plan)| plan).collect())
}

/// Carries out a planned takeover. The rows of its missing hand-overs are lost. Fails with `Locked` if something changed
/// since the plan was made.
pub fn take_over(cluster: &Cluster, plan: &Takeover) -> Result<TakenOver> {
    let shard = &plan.shard;
    let _lock = survivors::lock_changes(cluster, &plan.survivors)?;
    let survivors = survivors::read(cluster, shard)?;
    // The server that is to take over is the one at the shard's address: somebody else has promoted it.
    let is_there = plan.before == plan.after;
    let again =
        if is_there { "ringshard verify --fix".to_owned() } else { format!("ringshard promote {shard}") };
    let changed = |what: &str| {
        Error::new(Kind::Locked, format!("{what} in the meantime; nothing was done"))
            .hint(again.clone())
            .on_shard(shard)
    };
    if survivors.states() != plan.survivors.states() {
        return Err(changed("the ring was changed"));
    }
    if survivors.endpoint(shard) != plan.survivors.endpoint(shard) {
        return Err(changed("the shard was taken over by another replica"));
    }
    if !is_there {
        survivors::must_not_answer(cluster, shard)?;
    }
    let mut candidate = Candidate::of(shard, sync::Arc::clone(&plan.replica))?;
    let own = candidate.connection.read_catalog(cluster)?.state;
    let is_changing = announce_anew(cluster, &survivors.states(), (shard, &own))?.is_some();
    let survivors = if is_changing { survivors::read(cluster, shard)? } else { survivors };
    let others = survivors.states();
    let observed = candidate.connection.read_catalog(cluster)?;
    // A new epoch may have been announced since then.
    let is_planned = |one: &MissingHandover| match one {
        MissingHandover::Epoch { has, .. } => plan
            .missing_handovers
            .iter()
            .any(|planned| matches!(planned, MissingHandover::Epoch { has: known, .. } if known == has)),
        _ => plan.missing_handovers.contains(one),
    };
    if !missing_handovers(&others, &observed.state).iter().all(is_planned) {
        return Err(changed("a hand-over was made"));
    }
    let Candidate { connection, status, .. } = candidate;
    let mut connection = if status.is_standby { promote(shard, connection)? } else { connection };
    let ObservedShard { description, state, .. } = connection.read_catalog(cluster)?;
    let mut quarantined = 0;
    // By now everything received is replayed. The new primary may still be in an earlier epoch.
    let is_late = survivors.epoch().is_some_and(|epoch| state.ring.epoch < epoch);
    if is_late || !missing_handovers(&others, &state).is_empty() {
        let forced = forced(&others, &state);
        let reply = connection.overwrite_state(&state, &forced, None);
        if matches!(reply.map_err(on_shard("write its new state", shard))?, Reply::Stale) {
            return Err(Error::new(Kind::Locked, format!("shard `{shard}` was changed in the meantime"))
                .hint(format!("{again} continues"))
                .on_shard(shard));
        }
        quarantined = quarantined_in(&mut connection, forced.ring.epoch)?;
    }
    let (known, found) = (survivors.incarnation(shard), description.incarnation);
    let has_begun = found > known;
    let incarnation = if has_begun { found } else { Incarnation(known.0.max(found.0) + 1) };
    let newest = survivors.epoch().unwrap_or(state.ring.epoch).max(state.ring.epoch);
    let is_changing = is_changing || survivors.is_changing() || state.ring.change.is_some();
    // A continued takeover keeps the epoch that it began with.
    let keeps_epoch = is_changing || (has_begun && state.ring.epoch == newest);
    let epoch = if keeps_epoch { newest } else { newest.next() };
    // During a change the epoch of the other shards is not raised: a shard that has not heard of the change would seem
    // to have finished it.
    let raised_to = if is_changing { Epoch::GUESSED } else { epoch };
    record_takeover(cluster, plan, &survivors, connection, incarnation, raised_to)?;
    let address = plan.replica.address.clone();
    let standbys = cluster.shards().replicas(shard).into_iter();
    let standbys = standbys.filter(|one| one.address.shown() != address.shown()).collect();
    cluster.shards().replace(shard, address, standbys);
    cluster.refresh()?;
    Ok(TakenOver { epoch, incarnation, quarantined })
}

/// How many rows went to the quarantine with the state of this epoch.
fn quarantined_in(connection: &mut Connection, epoch: Epoch) -> Result<u64> {
    let (what, shard) = ("count the quarantine", connection.shard().clone());
    // As in sql/functions/failover.sql.
    let reason = format!("on no arc of this shard since epoch {epoch}");
    let sql = "SELECT pg_catalog.count(*) FROM ringshard.quarantine WHERE reason = $1";
    let rows = connection.session().query(sql, &[(&reason, Type::TEXT)]);
    let rows = rows.map_err(|cause| sqlstate::doing(what, &shard, &cause))?;
    Ok(u64::try_from(only(rows, what, &shard)?.get::<_, i64>(0)).unwrap_or(0))
}

/// Completes an interrupted takeover of which some shards, or the configuration with the address `configured`, have not
/// learned. `None` if there is none.
pub fn finish_takeover(
    cluster: &Cluster,
    shard: &ShardName,
    configured: Option<&str>,
) -> Result<Option<TakenOver>> {
    refresh_survivors(cluster, shard)?;
    let address = cluster.shards().address(shard)?.shown().to_owned();
    let view = cluster.view();
    let Some(endpoint) = view.endpoints.get(shard).filter(|endpoint| endpoint.url == address) else {
        return Ok(None);
    };
    let Some((before, _)) = view.stale_endpoints.iter().find(|(_, of)| *of == shard) else { return Ok(None) };
    // If the new primary does not answer either, another replica must take over.
    let Ok(mut connection) = Connection::open(cluster, shard) else { return Ok(None) };
    let survivors = survivors::read(cluster, shard)?;
    let observed = connection.read_catalog(cluster)?;
    let (incarnation, epoch) = (observed.description.incarnation, observed.state.ring.epoch);
    let has_learned = |observed: &ObservedShard| {
        observed.description.endpoints.get(shard).is_some_and(|of| of.incarnation == incarnation)
    };
    if configured == Some(&address) && survivors.observed.iter().all(|(_, observed)| has_learned(observed)) {
        return Ok(None);
    }
    let _lock = survivors::lock_changes(cluster, &survivors)?;
    let is_changing = survivors.is_changing() || observed.state.ring.change.is_some();
    let raised_to = if is_changing { Epoch::GUESSED } else { epoch };
    let parameters =
        takeover_arguments(shard, incarnation, &endpoint.url, &endpoint.replicas, before, raised_to);
    for name in survivors.names() {
        record_on(&mut Connection::open_unconfirmed(cluster, name)?, &parameters)?;
    }
    Ok(Some(TakenOver { epoch, incarnation, quarantined: 0 }))
}

/// Records the takeover on the new primary first, then on the other shards.
fn record_takeover(
    cluster: &Cluster,
    plan: &Takeover,
    survivors: &Survivors,
    mut connection: Connection,
    incarnation: Incarnation,
    epoch: Epoch,
) -> Result<()> {
    let parameters =
        takeover_arguments(&plan.shard, incarnation, &plan.after, &plan.others, &plan.before, epoch);
    record_on(&mut connection, &parameters)?;
    for name in survivors.names() {
        record_on(&mut Connection::open_unconfirmed(cluster, name)?, &parameters)?;
    }
    Ok(())
}

/// Refreshes the topology; this shard need not answer.
pub(crate) fn refresh_survivors(cluster: &Cluster, shard: &ShardName) -> Result<()> {
    match cluster.refresh() {
        Ok(_) => {}
        // It is the only shard.
        Err(error) if error.kind() == Kind::Unreachable && cluster.shards().names() == [shard.clone()] => {}
        Err(error) => return Err(error),
    }
    if cluster.shards().names().contains(shard) {
        return Ok(());
    }
    Err(Error::new(Kind::NotFound, format!("no shard is called `{shard}`"))
        .hint("ringshard shards lists them"))
}

/// The arguments of `ringshard.replace_primary`.
type TakeoverArguments = (String, i64, String, Vec<String>, String, i64);

fn takeover_arguments(
    shard: &ShardName,
    incarnation: Incarnation,
    url: &str,
    replicas: &[String],
    before: &str,
    epoch: Epoch,
) -> TakeoverArguments {
    (shard.to_string(), incarnation.0, url.into(), replicas.to_vec(), before.into(), epoch.number())
}

fn record_on(connection: &mut Connection, arguments: &TakeoverArguments) -> Result<()> {
    let shard = connection.shard().clone();
    let (of, incarnation, url, replicas, before, epoch) = arguments;
    let parameters: &[Parameter<'_>] = &[
        (of, Type::TEXT),
        (incarnation, Type::INT8),
        (url, Type::TEXT),
        (replicas, Type::TEXT_ARRAY),
        (before, Type::TEXT),
        (epoch, Type::INT8),
    ];
    let answer = connection.answer("SELECT ringshard.replace_primary($1, $2, $3, $4, $5, $6)", parameters);
    let recorded = answer.map_err(on_shard("record the new primary", &shard));
    match recorded.map_err(|error| error.hint(format!("ringshard promote {of} continues")))? {
        Reply::Stale => {
            let message = format!("shard `{shard}` knows of a later takeover of shard `{of}`");
            Err(Error::new(Kind::Conflict, message).hint("ringshard shards").on_shard(shard))
        }
        _ => Ok(()),
    }
}

fn none_known(shard: &ShardName, requested: Option<&str>) -> Error {
    let message = match requested {
        Some(url) => format!("{url} is not a known replica of shard `{shard}`"),
        None => format!("no replica of shard `{shard}` is known"),
    };
    Error::new(Kind::NotFound, message)
        .hint(format!(
            "name it in the configuration: [shards.{shard}] replicas = [\"postgresql://…\"]; without a replica: ringshard \
             remove-shard {shard} --dead"
        ))
        .on_shard(shard)
}

/// Promotes a standby.
fn promote(shard: &ShardName, connection: Connection) -> Result<Connection> {
    let mut session = connection.into_session();
    let seconds = i32::try_from(PATIENCE.as_secs()).unwrap_or(i32::MAX);
    let sql = "SELECT pg_catalog.pg_promote(true, $1)";
    let rows = session.query(sql, &[(&seconds, Type::INT4)]).map_err(|cause| {
        let error = sqlstate::doing("promote the replica", shard, &cause);
        if error.kind() == Kind::Permission {
            return error.hint(
                "use a superuser in the replica's URL, or run pg_ctl promote on that machine; then run this again",
            );
        }
        error
    })?;
    if rows.first().is_some_and(|row| row.get(0)) {
        return Connection::over(shard, session, true);
    }
    let message = format!("the replica of shard `{shard}` did not become a primary in {seconds} s");
    Err(Error::new(Kind::Failed, message)
        .hint(format!("check its log; ringshard promote {shard} continues"))
        .on_shard(shard))
}
