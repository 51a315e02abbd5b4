//! Runs a script, and stores consecutive `create-user` lines in batches.
//!
//! The result is as if the lines ran one by one: in order, up to the first error. A batch never waits for a line that
//! is not available yet, and users that a batch does not store are run one by one.

use super::{Entry, Script};
use crate::commands::repl_command::{Action, ReplCommand};
use crate::commands::users::one_user::{CreateOutcome, CreateUserArgs, create_together};
use crate::commands::{Command, Invocation};
use crate::error::Result;
use crate::terminal::parse::Parsed;
use crate::terminal::shell::{At, End, Shell};
use crate::terminal::wait_notes;

/// The largest batch.
const WINDOW_MAX: usize = 512;

/// A line that was read and parsed.
struct Ready {
    place: String,
    parsed: Result<Parsed>,
}

impl Ready {
    fn new(entry: Entry) -> Self {
        Self { place: entry.place.clone(), parsed: entry.parsed() }
    }

    /// The line, if it is a `create-user` with an id and without logging flags.
    fn create(&self) -> Option<(&ReplCommand, &CreateUserArgs)> {
        let Ok(Parsed::Line(line)) = &self.parsed else { return None };
        let Action::Invocation(Invocation::Command(Command::CreateUser(args))) = &line.action else {
            return None;
        };
        let is_plain = matches!(args.id(), Ok(Some(_)))
            && line.globals.verbose == 0
            && line.globals.flag_of_a_whole_run().is_none();
        is_plain.then_some((line, args))
    }
}

/// The lines of a script, with one line of lookahead.
struct ScriptLines {
    script: Script,
    lookahead: Option<Ready>,
}

impl ScriptLines {
    fn next(&mut self) -> Option<Ready> {
        self.lookahead.take().or_else(|| self.script.next().map(Ready::new))
    }

    /// The next line, if it is available and a `create-user`.
    fn next_create(&mut self) -> Option<Ready> {
        let next = self.lookahead.take().or_else(|| self.script.next_if_ready().map(Ready::new))?;
        if next.create().is_some() {
            return Some(next);
        }
        self.lookahead = Some(next);
        None
    }
}

impl Shell<'_> {
    /// Runs a script up to the first error or, with `keep_going`, to the end.
    pub(crate) fn run_batched(&self, script: Script, keep_going: bool) -> End {
        let mut lines = ScriptLines { script, lookahead: None };
        let mut end = End::Done;
        // The batch doubles after each success, so that an early error costs little.
        let mut window = 1;
        while let Some(first) = lines.next() {
            let is_many = window > 1 && first.create().is_some() && self.may_batch();
            let mut together = vec![first];
            while is_many
                && together.len() < window
                && let Some(line) = lines.next_create()
            {
                together.push(line);
            }
            match self.run_together(together, &mut end, keep_going) {
                Ok(true) => window = (window * 2).min(WINDOW_MAX),
                Ok(false) => window = 1,
                Err(ended) => return ended,
            }
        }
        end
    }

    /// Whether lines may run together: logging and timing need each line run alone, and so does a refusal.
    fn may_batch(&self) -> bool {
        log::max_level() == log::LevelFilter::Off
            && !self.options.get().timing
            && self.context.check_may_write().is_ok()
            && self.context.check_no_transaction().is_ok()
    }

    /// Runs lines. `Ok(true)` if all succeeded at the first try; `Err` if the script ends.
    fn run_together(
        &self,
        lines: Vec<Ready>,
        end: &mut End,
        keep_going: bool,
    ) -> std::result::Result<bool, End> {
        let creates: Vec<(&ReplCommand, &CreateUserArgs)> = lines.iter().filter_map(Ready::create).collect();
        self.context.active_sessions().begin();
        let mut outcomes = if creates.len() > 1 {
            let _running = wait_notes::begin(self.options.get());
            let args: Vec<&CreateUserArgs> = creates.iter().map(|(_, args)| *args).collect();
            create_together(&args, &self.context)
        } else {
            Vec::new()
        };
        let mut all_succeeded = true;
        outcomes.resize_with(lines.len(), || CreateOutcome::Open);
        let is_single = lines.len() == 1;
        for (ready, outcome) in lines.into_iter().zip(outcomes) {
            let globals = ready.create().map(|(line, _)| line.globals.clone()).unwrap_or_default();
            let at = At { place: Some(&ready.place), options: self.options.get().for_line(&globals) };
            let ended = match (outcome, self.context.active_sessions().check()) {
                (CreateOutcome::Stored(mut report), _) => self.show(&mut report, at),
                (CreateOutcome::Failed(error), _) | (CreateOutcome::Open, Err(error)) => {
                    self.fail(&error, at)
                }
                (CreateOutcome::Open, Ok(())) => {
                    all_succeeded &= is_single;
                    self.run_parsed(ready.parsed, Some(&ready.place))
                }
            };
            all_succeeded &= ended == End::Done;
            if let Some(last) = self.last_of(ended, end, keep_going) {
                return Err(last);
            }
        }
        Ok(all_succeeded)
    }
}
