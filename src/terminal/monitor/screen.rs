//! The whole screen of the terminal, for a while. However that ends, the terminal is as it was.

use std::io::{self, Stdout};
use std::panic;
use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::style::force_color_output;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

type Hook = Arc<dyn Fn(&panic::PanicHookInfo<'_>) + Send + Sync>;

/// The screen, until it is dropped.
pub(super) struct FullScreen {
    pub(super) terminal: Terminal<CrosstermBackend<Stdout>>,
    /// What said that the program panics, before.
    hook: Hook,
}

impl FullScreen {
    /// Takes the screen. Who panics gives it back first: the words of a panic would be wiped away with it.
    pub(super) fn enter(color: bool) -> io::Result<Self> {
        // Whether there are colours was decided before, also against NO_COLOR.
        force_color_output(color);
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        let hook: Hook = panic::take_hook().into();
        let inner = Arc::clone(&hook);
        panic::set_hook(Box::new(move |info| {
            give_back();
            inner(info);
        }));
        let screen = Self { terminal, hook };
        enable_raw_mode()?;
        // Not by the terminal's own `clear`: that asks where the cursor is, and not every terminal answers.
        execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All))?;
        Ok(screen)
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        give_back();
        if !std::thread::panicking() {
            let hook = Arc::clone(&self.hook);
            panic::set_hook(Box::new(move |info| hook(info)));
        }
    }
}

/// If this fails there is no terminal any more.
fn give_back() {
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}
