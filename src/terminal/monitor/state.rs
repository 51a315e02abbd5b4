//! What the screen is drawn from: what was heard, and what the person wants to see. Pure: the time is told to it.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::commands::monitoring::monitor::MonitorSample;
use crate::error::Result;
use crate::model::host::HostSample;
use crate::model::names::ShardName;
use crate::model::rebalance::RingState;
use crate::model::rebalance::arbiter;
use crate::model::rebalance::plan::Load;
use crate::model::ring::Ring;
use crate::model::ring::topology::Epoch;
use crate::model::stats::{Rates, Runner, Sample};

/// How many values of a trend are kept: more than a line has characters.
const TREND_MAX: usize = 300;
/// What a shard may take to answer, beside the interval, before it counts as down.
const PATIENCE: Duration = Duration::from_secs(3);
/// The rate of a change of the ring is that of this time.
const RATE_OF: Duration = Duration::from_secs(10);
/// What `+` and `-` choose from, in milliseconds.
const INTERVALS_MS: [u64; 9] = [100, 250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

/// A key that was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Escape,
    Tab,
    BackTab,
    Up,
    Down,
    CtrlC,
}

/// What a key asks of whoever shows the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Nothing,
    Leave,
    /// From here on there is another pause between two looks.
    SetInterval(Duration),
}

/// What fills the screen.
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

    fn beside(self, steps: usize) -> Self {
        let at = Self::ALL.iter().position(|view| *view == self).unwrap_or(0);
        Self::ALL[(at + steps) % Self::ALL.len()]
    }
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

/// Those that the table can be sorted by, in the order of `s`.
const SORTS: [SortColumn; 10] = [
    SortColumn::Shard,
    SortColumn::State,
    SortColumn::Rows,
    SortColumn::Size,
    SortColumn::Tps,
    SortColumn::Sessions,
    SortColumn::Hit,
    SortColumn::Probe,
    SortColumn::Lag,
    SortColumn::Wal,
];

/// The last values of something, the newest last; what is not known is a gap.
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

/// Rates are of no less than this: a server counts what its sessions have done up to a second late.
const RATES_OF: Duration = Duration::from_secs(2);

/// One shard.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// The last that was heard of it.
    pub(super) sample: Option<Sample>,
    /// Those before it that rates may be of, and when they were heard; the oldest first.
    before: VecDeque<(Duration, Sample)>,
    /// What happened between the last one and one that is some seconds older.
    pub(super) rates: Option<Rates>,
    pub(super) tps: Trend,
    /// When something was heard of it, and when it was a sample.
    heard: Duration,
    sampled: Duration,
    trouble: Option<ShardDown>,
}

/// The ring, and the one that it is to become.
pub(super) struct Rings {
    pub(super) word: RingState,
    pub(super) now: Ring,
    /// If it is to be another one.
    pub(super) goal: Option<Ring>,
}

/// How far a change of the ring is.
pub(super) struct ChangeProgress {
    pub(super) moved: Load,
    /// By the plan of who is, or was last, at it.
    pub(super) total: Option<Load>,
    pub(super) users_per_second: Option<f64>,
    /// From whom to whom, and how much.
    pub(super) flows: Vec<(String, ShardName, Load)>,
}

/// All of it.
pub(super) struct MonitorState {
    pub(super) shards: BTreeMap<ShardName, Row>,
    pub(super) rings: Option<Rings>,
    pub(super) host: Option<HostSample>,
    pub(super) cpu: Trend,
    pub(super) tps: Trend,
    pub(super) view: Screen,
    pub(super) shows_help: bool,
    pub(super) is_paused: bool,
    pub(super) interval: Duration,
    pub(super) sort: SortColumn,
    pub(super) is_reversed: bool,
    /// How many lines of a list lie above the screen, and how many there can be, by what was drawn last.
    scrolled: usize,
    scrolled_max: Cell<usize>,
    /// How long this is being watched.
    clock: Duration,
    /// The same; it stands still while the screen does.
    pub(super) now: Duration,
    /// What had moved at which time, in the change of this epoch.
    moved: VecDeque<(Duration, Epoch, u64)>,
}

impl MonitorState {
    /// Nothing was heard yet of these shards.
    pub(super) fn new(names: impl IntoIterator<Item = ShardName>, interval: Duration) -> Self {
        Self {
            shards: names.into_iter().map(|name| (name, Row::default())).collect(),
            rings: None,
            host: None,
            cpu: Trend::default(),
            tps: Trend::default(),
            view: Screen::Shards,
            shows_help: false,
            is_paused: false,
            interval,
            sort: SortColumn::Shard,
            is_reversed: false,
            scrolled: 0,
            scrolled_max: Cell::new(0),
            clock: Duration::ZERO,
            now: Duration::ZERO,
            moved: VecDeque::new(),
        }
    }

    /// Time passes, also while the screen stands still.
    pub(super) fn tick(&mut self, now: Duration) {
        self.clock = now;
        if !self.is_paused {
            self.now = now;
        }
    }

    /// Takes what was heard. While the screen stands still it is let go: what comes later says it again.
    pub(super) fn hear(&mut self, heard: MonitorSample) {
        if self.is_paused {
            // It is no reason to call the shard silent.
            if let MonitorSample::Shard(name, _) = heard {
                self.shards.entry(name).or_default().heard = self.clock;
            }
            return;
        }
        match heard {
            MonitorSample::Shard(name, sample) => self.hear_shard(name, *sample),
            MonitorSample::Host(sample) => {
                self.cpu.push(sample.cpu_share);
                self.tps.push(self.transactions());
                self.host = Some(sample);
            }
        }
    }

    fn hear_shard(&mut self, name: ShardName, sample: Result<Sample>) {
        let now = self.now;
        let why = |message: &str| {
            // The row says which shard it is, and the configuration where.
            let connecting = format!("cannot connect to shard `{name}` at ");
            let words = message.strip_prefix(&connecting).and_then(|rest| rest.split_once(": "));
            words.map_or(message, |(_, words)| words).to_owned()
        };
        let sample = sample.map_err(|error| why(error.message()));
        let row = self.shards.entry(name).or_default();
        // What came too late is over.
        row.heard = now;
        match sample {
            Ok(sample) => {
                row.trouble = None;
                if let Some(last) = row.sample.take() {
                    row.before.push_back((row.sampled, last));
                }
                while row.before.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= RATES_OF) {
                    row.before.pop_front();
                }
                // Not of one from before the counters began anew.
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
                let since = row.trouble.take().map_or(now, |trouble| trouble.since);
                row.trouble = Some(ShardDown { since, why });
            }
        }
    }

    /// A ring is made anew only when it is another one.
    fn learn_ring(&mut self) {
        let words = self.shards.iter().filter_map(|(name, row)| Some((name, &row.sample.as_ref()?.ring)));
        let Some(word) = RingState::newest(words) else { return };
        if self.rings.as_ref().is_some_and(|rings| rings.word == word) {
            return;
        }
        let goal = (word.goal() != &word.topology).then(|| word.goal().ring());
        self.rings = Some(Rings { now: word.topology.ring(), goal, word });
    }

    fn note_moved(&mut self) {
        let Some(rings) = &self.rings else { return };
        let (epoch, now) = (rings.word.epoch, self.now);
        let rows = self.arrived().map(|(_, _, load)| load.rows).sum();
        self.moved.retain(|(at, of, _)| *of == epoch && now.saturating_sub(*at) <= RATE_OF);
        self.moved.push_back((now, epoch, rows));
    }

    fn arrived(&self) -> impl Iterator<Item = (&str, &ShardName, Load)> {
        let epoch = self.rings.as_ref().map(|rings| rings.word.epoch);
        let of_now = self.shards.iter().filter_map(move |(name, row)| {
            let sample = row.sample.as_ref()?;
            Some((name, sample.moves.as_ref()?)).filter(|_| Some(sample.ring.epoch) == epoch)
        });
        of_now.flat_map(|(name, moves)| {
            moves.arrived.iter().map(move |(from, load)| (from.as_str(), name, *load))
        })
    }

    /// Who carries a change out, by the word of the first shard.
    pub(super) fn runner(&self) -> Option<&Runner> {
        let first = arbiter(&self.rings.as_ref()?.word.topology);
        self.shards.get(first)?.sample.as_ref()?.moves.as_ref()?.runner.as_ref()
    }

    /// How far the change under way is; nothing if there is none.
    #[expect(clippy::cast_precision_loss, reason = "a rate for the eye")]
    pub(super) fn progress(&self) -> Option<ChangeProgress> {
        self.rings.as_ref()?.word.change.as_ref()?;
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

    /// Transactions a second on all shards; nothing if none of them is known.
    pub(super) fn transactions(&self) -> Option<f64> {
        let up = self.shards.values().filter(|row| self.trouble(row).is_none());
        let known = up.filter_map(|row| row.rates.map(|rates| rates.transactions));
        known.fold(None, |sum, tps| Some(sum.unwrap_or(0.0) + tps))
    }

    /// Since when a shard does not answer, and why; nothing if it does.
    pub(super) fn trouble(&self, row: &Row) -> Option<(Duration, String)> {
        let silent = self.now.saturating_sub(row.heard);
        if let Some(trouble) = &row.trouble {
            return Some((self.now.saturating_sub(trouble.since), trouble.why.clone()));
        }
        (silent > self.interval + PATIENCE).then(|| (silent, "it does not answer".into()))
    }

    /// The shard's state in a word.
    pub(super) fn word(&self, name: &ShardName, row: &Row) -> &'static str {
        match (&self.rings, &row.sample) {
            _ if self.trouble(row).is_some() => "down",
            (Some(rings), Some(_)) => rings.word.state(name),
            _ => "asked",
        }
    }

    /// How many of these lines of a list lie above the screen, if there is room for so many.
    pub(super) fn scrolled(&self, lines: usize, room: usize) -> usize {
        self.scrolled_max.set(lines.saturating_sub(room));
        self.scrolled.min(self.scrolled_max.get())
    }

    /// How many shards answer.
    pub(super) fn up(&self) -> usize {
        let up = |row: &&Row| row.sample.is_some() && self.trouble(row).is_none();
        self.shards.values().filter(up).count()
    }

    /// The shards in the order that is wished for; what is not known comes last.
    pub(super) fn sorted(&self) -> Vec<(&ShardName, &Row)> {
        let mut rows: Vec<_> = self.shards.iter().collect();
        rows.sort_by(|(one, first), (other, second)| {
            let values = (self.value(self.sort, first), self.value(self.sort, second));
            let turned = |order: Ordering| if self.is_reversed { order.reverse() } else { order };
            match (self.sort, values) {
                (SortColumn::State, _) => turned(self.word(one, first).cmp(self.word(other, second))),
                (_, (Some(value), Some(than))) => turned(value.total_cmp(&than)),
                (_, (Some(_), None)) => Ordering::Less,
                (_, (None, Some(_))) => Ordering::Greater,
                (SortColumn::Shard, (None, None)) => turned(one.cmp(other)),
                (_, (None, None)) => Ordering::Equal,
            }
        });
        rows
    }

    /// A number of a shard that is up; nothing if it is not known.
    #[expect(clippy::cast_precision_loss, reason = "to sort by, and to show a few digits")]
    pub(super) fn value(&self, column: SortColumn, row: &Row) -> Option<f64> {
        let sample = row.sample.as_ref().filter(|_| self.trouble(row).is_none())?;
        match column {
            SortColumn::Shard | SortColumn::State | SortColumn::Trend => None,
            SortColumn::Rows => sample.rows.map(|rows| rows as f64),
            SortColumn::Size => sample.size_bytes.map(|bytes| bytes as f64),
            SortColumn::Tps => row.rates.map(|rates| rates.transactions),
            SortColumn::Sessions => Some(sample.connections as f64),
            SortColumn::Hit => row.rates.and_then(|rates| rates.hit_share),
            SortColumn::Probe => Some(sample.latency_ms),
            // Seconds are what the standby told last, and stand still when it does.
            SortColumn::Lag => sample.replication.lag_bytes.map(|bytes| bytes as f64),
            SortColumn::Moved => sample.arrived().map(|load| load.rows as f64),
            SortColumn::Wal => row.rates.and_then(|rates| rates.wal_bytes),
        }
    }

    /// Does what a key asks for, and says what is left to do.
    pub(super) fn press(&mut self, key: Key) -> Act {
        if self.shows_help && !matches!(key, Key::CtrlC | Key::Char('q')) {
            self.shows_help = false;
            return Act::Nothing;
        }
        match key {
            Key::Char('q') | Key::Escape | Key::CtrlC => return Act::Leave,
            Key::Char('?' | 'h') => self.shows_help = true,
            Key::Char(digit @ '1'..='4') => self.show(Screen::ALL[digit as usize - '1' as usize]),
            Key::Tab => self.show(self.view.beside(1)),
            Key::BackTab => self.show(self.view.beside(Screen::ALL.len() - 1)),
            Key::Char('s') => {
                let at = SORTS.iter().position(|column| *column == self.sort).unwrap_or(0);
                self.sort = SORTS[(at + 1) % SORTS.len()];
            }
            Key::Char('r') => self.is_reversed = !self.is_reversed,
            Key::Char('p' | ' ') => self.is_paused = !self.is_paused,
            Key::Char('+' | '=') => return self.choose_interval(true),
            Key::Char('-') => return self.choose_interval(false),
            Key::Up | Key::Char('k') => {
                self.scrolled = self.scrolled.min(self.scrolled_max.get()).saturating_sub(1);
            }
            Key::Down | Key::Char('j') => self.scrolled = (self.scrolled + 1).min(self.scrolled_max.get()),
            Key::Char(_) => {}
        }
        Act::Nothing
    }

    fn show(&mut self, view: Screen) {
        self.view = view;
        self.scrolled = 0;
    }

    fn choose_interval(&mut self, longer: bool) -> Act {
        let mut intervals = INTERVALS_MS.map(Duration::from_millis).into_iter();
        let next = if longer {
            intervals.find(|interval| *interval > self.interval)
        } else {
            intervals.rev().find(|interval| *interval < self.interval)
        };
        let Some(next) = next else { return Act::Nothing };
        self.interval = next;
        // Who answered in time by the old one is not late by the new one.
        for row in self.shards.values_mut() {
            row.heard = row.heard.max(self.clock.saturating_sub(next));
        }
        Act::SetInterval(next)
    }
}
