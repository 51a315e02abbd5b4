//! The rows of a file for any table: CSV with a header, or JSON lines. Only the sharding key of a row is read; the rest goes to
//! Postgres as it stands.

use std::io::Read;

use serde_json::Value;

use super::FileFormat;
use super::csv::Splitter;
use super::frames::{Frame, Frames};
use crate::error::{Error, Kind, Result};
use crate::model::table::ShardingKey;

/// The separators that are recognised in a header, in this order.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// The longest row.
const ROW_BYTES_MAX: usize = 256 << 20;

/// A row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// The number of its first line.
    pub line: u64,
    /// Its text, without the line's end.
    pub text: String,
    /// The text of its sharding key, as Postgres writes it.
    pub key: String,
}

/// What stands in a file in the place of a row.
#[derive(Debug)]
pub struct BadRow {
    /// Its bytes, without the line's end.
    pub raw: Vec<u8>,
    /// Why it is no row.
    pub error: Error,
}

/// The rows of a file.
pub struct FileRows {
    name: String,
    header: Option<Vec<u8>>,
    frames: Frames,
    format: FileFormat,
    columns: Vec<String>,
    splitter: Splitter,
    key: ShardingKey,
    key_at: usize,
}

impl FileRows {
    /// Detects the format of a file, and reads its columns: from the header, or from the first object. `name` is for errors.
    pub fn new(name: &str, input: Box<dyn Read + Send>, key: &ShardingKey) -> Result<Self> {
        let mut rows = Self {
            name: name.to_owned(),
            header: None,
            frames: Frames::with_limit(input, ROW_BYTES_MAX),
            format: FileFormat::JsonLines,
            columns: Vec::new(),
            splitter: Splitter::new(b','),
            key: key.clone(),
            key_at: 0,
        };
        let Some(frame) = rows.peek()? else {
            return Err(rows.bad(1, "the file is empty").hint("CSV starts with a header of columns"));
        };
        let head = rows.text(&frame)?.trim_start_matches('\u{feff}').to_owned();
        if head.trim_start().starts_with('{') {
            rows.columns = rows.object(&head, frame.line)?.keys().cloned().collect();
        } else {
            rows.read_header(&head)?;
            rows.header = Some(head.into_bytes());
            rows.format = FileFormat::Csv;
            rows.frames.pass(&frame);
            rows.frames.mind_quotes();
        }
        let at = rows.columns.iter().position(|column| *column == rows.key.column);
        rows.key_at = at.ok_or_else(|| {
            let why = format!("there is no column `{}`, the sharding key", rows.key.column);
            rows.bad(frame.line, &why).hint("name the columns as the table does, in the same case")
        })?;
        Ok(rows)
    }

    /// The columns of the file, in its order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The format.
    pub fn format(&self) -> FileFormat {
        self.format
    }

    /// The separator of a CSV file.
    pub fn separator(&self) -> char {
        char::from(self.splitter.separator)
    }

    /// The header of a CSV file as it stands there, without its end.
    pub fn header(&self) -> Option<&[u8]> {
        self.header.as_deref()
    }

    /// The next row, or what stands in its place.
    pub fn next_row(&mut self) -> Result<Option<Result<FileRow, BadRow>>> {
        let Some(frame) = self.peek()? else { return Ok(None) };
        let parsed = self.parse(&frame);
        let row = parsed.map_err(|error| BadRow { raw: self.frames.bytes(&frame).to_vec(), error });
        self.frames.pass(&frame);
        Ok(Some(row))
    }

    fn parse(&mut self, frame: &Frame) -> Result<FileRow> {
        let text = self.text(frame)?.to_owned();
        let line = frame.line;
        let key = match self.format {
            FileFormat::Csv => {
                self.splitter.split(&text).map_err(|why| self.bad(line, why))?;
                self.splitter.text(&text, self.key_at).map(ToOwned::to_owned)
            }
            FileFormat::JsonLines => {
                let object = self.object(&text, line)?;
                self.require_fields_of_first(&object, line)?;
                match object.get(&self.key.column) {
                    None | Some(Value::Null) => None,
                    Some(Value::String(key)) => Some(key.clone()),
                    Some(other) => Some(other.to_string()),
                }
            }
        };
        let key =
            key.ok_or_else(|| self.bad(line, &format!("no `{}`, the sharding key", self.key.column)))?;
        let key = self.key.of.canonical(&key).map_err(|why| self.bad(line, &why))?;
        Ok(FileRow { line, text, key })
    }

    /// The error for a line that is not a row: `FILE:LINE: why`.
    pub fn bad(&self, line: u64, why: &str) -> Error {
        Error::new(Kind::BadInput, format!("{}:{line}: {why}", self.name))
    }

    fn peek(&mut self) -> Result<Option<Frame>> {
        self.frames
            .peek()
            .map_err(|cause| Error::new(Kind::BadInput, format!("cannot read `{}`: {cause}", self.name)))
    }

    fn text(&self, frame: &Frame) -> Result<&str> {
        if let Some(why) = frame.broken {
            return Err(self.bad(frame.line, why));
        }
        std::str::from_utf8(self.frames.bytes(frame)).map_err(|_| {
            self.bad(frame.line, "not UTF-8").hint("save the file as UTF-8, or convert it with iconv")
        })
    }

    fn object(&self, text: &str, line: u64) -> Result<serde_json::Map<String, Value>> {
        serde_json::from_str(text).map_err(|cause| self.bad(line, &format!("not a JSON object: {cause}")))
    }

    /// Fails if an object has other fields than the first one: they would be left out, or overwrite values with NULL.
    fn require_fields_of_first(&self, object: &serde_json::Map<String, Value>, line: u64) -> Result<()> {
        let missing = self.columns.iter().find(|column| !object.contains_key(*column));
        let other = object.keys().find(|field| !self.columns.contains(field));
        let why = match (missing, other) {
            (None, None) => return Ok(()),
            (_, Some(field)) => format!("the first object has no field `{field}`"),
            (Some(field), None) => format!("there is no field `{field}`, which the first object has"),
        };
        Err(self.bad(line, &why).hint("give all objects the same fields, with null where there is no value"))
    }

    /// Reads a header, with the separator that gives the sharding key a column of its own.
    fn read_header(&mut self, head: &str) -> Result<()> {
        for separator in SEPARATORS {
            self.splitter.separator = separator;
            self.splitter.split(head).map_err(|why| self.bad(1, why))?;
            let names = (0..self.splitter.fields.len())
                .map(|at| self.splitter.text(head, at).unwrap_or_default().trim().to_owned());
            let names: Vec<String> = names.collect();
            if names.contains(&self.key.column) {
                self.columns = names;
                return Ok(());
            }
        }
        let why = format!("the header has no column `{}`, the sharding key", self.key.column);
        Err(self.bad(1, &why).hint("the first line names the columns as the table does"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::table::KeyType;

    fn rows(text: &str, of: KeyType) -> Result<Vec<(u64, String)>> {
        let key = ShardingKey { column: "k".into(), of };
        let mut rows = FileRows::new("f", Box::new(std::io::Cursor::new(text.as_bytes().to_vec())), &key)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next_row()? {
            let row = row.map_err(|bad| bad.error)?;
            all.push((row.line, row.key));
        }
        Ok(all)
    }

    #[test]
    fn keys_of_both_formats_are_as_postgres_writes_them() {
        let csv = "a;k\n\"x\ny\";007\n;-1\n";
        assert_eq!(rows(csv, KeyType::Bigint).unwrap(), [(2, "7".into()), (4, "-1".into())]);
        let lines = "{\"k\": 5, \"a\": null}\n{\"a\": [1], \"k\": \"6\"}\n";
        assert_eq!(rows(lines, KeyType::Integer).unwrap(), [(1, "5".into()), (2, "6".into())]);
        let uuid = "k\nA0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11\n";
        assert_eq!(rows(uuid, KeyType::Uuid).unwrap()[0].1, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
        assert_eq!(rows("k\n\" x\"\"\"\n", KeyType::Text).unwrap()[0].1, " x\"");
    }

    #[test]
    fn rows_without_a_valid_key_are_named_by_their_line() {
        for (text, of, why) in [
            ("a,b\n1,2\n", KeyType::Text, "f:1: the header has no column `k`"),
            ("k,b\n,2\n", KeyType::Text, "f:2: no `k`"),
            ("k\n1\nx\n", KeyType::Integer, "f:3: "),
            ("k\n70000\n", KeyType::Smallint, "f:2: "),
            ("{\"k\": null}\n", KeyType::Text, "f:1: no `k`"),
            ("{\"k\": 1}\n{\n", KeyType::Integer, "f:2: not a JSON object"),
            ("", KeyType::Text, "f:1: the file is empty"),
        ] {
            let error = rows(text, of).unwrap_err();
            assert!(error.kind() == Kind::BadInput && error.message().starts_with(why), "{error}");
        }
    }
}
