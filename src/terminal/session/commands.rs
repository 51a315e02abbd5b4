//! The commands about the session itself: `set`, `timing`, `watch`, `source` and others.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{process, thread};

use super::options::SessionOptions;
use crate::commands::Invocation;
use crate::commands::repl_command::{
    Action, ConnectArgs, OutputArgs, SessionCommand, Switch, SwitchArgs, WatchArgs,
};
use crate::error::{Error, Kind, Result};
use crate::model::report::{Column, Report};
use crate::model::text::redacted;
use crate::settings::cluster_names;
use crate::terminal::destination::Destination;
use crate::terminal::output::{Screen, write_stderr};
use crate::terminal::parse::{Parsed, arguments, parse_arguments};
use crate::terminal::shell::{At, End, Shell};

/// The deepest nesting of `source`.
const DEPTH_MAX: u32 = 16;
/// The default interval of `watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// Clears the screen and moves to its top: ED and CUP of ECMA-48.
const CLEAR: &str = "\x1b[2J\x1b[H";
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
            SessionCommand::Output(args) => {
                // The program reads to its end first.
                self.redirected.replace(None);
                self.ended(self.redirect(&args.to), at)
            }
            SessionCommand::Again(args) => self.again(args, at),
            SessionCommand::Edit(args) => match self.edited(args.file.as_deref()) {
                Ok(text) => self.run_lines(&text),
                Err(error) => self.fail(&error, at),
            },
            SessionCommand::Connect(ConnectArgs { name: Some(cluster) }) => {
                self.ended(self.context.change_to(cluster), at)
            }
            SessionCommand::Connect(ConnectArgs { name: None }) => {
                let mut report = Report::list(&[Column::text("cluster"), Column::check("current")]);
                let current = self.context.settings().cluster_name.clone();
                for name in cluster_names() {
                    let is_current = current.as_ref() == Some(&name);
                    report.push(vec![name.to_string().into(), is_current.into()]);
                }
                self.show(&mut report, at)
            }
            SessionCommand::Alias(args) => self.shown(self.alias(args), at),
            SessionCommand::Unalias(args) => self.shown(self.unalias(&args.name), at),
            SessionCommand::Jobs => self.show(&mut self.list_jobs(), at),
            SessionCommand::Kill(args) => self.ended(self.stop_job(args.job), at),
            SessionCommand::Clear => {
                if at.options.style().screen.can_move {
                    write_stderr(CLEAR);
                }
                End::Done
            }
            SessionCommand::Shell(args) => self.ended(system_shell(&args.words.join(" ")), at),
        }
    }

    fn ended(&self, done: Result<()>, at: At<'_>) -> End {
        done.map_or_else(|error| self.fail(&error, at), |()| End::Done)
    }

    fn shown(&self, answer: Result<Report>, at: At<'_>) -> End {
        match answer {
            Ok(mut report) => self.show(&mut report, at),
            Err(error) => self.fail(&error, at),
        }
    }

    /// Sends the data of commands to a file or to a program; to the screen if none is named.
    fn redirect(&self, to: &[String]) -> Result<()> {
        let destination = if to.is_empty() { None } else { Some(Destination::named(&to.join(" "))?) };
        self.redirected.replace(destination);
        Ok(())
    }

    /// The last command as it was typed. Fails with `NotFound` if there is none.
    fn last_command(&self) -> Result<String> {
        let none = || Error::new(Kind::NotFound, "no command was run before").hint("type a command first");
        self.last.borrow().clone().ok_or_else(none)
    }

    /// Runs the last command again.
    fn again(&self, args: &OutputArgs, at: At<'_>) -> End {
        let text = match self.last_command() {
            Ok(text) => text,
            Err(error) => return self.fail(&error, at),
        };
        // With the flags of this line.
        let options = self.options.replace(at.options);
        let end = if args.to.is_empty() {
            self.run_lines(&text)
        } else {
            let before = self.redirected.replace(None);
            let end = match self.redirect(&args.to) {
                Ok(()) => self.run_lines(&text),
                Err(error) => self.fail(&error, at),
            };
            self.redirected.replace(before);
            end
        };
        self.options.set(options);
        end
    }

    /// The commands of a file, or the last command, after the user has edited them.
    fn edited(&self, file: Option<&Path>) -> Result<String> {
        let fail = |path: &Path, cause: io::Error| {
            Error::new(Kind::Failed, format!("cannot edit `{}`: {cause}", path.display()))
                .hint("name a file with edit")
        };
        let Some(file) = file else {
            let path = std::env::temp_dir().join(format!("ringshard-{}", process::id()));
            let last = self.last.borrow().clone().unwrap_or_default();
            let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            let text = made
                .and_then(|mut file| writeln!(file, "{}", redacted(&last)))
                .map_err(|cause| fail(&path, cause))
                .and_then(|()| self.edited(Some(&path)));
            let _ = fs::remove_file(&path);
            return text;
        };
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let editor = variable("VISUAL").or_else(|| variable("EDITOR")).unwrap_or_else(|| "vi".into());
        let name = file.display().to_string();
        let name = shlex::try_quote(&name).map_err(|_| fail(file, io::ErrorKind::InvalidFilename.into()))?;
        system_shell(&format!("{editor} {name}"))
            .map_err(|error| error.hint("the variables VISUAL and EDITOR name the editor"))?;
        fs::read_to_string(file).map_err(|cause| fail(file, cause))
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

    /// The interval of `watch`, and the arguments of its command or of the last one.
    fn watched(&self, words: &[String]) -> Result<(Duration, Vec<String>)> {
        let (interval, words) = interval_of(words)?;
        let last = || arguments(&self.expanded(&self.last_command()?));
        Ok((interval, if words.is_empty() { last()? } else { words.to_vec() }))
    }

    /// Runs a command repeatedly. An error is shown and does not end it, because a watched shard may be down.
    fn watch(&self, args: &WatchArgs, at: At<'_>) -> End {
        let (interval, arguments) = match self.watched(&args.words) {
            Ok(watched) => watched,
            Err(error) => return self.fail(&error, at),
        };
        let invocation = match parse_arguments(&arguments) {
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
                write_stderr(CLEAR);
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
