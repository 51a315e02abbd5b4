//! Where to cut a range without asking its shard: rows whose keys are unique are spread evenly, as MD5 spreads keys.

use crate::model::ring::arc::Arc;
use crate::model::ring::position::Position;

/// How full a chunk is on average: so that one with more rows than it may have is six standard deviations away (the number of keys
/// on a part of the ring has a binomial distribution).
const FILL: f64 = 0.9;
/// With fewer rows a chunk would often have more than it may.
const ROWS_MIN: u64 = 1_000;

/// The rows of a shard all of whose sharded tables have unique keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvenSpread {
    /// The number of rows that the whole ring would have.
    rows_of_ring: f64,
    /// The size of the largest one in bytes, as it is stored.
    row_bytes_max: u64,
}

impl EvenSpread {
    /// Of so many rows on this share of the ring; `None` if it is no share.
    pub fn new(rows: u64, share: f64, row_bytes_max: u64) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let rows = rows as f64;
        (share > 0.0).then(|| Self { rows_of_ring: rows / share, row_bytes_max })
    }

    /// The last position of a chunk from the beginning of a range, with at most so many rows and bytes; `None` if the shard must
    /// be asked.
    pub fn cut(self, range: Arc, rows_max: u32, bytes_max: u64) -> Option<Position> {
        let rows_max = u64::from(rows_max).min(bytes_max / self.row_bytes_max.max(1));
        if rows_max < ROWS_MIN {
            return None;
        }
        let (first, last) = (range.first().number(), range.last().number());
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let chunks = (self.rows_of_ring * range.share() / (rows_max as f64 * FILL)).ceil();
        if chunks <= 1.0 {
            return Some(range.last());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number")]
        let chunks = chunks as u128;
        Some(Position::new(first + (last - first) / chunks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arc(first: u128, last: u128) -> Arc {
        Arc::new(Position::new(first), Position::new(last))
    }

    #[test]
    fn a_range_is_cut_into_even_chunks_that_are_not_full() {
        let whole = Arc::whole();
        let spread = EvenSpread::new(36_000, 1.0, 100).unwrap();
        assert_eq!(spread.cut(whole, 4_000, 1 << 20), Some(Position::new(u128::MAX / 10)));
        // As many chunks as there are left of the rest.
        let rest = Arc::new(Position::new(u128::MAX / 10 + 1), Position::LAST);
        let next = spread.cut(rest, 4_000, 1 << 20).unwrap().number();
        assert!((next - u128::MAX / 5) < u128::MAX / 1_000_000, "{next}");
        // Half of the ring has twice as many on the same share.
        let half = EvenSpread::new(18_000, 0.5, 100).unwrap();
        assert_eq!(half.cut(whole, 4_000, 1 << 20), spread.cut(whole, 4_000, 1 << 20));
        assert_eq!(spread.cut(arc(7, u128::MAX / 20), 4_000, 1 << 20), Some(Position::new(u128::MAX / 20)));
        assert_eq!(spread.cut(arc(7, 7), 4_000, 1 << 20), Some(Position::new(7)));
        assert_eq!(EvenSpread::new(0, 1.0, 0).unwrap().cut(whole, 4_000, 1 << 20), Some(Position::LAST));
    }

    #[test]
    fn a_shard_is_asked_where_chunks_would_be_small() {
        let spread = EvenSpread::new(36_000, 1.0, 1_000).unwrap();
        assert_eq!(spread.cut(Arc::whole(), 999, 1 << 30), None);
        // 512 rows of 1,000 bytes.
        assert_eq!(spread.cut(Arc::whole(), 4_000, 512 << 10), None);
        assert_eq!(EvenSpread::new(1, 0.0, 1), None);
    }
}
