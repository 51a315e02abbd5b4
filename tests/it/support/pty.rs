//! A program in a pseudo-terminal, and what is on its screen.

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

/// How long the tests wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the editor sends when it starts to read a line: it turns bracketed paste on (xterm's DECSET 2004).
const BEGIN_OF_LINE: &str = "\u{1b}[?2004h";
/// How many lines the screen has.
const ROWS: u16 = 40;

/// A program in a pseudo-terminal.
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
    /// The REPL of this home, in a terminal that sends signals.
    pub(crate) fn repl(test: &Test, columns: u16, more: &[(&str, &str)]) -> Self {
        Self::run_in_session(&test.command(), columns, &[], more)
    }

    /// The program with these arguments in a session of its own, whose terminal sends signals.
    pub(crate) fn run_in_session(
        like: &Command,
        columns: u16,
        words: &[&str],
        more: &[(&str, &str)],
    ) -> Self {
        // Only the leader of a session can have a controlling terminal.
        let mut command = Command::new("setsid");
        command.args(["-c", BINARY]).args(words).env_clear();
        command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(like.get_current_dir().unwrap());
        command.env("TERM", "xterm-256color").envs(more.iter().copied());
        Self::spawn(columns, command)
    }

    /// The program with these arguments, in a terminal that sends no signals.
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

    /// The text of the screen, without the empty lines at its end.
    pub(crate) fn screen(&self) -> String {
        self.emulator.screen().contents()
    }

    /// The last line of the screen that is not empty.
    pub(crate) fn last_line(&self) -> String {
        self.screen().trim_end().lines().last().unwrap_or_default().trim_end().to_owned()
    }

    /// Waits until the condition holds.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.screen.recv_timeout(left) {
                Ok(more) => self.process(&more),
                Err(why) => panic!("{why}: {what}:\n{}", self.screen()),
            }
        }
    }

    /// Waits until the screen shows this text.
    #[track_caller]
    pub(crate) fn wait_for_text(&mut self, words: &str) {
        self.wait_until(&format!("`{words}`"), |terminal| terminal.screen().contains(words));
    }

    /// Waits until this is the last line.
    #[track_caller]
    pub(crate) fn wait_for_last_line(&mut self, line: &str) {
        self.wait_until(&format!("at `{line}`"), |terminal| terminal.last_line() == line.trim_end());
    }

    /// Waits for an empty prompt. Keys that are sent before it may be lost.
    #[track_caller]
    pub(crate) fn wait_for_prompt(&mut self) {
        self.wait_until("at a prompt", Self::is_at_prompt);
    }

    /// Whether the last line is an empty prompt, and not one that continues a line (`->`, `'>`).
    fn is_at_prompt(&self) -> bool {
        let line = self.last_line();
        line.ends_with('>') && !["->", "'>", "\">", ">"].contains(&line.as_str())
    }

    /// Enters a line at a prompt, and waits for the next prompt.
    #[track_caller]
    pub(crate) fn enter_line(&mut self, line: &str) {
        self.wait_for_prompt();
        self.send_keys(line);
        self.wait_until("an echo", |terminal| terminal.last_line().contains(line.trim_end()));
        self.send_keys("\r");
        self.wait_for_prompt();
    }

    /// Presses Enter until the prompt ends like this: news of a shard that comes too late for one prompt is in the
    /// next.
    #[track_caller]
    pub(crate) fn press_enter_until(&mut self, end: &str) {
        let begun = Instant::now();
        loop {
            let before = self.seen_count(BEGIN_OF_LINE);
            self.send_keys("\r");
            self.wait_until("at the next prompt", |terminal| {
                terminal.seen_count(BEGIN_OF_LINE) > before && terminal.is_at_prompt()
            });
            if self.last_line().ends_with(end) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "no prompt ends with `{end}`:\n{}", self.screen());
        }
    }

    /// Presses Ctrl-C in the middle of a line, and waits for a new prompt.
    #[track_caller]
    pub(crate) fn clear_line(&mut self) {
        self.wait_until("in a line", |terminal| !terminal.last_line().ends_with('>'));
        self.send_keys("\u{3}");
        self.wait_for_prompt();
    }

    /// Presses Ctrl-D at a prompt. The exit code, and all output.
    #[track_caller]
    pub(crate) fn exit_at_prompt(mut self) -> (i32, String) {
        self.wait_for_prompt();
        self.send_keys("\u{4}");
        self.wait_for_exit()
    }

    /// How often this was written, visible or not.
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

    /// Changes the width of the terminal.
    pub(crate) fn resize(&mut self, columns: u16) {
        let size = Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        self.emulator.screen_mut().set_size(cells(ROWS), cells(columns));
        tcsetwinsize(&self.keyboard, size).unwrap();
    }

    pub(crate) fn send_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end of the program. The exit code, and all output.
    pub(crate) fn wait_for_exit(mut self) -> (i32, String) {
        let begun = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code().unwrap_or(-1);
            }
            if begun.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                panic!("the program does not end:\n{}\n{}", self.screen(), self.text());
            }
            // Its output must be read, or it blocks.
            if let Ok(more) = self.screen.recv_timeout(Duration::from_millis(20)) {
                self.process(&more);
            }
        };
        // The terminal hangs up when the last process closes it.
        while let Ok(more) = self.screen.recv_timeout(PATIENCE) {
            self.process(&more);
        }
        (code, self.text())
    }
}

/// A program that still runs when a test fails is killed.
impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The usual number of columns, if the program is told none.
fn cells(number: u16) -> NonZero<u16> {
    NonZero::new(number).or(NonZero::new(80)).unwrap()
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
