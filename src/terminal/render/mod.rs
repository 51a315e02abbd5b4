//! Reports as text: one renderer for each format. A renderer knows no command.

mod delimited;
mod json;
mod markdown;
mod table;

use super::output::Screen;
use crate::model::json::value;
use crate::model::report::{Cell, NullText, Report};
use crate::settings::Format;

/// The style of a report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) format: Format,
    pub(super) no_header: bool,
    pub(super) expanded: bool,
    /// What a table for people shows in place of a missing value.
    pub(super) null: NullText,
    pub(super) screen: Screen,
}

impl Style {
    /// The format, with `auto` resolved.
    pub(super) fn effective_format(self) -> Format {
        match self.format {
            Format::Auto if self.screen.terminal => Format::Table,
            Format::Auto => Format::Tsv,
            format => format,
        }
    }

    /// Whether the output is JSON, and therefore errors too.
    pub(super) fn is_json(self) -> bool {
        self.effective_format().is_json()
    }

    fn has_header(self) -> bool {
        // If stdout is not a terminal, `auto` serves shell loops.
        !(self.no_header || self.format == Format::Auto && !self.screen.terminal)
    }
}

/// The position of a page in a list. A short list is one page, the first and the last.
#[derive(Debug, Clone, Copy)]
pub(super) struct TablePage {
    pub(super) first: bool,
    pub(super) last: bool,
}

impl TablePage {
    /// The only page.
    pub(super) const WHOLE: Self = Self { first: true, last: true };
}

/// The rows of a report as text. Empty for a report without columns.
pub(super) fn render(report: &Report, style: Style, page: TablePage) -> String {
    if report.columns.is_empty() {
        return String::new();
    }
    match style.effective_format() {
        Format::Auto | Format::Table => table::render(report, style, page),
        Format::Json => json::render(report, page),
        Format::Jsonl => json::render_lines(report),
        Format::Csv => delimited::csv(report, style, page),
        Format::Tsv => delimited::tsv(report, style, page),
        Format::Markdown => markdown::render(report, style, page),
    }
}

/// A cell as plain text, before escaping; `None` for [`Cell::Null`] and an empty list.
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
