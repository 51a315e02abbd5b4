//! Scripts: one command per line, quoted as in a shell, with `#` comments and `FILE:LINE` in errors. An open quote or
//! a backslash at the end continues a line.

pub(crate) mod batching;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::vec;

use super::lexer::{Lexer, begins_with_sql, commands};
use super::parse::{Parsed, parse};
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::threads;

/// How many batches of commands are read ahead, each of what one read has returned: to pass on each command alone wakes two
/// threads for it.
const READ_AHEAD_MAX: usize = 4;
/// The longest command of several lines, so that an unclosed quote does not swallow the rest of the script.
const ENTRY_BYTES_MAX: usize = 64 * 1024;

/// A command of a script, on one line or more.
#[derive(Debug)]
pub(crate) struct Entry {
    /// `FILE:LINE` of its first line.
    pub(crate) place: String,
    /// Its text, or why it cannot be read.
    pub(crate) text: Result<String>,
}

impl Entry {
    /// The parsed command.
    pub(crate) fn parsed(self) -> Result<Parsed> {
        self.text.and_then(|text| parse(&text))
    }
}

/// The commands of a file or of standard input, read as they are needed.
pub(crate) enum Script {
    /// Typed at a terminal: a line is read when it is needed.
    Typed(Entries),
    /// A thread reads ahead, which shows whether the next command is available.
    ReadAhead { batches: Receiver<Vec<Entry>>, batch: vec::IntoIter<Entry> },
}

impl Script {
    /// Opens a file; `-` is standard input.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::stdin());
        }
        let name = path.display().to_string();
        let fail = |cause: io::Error| {
            Error::new(files::kind_of(&cause, Kind::BadInput), format!("cannot read `{name}`: {cause}"))
                .hint("name a file with one command on each line, or `-` for standard input")
        };
        let file = File::open(path).map_err(fail)?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(fail(io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self::read_ahead(Entries::new(name, file)))
    }

    /// Reads standard input.
    pub(crate) fn stdin() -> Self {
        let entries = Entries::new("stdin".into(), io::stdin());
        // At a terminal, answers to questions are read from the same input.
        if io::stdin().is_terminal() { Self::Typed(entries) } else { Self::read_ahead(entries) }
    }

    fn read_ahead(entries: Entries) -> Self {
        let (sender, receiver) = sync_channel(READ_AHEAD_MAX);
        let started = threads::start_with(entries, move |mut entries| {
            while let Some(batch) = entries.batch() {
                if sender.send(batch).is_err() {
                    break;
                }
            }
        });
        started.map_or_else(Self::Typed, |()| Self::ReadAhead {
            batches: receiver,
            batch: Vec::new().into_iter(),
        })
    }

    /// The next command, if it is available.
    pub(crate) fn next_if_ready(&mut self) -> Option<Entry> {
        match self {
            Self::Typed(_) => None,
            Self::ReadAhead { batches, batch } => batch.next().or_else(|| {
                *batch = batches.try_recv().ok()?.into_iter();
                batch.next()
            }),
        }
    }
}

impl Iterator for Script {
    type Item = Entry;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Typed(entries) => entries.next(),
            Self::ReadAhead { batches, batch } => batch.next().or_else(|| {
                *batch = batches.recv().ok()?.into_iter();
                batch.next()
            }),
        }
    }
}

/// The commands of a reader.
pub(crate) struct Entries {
    name: String,
    reader: BufReader<Box<dyn Read + Send>>,
    /// The number of the line that was read last, from 1.
    number: u64,
    /// Commands of that line behind the one that was returned.
    queue: VecDeque<Entry>,
}

impl Entries {
    fn new(name: String, reader: impl Read + Send + 'static) -> Self {
        Self { name, reader: BufReader::new(Box::new(reader)), number: 0, queue: VecDeque::new() }
    }

    /// The next command, and those behind it whose lines were read with it; `None` at the end.
    fn batch(&mut self) -> Option<Vec<Entry>> {
        let mut batch = vec![self.next()?];
        while self.reader.buffer().contains(&b'\n')
            && let Some(entry) = self.next()
        {
            batch.push(entry);
        }
        Some(batch)
    }

    /// The next line, without its end.
    fn line(&mut self) -> Option<Result<String>> {
        let mut bytes = Vec::new();
        let read = self.reader.read_until(b'\n', &mut bytes);
        self.number += 1;
        let bad = |cause: String| {
            Error::new(Kind::BadInput, cause).hint("a script is UTF-8 text with one command per line")
        };
        match read {
            Ok(0) => return None,
            Ok(_) => {}
            Err(cause) => return Some(Err(bad(cause.to_string()))),
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            bytes.pop_if(|last| *last == b'\r');
        }
        Some(String::from_utf8(bytes).map_err(|_| bad("the line is not UTF-8".into())))
    }
}

impl Iterator for Entries {
    type Item = Entry;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.queue.pop_front() {
            return Some(entry);
        }
        let line = self.line()?;
        let place = format!("{}:{}", self.name, self.number);
        let mut text = match line {
            Ok(text) => text,
            Err(error) => return Some(Entry { place, text: Err(error) }),
        };
        // Some editors begin a file with a byte order mark.
        if self.number == 1 {
            text = text.trim_start_matches('\u{feff}').into();
        }
        // Only lines with these characters can be incomplete.
        while (text.contains(['\'', '"', '\\']) || begins_with_sql(&text))
            && text.len() < ENTRY_BYTES_MAX
            && Lexer::of(&text).open.is_some()
        {
            match self.line() {
                Some(Ok(more)) => text = format!("{text}\n{more}"),
                Some(Err(error)) => return Some(Entry { place, text: Err(error) }),
                None => break,
            }
        }
        if begins_with_sql(&text) {
            let entry = |command: &str| Entry { place: place.clone(), text: Ok(command.to_owned()) };
            self.queue.extend(commands(&text).into_iter().map(entry));
            return self.queue.pop_front();
        }
        Some(Entry { place, text: Ok(text) })
    }
}
