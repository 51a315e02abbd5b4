//! Runs commands, wherever they come from, and shows their reports.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::console::Terminal;
use super::destination::Destination;
use super::jobs::{Jobs, Notice, beside_prompt};
use super::lexer;
use super::output::{Screen, message, write_stderr};
use super::parse::{Parsed, parse};
use super::report_writer::{WriteEnd, write_report};
use super::script::{Entry, Script};
use super::session::options::SessionOptions;
use super::{errors, logging, wait_notes};
use crate::commands::repl_command::{Action, ReplCommand};
use crate::commands::{Command, Console, Context, Invocation, Live, ReplArgs, TimeSpent};
use crate::error::{Error, Kind, Result};
use crate::model::report::{Document, Report};
use crate::settings::Format;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Failed(Kind),
    /// The output pipe is closed.
    PipeClosed,
    /// The user leaves.
    Quit,
}

impl End {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Done | Self::PipeClosed | Self::Quit => 0,
            Self::Failed(kind) => kind.exit_code(),
        }
    }
}

/// The place of a command in a script, and the options in force for it.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) place: Option<&'a str>,
    pub(super) options: SessionOptions,
}

/// Runs the REPL on a shell. Passed in, because the REPL is a layer above the shell.
pub(super) type OpenRepl = fn(&Shell<'_>, &ReplArgs) -> End;

/// The state that commands share.
pub(super) struct Shell<'terminal> {
    open_repl: OpenRepl,
    pub(super) console: &'terminal Terminal,
    pub(super) context: Context<'terminal>,
    pub(super) options: Cell<SessionOptions>,
    /// The options at the start of the session.
    pub(super) initial: SessionOptions,
    /// The bar of a running script at the bottom of stderr; otherwise hidden.
    progress: RefCell<ProgressBar>,
    /// The nesting depth of `source`.
    pub(super) depth: Cell<u32>,
    /// The typed lines, for `history`.
    pub(super) typed: RefCell<Vec<String>>,
    /// The last command that a user typed.
    pub(super) last: RefCell<Option<String>>,
    /// Where data goes instead of to standard output.
    pub(super) redirected: RefCell<Option<Destination>>,
    /// The commands that run beside the prompt, and who hears their output.
    pub(super) jobs: Jobs,
    pub(super) notice: RefCell<Notice>,
    /// Whether a user types the lines.
    pub(super) is_interactive: Cell<bool>,
    /// Whether `watch` runs, which Ctrl-C ends.
    pub(super) is_watching: Cell<bool>,
}

impl<'terminal> Shell<'terminal> {
    /// A shell with these options.
    pub(super) fn new(
        console: &'terminal Terminal,
        context: Context<'terminal>,
        options: SessionOptions,
        open_repl: OpenRepl,
    ) -> Self {
        Self {
            console,
            open_repl,
            context,
            options: Cell::new(options),
            initial: options,
            progress: RefCell::new(ProgressBar::hidden()),
            depth: Cell::new(0),
            typed: RefCell::default(),
            last: RefCell::default(),
            redirected: RefCell::default(),
            jobs: Jobs::default(),
            notice: RefCell::new(Arc::new(|_| {})),
            is_interactive: Cell::new(false),
            is_watching: Cell::new(false),
        }
    }

    /// Not in a script, with the options of the session.
    pub(super) fn here(&self) -> At<'static> {
        At { place: None, options: self.options.get() }
    }

    pub(super) fn fail(&self, error: &Error, at: At<'_>) -> End {
        let show = |error: &Error| {
            let (as_json, screen) = (at.options.style().is_json(), Screen::stderr(at.options.color));
            self.progress.borrow().suspend(|| errors::show(error, at.place, as_json, screen));
            End::Failed(error.kind())
        };
        match self.context.active_sessions().check() {
            Ok(()) => show(error),
            Err(_) if self.is_watching.get() => End::Failed(error.kind()),
            // The error itself says that it was stopped, and how to continue.
            Err(_) if error.kind() == Kind::Partial => show(error),
            // The interruption is the cause; the server's message is the effect.
            Err(stopped) => show(&Error::new(stopped.kind(), format!("{stopped}: {error}"))),
        }
    }

    /// Prints a notice, unless the format is JSON or notices are off.
    pub(super) fn tell(&self, text: &str, at: At<'_>) {
        if !at.options.quiet && !at.options.style().is_json() {
            self.progress.borrow().suspend(|| write_stderr(&(message(text) + "\n")));
        }
    }

    /// Runs a command of the command line.
    pub(super) fn run_invocation(&self, invocation: &Invocation, at: At<'_>) -> End {
        match invocation {
            Invocation::Command(command) => self.run_command(command, at),
            Invocation::Live(Live::Tour(args)) => self.tour(args, at),
            Invocation::Live(Live::Monitor(args)) => self.monitor(args, at),
            Invocation::Live(Live::Repl(_)) if self.is_interactive.get() => {
                self.tell("this is the REPL already", at);
                End::Done
            }
            Invocation::Live(Live::Repl(args)) => (self.open_repl)(self, args),
        }
    }

    fn run_command(&self, command: &Command, at: At<'_>) -> End {
        self.context.active_sessions().measure(at.options.timing);
        let begun = Instant::now();
        self.context.read_from(at.options.read_replica);
        // Also while the rows of the report are read.
        let _running = wait_notes::begin(at.options);
        let answer = command.run(&self.context).map(|mut report| {
            report.warnings.extend(self.context.stale_reads());
            report
        });
        // A command that failed leaves its bar behind.
        Console::progress(self.console, None);
        let end = match answer {
            Ok(mut report) => self.show_result(&mut report, command.writes(), at),
            Err(error) => self.fail(&error, at),
        };
        if at.options.timing {
            self.tell_time(begun.elapsed(), at);
        }
        end
    }

    /// Prints how long a command took, even if notices are off, because timing was requested.
    fn tell_time(&self, whole: Duration, at: At<'_>) {
        let TimeSpent { route, wait, query } = self.context.active_sessions().spent();
        let [whole, route, wait, query] = [whole, route, wait, query].map(|time| time.as_secs_f64() * 1e3);
        let text = if at.options.style().is_json() {
            format!(
                "{{\"timing_ms\": {{\"whole\": {whole:.3}, \"route\": {route:.3}, \"wait\": {wait:.3}, \"query\": {query:.3}}}}}\n"
            )
        } else {
            format!("Time: {whole:.3} ms (route {route:.3}, wait {wait:.3}, query {query:.3})\n")
        };
        self.progress.borrow().suspend(|| write_stderr(&text));
    }

    /// Prints a report with its warnings, notes and failure.
    pub(super) fn show(&self, report: &mut Report, at: At<'_>) -> End {
        self.show_result(report, false, at)
    }

    /// As [`Self::show`], for a command that may have changed something.
    fn show_result(&self, report: &mut Report, has_written: bool, at: At<'_>) -> End {
        let style = at.options.style();
        match self.write(report, at) {
            WriteEnd::Done => {}
            WriteEnd::PipeClosed => return End::PipeClosed,
            WriteEnd::Failed(error) if has_written && report.failure.is_none() => {
                return self.fail(&error.adding("; the command itself was carried out"), at);
            }
            WriteEnd::Failed(error) => return self.fail(&error, at),
        }
        let (as_json, screen) = (style.is_json(), Screen::stderr(at.options.color));
        let tell = || {
            for warning in &report.warnings {
                errors::warn(warning, as_json, screen);
            }
            let is_for_terminal = style.effective_format() == Format::Table || report.columns.is_empty();
            // With JSON, a program reads stderr too.
            for note in report.notes.iter().filter(|_| is_for_terminal && !as_json) {
                write_stderr(&(message(note) + "\n"));
            }
        };
        if !at.options.quiet {
            self.progress.borrow().suspend(tell);
        }
        match &report.failure {
            Some(error) => self.fail(error, at),
            None => End::Done,
        }
    }

    /// Writes the data of a report to where data goes.
    fn write(&self, report: &mut Report, at: At<'_>) -> WriteEnd {
        let mut style = at.options.style();
        let going_on = || self.context.active_sessions().check();
        if let Some(destination) = &mut *self.redirected.borrow_mut() {
            style.screen.terminal = false;
            return match write_report(report, style, destination, &going_on) {
                // The program has read all that it wants.
                WriteEnd::PipeClosed => WriteEnd::Done,
                end => end,
            };
        }
        let is_paged = style.screen.can_move
            && at.options.pager
            && at.place.is_none()
            && !self.is_watching.get()
            && io::stdin().is_terminal();
        let mut destination = if is_paged { Destination::screen() } else { Destination::Stdout };
        let end = write_report(report, style, &mut destination, &going_on);
        let has_ended = {
            // While a pager runs, Ctrl-C is for it.
            let _interrupts = (!destination.is_stdout()).then(|| self.console.watch_interrupts());
            destination.end()
        };
        match (end, has_ended) {
            (WriteEnd::PipeClosed, _) if !destination.is_stdout() => WriteEnd::Done,
            (WriteEnd::Done, Err(cause)) => cause.into(),
            (end, _) => end,
        }
    }

    /// Runs one line. Its flags apply only to it.
    pub(super) fn run_text(&self, text: &str, place: Option<&str>) -> End {
        self.run_parsed(parse(text), place)
    }

    /// Runs the commands of a text that a user typed, up to the first that fails.
    pub(super) fn run_lines(&self, text: &str) -> End {
        let commands = lexer::commands(text);
        for (at, command) in commands.iter().enumerate() {
            // As in psql, a statement that ends with `\gx` runs in that way alone.
            let is_ended = lexer::begins_with_sql(command) && !command.trim_end().ends_with(';');
            if is_ended && commands.get(at + 1).is_some_and(|next| lexer::is_about_statement(next)) {
                self.last.replace(Some((*command).to_owned()));
                continue;
            }
            let line = self.expanded(command);
            let end = match beside_prompt(&line).filter(|_| self.is_interactive.get()) {
                Some(line) => self.start_job(line),
                None => self.run_text(&line, None),
            };
            if end != End::Done {
                return end;
            }
        }
        End::Done
    }

    /// Runs a parsed line.
    pub(super) fn run_parsed(&self, parsed: Result<Parsed>, place: Option<&str>) -> End {
        self.context.active_sessions().begin();
        let at = At { place, options: self.options.get() };
        match parsed {
            Ok(Parsed::Line(line)) => self.run_line(&line, place),
            Ok(Parsed::Nothing) => End::Done,
            Ok(Parsed::Text(text)) => self.show(&mut Report::document(Document::Text(text)), at),
            Err(error) => self.fail(&error, at),
        }
    }

    /// Runs the command of a line.
    pub(super) fn run_line(&self, line: &ReplCommand, place: Option<&str>) -> End {
        let at = At { place, options: self.options.get().for_line(&line.globals) };
        if let Some(flag) = line.globals.flag_of_a_whole_run() {
            let error = Error::new(Kind::Usage, format!("{flag} applies to a whole run, not to one line"));
            return self.fail(&error.hint(format!("start ringshard again with {flag}")), at);
        }
        self.console.answer_for_a_line(line.globals.yes, line.globals.no_input, at.options.quiet);
        logging::set_level(at.options.log);
        let end = match &line.action {
            Action::Invocation(invocation) => self.run_invocation(invocation, at),
            Action::Session(command) => self.run_session(command, at),
        };
        logging::set_level(self.options.get().log);
        end
    }

    /// Runs the commands of `-c`.
    pub(super) fn run_commands(&self, commands: &[String], keep_going: bool) -> End {
        let entries = commands.iter().zip(1..).flat_map(|(text, number): (_, u64)| {
            let parts =
                if lexer::begins_with_sql(text) { lexer::commands(text) } else { vec![text.as_str()] };
            let entry = move |part: &str| Entry { place: format!("-c:{number}"), text: Ok(part.to_owned()) };
            parts.into_iter().map(entry)
        });
        self.run_entries(entries, keep_going)
    }

    /// Runs a script, with a progress bar on a terminal.
    pub(super) fn run_script(&self, path: &Path, keep_going: bool) -> End {
        let script = match Script::open(path) {
            Ok(script) => script,
            Err(error) => return self.fail(&error, self.here()),
        };
        self.progress.replace(self.progress_of(path));
        wait_notes::draws(Some(&self.progress.borrow()));
        let end = self.run_batched(script, keep_going);
        self.progress.borrow().finish_and_clear();
        wait_notes::draws(None);
        end
    }

    /// Runs commands up to the first error or, with `keep_going`, to the end.
    pub(super) fn run_entries(&self, entries: impl Iterator<Item = Entry>, keep_going: bool) -> End {
        let mut end = End::Done;
        for entry in entries {
            let place = entry.place.clone();
            let ended = self.run_parsed(entry.parsed(), Some(&place));
            if let Some(last) = self.last_of(ended, &mut end, keep_going) {
                return last;
            }
        }
        end
    }

    /// The result of a script if it ends with this command; otherwise `end` is updated.
    pub(super) fn last_of(&self, ended: End, end: &mut End, keep_going: bool) -> Option<End> {
        self.progress.borrow().inc(1);
        match (ended, self.context.active_sessions().check()) {
            // Ctrl-C ends the whole script.
            (End::Done, Err(stopped)) => Some(self.fail(&stopped, self.here())),
            (End::Done, Ok(())) => None,
            (End::Failed(_), Ok(())) if keep_going => {
                *end = ended;
                None
            }
            _ => Some(ended),
        }
    }

    /// A bar on stderr if that is a terminal, and the output of the commands goes elsewhere.
    fn progress_of(&self, path: &Path) -> ProgressBar {
        let options = self.options.get();
        let shown = !options.quiet && io::stderr().is_terminal() && !options.style().screen.terminal;
        // The lines are counted first, and a pipe cannot be read twice.
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

    /// From here on a user types the lines, and Ctrl-C ends only the command.
    pub(super) fn attend(&self) {
        self.is_interactive.set(true);
        self.context.active_sessions().always_check_liveness();
        self.console.stay(Arc::clone(self.context.active_sessions()));
    }
}
