//! Commands that a user has named, kept in the state folder from one session to the next.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{fs, io};

use clap::CommandFactory as _;

use crate::commands::repl_command::{AliasArgs, ReplCommand};
use crate::error::{Error, Kind, Result};
use crate::files::{atomic, json_file, kind_of};
use crate::model::report::{Column, Report};
use crate::terminal::lexer::Lexer;
use crate::terminal::shell::Shell;

/// The text of each name.
type Aliases = BTreeMap<String, String>;

impl Shell<'_> {
    fn aliases_file(&self) -> Option<PathBuf> {
        Some(self.context.settings().state_folder.as_ref()?.join("aliases.json"))
    }

    fn aliases(&self) -> Aliases {
        self.aliases_file().and_then(|file| json_file::read(&file)).unwrap_or_default()
    }

    /// The line with its first word replaced by what it is an alias of.
    pub(crate) fn expanded(&self, line: &str) -> String {
        let tokens = Lexer::of(line).tokens;
        let Some(first) = tokens.first().filter(|first| !first.is_quoted) else { return line.to_owned() };
        match self.aliases().get(&first.text) {
            Some(command) => format!("{command}{}", &line[first.span.end..]),
            None => line.to_owned(),
        }
    }

    /// Lists the aliases, or makes one.
    pub(crate) fn alias(&self, args: &AliasArgs) -> Result<Report> {
        let mut aliases = self.aliases();
        let Some(name) = &args.name else {
            let mut report = Report::list(&[Column::text("alias"), Column::text("command")]);
            for (name, command) in aliases {
                report.push(vec![name.into(), command.into()]);
            }
            return Ok(report);
        };
        if args.words.is_empty() {
            let command = aliases.get(name).ok_or_else(|| unknown(name))?;
            return Ok(Report::note(format!("alias {name} {command}")));
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if !name.chars().all(is_plain) || ReplCommand::command().find_subcommand(name).is_some() {
            let message = format!(
                "`{name}` cannot be an alias: it is a command, or has other signs than letters and digits"
            );
            return Err(Error::new(Kind::Usage, message).hint("alias eu list-users --region EU"));
        }
        let words = args.words.iter().map(String::as_str);
        let command = shlex::try_join(words).map_err(|_| {
            Error::new(Kind::Usage, "the command has a NUL").hint("alias eu list-users --region EU")
        })?;
        aliases.insert(name.clone(), command);
        self.keep(&aliases)
    }

    /// Removes an alias.
    pub(crate) fn unalias(&self, name: &str) -> Result<Report> {
        let mut aliases = self.aliases();
        aliases.remove(name).ok_or_else(|| unknown(name))?;
        self.keep(&aliases)
    }

    fn keep(&self, aliases: &Aliases) -> Result<Report> {
        let Some(file) = self.aliases_file() else {
            return Err(Error::new(Kind::Configuration, "there is no folder to keep aliases in")
                .hint("set HOME or RINGSHARD_HOME"));
        };
        let written = serde_json::to_vec_pretty(aliases).map_err(io::Error::from).and_then(|text| {
            fs::create_dir_all(atomic::folder_of(&file))?;
            atomic::write(&file, 0o666, &text)
        });
        written.map_err(|cause| {
            let message = format!("cannot write `{}`: {cause}", file.display());
            Error::new(kind_of(&cause, Kind::Failed), message).hint("check the rights on that file")
        })?;
        Ok(Report::list(&[]))
    }
}

fn unknown(name: &str) -> Error {
    Error::new(Kind::NotFound, format!("there is no alias `{name}`")).hint("alias lists them")
}
