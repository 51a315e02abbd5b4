//! `tour`: a guided tour on a private Postgres, which is created for it and deleted at the end.
//!
//! Each command runs as a separate process with its own `RINGSHARD_HOME`.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::process::{self, Stdio};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::lexer::Lexer;
use super::output::{Screen, unwritable, write_stderr, write_stdout};
use super::shell::{At, End, Shell};
use crate::commands::TourArgs;
use crate::error::{Error, Kind, Result};

const TEXT: &str = include_str!("tour.txt");
/// The number of users that are imported.
const USERS: u32 = 10_000;

/// The folder of the tour with its server. Both are deleted on drop.
struct Home {
    folder: PathBuf,
    program: PathBuf,
}

impl Home {
    fn make() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("ringshard-tour-{}", process::id()));
        let fail = |what: &str, cause: io::Error| {
            Error::new(Kind::Failed, format!("cannot {what} for the tour: {cause}"))
                .hint("set TMPDIR to a writable folder")
        };
        let program = std::env::current_exe().map_err(|cause| fail("find this program", cause))?;
        fs::create_dir(&folder).map_err(|cause| fail(&format!("create `{}`", folder.display()), cause))?;
        let home = Self { folder, program };
        fs::write(home.folder.join("users.csv"), users()).map_err(|cause| fail("write users", cause))?;
        Ok(home)
    }

    /// Runs a command, and returns whether it succeeded.
    fn run(&self, words: &[String]) -> Result<bool> {
        let mut command = self.command(words);
        let status = command.status().map_err(|cause| {
            Error::new(Kind::Failed, format!("cannot run `{}`: {cause}", self.program.display()))
        })?;
        Ok(status.success())
    }

    /// A command in an environment that names no other servers.
    fn command(&self, words: &[String]) -> process::Command {
        let mut command = process::Command::new(&self.program);
        let leads_elsewhere = |name: &str| {
            name.starts_with("PG") || name.starts_with("RINGSHARD_") && name != "RINGSHARD_PG_BIN"
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(leads_elsewhere)) {
            command.env_remove(name);
        }
        command.env("RINGSHARD_HOME", &self.folder).current_dir(&self.folder).args(words);
        command.stdin(Stdio::null());
        // The tour waits for a key itself.
        command.env("PAGER", "cat");
        command
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let words = ["local", "destroy", "-y", "-q"].map(str::to_owned);
        let _ = self.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The users from id 2 on, as the tour creates the first one itself. The regions have different sizes.
fn users() -> String {
    let regions = ["US", "US", "US", "US", "US", "EU", "EU", "EU", "ASIA", "LATAM"];
    let mut text = String::from("user_id,name,region,email\n");
    for (id, region) in (2..=USERS).zip(regions.iter().cycle()) {
        let _ = writeln!(text, "{id},User {id},{region},user{id}@example.com");
    }
    text
}

impl Shell<'_> {
    /// Runs all steps, and waits for a key between them.
    pub(super) fn tour(&self, args: &TourArgs, at: At<'_>) -> End {
        let is_asked = !(args.at_once || self.console.says_yes());
        if is_asked && !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            let error = Error::new(
                Kind::Declined,
                "the tour waits for a key after each step, and needs a terminal for it",
            );
            return self.fail(&error.hint("ringshard tour --at-once does not wait"), at);
        }
        // Ctrl-C ends the tour, which cleans up first.
        self.console.stay(std::sync::Arc::clone(self.context.active_sessions()));
        let end = Home::make().and_then(|home| self.walk(&home, is_asked, at));
        match end {
            Ok(end) => end,
            Err(error) => self.fail(&error, at),
        }
    }

    fn walk(&self, home: &Home, is_asked: bool, at: At<'_>) -> Result<End> {
        let text: String =
            TEXT.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        let steps: Vec<&str> = text.split("---\n").collect();
        let screen = at.options.style().screen;
        for (number, step) in (1..).zip(&steps) {
            let commands_at = step.find("$ ").unwrap_or(step.len());
            if !say(&screen.reflow(&step[..commands_at]))? {
                return Ok(End::PipeClosed);
            }
            for command in step[commands_at..].lines().filter_map(|line| line.strip_prefix("$ ")) {
                let prompt = screen.paint("1;32", "ringshard>");
                if !say(&format!("\n{prompt} {command}\n"))? {
                    return Ok(End::PipeClosed);
                }
                let arguments: Vec<String> = Lexer::of(command).tokens.into_iter().map(|t| t.text).collect();
                let has_succeeded = home.run(&arguments)?;
                self.context.active_sessions().check()?;
                if !has_succeeded {
                    return Err(Error::new(Kind::Failed, format!("`{command}` of the tour failed"))
                        .hint("see the error above; ringshard doctor checks your own shards"));
                }
            }
            if number < steps.len() {
                if !say("\n")? {
                    return Ok(End::PipeClosed);
                }
                if is_asked && !self.wait_for_a_key(number, steps.len(), screen)? {
                    break;
                }
            }
        }
        Ok(End::Done)
    }

    /// Returns false if the user leaves.
    fn wait_for_a_key(&self, number: usize, count: usize, screen: Screen) -> Result<bool> {
        write_stderr(&format!("[{number}/{count}] press a key to continue, q to leave "));
        let key = key();
        // Clear the line again: EL of ECMA-48.
        write_stderr(if screen.can_move { "\r\x1b[K" } else { "\n" });
        self.context.active_sessions().check()?;
        // Ctrl-C and Ctrl-D arrive as keys here.
        Ok(!matches!(key?, None | Some(b'q' | b'Q' | 3 | 4)))
    }
}

/// Prints text. Returns false if the pipe is closed.
fn say(text: &str) -> Result<bool> {
    write_stdout(text).map_err(|cause| unwritable(&cause))
}

/// The first byte of one key, without waiting for Enter; `None` at the end of input.
fn key() -> Result<Option<u8>> {
    let fail = |cause: io::Error| {
        Error::new(Kind::Failed, format!("cannot read a key: {cause}"))
            .hint("ringshard tour --at-once does not wait for keys")
    };
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).map_err(|cause| fail(cause.into()))?;
    let mut keys = before.clone();
    // No lines, no echo, and Ctrl-C as a key.
    keys.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
    tcsetattr(&stdin, OptionalActions::Now, &keys).map_err(|cause| fail(cause.into()))?;
    // A key such as an arrow is several bytes.
    let mut bytes = [0; 32];
    let read = stdin.lock().read(&mut bytes);
    let _ = tcsetattr(&stdin, OptionalActions::Now, &before);
    Ok(if read.map_err(fail)? == 0 { None } else { Some(bytes[0]) })
}
