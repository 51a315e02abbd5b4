//! Splits a stream of bytes into records.

use std::io::{self, Read};
use std::ops::Range;

use memchr::{memchr, memchr_iter};

/// A longer record of a user is treated as one with an unclosed quote.
pub(super) const RECORD_BYTES_MAX: usize = 1 << 20;
const CHUNK_BYTES: usize = 256 << 10;

/// A record in the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// Its bytes, without the line's end.
    pub(super) bytes: Range<usize>,
    /// The number of its first line, from 1.
    pub(super) line: u64,
    /// Why it is not a record: it does not end.
    pub(super) broken: Option<&'static str>,
}

/// Splits a stream into records. Empty lines are skipped.
pub(super) struct Frames {
    input: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// The part of the buffer that was read and not returned yet.
    start: usize,
    end: usize,
    at_end: bool,
    line: u64,
    /// Whether a record may contain line breaks in quotes.
    quotes: bool,
    /// Whether the rest of a line that is too long is being skipped.
    skipping: bool,
    /// The most bytes of a record.
    bytes_max: usize,
}

impl Frames {
    pub(super) fn new(input: Box<dyn Read + Send>) -> Self {
        Self::with_limit(input, RECORD_BYTES_MAX)
    }

    pub(super) fn with_limit(input: Box<dyn Read + Send>, bytes_max: usize) -> Self {
        Self {
            bytes_max,
            input,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            at_end: false,
            line: 1,
            quotes: false,
            skipping: false,
        }
    }

    /// From here on, quoted fields may contain line breaks.
    pub(super) fn mind_quotes(&mut self) {
        self.quotes = true;
    }

    /// The bytes of the frame that was returned last.
    pub(super) fn bytes(&self, frame: &Frame) -> &[u8] {
        &self.buffer[frame.bytes.clone()]
    }

    /// The next record, without consuming it: [`Frames::pass`] does.
    pub(super) fn peek(&mut self) -> io::Result<Option<Frame>> {
        while self.skipping {
            match memchr(b'\n', &self.buffer[self.start..self.end]) {
                Some(at) => {
                    self.start += at + 1;
                    self.skipping = false;
                }
                None if self.at_end => {
                    self.start = self.end;
                    self.skipping = false;
                }
                None => {
                    self.start = self.end;
                    self.fill()?;
                }
            }
        }
        loop {
            let mut searched = 0;
            let mut quotes = 0_usize;
            // The end of the first line, to continue from if the record does not end.
            let mut first_line = None;
            let end = loop {
                let rest = &self.buffer[self.start..self.end];
                match memchr(b'\n', &rest[searched..]) {
                    Some(at) => {
                        let end = searched + at;
                        if self.quotes {
                            quotes += memchr_iter(b'"', &rest[searched..end]).count();
                        }
                        first_line.get_or_insert(end);
                        if quotes.is_multiple_of(2) {
                            break Some(end);
                        }
                        searched = end + 1;
                        if searched > self.bytes_max {
                            break None;
                        }
                    }
                    None if rest.len() > self.bytes_max || self.at_end => break None,
                    None => self.fill()?,
                }
            };
            let rest = self.end - self.start;
            let (end, broken) = match end {
                Some(end) => (end, None),
                None if rest == 0 => return Ok(None),
                // The last line may lack its line break.
                None if self.at_end && rest <= self.bytes_max && self.is_balanced(rest) => (rest, None),
                None if first_line.is_some() || self.at_end => {
                    (first_line.unwrap_or(rest).min(rest), Some("a quote is not closed"))
                }
                None => (rest, Some("the line is longer than 1 MiB")),
            };
            let mut bytes = self.start..self.start + end;
            if self.buffer[bytes.clone()].ends_with(b"\r") {
                bytes.end -= 1;
            }
            if bytes.is_empty() && broken.is_none() {
                self.start = (self.start + end + 1).min(self.end);
                self.line += 1;
                continue;
            }
            return Ok(Some(Frame { bytes, line: self.line, broken }));
        }
    }

    fn is_balanced(&self, length: usize) -> bool {
        let rest = &self.buffer[self.start..self.start + length];
        !self.quotes || memchr_iter(b'"', rest).count().is_multiple_of(2)
    }

    /// Consumes a record.
    pub(super) fn pass(&mut self, frame: &Frame) {
        let lines = memchr_iter(b'\n', self.bytes(frame)).count() as u64;
        let mut end = frame.bytes.end;
        for byte in [b'\r', b'\n'] {
            if self.buffer[end..self.end].first() == Some(&byte) {
                end += 1;
            }
        }
        self.line += lines + 1;
        self.skipping = frame.broken.is_some() && end == self.end && !self.at_end;
        self.start = end;
    }

    /// Reads more bytes.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() - self.end < CHUNK_BYTES / 4 {
            self.buffer.resize(self.end + CHUNK_BYTES, 0);
        }
        let count = loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.end += count;
        self.at_end = count == 0;
        Ok(())
    }
}
