//! One connection to one server: its address, how it is made, and what its failures mean. It knows no pool and no catalog.

pub mod active_sessions;
pub(crate) mod advisory_lock;
pub(crate) mod connect;
pub(crate) mod connect_error;
pub mod conninfo;
pub(crate) mod descriptors;
pub(crate) mod environment;
pub(crate) mod keywords;
pub(crate) mod location;
pub(crate) mod parameters;
pub(crate) mod password_file;
pub mod proxy_override;
pub(crate) mod service;
pub mod session;
mod silent;
pub(crate) mod sqlstate;
pub(crate) mod tls;
pub mod watchdog;
