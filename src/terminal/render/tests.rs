//! Tests of each format with a report of values that are hard to write.

use super::{Style, TablePage};
use crate::model::report::{Cell, Column, NullText, Report};
use crate::settings::Format;
use crate::terminal::output::Screen;

const FILE: Screen = Screen { terminal: false, color: false, can_move: false, unicode: true, columns: 80 };
const TERMINAL: Screen = Screen { terminal: true, color: false, can_move: true, unicode: true, columns: 80 };

fn render(report: &Report, style: Style) -> String {
    super::render(report, style, TablePage::WHOLE)
}

fn hostile() -> Report {
    let columns =
        [Column::text("name"), Column::number("rows"), Column::bar("share_pct"), Column::text("found_on")];
    let mut report = Report::list(&columns);
    let list = |items: &[&str]| Cell::List(items.iter().map(ToString::to_string).collect());
    report.push(vec!["O'Brien, \"Bob\"".into(), 1_i64.into(), Cell::Decimal(50.0, 2), list(&["a", "b"])]);
    report.push(vec!["tab\tline\nback\\slash".into(), Cell::Null, Cell::Decimal(12.5, 2), list(&[])]);
    report.push(vec!["\x1b[31mred\u{202e}\u{9b}".into(), (-5_i64).into(), Cell::Null, list(&["c"])]);
    report.push(vec!["".into(), 0_i64.into(), Cell::Decimal(0.0, 2), list(&["漢字"])]);
    report
}

fn style(format: Format, screen: Screen) -> Style {
    let null = NullText::from("-").expect("it is short");
    Style { format, no_header: false, expanded: false, null, screen }
}

/// The text with each control character but the line break as `<hex>`.
fn marked(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => "\n".into(),
            c if c.is_control() || c == '\u{202e}' => format!("<{:x}>", c as u32),
            c => c.to_string(),
        })
        .collect()
}

#[test]
fn every_format_of_hostile_data() {
    let report = hostile();
    for (name, style) in [
        ("table", style(Format::Table, FILE)),
        ("table_ascii", style(Format::Table, Screen { unicode: false, ..FILE })),
        ("table_color", style(Format::Table, Screen { color: true, ..FILE })),
        ("json", style(Format::Json, FILE)),
        ("jsonl", style(Format::Jsonl, FILE)),
        ("csv", style(Format::Csv, FILE)),
        ("csv_terminal", style(Format::Csv, TERMINAL)),
        ("tsv", style(Format::Tsv, FILE)),
        ("tsv_terminal", style(Format::Tsv, TERMINAL)),
        ("tsv_expanded", Style { expanded: true, ..style(Format::Tsv, FILE) }),
        ("table_expanded", Style { expanded: true, ..style(Format::Table, FILE) }),
        (
            "table_null",
            Style { null: NullText::from("(null)").expect("it is short"), ..style(Format::Table, FILE) },
        ),
        ("markdown", style(Format::Markdown, FILE)),
        ("markdown_expanded", Style { expanded: true, ..style(Format::Markdown, FILE) }),
        ("auto_off_terminal", style(Format::Auto, FILE)),
    ] {
        insta::assert_snapshot!(name, marked(&render(&report, style)));
    }
}

#[test]
fn nothing_raw_reaches_a_terminal() {
    let report = hostile();
    for format in [Format::Auto, Format::Table, Format::Json, Format::Jsonl, Format::Csv, Format::Tsv] {
        let text = render(&report, style(format, TERMINAL));
        assert!(!text.contains(['\x1b', '\u{202e}', '\u{9b}']), "{format:?}: {text:?}");
    }
}

#[test]
fn one_row_is_an_object_and_no_rows_an_empty_array() {
    let one = Report::one(&[Column::number("rows")], vec![3_i64.into()]);
    assert_eq!(render(&one, style(Format::Json, FILE)), "{\"rows\": 3}\n");
    let none = Report::list(&[Column::number("rows")]);
    assert_eq!(render(&none, style(Format::Json, FILE)), "[]\n");
    assert_eq!(render(&Report::note("x"), style(Format::Json, FILE)), "");
}

#[test]
fn a_list_in_pieces_reads_as_one() {
    let whole = hostile();
    let mut pieces = [hostile(), hostile(), hostile()];
    pieces[0].rows.truncate(3);
    pieces[1].rows.drain(..3);
    pieces[2].rows.clear();
    for (format, expanded) in [
        (Format::Json, false),
        (Format::Jsonl, false),
        (Format::Csv, false),
        (Format::Tsv, false),
        (Format::Tsv, true),
        (Format::Table, true),
    ] {
        let style = Style { expanded, ..style(format, FILE) };
        let render = |at: usize, last| super::render(&pieces[at], style, TablePage { first: at == 0, last });
        let in_pieces = render(0, false) + &render(1, false) + &render(2, true);
        assert_eq!(in_pieces, super::render(&whole, style, TablePage::WHOLE), "{format:?}");
    }
    let none = Report::list(&[Column::number("rows")]);
    assert_eq!(
        super::render(&none, style(Format::Json, FILE), TablePage { first: false, last: true }),
        "\n]\n"
    );
}

#[test]
fn a_table_leaves_out_details_until_it_fits() {
    let columns = [
        Column::text("shard"),
        Column::bar("share_pct"),
        Column::number("ratio").detail(3),
        Column::number("rows"),
        Column::bytes("size_bytes"),
        Column::text("url").detail(1),
        Column::number("weight").detail(2),
        Column::text("down_since").detail(4),
    ];
    let mut report = Report::list(&columns);
    for (name, share, rows) in [("shard_1", 0.5, 2_000_000_i64), ("shard_2", 0.25, 1), ("shard_3", 0.25, 0)] {
        report.push(vec![
            name.into(),
            Cell::percent(share),
            Cell::Decimal(share * 3.0, 3),
            rows.into(),
            (rows * 90).into(),
            format!("postgresql://app@db.example/{name}").into(),
            Cell::Decimal(1.0, 2),
            Cell::Null,
        ]);
    }
    let at = |columns| {
        let text = render(&report, style(Format::Table, Screen { columns, ..TERMINAL }));
        assert!(text.lines().all(|line| line.chars().count() <= columns), "{text}");
        text
    };
    insta::assert_snapshot!("details", [40, 60, 80, 120, 160].map(at).join("\n"));
    let off_terminal = render(&report, style(Format::Table, FILE));
    assert!(off_terminal.contains("down_since") && !off_terminal.contains("no room"), "{off_terminal}");
    let expanded = render(&report, Style { expanded: true, ..style(Format::Table, TERMINAL) });
    assert!(expanded.contains("url") && expanded.contains("172 MiB"), "{expanded}");
}
