//! Rows that lie misplaced: what their owners have in their snapshots, and what is to be done with each.

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

/// How many users a shard is asked for at once.
const IDS_PER_QUESTION: usize = 5_000;

/// The misplaced rows, and what is to be done with them.
#[derive(Debug, Default)]
pub struct RepairPlan {
    /// Where they lie, their owner, and who.
    pub(crate) strays: BTreeMap<(ShardName, ShardName), Vec<UserId>>,
    /// Rows whose owner does not have the user: to be moved there.
    pub to_move: u64,
    /// Rows that are equal to the owner's: to be deleted.
    pub to_purge: u64,
    /// Rows that differ from the owner's: to be put into quarantine.
    pub to_quarantine: u64,
}

/// A name, region and email, as bytes.
type Content = [Option<Vec<u8>>; 3];

/// What is wrong with each of these, in the snapshots that they were found in. Without `deep` all of those that the
/// owner has as well are taken for equal.
pub(crate) fn examine(
    look: &ClusterSnapshot,
    strays: BTreeMap<ShardName, Vec<UserId>>,
    deep: bool,
    tallies: &mut BTreeMap<ShardName, ShardFindings>,
) -> Result<RepairPlan> {
    let mut plan = RepairPlan::default();
    for (shard, ids) in strays {
        for id in ids {
            // In a gap nobody is the owner.
            if let Some(route) = look.findings.coverage.route(Position::of_user(id)) {
                plan.strays.entry((shard.clone(), route.shard.clone())).or_default().push(id);
            }
        }
    }
    let parts: HashMap<&ShardName, &ShardSnapshot> =
        look.parts.iter().map(|part| (&part.shard, part)).collect();
    let mut tally = |shard: &ShardName, change: &dyn Fn(&mut ShardFindings)| {
        change(tallies.get_mut(shard).expect("each shard that was asked has a tally"));
    };
    // A user may lie misplaced on several shards, and is missing once.
    let mut missing: HashSet<UserId> = HashSet::new();
    for ((shard, owner), ids) in &plan.strays {
        for ids in ids.chunks(IDS_PER_QUESTION) {
            let found = compare(parts[shard], parts[owner], ids, deep)?;
            for id in ids.iter().filter(|id| !found.contains_key(id)) {
                plan.to_move += 1;
                if missing.insert(*id) {
                    tally(owner, &|tally| tally.missing += 1);
                }
            }
            let twice = found.len() as u64;
            let differing = found.values().filter(|is_equal| !**is_equal).count() as u64;
            plan.to_purge += twice - differing;
            plan.to_quarantine += differing;
            tally(shard, &|tally| {
                tally.duplicate += twice;
                tally.differing = tally.differing.map(|sum| sum + differing);
            });
        }
    }
    Ok(plan)
}

/// Which of these users the owner has, and whether each is equal there.
fn compare(
    here: &ShardSnapshot,
    owner: &ShardSnapshot,
    ids: &[UserId],
    deep: bool,
) -> Result<HashMap<UserId, bool>> {
    if !deep {
        return Ok(which(owner, ids)?.into_iter().map(|id| (id, true)).collect());
    }
    let (here, there) = (contents(here, ids)?, contents(owner, ids)?);
    Ok(there.into_iter().map(|(id, content)| (id, here.get(&id) == Some(&content))).collect())
}

/// Which of these users a shard has.
fn which(part: &ShardSnapshot, ids: &[UserId]) -> Result<HashSet<UserId>> {
    let rows = ask(part, ids, "SELECT user_id FROM public.users WHERE user_id = ANY ($1)")?;
    Ok(rows.iter().map(|row| UserId::new(row.get(0))).collect())
}

/// What a shard has of these users.
fn contents(part: &ShardSnapshot, ids: &[UserId]) -> Result<HashMap<UserId, Content>> {
    let rows = ask(part, ids, include_str!("../../../sql/queries/verify/contents.sql"))?;
    let text = |row: &Row, at| row.get::<_, Option<RawValue<'_>>>(at).map(|RawValue(bytes)| bytes.to_vec());
    Ok(rows.iter().map(|row| (UserId::new(row.get(0)), [1, 2, 3].map(|at| text(row, at)))).collect())
}

fn ask(part: &ShardSnapshot, ids: &[UserId], sql: &'static str) -> Result<Vec<Row>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.number()).collect();
    part.ask("look for users", move |transaction: &mut Transaction<'_>| {
        transaction.query_typed(sql, &[(&ids as &(dyn ToSql + Sync), Type::INT8_ARRAY)])
    })
}
