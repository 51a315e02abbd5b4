//! Commands from a file: a line each, quoted as in a shell, `#` comments, `FILE:LINE` in errors. A quote or a
//! backslash that is open at the end of a line goes on to the next.

pub(crate) mod batching;

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::lexer::Lexer;
use super::parse::{Parsed, parse};
use crate::error::{Error, Kind, Result};

/// How many lines are read ahead.
const AHEAD_LINES: usize = 2_000;
/// How long a command of several lines may be: behind a quote that is never closed the rest is not swallowed.
const ENTRY_BYTES_MAX: usize = 64 * 1024;

/// A command of a script, of one line or more.
#[derive(Debug)]
pub(crate) struct Entry {
    /// `FILE:LINE`, the first of them.
    pub(crate) place: String,
    /// Its text, or why that cannot be read.
    pub(crate) text: Result<String>,
}

impl Entry {
    /// What it says.
    pub(crate) fn parsed(self) -> Result<Parsed> {
        self.text.and_then(|text| parse(&text))
    }
}

/// The commands of a file or of standard input, read as they are needed.
pub(crate) enum Script {
    /// Somebody types them: nothing is read before it is needed.
    Typed(Entries),
    /// A thread reads ahead, so that what is there already can be told from what is yet to come.
    Ahead(Receiver<Entry>),
}

impl Script {
    /// Of this file; `-` is standard input.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::stdin());
        }
        let name = path.display().to_string();
        let fail = |cause: io::Error| {
            let kind = match cause.kind() {
                io::ErrorKind::PermissionDenied => Kind::Permission,
                _ => Kind::BadInput,
            };
            Error::new(kind, format!("cannot read `{name}`: {cause}")).hint("name a file of commands with -f")
        };
        let file = File::open(path).map_err(fail)?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(fail(io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self::ahead(Entries { name, reader: Box::new(BufReader::new(file)), number: 0 }))
    }

    /// Of standard input.
    pub(crate) fn stdin() -> Self {
        let reader = Box::new(BufReader::new(io::stdin()));
        let entries = Entries { name: "stdin".into(), reader, number: 0 };
        // Questions are answered at the terminal, too.
        if io::stdin().is_terminal() { Self::Typed(entries) } else { Self::ahead(entries) }
    }

    fn ahead(entries: Entries) -> Self {
        let (sender, receiver) = sync_channel(AHEAD_LINES);
        thread::spawn(move || {
            for entry in entries {
                if sender.send(entry).is_err() {
                    break;
                }
            }
        });
        Self::Ahead(receiver)
    }

    /// The next one, if it is there already.
    pub(crate) fn next_if_ready(&mut self) -> Option<Entry> {
        match self {
            Self::Typed(_) => None,
            Self::Ahead(receiver) => receiver.try_recv().ok(),
        }
    }
}

impl Iterator for Script {
    type Item = Entry;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Typed(entries) => entries.next(),
            Self::Ahead(receiver) => receiver.recv().ok(),
        }
    }
}

/// The commands of a reader.
pub(crate) struct Entries {
    name: String,
    reader: Box<dyn BufRead + Send>,
    /// Of the line that was read last, from 1 on.
    number: u64,
}

impl Entries {
    /// A line without its end.
    fn line(&mut self) -> Option<Result<String>> {
        let mut bytes = Vec::new();
        let read = self.reader.read_until(b'\n', &mut bytes);
        self.number += 1;
        let bad = |cause: String| {
            Error::new(Kind::BadInput, cause).hint("a script is a file of UTF-8 text, a command a line")
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
        // Most lines have nothing that could be open.
        while text.contains(['\'', '"', '\\'])
            && text.len() < ENTRY_BYTES_MAX
            && Lexer::of(&text).open.is_some()
        {
            match self.line() {
                Some(Ok(more)) => text = format!("{text}\n{more}"),
                Some(Err(error)) => return Some(Entry { place, text: Err(error) }),
                None => break,
            }
        }
        Some(Entry { place, text: Ok(text) })
    }
}
