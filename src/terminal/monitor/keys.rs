//! What the keys do.

use std::time::Duration;

use super::state::{Mode, MonitorState, Screen, SortColumn};
use crate::model::names::ShardName;

/// The intervals of `+` and `-`, in milliseconds.
const INTERVALS_MS: [u64; 9] = [100, 250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

/// The columns that the table can be sorted by, in the order of the key `s`.
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

/// A key that was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Escape,
    Tab,
    BackTab,
    Up,
    Down,
    Enter,
    Backspace,
    CtrlC,
}

/// What the loop must do after a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    Nothing,
    Leave,
    /// Change the interval between samples.
    SetInterval(Duration),
    /// Ask this shard for its sessions, too; `None`: no shard.
    Open(Option<ShardName>),
}

impl MonitorState {
    /// Handles a key, and returns what the loop must do.
    pub(super) fn press(&mut self, key: Key) -> Act {
        if self.mode == Mode::Filter && key != Key::CtrlC {
            self.type_filter(key);
            return Act::Nothing;
        }
        if self.mode == Mode::Help && !matches!(key, Key::CtrlC | Key::Char('q')) {
            self.mode = Mode::Normal;
            return Act::Nothing;
        }
        match key {
            Key::Escape if self.opened.is_some() => return self.show(Screen::Shards),
            Key::Escape if !self.filter.is_empty() => self.filter.clear(),
            Key::Char('q') | Key::Escape | Key::CtrlC => return Act::Leave,
            Key::Char('?' | 'h') => self.mode = Mode::Help,
            Key::Char(digit @ '1'..='4') => return self.show(Screen::ALL[digit as usize - '1' as usize]),
            Key::Tab => return self.show(self.view.beside(1)),
            Key::BackTab => return self.show(self.view.beside(Screen::ALL.len() - 1)),
            Key::Char('/') => {
                let act = self.show(Screen::Shards);
                (self.mode, self.filter) = (Mode::Filter, String::new());
                return act;
            }
            Key::Enter if self.is_list() => {
                let rows = self.shown();
                self.opened = rows.get(self.selected_at(&rows)).map(|(name, _)| (*name).clone());
                return Act::Open(self.opened.clone());
            }
            Key::Char('s') => {
                let at = SORTS.iter().position(|column| *column == self.sort).unwrap_or(0);
                self.sort = SORTS[(at + 1) % SORTS.len()];
            }
            Key::Char('r') => self.is_reversed = !self.is_reversed,
            Key::Char('p' | ' ') => self.is_paused = !self.is_paused,
            Key::Char('+' | '=') => return self.choose_interval(true),
            Key::Char('-') => return self.choose_interval(false),
            Key::Up | Key::Char('k') if self.is_list() => self.select(|at| at.saturating_sub(1)),
            Key::Down | Key::Char('j') if self.is_list() => self.select(|at| at + 1),
            Key::Up | Key::Char('k') => {
                self.scrolled = self.scrolled.min(self.scrolled_max.get()).saturating_sub(1);
            }
            Key::Down | Key::Char('j') => self.scrolled = (self.scrolled + 1).min(self.scrolled_max.get()),
            Key::Char(_) | Key::Enter | Key::Backspace => {}
        }
        Act::Nothing
    }

    /// Whether the shards are listed, and one of them is selected.
    fn is_list(&self) -> bool {
        self.view == Screen::Shards && self.opened.is_none()
    }

    fn select(&mut self, next: impl FnOnce(usize) -> usize) {
        let rows = self.shown();
        let at = next(self.selected_at(&rows)).min(rows.len().saturating_sub(1));
        self.selected = rows.get(at).map(|(name, _)| (*name).clone());
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Char(letter) => self.filter.push(letter),
            Key::Backspace => drop(self.filter.pop()),
            Key::Enter => self.mode = Mode::Normal,
            Key::Escape => {
                self.mode = Mode::Normal;
                self.filter.clear();
            }
            _ => {}
        }
    }

    /// Shows a view, and closes the shard that was opened.
    fn show(&mut self, view: Screen) -> Act {
        self.view = view;
        self.scrolled = 0;
        self.opened.take().map_or(Act::Nothing, |_| Act::Open(None))
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
        // A shard that answered in time by the old interval is not late by the new one.
        for row in self.shards.values_mut() {
            row.answered = row.answered.max(self.clock.saturating_sub(next));
        }
        Act::SetInterval(next)
    }
}
