//! The frame of the screen: title, views, keys, help.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::state::{Mode, MonitorState, Screen};
use super::theme::Theme;
use super::{host, rebalance, ring, sessions, shards, text};

/// The smallest usable screen.
const LEAST: (u16, u16) = (40, 10);

const HELP: [(&str, &str); 12] = [
    ("q Esc Ctrl-C", "leave"),
    ("1 2 3 4 Tab", "shards, ring, rebalance, host"),
    ("Enter", "open the selected shard: sessions, replicas; Esc closes"),
    ("/", "show only shards whose name or state has this; Esc shows all"),
    ("s", "sort the shards by the next column"),
    ("r", "reverse the order"),
    ("p Space", "pause, or continue"),
    ("+ -", "longer or shorter interval"),
    ("j k arrows", "select a shard, or scroll a long list"),
    ("?", "show this help"),
    ("", ""),
    ("any key", "close this help"),
];

/// Draws the screen.
pub(super) fn draw(frame: &mut Frame<'_>, state: &MonitorState, theme: Theme) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let (width, height) = LEAST;
        let text = format!("too small: {width} x {height} at least, q leaves");
        frame.render_widget(Paragraph::new(text).wrap(ratatui::widgets::Wrap { trim: true }), area);
        return;
    }
    let rows = [Constraint::Length(1), Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)];
    let [title, views, body, keys] = Layout::vertical(rows).areas(area);
    frame.render_widget(Paragraph::new(title_line(state, title.width)), title);
    frame.render_widget(Paragraph::new(views_line(state)), views);
    frame.render_widget(Paragraph::new(body_lines(state, body, theme)), body);
    frame.render_widget(Paragraph::new(keys_line(state, keys.width, theme)), keys);
}

fn body_lines(state: &MonitorState, area: Rect, theme: Theme) -> Vec<Line<'static>> {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    if state.mode == Mode::Help {
        let line = |(keys, what): (&str, &str)| {
            Line::from(vec![Span::raw(format!("  {keys:<14}")), Span::styled(what.to_owned(), theme.label())])
        };
        return std::iter::once(Line::raw("")).chain(HELP.into_iter().map(line)).collect();
    }
    match state.view {
        Screen::Shards if state.opened.is_some() => sessions::lines(state, width, height, theme),
        Screen::Shards => shards::lines(state, width, height, theme),
        Screen::Ring => ring::lines(state, width, height, theme),
        Screen::Rebalance => rebalance::lines(state, width, height, theme),
        Screen::Host => host::lines(state, width, theme),
    }
}

/// The title: the name on the left, the summary on the right.
fn title_line(state: &MonitorState, width: u16) -> Line<'static> {
    let (up, all) = (state.up(), state.shards.len());
    let mut parts = Vec::new();
    if state.is_paused {
        parts.push("PAUSED".to_owned());
    }
    parts.push(format!("{up} of {all} up"));
    if let Some(rings) = &state.rings {
        parts.push(format!("epoch {}", rings.state.epoch));
    }
    parts.push(format!("every {}", text::interval(state.interval)));
    let mut right = parts.join("  ") + " ";
    let (name, width) = (" ringshard", usize::from(width));
    // The first parts are the most important.
    while right.len() + name.len() > width && parts.pop().is_some() {
        right = parts.join("  ") + " ";
    }
    let room = width.saturating_sub(name.len());
    Line::styled(format!("{name}{right:>room$}"), Style::new().add_modifier(Modifier::REVERSED))
}

fn views_line(state: &MonitorState) -> Line<'static> {
    let mut spans = Vec::new();
    for (number, view) in (1..).zip(Screen::ALL) {
        let is_shown = view == state.view;
        let style = Style::new().add_modifier(if is_shown {
            Modifier::BOLD | Modifier::UNDERLINED
        } else {
            Modifier::empty()
        });
        // Brackets, for terminals that do not underline.
        let name = if is_shown {
            format!("[{number} {}]", view.name())
        } else {
            format!(" {number} {} ", view.name())
        };
        spans.push(Span::styled(name, style));
    }
    Line::from(spans)
}

fn keys_line(state: &MonitorState, width: u16, theme: Theme) -> Line<'static> {
    if state.mode == Mode::Filter {
        return Line::raw(text::cut(&format!(" /{}_", state.filter), usize::from(width), theme.unicode));
    }
    let pause = if state.is_paused { "p continue" } else { "p pause" };
    let of_view: &[&str] = match state.view {
        Screen::Shards if state.opened.is_some() => &["Esc shards"],
        Screen::Shards if !state.filter.is_empty() => &["Enter open", "Esc all shards", "/ filter"],
        Screen::Shards => &["Enter open", "/ filter", "s sort", "r reverse"],
        _ => &[],
    };
    let keys = ["? help", "q leave", "Tab view"]
        .into_iter()
        .chain(of_view.iter().copied())
        .chain([pause, "+/- interval"]);
    let mut line = String::new();
    for key in keys {
        if line.len() + key.len() + 2 > usize::from(width) {
            break;
        }
        line.extend([" ", key, " "]);
    }
    Line::styled(line, theme.label())
}
