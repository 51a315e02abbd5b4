//! The versions of Postgres that a private server can have.

/// The oldest major version that `ringshard` works with.
pub(super) const OLDEST_MAJOR: u32 = 14;
