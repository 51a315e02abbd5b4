//! What a command answers with: a value, which the renderers make text of.
//!
//! A report knows nothing of terminals, colours or formats, and a renderer knows nothing of commands. What is
//! too long for memory is a stream: rows or text that are made while they are written.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

use super::ring::position::Position;
use crate::error::{Error, Result};

/// One value of a report.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Not given, or not known.
    Null,
    /// Text as it is; renderers escape what the format needs.
    Text(String),
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number as a server wrote it, of any size.
    Number(String),
    /// A number to be shown with this many decimal places.
    Decimal(f64, usize),
    /// Several texts, such as the shards that hold a row.
    List(Vec<String>),
    /// A list of its own. Only a [`Report::whole`] has such cells.
    Table(Vec<Column>, Vec<Vec<Cell>>),
}

impl Cell {
    /// A share of 0 to 1 as per cent, with two decimal places.
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

/// As text: 128 bits are more than a JSON reader can be trusted with.
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

/// How a column likes to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Flush left.
    Text,
    /// Flush right.
    Number,
    /// A number that a table may leave out where there is no room for all columns.
    Detail,
    /// A number, with a bar of that length beside it where there is room for pictures.
    Bar,
    /// Yes or no, as a tick or a cross where there is room for pictures.
    Check,
}

/// A column: its name is also the JSON key, and a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name.
    pub name: Cow<'static, str>,
    /// How it likes to be shown.
    pub look: Look,
}

impl Column {
    /// A column of texts.
    pub const fn text(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), look: Look::Text }
    }

    /// A column of numbers.
    pub const fn number(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), look: Look::Number }
    }

    /// A column of numbers that a table may leave out.
    pub const fn detail(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), look: Look::Detail }
    }

    /// A column of yes and no, worth a tick or a cross.
    pub fn check(name: &'static str) -> Self {
        Self { look: Look::Check, ..Self::text(name) }
    }

    /// A column of numbers worth a picture.
    pub const fn bar(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), look: Look::Bar }
    }
}

/// Whether a report is about one thing or a list of them: JSON has an object for the one, an array for
/// the other, whatever the number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Exactly one row.
    One,
    /// Any number of rows.
    List,
}

/// Rows that are made while they are written: each a row, or why there are no more.
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
    /// All of it: a completion script.
    Text(String),
    /// Made while it is written: an export.
    Stream(Box<WriteAll>),
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// The answer of a command.
#[derive(Debug)]
pub struct Report {
    /// One or a list.
    pub shape: Shape,
    /// The columns; none at all for a command that has no data to show.
    pub columns: Vec<Column>,
    /// As many cells a row as there are columns.
    pub rows: Vec<Vec<Cell>>,
    /// The rows behind those.
    pub more: Option<RowStream>,
    /// Text instead of rows.
    pub document: Option<Document>,
    /// The same and more as one thing, for formats that nest: lists stand within it.
    pub whole: Option<Box<Report>>,
    /// Whether it may lie on its side, a record a column, where a table would be too wide: a few records of many fields.
    pub may_turn: bool,
    /// Sentences for a person who looks at a table: what it means, what to try next. Never data.
    pub notes: Vec<String>,
    /// What went wrong without stopping the command, such as a shard that is down.
    pub warnings: Vec<Error>,
    /// Why the command fails after all, although it has something to show.
    pub failure: Option<Error>,
}

impl Report {
    /// A list with these columns, still empty.
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

    /// One thing.
    pub fn one(columns: &[Column], row: Vec<Cell>) -> Self {
        let mut report = Self { shape: Shape::One, ..Self::list(columns) };
        report.push(row);
        report
    }

    /// No data, only a sentence.
    pub fn note(text: impl Into<String>) -> Self {
        Self { notes: vec![text.into()], ..Self::list(&[]) }
    }

    /// No data, only a text to be written as it is.
    pub fn document(text: String) -> Self {
        Self { document: Some(Document::Text(text)), ..Self::list(&[]) }
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
