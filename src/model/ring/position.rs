//! Positions on the ring: 128-bit unsigned integers, made by MD5.

use std::fmt;
use std::io::Write as _;

use md5::{Digest as _, Md5};
use uuid::Uuid;

use crate::model::user::UserId;

/// A position on the ring, `0 ..= 2^128 - 1`.
///
/// The position of a key is the MD5 (RFC 1321) of its UTF-8 bytes, read as a big-endian integer.
/// Postgres computes the same with `md5(key)::uuid`, whose values compare as positions do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u128);

impl Position {
    /// The first position of the ring.
    pub const FIRST: Self = Self(0);
    /// The last position of the ring; the next one clockwise is [`Position::FIRST`].
    pub const LAST: Self = Self(u128::MAX);

    /// The position with this number.
    pub const fn new(number: u128) -> Self {
        Self(number)
    }

    /// The position of a key.
    pub fn of_key(key: &str) -> Self {
        Self::of_bytes(key.as_bytes())
    }

    /// The position of a user: that of the id in decimal. Allocates nothing.
    pub fn of_user(id: UserId) -> Self {
        let mut text = [0_u8; 20];
        let mut rest = &mut text[..];
        write!(rest, "{id}").expect("an i64 has at most 20 characters");
        let unused = rest.len();
        Self::of_bytes(&text[..20 - unused])
    }

    /// The positions of a shard's virtual nodes, from `NAME#0` on.
    pub fn of_virtual_nodes(shard: &str, count: u32) -> impl Iterator<Item = Self> {
        let (mut label, mut digits) = (format!("{shard}#"), itoa::Buffer::new());
        let start = label.len();
        (0..count).map(move |index| {
            label.truncate(start);
            label.push_str(digits.format(index));
            Self::of_key(&label)
        })
    }

    /// The MD5 of any bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(u128::from_be_bytes(Md5::digest(bytes).into()))
    }

    /// The position as a number.
    pub const fn number(self) -> u128 {
        self.0
    }

    /// The next position, unless this is the last one.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

/// As Postgres stores it.
impl From<Position> for Uuid {
    fn from(position: Position) -> Self {
        Self::from_u128(position.0)
    }
}

impl From<Uuid> for Position {
    fn from(uuid: Uuid) -> Self {
        Self(uuid.as_u128())
    }
}

/// In decimal, as the Python prototype logs it.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
