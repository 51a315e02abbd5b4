//! Keys with many rows, which move at once: writes to such a key wait for as long as its rows take.

use postgres::types::Type;
use postgres::{Row, Transaction};

use crate::model::rebalance::plan::HeavyKey;
use crate::model::ring::arc::{Arc, find};
use crate::model::ring::position::Position;
use crate::model::table::TableName;

/// How many of the most common keys of a table are looked at.
const CANDIDATES: i64 = 100;
/// How many rows a key must have at least.
const ROWS_MIN: i64 = 10_000;

/// The keys with many rows on some ranges of a shard, by the statistics of its tables: ANALYZE samples them, so the numbers are
/// estimates, and a table that was never analyzed has none.
pub(super) fn heavy_keys(
    snapshot: &mut Transaction<'_>,
    ranges: &[Arc],
) -> Result<Vec<HeavyKey>, postgres::Error> {
    // Those of each partition, as nothing analyzes a partitioned table by itself.
    let sql = "SELECT sharded.name, common.key, pg_catalog.sum(common.frequency * c.reltuples)::bigint AS rows \
               FROM ringshard.sharded_parts() AS sharded \
               JOIN pg_catalog.pg_class AS c ON c.oid = sharded.part AND c.relkind = 'r' \
               JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
               JOIN pg_catalog.pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = c.relname \
                    AND s.attname = sharded.key_column AND NOT s.inherited \
               CROSS JOIN ROWS FROM (pg_catalog.unnest(s.most_common_vals::text::text[]), pg_catalog.unnest(s.most_common_freqs)) \
                    AS common (key, frequency) \
               GROUP BY 1, 2 HAVING pg_catalog.sum(common.frequency * c.reltuples) >= $1 ORDER BY 3 DESC LIMIT $2";
    let rows = snapshot.query_typed(sql, &[(&ROWS_MIN, Type::INT8), (&CANDIDATES, Type::INT8)])?;
    let heavy = |row: &Row| HeavyKey {
        table: TableName::new(row.get::<_, String>("name")),
        key: row.get("key"),
        rows: row.get::<_, i64>("rows").unsigned_abs(),
    };
    let moves = |heavy: &HeavyKey| find(ranges, Position::of_key(&heavy.key)).is_some();
    Ok(rows.iter().map(heavy).filter(moves).collect())
}
