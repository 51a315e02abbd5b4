//! Files of users.

pub(crate) mod crashes;
pub(crate) mod faults;
pub(crate) mod files;
pub(crate) mod open;
pub(crate) mod outputs;
pub(crate) mod refused;
