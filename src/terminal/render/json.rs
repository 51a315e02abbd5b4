//! Reports as JSON: an array or an object, or one object per line.

use super::TablePage;
use crate::model::json::object;
use crate::model::report::{Report, Shape};

/// One object, or an array with one object per line.
pub(super) fn render(report: &Report, page: TablePage) -> String {
    if let Some(whole) = &report.whole {
        return render(whole, page);
    }
    let objects: Vec<String> = report.rows.iter().map(|row| object(&report.columns, row)).collect();
    if report.shape == Shape::One {
        return objects.join("\n") + "\n";
    }
    let mut out = String::new();
    if !objects.is_empty() {
        out += if page.first { "[\n  " } else { ",\n  " };
        out += &objects.join(",\n  ");
    }
    if page.last {
        out += if page.first && objects.is_empty() { "[]\n" } else { "\n]\n" };
    }
    out
}

/// One object per line.
pub(super) fn render_lines(report: &Report) -> String {
    if let Some(whole) = &report.whole {
        return render_lines(whole);
    }
    report.rows.iter().map(|row| object(&report.columns, row) + "\n").collect()
}
