//! A batch of rows for one shard, in the binary format of COPY.
//!
//! Follows "COPY: Binary Format" of the PostgreSQL documentation: for each row a 16-bit count of fields, then each field as
//! a 32-bit length (−1: NULL) and its bytes.

use std::sync::Arc;

use crate::model::ring::coverage::Coverage;
use crate::model::user::{UserId, UserRef};

/// The header: signature, flags, length of the extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// The trailer.
const TAIL: &[u8] = &(-1_i16).to_be_bytes();
const FIELDS: i16 = 4;

/// The origin of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowOrigin {
    pub(crate) user_id: UserId,
    /// Its number among the file's records, from 1.
    pub(crate) record: u64,
    /// The record's first line.
    pub(crate) line: u64,
    /// Whether an earlier run may have stored it: then an equal existing row is this one.
    pub(crate) doubtful: bool,
}

/// Rows for one shard, in the file's order.
#[derive(Debug, Default)]
pub(crate) struct RowBatch {
    origins: Vec<RowOrigin>,
    /// The end of each row in `bytes`.
    ends: Vec<usize>,
    bytes: Vec<u8>,
    /// The digest of the file's records up to the last row of this batch.
    pub(crate) digest: i64,
    /// The routing of all rows; `None` if they were not all routed by the same one.
    pub(crate) routing: Option<Arc<Coverage>>,
}

impl RowBatch {
    /// Adds a row.
    pub(crate) fn push(&mut self, origin: RowOrigin, user: UserRef<'_>) {
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
        self.origins.push(origin);
        self.ends.push(self.bytes.len());
    }

    /// Adds a row of another batch.
    fn push_from(&mut self, other: &Self, at: usize) {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(HEAD);
        }
        let start = if at == 0 { HEAD.len() } else { other.ends[at - 1] };
        self.bytes.extend_from_slice(&other.bytes[start..other.ends[at]]);
        self.origins.push(other.origins[at]);
        self.ends.push(self.bytes.len());
    }

    /// A batch of the rows whose origins are chosen.
    pub(crate) fn part(&self, chosen: impl Fn(&RowOrigin) -> bool) -> Self {
        let mut part = Self { digest: self.digest, ..Self::default() };
        for (at, origin) in self.origins.iter().enumerate() {
            if chosen(origin) {
                part.push_from(self, at);
            }
        }
        part
    }

    /// The user of a row.
    pub(crate) fn user(&self, at: usize) -> UserRef<'_> {
        let start = if at == 0 { HEAD.len() } else { self.ends[at - 1] };
        // Behind the count of fields, and the length and number of the id.
        let mut rest = &self.bytes[start + 14..self.ends[at]];
        let mut text = || {
            let (length, after) = rest.split_first_chunk().expect("a row has four fields");
            let length = usize::try_from(i32::from_be_bytes(*length)).ok();
            let (text, after) = after.split_at(length.unwrap_or(0));
            rest = after;
            length.map(|_| std::str::from_utf8(text).expect("a text was written here"))
        };
        let (name, region, email) = (text(), text(), text());
        UserRef { user_id: self.origins[at].user_id, name, region, email }
    }

    /// The origins of the rows, in the file's order.
    pub(crate) fn origins(&self) -> &[RowOrigin] {
        &self.origins
    }

    /// Its size in bytes.
    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// The data for COPY, in two pieces.
    pub(crate) fn copy_data(&self) -> [&[u8]; 2] {
        [&self.bytes, TAIL]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(id: i64) -> RowOrigin {
        RowOrigin { user_id: UserId::new(id), record: 1, line: 2, doubtful: false }
    }

    #[test]
    fn a_row_is_written_as_copy_reads_it() {
        let user = UserRef { user_id: UserId::new(-2), name: Some("é"), region: None, email: Some("") };
        let mut batch = RowBatch::default();
        batch.push(origin(-2), user);
        let row =
            b"\0\x04\0\0\0\x08\xff\xff\xff\xff\xff\xff\xff\xfe\0\0\0\x02\xc3\xa9\xff\xff\xff\xff\0\0\0\0";
        assert_eq!(batch.copy_data().concat(), [HEAD, row, TAIL].concat());
    }

    #[test]
    fn a_row_is_read_as_it_was_pushed() {
        let users = [
            UserRef { user_id: UserId::new(7), name: Some("é"), region: None, email: Some("") },
            UserRef { user_id: UserId::new(-8), name: None, region: Some("x"), email: None },
        ];
        let mut batch = RowBatch::default();
        for user in users {
            batch.push(origin(user.user_id.number()), user);
        }
        assert_eq!([batch.user(0), batch.user(1)], users);
    }

    #[test]
    fn a_part_has_the_rows_that_were_chosen() {
        let user = |id| UserRef { user_id: UserId::new(id), name: Some("x"), region: None, email: None };
        let (mut all, mut odd) = (RowBatch::default(), RowBatch::default());
        for id in 0..5 {
            all.push(origin(id), user(id));
            if id % 2 == 1 {
                odd.push(origin(id), user(id));
            }
        }
        let part = all.part(|origin| origin.user_id.number() % 2 == 1);
        assert_eq!(part.copy_data(), odd.copy_data());
        assert_eq!(part.origins(), odd.origins());
        assert!(all.part(|_| false).is_empty());
    }
}
