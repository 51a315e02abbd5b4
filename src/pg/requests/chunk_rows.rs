//! The rows of a chunk in transit. They are never decoded: the bytes from the source go to the target, which compares the
//! digest.

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

/// The rows of a chunk, as `sql/queries/read_chunk.sql` returns them. Clones share the data.
#[derive(Debug, Clone)]
pub(crate) struct ChunkRows(Arc<Packed>);

#[derive(Debug)]
struct Packed {
    rows: i64,
    bytes: i64,
    digest: String,
    /// `user_id`, `name`, `region`, `email`, as arrays.
    columns: [BinaryValue; 4],
}

impl ChunkRows {
    /// From the row of `sql/queries/read_chunk.sql`.
    pub(crate) fn of(row: &Row) -> Self {
        let columns = ["ids", "names", "regions", "emails"].map(|column| row.get(column));
        let (rows, bytes, digest) = (row.get("rows"), row.get("bytes"), row.get("digest"));
        Self(Arc::new(Packed { rows, bytes, digest, columns }))
    }

    /// Their number.
    pub(crate) fn rows(&self) -> u64 {
        u64::try_from(self.0.rows).expect("a count is not negative")
    }

    /// Their size in bytes, by `pg_column_size`.
    pub(crate) fn bytes(&self) -> u64 {
        u64::try_from(self.0.bytes).expect("a size is not negative")
    }

    /// The last parameters of `ringshard.receive_chunk`.
    pub(crate) fn parameters(&self) -> [(&(dyn ToSql + Sync), Type); 6] {
        let Packed { bytes, digest, columns: [ids, names, regions, emails], .. } = &*self.0;
        [
            (ids, Type::INT8_ARRAY),
            (names, Type::TEXT_ARRAY),
            (regions, Type::TEXT_ARRAY),
            (emails, Type::TEXT_ARRAY),
            (bytes, Type::INT8),
            (digest, Type::TEXT),
        ]
    }
}
