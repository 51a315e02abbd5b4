//! A slow connection to a shard, for all ringshard processes of this user.
//!
//! A proxy in this process delays, and a proxy override (`pg/net/proxy_override.rs`) redirects connections to it.

use std::thread;
use std::time::{Duration, Instant};

use postgres::types::Type;

use super::Drill;
use super::proxy::Proxy;
use crate::error::{Error, Kind, Result};
use crate::pg::net::proxy_override::{OverrideClaim, ProxyOverrides};
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;

/// How long a process may take to connect after it has read the override.
const LATE_CONNECTIONS: Duration = Duration::from_millis(300);
/// How long sessions may continue through the proxy, without delay, to complete their work.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(50);

/// A slow connection; dropping this ends it.
pub struct Slow<'cluster> {
    drill: Drill<'cluster>,
    /// Before `proxy`, so that the override is dropped first.
    claim: OverrideClaim,
    proxy: Proxy,
    /// The beginning of the override, by the server's clock.
    since: String,
    ended: i64,
}

/// The result of a slow connection.
#[derive(Debug, Clone, Copy)]
pub struct Slowed {
    /// The number of connections through the proxy.
    pub connections: u64,
    /// How many idle sessions were ended, so that the next ones use the proxy, or the direct connection again.
    pub ended: i64,
    /// How many connections were cut, as they did not end in time.
    pub cut: u64,
}

impl<'cluster> Drill<'cluster> {
    /// Delays each direction by `delay`. Fails with `Locked` if another drill does so.
    pub fn slow(mut self, proxy_overrides: &ProxyOverrides, delay: Duration) -> Result<Slow<'cluster>> {
        let proxy_override = proxy_overrides.of(self.address.shown());
        let failed = |what: &str, cause: &std::io::Error| {
            Error::new(Kind::Failed, format!("cannot {what} for shard `{}`: {cause}", self.shard))
                .hint("the state folder must be writable, and its path short: RINGSHARD_HOME=/tmp/x sets another")
                .on_shard(&self.shard)
        };
        let claim = proxy_override.claim().map_err(|cause| failed("announce the proxy override", &cause))?;
        let Some(mut claim) = claim else {
            let message = format!("another drill delays connections to shard `{}`", self.shard);
            return Err(Error::new(Kind::Locked, message).hint("wait for it to end").on_shard(&self.shard));
        };
        let locations = self.address.endpoints.iter().map(|endpoint| endpoint.location.clone());
        let proxy = Proxy::open(locations, &proxy_override.folder(), delay)
            .map_err(|cause| failed("listen in place of the server", &cause))?;
        claim
            .announce(proxy.listeners().iter().cloned())
            .map_err(|cause| failed("announce the proxy override", &cause))?;
        let since = self.server_time()?;
        let mut slow = Slow { drill: self, claim, proxy, since, ended: 0 };
        slow.end_older_sessions();
        Ok(slow)
    }

    fn server_time(&mut self) -> Result<String> {
        let sql = "SELECT pg_catalog.clock_timestamp()::text";
        let rows = self
            .session
            .query(sql, &[])
            .map_err(|cause| sqlstate::doing("read the clock", &self.shard, &cause))?;
        Ok(only(rows, "read the clock", &self.shard)?.get(0))
    }

    /// Ends idle sessions of ringshard from before this time; returns their number. A failure, for example during another drill,
    /// is only logged, as the next call may succeed.
    fn end_idle_sessions(&mut self, before: &str) -> i64 {
        if self.session.is_closed() {
            // Not through the proxy itself.
            match Session::connect(&self.shard, &self.address.without_proxy(Duration::ZERO)) {
                Ok(session) => self.session = session,
                Err(error) => {
                    log::debug!("No idle session is ended: {error}");
                    return 0;
                }
            }
        }
        let name = Session::name_prefix(&self.address);
        let parameters = [(&name as _, Type::TEXT), (&before as _, Type::TEXT)];
        let rows = self.session.query(include_str!("../../../sql/queries/drill/end_idle.sql"), &parameters);
        let ended = rows.map(|rows| rows.first().map_or(0, |row| row.get(0)));
        ended.unwrap_or_else(|cause| {
            log::debug!("No idle session of shard {} is ended: {cause}", self.shard);
            0
        })
    }
}

impl Slow<'_> {
    /// Ends idle sessions that began before the override, so that the next ones use it.
    pub fn end_older_sessions(&mut self) {
        self.ended += self.drill.end_idle_sessions(&self.since);
    }

    /// Ends the delay and the override. Sessions that are busy complete their work first, without delay.
    pub fn end(self) -> Slowed {
        let Self { mut drill, claim, proxy, mut ended, .. } = self;
        drop(claim);
        proxy.stop_delaying();
        thread::sleep(LATE_CONNECTIONS);
        let begun = Instant::now();
        // If the server does not answer there is nothing to end.
        if let Ok(before) = drill.server_time() {
            while proxy.open_now() > 0 && begun.elapsed() < PATIENCE {
                ended += drill.end_idle_sessions(&before);
                thread::sleep(PAUSE);
            }
        }
        Slowed { connections: proxy.total(), ended, cut: proxy.open_now() }
    }
}
