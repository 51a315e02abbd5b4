//! A running digest of users in order, by which a file is recognized. It is not a cryptographic hash: it detects accidental
//! differences.

use super::ring::position::Position;
use super::user::{UserId, UserRef};

/// Fibonacci hashing's multiplier.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// The digest of the users so far, each with all fields, in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Adds a user with its position.
    pub fn push(&mut self, position: Position, user: UserRef<'_>) {
        #[expect(clippy::cast_possible_truncation, reason = "half of a hash is one too")]
        self.mix(position.number() as u64);
        for text in [user.name, user.region, user.email] {
            // A missing text and an empty one differ.
            self.mix(text.map_or(u64::MAX, |text| text.len() as u64));
            for chunk in text.unwrap_or_default().as_bytes().chunks(8) {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                self.mix(u64::from_le_bytes(word));
            }
        }
    }

    /// Adds a rejected record.
    pub fn skip(&mut self) {
        self.mix(1);
    }

    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER).wrapping_add(1);
    }

    /// As Postgres stores it.
    pub fn number(self) -> i64 {
        self.0.cast_signed()
    }
}

/// The digest of these users.
pub fn of_users<'a>(users: impl IntoIterator<Item = (UserId, UserRef<'a>)>) -> Digest {
    let mut digest = Digest::default();
    for (id, user) in users {
        digest.push(Position::of_user(id), user);
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_ids_and_every_field_count() {
        let user = |id, name, region, email| {
            (UserId::new(id), UserRef { user_id: UserId::new(id), name, region, email })
        };
        let all = [
            of_users([]),
            of_users([user(1, None, None, None)]),
            of_users([user(1, Some(""), None, None)]),
            of_users([user(1, None, Some(""), None)]),
            of_users([user(1, Some("a"), None, None)]),
            of_users([user(1, Some("a"), Some("b"), None)]),
            of_users([user(1, Some("ab"), None, None)]),
            of_users([user(1, Some("123456789"), None, None)]),
            of_users([user(1, Some("123456780"), None, None)]),
            of_users([user(1, None, None, None), user(2, None, None, None)]),
            of_users([user(2, None, None, None), user(1, None, None, None)]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[..at].iter().all(|other| other != one), "{at}");
        }
    }
}
