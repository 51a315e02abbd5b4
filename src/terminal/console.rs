//! Questions to the user at the terminal, and the progress of long commands.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::iterator::backend::{Pending, SignalDelivery};
use signal_hook::iterator::exfiltrator::SignalOnly;
use signal_hook::{flag, low_level};

use super::output::{message, write_stderr};
use super::wait_notes;
use crate::commands::{ActiveSessions, Console, Interrupts, Progress};
use crate::error::{Error, Kind, Result};
use crate::model::text::thousands;
use crate::threads;

/// How long a signal waits for the statements to be canceled.
const CANCEL_PATIENCE: Duration = Duration::from_secs(1);
/// The pause before they are canceled again.
const CANCEL_PAUSE: Duration = Duration::from_millis(30);
/// How often progress is logged where no bar can be drawn.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// The progress of the command that is running.
#[derive(Debug)]
struct Shown {
    begun: Instant,
    logged: Instant,
    /// Hidden if stderr is not a terminal.
    bar: ProgressBar,
}

impl Shown {
    /// Whether the progress must be logged, as no bar shows it.
    fn is_log_due(&mut self) -> bool {
        let is_due = self.bar.is_hidden() && self.logged.elapsed() >= LOG_INTERVAL;
        if is_due {
            self.logged = Instant::now();
        }
        is_due
    }
}

/// Asks on stderr and reads the answer from stdin.
#[derive(Debug)]
pub(super) struct Terminal {
    /// `--yes` and `--no-input` of the whole run.
    of_run: (bool, bool),
    /// The same, combined with those of the line that is running.
    now: Cell<(bool, bool)>,
    /// Whether progress is hidden.
    quiet: Cell<bool>,
    running: RefCell<Option<Shown>>,
    /// Whether Ctrl-C ends only the command.
    stays: Cell<bool>,
    /// The flags of the signal handlers: whether to stop, and whether a signal ends the program. Handlers are set once.
    signals: OnceCell<(Arc<AtomicBool>, Arc<AtomicBool>)>,
    /// Whether a signal is ending the program.
    is_ending: Arc<AtomicBool>,
}

impl Terminal {
    /// The terminal of a run with these flags.
    pub(super) fn new(yes: bool, no_input: bool, quiet: bool) -> Self {
        let of_run = (yes, no_input);
        Self {
            of_run,
            now: Cell::new(of_run),
            quiet: Cell::new(quiet),
            running: RefCell::default(),
            stays: Cell::new(false),
            signals: OnceCell::new(),
            is_ending: Arc::default(),
        }
    }

    /// Sets the flags of the line that runs next.
    pub(super) fn answer_for_a_line(&self, yes: bool, no_input: bool, quiet: bool) {
        self.now.set((self.of_run.0 || yes, self.of_run.1 || no_input));
        self.quiet.set(quiet);
    }

    fn shown(&self, part: Option<(u64, u64)>) -> Shown {
        let is_visible = !self.quiet.get() && io::stderr().is_terminal();
        let bar = bar(part, is_visible);
        wait_notes::draws(Some(&bar));
        Shown { begun: Instant::now(), logged: Instant::now(), bar }
    }

    /// Whether every question is answered with yes.
    pub(super) fn says_yes(&self) -> bool {
        self.now.get().0
    }

    /// Makes a signal that ends the program end its statements at the servers first. A command that watches for interrupts is
    /// asked to stop first, and ended the second time.
    pub(super) fn cancel_on_signal(&self, sessions: Arc<ActiveSessions>, when: Watch) {
        let flags = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
        let (asked, unwatched) = (Arc::clone(&flags.0), Arc::clone(&flags.1));
        let is_ending = Arc::clone(&self.is_ending);
        let watch = move || {
            let Ok(mut signals) = TimedSignals::new(&[SIGINT, SIGTERM, SIGHUP, SIGQUIT]) else { return };
            loop {
                for signal in signals.wait() {
                    let is_second = asked.swap(true, Ordering::SeqCst);
                    // Only these two ask a command to stop.
                    let may_ask = [SIGINT, SIGTERM].contains(&signal);
                    if is_second || unwatched.load(Ordering::SeqCst) || !may_ask {
                        is_ending.store(true, Ordering::SeqCst);
                        cancel_soon(&sessions, name_of(signal));
                        let _ = low_level::emulate_default_handler(signal);
                    }
                }
                ActiveSessions::tick();
            }
        };
        if when == Watch::OnceConnected {
            threads::start_next(watch);
        } else if threads::start(watch).is_err() {
            return;
        }
        ActiveSessions::tick();
        let _ = self.signals.set(flags);
    }

    /// Waits for the end of the program if a signal is ending it, which decides about the exit code.
    pub(super) fn wait_if_ending(&self) {
        while self.is_ending.load(Ordering::SeqCst) {
            thread::park();
        }
    }

    /// From here on Ctrl-C ends only the command: a command that polls is asked to stop, and the statements of another
    /// one are canceled at the servers; a second Ctrl-C cancels those of the first kind, too.
    pub(super) fn stay(&self, sessions: Arc<ActiveSessions>) {
        let (asked, fatal) = self.signals.get_or_init(|| handle_signals(&[SIGTERM]));
        let (asked, unwatched) = (Arc::clone(asked), Arc::clone(fatal));
        if self.stays.replace(true) {
            return;
        }
        // Closing the terminal (SIGHUP) does the same; then there is no next line, and the session ends.
        let (sender, receiver) = mpsc::channel::<Signals>();
        let started = threads::start(move || {
            for mut signals in receiver {
                for signal in signals.forever() {
                    let is_second = asked.swap(true, Ordering::SeqCst);
                    if is_second || unwatched.load(Ordering::SeqCst) {
                        sessions.stop(name_of(signal));
                    }
                }
            }
        });
        // Not before, as a signal with a handler and no thread would do nothing.
        if started.is_ok()
            && let Ok(signals) = Signals::new([SIGINT, SIGHUP])
        {
            let _ = sender.send(signals);
        }
    }
}

/// From when on signals are watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    /// At once.
    Now,
    /// When the first connection is made, by the thread that made it. Before, a signal ends the program by itself, and no
    /// statement runs that has to be canceled.
    OnceConnected,
}

/// Signals that are waited for no longer than [`ActiveSessions::TICK`].
struct TimedSignals(SignalDelivery<UnixStream, SignalOnly>);

impl TimedSignals {
    /// Catches these signals from now on.
    fn new(signals: &[i32]) -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_read_timeout(Some(ActiveSessions::TICK))?;
        Ok(Self(SignalDelivery::with_pipe(read, write, SignalOnly, signals)?))
    }

    /// Those that came, after waiting for one.
    fn wait(&mut self) -> Pending<SignalOnly> {
        // Without anything to read it is the end of the time.
        let _ = self.0.get_read_mut().read(&mut [0]);
        self.0.pending()
    }
}

impl Console for Terminal {
    fn confirm(&self, question: &str) -> Result<()> {
        let (yes, no_input) = self.now.get();
        if yes {
            return Ok(());
        }
        if no_input || !io::stdin().is_terminal() {
            return Err(Error::new(Kind::Declined, format!("not confirmed: {question}"))
                .hint("add --yes to confirm without a terminal"));
        }
        write_stderr(&(message(&format!("{question} [y/N]")) + " "));
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|cause| Error::new(Kind::Declined, format!("cannot read the answer: {cause}")))?;
        if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
            Ok(())
        } else {
            Err(Error::new(Kind::Declined, "not confirmed; nothing was changed")
                .hint("answer y, or add --yes"))
        }
    }

    fn progress(&self, progress: Option<&Progress>) {
        let mut running = self.running.borrow_mut();
        let Some(progress) = progress else {
            wait_notes::draws(None);
            if let Some(running) = running.take() {
                running.bar.finish_and_clear();
            }
            return;
        };
        let running = running.get_or_insert_with(|| self.shown(progress.part));
        running.bar.set_position(progress.part.map_or(progress.rows, |(done, _)| done));
        #[expect(clippy::cast_precision_loss, reason = "a rounded rate")]
        let rate = progress.rows as f64 / running.begun.elapsed().as_secs_f64().max(0.001);
        let at = if progress.at.is_empty() { String::new() } else { format!(", {}", progress.at) };
        running.bar.set_message(format!("{} rows, {rate:.0}/s{at}", HumanCount(progress.rows)));
        if running.is_log_due() {
            let part = progress
                .part
                .map_or_else(String::new, |(done, total)| format!(", {} %", done * 100 / total.max(1)));
            log::info!("{} rows{part}, {rate:.0} rows/s{at}", thousands(progress.rows));
        }
    }

    fn tell(&self, text: &str) {
        if !self.quiet.get() {
            write_stderr(&(message(text) + "\n"));
        }
    }

    fn status(&self, part: (u64, u64), text: &str) {
        let mut running = self.running.borrow_mut();
        let running = running.get_or_insert_with(|| self.shown(Some(part)));
        running.bar.set_length(part.1);
        running.bar.set_position(part.0);
        running.bar.set_message(text.to_owned());
        if running.is_log_due() {
            log::info!("{} %: {text}", part.0 * 100 / part.1.max(1));
        }
    }

    fn watch_interrupts(&self) -> Interrupts {
        let (asked, fatal) = self.signals.get_or_init(|| handle_signals(&[SIGINT, SIGTERM]));
        Interrupts::new(Arc::clone(asked), Arc::clone(fatal))
    }
}

/// What a user calls a signal.
fn name_of(signal: i32) -> &'static str {
    if signal == SIGINT { "Ctrl-C" } else { low_level::signal_name(signal).unwrap_or("a signal") }
}

/// Cancels the statements at the servers, and does not wait for a server that does not answer.
fn cancel_soon(sessions: &Arc<ActiveSessions>, by: &'static str) {
    let (sender, receiver) = mpsc::channel::<()>();
    let sessions = Arc::clone(sessions);
    let started = threads::start(move || {
        sessions.stop(by);
        // A thread may just have sent its next statement.
        thread::sleep(CANCEL_PAUSE);
        sessions.stop(by);
        drop(sender);
    });
    if started.is_ok() {
        let _ = receiver.recv_timeout(CANCEL_PATIENCE);
    }
}

fn handle_signals(signals: &[i32]) -> (Arc<AtomicBool>, Arc<AtomicBool>) {
    let (asked, fatal) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
    for &signal in signals {
        // In this order, so that the state before the signal decides. If no handler can be set, the signal ends the
        // program by default.
        let _ = flag::register_conditional_default(signal, Arc::clone(&fatal))
            .and_then(|_| flag::register(signal, Arc::clone(&asked)));
    }
    (asked, fatal)
}

fn bar(part: Option<(u64, u64)>, shown: bool) -> ProgressBar {
    if !shown {
        return ProgressBar::hidden();
    }
    let left = |state: &ProgressState, out: &mut dyn fmt::Write| {
        let _ = write!(out, "{:.0} s left", state.eta().as_secs_f64().ceil());
    };
    let (bar, template) = match part {
        Some((_, total)) => (ProgressBar::new(total), "{bar:24} {percent} %, {left}, {wide_msg}"),
        None => (ProgressBar::new_spinner(), "{spinner} {wide_msg}"),
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style.with_key("left", left))
}
