//! The prompt of the REPL.

use super::harness::Test;
use super::pty::Terminal;

/// The prompt of this home's cluster of three.
pub(crate) fn prompt(test: &Test, marks: &str) -> String {
    format!("ringshard {} 3{marks}>", &test.cluster_id(1)[..8])
}

/// The REPL of this home at its first prompt.
pub(crate) fn repl_at_prompt(test: &Test, columns: u16, more: &[(&str, &str)]) -> Terminal {
    let mut terminal = Terminal::repl(test, columns, more);
    terminal.wait_for_prompt();
    terminal
}
