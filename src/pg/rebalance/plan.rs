//! Makes the plan of a change: reads the states of all shards and counts the rows that are to move. It changes nothing.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use postgres::types::Type;
use postgres::{IsolationLevel, Row, Transaction};

use super::connections::Connections;
use super::heavy_keys::heavy_keys;
use super::run_state::{RebalanceOptions, RunState};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::model::rebalance::even_spread::EvenSpread;
use crate::model::rebalance::mover::States;
use crate::model::rebalance::plan::{HeavyKey, Load, Plan};
use crate::model::rebalance::{Damage, Situation, Transfer, pieces, situation};
use crate::model::ring::arc::{Arc, find};
use crate::model::ring::position::Position;
use crate::model::ring::topology::Epoch;
use crate::pg::cluster::Cluster;
use crate::pg::net::sqlstate;
use crate::pg::requests::connection::Connection;
use crate::pg::scan::snapshot::{self, held_of};
use crate::threads;

/// The pause before contradictory states are read again.
const ROUND_PAUSE: Duration = Duration::from_millis(100);
/// How many keys with many rows a plan names.
const HEAVY_KEYS_SHOWN: usize = 5;
/// How often they are read.
const ROUNDS_MAX: u32 = 10;

/// A change that is desired or under way.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What is still to move.
    pub plan: Plan,
    /// The epoch of the change.
    pub epoch: Epoch,
    /// Whether it is under way.
    pub is_under_way: bool,
    /// Whether it is being canceled.
    pub goes_back: bool,
    /// What was moved in its epoch so far.
    pub moved: Load,
    /// Rows on a shard that has no arc with their position. They must be repaired before anything moves, as a shard that
    /// receives such an arc would serve them.
    pub misplaced: u64,
    /// The keys with the most rows among those that are to move, by their rows.
    pub heavy_keys: Vec<HeavyKey>,
    /// The shards whose ranges can be cut without asking them.
    pub spreads: BTreeMap<ShardName, EvenSpread>,
}

/// The data on the pieces and on all shards.
struct RangeLoads {
    /// The data on each piece.
    pieces: Vec<Load>,
    /// The data on all shards.
    total: Load,
    moved: Load,
    misplaced: u64,
    heavy_keys: Vec<HeavyKey>,
    spreads: BTreeMap<ShardName, EvenSpread>,
}

/// The states of all relevant shards, and the situation that follows.
pub(crate) struct ObservedShards {
    pub(crate) situation: Situation,
    pub(crate) states: States,
}

/// The error for damage that no mover can repair.
pub(crate) fn damaged(damage: Damage) -> Error {
    let message = format!("the shards contradict each other: {damage}");
    let error = Error::new(Kind::Failed, message).hint("ringshard doctor shows more, with hints");
    match damage.shard {
        Some(shard) => error.on_shard(shard),
        None => error,
    }
}

/// Reads the states of the shards of the newest topology and of all participants of a change; if none is under way, those
/// of the desired topology only if `joining`. Fails with damage that stays, or with `Locked` if the states keep changing.
pub(crate) fn collect_states(cluster: &Cluster, joining: bool) -> Result<ObservedShards> {
    cluster.refresh()?;
    let run_state = RunState::new(cluster, RebalanceOptions::default());
    let mut connections = Connections::to_read(&run_state);
    let mut before: Option<States> = None;
    for _ in 0..ROUNDS_MAX {
        let mut states = States::new();
        let mut unknown: Vec<ShardName> = cluster.view().topology.names().cloned().collect();
        // A leaving shard may be the only one on which the change is not finished.
        for shard in cluster.shards().names().into_iter().filter(|name| !unknown.contains(name)) {
            if let Ok(state) = observe(&mut connections, &shard, cluster)
                && state.ring.change.is_some()
            {
                states.insert(shard, state);
            }
        }
        let situation = loop {
            for shard in &unknown {
                states.insert(shard.clone(), observe(&mut connections, shard, cluster)?);
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
            // The states were read at different times, so only damage that stays is damage.
            Err(damage) if before.as_ref() == Some(&states) => return Err(damaged(damage)),
            Err(_) => before = Some(states),
        }
        thread::sleep(ROUND_PAUSE);
    }
    Err(Error::new(Kind::Locked, "the ring keeps changing while its state is read").hint("try again"))
}

/// The plan of the change that is desired or under way; `None` if there is none.
pub fn plan_change(cluster: &Cluster) -> Result<Option<Planned>> {
    plan(cluster, true)
}

/// As [`plan_change`]; without `count` no rows are counted, and the plan has none.
pub(crate) fn plan(cluster: &Cluster, count: bool) -> Result<Option<Planned>> {
    let ObservedShards { situation, states } = collect_states(cluster, true)?;
    let (epoch, before, target, is_under_way) = match &situation {
        Situation::Idle { desired_topology: None, .. } => return Ok(None),
        Situation::Idle { epoch, topology, desired_topology: Some(desired) } => {
            (epoch.next(), topology, desired, false)
        }
        Situation::Changing { epoch, topology, change, .. } => {
            (*epoch, topology, &change.next_topology, true)
        }
    };
    let pieces = pieces(&states, target, epoch).map_err(damaged)?;
    let names: Vec<ShardName> = states.keys().cloned().collect();
    let RangeLoads { pieces: loads, total, moved, misplaced, heavy_keys, spreads } =
        count_loads(cluster, &names, &pieces, epoch, count)?;
    let goes_back = is_under_way && before == target;
    let plan = Plan::new(before.clone(), target.clone(), &pieces, &loads, total);
    Ok(Some(Planned { plan, epoch, is_under_way, goes_back, moved, misplaced, heavy_keys, spreads }))
}

/// Counts the data on each of these pieces, on all shards, and what was moved in this epoch so far.
fn count_loads(
    cluster: &Cluster,
    names: &[ShardName],
    pieces: &[Transfer],
    epoch: Epoch,
    count: bool,
) -> Result<RangeLoads> {
    let measured = threads::at_once(names, |shard| {
        let own = (0..pieces.len()).filter(|at| pieces[*at].source == *shard).collect();
        measure(cluster, shard, pieces, own, epoch, count)
    });
    let mut loads = vec![Load::default(); pieces.len()];
    let (mut total, mut moved, mut misplaced) = (Load::default(), Load::default(), 0);
    let (mut heavy_keys, mut spreads) = (Vec::new(), BTreeMap::new());
    for (shard, measured) in names.iter().zip(measured) {
        let measured = measured?;
        spreads.extend(measured.spread.map(|spread| (shard.clone(), spread)));
        for (at, load) in measured.pieces {
            loads[at] = load;
        }
        total = total.plus(measured.total);
        moved = moved.plus(measured.moved);
        misplaced += measured.misplaced;
        heavy_keys.extend(measured.heavy_keys);
    }
    heavy_keys.sort_by_key(|heavy| Reverse(heavy.rows));
    heavy_keys.truncate(HEAVY_KEYS_SHOWN);
    Ok(RangeLoads { pieces: loads, total, moved, misplaced, heavy_keys, spreads })
}

/// Reads the state of a shard, and keeps the endpoints that it names.
pub(crate) fn observe(
    connections: &mut Connections<'_>,
    shard: &ShardName,
    cluster: &Cluster,
) -> Result<crate::model::rebalance::ShardState> {
    let observed = connections.connection(shard)?.read_catalog(cluster)?;
    cluster.learn_places(&observed.description)?;
    Ok(observed.state)
}

/// The data of one shard.
#[derive(Default)]
struct ShardLoad {
    /// The data on its pieces, by the index of the piece.
    pieces: BTreeMap<usize, Load>,
    total: Load,
    /// Rows on none of its arcs.
    misplaced: u64,
    moved: Load,
    heavy_keys: Vec<HeavyKey>,
    /// The size of its largest row.
    row_bytes_max: u64,
    spread: Option<EvenSpread>,
}

/// The ranges by which the rows of one shard are counted.
struct Counted<'a> {
    is_pooled: bool,
    /// The arcs that the shard has.
    held: Vec<Arc>,
    /// The ranges of its pieces, and their indexes.
    ranges: Vec<Arc>,
    own: &'a [usize],
}

/// Counts in one snapshot. The keys are streamed, as the client hashes faster than the server filters. `own`: the indexes of
/// the shard's pieces.
fn measure(
    cluster: &Cluster,
    shard: &ShardName,
    pieces: &[Transfer],
    mut own: Vec<usize>,
    epoch: Epoch,
    counted: bool,
) -> Result<ShardLoad> {
    let fail = |cause: postgres::Error| sqlstate::doing("count the rows to move", shard, &cause);
    let mut connection = Connection::to_read(cluster, shard)?;
    own.sort_by_key(|at| pieces[*at].range);
    let session = connection.session();
    let is_pooled = !session.has_own_backend().map_err(fail)?;
    let client = session.client();
    let mut snapshot = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .map_err(fail)?;
    let settings = "SET LOCAL row_security = off; SET LOCAL statement_timeout = 0; SET LOCAL jit = off";
    snapshot.batch_execute(settings).map_err(fail)?;
    let mut measured = ShardLoad::default();
    if counted {
        let row = snapshot.query_one(include_str!("../../../sql/queries/snapshot.sql"), &[]).map_err(fail)?;
        let held = held_of(&row, shard)?.arcs.into_iter().map(|held| held.arc).collect::<Vec<_>>();
        let ranges = own.iter().map(|at| pieces[*at].range).collect();
        let by = Counted { is_pooled, held, ranges, own: &own };
        let tables = "SELECT name, pg_catalog.quote_ident(key_column), ringshard.size_of_row(relation), \
                             ringshard.is_key_unique(relation, key_column) \
                      FROM ringshard.sharded_tables()";
        let mut is_even = true;
        for table in snapshot.query_typed(tables, &[]).map_err(fail)? {
            is_even &= table.get::<_, bool>(3);
            by.count(&mut snapshot, table.get(0), table.get(1), table.get(2), &mut measured).map_err(fail)?;
        }
        if is_even {
            let share = by.held.iter().map(|arc| arc.share()).sum();
            measured.spread = EvenSpread::new(measured.total.rows, share, measured.row_bytes_max);
        }
        measured.heavy_keys = heavy_keys(&mut snapshot, &by.ranges).map_err(fail)?;
    }
    let sums = "SELECT coalesce(sum(rows), 0)::bigint, coalesce(sum(bytes), 0)::bigint \
                FROM ringshard.migration_progress WHERE epoch = $1";
    let row = snapshot.query_typed_one(sums, &[(&epoch.number(), Type::INT8)]).map_err(fail)?;
    measured.moved = Load { rows: number(&row, 0), bytes: number(&row, 1) };
    snapshot.rollback().map_err(fail)?;
    Ok(measured)
}

/// A count or a size.
fn number(row: &Row, at: usize) -> u64 {
    u64::try_from(row.get::<_, i64>(at)).unwrap_or(0)
}

impl Counted<'_> {
    /// Adds the rows of a table. `size`: the expression for the size of a row.
    fn count(
        &self,
        snapshot: &mut Transaction<'_>,
        table: &str,
        key: &str,
        size: &str,
        measured: &mut ShardLoad,
    ) -> Result<(), postgres::Error> {
        let mut on_pieces: BTreeMap<usize, u64> = BTreeMap::new();
        let mut rows = 0;
        snapshot::for_each_key(snapshot, self.is_pooled, table, key, |keys| {
            rows += keys.len() as u64;
            for key in keys {
                let position = Position::of_key(key);
                if let Some(at) = find(&self.ranges, position) {
                    *on_pieces.entry(self.own[at]).or_default() += 1;
                } else if find(&self.held, position).is_none() {
                    measured.misplaced += 1;
                }
            }
        })?;
        let sum = format!(
            "SELECT coalesce(pg_catalog.sum(bytes), 0)::bigint, coalesce(pg_catalog.max(bytes), 0)::bigint \
             FROM (SELECT {size} AS bytes FROM {table}) AS row_size"
        );
        let row = snapshot.query_typed_one(&sum, &[])?;
        let bytes = number(&row, 0);
        measured.row_bytes_max = measured.row_bytes_max.max(number(&row, 1));
        for (at, on_piece) in on_pieces {
            // Estimated with the average size of the table's rows.
            let share = u128::from(bytes) * u128::from(on_piece) / u128::from(rows.max(1));
            let load = Load { rows: on_piece, bytes: u64::try_from(share).unwrap_or(u64::MAX) };
            let of_piece = measured.pieces.entry(at).or_default();
            *of_piece = of_piece.plus(load);
        }
        measured.total = measured.total.plus(Load { rows, bytes });
        Ok(())
    }
}
