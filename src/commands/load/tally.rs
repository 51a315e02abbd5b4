//! The counts, latencies and errors of a client, second by second.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::model::load::mix::LoadOperation;

/// The greatest latency that is recorded.
const LATENCY_MAX: Duration = Duration::from_hours(1);

/// The number of a shard in this run; `None` if the shard is not known.
pub(crate) type ShardNumber = Option<usize>;

/// The measurements of one operation on one shard.
#[derive(Debug)]
pub(crate) struct Measurement {
    pub(crate) operation: LoadOperation,
    pub(crate) shard: ShardNumber,
    /// The number of answered operations.
    pub(crate) answered: u64,
    pub(crate) errors: u64,
    /// The latencies of the answered operations, in microseconds.
    pub(crate) latency_us: Histogram<u64>,
}

/// The counts of one second of the run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Second {
    pub(crate) answered: u64,
    pub(crate) errors: u64,
}

/// The errors of one kind on one shard.
#[derive(Debug)]
pub(crate) struct Errors {
    pub(crate) count: u64,
    /// The message of the first one.
    pub(crate) first: String,
}

/// The counts of one client, or of all.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) measured: Vec<Measurement>,
    pub(crate) errors: BTreeMap<(&'static str, ShardNumber), Errors>,
    pub(crate) seconds: Vec<Second>,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    /// Answers that were compared with what was written.
    pub(crate) checked: u64,
    /// Operations that were due but never begun.
    pub(crate) not_begun: u64,
    /// The time of the run at which the last operation ended.
    pub(crate) last_at: Duration,
}

impl Tally {
    fn measured(&mut self, operation: LoadOperation, shard: ShardNumber) -> &mut Measurement {
        let matches = |measured: &Measurement| measured.operation == operation && measured.shard == shard;
        let at = self.measured.iter().position(matches).unwrap_or_else(|| {
            // Three significant digits, from one microsecond on.
            let latency_us = Histogram::new(3).expect("three digits are allowed");
            self.measured.push(Measurement { operation, shard, answered: 0, errors: 0, latency_us });
            self.measured.len() - 1
        });
        &mut self.measured[at]
    }

    fn second(&mut self, at: Duration) -> &mut Second {
        let at = usize::try_from(at.as_secs()).expect("a run has fewer seconds");
        if self.seconds.len() <= at {
            self.seconds.resize(at + 1, Second::default());
        }
        &mut self.seconds[at]
    }

    /// Adds the seconds in which nothing happened, for a run of this length.
    pub(crate) fn pad(&mut self, elapsed: Duration) {
        if let Some(last) = elapsed.as_secs().checked_sub(1) {
            self.second(Duration::from_secs(last));
        }
    }

    /// Records an operation that was answered at this time of the run, with this latency.
    pub(crate) fn answered(
        &mut self,
        operation: LoadOperation,
        shard: ShardNumber,
        at: Duration,
        took: Duration,
    ) {
        self.answered += 1;
        self.last_at = self.last_at.max(at);
        self.second(at).answered += 1;
        let measured = self.measured(operation, shard);
        measured.answered += 1;
        let took = took.min(LATENCY_MAX).as_micros();
        let recorded = measured.latency_us.record(u64::try_from(took).expect("an hour has fewer"));
        recorded.expect("the histogram resizes itself");
    }

    /// Records an operation that failed.
    pub(crate) fn failed(
        &mut self,
        operation: LoadOperation,
        shard: ShardNumber,
        at: Duration,
        kind: &'static str,
        message: impl FnOnce() -> String,
    ) {
        self.failed += 1;
        self.last_at = self.last_at.max(at);
        self.second(at).errors += 1;
        self.measured(operation, shard).errors += 1;
        self.errors.entry((kind, shard)).or_insert_with(|| Errors { count: 0, first: message() }).count += 1;
    }

    /// Adds the counts of another client.
    pub(crate) fn add(&mut self, other: &Self) {
        for theirs in &other.measured {
            let ours = self.measured(theirs.operation, theirs.shard);
            ours.answered += theirs.answered;
            ours.errors += theirs.errors;
            ours.latency_us.add(&theirs.latency_us).expect("the histogram resizes itself");
        }
        for (key, theirs) in &other.errors {
            let first = || Errors { count: 0, first: theirs.first.clone() };
            self.errors.entry(*key).or_insert_with(first).count += theirs.count;
        }
        if self.seconds.len() < other.seconds.len() {
            self.seconds.resize(other.seconds.len(), Second::default());
        }
        for (ours, theirs) in self.seconds.iter_mut().zip(&other.seconds) {
            ours.answered += theirs.answered;
            ours.errors += theirs.errors;
        }
        self.answered += other.answered;
        self.failed += other.failed;
        self.checked += other.checked;
        self.not_begun += other.not_begun;
        self.last_at = self.last_at.max(other.last_at);
    }
}

/// The result of running the clients.
#[derive(Debug)]
pub(crate) struct LoadRun {
    pub(crate) tally: Tally,
    pub(crate) elapsed: Duration,
    pub(crate) was_stopped: bool,
    /// Clients whose last operation was not answered.
    pub(crate) stuck: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tallies_add_up() {
        let (at, took) = (Duration::from_secs(2), Duration::from_millis(3));
        let mut one = Tally::default();
        one.answered(LoadOperation::Get, Some(0), at, took);
        one.failed(LoadOperation::Get, Some(1), at, "unreachable", || "first".into());
        let mut two = Tally::default();
        two.answered(LoadOperation::Get, Some(0), Duration::ZERO, took);
        two.failed(LoadOperation::Get, Some(1), at, "unreachable", || "second".into());
        two.answered(LoadOperation::Get, Some(0), Duration::ZERO, Duration::from_hours(2));
        two.add(&one);
        assert_eq!((two.answered, two.failed), (3, 2));
        assert_eq!(two.measured.len(), 2);
        let latency = &two.measured.iter().find(|measured| measured.shard == Some(0)).unwrap().latency_us;
        let is_equivalent = |quantile, us| latency.equivalent(latency.value_at_quantile(quantile), us);
        assert!(latency.len() == 3 && is_equivalent(0.5, 3_000) && is_equivalent(1.0, 3_600_000_000));
        let errors = &two.errors[&("unreachable", Some(1))];
        assert_eq!((errors.count, errors.first.as_str()), (2, "second"));
        let seconds: Vec<_> = two.seconds.iter().map(|second| (second.answered, second.errors)).collect();
        assert_eq!(seconds, [(2, 0), (0, 0), (1, 2)]);
    }
}
