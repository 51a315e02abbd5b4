//! `monitor`: a live view on the full screen. Threads take samples, which go into a [`state::MonitorState`]; the screen is
//! drawn from that alone.

mod draw;
mod host;
mod keys;
mod rebalance;
mod ring;
mod screen;
mod sessions;
mod shards;
mod state;
#[cfg(test)]
mod tests;
mod text;
mod theme;

use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use super::logging;
use super::shell::{At, End, Shell};
use crate::commands::Console as _;
use crate::commands::monitoring::monitor::{MonitorArgs, Observation};
use crate::commands::repl_command::LogLevel;
use crate::error::{Error, Kind, Result};
use keys::{Act, Key};
use screen::FullScreen;
use state::MonitorState;
use theme::Theme;

/// How often the loop polls for keys, signals and samples.
const STEP: Duration = Duration::from_millis(50);
/// How often the screen is redrawn without samples, because it shows elapsed times.
const REDRAW: Duration = Duration::from_millis(500);

/// Handlers for the signals that end the monitor, and the last signal received.
struct Signals {
    last: Arc<AtomicUsize>,
    handlers: Vec<signal_hook::SigId>,
}

impl Signals {
    fn catch() -> Self {
        let last = Arc::<AtomicUsize>::default();
        let handlers = [SIGINT, SIGTERM, SIGHUP].into_iter().filter_map(|signal| {
            let number = usize::try_from(signal).ok()?;
            flag::register_usize(signal, Arc::clone(&last), number).ok()
        });
        let handlers = handlers.collect();
        Self { last, handlers }
    }

    fn last(&self) -> Option<i32> {
        i32::try_from(self.last.load(Ordering::SeqCst)).ok().filter(|signal| *signal != 0)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            low_level::unregister(handler);
        }
    }
}

impl Shell<'_> {
    /// Runs the monitor until the user leaves.
    pub(super) fn monitor(&self, args: &MonitorArgs, at: At<'_>) -> End {
        let screen = at.options.style().screen;
        let refuse = |message: &str, hint: &str| self.fail(&Error::new(Kind::Usage, message).hint(hint), at);
        if !(io::stdin().is_terminal() && screen.terminal) {
            return refuse(
                "monitor needs a terminal for its screen and its keys",
                "ringshard stats shows the same once",
            );
        }
        if !screen.can_move {
            let hint = "ringshard -c \"watch 2 stats\" shows the same line by line";
            return refuse("monitor cannot draw on this terminal: TERM is `dumb`", hint);
        }
        // Lines of the log on stderr would spoil the screen; a log file still gets them.
        logging::set_level(LogLevel::Off);
        let theme = Theme { color: screen.color, unicode: screen.unicode };
        let watched = self.watch_shards(args, theme);
        logging::set_level(at.options.log);
        match watched {
            Ok(None) => End::Done,
            Ok(Some(signal)) => {
                // The terminal is restored: now the signal takes effect.
                let _ = low_level::emulate_default_handler(signal);
                End::Done
            }
            Err(error) => self.fail(&error, at),
        }
    }

    /// Shows the screen, and returns the signal that ended it, if one did.
    fn watch_shards(&self, args: &MonitorArgs, theme: Theme) -> Result<Option<i32>> {
        let fail = |cause: io::Error| {
            Error::new(Kind::Failed, format!("cannot use the terminal: {cause}"))
                .hint("ringshard stats shows the same once")
        };
        let names = self.context.cluster()?.shards().names();
        let (sender, samples) = mpsc::channel();
        // While these exist, no signal ends the program.
        let _interrupts = self.console.watch_interrupts();
        let signals = Signals::catch();
        let mut screen = FullScreen::enter(theme.color).map_err(fail)?;
        let sender = Mutex::new(sender);
        let send = move |sample| drop(sender.lock().send(sample));
        let observation = Observation::begin(&self.context, args.interval, &(Arc::new(send) as _))?;
        let mut state = MonitorState::new(names, args.interval);
        let begun = Instant::now();
        let mut drawn: Option<Instant> = None;
        loop {
            if let Some(signal) = signals.last() {
                return Ok(Some(signal));
            }
            state.tick(begun.elapsed());
            let mut is_changed = false;
            for sample in samples.try_iter() {
                state.receive(sample);
                is_changed = true;
            }
            if is_changed || drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW) {
                screen.terminal.draw(|frame| draw::draw(frame, &state, theme)).map_err(fail)?;
                drawn = Some(Instant::now());
            }
            if !event::poll(STEP).map_err(fail)? {
                continue;
            }
            drawn = None;
            let Some(key) = key_of(&event::read().map_err(fail)?) else { continue };
            match state.press(key) {
                Act::Nothing => {}
                Act::Leave => return Ok(None),
                Act::SetInterval(interval) => observation.set_interval(interval),
                Act::Open(shard) => observation.open(shard),
            }
        }
    }
}

/// The key of an event; `None` if it is not a key that the monitor uses.
fn key_of(event: &Event) -> Option<Key> {
    let Event::Key(key) = event else { return None };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    Some(match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Key::CtrlC,
        KeyCode::Char(letter) if (key.modifiers - KeyModifiers::SHIFT).is_empty() => Key::Char(letter),
        KeyCode::Esc => Key::Escape,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Enter => Key::Enter,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    })
}
