//! The view of the shards: a table of the columns that fit, and a summary.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::state::{MonitorState, Row, SortColumn};
use super::text;
use super::theme::{Theme, labelled};
use crate::model::host::DiskSpace;
use crate::model::names::ShardName;
use crate::model::stats::Sample;
use crate::model::text::{bytes, fractional_bytes};

/// The longest name that is not cut.
const NAME_CHARS_MAX: usize = 16;
/// The shortest and the longest trend.
const TREND_CHARS: (usize, usize) = (8, 60);
/// The number of lines of the summary.
const SUMMARY_LINES: usize = 5;

/// The columns in the order of the screen.
const ORDER: [SortColumn; 12] = [
    SortColumn::Shard,
    SortColumn::State,
    SortColumn::Rows,
    SortColumn::Size,
    SortColumn::Tps,
    SortColumn::Trend,
    SortColumn::Sessions,
    SortColumn::Hit,
    SortColumn::Probe,
    SortColumn::Lag,
    SortColumn::Moved,
    SortColumn::Wal,
];

/// The columns by priority.
const PRIORITY: [SortColumn; 12] = [
    SortColumn::Shard,
    SortColumn::State,
    SortColumn::Rows,
    SortColumn::Tps,
    SortColumn::Moved,
    SortColumn::Probe,
    SortColumn::Lag,
    SortColumn::Sessions,
    SortColumn::Trend,
    SortColumn::Size,
    SortColumn::Hit,
    SortColumn::Wal,
];

/// The columns that fit, each with its width.
fn columns(state: &MonitorState, width: usize) -> Vec<(SortColumn, usize)> {
    let longest = state.shards.keys().map(|name| name.as_str().len()).max().unwrap_or(0);
    let has = |of: &dyn Fn(&Row) -> bool| state.shards.values().any(of);
    let changes = state.rings.as_ref().is_some_and(|rings| rings.state.change.is_some());
    let replicates = has(&|row: &Row| {
        row.sample.as_ref().is_some_and(|sample| sample.is_standby || sample.replication.replicas > 0)
    });
    let chars = |column| match column {
        SortColumn::Shard => longest.clamp(5, NAME_CHARS_MAX),
        SortColumn::State
        | SortColumn::Tps
        | SortColumn::Size
        | SortColumn::Sessions
        | SortColumn::Probe
        | SortColumn::Lag => 7,
        SortColumn::Rows => 10,
        SortColumn::Moved | SortColumn::Wal => 9,
        SortColumn::Hit => 5,
        SortColumn::Trend => TREND_CHARS.0,
    };
    let mut chosen: Vec<(SortColumn, usize)> = Vec::new();
    let mut room = width;
    for column in PRIORITY {
        let is_shown = match column {
            SortColumn::Moved => changes,
            SortColumn::Lag => replicates,
            _ => true,
        };
        // A blank before each.
        if is_shown && room > chars(column) {
            room -= chars(column) + 1;
            chosen.push((column, chars(column)));
        }
    }
    if let Some((_, trend)) = chosen.iter_mut().find(|(column, _)| *column == SortColumn::Trend) {
        *trend = (*trend + room).min(TREND_CHARS.1);
    }
    chosen.sort_by_key(|(column, _)| ORDER.iter().position(|other| other == column));
    chosen
}

fn title(column: SortColumn) -> &'static str {
    match column {
        SortColumn::Shard => "shard",
        SortColumn::State => "state",
        SortColumn::Rows => "rows",
        SortColumn::Size => "size",
        SortColumn::Tps => "tps",
        SortColumn::Trend => "trend",
        SortColumn::Sessions => "conns",
        SortColumn::Hit => "hit%",
        SortColumn::Probe => "probe",
        SortColumn::Lag => "lag",
        SortColumn::Moved => "moved",
        SortColumn::Wal => "wal/s",
    }
}

fn is_flush_left(column: SortColumn) -> bool {
    matches!(column, SortColumn::Shard | SortColumn::State | SortColumn::Trend)
}

/// A text in its column, with the blank before it.
fn placed(text: &str, column: SortColumn, chars: usize, unicode: bool) -> String {
    let text = text::cut(text, chars, unicode);
    if is_flush_left(column) { format!(" {text:<chars$}") } else { format!(" {text:>chars$}") }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are not negative")]
fn cell(
    state: &MonitorState,
    name: &ShardName,
    row: &Row,
    column: SortColumn,
    chars: usize,
    theme: Theme,
) -> Span<'static> {
    let plain = Style::new();
    let value = state.value(column, row);
    let (text, style) = match column {
        SortColumn::Shard => (name.to_string(), plain.add_modifier(Modifier::BOLD)),
        SortColumn::State => {
            let state = state.state(name, row);
            let style = match state {
                "down" => theme.bad(),
                "active" => theme.good(),
                _ => theme.moving(),
            };
            (state.to_owned(), style)
        }
        SortColumn::Trend => (text::trend(row.tps.values(), chars, theme.unicode), theme.picture()),
        SortColumn::Sessions => {
            let sample = row.sample.as_ref().filter(|_| value.is_some());
            let text = sample.map(|sample| {
                let whole = format!("{}/{}", sample.connections, sample.connections_allowed);
                if whole.len() <= chars { whole } else { sample.connections.to_string() }
            });
            // Almost all connections are in use.
            let is_full = sample.is_some_and(|s| s.connections * 10 >= s.connections_allowed * 9);
            (text.unwrap_or(text::NONE.into()), if is_full { theme.bad() } else { plain })
        }
        _ => {
            let text = value.map(|value| match column {
                SortColumn::Rows | SortColumn::Moved => text::users_in(value as u64, chars),
                SortColumn::Tps => text::rate(value),
                SortColumn::Hit => format!("{:.1}", value * 100.0),
                SortColumn::Probe => text::latency(value),
                _ => fractional_bytes(value),
            });
            (text.unwrap_or(text::NONE.into()), plain)
        }
    };
    Span::styled(placed(&text, column, chars, theme.unicode), style)
}

fn header(state: &MonitorState, columns: &[(SortColumn, usize)], theme: Theme) -> Line<'static> {
    let spans = columns.iter().map(|(column, chars)| {
        let is_sorted = *column == state.sort;
        let style = Style::new().add_modifier(if is_sorted { Modifier::BOLD } else { Modifier::UNDERLINED });
        let sign = match (is_sorted, state.is_reversed) {
            (false, _) => "",
            (true, false) => "^",
            (true, true) => "v",
        };
        Span::styled(placed(&format!("{}{sign}", title(*column)), *column, *chars, theme.unicode), style)
    });
    spans.collect()
}

/// The table, the reasons why shards are down, and the summary.
pub(super) fn lines(state: &MonitorState, width: usize, height: usize, theme: Theme) -> Vec<Line<'static>> {
    let columns = columns(state, width);
    let mut lines = vec![header(state, &columns, theme)];
    let down: Vec<Line<'static>> = state
        .shards
        .iter()
        .filter_map(|(name, row)| {
            let (seconds, why) = state.down(row)?;
            let why = crate::model::text::visible(&why).into_owned();
            let text = format!(" {name} is down for {}: {why}", text::span(seconds.as_secs_f64().floor()));
            Some(Line::styled(text::cut(&text, width, theme.unicode), theme.bad()))
        })
        .collect();
    let rows = state.shown();
    let selected = state.selected_at(&rows);
    // At least one line for the table, which can be scrolled.
    let room = height.saturating_sub(1 + down.len().min(height / 3) + 1).max(1);
    let summary = if rows.len() + SUMMARY_LINES <= room { SUMMARY_LINES } else { 0 };
    let shown = rows.len().min(room - summary);
    // As far as the selected one.
    let scrolled = (selected + 1).saturating_sub(shown);
    for (at, (name, row)) in rows.iter().enumerate().skip(scrolled).take(shown) {
        let cells = columns.iter().map(|(column, chars)| cell(state, name, row, *column, *chars, theme));
        let line: Line<'static> = cells.collect();
        let style = if at == selected { Modifier::REVERSED } else { Modifier::empty() };
        lines.push(line.style(Style::new().add_modifier(style)));
    }
    if !state.filter.is_empty() {
        let text = format!(" {} of {} shards match `{}`", rows.len(), state.shards.len(), state.filter);
        lines.push(Line::styled(text::cut(&text, width, theme.unicode), theme.label()));
    }
    let hidden = rows.len() - shown;
    if hidden > 0 {
        lines.push(Line::styled(format!(" {hidden} more: j and k, or arrows"), theme.label()));
    } else {
        lines.push(Line::raw(""));
    }
    lines.extend(down);
    if summary > 0 {
        if lines.last().is_some_and(|line| line.width() > 0) && lines.len() + SUMMARY_LINES < height {
            lines.push(Line::raw(""));
        }
        lines.extend(summary_lines(state, width, theme));
    }
    lines
}

/// The sums of all shards, and the machine.
fn summary_lines(state: &MonitorState, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let trend_chars = width.saturating_sub(12 + 24).min(TREND_CHARS.1);
    let mut lines = Vec::new();
    let sum = |of: fn(&Sample) -> Option<i64>| -> Option<u64> {
        let known = state.shards.values().filter_map(|row| u64::try_from(of(row.sample.as_ref()?)?).ok());
        known.fold(None, |sum, number| Some(sum.unwrap_or(0) + number))
    };
    let rows = sum(|sample| sample.rows).map(|rows| format!("about {} users", text::users(rows)));
    let size = sum(|sample| sample.size_bytes).map(bytes);
    let all = [rows, size].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let all = if all.is_empty() { text::NONE.into() } else { all };
    lines.push(labelled("all shards", vec![Span::raw(all)], theme));
    let tps = state.transactions().map_or(text::NONE.into(), |tps| format!("{} tps", text::rate(tps)));
    let trend = |values| Span::styled(text::trend(values, trend_chars, theme.unicode), theme.picture());
    lines.push(labelled("", vec![Span::raw(format!("{tps:<24}")), trend(state.tps.values())], theme));
    let Some(host) = &state.host else { return lines };
    let percent =
        |share: Option<f64>| share.map_or(text::NONE.into(), |share| format!("{:.0} %", share * 100.0));
    let cpu = format!("cpu {} of {}", percent(host.cpu_share), host.cores);
    lines.push(labelled(
        "this host",
        vec![Span::raw(format!("{cpu:<24}")), trend(state.cpu.values())],
        theme,
    ));
    let room = |what: &str, room: DiskSpace| {
        let of = format!("{what} {} of {}", bytes(room.used_bytes), bytes(room.total_bytes));
        let bar = text::bar(room.share().unwrap_or(0.0), trend_chars.min(20), theme.unicode);
        let is_full = room.share().is_some_and(|share| share > 0.9);
        let style = if is_full { theme.bad() } else { theme.picture() };
        vec![Span::raw(format!("{of:<24}")), Span::styled(bar, style)]
    };
    lines.push(labelled("", room("mem", host.memory), theme));
    let fullest = host
        .disks
        .iter()
        .map(|(_, room)| *room)
        .max_by(|one, other| one.share().unwrap_or(0.0).total_cmp(&other.share().unwrap_or(0.0)));
    lines.extend(fullest.map(|disk| labelled("", room("disk", disk), theme)));
    lines
}
