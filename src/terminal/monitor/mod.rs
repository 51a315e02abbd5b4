//! `monitor`: the whole screen, live. Threads ask; what they hear goes into a [`state::MonitorState`], and the screen is drawn
//! from that alone.

mod draw;
mod host;
mod rebalance;
mod ring;
mod screen;
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
use screen::FullScreen;
use state::{Act, Key, MonitorState};
use theme::Theme;

/// How long a key, a signal or news wait at most.
const STEP: Duration = Duration::from_millis(50);
/// How long the screen stays as it is: what it says of times goes on.
const REDRAW: Duration = Duration::from_millis(500);

/// Signals that end it, once one has come: the last of them.
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
    /// Shows all shards, until the person leaves.
    pub(super) fn monitor(&self, args: &MonitorArgs, at: At<'_>) -> End {
        let screen = at.options.style().screen;
        let refuse = |message: &str, hint: &str| self.fail(&Error::new(Kind::Usage, message).hint(hint), at);
        if !(io::stdin().is_terminal() && screen.terminal) {
            return refuse(
                "monitor needs a terminal to draw on and keys to read",
                "ringshard stats tells it once",
            );
        }
        if !screen.can_move {
            let hint = "ringshard -c \"watch 2 stats\" tells it line by line";
            return refuse("monitor cannot draw on this terminal: TERM is `dumb`", hint);
        }
        // A line of the log in the middle of the screen would spoil it; a file gets its lines.
        logging::set_level(LogLevel::Off);
        let theme = Theme { color: screen.color, unicode: screen.unicode };
        let watched = self.watch_shards(args, theme);
        logging::set_level(at.options.log);
        match watched {
            Ok(None) => End::Done,
            Ok(Some(signal)) => {
                // The terminal is as it was: now the signal does what it does.
                let _ = low_level::emulate_default_handler(signal);
                End::Done
            }
            Err(error) => self.fail(&error, at),
        }
    }

    /// The signal that ended it, if one did.
    fn watch_shards(&self, args: &MonitorArgs, theme: Theme) -> Result<Option<i32>> {
        let fail = |cause: io::Error| {
            Error::new(Kind::Failed, format!("cannot use the terminal: {cause}"))
                .hint("ringshard stats tells it once")
        };
        let names = self.context.cluster()?.shards().names();
        let (sender, news) = mpsc::channel();
        // As long as these live no signal ends the program by itself.
        let _interrupts = self.console.watch_interrupts();
        let signals = Signals::catch();
        let mut screen = FullScreen::enter(theme.color).map_err(fail)?;
        let sender = Mutex::new(sender);
        let tell = move |heard| drop(sender.lock().send(heard));
        let observation = Observation::begin(&self.context, args.interval, &(Arc::new(tell) as _))?;
        let mut state = MonitorState::new(names, args.interval);
        let begun = Instant::now();
        let mut drawn: Option<Instant> = None;
        loop {
            if let Some(signal) = signals.last() {
                return Ok(Some(signal));
            }
            state.tick(begun.elapsed());
            let mut is_news = false;
            for heard in news.try_iter() {
                state.hear(heard);
                is_news = true;
            }
            if is_news || drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW) {
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
            }
        }
    }
}

/// The key of an event; nothing if it is none, or none that says anything here.
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
        _ => return None,
    })
}
