//! Reports as text: one renderer a format. A renderer never learns about a command.

mod delimited;
mod json;
mod table;

use super::output::Screen;
use crate::model::json::value;
use crate::model::report::{Cell, Report};
use crate::settings::Format;

/// How to write a report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) format: Format,
    pub(super) no_header: bool,
    pub(super) expanded: bool,
    pub(super) screen: Screen,
}

impl Style {
    /// The format that `auto` stands for here.
    pub(super) fn effective_format(self) -> Format {
        match self.format {
            Format::Auto if self.screen.terminal => Format::Table,
            Format::Auto => Format::Tsv,
            format => format,
        }
    }

    /// Whether a program reads this, and so stderr too.
    pub(super) fn is_json(self) -> bool {
        self.effective_format().is_json()
    }

    fn has_header(self) -> bool {
        // Off a terminal `auto` is for `while read`.
        !(self.no_header || self.format == Format::Auto && !self.screen.terminal)
    }
}

/// Which part of a long list is at hand. A short one is first and last at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct TablePage {
    pub(super) first: bool,
    pub(super) last: bool,
}

impl TablePage {
    /// All of it.
    pub(super) const WHOLE: Self = Self { first: true, last: true };
}

/// The rows that a report holds, as text. Empty if it is not about data.
pub(super) fn render(report: &Report, style: Style, piece: TablePage) -> String {
    if report.columns.is_empty() {
        return String::new();
    }
    match style.effective_format() {
        Format::Auto | Format::Table => table::render(report, style, piece),
        Format::Json => json::render(report, piece),
        Format::Jsonl => json::render_lines(report),
        Format::Csv => delimited::csv(report, style, piece),
        Format::Tsv => delimited::tsv(report, style, piece),
    }
}

/// A cell as plain text, before any escaping; `None` for [`Cell::Null`] and a list of nothing.
fn plain(cell: &Cell) -> Option<String> {
    Some(match cell {
        Cell::Null => return None,
        Cell::Text(text) | Cell::Number(text) => text.clone(),
        Cell::Bool(truth) => if *truth { "yes" } else { "no" }.into(),
        Cell::Integer(number) => number.to_string(),
        Cell::Decimal(number, places) => format!("{number:.places$}"),
        Cell::List(items) if items.is_empty() => return None,
        Cell::List(items) => items.join(","),
        Cell::Table(..) => value(cell),
    })
}

#[cfg(test)]
mod tests;
