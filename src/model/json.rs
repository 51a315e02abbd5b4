//! Cells as JSON, spaced as the Python prototype prints it: `{"user_id": 1, "name": "Alice"}`.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::report::{Cell, Column};
use super::text::visible;

/// A row as an object.
pub fn object(columns: &[Column], row: &[Cell]) -> String {
    let fields: Vec<String> = columns
        .iter()
        .zip(row)
        .map(|(column, cell)| format!("{}: {}", string(&column.name), value(cell)))
        .collect();
    format!("{{{}}}", fields.join(", "))
}

/// A cell as a value.
pub fn value(cell: &Cell) -> String {
    match cell {
        Cell::Null => "null".into(),
        Cell::Text(text) => string(text),
        // `NaN` and `Infinity` are no JSON.
        Cell::Number(text) if !text.parse().is_ok_and(f64::is_finite) => string(text),
        Cell::Number(text) => text.clone(),
        Cell::Bool(truth) => truth.to_string(),
        Cell::Integer(number) => number.to_string(),
        Cell::Decimal(number, _) if !number.is_finite() => "null".into(),
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
pub fn string(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a text is JSON");
    if visible(&quoted) == quoted {
        return quoted;
    }
    let mut out = String::with_capacity(quoted.len() + 8);
    for c in quoted.chars() {
        match visible(c.encode_utf8(&mut [0; 4])) {
            Cow::Borrowed(_) => out.push(c),
            Cow::Owned(_) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("a string takes all");
                }
            }
        }
    }
    out
}
