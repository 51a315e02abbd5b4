//! The view of the ring: who owns which part and how much, now and after the change.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::state::{MonitorState, Rings};
use super::text;
use super::theme::Theme;
use crate::model::names::ShardName;
use crate::model::ring::Ring;
use crate::model::ring::position::Position;
use crate::model::ring::topology::Topology;

/// The longest name that is not cut.
const NAME_CHARS_MAX: usize = 16;
/// The width of the columns beside a bar.
const TABLE_CHARS: usize = 38;

/// The letter of the shard at this place of the list.
fn letter(at: usize) -> char {
    char::from(b'A' + u8::try_from(at % 26).unwrap_or(0))
}

/// The ring as a line from position 0: each character is the letter of the shard that owns the middle of its part.
fn strip(ring: &Ring, names: &[&ShardName], width: usize, theme: Theme) -> Line<'static> {
    let part = u128::MAX / (width.max(1) as u128);
    let owners = (0..width as u128).map(|at| {
        let owner = ring.owner(Position::new(part * at + part / 2));
        names.iter().position(|name| *name == owner).unwrap_or(0)
    });
    let letters = owners.map(|owner| Span::styled(letter(owner).to_string(), theme.shard(owner)));
    std::iter::once(Span::raw(" ")).chain(letters).collect()
}

/// The strips, and a line for each shard.
pub(super) fn lines(state: &MonitorState, width: usize, height: usize, theme: Theme) -> Vec<Line<'static>> {
    let Some(Rings { state: ring, now, goal }) = &state.rings else {
        return vec![Line::raw(""), Line::styled(" waiting for the first answer of a shard", theme.label())];
    };
    let mut names: Vec<&ShardName> = ring.topology.names().chain(ring.goal().names()).collect();
    names.sort();
    names.dedup();
    let points = |topology: &Topology, ring: &Ring| {
        format!("{} shards, {} virtual nodes", topology.shards().len(), ring.len())
    };
    let title = |text: String| Line::styled(text::cut(&text, width, theme.unicode), theme.label());
    let strip_chars = width.saturating_sub(2);
    let mut lines = vec![
        title(format!(" from position 0 to 2^128: {}", points(&ring.topology, now))),
        strip(now, &names, strip_chars, theme),
    ];
    if let Some(goal) = goal {
        let when = if ring.change.is_some() { "next" } else { "planned" };
        lines.push(title(format!(" {when}: {}", points(ring.goal(), goal))));
        lines.push(strip(goal, &names, strip_chars, theme));
    }
    lines.push(Line::raw(""));
    let longest = names.iter().map(|name| name.as_str().len()).max().unwrap_or(0).clamp(5, NAME_CHARS_MAX);
    let bar_chars = width.saturating_sub(longest + TABLE_CHARS).min(40);
    let head = format!("   {:<longest$} weight vnodes  share%  goal%", "shard");
    lines.push(Line::styled(head, Style::new().add_modifier(Modifier::UNDERLINED)));
    let biggest = now.shares().into_iter().map(|(_, share)| share).fold(0.0, f64::max);
    let room = height.saturating_sub(lines.len());
    let scrolled = state.scrolled(names.len(), room);
    for (at, name) in names.iter().enumerate().skip(scrolled).take(room) {
        let spec = ring.topology.shard(name).or(ring.goal().shard(name));
        let weight = spec.map_or(0.0, |spec| spec.weight.number());
        let virtual_nodes = spec.map_or(0, |spec| spec.weight.virtual_nodes(ring.topology.virtual_nodes()));
        let percent = |share: Option<f64>| share.map_or(text::NONE.into(), |s| format!("{:.2}", s * 100.0));
        let share = now.share(name);
        let target = goal.as_ref().and_then(|goal| goal.share(name)).or(share.filter(|_| goal.is_none()));
        let name = text::cut(name.as_str(), longest, theme.unicode);
        let numbers = format!(
            " {name:<longest$} {weight:>6.2} {virtual_nodes:>6} {:>7} {:>6} ",
            percent(share),
            percent(target)
        );
        let bar = text::bar(share.unwrap_or(0.0) / biggest.max(f64::MIN_POSITIVE), bar_chars, theme.unicode);
        lines.push(Line::from(vec![
            Span::styled(format!(" {}", letter(at)), theme.shard(at).add_modifier(Modifier::BOLD)),
            Span::raw(numbers),
            Span::styled(bar, theme.shard(at)),
        ]));
    }
    lines
}
