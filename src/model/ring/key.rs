//! The key of a user, which is hashed once for each command.

use super::position::Position;
use crate::model::user::UserId;

/// A user's id with its position. Hashing costs more than a lookup, so the position is kept.
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
