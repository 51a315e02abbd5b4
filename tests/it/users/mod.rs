//! Users: one by one, in batches, all of them; and writes of other programs.

pub(crate) mod batch;
pub(crate) mod batch_faults;
pub(crate) mod crud;
pub(crate) mod example_clients;
pub(crate) mod fast_path;
pub(crate) mod guard;
pub(crate) mod guard_barrier;
pub(crate) mod ids;
pub(crate) mod ring_export;
pub(crate) mod ring_file;
pub(crate) mod route;
pub(crate) mod routing;
pub(crate) mod rust_client;
pub(crate) mod scatter;
pub(crate) mod stale;
