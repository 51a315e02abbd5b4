//! The report of a command: a value, which renderers turn into text.
//!
//! A report knows no terminals, colors or formats, and a renderer knows no commands. Large data is a stream: rows or text
//! that are made while they are written.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

use arrayvec::ArrayString;

use super::ring::position::Position;
use crate::error::{Error, Result};

/// What a table shows in place of a missing value.
pub type NullText = ArrayString<16>;

/// One value of a report.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Missing or unknown.
    Null,
    /// Text; renderers escape it for their format.
    Text(String),
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number of any size, as the server wrote it.
    Number(String),
    /// A number with this many decimal places.
    Decimal(f64, usize),
    /// Several texts.
    List(Vec<String>),
    /// A nested list; only in [`Report::whole`].
    Table(Vec<Column>, Vec<Vec<Cell>>),
}

impl Cell {
    /// A share of 0 to 1 as a percentage with two decimal places.
    pub fn percent(share: f64) -> Self {
        Self::Decimal(share * 100.0, 2)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

/// A count, which is less than `i64::MAX`.
impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Self::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<bool> for Cell {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

/// As text, as many JSON readers lose bits of 128-bit numbers.
impl From<Position> for Cell {
    fn from(position: Position) -> Self {
        Self::Text(position.to_string())
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// How to show a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Flush left.
    Text,
    /// Flush right.
    Number,
    /// A number of bytes, which a table for people shows in KiB, MiB and so on.
    Bytes,
    /// A number in the unit that the last column names: bytes and bytes a second are shown as [`Look::Bytes`].
    Measured,
    /// A number, with a bar if there is room.
    Bar,
    /// Yes or no, as a tick or a cross if there is room.
    Check,
}

/// A column. Its name is also the JSON key; scripts rely on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name.
    pub name: Cow<'static, str>,
    /// How to show it.
    pub look: Look,
    /// If a table that is too wide may leave it out: the rank of the column among these; 1 is left out last.
    pub detail: Option<u8>,
}

impl Column {
    /// A column.
    pub const fn new(name: Cow<'static, str>, look: Look) -> Self {
        Self { name, look, detail: None }
    }

    /// A column of texts.
    pub const fn text(name: &'static str) -> Self {
        Self::new(Cow::Borrowed(name), Look::Text)
    }

    /// A column of numbers.
    pub const fn number(name: &'static str) -> Self {
        Self::new(Cow::Borrowed(name), Look::Number)
    }

    /// A column of numbers of bytes.
    pub const fn bytes(name: &'static str) -> Self {
        Self::new(Cow::Borrowed(name), Look::Bytes)
    }

    /// A column of numbers in the unit of the last column.
    pub const fn measured(name: &'static str) -> Self {
        Self::new(Cow::Borrowed(name), Look::Measured)
    }

    /// A column of yes and no.
    pub const fn check(name: &'static str) -> Self {
        Self::new(Cow::Borrowed(name), Look::Check)
    }

    /// A column of numbers with bars.
    pub const fn bar(name: &'static str) -> Self {
        Self::new(Cow::Borrowed(name), Look::Bar)
    }

    /// The column as one that a table that is too wide may leave out; 1 is left out last.
    #[must_use]
    pub const fn detail(mut self, rank: u8) -> Self {
        self.detail = Some(rank);
        self
    }
}

/// Whether a report is one record or a list: JSON has an object or an array, whatever the number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Exactly one row.
    One,
    /// Any number of rows.
    List,
}

/// Rows that are made while they are written; an error ends them.
pub struct RowStream(Box<dyn Iterator<Item = Result<Vec<Cell>>>>);

impl RowStream {
    /// The rows of an iterator.
    pub fn new(rows: impl Iterator<Item = Result<Vec<Cell>>> + 'static) -> Self {
        Self(Box::new(rows))
    }
}

impl Iterator for RowStream {
    type Item = Result<Vec<Cell>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl fmt::Debug for RowStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowStream")
    }
}

/// Why a stream of text ended early.
#[derive(Debug)]
pub enum StreamEnd {
    /// It could not be written.
    Unwritable(io::Error),
    /// It could not be made.
    Failed(Error),
}

impl From<io::Error> for StreamEnd {
    fn from(cause: io::Error) -> Self {
        Self::Unwritable(cause)
    }
}

impl From<Error> for StreamEnd {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

type WriteAll = dyn FnOnce(&mut dyn Write) -> std::result::Result<(), StreamEnd>;

/// Text to be written as it is, whatever the format.
pub enum Document {
    /// A complete text, such as a completion script.
    Text(String),
    /// A text to be read, whose lines are joined and wrapped for a narrow terminal.
    Prose(String),
    /// A text that is made while it is written, such as an export.
    Stream(Box<WriteAll>),
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Prose(text) => f.debug_tuple("Text").field(text).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// The report of a command.
#[derive(Debug)]
pub struct Report {
    /// One or a list.
    pub shape: Shape,
    /// The columns; empty if the command has no data.
    pub columns: Vec<Column>,
    /// The rows, each with one cell for each column.
    pub rows: Vec<Vec<Cell>>,
    /// Further rows, as a stream.
    pub more: Option<RowStream>,
    /// Text instead of rows.
    pub document: Option<Document>,
    /// The same data and more as one record, with nested lists, for formats that nest.
    pub whole: Option<Box<Report>>,
    /// Whether a table that is too wide may show each record as a column.
    pub may_turn: bool,
    /// Notes for the reader of a table: what it means, what to do next. Never data.
    pub notes: Vec<String>,
    /// Errors that did not stop the command, such as a shard that is down.
    pub warnings: Vec<Error>,
    /// Why the command fails, although it has data to show.
    pub failure: Option<Error>,
}

impl Report {
    /// An empty list with these columns.
    pub fn list(columns: &[Column]) -> Self {
        Self {
            shape: Shape::List,
            columns: columns.to_vec(),
            rows: Vec::new(),
            more: None,
            document: None,
            whole: None,
            may_turn: false,
            notes: Vec::new(),
            warnings: Vec::new(),
            failure: None,
        }
    }

    /// One record.
    pub fn one(columns: &[Column], row: Vec<Cell>) -> Self {
        let mut report = Self { shape: Shape::One, ..Self::list(columns) };
        report.push(row);
        report
    }

    /// No data, only a note.
    pub fn note(text: impl Into<String>) -> Self {
        Self { notes: vec![text.into()], ..Self::list(&[]) }
    }

    /// No data, only a text.
    pub fn document(text: Document) -> Self {
        Self { document: Some(text), ..Self::list(&[]) }
    }

    /// A list whose rows are made while they are written.
    pub fn stream(columns: &[Column], rows: RowStream) -> Self {
        Self { more: Some(rows), ..Self::list(columns) }
    }

    /// Adds a row.
    pub fn push(&mut self, row: Vec<Cell>) {
        assert_eq!(row.len(), self.columns.len(), "a row has a cell for each column");
        self.rows.push(row);
    }
}
