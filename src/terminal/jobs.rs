//! Commands that run beside the prompt (`&`), each as a process of its own with its output shown as notices.

use std::cell::{Cell, RefCell, RefMut};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use super::lexer::Lexer;
use crate::error::{Error, Kind, Result};
use crate::threads;

/// How long the end of the session waits for its jobs to end, after they were asked to.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks whether they have.
const STEP: Duration = Duration::from_millis(50);

/// Hears a line, on any thread.
pub(super) type Notice = Arc<dyn Fn(String) + Send + Sync>;

/// A process that runs a command; `None` once it has closed its output. The thread that reads the output shares it until it
/// has told how the process ended.
type Process = Arc<Mutex<Option<Child>>>;

/// A command that runs.
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) line: String,
    pub(super) begun: Instant,
    process: Process,
}

impl Job {
    /// Asks it to stop, as Ctrl-C would.
    pub(super) fn interrupt(&self) {
        if let Some(child) = &*self.process.lock() {
            // It has not been waited for, so the number is its own.
            let _ = kill_process(Pid::from_child(child), Signal::INT);
        }
    }

    /// Whether its end is still to be told.
    fn is_running(&self) -> bool {
        Arc::strong_count(&self.process) > 1
    }
}

/// The jobs of a session.
#[derive(Default)]
pub(super) struct Jobs {
    started: RefCell<Vec<Job>>,
    last_number: Cell<u64>,
}

impl Jobs {
    /// Those that still run.
    pub(super) fn running(&self) -> RefMut<'_, Vec<Job>> {
        let mut jobs = self.started.borrow_mut();
        jobs.retain(Job::is_running);
        jobs
    }

    /// Starts a process. What it prints, and how it ends, goes to `notice`, each line with the number that is returned.
    pub(super) fn start(&self, mut command: Command, line: &str, notice: Notice) -> Result<u64> {
        let fail = |cause: io::Error| {
            Error::new(Kind::Failed, format!("cannot run a command beside the prompt: {cause}"))
                .hint("leave out the `&`")
        };
        let (output, input) = io::pipe().map_err(fail)?;
        // Ctrl-C at the prompt is not for it.
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(input.try_clone().map_err(fail)?).stderr(input);
        let child = command.spawn().map_err(fail)?;
        // It holds the other end of the pipe.
        drop(command);
        let number = self.last_number.get() + 1;
        self.last_number.set(number);
        let process: Process = Arc::new(Mutex::new(Some(child)));
        let (ended, line) = (Arc::clone(&process), line.to_owned());
        let job = Job { number, line: line.clone(), begun: Instant::now(), process };
        let started = threads::start(move || {
            for text in BufReader::new(output).lines().map_while(io::Result::ok) {
                notice(format!("[{number}] {text}"));
            }
            let child = ended.lock().take();
            let Some(mut child) = child else { return };
            let end = match child.wait() {
                Ok(status) if status.success() => "done".into(),
                Ok(status) => {
                    status.code().map_or(status.to_string(), |code| format!("ended with exit code {code}"))
                }
                Err(cause) => format!("lost: {cause}"),
            };
            notice(format!("[{number}] {end}: {line}"));
            drop(ended);
        });
        started.inspect_err(|_| job.interrupt())?;
        self.started.borrow_mut().push(job);
        Ok(number)
    }

    /// Asks all to stop, and waits for a while until they have.
    pub(super) fn end(&self) {
        let jobs = self.running();
        jobs.iter().for_each(Job::interrupt);
        let begun = Instant::now();
        while jobs.iter().any(Job::is_running) && begun.elapsed() < PATIENCE {
            thread::sleep(STEP);
        }
    }
}

/// The line without the `&` at its end; `None` if there is none.
pub(super) fn beside_prompt(line: &str) -> Option<&str> {
    let tokens = Lexer::of(line).tokens;
    let last = tokens.last().filter(|last| !last.is_quoted && last.text == "&")?;
    Some(&line[..last.span.start])
}
