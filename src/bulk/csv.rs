//! One record of a CSV file.

use std::ops::Range;

/// A field: the place of its text, or missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    /// Empty and not quoted.
    Missing,
    /// In the record itself.
    Plain(Range<usize>),
    /// In the scratch buffer, with doubled quotes resolved.
    Unquoted(Range<usize>),
}

/// Splits records into fields, and reuses its buffers.
#[derive(Debug)]
pub(super) struct Splitter {
    /// An ASCII character.
    pub(super) separator: u8,
    pub(super) fields: Vec<Field>,
    scratch: String,
}

impl Splitter {
    pub(super) fn new(separator: u8) -> Self {
        Self { separator, fields: Vec::new(), scratch: String::new() }
    }

    /// Finds the fields of a record, which has no line break at its end.
    pub(super) fn split(&mut self, record: &str) -> Result<(), &'static str> {
        self.fields.clear();
        self.scratch.clear();
        let mut start = 0;
        loop {
            let end = if record[start..].starts_with('"') {
                self.quoted(record, start + 1)?
            } else {
                let length = memchr::memchr(self.separator, &record.as_bytes()[start..])
                    .unwrap_or(record.len() - start);
                let text = start..start + length;
                if record[text.clone()].contains('"') {
                    return Err(
                        "a quote in the middle of a field; quote the whole field and double the quote",
                    );
                }
                // In TSV as COPY writes it, `\N` is a missing value and `\t` a tab; as spreadsheets write it, both are text.
                if self.separator == b'\t' && record[text.clone()].contains('\\') {
                    return Err(
                        "a backslash in a tab-separated field that is not quoted; write the file as CSV, \
                                or quote the field if the backslash is a part of its text",
                    );
                }
                let end = text.end;
                self.fields.push(if text.is_empty() { Field::Missing } else { Field::Plain(text) });
                end
            };
            if end == record.len() {
                return Ok(());
            }
            start = end + 1;
        }
    }

    /// Reads a quoted field, and returns where it ends.
    fn quoted(&mut self, record: &str, mut at: usize) -> Result<usize, &'static str> {
        let begin = self.scratch.len();
        loop {
            let length = memchr::memchr(b'"', &record.as_bytes()[at..]).ok_or("a quote is not closed")?;
            self.scratch.push_str(&record[at..at + length]);
            at += length + 1;
            match record.as_bytes().get(at) {
                Some(b'"') => {
                    self.scratch.push('"');
                    at += 1;
                }
                next if next.is_none_or(|next| *next == self.separator) => {
                    self.fields.push(Field::Unquoted(begin..self.scratch.len()));
                    return Ok(at);
                }
                _ => return Err("text after a closing quote; double a quote within a field"),
            }
        }
    }

    /// The text of a field.
    pub(super) fn text<'a>(&'a self, record: &'a str, at: usize) -> Option<&'a str> {
        match self.fields.get(at)? {
            Field::Missing => None,
            Field::Plain(range) => Some(&record[range.clone()]),
            Field::Unquoted(range) => Some(&self.scratch[range.clone()]),
        }
    }
}
