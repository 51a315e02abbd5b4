//! CSV (RFC 4180) and TSV (the text format of Postgres's COPY).
//!
//! Both distinguish a missing value from an empty text, as COPY does: CSV quotes the empty text, TSV writes `\N`, so
//! that `read` in a shell never loses a column.

use super::{Style, TablePage, plain};
use crate::model::report::{Cell, Report};
use crate::model::text::{visible, visible_lines};

/// Comma-separated lines.
pub(super) fn csv(report: &Report, style: Style, page: TablePage) -> String {
    lines(report, style, page, ',', |cell| {
        let Some(text) = plain(cell) else { return String::new() };
        let text = if style.screen.terminal { visible_lines(&text).into_owned() } else { text };
        if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text
        }
    })
}

/// Tab-separated lines.
pub(super) fn tsv(report: &Report, style: Style, page: TablePage) -> String {
    lines(report, style, page, '\t', |cell| {
        let Some(text) = plain(cell) else { return "\\N".into() };
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                c if style.screen.terminal => out.push_str(&visible(c.encode_utf8(&mut [0; 4]))),
                c => out.push(c),
            }
        }
        out
    })
}

fn lines(
    report: &Report,
    style: Style,
    page: TablePage,
    separator: char,
    field: impl Fn(&Cell) -> String,
) -> String {
    let separator = separator.to_string();
    let mut out = String::new();
    let mut line = |fields: Vec<String>| {
        out += &fields.join(&separator);
        out.push('\n');
    };
    if style.expanded {
        for (at, row) in report.rows.iter().enumerate() {
            if at > 0 || !page.first {
                line(Vec::new());
            }
            for (column, cell) in report.columns.iter().zip(row) {
                line(vec![column.name.to_string(), field(cell)]);
            }
        }
        return out;
    }
    if page.first && style.has_header() {
        line(report.columns.iter().map(|column| column.name.to_string()).collect());
    }
    for row in &report.rows {
        line(row.iter().map(&field).collect());
    }
    out
}
