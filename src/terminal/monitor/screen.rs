//! The full screen of the terminal, which is restored in any case.

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

/// The full screen, until it is dropped.
pub(super) struct FullScreen {
    pub(super) terminal: Terminal<CrosstermBackend<Stdout>>,
    /// The panic hook from before.
    hook: Hook,
}

impl FullScreen {
    /// Takes the screen. A panic restores the terminal first, or its message would be lost with the screen.
    pub(super) fn enter(color: bool) -> io::Result<Self> {
        // Colours are already decided, including NO_COLOR.
        force_color_output(color);
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        let hook: Hook = panic::take_hook().into();
        let inner = Arc::clone(&hook);
        panic::set_hook(Box::new(move |info| {
            restore();
            inner(info);
        }));
        let screen = Self { terminal, hook };
        enable_raw_mode()?;
        // Not by `Terminal::clear`, which asks for the position of the cursor: not every terminal answers.
        execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All))?;
        Ok(screen)
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        restore();
        if !std::thread::panicking() {
            let hook = Arc::clone(&self.hook);
            panic::set_hook(Box::new(move |info| hook(info)));
        }
    }
}

/// Restores the terminal. It fails only if there is no terminal any more.
fn restore() {
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}
