//! Which versions of Postgres can be a private server.

/// The oldest major version that `ringshard` works with.
pub(super) const OLDEST_MAJOR: u32 = 14;
