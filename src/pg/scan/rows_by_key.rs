//! Lists the rows of any sharded table by their sharding keys: each shard sorts its own, and they are merged as they arrive.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use postgres::types::Type;

use super::list::cut_off;
use super::rows_of_table::from;
use super::snapshot::{self, Missing, ShardSnapshot};
use super::sql::{RowsOfShard, StatementColumn, run_on_each};
use crate::error::{Error, Kind, Result};
use crate::model::report::Cell;
use crate::model::table::{KeyType, Table};
use crate::pg::catalog::quoted;
use crate::pg::cluster::Cluster;
use crate::pg::pool::read_routing::ReadIntent;
use crate::pg::requests::connection::ROW_TEXT;

/// Which rows to list.
#[derive(Debug, Clone, Default)]
pub struct KeyRange {
    /// Only rows with a greater sharding key.
    pub after: Option<String>,
    /// At most this many, with the smallest keys.
    pub limit: Option<u64>,
}

/// A sharding key, in the order in which each shard sorts them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum KeyOrder {
    Number(i64),
    /// The bytes of a text, as in the collation "C", or of a uuid.
    Text(String),
}

/// The rows of all shards by key. Rows of one key come from one shard, in the order of its primary key, if it has one.
pub struct RowsByKey {
    sources: Vec<RowsOfShard>,
    /// The next row of each source.
    next: Vec<Vec<Cell>>,
    heap: BinaryHeap<Reverse<(KeyOrder, usize)>>,
    /// Where the sharding key is in a row.
    key_at: usize,
    left: Option<u64>,
    has_failed: bool,
}

impl RowsByKey {
    fn new(sources: Vec<RowsOfShard>, key_at: usize, left: Option<u64>) -> Result<Self> {
        let next = vec![Vec::new(); sources.len()];
        let mut rows = Self { sources, next, heap: BinaryHeap::new(), key_at, left, has_failed: false };
        (0..rows.sources.len()).try_for_each(|source| rows.advance(source).map(drop))?;
        Ok(rows)
    }

    /// Reads the next row of a source; returns the one before.
    fn advance(&mut self, source: usize) -> Result<Vec<Cell>> {
        let (shard, receiver) = &self.sources[source];
        let row = receiver.recv().map_err(|_| cut_off(shard))??;
        if let Some(key) = row.get(self.key_at) {
            let key = match key {
                Cell::Number(text) => {
                    text.parse().map_or_else(|_| KeyOrder::Text(text.clone()), KeyOrder::Number)
                }
                Cell::Text(text) => KeyOrder::Text(text.clone()),
                _ => KeyOrder::Text(String::new()),
            };
            self.heap.push(Reverse((key, source)));
        }
        Ok(std::mem::replace(&mut self.next[source], row))
    }
}

impl Iterator for RowsByKey {
    type Item = Result<Vec<Cell>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed || self.left == Some(0) {
            return None;
        }
        let Reverse((_, source)) = self.heap.pop()?;
        self.left = self.left.map(|left| left - 1);
        let row = self.advance(source);
        self.has_failed = row.is_err();
        Some(row)
    }
}

/// The columns of a table, its rows in this range by key, and what is missing.
pub fn list_rows(
    cluster: &Cluster,
    table: &Table,
    range: &KeyRange,
    allow_partial: bool,
) -> Result<(Vec<StatementColumn>, RowsByKey, Missing)> {
    let Some(key) = &table.key else {
        let message = format!("the table `{}` is a reference table, the same on every shard", table.name);
        return Err(
            Error::new(Kind::Usage, message).hint("ringshard sql with --shard NAME reads it on one shard")
        );
    };
    let after = range.after.as_deref().map(|text| key.of.canonical(text));
    let after = after
        .transpose()
        .map_err(|why| Error::new(Kind::Usage, format!("invalid value for '--after <ID>': {why}")))?;
    let snapshot = snapshot::open(cluster, ReadIntent::AllowReplica, allow_partial)?;
    let column = format!("t.{}", quoted(&key.column));
    let sorted = match key.of {
        KeyType::Text | KeyType::Varchar => format!("{column} COLLATE \"C\""),
        _ => column,
    };
    let name = table.name.as_sql().to_string();
    // COPY takes no parameters, so this one is a setting of the transaction.
    let prepare = |part: &ShardSnapshot| {
        let (of_part, of_table) = (after.clone().unwrap_or_default(), name.clone());
        part.begin(move |transaction| {
            transaction.batch_execute(ROW_TEXT)?;
            let sql = "SELECT pg_catalog.set_config('ringshard.after', $1, true), \
                              (SELECT columns.key FROM ringshard.columns_of($2::regclass) AS columns)";
            let row = transaction.query_typed_one(sql, &[(&of_part, Type::TEXT), (&of_table, Type::TEXT)])?;
            row.try_get::<_, Option<String>>(1)
        })
    };
    let prepared: Vec<_> = snapshot.parts.iter().map(prepare).collect();
    let mut parts = Vec::new();
    for (part, primary_key) in snapshot.parts.into_iter().zip(prepared) {
        let primary_key = primary_key.wait("prepare to read rows", &part.shard)?;
        let condition = match &after {
            Some(_) => format!(" AND {sorted} > pg_catalog.current_setting('ringshard.after')::{}", key.of),
            None => String::new(),
        };
        let then = primary_key.map_or_else(String::new, |columns| format!(", {columns}"));
        let limit = range.limit.map_or_else(String::new, |rows| format!(" LIMIT {rows}"));
        let from = from(&part, &table.name, key);
        parts.push((part, format!("SELECT t.* {from}{condition} ORDER BY {sorted}{then}{limit}")));
    }
    let (columns, streams) = run_on_each(parts)?;
    let key_at = columns.iter().position(|found| found.name == key.column);
    let key_at = key_at.ok_or_else(|| {
        Error::new(Kind::Configuration, format!("the table `{}` has no column `{}`", table.name, key.column))
            .hint("ringshard doctor shows what each shard has")
    })?;
    Ok((columns, RowsByKey::new(streams, key_at, range.limit)?, snapshot.missing))
}
