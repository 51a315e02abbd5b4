//! Commands from a file: a line each, quoted as in a shell, `#` comments, `FILE:LINE` in errors.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::iter;
use std::path::Path;

use clap::Parser as _;

use crate::commands::{Cli, usage};
use crate::error::{Error, Kind, Result};

/// A line of a script.
pub(super) struct Line {
    /// `FILE:LINE`.
    pub(super) place: String,
    /// Its text.
    pub(super) text: String,
}

/// The lines of a file, read as they are needed; `-` is standard input.
pub(super) fn lines(path: &Path) -> Result<impl Iterator<Item = Result<Line>>> {
    let name = if path == Path::new("-") { "stdin".into() } else { path.display().to_string() };
    let reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(path).map_err(|cause| {
            let kind = match cause.kind() {
                io::ErrorKind::PermissionDenied => Kind::Permission,
                _ => Kind::BadInput,
            };
            Error::new(kind, format!("cannot read `{name}`: {cause}")).hint("name a file of commands with -f")
        })?;
        Box::new(BufReader::new(file))
    };
    Ok(reader.lines().zip(1..).map(move |(text, number): (_, u64)| {
        let place = format!("{name}:{number}");
        match text {
            // Some editors begin a file with a byte order mark.
            Ok(text) => Ok(Line { place, text: text.trim_start_matches('\u{feff}').into() }),
            Err(cause) => Err(Error::new(Kind::BadInput, format!("{place}: {cause}"))),
        }
    }))
}

/// The command of a line: a leading `ringshard` and a trailing `;` are dropped. `None` if it holds none.
pub(super) fn parse(text: &str) -> Result<Option<Cli>> {
    let text = text.trim();
    let text = text.strip_suffix(';').unwrap_or(text);
    let words = shlex::split(text).ok_or_else(|| {
        Error::new(Kind::Usage, "a quote is not closed, or a backslash ends the line")
            .hint("quote as in a shell")
    })?;
    let rest = words.strip_prefix(&["ringshard".to_owned()]).unwrap_or(&words);
    if rest.is_empty() {
        return Ok(None);
    }
    let words = iter::once("ringshard").chain(rest.iter().map(String::as_str));
    let cli = Cli::try_parse_from(words).map_err(|cause| usage::error_of(&cause, rest))?;
    if cli.command.is_none() || !cli.commands.is_empty() || cli.script.is_some() {
        return Err(Error::new(Kind::Usage, "a line of a script is one command").hint("ringshard --help"));
    }
    Ok(Some(cli))
}
