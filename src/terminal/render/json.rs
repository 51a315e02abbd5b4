//! JSON, spaced as the seed's prototype prints it: `{"user_id": 1, "name": "Alice"}`.

use std::fmt::Write as _;

use super::TablePage;
use crate::model::report::{Cell, Column, Report, Shape};
use crate::model::text::visible;

/// One object, or an array with an object a line.
pub(super) fn render(report: &Report, piece: TablePage) -> String {
    if let Some(whole) = &report.whole {
        return render(whole, piece);
    }
    let objects: Vec<String> = report.rows.iter().map(|row| object(&report.columns, row)).collect();
    if report.shape == Shape::One {
        return objects.join("\n") + "\n";
    }
    let mut out = String::new();
    if !objects.is_empty() {
        out += if piece.first { "[\n  " } else { ",\n  " };
        out += &objects.join(",\n  ");
    }
    if piece.last {
        out += if piece.first && objects.is_empty() { "[]\n" } else { "\n]\n" };
    }
    out
}

/// One object a line.
pub(super) fn render_lines(report: &Report) -> String {
    if let Some(whole) = &report.whole {
        return render_lines(whole);
    }
    report.rows.iter().map(|row| object(&report.columns, row) + "\n").collect()
}

fn object(columns: &[Column], row: &[Cell]) -> String {
    let fields: Vec<String> = columns
        .iter()
        .zip(row)
        .map(|(column, cell)| format!("{}: {}", string(&column.name), value(cell)))
        .collect();
    format!("{{{}}}", fields.join(", "))
}

pub(super) fn value(cell: &Cell) -> String {
    match cell {
        Cell::Null => "null".into(),
        Cell::Text(text) => string(text),
        // `NaN` and `Infinity` are no JSON.
        Cell::Number(text) if !text.parse().is_ok_and(f64::is_finite) => string(text),
        Cell::Number(text) => text.clone(),
        Cell::Bool(truth) => truth.to_string(),
        Cell::Integer(number) => number.to_string(),
        Cell::Decimal(number, places) => format!("{number:.places$}"),
        Cell::List(items) => {
            let items: Vec<String> = items.iter().map(|item| string(item)).collect();
            format!("[{}]", items.join(", "))
        }
        Cell::Table(columns, rows) => {
            let objects: Vec<String> = rows.iter().map(|row| object(columns, row)).collect();
            format!("[{}]", objects.join(", "))
        }
    }
}

/// A JSON string. What could drive a terminal is escaped although JSON would let it pass.
pub(in crate::terminal) fn string(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a text is JSON");
    if visible(&quoted) == quoted {
        return quoted;
    }
    let mut out = String::with_capacity(quoted.len() + 8);
    for c in quoted.chars() {
        match visible(c.encode_utf8(&mut [0; 4])) {
            std::borrow::Cow::Borrowed(_) => out.push(c),
            std::borrow::Cow::Owned(_) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("a string takes all");
                }
            }
        }
    }
    out
}
