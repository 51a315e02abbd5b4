//! What is to be done, before anything is done: all shards are asked how they stand and what lies where.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use postgres::types::Type;

use super::link::{Link, Trouble};
use super::links::Links;
use super::run::{Options, Run};
use crate::error::{Error, Kind, Result};
use crate::model::moves::mover::States;
use crate::model::moves::plan::{Load, Plan};
use crate::model::moves::{Damage, Piece, Situation, pieces, situation};
use crate::model::names::ShardName;
use crate::model::topology::Epoch;
use crate::pg::cluster::Cluster;
use crate::pg::failure;
use crate::pg::uuid::Uuid;

/// The pause between two looks that fit together badly.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How often they are repeated.
const LOOKS_MAX: u32 = 10;

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
}

/// What all shards that matter say, and what that means.
pub(super) struct Looked {
    pub(super) situation: Situation,
    pub(super) states: States,
}

/// A failure that no mover can mend.
pub(super) fn damaged(damage: Damage) -> Error {
    let message = format!("the shards do not fit together: {damage}");
    let error = Error::new(Kind::Failed, message).hint("ringshard doctor tells more, and what to type");
    match damage.shard {
        Some(shard) => error.on_shard(shard),
        None => error,
    }
}

impl Cluster {
    /// Looks at all shards: those of the newest topology, and who takes part in a change of it; where none is under
    /// way, at those that are to join only if `joining`.
    pub(super) fn look_at_all(&self, joining: bool) -> Result<Looked> {
        self.refresh()?;
        let run = Run::new(self, Options::default());
        let mut links = Links::new(&run);
        let mut before: Option<States> = None;
        for _ in 0..LOOKS_MAX {
            let mut states = States::new();
            let mut unknown: Vec<ShardName> = self.view().topology.names().cloned().collect();
            let situation = loop {
                for shard in &unknown {
                    let seen = look(&mut links, shard, self)?;
                    states.insert(shard.clone(), seen);
                }
                match situation(&states) {
                    Err(damage) => break Err(damage),
                    Ok(situation @ Situation::Idle { .. }) if !joining => break Ok(situation),
                    Ok(situation) => {
                        unknown = situation
                            .members()
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
                Ok(situation) => return Ok(Looked { situation, states }),
                // The looks are not of one instant.
                Err(damage) if before.as_ref() == Some(&states) => return Err(damaged(damage)),
                Err(_) => before = Some(states),
            }
            thread::sleep(LOOK_PAUSE);
        }
        Err(Error::new(Kind::Locked, "the ring changes faster than it can be looked at").hint("try again"))
    }

    /// What the wish, or the change under way, is still to move; nothing if there is none.
    pub fn plan_change(&self) -> Result<Option<Planned>> {
        let Looked { situation, states } = self.look_at_all(true)?;
        let (epoch, before, target, is_under_way) = match &situation {
            Situation::Idle { wanted: None, .. } => return Ok(None),
            Situation::Idle { epoch, topology, wanted: Some(wanted) } => {
                (epoch.next(), topology, wanted, false)
            }
            Situation::Changing { epoch, topology, change, .. } => (*epoch, topology, &change.target, true),
        };
        let pieces = pieces(&states, target, epoch).map_err(damaged)?;
        let names: Vec<ShardName> = states.keys().cloned().collect();
        let (loads, total, moved) = self.loads(&names, &pieces, epoch)?;
        let goes_back = is_under_way && before == target;
        let plan = Plan::new(before.clone(), target.clone(), &pieces, &loads, total);
        Ok(Some(Planned { plan, epoch, is_under_way, goes_back, moved }))
    }

    /// What lies on each of these pieces, on all shards, and what was moved in this epoch so far.
    fn loads(&self, names: &[ShardName], pieces: &[Piece], epoch: Epoch) -> Result<(Vec<Load>, Load, Load)> {
        let measured: Vec<Result<Measured>> = thread::scope(|scope| {
            let threads: Vec<_> = names
                .iter()
                .map(|shard| {
                    let places: Vec<usize> =
                        (0..pieces.len()).filter(|at| pieces[*at].source == *shard).collect();
                    scope.spawn(move || measure(self, shard, pieces, places, epoch))
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let mut loads = vec![Load::default(); pieces.len()];
        let (mut total, mut moved) = (Load::default(), Load::default());
        for measured in measured {
            let measured = measured?;
            for (at, load) in measured.pieces {
                loads[at] = load;
            }
            total = total.plus(measured.total);
            moved = moved.plus(measured.moved);
        }
        Ok((loads, total, moved))
    }
}

/// One look, whatever the shard is at; the addresses that it tells are kept.
pub(super) fn look(
    links: &mut Links<'_>,
    shard: &ShardName,
    cluster: &Cluster,
) -> Result<crate::model::moves::ShardState> {
    let seen = links.link(shard)?.look(cluster).map_err(|trouble| match trouble {
        Trouble::Server(cause) => failure::doing("look at the catalog", shard, &cause),
        Trouble::Ours(error) => error,
    })?;
    cluster.learn_addresses(&seen.said)?;
    Ok(seen.state)
}

/// What a shard has.
struct Measured {
    /// By the place of the piece in the list of all.
    pieces: BTreeMap<usize, Load>,
    total: Load,
    moved: Load,
}

/// `places`: which of the pieces are the shard's.
fn measure(
    cluster: &Cluster,
    shard: &ShardName,
    pieces: &[Piece],
    mut places: Vec<usize>,
    epoch: Epoch,
) -> Result<Measured> {
    let fail = |cause: postgres::Error| failure::doing("count what is to be moved", shard, &cause);
    let mut link = Link::open(cluster, shard)?;
    places.sort_by_key(|at| pieces[*at].range);
    let firsts: Vec<Uuid> = places.iter().map(|at| Uuid::from(pieces[*at].range.first())).collect();
    let lasts: Vec<Uuid> = places.iter().map(|at| Uuid::from(pieces[*at].range.last())).collect();
    let rows = link
        .session()
        .query(
            include_str!("../../../sql/plan.sql"),
            &[(&firsts, Type::UUID_ARRAY), (&lasts, Type::UUID_ARRAY)],
        )
        .map_err(fail)?;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let mut measured = Measured { pieces: BTreeMap::new(), total: Load::default(), moved: Load::default() };
    for row in rows {
        let load = Load { rows: count(row.get("rows")), bytes: count(row.get("bytes")) };
        measured.total = measured.total.plus(load);
        let piece = usize::try_from(row.get::<_, i32>("piece")).unwrap_or(0);
        if piece > 0 {
            measured.pieces.insert(places[piece - 1], load);
        }
    }
    let moved = "SELECT coalesce(sum(rows), 0)::bigint, coalesce(sum(bytes), 0)::bigint FROM ringshard.moved \
                 WHERE epoch = $1";
    let rows = link.session().query(moved, &[(&epoch.number(), Type::INT8)]).map_err(fail)?;
    if let Some(row) = rows.first() {
        measured.moved = Load { rows: count(row.get(0)), bytes: count(row.get(1)) };
    }
    Ok(measured)
}
