//! The commands about the session itself: `set`, `timing`, `watch`, `source` and others.

use std::time::{Duration, Instant};
use std::{process, thread};

use super::options::SessionOptions;
use crate::commands::Invocation;
use crate::commands::repl_command::{Action, SessionCommand, Switch, SwitchArgs, WatchArgs};
use crate::error::{Error, Kind, Result};
use crate::model::report::{Column, Report};
use crate::terminal::output::{Screen, write_stderr};
use crate::terminal::parse::{Parsed, parse_arguments};
use crate::terminal::shell::{At, End, Shell};

/// The deepest nesting of `source`.
const DEPTH_MAX: u32 = 16;
/// The default interval of `watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// How often `watch` polls for Ctrl-C.
const WATCH_STEP: Duration = Duration::from_millis(20);

impl Shell<'_> {
    /// Runs a command about the session.
    pub(crate) fn run_session(&self, command: &SessionCommand, at: At<'_>) -> End {
        match command {
            SessionCommand::Quit => End::Quit,
            SessionCommand::Timing(args) => self.turn("timing", args, |options| &mut options.timing, at),
            SessionCommand::Expanded(args) => {
                self.turn("expanded", args, |options| &mut options.expanded, at)
            }
            SessionCommand::Watch(args) => self.watch(args, at),
            SessionCommand::Set(args) => match args.setting {
                Some(setting) => {
                    self.update(|options| options.set(setting));
                    End::Done
                }
                None => self.show(&mut self.options.get().report(), at),
            },
            SessionCommand::Unset(args) => {
                self.update(|options| options.reset(args.name, self.initial));
                End::Done
            }
            SessionCommand::Source(args) => {
                if self.depth.get() == DEPTH_MAX {
                    let message = format!("`source` is nested more than {DEPTH_MAX} files deep");
                    let error = Error::new(Kind::Usage, message);
                    return self.fail(&error.hint("check whether a file sources itself"), at);
                }
                self.depth.set(self.depth.get() + 1);
                let end = self.run_script(&args.file, args.keep_going);
                self.depth.set(self.depth.get() - 1);
                end
            }
            SessionCommand::History(args) => {
                let typed = self.typed.borrow();
                let skip = args.count.map_or(0, |count| typed.len().saturating_sub(count));
                let mut report = Report::list(&[Column::number("number"), Column::text("line")]);
                for (number, line) in (1_i64..).zip(&*typed).skip(skip) {
                    report.push(vec![number.into(), line.as_str().into()]);
                }
                self.show(&mut report, at)
            }
            SessionCommand::Shell(args) => match system_shell(&args.words.join(" ")) {
                Ok(()) => End::Done,
                Err(error) => self.fail(&error, at),
            },
        }
    }

    fn update(&self, change: impl FnOnce(&mut SessionOptions)) {
        let mut options = self.options.get();
        change(&mut options);
        self.options.set(options);
    }

    /// Sets a switch, or toggles it.
    fn turn(
        &self,
        name: &str,
        args: &SwitchArgs,
        of: fn(&mut SessionOptions) -> &mut bool,
        at: At<'_>,
    ) -> End {
        self.update(|options| {
            let switch = of(options);
            *switch = args.state.map_or(!*switch, Switch::is_on);
        });
        let is_on = *of(&mut self.options.get());
        self.tell(&format!("{name} is {}", if is_on { "on" } else { "off" }), at);
        End::Done
    }

    /// Runs a command repeatedly. An error is shown and does not end it, because a watched shard may be down.
    fn watch(&self, args: &WatchArgs, at: At<'_>) -> End {
        let (interval, arguments) = match interval_of(&args.words) {
            Ok(parts) => parts,
            Err(error) => return self.fail(&error, at),
        };
        let invocation = match parse_arguments(arguments) {
            Ok(Parsed::Line(line)) => line,
            Ok(_) => {
                let error = Error::new(Kind::Usage, "`watch` needs a command");
                return self.fail(&error.hint("watch 2 shards"), at);
            }
            Err(error) => return self.fail(&error, at),
        };
        let at = At { options: at.options.for_line(&invocation.globals), ..at };
        let Action::Invocation(command @ Invocation::Command(_)) = &invocation.action else {
            let error = Error::new(Kind::Usage, "`watch` runs only commands that return a report");
            return self.fail(&error.hint("watch 2 shards"), at);
        };
        let screen = Screen::stdout(at.options.color);
        loop {
            let title = format!("every {} s: {}", interval.as_secs_f64(), arguments.join(" "));
            if screen.terminal && screen.can_move {
                // Clear the screen and move to its top: ED and CUP of ECMA-48.
                write_stderr("\x1b[2J\x1b[H");
            }
            self.tell(&title, at);
            self.is_watching.set(true);
            let end = self.run_invocation(command, at);
            self.is_watching.set(false);
            if end == End::PipeClosed {
                return end;
            }
            let until = Instant::now() + interval;
            loop {
                if self.context.active_sessions().check().is_err() {
                    return End::Done;
                }
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                thread::sleep(left.min(WATCH_STEP));
            }
        }
    }
}

/// The interval, if the first argument is a number, and the arguments of the command.
fn interval_of(arguments: &[String]) -> Result<(Duration, &[String])> {
    let Some((first, rest)) = arguments.split_first() else { return Ok((WATCH_INTERVAL, arguments)) };
    let Ok(seconds) = first.parse::<f64>() else { return Ok((WATCH_INTERVAL, arguments)) };
    let interval = Duration::try_from_secs_f64(seconds).ok().filter(|interval| interval.as_secs() <= 86_400);
    let interval = interval.filter(|interval| !interval.is_zero()).ok_or_else(|| {
        Error::new(
            Kind::Usage,
            format!("the interval `{first}` is not more than 0 and at most 86400 seconds"),
        )
        .hint("watch 2 shards")
    })?;
    Ok((interval, rest))
}

/// Runs a command in the system's shell, or an interactive shell.
fn system_shell(command: &str) -> Result<()> {
    let shell =
        std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let mut process = process::Command::new(&shell);
    if !command.is_empty() {
        process.arg("-c").arg(command);
    }
    let fail = |why: String| {
        Error::new(Kind::Failed, format!("`{}` {why}", shell.to_string_lossy()))
            .hint("the variable SHELL names the shell")
    };
    let status = process.status().map_err(|cause| fail(format!("cannot be run: {cause}")))?;
    if status.success() { Ok(()) } else { Err(fail(format!("ended with {status}"))) }
}
