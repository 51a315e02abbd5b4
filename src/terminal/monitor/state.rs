//! The state that the screen is drawn from: samples, and the choices of the user. Pure: it gets the time as an argument.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::commands::monitoring::monitor::MonitorSample;
use crate::error::Result;
use crate::model::host::HostSample;
use crate::model::names::ShardName;
use crate::model::rebalance::plan::Load;
use crate::model::rebalance::{RingState, arbiter};
use crate::model::ring::Ring;
use crate::model::ring::topology::Epoch;
use crate::model::stats::{Rates, Runner, Sample};

/// The length of a trend, more than a line has characters.
const TREND_MAX: usize = 300;
/// How long after the interval a shard may answer before it counts as down.
const PATIENCE: Duration = Duration::from_secs(3);
/// The rate of a rebalance is measured over this time.
const MOVE_RATE_OVER: Duration = Duration::from_secs(10);

/// The views.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Screen {
    Shards,
    Ring,
    Rebalance,
    Host,
}

impl Screen {
    pub(super) const ALL: [Self; 4] = [Self::Shards, Self::Ring, Self::Rebalance, Self::Host];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Shards => "shards",
            Self::Ring => "ring",
            Self::Rebalance => "rebalance",
            Self::Host => "host",
        }
    }

    pub(super) fn beside(self, steps: usize) -> Self {
        let at = Self::ALL.iter().position(|view| *view == self).unwrap_or(0);
        Self::ALL[(at + steps) % Self::ALL.len()]
    }
}

/// What the keys mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Normal,
    /// The help is shown; the next key closes it.
    Help,
    /// They are the text of the filter.
    Filter,
}

/// A column of the table of shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SortColumn {
    Shard,
    State,
    Rows,
    Size,
    Tps,
    Trend,
    Sessions,
    Hit,
    Probe,
    Lag,
    Moved,
    Wal,
}

/// The last values of a measure, the newest last; `None` is a gap.
#[derive(Debug, Default)]
pub(super) struct Trend(VecDeque<Option<f64>>);

impl Trend {
    fn push(&mut self, value: Option<f64>) {
        if self.0.len() == TREND_MAX {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    pub(super) fn values(&self) -> impl DoubleEndedIterator<Item = &Option<f64>> + Clone {
        self.0.iter()
    }
}

/// Why a shard does not answer, and since when.
#[derive(Debug)]
struct ShardDown {
    since: Duration,
    why: String,
}

/// Rates are measured over at least this time, because a server updates its counters up to a second late.
const RATES_OVER: Duration = Duration::from_secs(2);

/// One shard.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// The last sample.
    pub(super) sample: Option<Sample>,
    /// Earlier samples with the times of their arrival, for rates; the oldest first.
    before: VecDeque<(Duration, Sample)>,
    /// The rates between the last sample and an earlier one.
    pub(super) rates: Option<Rates>,
    pub(super) tps: Trend,
    /// When the shard answered last, with a sample or an error, and when with a sample.
    pub(super) answered: Duration,
    sampled: Duration,
    down: Option<ShardDown>,
}

/// The ring, and the ring that it will become.
pub(super) struct Rings {
    pub(super) state: RingState,
    pub(super) now: Ring,
    /// The next ring, if there is a change.
    pub(super) goal: Option<Ring>,
}

/// The progress of a rebalance.
pub(super) struct ChangeProgress {
    pub(super) moved: Load,
    /// The total in the plan of the current or last runner.
    pub(super) total: Option<Load>,
    pub(super) users_per_second: Option<f64>,
    /// Source, target, and the amount.
    pub(super) flows: Vec<(String, ShardName, Load)>,
}

/// The state of the monitor.
pub(super) struct MonitorState {
    pub(super) shards: BTreeMap<ShardName, Row>,
    pub(super) rings: Option<Rings>,
    pub(super) host: Option<HostSample>,
    pub(super) cpu: Trend,
    pub(super) tps: Trend,
    pub(super) view: Screen,
    pub(super) mode: Mode,
    pub(super) is_paused: bool,
    pub(super) interval: Duration,
    pub(super) sort: SortColumn,
    pub(super) is_reversed: bool,
    /// The number of lines scrolled out at the top, and its maximum in the last drawing.
    pub(super) scrolled: usize,
    pub(super) scrolled_max: Cell<usize>,
    /// The shard that the next key is about; the first one if it is not shown.
    pub(super) selected: Option<ShardName>,
    /// The shard whose sessions are shown.
    pub(super) opened: Option<ShardName>,
    /// What the name or the state of a shard must have to be shown.
    pub(super) filter: String,
    /// The time since the start.
    pub(super) clock: Duration,
    /// The same, stopped while the screen is paused.
    pub(super) now: Duration,
    /// The users moved so far, by time and epoch.
    moved: VecDeque<(Duration, Epoch, u64)>,
}

impl MonitorState {
    /// A state without samples of these shards.
    pub(super) fn new(names: impl IntoIterator<Item = ShardName>, interval: Duration) -> Self {
        Self {
            shards: names.into_iter().map(|name| (name, Row::default())).collect(),
            rings: None,
            host: None,
            cpu: Trend::default(),
            tps: Trend::default(),
            view: Screen::Shards,
            mode: Mode::Normal,
            is_paused: false,
            interval,
            sort: SortColumn::Shard,
            is_reversed: false,
            scrolled: 0,
            scrolled_max: Cell::new(0),
            selected: None,
            opened: None,
            filter: String::new(),
            clock: Duration::ZERO,
            now: Duration::ZERO,
            moved: VecDeque::new(),
        }
    }

    /// Sets the time.
    pub(super) fn tick(&mut self, now: Duration) {
        self.clock = now;
        if !self.is_paused {
            self.now = now;
        }
    }

    /// Stores a sample. While the screen is paused it is dropped.
    pub(super) fn receive(&mut self, sample: MonitorSample) {
        if self.is_paused {
            // The shard has answered, and must not count as silent later.
            if let MonitorSample::Shard(name, _) = sample {
                self.shards.entry(name).or_default().answered = self.clock;
            }
            return;
        }
        match sample {
            MonitorSample::Shard(name, sample) => self.receive_shard(name, *sample),
            MonitorSample::Host(sample) => {
                self.cpu.push(sample.cpu_share);
                self.tps.push(self.transactions());
                self.host = Some(sample);
            }
        }
    }

    fn receive_shard(&mut self, name: ShardName, sample: Result<Sample>) {
        let now = self.now;
        let why = |message: &str| {
            // The line of the screen names the shard, so its name and address are cut off.
            let connecting = format!("cannot connect to shard `{name}` at ");
            let cause = message.strip_prefix(&connecting).and_then(|rest| rest.split_once(": "));
            cause.map_or(message, |(_, cause)| cause).to_owned()
        };
        let sample = sample.map_err(|error| why(error.message()));
        let row = self.shards.entry(name).or_default();
        row.answered = now;
        match sample {
            Ok(sample) => {
                row.down = None;
                if let Some(last) = row.sample.take() {
                    row.before.push_back((row.sampled, last));
                }
                while row.before.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= RATES_OVER) {
                    row.before.pop_front();
                }
                // Only since a sample of the same counters: they restart with the server.
                row.rates = row.before.iter().find_map(|(_, before)| sample.since(before));
                row.tps.push(row.rates.map(|rates| rates.transactions));
                (row.sample, row.sampled) = (Some(sample), now);
                self.learn_ring();
                self.note_moved();
            }
            Err(why) => {
                row.rates = None;
                row.before.clear();
                row.tps.push(None);
                let since = row.down.take().map_or(now, |down| down.since);
                row.down = Some(ShardDown { since, why });
            }
        }
    }

    /// Builds the rings if the newest state is another one.
    fn learn_ring(&mut self) {
        let states = self.shards.iter().filter_map(|(name, row)| Some((name, &row.sample.as_ref()?.ring)));
        let Some(state) = RingState::newest(states) else { return };
        if self.rings.as_ref().is_some_and(|rings| rings.state == state) {
            return;
        }
        let goal = (state.goal() != &state.topology).then(|| state.goal().ring());
        self.rings = Some(Rings { now: state.topology.ring(), goal, state });
    }

    fn note_moved(&mut self) {
        let Some(rings) = &self.rings else { return };
        let (epoch, now) = (rings.state.epoch, self.now);
        let rows = self.arrived().map(|(_, _, load)| load.rows).sum();
        self.moved.retain(|(at, of, _)| *of == epoch && now.saturating_sub(*at) <= MOVE_RATE_OVER);
        self.moved.push_back((now, epoch, rows));
    }

    fn arrived(&self) -> impl Iterator<Item = (&str, &ShardName, Load)> {
        let epoch = self.rings.as_ref().map(|rings| rings.state.epoch);
        let of_now = self.shards.iter().filter_map(move |(name, row)| {
            let sample = row.sample.as_ref()?;
            Some((name, sample.moves.as_ref()?)).filter(|_| Some(sample.ring.epoch) == epoch)
        });
        of_now.flat_map(|(name, moves)| {
            moves.arrived.iter().map(move |(from, load)| (from.as_str(), name, *load))
        })
    }

    /// The process that runs the change, as recorded on the first shard.
    pub(super) fn runner(&self) -> Option<&Runner> {
        let first = arbiter(&self.rings.as_ref()?.state.topology);
        self.shards.get(first)?.sample.as_ref()?.moves.as_ref()?.runner.as_ref()
    }

    /// The progress of the change under way; `None` if there is none.
    #[expect(clippy::cast_precision_loss, reason = "a rounded rate")]
    pub(super) fn progress(&self) -> Option<ChangeProgress> {
        self.rings.as_ref()?.state.change.as_ref()?;
        let flows: Vec<_> =
            self.arrived().map(|(source, target, load)| (source.to_owned(), target.clone(), load)).collect();
        let moved = flows.iter().fold(Load::default(), |sum, (_, _, load)| sum.plus(*load));
        let rate = self.moved.front().zip(self.moved.back()).and_then(|(first, last)| {
            let seconds = last.0.saturating_sub(first.0).as_secs_f64();
            (seconds > 0.0).then(|| last.2.saturating_sub(first.2) as f64 / seconds)
        });
        Some(ChangeProgress {
            moved,
            total: self.runner().map(|runner| runner.total),
            users_per_second: rate,
            flows,
        })
    }

    /// Transactions per second on all shards; `None` if not known for any.
    pub(super) fn transactions(&self) -> Option<f64> {
        let up = self.shards.values().filter(|row| self.down(row).is_none());
        let known = up.filter_map(|row| row.rates.map(|rates| rates.transactions));
        known.fold(None, |sum, tps| Some(sum.unwrap_or(0.0) + tps))
    }

    /// For how long a shard has not answered, and why; `None` if it answers.
    pub(super) fn down(&self, row: &Row) -> Option<(Duration, String)> {
        let silent = self.now.saturating_sub(row.answered);
        if let Some(down) = &row.down {
            return Some((self.now.saturating_sub(down.since), down.why.clone()));
        }
        (silent > self.interval + PATIENCE).then(|| (silent, "it does not answer".into()))
    }

    /// The state of a shard.
    pub(super) fn state(&self, name: &ShardName, row: &Row) -> &'static str {
        match (&self.rings, &row.sample) {
            _ if self.down(row).is_some() => "down",
            (Some(rings), Some(_)) => rings.state.state(name),
            _ => "asked",
        }
    }

    /// The number of lines of a list that are scrolled out, if there is `room` for so many.
    pub(super) fn scrolled(&self, lines: usize, room: usize) -> usize {
        self.scrolled_max.set(lines.saturating_sub(room));
        self.scrolled.min(self.scrolled_max.get())
    }

    /// The number of shards that answer.
    pub(super) fn up(&self) -> usize {
        let up = |row: &&Row| row.sample.is_some() && self.down(row).is_none();
        self.shards.values().filter(up).count()
    }

    /// The shards that match the filter, in the chosen order; unknown values come last.
    pub(super) fn shown(&self) -> Vec<(&ShardName, &Row)> {
        let matches = |name: &ShardName, row: &Row| {
            name.as_str().contains(&self.filter) || self.state(name, row).contains(&self.filter)
        };
        let mut rows: Vec<_> = self.shards.iter().filter(|(name, row)| matches(name, row)).collect();
        rows.sort_by(|(one, first), (other, second)| {
            let values = (self.value(self.sort, first), self.value(self.sort, second));
            let ordered = |order: Ordering| if self.is_reversed { order.reverse() } else { order };
            match (self.sort, values) {
                (SortColumn::State, _) => ordered(self.state(one, first).cmp(self.state(other, second))),
                (_, (Some(value), Some(than))) => ordered(value.total_cmp(&than)),
                (_, (Some(_), None)) => Ordering::Less,
                (_, (None, Some(_))) => Ordering::Greater,
                (SortColumn::Shard, (None, None)) => ordered(one.cmp(other)),
                (_, (None, None)) => Ordering::Equal,
            }
        });
        rows
    }

    /// The place of the selected shard among those that are shown.
    pub(super) fn selected_at(&self, rows: &[(&ShardName, &Row)]) -> usize {
        rows.iter().position(|(name, _)| Some(*name) == self.selected.as_ref()).unwrap_or(0)
    }

    /// A value of a shard that is up; `None` if it is not known.
    #[expect(clippy::cast_precision_loss, reason = "to sort by, and to show a few digits")]
    pub(super) fn value(&self, column: SortColumn, row: &Row) -> Option<f64> {
        let sample = row.sample.as_ref().filter(|_| self.down(row).is_none())?;
        match column {
            SortColumn::Shard | SortColumn::State | SortColumn::Trend => None,
            SortColumn::Rows => sample.rows.map(|rows| rows as f64),
            SortColumn::Size => sample.size_bytes.map(|bytes| bytes as f64),
            SortColumn::Tps => row.rates.map(|rates| rates.transactions),
            SortColumn::Sessions => Some(sample.connections as f64),
            SortColumn::Hit => row.rates.and_then(|rates| rates.hit_share),
            SortColumn::Probe => Some(sample.latency_ms),
            // In bytes: the seconds stop when the standby does.
            SortColumn::Lag => sample.replication.lag_bytes.map(|bytes| bytes as f64),
            SortColumn::Moved => sample.arrived().map(|load| load.rows as f64),
            SortColumn::Wal => row.rates.and_then(|rates| rates.wal_bytes),
        }
    }
}
