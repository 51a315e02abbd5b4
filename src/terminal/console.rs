//! Questions to the person at the terminal.

use std::io::{self, BufRead as _, IsTerminal as _};

use super::output::write_stderr;
use crate::commands::Console;
use crate::error::{Error, Kind, Result};

/// Asks on stderr and reads stdin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal {
    /// `--yes`.
    pub(super) yes: bool,
    /// `--no-input`.
    pub(super) no_input: bool,
}

impl Console for Terminal {
    fn confirm(&self, question: &str) -> Result<()> {
        if self.yes {
            return Ok(());
        }
        if self.no_input || !io::stdin().is_terminal() {
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
            Err(Error::new(Kind::Declined, "not confirmed; nothing was changed"))
        }
    }
}
