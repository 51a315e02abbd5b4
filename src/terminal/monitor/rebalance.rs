//! The view of a rebalance: its change, the process that runs it, and its progress, as in `rebalance status`.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::state::{MonitorState, Rings};
use super::text;
use super::theme::{Theme, labelled};
use crate::model::names::ShardName;
use crate::model::rebalance::RingState;
use crate::model::ring::topology::Topology;
use crate::model::text::bytes;

/// The longest name that is not cut.
const NAME_CHARS_MAX: usize = 16;

/// The difference of two topologies as text.
fn difference(from: &Topology, to: &Topology) -> String {
    let list = |names: Vec<&ShardName>| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let joining: Vec<&ShardName> = to.names().filter(|name| from.shard(name).is_none()).collect();
    let leaving: Vec<&ShardName> = from.names().filter(|name| to.shard(name).is_none()).collect();
    let is_reweighted = |name: &&ShardName| {
        let weight = |topology: &Topology| topology.shard(name).map(|spec| spec.weight.number());
        weight(from).zip(weight(to)).is_some_and(|(before, after)| before.to_bits() != after.to_bits())
    };
    let weighed: Vec<&ShardName> = to.names().filter(is_reweighted).collect();
    let parts = [("joins: ", joining), ("leaves: ", leaving), ("new weight: ", weighed)];
    let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
    parts.map(|(what, names)| what.to_owned() + &list(names)).collect::<Vec<_>>().join("; ")
}

/// The state, as in `rebalance status`.
fn state_of(ring: &RingState) -> &'static str {
    match (&ring.change, &ring.desired_topology) {
        (Some(change), _) if change.next_topology == ring.topology => "going back",
        (Some(_), _) => "under way",
        (None, Some(_)) => "planned",
        (None, None) => "idle",
    }
}

/// Some lines about the change, and one for each pair of shards.
pub(super) fn lines(state: &MonitorState, width: usize, height: usize, theme: Theme) -> Vec<Line<'static>> {
    let Some(Rings { state: ring, .. }) = &state.rings else {
        return vec![Line::raw(""), Line::styled(" waiting for the first answer of a shard", theme.label())];
    };
    let plain = |text: String| vec![Span::raw(text::cut(&text, width.saturating_sub(12), theme.unicode))];
    let name = state_of(ring);
    let style = if name == "idle" { theme.good() } else { theme.moving() };
    let epoch = Span::raw(format!(", epoch {}", ring.epoch));
    let mut lines = vec![Line::raw(""), labelled("state", vec![Span::styled(name, style), epoch], theme)];
    if name == "idle" {
        lines.push(labelled("", plain("nothing is planned and nothing is under way".into()), theme));
        return lines;
    }
    if name == "going back" {
        lines.push(labelled("change", plain("canceled: users move back".into()), theme));
    } else {
        lines.push(labelled("change", plain(difference(&ring.topology, ring.goal())), theme));
    }
    let runner = state.runner();
    match runner.filter(|runner| runner.is_at_work || name != "planned") {
        Some(runner) if runner.is_at_work => {
            let since = text::span(f64::from(i32::try_from(runner.seconds).unwrap_or(i32::MAX)));
            lines.push(labelled("at work", plain(format!("{}, for {since}", runner.name)), theme));
            let since = text::span(f64::from(i32::try_from(runner.phase_seconds).unwrap_or(i32::MAX)));
            lines.push(labelled("phase", plain(format!("{}, for {since}", runner.phase)), theme));
        }
        Some(_) => {
            lines.push(labelled(
                "at work",
                plain("no process; to continue: ringshard rebalance".into()),
                theme,
            ));
        }
        None if name == "planned" => {
            lines.push(labelled("", plain("nothing has moved yet; next: ringshard rebalance".into()), theme));
        }
        None => {}
    }
    lines.extend(progress_lines(state, width, height.saturating_sub(lines.len()), theme));
    lines
}

#[expect(clippy::cast_precision_loss, reason = "rounded values")]
fn progress_lines(state: &MonitorState, width: usize, height: usize, theme: Theme) -> Vec<Line<'static>> {
    let Some(progress) = state.progress() else { return Vec::new() };
    let mut lines = Vec::new();
    let moved = progress.moved;
    // There may be more users now than the plan counted.
    let total = progress.total.map(|total| total.rows.max(moved.rows)).filter(|rows| *rows > 0);
    let share = total.map(|total| moved.rows as f64 / total as f64);
    if let Some(share) = share {
        let chars = width.saturating_sub(12 + 9).min(50);
        let bar = Span::styled(text::bar(share, chars, theme.unicode), theme.picture());
        lines.push(labelled("progress", vec![bar, Span::raw(format!(" {:.1} %", share * 100.0))], theme));
    }
    let of = total.map_or(String::new(), |total| format!(" of {}", text::users(total)));
    let text = format!("{}{of} users, {}", text::users(moved.rows), bytes(moved.bytes));
    lines.push(labelled("moved", vec![Span::raw(text)], theme));
    let rate = progress.users_per_second;
    let text = rate.map_or(text::NONE.into(), |rate| format!("{} users/s", text::rate(rate)));
    lines.push(labelled("rate", vec![Span::raw(text)], theme));
    if let Some(total) = total {
        let rest = total - moved.rows;
        let time = rate.filter(|rate| *rate > 0.0).map(|rate| text::span((rest as f64 / rate).ceil()));
        let time = time.map_or(String::new(), |time| format!(", about {time}"));
        lines.push(labelled(
            "remaining",
            vec![Span::raw(format!("{} users{time}", text::users(rest)))],
            theme,
        ));
    }
    if progress.flows.is_empty() {
        return lines;
    }
    let names = progress.flows.iter().flat_map(|(source, target, _)| [source.as_str(), target.as_str()]);
    let longest = names.map(str::len).max().unwrap_or(0).clamp(6, NAME_CHARS_MAX);
    let name = |name: &str| text::cut(name, longest, theme.unicode);
    lines.push(Line::raw(""));
    let head = format!(" {:<longest$} {:<longest$} {:>12} {:>8}", "source", "target", "users", "bytes");
    lines.push(Line::styled(
        text::cut(&head, width, theme.unicode),
        Style::new().add_modifier(Modifier::UNDERLINED),
    ));
    let room = height.saturating_sub(lines.len());
    let scrolled = state.scrolled(progress.flows.len(), room);
    for (source, target, load) in progress.flows.iter().skip(scrolled).take(room) {
        let line = format!(
            " {:<longest$} {:<longest$} {:>12} {:>8}",
            name(source),
            name(target.as_str()),
            text::users(load.rows),
            bytes(load.bytes)
        );
        lines.push(Line::raw(text::cut(&line, width, theme.unicode)));
    }
    lines
}
