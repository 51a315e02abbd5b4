//! `&`, `jobs` and `kill`.

use std::process::Command;

use crate::commands::Invocation;
use crate::commands::repl_command::{Action, LogLevel};
use crate::error::{Error, Kind, Result};
use crate::model::report::{Cell, Column, Report};
use crate::model::text::redacted;
use crate::settings::{Format, value_name};
use crate::terminal::parse::{Parsed, arguments, parse_arguments};
use crate::terminal::shell::{At, End, Shell};

impl Shell<'_> {
    /// Runs a command beside the prompt.
    pub(crate) fn start_job(&self, line: &str) -> End {
        self.context.active_sessions().begin();
        let at = self.here();
        match self.start(line.trim(), at) {
            Ok(()) => End::Done,
            Err(error) => self.fail(&error, at),
        }
    }

    fn start(&self, line: &str, at: At<'_>) -> Result<()> {
        let words = arguments(line)?;
        let words = words.strip_prefix(&["ringshard".to_owned()]).unwrap_or(&words);
        let is_command = match parse_arguments(words)? {
            Parsed::Line(parsed) => matches!(parsed.action, Action::Invocation(Invocation::Command(_))),
            _ => false,
        };
        if !is_command {
            let message =
                "only a command that needs neither the screen nor this session can run beside the prompt";
            return Err(Error::new(Kind::Usage, message).hint("drill outage shard_1 --for 10s --yes &"));
        }
        if redacted(line) != line {
            // Other users of the machine can see the arguments of a process.
            let message = "a command with a password does not run beside the prompt";
            return Err(Error::new(Kind::Usage, message).hint("leave out the `&`"));
        }
        let program = std::env::current_exe().map_err(|cause| {
            Error::new(Kind::Failed, format!("cannot find the file of this program: {cause}"))
                .hint("leave out the `&`")
        })?;
        let mut command = Command::new(program);
        command.args(self.flags_of_run(at)).args(words);
        let number = self.jobs.start(command, line, self.notice.borrow().clone())?;
        self.tell(&format!("[{number}] {line}"), at);
        Ok(())
    }

    /// The flags by which another process does the same as this session.
    fn flags_of_run(&self, at: At<'_>) -> Vec<String> {
        let (flags, options) = (self.context.flags(), at.options);
        let valued = [
            ("--config", flags.config.map(|file| file.display().to_string())),
            ("--cluster", flags.cluster.map(|name| name.to_string())),
            ("--log-file", flags.log_file.map(|file| file.display().to_string())),
            ("--read-replica", Some(value_name(&options.read_replica))),
            // Its output is read by the user, though it is no terminal.
            (
                "--format",
                Some(value_name(if options.format == Format::Auto {
                    &Format::Table
                } else {
                    &options.format
                })),
            ),
        ];
        let switches = [
            ("--read-only", flags.access.is_some()),
            ("--yes", self.console.says_yes()),
            ("--quiet", options.quiet),
            ("-v", options.log == LogLevel::Info),
            ("-vv", options.log == LogLevel::Debug),
        ];
        let valued = valued.into_iter().filter_map(|(flag, value)| Some(format!("{flag}={}", value?)));
        let switches = switches.into_iter().filter(|(_, is_on)| *is_on).map(|(flag, _)| flag.to_owned());
        valued.chain(switches).collect()
    }

    /// The jobs that still run.
    pub(crate) fn list_jobs(&self) -> Report {
        let columns = [Column::number("job"), Column::number("seconds"), Column::text("command")];
        let mut report = Report::list(&columns);
        for job in self.jobs.running().iter() {
            let seconds = Cell::Decimal(job.begun.elapsed().as_secs_f64(), 1);
            report.push(vec![job.number.into(), seconds, job.line.as_str().into()]);
        }
        if report.rows.is_empty() {
            report.notes.push("no job runs; COMMAND & runs a command beside the prompt".into());
        }
        report
    }

    /// Asks a job to stop, as Ctrl-C would.
    pub(crate) fn stop_job(&self, number: u64) -> Result<()> {
        let jobs = self.jobs.running();
        let job = jobs.iter().find(|job| job.number == number).ok_or_else(|| {
            Error::new(Kind::NotFound, format!("no job {number} runs")).hint("jobs lists them")
        })?;
        job.interrupt();
        Ok(())
    }

    /// Ends all jobs, because the session ends.
    pub(crate) fn end_jobs(&self) {
        for job in self.jobs.running().iter() {
            self.tell(&format!("[{}] is asked to stop: {}", job.number, job.line), self.here());
        }
        self.jobs.end();
    }
}
