//! Which servers of shards do not answer: since when, and when each is tried again. Each has a name, that of its shard if
//! it is the primary.
//!
//! Since when is kept in a file for the next process. It decides nothing; a shard that answers is up, whatever was
//! noted. That a shard which was just found to be down is left alone for a while is a matter of one process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use crate::error::{Error, Kind, Result};
use crate::files::json_file;

/// A shard that is down gets no more than one part in so many of the time of who needs it.
const PAUSE_FACTOR: u32 = 10;
/// A shorter pause than this is none.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause before it is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A shard that did not answer.
struct Downtime {
    /// In seconds since 1970.
    since: u64,
    /// How the last attempt of this process ended, and until when there is no other one.
    last: Option<(Error, Instant)>,
}

#[derive(Default)]
struct BackoffState {
    shards: BTreeMap<String, Downtime>,
    file: Option<PathBuf>,
}

/// The shards that did not answer when they were asked last.
#[derive(Default)]
pub(crate) struct Backoff {
    state: Mutex<BackoffState>,
    /// Whether there is any: who asks a shard that is well pays no more than this.
    any: AtomicBool,
}

impl Backoff {
    fn state(&self) -> MutexGuard<'_, BackoffState> {
        self.state.lock()
    }

    /// Reads what earlier processes noted in this file, and keeps it from here on.
    pub(crate) fn remember_in(&self, file: PathBuf) {
        let noted: BTreeMap<String, u64> = json_file::read(&file).unwrap_or_default();
        let mut state = self.state();
        for (name, seconds) in noted {
            state.shards.entry(name).or_insert(Downtime { since: seconds, last: None });
        }
        self.any.store(!state.shards.is_empty(), Ordering::Release);
        state.file = Some(file);
    }

    /// An error if the shard was found to be down just now.
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
        Err(error
            .clone()
            .adding(&format!("; found just now, and tried again in {:.1} s", left.as_secs_f64())))
    }

    /// An attempt to connect failed, after this time.
    pub(crate) fn failed(&self, name: &str, error: &Error, after: Duration) {
        if error.kind() != Kind::Unreachable {
            return;
        }
        let until = Instant::now() + (after * PAUSE_FACTOR).min(PAUSE_MAX);
        let mut state = self.state();
        let is_news = !state.shards.contains_key(name);
        let outage = state.shards.entry(name.to_owned());
        outage.or_insert(Downtime { since: json_file::unix_seconds(), last: None }).last =
            Some((error.clone(), until));
        self.any.store(true, Ordering::Release);
        if is_news {
            state.write();
        }
    }

    /// The shard answers.
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

    /// Since when a shard has not answered, in seconds since 1970, as far as is known here.
    pub(crate) fn since(&self, name: &str) -> Option<u64> {
        self.state().shards.get(name).map(|outage| outage.since)
    }
}

impl BackoffState {
    /// A failure costs the next process the knowledge of since when, and is no more than logged.
    fn write(&self) {
        let Some(file) = &self.file else { return };
        let noted: BTreeMap<&str, u64> =
            self.shards.iter().map(|(name, outage)| (name.as_str(), outage.since)).collect();
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
    fn a_shard_that_was_slow_to_fail_is_left_alone_and_one_that_answers_is_up() {
        let backoff = Backoff::default();
        backoff.failed("shard_2", &refused(), Duration::from_secs(1));
        let error = backoff.check("shard_2").unwrap_err();
        assert!(error.message().starts_with("connection refused; found just now"), "{error}");
        assert_eq!((error.kind(), error.hint_text()), (Kind::Unreachable, Some("start it")));
        assert!(backoff.check("shard_1").is_ok());
        backoff.answered("shard_2");
        assert!(backoff.check("shard_2").is_ok() && backoff.since("shard_2").is_none());
    }

    #[test]
    fn a_shard_that_failed_at_once_may_be_tried_at_once() {
        let backoff = Backoff::default();
        backoff.failed("shard_2", &refused(), Duration::ZERO);
        assert!(backoff.check("shard_2").is_ok() && backoff.since("shard_2").is_some());
    }

    #[test]
    fn a_password_that_is_refused_is_no_outage() {
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
        let (here, there) = (first.since("shard_2").unwrap(), second.since("shard_2").unwrap());
        assert_eq!(here, there);
        // It is not left alone there: only this process found it to be down just now.
        assert!(second.check("shard_2").is_ok());
        second.answered("shard_2");
        let third = Backoff::default();
        third.remember_in(file);
        assert!(third.since("shard_2").is_none());
    }
}
