//! Writes the data of a report to standard output in pages, so that a long list needs little memory.

use std::io::{self, Write};

use super::output::unwritable;
use super::render::{self, Style, TablePage};
use crate::error::{Error, Result};
use crate::model::report::{Document, Report, StreamEnd};
use crate::model::text::visible_lines;

/// The rows of a page; a longer table is written as several tables.
const PAGE_ROWS: usize = 1_000;

/// The result of writing.
pub(super) enum WriteEnd {
    /// Everything was written.
    Done,
    /// The pipe is closed, which is not a failure.
    PipeClosed,
    /// Reading or writing the data failed.
    Failed(Error),
}

impl From<io::Error> for WriteEnd {
    fn from(cause: io::Error) -> Self {
        if cause.kind() == io::ErrorKind::BrokenPipe {
            return Self::PipeClosed;
        }
        Self::Failed(unwritable(&cause))
    }
}

/// Writes the data of a report. Consumes its rows.
pub(super) fn write_report(
    report: &mut Report,
    style: Style,
    out: &mut dyn Write,
    going_on: &dyn Fn() -> Result<()>,
) -> WriteEnd {
    let written =
        |out: &mut dyn Write, text: &str| match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => None,
            Err(cause) => Some(WriteEnd::from(cause)),
        };
    match report.document.take() {
        Some(Document::Text(text)) => return written(out, &text).unwrap_or(WriteEnd::Done),
        Some(Document::Prose(text)) => {
            return written(out, &style.screen.reflow(&text)).unwrap_or(WriteEnd::Done);
        }
        Some(Document::Stream(write)) => {
            let written = if style.screen.terminal { write(&mut Escaped(out)) } else { write(out) };
            return match written.and_then(|()| out.flush().map_err(StreamEnd::from)) {
                Ok(()) => WriteEnd::Done,
                Err(StreamEnd::Unwritable(cause)) => cause.into(),
                Err(StreamEnd::Failed(error)) => WriteEnd::Failed(error),
            };
        }
        None => {}
    }
    let Some(mut more) = report.more.take() else {
        return written(out, &render::render(report, style, TablePage::WHOLE)).unwrap_or(WriteEnd::Done);
    };
    let mut first = true;
    let mut failure = None;
    loop {
        while failure.is_none() && report.rows.len() < PAGE_ROWS {
            match more.next() {
                Some(Ok(row)) => report.push(row),
                Some(Err(error)) => failure = Some(error),
                None => break,
            }
        }
        let last = failure.is_none() && report.rows.len() < PAGE_ROWS;
        // Rows that arrived before a failure are written, and a JSON array stays open because it is incomplete.
        if !(first && failure.is_some() && report.rows.is_empty())
            && let Some(end) = written(out, &render::render(report, style, TablePage { first, last }))
        {
            return end;
        }
        match failure {
            Some(error) => return WriteEnd::Failed(error),
            None if last => return WriteEnd::Done,
            None => {}
        }
        // A long list can be interrupted between two pages.
        if let Err(error) = going_on() {
            return WriteEnd::Failed(error);
        }
        report.rows.clear();
        first = false;
    }
}

/// Escapes control characters for a terminal. Gets whole lines.
struct Escaped<'a>(&'a mut dyn Write);

impl Write for Escaped<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(visible_lines(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
