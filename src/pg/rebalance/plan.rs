//! What is to be done, before anything is done: all shards are asked how they stand and what lies where.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use postgres::types::Type;
use postgres::{IsolationLevel, Transaction};

use super::connection::Connection;
use super::connections::Connections;
use super::run_state::{RebalanceOptions, RunState};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::mover::States;
use crate::model::rebalance::plan::{Load, Plan};
use crate::model::rebalance::{Damage, Situation, Transfer, pieces, situation};
use crate::model::ring::arc::{Arc, find};
use crate::model::ring::position::Position;
use crate::model::ring::topology::Epoch;
use crate::model::user::UserId;
use crate::pg::cluster::Cluster;
use crate::pg::net::session::Parameter;
use crate::pg::net::sqlstate;
use crate::pg::net::sqlstate::ShardError;
use crate::pg::scan::snapshot::held_of;
use crate::threads;

/// The pause between two looks that fit together badly.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How often they are repeated.
const LOOKS_MAX: u32 = 10;
/// How many ids are fetched at once.
const ROWS_PER_FETCH: i32 = 8_000;

/// A change that is wished for, or is under way.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What is still to be moved.
    pub plan: Plan,
    /// The epoch of the change.
    pub epoch: Epoch,
    /// Whether it is under way already.
    pub is_under_way: bool,
    /// Whether it goes back to where it was.
    pub goes_back: bool,
    /// What was moved in it before.
    pub moved: Load,
    /// Users on shards that hold no arc of theirs: nothing may move before each is where it belongs, as they would
    /// seem to be at home where an arc is taken over.
    pub strays: u64,
}

/// What lies where.
struct RangeLoads {
    /// On each of the pieces.
    pieces: Vec<Load>,
    /// On all shards.
    total: Load,
    moved: Load,
    strays: u64,
}

/// What all shards that matter say, and what that means.
pub(crate) struct ObservedShards {
    pub(crate) situation: Situation,
    pub(crate) states: States,
}

/// A failure that no mover can repair.
pub(crate) fn damaged(damage: Damage) -> Error {
    let message = format!("the shards do not fit together: {damage}");
    let error = Error::new(Kind::Failed, message).hint("ringshard doctor tells more, and what to type");
    match damage.shard {
        Some(shard) => error.on_shard(shard),
        None => error,
    }
}

/// Looks at all shards: those of the newest topology, and who takes part in a change of it; where none is under
/// way, at those that are to join only if `joining`.
pub(crate) fn collect_states(cluster: &Cluster, joining: bool) -> Result<ObservedShards> {
    cluster.refresh()?;
    let run = RunState::new(cluster, RebalanceOptions::default());
    let mut links = Connections::new(&run);
    let mut before: Option<States> = None;
    for _ in 0..LOOKS_MAX {
        let mut states = States::new();
        let mut unknown: Vec<ShardName> = cluster.view().topology.names().cloned().collect();
        // One that is to leave may be the only one that knows that its change is not finished.
        for shard in cluster.shards().names().into_iter().filter(|name| !unknown.contains(name)) {
            if let Ok(state) = look(&mut links, &shard, cluster)
                && state.ring.change.is_some()
            {
                states.insert(shard, state);
            }
        }
        let situation = loop {
            for shard in &unknown {
                let seen = look(&mut links, shard, cluster)?;
                states.insert(shard.clone(), seen);
            }
            match situation(&states) {
                Err(damage) => break Err(damage),
                Ok(situation @ Situation::Idle { .. }) if !joining => break Ok(situation),
                Ok(situation) => {
                    unknown = situation
                        .participants()
                        .into_iter()
                        .filter(|name| !states.contains_key(name))
                        .collect();
                    if unknown.is_empty() {
                        break Ok(situation);
                    }
                }
            }
        };
        match situation {
            Ok(situation) => return Ok(ObservedShards { situation, states }),
            // The looks are not of one instant.
            Err(damage) if before.as_ref() == Some(&states) => return Err(damaged(damage)),
            Err(_) => before = Some(states),
        }
        thread::sleep(LOOK_PAUSE);
    }
    Err(Error::new(Kind::Locked, "the ring changes faster than it can be looked at").hint("try again"))
}

/// What the wish, or the change under way, is still to move; nothing if there is none.
pub fn plan_change(cluster: &Cluster) -> Result<Option<Planned>> {
    plan(cluster, true)
}

/// The same; without `count`, what lies where is not looked at, and the plan says nothing of it.
pub(crate) fn plan(cluster: &Cluster, count: bool) -> Result<Option<Planned>> {
    let ObservedShards { situation, states } = collect_states(cluster, true)?;
    let (epoch, before, target, is_under_way) = match &situation {
        Situation::Idle { desired_topology: None, .. } => return Ok(None),
        Situation::Idle { epoch, topology, desired_topology: Some(desired_topology) } => {
            (epoch.next(), topology, desired_topology, false)
        }
        Situation::Changing { epoch, topology, change, .. } => {
            (*epoch, topology, &change.next_topology, true)
        }
    };
    let pieces = pieces(&states, target, epoch).map_err(damaged)?;
    let names: Vec<ShardName> = states.keys().cloned().collect();
    let RangeLoads { pieces: loads, total, moved, strays } =
        count_loads(cluster, &names, &pieces, epoch, count)?;
    let goes_back = is_under_way && before == target;
    let plan = Plan::new(before.clone(), target.clone(), &pieces, &loads, total);
    Ok(Some(Planned { plan, epoch, is_under_way, goes_back, moved, strays }))
}

/// What lies on each of these pieces, on all shards, and what was moved in this epoch so far.
fn count_loads(
    cluster: &Cluster,
    names: &[ShardName],
    pieces: &[Transfer],
    epoch: Epoch,
    count: bool,
) -> Result<RangeLoads> {
    let measured = threads::at_once(names, |shard| {
        let places = (0..pieces.len()).filter(|at| pieces[*at].source == *shard).collect();
        measure(cluster, shard, pieces, places, epoch, count)
    });
    let mut loads = vec![Load::default(); pieces.len()];
    let (mut total, mut moved, mut strays) = (Load::default(), Load::default(), 0);
    for measured in measured {
        let measured = measured?;
        for (at, rows) in measured.pieces {
            // As large as the shard's rows are on average.
            let bytes = u128::from(measured.bytes) * u128::from(rows) / u128::from(measured.rows.max(1));
            loads[at] = Load { rows, bytes: u64::try_from(bytes).unwrap_or(u64::MAX) };
        }
        total = total.plus(Load { rows: measured.rows, bytes: measured.bytes });
        moved = moved.plus(measured.moved);
        strays += measured.strays;
    }
    Ok(RangeLoads { pieces: loads, total, moved, strays })
}

/// One look, whatever the shard is at; the addresses that it tells are kept.
pub(crate) fn look(
    links: &mut Connections<'_>,
    shard: &ShardName,
    cluster: &Cluster,
) -> Result<crate::model::rebalance::ShardState> {
    let seen = links.link(shard)?.look(cluster).map_err(|trouble| match trouble {
        ShardError::Server(cause) => sqlstate::doing("look at the catalog", shard, &cause),
        ShardError::Ours(error) => error,
    })?;
    cluster.learn_places(&seen.said)?;
    Ok(seen.state)
}

/// What a shard has.
#[derive(Default)]
struct ShardLoad {
    /// Rows, by the place of the piece in the list of all.
    pieces: BTreeMap<usize, u64>,
    rows: u64,
    /// Of all its rows.
    bytes: u64,
    /// Rows on no arc that it holds.
    strays: u64,
    moved: Load,
}

/// Counts in one snapshot; the ids are streamed, as the client hashes faster than the server filters. `places`: which of
/// the pieces are the shard's.
fn measure(
    cluster: &Cluster,
    shard: &ShardName,
    pieces: &[Transfer],
    mut places: Vec<usize>,
    epoch: Epoch,
    counted: bool,
) -> Result<ShardLoad> {
    let fail = |cause: postgres::Error| sqlstate::doing("count what is to be moved", shard, &cause);
    let mut link = Connection::open(cluster, shard)?;
    places.sort_by_key(|at| pieces[*at].range);
    let client = link.session().client();
    let mut snapshot = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .map_err(fail)?;
    snapshot.batch_execute("SET LOCAL enable_seqscan = on").map_err(fail)?;
    let mut measured = ShardLoad::default();
    if counted {
        let row = snapshot.query_one(include_str!("../../../sql/queries/snapshot.sql"), &[]).map_err(fail)?;
        let held = held_of(&row, shard)?.arcs.into_iter().map(|held| held.arc).collect::<Vec<_>>();
        measured = count(&mut snapshot, &held, pieces, &places).map_err(fail)?;
    }
    let sums = "SELECT (SELECT coalesce(sum(rows), 0) FROM ringshard.migration_progress WHERE epoch = $1)::bigint, \
                       (SELECT coalesce(sum(bytes), 0) FROM ringshard.migration_progress WHERE epoch = $1)::bigint, \
                       (SELECT coalesce(sum(pg_column_size(users.*)), 0) FROM public.users WHERE $2)::bigint";
    let parameters: &[Parameter<'_>] = &[(&epoch.number(), Type::INT8), (&counted, Type::BOOL)];
    let rows = snapshot.query_typed(sums, parameters).map_err(fail)?;
    if let Some(row) = rows.first() {
        let number = |at: usize| u64::try_from(row.get::<_, i64>(at)).unwrap_or(0);
        measured.moved = Load { rows: number(0), bytes: number(1) };
        measured.bytes = number(2);
    }
    snapshot.rollback().map_err(fail)?;
    Ok(measured)
}

fn count(
    snapshot: &mut Transaction<'_>,
    held: &[Arc],
    pieces: &[Transfer],
    places: &[usize],
) -> Result<ShardLoad, postgres::Error> {
    let mut measured = ShardLoad::default();
    let ranges: Vec<Arc> = places.iter().map(|at| pieces[*at].range).collect();
    let statement = snapshot.prepare("SELECT user_id FROM public.users")?;
    let portal = snapshot.bind(&statement, &[])?;
    loop {
        let rows = snapshot.query_portal(&portal, ROWS_PER_FETCH)?;
        for row in &rows {
            let position = Position::of_user(UserId::new(row.try_get(0)?));
            if let Some(at) = find(&ranges, position) {
                *measured.pieces.entry(places[at]).or_default() += 1;
            } else if find(held, position).is_none() {
                measured.strays += 1;
            }
        }
        measured.rows += rows.len() as u64;
        if rows.len() < usize::try_from(ROWS_PER_FETCH).unwrap_or(usize::MAX) {
            return Ok(measured);
        }
    }
}
