//! The key of a user, hashed once a command.

use super::position::Position;
use crate::model::user::UserId;

/// A user's id with its position on the ring. Hashing costs more than any lookup, so a key is hashed once and carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The id.
    pub id: UserId,
    /// Its position, [`Position::of_user`].
    pub position: Position,
}

impl Key {
    /// Hashes an id.
    pub fn of_user(id: UserId) -> Self {
        Self { id, position: Position::of_user(id) }
    }
}
