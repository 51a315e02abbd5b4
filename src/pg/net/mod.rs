//! One connection to one server: where it is, how it is reached, what its failures mean.

pub mod active_sessions;
pub(crate) mod connect;
pub(crate) mod connect_error;
pub mod conninfo;
pub(crate) mod environment;
pub(crate) mod location;
pub(crate) mod parameters;
pub mod proxy_override;
pub mod session;
pub(crate) mod sqlstate;
pub(crate) mod tls;
