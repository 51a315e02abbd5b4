//! From argv to an exit code.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use clap_complete::CompleteEnv;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::console::Terminal;
use super::deliver::{Delivery, deliver};
use super::output::{Screen, write_stderr};
use super::render::Style;
use super::script::{self, Line};
use super::{errors, logging};
use crate::commands::{Cli, Command, Context, Globals, usage};
use crate::error::{Error, Kind, Result};
use crate::model::text::visible_lines;
use crate::settings::{ColorWhen, Format, Settings};

/// Runs the program: completes a command line, or parses one and does what it says.
pub fn main() -> ExitCode {
    CompleteEnv::with_factory(Cli::command).complete();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(cause) => return misused(&cause),
    };
    let settings = match Settings::load(&cli.globals.settings()) {
        Ok(settings) => settings,
        Err(error) => return early(&error, &cli.globals),
    };
    let log_file = settings.log_file.as_ref().map(|sourced| sourced.value.as_path());
    if let Err(error) = logging::start(cli.globals.verbose, log_file) {
        return early(&error, &cli.globals);
    }
    let console = Terminal::new(cli.globals.yes, cli.globals.no_input, cli.globals.quiet);
    let shell = Shell {
        console: &console,
        out: Style {
            format: settings.format.value,
            no_header: cli.globals.no_header,
            expanded: cli.globals.expanded,
            screen: Screen::stdout(settings.color.value),
        },
        err: Screen::stderr(settings.color.value),
        quiet: cli.globals.quiet,
        progress: RefCell::new(ProgressBar::hidden()),
        context: Context::new(cli.globals.settings(), settings, &console),
    };
    let end = match (&cli.command, &cli.script) {
        (Some(_), _) if !cli.commands.is_empty() || cli.script.is_some() => {
            let error = Error::new(Kind::Usage, "a command and -c or -f exclude each other");
            shell.fail(&error.hint("give the one or the other"), None)
        }
        (Some(command), _) => shell.run(command, None, shell.out, shell.quiet),
        (None, Some(path)) => shell.run_script(path, cli.keep_going),
        (None, None) if cli.commands.is_empty() => {
            let error = Error::new(Kind::Usage, "a command is missing");
            shell.fail(&error.hint("ringshard --help lists them"), None)
        }
        (None, None) => shell.run_commands(&cli.commands, cli.keep_going),
    };
    ExitCode::from(end.code())
}

/// What the words that clap refuses, or answers itself, end with.
fn misused(cause: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    match cause.kind() {
        DisplayHelp | DisplayVersion => {
            let _ = cause.print();
            ExitCode::SUCCESS
        }
        DisplayHelpOnMissingArgumentOrSubcommand if std::env::args_os().len() == 1 => {
            let _ = cause.print();
            ExitCode::from(Kind::Usage.exit_code())
        }
        _ => {
            // The words could not be parsed, so what they say about the format is looked for by eye.
            let words: Vec<String> =
                std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
            let as_json = asks_for_json(&words);
            errors::show(&usage::error_of(cause, &words), None, as_json, Screen::stderr(ColorWhen::Auto));
            ExitCode::from(Kind::Usage.exit_code())
        }
    }
}

/// Whether JSON is wanted, by the words alone: they could not be parsed, so they are looked at one by one.
fn asks_for_json(words: &[String]) -> bool {
    let wants_json = |word: &str| word == "json" || word == "jsonl";
    let apart = |pair: &[String]| ["-o", "--format"].contains(&pair[0].as_str()) && wants_json(&pair[1]);
    let glued = |word: &String| {
        let value = ["--format=", "-o=", "-o"].iter().find_map(|flag| word.strip_prefix(flag));
        value.is_some_and(wants_json)
    };
    words.windows(2).any(apart) || words.iter().any(glued) || environment_asks_for_json()
}

fn environment_asks_for_json() -> bool {
    std::env::var("RINGSHARD_FORMAT").is_ok_and(|format| format == "json" || format == "jsonl")
}

/// An error before the settings are known.
fn early(error: &Error, globals: &Globals) -> ExitCode {
    let as_json = globals.format.map_or_else(environment_asks_for_json, Format::is_json);
    errors::show(error, None, as_json, Screen::stderr(globals.color.unwrap_or(ColorWhen::Auto)));
    ExitCode::from(error.kind().exit_code())
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Failed(Kind),
    /// Nobody reads what is written.
    PipeClosed,
}

impl End {
    fn code(self) -> u8 {
        match self {
            Self::Done | Self::PipeClosed => 0,
            Self::Failed(kind) => kind.exit_code(),
        }
    }
}

/// Runs commands and shows what they answer.
struct Shell<'terminal> {
    console: &'terminal Terminal,
    context: Context<'terminal>,
    out: Style,
    err: Screen,
    quiet: bool,
    /// What is drawn below everything else on stderr; hidden unless a script runs.
    progress: RefCell<ProgressBar>,
}

impl Shell<'_> {
    fn fail(&self, error: &Error, place: Option<&str>) -> End {
        self.fail_as(error, place, self.out)
    }

    fn fail_as(&self, error: &Error, place: Option<&str>, style: Style) -> End {
        let as_json = style.is_json();
        self.progress.borrow().suspend(|| errors::show(error, place, as_json, self.err));
        End::Failed(error.kind())
    }

    fn run(&self, command: &Command, place: Option<&str>, style: Style, quiet: bool) -> End {
        let mut report = match command.run(&self.context) {
            Ok(report) => report,
            Err(error) => return self.fail_as(&error, place, style),
        };
        match deliver(&mut report, style) {
            Delivery::Done => {}
            Delivery::PipeClosed => return End::PipeClosed,
            Delivery::Failed(error) => return self.fail_as(&error, place, style),
        }
        let as_json = style.is_json();
        let tell = || {
            for warning in &report.warnings {
                errors::warn(warning, as_json, self.err);
            }
            let for_people = style.effective_format() == Format::Table || report.columns.is_empty();
            // With JSON, stderr is for a program too: no prose there.
            for note in report.notes.iter().filter(|_| for_people && !as_json) {
                write_stderr(&format!("{}\n", visible_lines(note)));
            }
        };
        if !quiet {
            self.progress.borrow().suspend(tell);
        }
        match &report.failure {
            Some(error) => self.fail_as(error, place, style),
            None => End::Done,
        }
    }

    /// Runs one line. Its flags hold for itself alone.
    fn run_line(&self, text: &str, place: &str) -> End {
        let cli = match script::parse(text) {
            Ok(Some(cli)) => cli,
            Ok(None) => return End::Done,
            Err(error) => return self.fail(&error, Some(place)),
        };
        let Some(command) = &cli.command else { return End::Done };
        if let Some(flag) = cli.globals.flag_of_a_whole_run() {
            let error = Error::new(Kind::Usage, format!("{flag} holds for a whole run, not for one line"));
            return self.fail(&error.hint(format!("ringshard {flag} … -f FILE")), Some(place));
        }
        self.console.answer_for_a_line(cli.globals.yes, cli.globals.no_input);
        let style = Style {
            format: cli.globals.format.unwrap_or(self.out.format),
            no_header: cli.globals.no_header || self.out.no_header,
            expanded: cli.globals.expanded || self.out.expanded,
            ..self.out
        };
        self.run(command, Some(place), style, self.quiet || cli.globals.quiet)
    }

    fn run_commands(&self, commands: &[String], keep_going: bool) -> End {
        let mut end = End::Done;
        for (command, number) in commands.iter().zip(1..) {
            match self.run_line(command, &format!("-c:{number}")) {
                End::Done => {}
                other => end = other,
            }
            if end == End::PipeClosed || end != End::Done && !keep_going {
                return end;
            }
        }
        end
    }

    fn run_script(&self, path: &Path, keep_going: bool) -> End {
        self.progress.replace(self.progress_of(path));
        let end = self.run_lines(path, keep_going);
        self.progress.borrow().finish_and_clear();
        end
    }

    fn run_lines(&self, path: &Path, keep_going: bool) -> End {
        let lines = match script::lines(path) {
            Ok(lines) => lines,
            Err(error) => return self.fail(&error, None),
        };
        let mut end = End::Done;
        for line in lines {
            let one: Result<Line> = line;
            let ended = match one {
                Ok(line) => self.run_line(&line.text, &line.place),
                Err(error) => self.fail(&error, None),
            };
            self.progress.borrow().inc(1);
            match ended {
                End::Done => {}
                End::Failed(_) if keep_going => end = ended,
                End::PipeClosed | End::Failed(_) => return ended,
            }
        }
        end
    }

    /// A bar on stderr where a person looks at it, and nothing else is written there line by line.
    fn progress_of(&self, path: &Path) -> ProgressBar {
        let shown = !self.quiet && io::stderr().is_terminal() && !self.out.screen.terminal;
        // A pipe cannot be read twice.
        let text = if shown && path.is_file() { std::fs::read_to_string(path).ok() } else { None };
        let Some(lines) = text.map(|text| text.lines().count()) else {
            return ProgressBar::hidden();
        };
        let template = "{bar:40} {human_pos}/{human_len} commands, {rate}, {eta} left";
        let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
            let _ = write!(out, "{:.0}/s", state.per_sec());
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let style = style.with_key("rate", rate);
        ProgressBar::new(lines as u64).with_style(style)
    }
}
