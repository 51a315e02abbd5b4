//! Where the data of reports goes: to standard output, through a pager if it is longer than the screen, into a file, or to a
//! program.

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::output::rows;
use crate::error::{Error, Kind, Result};

/// The line of the prompt below the data.
const PROMPT_LINES: usize = 1;

/// Where data goes.
pub(super) enum Destination {
    /// Standard output.
    Stdout,
    /// Standard output, or a pager if there are more lines than this.
    Screen(Pager),
    /// A file.
    File(File),
    /// A program of the system's shell.
    Program(Program),
}

/// Text that is kept until it is known whether a pager is needed.
pub(super) struct Pager {
    command: String,
    lines_max: usize,
    lines: usize,
    held: Vec<u8>,
    program: Option<Program>,
}

/// A program that reads the data.
pub(super) struct Program {
    child: Child,
    /// `None` once the data has ended.
    input: Option<ChildStdin>,
}

impl Program {
    fn start(command: &str) -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(command).stdin(Stdio::piped());
        // As git: colours are passed on, and a short text is not held.
        if env::var_os("LESS").is_none() {
            shell.env("LESS", "FRXPsspace shows more, q leaves$");
            // A line that is typed too early must not become a file.
            shell.env("LESSSECURE", "1");
        }
        let mut child = shell.spawn()?;
        let input = child.stdin.take();
        Ok(Self { child, input })
    }

    fn end(&mut self) -> io::Result<()> {
        self.input = None;
        self.child.wait().map(|_| ())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl Write for Program {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Destination {
    /// The terminal, with the pager of the environment if there is one.
    pub(super) fn screen() -> Self {
        let Some(command) = pager() else { return Self::Stdout };
        let lines_max = rows().saturating_sub(PROMPT_LINES);
        Self::Screen(Pager { command, lines_max, lines: 0, held: Vec::new(), program: None })
    }

    /// `FILE`, which is replaced, or `|COMMAND`.
    pub(super) fn named(name: &str) -> Result<Self> {
        let fail = |cause: io::Error| {
            Error::new(Kind::Failed, format!("cannot write to `{name}`: {cause}"))
                .hint("name a file, or a command after `|`")
        };
        match name.trim().strip_prefix('|') {
            Some(command) => Program::start(command).map(Self::Program).map_err(fail),
            None => File::create(name).map(Self::File).map_err(fail),
        }
    }

    /// Writes what is kept, and waits for the program that reads it.
    pub(super) fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().flush(),
            Self::Program(program) | Self::Screen(Pager { program: Some(program), .. }) => program.end(),
            Self::Screen(Pager { held, .. }) => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&std::mem::take(held)).and_then(|()| stdout.flush())
            }
            Self::File(file) => file.flush(),
        }
    }

    /// Whether standard output itself may be closed.
    pub(super) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout | Self::Screen(Pager { program: None, .. }))
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout => io::stdout().lock().write(bytes),
            Self::Screen(pager) => pager.write(bytes),
            Self::File(file) => file.write(bytes),
            Self::Program(program) => program.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout => io::stdout().lock().flush(),
            // What is kept is written at the end.
            Self::Screen(pager) => pager.program.as_mut().map_or(Ok(()), Write::flush),
            Self::File(file) => file.flush(),
            Self::Program(program) => program.flush(),
        }
    }
}

impl Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(program) = &mut self.program {
            return program.write(bytes);
        }
        self.held.extend_from_slice(bytes);
        self.lines += bytes.split(|byte| *byte == b'\n').count() - 1;
        if self.lines > self.lines_max {
            // Kept also if it does not read all of it: then it is the pager that has ended.
            let program = self.program.insert(Program::start(&self.command)?);
            program.write_all(&std::mem::take(&mut self.held))?;
        }
        Ok(bytes.len())
    }
}

/// The pager of the environment, or less; `cat` and nothing are none.
fn pager() -> Option<String> {
    let command = env::var("PAGER").unwrap_or_else(|_| "less".into());
    let name = command.split_whitespace().next().filter(|name| *name != "cat")?.to_owned();
    let is_there = |folder: &std::path::PathBuf| folder.join(&name).is_file();
    let on_path =
        || env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|folder| is_there(&folder));
    (name.contains('/') || on_path()).then_some(command)
}
