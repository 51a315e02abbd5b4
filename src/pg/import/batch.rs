//! Rows on their way to one shard, in COPY's binary format.
//!
//! After "COPY: Binary Format" of the PostgreSQL documentation: per row a 16-bit count of fields, then each
//! field as a 32-bit length (−1: NULL) and its bytes.

use std::sync::Arc;

use crate::model::ring::coverage::Coverage;
use crate::model::user::{UserId, UserRef};

/// What stands before all rows: signature, flags, length of the header's extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What stands behind them.
const TAIL: &[u8] = &(-1_i16).to_be_bytes();
const FIELDS: i16 = 4;

/// Where a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowOrigin {
    pub(crate) user_id: UserId,
    /// Its number among the file's records, from 1.
    pub(crate) record: u64,
    /// The record's first line.
    pub(crate) line: u64,
    /// Whether an earlier run may have stored it: then an equal row that is there already is this one.
    pub(crate) doubtful: bool,
}

/// Rows for one shard, in the file's order.
#[derive(Debug, Default)]
pub(crate) struct RowBatch {
    places: Vec<RowOrigin>,
    /// Where each row ends in `bytes`.
    ends: Vec<usize>,
    bytes: Vec<u8>,
    /// The digest of the file's records up to the last row here.
    pub(crate) digest: i64,
    /// What all rows were routed by; `None` if not all by the same.
    pub(crate) routing: Option<Arc<Coverage>>,
}

impl RowBatch {
    /// Adds a row.
    pub(crate) fn push(&mut self, place: RowOrigin, user: UserRef<'_>) {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(HEAD);
        }
        self.bytes.extend_from_slice(&FIELDS.to_be_bytes());
        self.bytes.extend_from_slice(&8_i32.to_be_bytes());
        self.bytes.extend_from_slice(&user.user_id.number().to_be_bytes());
        for text in [user.name, user.region, user.email] {
            let length =
                text.map_or(-1, |text| i32::try_from(text.len()).expect("a text of a user is short"));
            self.bytes.extend_from_slice(&length.to_be_bytes());
            self.bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
        }
        self.places.push(place);
        self.ends.push(self.bytes.len());
    }

    /// Adds a row of another batch.
    fn push_from(&mut self, other: &Self, at: usize) {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(HEAD);
        }
        let start = if at == 0 { HEAD.len() } else { other.ends[at - 1] };
        self.bytes.extend_from_slice(&other.bytes[start..other.ends[at]]);
        self.places.push(other.places[at]);
        self.ends.push(self.bytes.len());
    }

    /// The rows whose places are chosen, as a batch of their own; each of them is doubtful from now on if
    /// `doubtful`.
    pub(crate) fn part(&self, chosen: impl Fn(&RowOrigin) -> bool) -> Self {
        let mut part = Self { digest: self.digest, ..Self::default() };
        for (at, place) in self.places.iter().enumerate() {
            if chosen(place) {
                part.push_from(self, at);
            }
        }
        part
    }

    /// Where the rows come from, in the file's order.
    pub(crate) fn places(&self) -> &[RowOrigin] {
        &self.places
    }

    /// How many bytes it has so far.
    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What COPY is sent, in two pieces.
    pub(crate) fn copy_data(&self) -> [&[u8]; 2] {
        [&self.bytes, TAIL]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(id: i64) -> RowOrigin {
        RowOrigin { user_id: UserId::new(id), record: 1, line: 2, doubtful: false }
    }

    #[test]
    fn a_row_is_written_as_copy_reads_it() {
        let user = UserRef { user_id: UserId::new(-2), name: Some("é"), region: None, email: Some("") };
        let mut batch = RowBatch::default();
        batch.push(place(-2), user);
        let row =
            b"\0\x04\0\0\0\x08\xff\xff\xff\xff\xff\xff\xff\xfe\0\0\0\x02\xc3\xa9\xff\xff\xff\xff\0\0\0\0";
        assert_eq!(batch.copy_data().concat(), [HEAD, row, TAIL].concat());
    }

    #[test]
    fn a_part_has_the_rows_that_were_chosen() {
        let user = |id| UserRef { user_id: UserId::new(id), name: Some("x"), region: None, email: None };
        let (mut all, mut odd) = (RowBatch::default(), RowBatch::default());
        for id in 0..5 {
            all.push(place(id), user(id));
            if id % 2 == 1 {
                odd.push(place(id), user(id));
            }
        }
        let part = all.part(|place| place.user_id.number() % 2 == 1);
        assert_eq!(part.copy_data(), odd.copy_data());
        assert_eq!(part.places(), odd.places());
        assert!(all.part(|_| false).is_empty());
    }
}
