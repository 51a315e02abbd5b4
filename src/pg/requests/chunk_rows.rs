//! The rows of a chunk in transit. They are never decoded: the texts from the source go to the target, which compares the
//! digests.

use std::error::Error;
use std::sync::Arc;

use bytes::BytesMut;
use postgres::Row;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// A value in Postgres's binary format, whatever its type.
#[derive(Debug)]
struct BinaryValue(Vec<u8>);

impl<'a> FromSql<'a> for BinaryValue {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for BinaryValue {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// The rows of a chunk, as `ringshard.read_chunk` returns them. Clones share the data.
#[derive(Debug, Clone)]
pub(crate) struct ChunkRows(Arc<Packed>);

#[derive(Debug)]
struct Packed {
    /// What each table has, in the order in which they are stored.
    tables: Vec<TableRows>,
    bytes: i64,
    /// The size of the largest row as text.
    largest: i64,
    /// All rows, one table after the other, as an array of texts; `None` if they are too large to be held in memory.
    rows: Option<BinaryValue>,
}

/// The rows of one table of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableRows {
    /// The name of the table, safe in SQL.
    pub(crate) table: String,
    /// Its columns, in the order of the text of a row.
    pub(crate) columns: String,
    pub(crate) rows: i64,
    /// The sum of the hashes of the rows: a `numeric` as text.
    pub(crate) digest: String,
}

impl ChunkRows {
    /// The most bytes of text that are held in memory.
    pub(crate) const BYTES_MAX: i64 = 4 << 20;

    /// From a row of `ringshard.read_chunk`; `None` if the shard does not have the chunk.
    pub(crate) fn of(row: &Row) -> Option<Self> {
        let names: Vec<String> = row.get::<_, Option<_>>("names")?;
        let (columns, digests): (Vec<String>, Vec<String>) = (row.get("columns"), row.get("digests"));
        let counts: Vec<i64> = row.get("counts");
        let tables = names.into_iter().zip(columns).zip(counts.into_iter().zip(digests));
        let tables =
            tables.map(|((table, columns), (rows, digest))| TableRows { table, columns, rows, digest });
        let tables = tables.collect();
        Some(Self(Arc::new(Packed {
            tables,
            bytes: row.get("bytes"),
            largest: row.get("largest"),
            rows: row.get("rows"),
        })))
    }

    /// Their number.
    pub(crate) fn rows(&self) -> u64 {
        let rows = self.0.tables.iter().map(|table| table.rows).sum::<i64>();
        u64::try_from(rows).expect("a count is not negative")
    }

    /// Their size in bytes, as text.
    pub(crate) fn bytes(&self) -> u64 {
        u64::try_from(self.0.bytes).expect("a size is not negative")
    }

    /// The size of the largest one in bytes, as text.
    pub(crate) fn largest(&self) -> u64 {
        self.0.largest.unsigned_abs()
    }

    /// What each table has, in the order in which they are stored.
    pub(crate) fn tables(&self) -> &[TableRows] {
        &self.0.tables
    }

    /// Whether they must be streamed, as they are too large to be held in memory.
    pub(crate) fn are_large(&self) -> bool {
        self.0.rows.is_none()
    }

    /// Calls `send` with the last parameters of `ringshard.receive_chunk`.
    pub(crate) fn with_parameters<T>(&self, send: impl FnOnce(&[(&(dyn ToSql + Sync), Type)]) -> T) -> T {
        let of = |part: fn(&TableRows) -> String| self.0.tables.iter().map(part).collect::<Vec<_>>();
        let counts: Vec<i64> = self.0.tables.iter().map(|table| table.rows).collect();
        send(&[
            (&of(|table| table.table.clone()), Type::TEXT_ARRAY),
            (&of(|table| table.columns.clone()), Type::TEXT_ARRAY),
            (&counts, Type::INT8_ARRAY),
            (&of(|table| table.digest.clone()), Type::TEXT_ARRAY),
            (&self.0.bytes, Type::INT8),
            (&self.0.rows, Type::TEXT_ARRAY),
        ])
    }
}
