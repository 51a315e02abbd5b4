//! `completions` and `man`: generated from the definition of the command line.

use std::io;
use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use crate::commands::{Cli, definition};
use crate::error::{Error, Kind, Result};
use crate::files::{self, atomic};
use crate::model::report::{Document, Report};

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

impl CompletionsArgs {
    /// The script.
    pub fn run(&self) -> Report {
        Report::document(Document::Text(script(self.shell)))
    }
}

/// The completion script of a shell.
pub fn script(shell: Shell) -> String {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut definition::<Cli>(), "ringshard", &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder; created if it is missing
    pub(crate) dir: PathBuf,
}

impl ManArgs {
    /// Writes a page for ringshard and one for each command.
    pub fn run(&self) -> Result<Report> {
        let fail = |cause: io::Error| {
            let kind = files::kind_of(&cause, Kind::Failed);
            Error::new(kind, format!("cannot write man pages to `{}`: {cause}", self.dir.display()))
                .hint("name a writable folder")
        };
        std::fs::create_dir_all(&self.dir).map_err(fail)?;
        let pages = man_pages().map_err(fail)?;
        for (name, text) in &pages {
            atomic::write(&self.dir.join(name), 0o666, text).map_err(fail)?;
        }
        Ok(Report::note(format!("wrote {} man pages to `{}`", pages.len(), self.dir.display())))
    }
}

/// All man pages: file names and texts.
pub fn man_pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let command = definition::<Cli>();
    let mut pages = Vec::new();
    collect_pages(&command, &mut pages)?;
    Ok(pages)
}

fn collect_pages(command: &clap::Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let page = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text)?;
    pages.push((page.get_filename(), text));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        collect_pages(inner, pages)?;
    }
    Ok(())
}
