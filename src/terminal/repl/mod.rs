//! The REPL: a line editor in front of the shell that runs scripts. It knows no command.

mod assistant;
mod grammar;
mod greeting;
mod prompt;
mod sql_words;
#[cfg(test)]
mod tests;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustyline::config::{ColorMode, CompletionType, Configurer as _, EditMode};
use rustyline::error::ReadlineError;
use rustyline::history::{FileHistory, History as _, SearchDirection};
use rustyline::{Config, Editor, ExternalPrinter};

use super::lexer::{self, Lexer, Open};
use super::output::{Screen, message, write_stderr};
use super::shell::{End, Shell};
use crate::commands::repl_command::EditorKeys;
use crate::commands::{Life, News, ReplArgs};
use crate::error::{Error, Kind, Result};
use crate::model::text::redacted;
use crate::settings::Access;
use assistant::Assistant;
use grammar::SeenValues;

/// The longest history.
const HISTORY_LINES_MAX: usize = 10_000;
/// How long a prompt waits for the health of the shards; a later answer is in the next prompt.
const HEALTH_PATIENCE: Duration = Duration::from_millis(60);

type LineEditor = Editor<Assistant, FileHistory>;

/// Notices from other threads, kept until they can be printed without breaking the typed line.
#[derive(Default)]
struct Notices {
    waiting: Mutex<Vec<String>>,
    printer: Mutex<Option<Box<dyn ExternalPrinter + Send>>>,
    /// Whether a line is being typed.
    typing: AtomicBool,
}

impl Notices {
    fn print(&self, news: &News) {
        self.print_line(&match news {
            News::Down(shard, why) => format!("notice: shard `{shard}` is down: {why}"),
            News::Back(shard) => format!("notice: shard `{shard}` is back"),
        });
    }

    fn print_line(&self, line: &str) {
        let text = message(&redacted(line)) + "\n";
        if self.typing.load(Ordering::SeqCst)
            && let Some(printer) = &mut *self.printer.lock()
            && printer.print(text.clone()).is_ok()
        {
            return;
        }
        self.waiting.lock().push(text);
    }

    fn flush(&self) {
        for text in std::mem::take(&mut *self.waiting.lock()) {
            write_stderr(&text);
        }
    }
}

/// Reads lines from the user and runs them, until the user leaves.
pub(super) fn run(shell: &Shell<'_>, args: &ReplArgs) -> End {
    shell.attend();
    match Prompt::begin(shell) {
        Ok(mut session) => {
            let end = session.run(args);
            shell.end_jobs();
            session.notices.flush();
            end
        }
        Err(error) => shell.fail(&error, shell.here()),
    }
}

struct Prompt<'a, 'terminal> {
    shell: &'a Shell<'terminal>,
    editor: LineEditor,
    seen: Arc<Mutex<SeenValues>>,
    notices: Arc<Notices>,
    history_file: Option<PathBuf>,
}

impl<'a, 'terminal> Prompt<'a, 'terminal> {
    fn begin(shell: &'a Shell<'terminal>) -> Result<Self> {
        let fail = |cause: ReadlineError| {
            Error::new(Kind::Failed, format!("cannot read from the terminal: {cause}"))
                .hint("to run a script, use ringshard -f")
        };
        let config = Config::builder()
            .max_history_size(HISTORY_LINES_MAX)
            .map_err(fail)?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .color_mode(ColorMode::Forced)
            .build();
        let mut editor = LineEditor::with_config(config).map_err(fail)?;
        let seen = Arc::<Mutex<SeenValues>>::default();
        editor.set_helper(Some(Assistant::new(&seen, false)));
        let notices = Arc::<Notices>::default();
        if let Ok(printer) = editor.create_external_printer() {
            *notices.printer.lock() = Some(Box::new(printer));
        }
        let listener = Arc::clone(&notices);
        shell.context.listen(Arc::new(move |news| listener.print(&news)));
        let listener = Arc::clone(&notices);
        shell.notice.replace(Arc::new(move |line| listener.print_line(&line)));
        let mut session = Self { shell, editor, seen, notices, history_file: None };
        session.open_history();
        Ok(session)
    }

    fn run(&mut self, args: &ReplArgs) -> End {
        if !self.shell.options.get().quiet {
            greeting::greet(self.shell);
        }
        if !args.no_init
            && let Some(path) = self.shell.context.settings().init_file().filter(|path| path.is_file())
            && self.shell.run_script(&path, false) == End::Quit
        {
            return End::Done;
        }
        loop {
            let text = match self.read() {
                Ok(text) => text,
                // Ctrl-C clears the line.
                Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => return End::Done,
                Err(cause) => {
                    let error = Error::new(Kind::Failed, format!("cannot read from the terminal: {cause}"));
                    return self.shell.fail(&error, self.shell.here());
                }
            };
            self.remember(&text);
            // A pasted text may have several commands, which may depend on each other.
            let end = self.shell.run_lines(&text);
            if matches!(end, End::Quit | End::PipeClosed) {
                return End::Done;
            }
            if let Some(assistant) = self.editor.helper_mut() {
                if end == End::Done {
                    assistant.failed.remove(text.trim_end());
                } else {
                    assistant.failed.insert(text.trim_end().to_owned());
                }
            }
            // As in psql, `\g` and `\e` are about the last command, not about one of the session.
            let is_of_session = ["\\", "again", "edit", "output", "set ", "watch"]
                .iter()
                .any(|name| text.trim_start().starts_with(name));
            let is_of_session = is_of_session
                || lexer::commands(&text).last().is_some_and(|last| lexer::is_about_statement(last));
            if !is_of_session && !text.trim().is_empty() {
                self.shell.last.replace(Some(text));
            }
        }
    }

    fn read(&mut self) -> std::result::Result<String, ReadlineError> {
        let state = self.shell.context.health(HEALTH_PATIENCE);
        if let Some(state) = &state {
            let names = state.keys().map(ToString::to_string).collect();
            let is_known = {
                let mut seen = self.seen.lock();
                seen.shards = names;
                seen.sql.is_some()
            };
            // Once: it is a connection that the first statement uses.
            if !is_known && state.values().all(|life| matches!(life, Life::Up { .. })) {
                self.seen.lock().sql = Some(self.shell.context.names_in_sql());
            }
        }
        self.notices.flush();
        let screen = Screen::stdout(self.shell.options.get().color);
        if let Some(assistant) = self.editor.helper_mut() {
            assistant.set_color(screen.color);
        }
        self.editor.set_edit_mode(match self.shell.options.get().keys {
            EditorKeys::Emacs => EditMode::Emacs,
            EditorKeys::Vi => EditMode::Vi,
        });
        let columns = self.editor.dimensions().map_or(80, |(columns, _)| columns);
        let settings = self.shell.context.settings();
        let id = || self.shell.context.cluster_id().map(|id| format!("{:.8}", id.to_string()));
        let mut cluster = settings.cluster_name.as_ref().map(ToString::to_string).or_else(id);
        if settings.access.value == Access::ReadOnly {
            cluster = Some(format!("{}read-only", cluster.map_or_else(String::new, |name| name + " ")));
        }
        let open = self.shell.context.transaction().as_ref().map(|transaction| {
            let (shard, has_failed) = transaction.state();
            let on = shard.map_or_else(String::new, |shard| format!(" {shard}"));
            format!("BEGIN{on}{}", if has_failed { " failed" } else { "" })
        });
        let prompt = prompt::prompt(cluster, state.as_ref(), open.as_deref(), columns.into(), screen);
        self.notices.typing.store(true, Ordering::SeqCst);
        let read = self.editor.readline(&prompt);
        if let (Err(ReadlineError::Interrupted), Some(assistant)) = (&read, self.editor.helper())
            && let Some((line, hint)) = assistant.take_shown()
        {
            erase_hint(&prompt, &line, &hint, columns.into());
        }
        let read = read.and_then(|text| self.complete(text));
        self.notices.typing.store(false, Ordering::SeqCst);
        read
    }

    /// Reads more lines as long as a quote is open or the last line ends with a backslash. Ctrl-D ends this as Ctrl-C does.
    fn complete(&mut self, mut text: String) -> std::result::Result<String, ReadlineError> {
        while let Some(open) = Lexer::of(&text).open {
            self.set_further(true, open == Open::Statement);
            let more = self.editor.readline(&open.prompt());
            self.set_further(false, false);
            text.push('\n');
            text.push_str(&more.map_err(|cause| match cause {
                ReadlineError::Eof => ReadlineError::Interrupted,
                cause => cause,
            })?);
        }
        Ok(text)
    }

    fn set_further(&mut self, is_further: bool, is_statement: bool) {
        if let Some(assistant) = self.editor.helper_mut() {
            (assistant.is_further, assistant.is_statement) = (is_further, is_statement);
        }
    }

    /// Opens the history file with mode 0600; without a state folder the history ends with the session.
    fn open_history(&mut self) {
        let Some(path) = self.shell.context.settings().history_file() else { return };
        let opened = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
            file.set_permissions(fs::Permissions::from_mode(0o600))
        });
        if let Err(cause) = opened {
            let text = format!("the history is not saved: `{}`: {cause}", path.display());
            self.shell.tell(&text, self.shell.here());
            return;
        }
        let _ = self.editor.load_history(&path);
        let history = self.editor.history();
        let lines = (0..history.len()).filter_map(|at| history.get(at, SearchDirection::Forward).ok()?);
        self.shell.typed.borrow_mut().extend(lines.map(|found| found.entry.into_owned()));
        self.history_file = Some(path);
    }

    /// Appends a line to the history at once, without passwords.
    fn remember(&mut self, text: &str) {
        let ids = self.editor.helper().map(|assistant| assistant.ids(text)).unwrap_or_default();
        {
            let mut seen = self.seen.lock();
            for id in ids {
                seen.note(id);
            }
        }
        let line = redacted(text.trim_end());
        if line.trim().is_empty() || !self.editor.add_history_entry(line.as_str()).unwrap_or(false) {
            return;
        }
        self.shell.typed.borrow_mut().push(line);
        if let Some(path) = &self.history_file {
            let _ = self.editor.append_history(path);
        }
    }
}

/// Writes the prompt and its line anew without the hint, which ended on the line above the cursor.
fn erase_hint(prompt: &(String, String), line: &str, hint: &str, columns: usize) {
    let width = [&prompt.0, line, hint].into_iter().map(|text| text.chars().count()).sum::<usize>();
    let lines = width.div_ceil(columns.max(1));
    // CUU and ED of ECMA-48.
    write_stderr(&format!("\x1b[{lines}A\r\x1b[J{}{line}\n", prompt.1));
}
