//! Scripts whose lines are known ahead: a run of `create-user` lines is stored many at a time.
//!
//! It looks as if they were run one by one: in order, to the first error. Nothing is waited for that is not there
//! yet, and whatever is out of the ordinary is left to the way of single lines.

use super::{Entry, Script};
use crate::commands::repl_command::{Action, ReplCommand};
use crate::commands::users::one_user::{CreateOutcome, CreateUserArgs, create_together};
use crate::commands::{Command, Invocation};
use crate::error::Result;
use crate::terminal::parse::Parsed;
use crate::terminal::shell::{At, End, Shell};

/// How many users are stored at a time at most.
const WINDOW_MAX: usize = 512;

/// A line that was read, and what it says.
struct Ready {
    place: String,
    parsed: Result<Parsed>,
}

impl Ready {
    fn new(entry: Entry) -> Self {
        Self { place: entry.place.clone(), parsed: entry.parsed() }
    }

    /// The line, if it stores a user and has no wish of its own about the log.
    fn create(&self) -> Option<(&ReplCommand, &CreateUserArgs)> {
        let Ok(Parsed::Line(line)) = &self.parsed else { return None };
        let Action::Invocation(Invocation::Command(Command::CreateUser(args))) = &line.action else {
            return None;
        };
        let is_plain = line.globals.verbose == 0 && line.globals.flag_of_a_whole_run().is_none();
        is_plain.then_some((line, args))
    }
}

/// The lines of a script, one of which may have been read too early.
struct ScriptLines {
    script: Script,
    early: Option<Ready>,
}

impl ScriptLines {
    fn next(&mut self) -> Option<Ready> {
        self.early.take().or_else(|| self.script.next().map(Ready::new))
    }

    /// The next line, if it is there already and stores a user.
    fn next_create(&mut self) -> Option<Ready> {
        let next = self.early.take().or_else(|| self.script.next_if_ready().map(Ready::new))?;
        if next.create().is_some() {
            return Some(next);
        }
        self.early = Some(next);
        None
    }
}

impl Shell<'_> {
    /// Runs a script, to the first error or, with `keep_going`, to the end.
    pub(crate) fn run_batched(&self, script: Script, keep_going: bool) -> End {
        let mut lines = ScriptLines { script, early: None };
        let mut end = End::Done;
        // Twice as many after each success: most of it is quick, and an error costs little.
        let mut window = 1;
        while let Some(first) = lines.next() {
            let is_many = window > 1 && first.create().is_some() && self.is_silent();
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

    /// Whether nobody wants to see of each line how it goes, or how long it takes.
    fn is_silent(&self) -> bool {
        log::max_level() == log::LevelFilter::Off && !self.options.get().timing
    }

    /// Runs lines; `Ok(true)` if all went well at the first try. `Err`: the script ends so.
    fn run_together(
        &self,
        lines: Vec<Ready>,
        end: &mut End,
        keep_going: bool,
    ) -> std::result::Result<bool, End> {
        let creates: Vec<(&ReplCommand, &CreateUserArgs)> = lines.iter().filter_map(Ready::create).collect();
        self.context.active_sessions().begin();
        let mut outcomes = if creates.len() > 1 {
            let args: Vec<&CreateUserArgs> = creates.iter().map(|(_, args)| *args).collect();
            create_together(&args, &self.context)
        } else {
            Vec::new()
        };
        let mut is_smooth = true;
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
                    is_smooth &= is_single;
                    self.run_parsed(ready.parsed, Some(&ready.place))
                }
            };
            is_smooth &= ended == End::Done;
            if let Some(last) = self.last_of(ended, end, keep_going) {
                return Err(last);
            }
        }
        Ok(is_smooth)
    }
}
