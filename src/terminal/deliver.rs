//! A report's data on its way to standard output, piece by piece, so that a long list needs no memory.

use std::io::{self, Write};

use super::output::write_stdout;
use super::render::{self, Piece, Style};
use crate::error::{Error, Kind};
use crate::model::report::{Document, Report, StreamEnd};

/// How many rows of a long list are rendered at once; a table of more rows begins anew behind them.
const PIECE_ROWS: usize = 1_000;

/// How writing ended.
pub(super) enum Delivery {
    /// All of it was written.
    Done,
    /// Nobody reads any more, which is no failure.
    PipeClosed,
    /// It could not be written, or not be made.
    Failed(Error),
}

impl From<io::Error> for Delivery {
    fn from(cause: io::Error) -> Self {
        if cause.kind() == io::ErrorKind::BrokenPipe {
            return Self::PipeClosed;
        }
        Self::Failed(Error::new(Kind::Failed, format!("cannot write to standard output: {cause}")))
    }
}

/// Writes the data of a report to standard output. Takes the rows out of it as it goes.
pub(super) fn deliver(report: &mut Report, style: Style) -> Delivery {
    match report.document.take() {
        Some(Document::Text(text)) => return written(&text).unwrap_or(Delivery::Done),
        Some(Document::Stream(write)) => {
            let mut out = io::stdout().lock();
            return match write(&mut out).and_then(|()| out.flush().map_err(StreamEnd::from)) {
                Ok(()) => Delivery::Done,
                Err(StreamEnd::Unwritable(cause)) => cause.into(),
                Err(StreamEnd::Failed(error)) => Delivery::Failed(error),
            };
        }
        None => {}
    }
    let Some(mut more) = report.more.take() else {
        return written(&render::render(report, style, Piece::WHOLE)).unwrap_or(Delivery::Done);
    };
    let mut first = true;
    let mut failure = None;
    loop {
        while failure.is_none() && report.rows.len() < PIECE_ROWS {
            match more.next() {
                Some(Ok(row)) => report.push(row),
                Some(Err(error)) => failure = Some(error),
                None => break,
            }
        }
        let last = failure.is_none() && report.rows.len() < PIECE_ROWS;
        // After a failure what came before it is written, and an array stays open: it is not all there.
        if let Some(end) = written(&render::render(report, style, Piece { first, last })) {
            return end;
        }
        match failure {
            Some(error) => return Delivery::Failed(error),
            None if last => return Delivery::Done,
            None => {}
        }
        report.rows.clear();
        first = false;
    }
}

/// Writes text; an end if there was no going on.
fn written(text: &str) -> Option<Delivery> {
    match write_stdout(text) {
        Ok(true) => None,
        Ok(false) => Some(Delivery::PipeClosed),
        Err(cause) => Some(cause.into()),
    }
}
