//! A line to a shard on which everything takes longer, for all programs of this user that are ringshard.
//!
//! A proxy in this process delays, and a proxy override (`pg/proxy_override.rs`) leads through it.

use std::thread;
use std::time::{Duration, Instant};

use postgres::types::Type;

use super::Drill;
use super::proxy::Proxy;
use crate::error::{Error, Kind, Result};
use crate::pg::net::proxy_override::{OverrideClaim, ProxyOverrides};
use crate::pg::net::session::{Session, only};
use crate::pg::net::sqlstate;

/// Who asked for the way just before the proxy override ended comes in this time.
const STRAGGLERS: Duration = Duration::from_millis(300);
/// How long sessions may go on through the proxy, undelayed, until what they are at is done.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause before it is looked again.
const PAUSE: Duration = Duration::from_millis(50);

/// A line that is slow. It is as it was when this has gone.
pub struct Slow<'cluster> {
    drill: Drill<'cluster>,
    /// In this order: the proxy override ends before what it leads through.
    claim: OverrideClaim,
    proxy: Proxy,
    /// When the proxy override began, by the server's clock.
    since: String,
    ended: i64,
}

/// What a slow line was.
#[derive(Debug, Clone, Copy)]
pub struct Slowed {
    /// How many connections led through it.
    pub connections: u64,
    /// How many idle sessions were ended, so that the next ones take the proxy override, or the straight way again.
    pub ended: i64,
    /// How many were cut, as they were not done in time.
    pub cut: u64,
}

impl<'cluster> Drill<'cluster> {
    /// Makes the line slow: each direction by this much.
    pub fn slow(mut self, proxy_overrides: &ProxyOverrides, delay: Duration) -> Result<Slow<'cluster>> {
        let proxy_override = proxy_overrides.of(self.address.shown());
        let failed = |what: &str, cause: &std::io::Error| {
            Error::new(Kind::Failed, format!("cannot {what} for shard `{}`: {cause}", self.shard))
                .hint("the state folder must be writable, and its path short: RINGSHARD_HOME=/tmp/x names another")
                .on_shard(&self.shard)
        };
        let claim = proxy_override.claim().map_err(|cause| failed("announce a proxy_override", &cause))?;
        let Some(mut claim) = claim else {
            let message = format!("another drill slows the line to shard `{}`", self.shard);
            return Err(Error::new(Kind::Locked, message).hint("wait for its end").on_shard(&self.shard));
        };
        let locations = self.address.endpoints.iter().map(|endpoint| endpoint.location.clone());
        let proxy = Proxy::open(locations, &proxy_override.folder(), delay)
            .map_err(|cause| failed("listen in the server's stead", &cause))?;
        claim
            .announce(proxy.ways().iter().cloned())
            .map_err(|cause| failed("announce a proxy_override", &cause))?;
        let since = self.server_time()?;
        let mut slow = Slow { drill: self, claim, proxy, since, ended: 0 };
        slow.divert();
        Ok(slow)
    }

    fn server_time(&mut self) -> Result<String> {
        let sql = "SELECT pg_catalog.clock_timestamp()::text";
        let rows = self
            .session
            .query(sql, &[])
            .map_err(|cause| sqlstate::doing("ask the time", &self.shard, &cause))?;
        Ok(only(rows, "ask the time", &self.shard)?.get(0))
    }

    /// Ends what ringshard's sessions from before this time are not using; how many. Where that cannot be asked for,
    /// there may be another drill: the next look may do better.
    fn end_idle(&mut self, before: &str) -> i64 {
        if self.session.is_closed() {
            // Not by the proxy override that is announced here.
            match Session::connect(&self.shard, &self.address.straight(Duration::ZERO)) {
                Ok(session) => self.session = session,
                Err(error) => {
                    log::debug!("No idle session is ended: {error}");
                    return 0;
                }
            }
        }
        let name = Session::first_name(&self.address);
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
    /// Ends sessions that began before the proxy override and have nothing to do, so that the next ones take it.
    pub fn divert(&mut self) {
        self.ended += self.drill.end_idle(&self.since);
    }

    /// The straight way again. Sessions that are in the middle of something come to its end first, without delay.
    pub fn end(self) -> Slowed {
        let Self { mut drill, claim, proxy, mut ended, .. } = self;
        drop(claim);
        proxy.hurry();
        thread::sleep(STRAGGLERS);
        let begun = Instant::now();
        // Where the server is gone there is nothing to end.
        if let Ok(before) = drill.server_time() {
            while proxy.open_now() > 0 && begun.elapsed() < PATIENCE {
                ended += drill.end_idle(&before);
                thread::sleep(PAUSE);
            }
        }
        Slowed { connections: proxy.taken(), ended, cut: proxy.open_now() }
    }
}
