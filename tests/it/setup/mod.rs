//! From nothing to a cluster, and whether it is in order.

pub(crate) mod doctor;
pub(crate) mod init;
pub(crate) mod init_faults;
pub(crate) mod tls;
pub(crate) mod upgrade;
