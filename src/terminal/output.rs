//! The output streams, and their capabilities: colours, cursor movement, characters.

use std::io::{self, IsTerminal as _, Write};

use crate::error::{Error, Kind};
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
}

impl Screen {
    /// The capabilities of stdout.
    pub(super) fn stdout(when: ColorWhen) -> Self {
        Self::of(io::stdout().is_terminal(), when)
    }

    /// The capabilities of stderr.
    pub(super) fn stderr(when: ColorWhen) -> Self {
        Self::of(io::stderr().is_terminal(), when)
    }

    fn of(terminal: bool, when: ColorWhen) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        let color = match when {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => terminal && !dumb && !set("NO_COLOR"),
        };
        Self { terminal, color, can_move: terminal && !dumb, unicode: locale_is_utf8() }
    }

    /// The text in a colour, if colours are requested. The codes are SGR parameters of ECMA-48.
    pub(super) fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
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

/// Writes text to stderr. A failure is ignored.
pub(super) fn write_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
