//! The output streams, and their capabilities: colours, cursor movement, characters.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::LazyLock;

use rustix::termios::tcgetwinsize;
use textwrap::{WordSeparator, WordSplitter, WrapAlgorithm};

use crate::error::{Error, Kind};
use crate::model::text::visible_lines;
use crate::settings::ColorWhen;

/// The capabilities of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(super) struct Screen {
    /// Whether it is a terminal.
    pub(super) terminal: bool,
    /// Whether colours are requested.
    pub(super) color: bool,
    /// Whether its cursor can be moved.
    pub(super) can_move: bool,
    /// Whether it shows more than ASCII.
    pub(super) unicode: bool,
    /// How many characters a line has.
    pub(super) columns: usize,
}

/// The longest line of a text that is ready for a terminal.
const FULL_LINE: usize = 79;
/// The width of a terminal that does not know its own.
const USUAL_COLUMNS: usize = 80;
/// The height of such a terminal.
const USUAL_ROWS: usize = 24;

impl Screen {
    /// The capabilities of stdout.
    pub(super) fn stdout(when: ColorWhen) -> Self {
        static IS_TERMINAL: LazyLock<bool> = LazyLock::new(|| io::stdout().is_terminal());
        Self::of(io::stdout(), *IS_TERMINAL, when)
    }

    /// The capabilities of stderr.
    pub(super) fn stderr(when: ColorWhen) -> Self {
        static IS_TERMINAL: LazyLock<bool> = LazyLock::new(|| io::stderr().is_terminal());
        Self::of(io::stderr(), *IS_TERMINAL, when)
    }

    fn of(stream: impl AsFd, terminal: bool, when: ColorWhen) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        let color = match when {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => terminal && !dumb && !set("NO_COLOR"),
        };
        Self {
            terminal,
            color,
            can_move: terminal && !dumb,
            unicode: locale_is_utf8(),
            columns: columns(Some(stream).filter(|_| terminal)),
        }
    }

    /// The text with its lines wrapped at words if it is a terminal; `indent` begins the further lines.
    pub(super) fn wrap(self, text: &str, indent: &str) -> String {
        if !self.terminal {
            return text.to_owned();
        }
        let wrapped = |line: &str| {
            let own = line.len() - line.trim_start_matches(' ').len();
            let indent = " ".repeat(own) + indent;
            let options = textwrap::Options::new(self.columns)
                .subsequent_indent(&indent)
                .break_words(false)
                .word_separator(WordSeparator::AsciiSpace)
                // A command or an option has hyphens.
                .word_splitter(WordSplitter::NoHyphenation)
                .wrap_algorithm(WrapAlgorithm::FirstFit);
            // A percent sign stays with its number.
            textwrap::fill(&line.replace(" %", "\u{a0}%"), options).replace("\u{a0}%", " %")
        };
        text.lines().map(wrapped).collect::<Vec<_>>().join("\n")
    }

    /// A text of ready lines: if some are too long for a terminal, the lines of each paragraph are joined and wrapped anew. An
    /// indented line stays as it is.
    pub(super) fn reflow(self, text: &str) -> String {
        if !self.terminal || text.lines().all(|line| line.chars().count() <= self.columns) {
            return text.to_owned();
        }
        let mut paragraphs: Vec<String> = Vec::new();
        let mut last_line = "";
        for line in text.lines() {
            let word = line.split_whitespace().next().unwrap_or_default();
            let is_begin =
                word.is_empty() || line.starts_with(['+', '-']) || !columns_within(line).is_empty();
            let continues = match (is_begin, line.starts_with("    ")) {
                (true, _) => false,
                // The text of an entry.
                (false, true) => paragraphs.last().is_some_and(|entry| columns_within(entry).len() == 1),
                // The line before was full.
                (false, false) => {
                    !last_line.starts_with("    ")
                        && columns_within(last_line).is_empty()
                        && last_line.chars().count() + 1 + word.chars().count() > FULL_LINE
                }
            };
            match paragraphs.last_mut().filter(|_| continues) {
                Some(paragraph) => paragraph.extend([" ", line.trim_start()]),
                None => paragraphs.push(line.to_owned()),
            }
            last_line = line;
        }
        paragraphs.iter().map(|paragraph| self.reflow_paragraph(paragraph) + "\n").collect()
    }

    fn reflow_paragraph(self, paragraph: &str) -> String {
        let starts = columns_within(paragraph);
        let begin = paragraph.len() - paragraph.trim_start().len();
        let indent = match starts.first() {
            _ if begin > 0 => " ".repeat(begin),
            Some(first) => " ".repeat(*first),
            None if paragraph.starts_with(['+', '-']) => "  ".to_owned(),
            None => String::new(),
        };
        // Two pairs of a name and its text, or names and a text.
        let second = match starts.as_slice() {
            [_, _, second, _] | [_, second, _] | [_, second] => *second,
            _ => paragraph.len(),
        };
        if paragraph.chars().count() <= self.columns || second == paragraph.len() {
            // `wrap` keeps the line's own indent.
            return self.wrap(paragraph, if begin > 0 { "" } else { &indent });
        }
        let (first, second) = paragraph.split_at(second);
        self.wrap(first.trim_end(), &indent) + "\n" + &self.wrap(&(indent + second), "")
    }

    /// The text in a colour, if colours are requested. The codes are SGR parameters of ECMA-48.
    pub(super) fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Where the columns of a line begin, after two blanks or more; the first column aside.
fn columns_within(line: &str) -> Vec<usize> {
    let begin = line.len() - line.trim_start().len();
    let is_gap_before = |at: usize| line[..at].ends_with("  ");
    line.char_indices()
        .filter(|(at, c)| *at > begin && *c != ' ' && is_gap_before(*at))
        .map(|(at, _)| at)
        .collect()
}

/// The width of a terminal: a pseudo-terminal whose size nobody has set has none, as what is no terminal.
fn columns(terminal: Option<impl AsFd>) -> usize {
    let known = terminal.and_then(|stream| tcgetwinsize(stream).ok()).map(|size| usize::from(size.ws_col));
    let set = || std::env::var("COLUMNS").ok()?.parse().ok();
    known.filter(|columns| *columns > 0).or_else(set).filter(|columns| *columns > 0).unwrap_or(USUAL_COLUMNS)
}

/// How many lines the terminal of stdout shows.
pub(super) fn rows() -> usize {
    let known = tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_row));
    known.filter(|rows| *rows > 0).unwrap_or(USUAL_ROWS)
}

/// Whether the locale's character set is UTF-8, by the variables that `setlocale` reads.
fn locale_is_utf8() -> bool {
    let value = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_default()
        .to_ascii_lowercase();
    // Terminals of macOS use UTF-8 and set no variable.
    value.contains("utf-8") || value.contains("utf8") || (value.is_empty() && cfg!(target_os = "macos"))
}

/// Writes text to stdout. `Ok(false)`: the pipe is closed, which is not a failure.
pub(super) fn write_stdout(text: &str) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(cause) => Err(cause),
    }
}

/// The error for a standard output that cannot be written.
pub(super) fn unwritable(cause: &io::Error) -> Error {
    Error::new(Kind::Failed, format!("cannot write to standard output: {cause}"))
}

/// A message as it stands on stderr: escaped, and wrapped if that is a terminal.
pub(super) fn message(text: &str) -> String {
    Screen::stderr(ColorWhen::Never).wrap(&visible_lines(text), "")
}

/// Writes text to stderr. A failure is ignored.
pub(super) fn write_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
