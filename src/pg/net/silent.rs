//! Servers that took a connection and then said nothing. A server often has many shards: each would be waited for as long.

use std::time::Instant;

use parking_lot::Mutex;

use super::conninfo::{Address, Endpoint};
use super::location::Location;

/// Which part of the timeout another connection to such a server gets. Not none: behind a pooler there may be servers that
/// answer.
pub(crate) const PATIENCE_PART: u32 = 10;

/// Where, and when it was silent last.
static SILENT: Mutex<Vec<(Location, Instant)>> = Mutex::new(Vec::new());

/// Whether a server was silent within the last timeout.
pub(crate) fn was(address: &Address, endpoint: &Endpoint) -> bool {
    let silent = SILENT.lock();
    let is_there =
        silent.iter().any(|(location, at)| *location == endpoint.location && at.elapsed() < address.timeout);
    drop(silent);
    is_there && !is_redirected(address, endpoint)
}

/// A server was silent for too long.
pub(crate) fn note(address: &Address, endpoint: &Endpoint) {
    if !is_redirected(address, endpoint) {
        answered(endpoint);
        SILENT.lock().push((endpoint.location.clone(), Instant::now()));
    }
}

/// A server answered.
pub(crate) fn answered(endpoint: &Endpoint) {
    SILENT.lock().retain(|(location, _)| *location != endpoint.location);
}

/// A drill's proxy is silent for one shard alone.
fn is_redirected(address: &Address, endpoint: &Endpoint) -> bool {
    let redirect = |proxy_override: &super::proxy_override::ProxyOverride| {
        proxy_override.redirect(&endpoint.location).is_some()
    };
    address.proxy_override.as_ref().is_some_and(redirect)
}
