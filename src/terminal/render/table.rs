//! Tables for people. Only this file knows comfy-table.

use comfy_table::presets::{ASCII_FULL_CONDENSED, UTF8_FULL_CONDENSED};
use comfy_table::{Attribute, Cell as Shown, CellAlignment, Color, ContentArrangement, Table};

use super::{Style, plain};
use crate::model::report::{Cell, Column, Look, Report};
use crate::model::text::visible;

/// The length of the longest bar, in characters.
const BAR_CHARS: u32 = 24;

/// A table, or with `-x` one field a line.
pub(super) fn render(report: &Report, style: Style) -> String {
    let mut table = Table::new();
    table.load_style(if style.screen.unicode { UTF8_FULL_CONDENSED } else { ASCII_FULL_CONDENSED });
    if style.screen.terminal {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.force_no_tty();
    }
    if style.screen.color {
        table.enforce_styling();
    }
    if style.expanded {
        expand(report, style, &mut table);
    } else {
        fill(report, style, &mut table);
    }
    format!("{table}\n")
}

fn expand(report: &Report, style: Style, table: &mut Table) {
    for row in &report.rows {
        for (column, cell) in report.columns.iter().zip(row) {
            table.add_row(vec![header(column.name, style), value(cell, Look::Text, style)]);
        }
    }
}

fn fill(report: &Report, style: Style, table: &mut Table) {
    let with_bar = |column: &Column| column.look == Look::Bar;
    if !style.no_header {
        let mut names = Vec::new();
        for column in &report.columns {
            names.push(header(column.name, style));
            if with_bar(column) {
                names.push(Shown::new(""));
            }
        }
        table.set_header(names);
    }
    for row in &report.rows {
        let mut cells = Vec::new();
        for (at, (column, cell)) in report.columns.iter().zip(row).enumerate() {
            cells.push(value(cell, column.look, style));
            if with_bar(column) {
                let longest = report.rows.iter().map(|row| number(&row[at])).fold(0.0, f64::max);
                let mut bar = Shown::new(bar(number(cell), longest, style.screen.unicode));
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
        let none = Shown::new("-");
        return if style.screen.color { none.add_attribute(Attribute::Dim) } else { none };
    };
    let text = visible(&text);
    let text = if style.screen.unicode { text.into_owned() } else { ascii(&text) };
    let shown = Shown::new(text);
    if look == Look::Text { shown } else { shown.set_alignment(CellAlignment::Right) }
}

/// For a locale that has no more: what it cannot show becomes `?`.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

fn number(cell: &Cell) -> f64 {
    match cell {
        Cell::Decimal(number, _) => *number,
        _ => 0.0,
    }
}

/// A bar as long as the value is large, to an eighth of a character.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 192")]
fn bar(value: f64, longest: f64, unicode: bool) -> String {
    if longest <= 0.0 {
        return String::new();
    }
    let eighths = (value / longest * f64::from(BAR_CHARS * 8)).round() as usize;
    if !unicode {
        return "#".repeat(eighths.div_ceil(8));
    }
    let parts = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    format!("{}{}", "█".repeat(eighths / 8), parts[eighths % 8])
}
