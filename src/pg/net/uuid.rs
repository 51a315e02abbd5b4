//! Postgres's `uuid`, the type of positions and cluster ids: 16 bytes, big-endian.

use std::error::Error;

use bytes::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

use crate::model::names::ClusterId;
use crate::model::ring::position::Position;

/// A value of the type `uuid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Uuid(pub(crate) u128);

impl Uuid {
    /// As a position.
    pub(crate) fn position(self) -> Position {
        Position::new(self.0)
    }

    /// The id of a cluster.
    pub(crate) fn of_cluster(id: &ClusterId) -> Self {
        let digits = id.as_str().bytes().filter_map(|byte| char::from(byte).to_digit(16));
        Self(digits.fold(0, |number, digit| number << 4 | u128::from(digit)))
    }

    /// The usual text: 36 characters.
    pub(crate) fn text(self) -> String {
        let hex = format!("{:032x}", self.0);
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }
}

impl From<Position> for Uuid {
    fn from(position: Position) -> Self {
        Self(position.number())
    }
}

impl<'a> FromSql<'a> for Uuid {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(u128::from_be_bytes(raw.try_into()?)))
    }

    accepts!(UUID);
}

impl ToSql for Uuid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0.to_be_bytes());
        Ok(IsNull::No)
    }

    accepts!(UUID);
    to_sql_checked!();
}
