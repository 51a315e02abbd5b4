//! A program that believes a person looks at it, and what that person sees on the screen.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::harness::{BINARY, Test};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the editor sends when it begins to read a line: from here on a paste is to be marked (xterm's DECSET 2004).
const BEGIN_OF_LINE: &str = "\u{1b}[?2004h";
/// How many lines the screen has.
const ROWS: u16 = 40;

/// A program that believes a person looks at it.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// As bytes: a character may come in two pieces.
    seen: Vec<u8>,
    /// The same as a terminal shows it.
    emulator: vt100::Parser,
}

impl Terminal {
    /// Types into the REPL of this home, at a terminal that Ctrl-C comes from.
    pub(crate) fn repl(test: &Test, columns: u16, more: &[(&str, &str)]) -> Self {
        Self::run_in_session(&test.command(), columns, &[], more)
    }

    /// The same with this command and these words.
    pub(crate) fn run_in_session(
        like: &Command,
        columns: u16,
        words: &[&str],
        more: &[(&str, &str)],
    ) -> Self {
        // Only the leader of a session can have a terminal of its own.
        let mut command = Command::new("setsid");
        command.args(["-c", BINARY]).args(words).env_clear();
        command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(like.get_current_dir().unwrap());
        command.env("TERM", "xterm-256color").envs(more.iter().copied());
        Self::spawn(columns, command)
    }

    /// Runs the program.
    pub(crate) fn run(test: &Test, columns: u16, words: &[&str], more: &[(&str, &str)]) -> Self {
        let mut command = test.command();
        command.env("TERM", "xterm-256color").envs(more.iter().copied()).args(words);
        Self::spawn(columns, command)
    }

    pub(crate) fn spawn(columns: u16, mut command: Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let size = Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        tcsetwinsize(&theirs, size).unwrap();
        let stream = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        let child =
            command.stdin(stream(&theirs)).stdout(stream(&theirs)).stderr(stream(&theirs)).spawn().unwrap();
        drop((theirs, command));
        let keyboard = File::from(ours);
        let (sender, screen) = channel();
        let mut reader = keyboard.try_clone().unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let emulator = vt100::Parser::new(cells(ROWS), cells(columns), 0);
        Self { child, keyboard, screen, seen: Vec::new(), emulator }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).replace("\r\n", "\n")
    }

    pub(crate) fn wait_for_output(&mut self, words: &str) {
        while !self.text().contains(words) {
            let more = self.screen.recv_timeout(PATIENCE);
            self.process(&more.unwrap_or_else(|why| panic!("{why}: no `{words}` in {}", self.text())));
        }
    }

    fn process(&mut self, bytes: &[u8]) {
        self.seen.extend(bytes);
        self.emulator.process(bytes);
    }

    /// What stands on the screen, without the empty lines at its end.
    pub(crate) fn screen(&self) -> String {
        self.emulator.screen().contents()
    }

    /// The last line of it that is not empty.
    pub(crate) fn last_line(&self) -> String {
        self.screen().trim_end().lines().last().unwrap_or_default().trim_end().to_owned()
    }

    /// Waits until the screen is like this.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.screen.recv_timeout(left) {
                Ok(more) => self.process(&more),
                Err(why) => panic!("{why}: never {what}:\n{}", self.screen()),
            }
        }
    }

    /// Waits until the screen shows this.
    #[track_caller]
    pub(crate) fn wait_for_text(&mut self, words: &str) {
        self.wait_until(&format!("`{words}`"), |terminal| terminal.screen().contains(words));
    }

    /// Waits until the last line is this.
    #[track_caller]
    pub(crate) fn wait_for_last_line(&mut self, line: &str) {
        self.wait_until(&format!("at `{line}`"), |terminal| terminal.last_line() == line.trim_end());
    }

    /// Waits for a prompt with nothing behind it. Keys that come before it may be lost, as at any terminal.
    #[track_caller]
    pub(crate) fn wait_for_prompt(&mut self) {
        self.wait_until("at a prompt", |terminal| terminal.last_line().ends_with('>'));
    }

    /// Types a line at a prompt, and waits until the next one.
    #[track_caller]
    pub(crate) fn enter_line(&mut self, line: &str) {
        self.wait_for_prompt();
        self.send_keys(line);
        self.wait_until("an echo", |terminal| terminal.last_line().contains(line.trim_end()));
        self.send_keys("\r");
        self.wait_for_prompt();
    }

    /// Presses Enter until the prompt ends like this: what a shard says too late for one is in the next.
    #[track_caller]
    pub(crate) fn press_enter_until(&mut self, end: &str) {
        let begun = Instant::now();
        loop {
            let before = self.seen_count(BEGIN_OF_LINE);
            self.send_keys("\r");
            self.wait_until("at the next prompt", |terminal| {
                terminal.seen_count(BEGIN_OF_LINE) > before && terminal.last_line().ends_with('>')
            });
            if self.last_line().ends_with(end) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "no prompt ends with `{end}`:\n{}", self.screen());
        }
    }

    /// Presses Ctrl-C in the middle of a line, and waits for a new one.
    #[track_caller]
    pub(crate) fn clear_line(&mut self) {
        self.wait_until("in a line", |terminal| !terminal.last_line().ends_with('>'));
        self.send_keys("\u{3}");
        self.wait_for_prompt();
    }

    /// Presses Ctrl-D at a prompt. The exit code, and all that was seen.
    #[track_caller]
    pub(crate) fn exit_at_prompt(mut self) -> (i32, String) {
        self.wait_for_prompt();
        self.send_keys("\u{4}");
        self.wait_for_exit()
    }

    /// How often this was written, seen or not any more.
    pub(crate) fn seen_count(&self, words: &str) -> usize {
        self.text().matches(words).count()
    }

    /// In which columns each line of the screen has this character.
    pub(crate) fn columns_of(&self, character: &str) -> Vec<Vec<u16>> {
        let screen = self.emulator.screen();
        let (rows, columns) = screen.size();
        let (rows, columns) = (rows.get(), columns.get());
        let is_it = |row, column| screen.cell(row, column).is_some_and(|cell| cell.contents() == character);
        (0..rows).map(|row| (0..columns).filter(|column| is_it(row, *column)).collect()).collect()
    }

    /// The program's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Makes the terminal as wide as this.
    pub(crate) fn resize(&mut self, columns: u16) {
        let size = Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        self.emulator.screen_mut().set_size(cells(ROWS), cells(columns));
        tcsetwinsize(&self.keyboard, size).unwrap();
    }

    pub(crate) fn send_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// The exit code, and all that was seen.
    pub(crate) fn wait_for_exit(mut self) -> (i32, String) {
        let begun = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code().unwrap_or(-1);
            }
            if begun.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                panic!("it never ended:\n{}\n{}", self.screen(), self.text());
            }
            // What it writes must be read, or it waits.
            if let Ok(more) = self.screen.recv_timeout(Duration::from_millis(20)) {
                self.process(&more);
            }
        };
        // The terminal hangs up when the last process that has it open is gone.
        while let Ok(more) = self.screen.recv_timeout(PATIENCE) {
            self.process(&more);
        }
        (code, self.text())
    }
}

/// Whoever is still there when a test fails goes with it.
impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cells(number: u16) -> NonZero<u16> {
    NonZero::new(number).unwrap()
}

/// The text without SGR sequences.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out
}
