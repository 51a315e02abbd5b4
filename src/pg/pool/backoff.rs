//! Back-off: which servers do not answer, since when, and when each is tried again. The key of a primary is its shard's
//! name, that of a standby has its address too.
//!
//! A file keeps since when for later processes. It is only shown; a shard that answers is up, whatever the file says. The
//! back-off itself is a matter of one process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use crate::error::{Error, Kind, Result};
use crate::files::json_file;

/// The pause after a failed connection, as a multiple of the time that the failure took.
const PAUSE_FACTOR: u32 = 10;
/// A shorter pause is skipped.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// From this pause on an error says how long it is.
const PAUSE_TOLD: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A server that did not answer.
struct Downtime {
    /// In seconds since 1970.
    since: u64,
    /// The error of this process's last attempt, and when the next one is allowed.
    last: Option<(Error, Instant)>,
}

#[derive(Default)]
struct BackoffState {
    shards: BTreeMap<String, Downtime>,
    file: Option<PathBuf>,
}

/// The servers whose last connection attempt failed.
#[derive(Default)]
pub(crate) struct Backoff {
    state: Mutex<BackoffState>,
    /// Whether there is any, so that a check costs one load while all servers answer.
    any: AtomicBool,
}

impl Backoff {
    fn state(&self) -> MutexGuard<'_, BackoffState> {
        self.state.lock()
    }

    /// Reads this file of earlier processes, and keeps it up to date from now on.
    pub(crate) fn remember_in(&self, file: PathBuf) {
        let noted: BTreeMap<String, u64> = json_file::read(&file).unwrap_or_default();
        let mut state = self.state();
        for (name, seconds) in noted {
            state.shards.entry(name).or_insert(Downtime { since: seconds, last: None });
        }
        self.any.store(!state.shards.is_empty(), Ordering::Release);
        state.file = Some(file);
    }

    /// The error of the last attempt, while the back-off lasts.
    pub(crate) fn check(&self, name: &str) -> Result<()> {
        if !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        let state = self.state();
        let Some(Downtime { last: Some((error, until)), .. }) = state.shards.get(name) else { return Ok(()) };
        let left = until.saturating_duration_since(Instant::now());
        if left < PAUSE_MIN {
            return Ok(());
        }
        // A shorter pause is over before anybody has read of it.
        if left < PAUSE_TOLD {
            return Err(error.clone());
        }
        Err(error.clone().adding(&format!("; it is not tried again for {:.0} s", left.as_secs_f64())))
    }

    /// An attempt to connect failed after this time. Only a failure of kind `Unreachable` starts a back-off.
    pub(crate) fn failed(&self, name: &str, error: &Error, after: Duration) {
        if error.kind() != Kind::Unreachable {
            return;
        }
        let until = Instant::now() + (after * PAUSE_FACTOR).min(PAUSE_MAX);
        let mut state = self.state();
        let is_new = !state.shards.contains_key(name);
        let downtime = state.shards.entry(name.to_owned());
        downtime.or_insert(Downtime { since: json_file::unix_seconds(), last: None }).last =
            Some((error.clone(), until));
        self.any.store(true, Ordering::Release);
        if is_new {
            state.write();
        }
    }

    /// The server answers.
    pub(crate) fn answered(&self, name: &str) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.state();
        if state.shards.remove(name).is_some() {
            self.any.store(!state.shards.is_empty(), Ordering::Release);
            state.write();
        }
    }

    /// Since when a server has not answered, in seconds since 1970, as far as this process knows.
    pub(crate) fn since(&self, name: &str) -> Option<u64> {
        self.state().shards.get(name).map(|downtime| downtime.since)
    }
}

impl BackoffState {
    /// Writes the file; a failure is only logged.
    fn write(&self) {
        let Some(file) = &self.file else { return };
        let noted: BTreeMap<&str, u64> =
            self.shards.iter().map(|(name, downtime)| (name.as_str(), downtime.since)).collect();
        json_file::write(file, &noted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Error {
        Error::new(Kind::Unreachable, "connection refused").hint("start it")
    }

    #[test]
    fn a_slow_failure_starts_a_back_off_and_an_answer_ends_it() {
        let backoff = Backoff::default();
        backoff.failed("shard_2", &refused(), Duration::from_secs(1));
        let error = backoff.check("shard_2").unwrap_err();
        assert!(error.message().starts_with("connection refused; it is not tried again for"), "{error}");
        assert_eq!((error.kind(), error.hint_text()), (Kind::Unreachable, Some("start it")));
        assert!(backoff.check("shard_1").is_ok());
        backoff.answered("shard_2");
        assert!(backoff.check("shard_2").is_ok() && backoff.since("shard_2").is_none());
    }

    #[test]
    fn a_fast_failure_starts_no_back_off() {
        let backoff = Backoff::default();
        backoff.failed("shard_2", &refused(), Duration::ZERO);
        assert!(backoff.check("shard_2").is_ok() && backoff.since("shard_2").is_some());
    }

    #[test]
    fn a_refused_password_starts_no_back_off() {
        let backoff = Backoff::default();
        backoff.failed("shard_2", &Error::new(Kind::Permission, "no"), Duration::from_secs(1));
        assert!(backoff.check("shard_2").is_ok() && backoff.since("shard_2").is_none());
    }

    #[test]
    fn the_next_process_knows_since_when() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deeper/down.json");
        let first = Backoff::default();
        first.remember_in(file.clone());
        first.failed("shard_2", &refused(), Duration::from_secs(1));
        let second = Backoff::default();
        second.remember_in(file.clone());
        let (written, read) = (first.since("shard_2").unwrap(), second.since("shard_2").unwrap());
        assert_eq!(written, read);
        // The back-off itself is not in the file.
        assert!(second.check("shard_2").is_ok());
        second.answered("shard_2");
        let third = Backoff::default();
        third.remember_in(file);
        assert!(third.since("shard_2").is_none());
    }
}
