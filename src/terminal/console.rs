//! Questions to the person at the terminal.

use std::cell::Cell;
use std::io::{self, BufRead as _, IsTerminal as _};

use super::output::write_stderr;
use crate::commands::Console;
use crate::error::{Error, Kind, Result};

/// Asks on stderr and reads stdin.
#[derive(Debug)]
pub(super) struct Terminal {
    /// `--yes` and `--no-input` of the whole run.
    of_run: (bool, bool),
    /// The same, with those of the line that runs now.
    now: Cell<(bool, bool)>,
}

impl Terminal {
    /// A console of a run with these flags.
    pub(super) fn new(yes: bool, no_input: bool) -> Self {
        Self { of_run: (yes, no_input), now: Cell::new((yes, no_input)) }
    }

    /// From here on a line with these flags runs.
    pub(super) fn answer_for_a_line(&self, yes: bool, no_input: bool) {
        self.now.set((self.of_run.0 || yes, self.of_run.1 || no_input));
    }
}

impl Console for Terminal {
    fn confirm(&self, question: &str) -> Result<()> {
        let (yes, no_input) = self.now.get();
        if yes {
            return Ok(());
        }
        if no_input || !io::stdin().is_terminal() {
            return Err(Error::new(Kind::Declined, format!("not confirmed: {question}"))
                .hint("nobody can be asked here; --yes answers with yes"));
        }
        write_stderr(&format!("{question} [y/N] "));
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|cause| Error::new(Kind::Declined, format!("no answer could be read: {cause}")))?;
        if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
            Ok(())
        } else {
            Err(Error::new(Kind::Declined, "not confirmed; nothing was changed")
                .hint("answer with y, or give --yes"))
        }
    }
}
