//! Tables for terminals. Only this file uses comfy-table.

use comfy_table::presets::{ASCII_FULL_CONDENSED, UTF8_FULL_CONDENSED};
use comfy_table::{Attribute, Cell as Shown, CellAlignment, Color, ContentArrangement, Table};

use super::{Style, TablePage, plain};
use crate::model::report::{Cell, Column, Look, Report, Shape};
use crate::model::text::{bytes, visible};

/// The shortest and the longest bar.
const BAR_CHARS: std::ops::RangeInclusive<u32> = 6..=24;
/// The width that a column needs, unless its content is shorter.
const COLUMN_CHARS: usize = 12;
/// The width of borders and padding of a column.
const FRAME_CHARS: usize = 3;

/// A table, or one field per line: with `-x`, and if the table would be too wide for the terminal.
pub(super) fn render(report: &Report, style: Style, page: TablePage) -> String {
    // An earlier page had the header, or a note says more than an empty table does.
    if report.rows.is_empty() && (!page.first || !report.notes.is_empty()) {
        return String::new();
    }
    let has_bytes = report.columns.iter().any(|column| matches!(column.look, Look::Bytes | Look::Measured));
    let for_people = has_bytes.then(|| for_people(report));
    let report = for_people.as_ref().unwrap_or(report);
    let mut table = empty(style);
    let width = table.width().map(usize::from).filter(|_| style.screen.terminal && !style.expanded);
    if let Some((narrowed, left_out)) = width.and_then(|width| narrowed(report, width)) {
        fill(&narrowed, style, bar_chars(&narrowed, width), &mut table);
        let note = format!("no room for {}; -x shows every column", left_out.join(", "));
        let note = if page.last && !left_out.is_empty() {
            style.screen.paint("2", &style.screen.wrap(&note, "")) + "\n"
        } else {
            String::new()
        };
        return format!("{table}\n{note}");
    }
    let is_too_wide = width.is_some_and(|width| width < least_width(report));
    // The header of a transposed table names the records.
    if is_too_wide && report.may_turn && !style.no_header {
        let transposed = transposed(report);
        if width.is_some_and(|width| width >= least_width(&transposed)) {
            fill(&transposed, style, None, &mut table);
            return format!("{table}\n");
        }
    }
    if style.expanded || is_too_wide {
        let records: Vec<String> =
            report.rows.iter().map(|row| record(&report.columns, row, style)).collect();
        return if page.first { "" } else { "\n" }.to_owned() + &records.join("\n");
    }
    fill(report, style, bar_chars(report, width), &mut table);
    format!("{table}\n")
}

/// The report with numbers of bytes in KiB, MiB and so on.
fn for_people(report: &Report) -> Report {
    let is_bytes = |unit: Option<&Cell>| matches!(unit, Some(Cell::Text(unit)) if unit.starts_with("bytes"));
    let of = |column: &Column, cell: &Cell, unit| {
        let are_bytes = column.look == Look::Bytes || column.look == Look::Measured && is_bytes(unit);
        let number = match cell {
            Cell::Integer(number) if are_bytes => u64::try_from(*number).ok(),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rate that is shown rounded"
            )]
            Cell::Decimal(number, _) if are_bytes => Some(*number as u64),
            _ => None,
        };
        number.map_or_else(|| cell.clone(), |number| bytes(number).into())
    };
    let mut shown =
        Report { shape: report.shape, may_turn: report.may_turn, ..Report::list(&report.columns) };
    for row in &report.rows {
        let mut cells: Vec<Cell> =
            report.columns.iter().zip(row).map(|(column, cell)| of(column, cell, row.last())).collect();
        // The unit is in the number.
        if report.columns.iter().any(|column| column.look == Look::Measured) && is_bytes(row.last()) {
            let per_second = matches!(row.last(), Some(Cell::Text(unit)) if unit.ends_with("/s"));
            cells.pop();
            cells.push(if per_second { "a second".into() } else { Cell::Null });
        }
        shown.push(cells);
    }
    shown.notes.clone_from(&report.notes);
    shown
}

/// The report transposed: one column for each record, headed by its first field.
fn transposed(report: &Report) -> Report {
    let names = report.rows.iter().map(|row| plain(&row[0]).map(|text| visible(&text).into_owned()));
    let number = |name: Option<String>| Column::new(name.unwrap_or_default().into(), Look::Number);
    let first = Column::new(report.columns[0].name.clone(), Look::Text);
    let columns: Vec<Column> = std::iter::once(first).chain(names.map(number)).collect();
    let mut transposed = Report::list(&columns);
    for (at, column) in report.columns.iter().enumerate().skip(1) {
        let cells = report.rows.iter().map(|row| row[at].clone());
        transposed.push(std::iter::once(Cell::Text(column.name.to_string())).chain(cells).collect());
    }
    transposed
}

/// The report without the details for which this width has no room, and the names of these. `None` if all fit, or if it would
/// be too wide even so.
fn narrowed(report: &Report, width: usize) -> Option<(Report, Vec<&str>)> {
    let needed: Vec<usize> = widths(report)
        .zip(&report.columns)
        .map(|(text, column)| match (column.look, column.detail) {
            (Look::Bar, _) => text + FRAME_CHARS + *BAR_CHARS.start() as usize,
            (_, Some(_)) => text,
            (_, None) => least_column(text, column, report.shape),
        })
        .map(|chars| chars + FRAME_CHARS)
        .collect();
    let is_required = |at: &usize| report.columns[*at].detail.is_none();
    let all = 0..report.columns.len();
    let mut shown: Vec<usize> = all.clone().filter(is_required).collect();
    let mut details: Vec<usize> = all.filter(|at| !is_required(at)).collect();
    details.sort_by_key(|at| report.columns[*at].detail);
    let mut total = 1 + shown.iter().map(|at| needed[*at]).sum::<usize>();
    let mut left_out = Vec::new();
    for at in details {
        if total + needed[at] <= width {
            total += needed[at];
            shown.push(at);
        } else if report.rows.iter().any(|row| row[at] != Cell::Null) {
            left_out.push(&*report.columns[at].name);
        }
    }
    if shown.len() == report.columns.len() {
        return None;
    }
    shown.sort_unstable();
    let columns: Vec<Column> = shown.iter().map(|at| report.columns[*at].clone()).collect();
    let mut narrowed = Report { shape: report.shape, ..Report::list(&columns) };
    for row in &report.rows {
        narrowed.push(shown.iter().map(|at| row[*at].clone()).collect());
    }
    (least_width(&narrowed) <= width).then_some((narrowed, left_out))
}

fn empty(style: Style) -> Table {
    let mut table = Table::new();
    table.load_style(if style.screen.unicode { UTF8_FULL_CONDENSED } else { ASCII_FULL_CONDENSED });
    if style.screen.terminal {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(style.screen.columns).unwrap_or(u16::MAX));
    } else {
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.force_no_tty();
    }
    if style.screen.color {
        table.enforce_styling();
    }
    table
}

fn record(columns: &[Column], row: &[Cell], style: Style) -> String {
    let mut table = empty(style);
    for (column, cell) in columns.iter().zip(row) {
        table.add_row(vec![header(&column.name, style), value(cell, Look::Text, style)]);
    }
    format!("{table}\n")
}

/// The width of each column's texts.
fn widths(report: &Report) -> impl Iterator<Item = usize> {
    report.columns.iter().enumerate().map(|(at, column)| {
        let cells = report.rows.iter().filter_map(move |row| plain(&row[at]));
        cells.map(|text| text.chars().count()).max().unwrap_or(1).max(column.name.len())
    })
}

/// The least width of a readable column. Names are not broken, and neither are the values of a single row.
fn least_column(text: usize, column: &Column, shape: Shape) -> usize {
    match shape {
        Shape::One => text,
        Shape::List => text.min(COLUMN_CHARS).max(column.name.len()),
    }
}

/// The least width for a readable table.
fn least_width(report: &Report) -> usize {
    let columns = widths(report).zip(&report.columns);
    columns.map(|(text, column)| least_column(text, column, report.shape) + FRAME_CHARS).sum::<usize>() + 1
}

/// The longest bar that fits beside all texts; `None` if there is no room.
fn bar_chars(report: &Report, width: Option<usize>) -> Option<u32> {
    let Some(width) = width else { return Some(*BAR_CHARS.end()) };
    let texts = widths(report).map(|width| width + FRAME_CHARS).sum::<usize>() + 1;
    let room = u32::try_from(width.saturating_sub(texts + FRAME_CHARS)).unwrap_or(u32::MAX);
    Some(room.min(*BAR_CHARS.end())).filter(|room| BAR_CHARS.contains(room))
}

fn fill(report: &Report, style: Style, bar_chars: Option<u32>, table: &mut Table) {
    let with_bar = |column: &Column| bar_chars.filter(|_| column.look == Look::Bar);
    if !style.no_header {
        let mut names = Vec::new();
        for column in &report.columns {
            names.push(header(&column.name, style));
            if with_bar(column).is_some() {
                names.push(Shown::new(""));
            }
        }
        table.set_header(names);
    }
    for row in &report.rows {
        let mut cells = Vec::new();
        for (at, (column, cell)) in report.columns.iter().zip(row).enumerate() {
            cells.push(value(cell, column.look, style));
            if let Some(chars) = with_bar(column) {
                let longest = report.rows.iter().map(|row| number(&row[at])).fold(0.0, f64::max);
                let mut bar = Shown::new(bar(number(cell), longest, chars, style.screen.unicode));
                if style.screen.color {
                    bar = bar.fg(Color::Cyan);
                }
                cells.push(bar);
            }
        }
        table.add_row(cells);
    }
}

fn header(name: &str, style: Style) -> Shown {
    let cell = Shown::new(name);
    if style.screen.color { cell.add_attribute(Attribute::Bold) } else { cell }
}

fn value(cell: &Cell, look: Look, style: Style) -> Shown {
    let Some(text) = plain(cell) else {
        let none = Shown::new(visible(&style.null));
        return if style.screen.color { none.add_attribute(Attribute::Dim) } else { none };
    };
    if let (Cell::Bool(truth), Look::Check, true) = (cell, look, style.screen.unicode) {
        let (mark, color) = if *truth { ("✓", Color::Green) } else { ("✗", Color::Red) };
        return if style.screen.color { Shown::new(mark).fg(color) } else { Shown::new(mark) };
    }
    let text = visible(&text);
    let text = if style.screen.unicode { text.into_owned() } else { ascii(&text) };
    let shown = Shown::new(text);
    if matches!(look, Look::Text | Look::Check) { shown } else { shown.set_alignment(CellAlignment::Right) }
}

/// The text for a locale that is not UTF-8: other characters become `?`.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

fn number(cell: &Cell) -> f64 {
    match cell {
        Cell::Decimal(number, _) => *number,
        _ => 0.0,
    }
}

/// A bar in proportion to the value, to an eighth of a character.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 192")]
fn bar(value: f64, longest: f64, chars: u32, unicode: bool) -> String {
    if longest <= 0.0 {
        return String::new();
    }
    let eighths = (value / longest * f64::from(chars * 8)).round() as usize;
    if !unicode {
        return "#".repeat(eighths.div_ceil(8));
    }
    let parts = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    format!("{}{}", "█".repeat(eighths / 8), parts[eighths % 8])
}
