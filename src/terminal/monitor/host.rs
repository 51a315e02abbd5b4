//! The view of this machine.

use ratatui::text::{Line, Span};

use super::state::MonitorState;
use super::text;
use super::theme::{Theme, labelled};
use crate::model::host::{DiskSpace, Processes, Throughput};
use crate::model::text::{bytes, fractional_bytes};

fn flow(flow: Throughput, into: &str, out: &str) -> String {
    let rate = |bytes: Option<f64>| bytes.map_or(text::NONE.into(), |bytes| fractional_bytes(bytes) + "/s");
    format!("{into} {:<10} {out} {}", rate(flow.in_bytes_per_second), rate(flow.out_bytes_per_second))
}

/// Processor, memory, disks, network, processes.
pub(super) fn lines(state: &MonitorState, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let Some(host) = &state.host else {
        return vec![
            Line::raw(""),
            Line::styled(" waiting for the first sample of this machine", theme.label()),
        ];
    };
    let picture_chars = width.saturating_sub(12 + 26).min(50);
    let rest = width.saturating_sub(12);
    let percent =
        |share: Option<f64>| share.map_or(text::NONE.into(), |share| format!("{:.0} %", share * 100.0));
    let cpu = format!("{} of {} cores", percent(host.cpu_share), host.cores);
    let trend = text::trend(state.cpu.values(), picture_chars, theme.unicode);
    let mut lines = vec![
        Line::raw(""),
        labelled("cpu", vec![Span::raw(format!("{cpu:<26}")), Span::styled(trend, theme.picture())], theme),
    ];
    let room = |label: &str, room: DiskSpace| {
        let of =
            format!("{} of {}, {}", bytes(room.used_bytes), bytes(room.total_bytes), percent(room.share()));
        let bar = text::bar(room.share().unwrap_or(0.0), picture_chars.min(30), theme.unicode);
        let style = if room.share().is_some_and(|share| share > 0.9) { theme.bad() } else { theme.picture() };
        labelled(label, vec![Span::raw(format!("{of:<26}")), Span::styled(bar, style)], theme)
    };
    lines.push(room("memory", host.memory));
    if host.swap.total_bytes > 0 {
        lines.push(room("swap", host.swap));
    }
    for (folder, disk) in &host.disks {
        lines.push(room("disk", *disk));
        let folder = crate::model::text::visible(folder).into_owned();
        lines.push(labelled(
            "",
            vec![Span::styled(text::cut(&folder, rest, theme.unicode), theme.label())],
            theme,
        ));
    }
    for (name, seen) in &host.networks {
        let text = format!("{:<10} {}", text::cut(name, 10, theme.unicode), flow(*seen, "in", "out"));
        lines.push(labelled("network", vec![Span::raw(text::cut(&text, rest, theme.unicode))], theme));
    }
    for (program, seen) in [("postgres", host.postgres), ("ringshard", host.ringshard)] {
        let Processes { count, cores_busy, memory_bytes, disk } = seen;
        let busy = cores_busy.map_or(text::NONE.into(), |busy| format!("{busy:.2}"));
        let things = if count == 1 { "process" } else { "processes" };
        let text = format!("{count} {things}, {busy} cores busy, {}", bytes(memory_bytes));
        lines.push(labelled(program, vec![Span::raw(text::cut(&text, rest, theme.unicode))], theme));
        lines.push(labelled(
            "",
            vec![Span::raw(text::cut(&flow(disk, "disk read", "written"), rest, theme.unicode))],
            theme,
        ));
    }
    lines
}
