//! Tables of Markdown, as in the specification of GitHub Flavored Markdown ("Tables (extension)").

use super::{Style, TablePage, plain};
use crate::model::report::{Cell, Look, Report};
use crate::model::text::visible;

/// A table; with `-x`, one with a row for each field.
pub(super) fn render(report: &Report, style: Style, page: TablePage) -> String {
    let mut out = String::new();
    let mut line = |fields: Vec<String>| {
        out.extend(["| ", &fields.join(" | "), " |\n"]);
    };
    if style.expanded {
        for row in &report.rows {
            line(vec!["field".into(), "value".into()]);
            line(vec!["---".into(), "---".into()]);
            for (column, cell) in report.columns.iter().zip(row) {
                line(vec![text(&column.name), value(cell)]);
            }
        }
        // A blank line ends a table.
        return out.replace("\n| field | value |\n| --- |", "\n\n| field | value |\n| --- |");
    }
    if page.first {
        line(report.columns.iter().map(|column| text(&column.name)).collect());
        let is_left = |look| matches!(look, Look::Text | Look::Check);
        line(report.columns.iter().map(|of| if is_left(of.look) { "---" } else { "---:" }.into()).collect());
    }
    for row in &report.rows {
        line(row.iter().map(value).collect());
    }
    out
}

fn value(cell: &Cell) -> String {
    plain(cell).map_or_else(String::new, |value| text(&value))
}

/// A text in which nothing is markup, and which stays in its cell.
fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for part in value.split_inclusive('\n') {
        let (part, end) = part.strip_suffix('\n').map_or((part, ""), |part| (part, "<br>"));
        for c in visible(part).chars() {
            match c {
                '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '~' => out.extend(['\\', c]),
                '<' => out += "&lt;",
                '&' => out += "&amp;",
                c => out.push(c),
            }
        }
        out += end;
    }
    out
}
