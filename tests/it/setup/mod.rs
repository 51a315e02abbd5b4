//! Initialisation, upgrades, TLS and `doctor`.

pub(crate) mod doctor;
pub(crate) mod homes;
pub(crate) mod init;
pub(crate) mod init_faults;
pub(crate) mod libpq_environment;
pub(crate) mod limits;
pub(crate) mod server_kinds;
pub(crate) mod tls;
pub(crate) mod upgrade;
