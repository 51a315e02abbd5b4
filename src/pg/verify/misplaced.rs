//! Examines misplaced rows: compares them with their owners' rows in the snapshots, and plans the repair.

use std::collections::{BTreeMap, HashMap, HashSet};

use postgres::types::{ToSql, Type};
use postgres::{Row, Transaction};

use super::{ClusterSnapshot, ShardFindings};
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::ring::position::Position;
use crate::model::user::UserId;
use crate::pg::scan::list::RawValue;
use crate::pg::scan::snapshot::ShardSnapshot;

/// How many users one query asks for.
const IDS_PER_QUERY: usize = 5_000;

/// The misplaced rows, and their repair.
#[derive(Debug, Default)]
pub struct RepairPlan {
    /// The ids of the rows, by their shard and their owner.
    pub(crate) rows: BTreeMap<(ShardName, ShardName), Vec<UserId>>,
    /// Rows to move to their owner, which does not have the user.
    pub to_move: u64,
    /// Rows to delete, as the owner has an equal one.
    pub to_purge: u64,
    /// Rows to move to the quarantine, as the owner has a different one.
    pub to_quarantine: u64,
}

/// A name, region and email, as bytes.
type Content = [Option<Vec<u8>>; 3];

/// Plans the repair of these rows, in the snapshots in which they were found. Without `deep`, all rows that the owner has
/// too count as equal.
pub(crate) fn examine(
    snapshot: &ClusterSnapshot,
    misplaced: BTreeMap<ShardName, Vec<UserId>>,
    deep: bool,
    tallies: &mut BTreeMap<ShardName, ShardFindings>,
) -> Result<RepairPlan> {
    let mut plan = RepairPlan::default();
    for (shard, ids) in misplaced {
        for id in ids {
            // A position in a gap has no owner.
            if let Some(route) = snapshot.findings.coverage.route(Position::of_user(id)) {
                plan.rows.entry((shard.clone(), route.shard.clone())).or_default().push(id);
            }
        }
    }
    let parts: HashMap<&ShardName, &ShardSnapshot> =
        snapshot.parts.iter().map(|part| (&part.shard, part)).collect();
    let mut tally = |shard: &ShardName, change: &dyn Fn(&mut ShardFindings)| {
        change(tallies.get_mut(shard).expect("each scanned shard has a tally"));
    };
    // A user that is misplaced on several shards is missing once.
    let mut missing: HashSet<UserId> = HashSet::new();
    for ((shard, owner), ids) in &plan.rows {
        for ids in ids.chunks(IDS_PER_QUERY) {
            let found = compare(parts[shard], parts[owner], ids, deep)?;
            for id in ids.iter().filter(|id| !found.contains_key(id)) {
                plan.to_move += 1;
                if missing.insert(*id) {
                    tally(owner, &|tally| tally.missing += 1);
                }
            }
            let duplicate = found.len() as u64;
            let differing = found.values().filter(|is_equal| !**is_equal).count() as u64;
            plan.to_purge += duplicate - differing;
            plan.to_quarantine += differing;
            tally(shard, &|tally| {
                tally.duplicate += duplicate;
                tally.differing = tally.differing.map(|sum| sum + differing);
            });
        }
    }
    Ok(plan)
}

/// The users of these that the owner has, and whether each is equal.
fn compare(
    here: &ShardSnapshot,
    owner: &ShardSnapshot,
    ids: &[UserId],
    deep: bool,
) -> Result<HashMap<UserId, bool>> {
    if !deep {
        return Ok(existing(owner, ids)?.into_iter().map(|id| (id, true)).collect());
    }
    let (here, there) = (contents(here, ids)?, contents(owner, ids)?);
    Ok(there.into_iter().map(|(id, content)| (id, here.get(&id) == Some(&content))).collect())
}

/// The users of these that a shard has.
fn existing(part: &ShardSnapshot, ids: &[UserId]) -> Result<HashSet<UserId>> {
    let rows = query(part, ids, "SELECT user_id FROM public.users WHERE user_id = ANY ($1)")?;
    Ok(rows.iter().map(|row| UserId::new(row.get(0))).collect())
}

/// The contents of these users on a shard.
fn contents(part: &ShardSnapshot, ids: &[UserId]) -> Result<HashMap<UserId, Content>> {
    let rows = query(part, ids, include_str!("../../../sql/queries/verify/contents.sql"))?;
    let text = |row: &Row, at| row.get::<_, Option<RawValue<'_>>>(at).map(|RawValue(bytes)| bytes.to_vec());
    Ok(rows.iter().map(|row| (UserId::new(row.get(0)), [1, 2, 3].map(|at| text(row, at)))).collect())
}

fn query(part: &ShardSnapshot, ids: &[UserId], sql: &'static str) -> Result<Vec<Row>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.number()).collect();
    part.query("look for users", move |transaction: &mut Transaction<'_>| {
        transaction.query_typed(sql, &[(&ids as &(dyn ToSql + Sync), Type::INT8_ARRAY)])
    })
}
