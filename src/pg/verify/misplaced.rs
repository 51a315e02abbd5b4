//! Examines misplaced rows: compares them with their owners' rows in the snapshots, and plans the repair.

use std::collections::{BTreeMap, HashMap, HashSet};

use postgres::types::{ToSql, Type};
use postgres::{GenericClient, Row, Transaction};

use super::{ClusterSnapshot, MisplacedKeys, ShardFindings};
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::ring::position::Position;
use crate::model::table::{ShardingKey, TableName};
use crate::pg::catalog::quoted;
use crate::pg::scan::snapshot::ShardSnapshot;

/// How many keys one query asks for.
const KEYS_PER_QUERY: usize = 5_000;

/// The misplaced rows, and their repair.
#[derive(Debug, Default)]
pub struct RepairPlan {
    /// The keys of the rows, by their shard and their owner.
    pub(crate) keys: BTreeMap<(ShardName, ShardName), MisplacedKeys>,
    /// Rows to move to their owner, which has none of that key.
    pub to_move: u64,
    /// Rows to delete, as the owner has equal ones.
    pub to_purge: u64,
    /// Rows to move to the quarantine, as the owner has different ones.
    pub to_quarantine: u64,
}

/// The rows of one key in one table: their number and digest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    rows: u64,
    digest: String,
}

/// Plans the repair of the rows with these keys, in the snapshots in which they were found. Without `deep`, all rows whose key
/// the owner has too count as equal.
pub(crate) fn examine(
    snapshot: &ClusterSnapshot,
    misplaced: BTreeMap<ShardName, MisplacedKeys>,
    deep: bool,
    tallies: &mut BTreeMap<ShardName, ShardFindings>,
) -> Result<RepairPlan> {
    let mut plan = RepairPlan::default();
    for (shard, keys) in misplaced {
        for (key, tables) in keys {
            // A position in a gap has no owner.
            if let Some(route) = snapshot.findings.coverage.route(Position::of_key(&key)) {
                let of_pair = plan.keys.entry((shard.clone(), route.shard.clone())).or_default();
                of_pair.insert(key, tables);
            }
        }
    }
    let parts: HashMap<&ShardName, &ShardSnapshot> =
        snapshot.parts.iter().map(|part| (&part.shard, part)).collect();
    let mut tally = |shard: &ShardName, change: &dyn Fn(&mut ShardFindings)| {
        change(tallies.get_mut(shard).expect("each scanned shard has a tally"));
    };
    // Rows of a key that is misplaced on several shards are missing once.
    let mut missing: HashSet<(&TableName, &str)> = HashSet::new();
    for ((shard, owner), keys) in &plan.keys {
        for (at, (table, sharding_key)) in snapshot.tables().sharded().enumerate() {
            let keys: Vec<&String> =
                keys.iter().filter(|(_, tables)| tables.contains(&at)).map(|(key, _)| key).collect();
            for keys in keys.chunks(KEYS_PER_QUERY) {
                let (here, there) = (
                    groups(parts[shard], (table, sharding_key), keys)?,
                    groups(parts[owner], (table, sharding_key), keys)?,
                );
                // By the keys that were asked for: a collation may call other texts equal to them.
                for key in keys {
                    let Some(group) = here.get(*key) else { continue };
                    let Some(other) = there.get(*key) else {
                        plan.to_move += group.rows;
                        if missing.insert((table, key)) {
                            tally(owner, &|tally| tally.missing += group.rows);
                        }
                        continue;
                    };
                    let is_differing = deep && other != group;
                    if is_differing {
                        plan.to_quarantine += group.rows;
                    } else {
                        plan.to_purge += group.rows;
                    }
                    tally(shard, &|tally| {
                        tally.duplicate += group.rows;
                        let differing = if is_differing { group.rows } else { 0 };
                        tally.differing = tally.differing.map(|sum| sum + differing);
                    });
                }
            }
        }
    }
    Ok(plan)
}

/// The rows of these keys that a shard has in a table.
fn groups(
    part: &ShardSnapshot,
    (table, key): (&TableName, &ShardingKey),
    keys: &[&String],
) -> Result<HashMap<String, Group>> {
    let sql = format!(
        "SELECT t.{key}::text, pg_catalog.count(*), \
                pg_catalog.sum(pg_catalog.hashtextextended(t.*::text, 0))::text \
         FROM {table} AS t WHERE {condition} GROUP BY t.{key}",
        key = quoted(&key.column),
        table = table.as_sql(),
        condition = of_keys(key),
    );
    let keys: Vec<String> = keys.iter().map(|key| (*key).clone()).collect();
    let rows = part.query("look for rows", move |transaction: &mut Transaction<'_>| {
        transaction.batch_execute(crate::pg::requests::connection::ROW_TEXT)?;
        transaction.query_typed(&sql, &[(&keys as &(dyn ToSql + Sync), Type::TEXT_ARRAY)])
    })?;
    let group = |row: &Row| {
        let rows = u64::try_from(row.get::<_, i64>(1)).expect("a count is not negative");
        (row.get(0), Group { rows, digest: row.get(2) })
    };
    Ok(rows.iter().map(group).collect())
}

/// The condition that a row of the table `t` has one of the keys `$1`, an array of texts.
pub(super) fn of_keys(key: &ShardingKey) -> String {
    format!("t.{} = ANY ($1::{}[])", quoted(&key.column), key.of)
}

/// The rows of these keys as texts, sorted, by their key.
pub(super) fn rows_of_keys(
    client: &mut impl GenericClient,
    (table, key): (&TableName, &ShardingKey),
    keys: &[&str],
) -> Result<BTreeMap<String, Vec<String>>, postgres::Error> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let sql = format!(
        "SELECT t.{}::text, t.*::text FROM {} AS t WHERE {}",
        quoted(&key.column),
        table.as_sql(),
        of_keys(key),
    );
    for row in client.query_typed(&sql, &[(&keys, Type::TEXT_ARRAY)])? {
        found.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
    }
    for rows in found.values_mut() {
        rows.sort_unstable();
    }
    Ok(found)
}
