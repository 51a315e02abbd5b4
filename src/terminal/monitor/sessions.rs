//! The view of one shard: its sessions, whom they wait for, and its standbys.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::state::MonitorState;
use super::text;
use super::theme::{Theme, labelled};
use crate::model::stats::{Activity, ClientSession};
use crate::model::text::{bytes, counted, redacted, visible};

/// From these widths on there is room for the roles, and for the programs.
const WITH_ROLE_CHARS: usize = 72;
const WITH_PROGRAM_CHARS: usize = 100;

/// One line for each session, and one for each standby.
pub(super) fn lines(state: &MonitorState, width: usize, height: usize, theme: Theme) -> Vec<Line<'static>> {
    let Some((name, row)) = state.opened.as_ref().and_then(|name| state.shards.get_key_value(name)) else {
        return Vec::new();
    };
    let cut = |text: &str| text::cut(&visible(text), width, theme.unicode);
    let mut title = vec![format!(" {name}"), state.state(name, row).to_owned()];
    if let Some((seconds, why)) = state.down(row) {
        title.push(format!("for {}: {why}", text::span(seconds.as_secs_f64().floor())));
    }
    let activity = row.sample.as_ref().and_then(|sample| sample.activity.as_ref());
    if let Some(Activity { sessions, standbys }) = activity {
        title.push(counted(sessions.len() as u64, "session"));
        title.push(counted(standbys.len() as u64, "replica"));
    }
    let mut lines = vec![Line::styled(cut(&title.join("  ")), Style::new().add_modifier(Modifier::BOLD))];
    let Some(Activity { sessions, standbys }) = activity else {
        lines.push(Line::styled(" waiting for its answer", theme.label()));
        return lines;
    };
    for standby in standbys {
        let lag = standby.lag_bytes.and_then(|lag| u64::try_from(lag).ok()).map_or(text::NONE.into(), bytes);
        let text = format!("{}  {}  {}  {lag} behind", standby.name, standby.state, standby.sync);
        lines.push(labelled("replica", vec![Span::raw(cut(&text))], theme));
    }
    let head = row_of(["pid", "role", "program", "state", "time", "waits for", "statement"], width, theme);
    lines.push(Line::styled(head, Style::new().add_modifier(Modifier::UNDERLINED)));
    // One line says how many there are below.
    let room = height.saturating_sub(lines.len() + 1);
    let scrolled = state.scrolled(sessions.len(), room);
    for session in sessions.iter().skip(scrolled).take(room) {
        lines.push(line(session, width, theme));
    }
    let hidden = sessions.len().saturating_sub(scrolled + room);
    if hidden > 0 {
        lines.push(Line::styled(format!(" {hidden} more: j and k, or arrows"), theme.label()));
    }
    lines
}

/// The cells of a line in their columns; role and program only where there is room for them.
fn row_of(
    [pid, role, program, state, time, waits_for, statement]: [&str; 7],
    width: usize,
    theme: Theme,
) -> String {
    let cut = |text: &str, chars: usize| text::cut(text, chars, theme.unicode);
    let column = |text: &str, chars: usize, from: usize| match width {
        width if width < from => String::new(),
        _ => format!(" {:<chars$}", cut(text, chars)),
    };
    let who = column(role, 10, WITH_ROLE_CHARS) + &column(program, 16, WITH_PROGRAM_CHARS);
    let line =
        format!(" {pid:>7}{who} {:<10} {time:>7} {:<16} {statement}", cut(state, 10), cut(waits_for, 16));
    cut(line.trim_end(), width)
}

fn line(session: &ClientSession, width: usize, theme: Theme) -> Line<'static> {
    let state = session.state.replace("idle in transaction", "idle in tx");
    let time = session.seconds.map_or(text::NONE.into(), text::span);
    let blockers: Vec<String> = session.blocked_by.iter().map(ToString::to_string).collect();
    let waits_for = if blockers.is_empty() {
        session.waits_for.clone().unwrap_or_default()
    } else {
        format!("pid {}", blockers.join(", "))
    };
    let style = match (blockers.is_empty(), session.state.as_str()) {
        (false, _) => theme.bad(),
        (true, "active") => theme.good(),
        (true, state) if state.starts_with("idle in") => theme.moving(),
        (true, _) => theme.label(),
    };
    let code = session.statement.lines().filter(|line| !line.trim_start().starts_with("--"));
    let statement = redacted(&code.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" "));
    let (pid, role, program) = (session.pid.to_string(), visible(&session.role), visible(&session.program));
    let cells =
        [&pid, &*role, &*program, &visible(&state), &time, &visible(&waits_for), &visible(&statement)];
    Line::styled(row_of(cells, width, theme), style)
}
