//! Says on stderr what a command waits for, and ends the program if a server does not answer any more. Called by the thread that
//! watches the sessions.

use std::process;

use indicatif::ProgressBar;
use parking_lot::Mutex;

use super::errors;
use super::output::{Screen, write_stderr};
use super::session::options::SessionOptions;
use crate::commands::{ActiveSessions, WaitListener};
use crate::error::Error;
use crate::model::text::visible_lines;
use crate::settings::ColorWhen;

/// How the command that runs speaks.
struct Style {
    /// Whether it says what it waits for.
    is_told: bool,
    /// Whether its errors are JSON.
    is_json: bool,
    /// Whether they are colored.
    color: ColorWhen,
}

struct State {
    style: Style,
    /// The bar at the bottom of stderr.
    bar: Option<ProgressBar>,
}

const QUIET: Style = Style { is_told: false, is_json: false, color: ColorWhen::Auto };

static STATE: Mutex<State> = Mutex::new(State { style: QUIET, bar: None });

/// A command that runs; until it is dropped.
pub(super) struct Running(());

impl Drop for Running {
    fn drop(&mut self) {
        STATE.lock().style = QUIET;
    }
}

/// From now on the waits of commands are watched.
pub(super) fn start() {
    ActiveSessions::listen(WaitListener { tell, end });
}

/// A command runs with these options.
pub(super) fn begin(options: SessionOptions) -> Running {
    let is_json = options.style().is_json();
    let is_told = !options.quiet && !is_json;
    STATE.lock().style = Style { is_told, is_json, color: options.color };
    Running(())
}

/// This bar is drawn at the bottom of stderr, or none.
pub(super) fn draws(bar: Option<&ProgressBar>) {
    STATE.lock().bar = bar.cloned();
}

fn tell(text: &str) {
    let state = STATE.lock();
    let say = || write_stderr(&format!("{}\n", visible_lines(text)));
    match &state.bar {
        _ if !state.style.is_told => {}
        Some(bar) => bar.suspend(say),
        None => say(),
    }
}

fn end(error: &Error) {
    let state = STATE.lock();
    if let Some(bar) = &state.bar {
        bar.finish_and_clear();
    }
    errors::show(error, None, state.style.is_json, Screen::stderr(state.style.color));
    process::exit(error.kind().exit_code().into());
}
