//! Users: one by one, many at once, all of them; and what other programs write.

pub(crate) mod batch;
pub(crate) mod batch_faults;
pub(crate) mod crud;
pub(crate) mod fast_path;
pub(crate) mod guard;
pub(crate) mod guard_barrier;
pub(crate) mod routing;
pub(crate) mod scatter;
pub(crate) mod stale;
