//! Monitoring and load.

pub(crate) mod load;
pub(crate) mod load_users;
pub(crate) mod monitor;
pub(crate) mod pictures;
pub(crate) mod stats;
