//! The run of the program, from its arguments to its exit code.

use std::io::{self, IsTerminal as _, Write as _};
use std::mem::ManuallyDrop;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};
use clap_complete::CompleteEnv;

use super::console::{Terminal, Watch};
use super::output::{self, Screen};
use super::script::Script;
use super::session::options::SessionOptions;
use super::shell::{End, Shell};
use super::{errors, logging, repl, wait_notes};
use crate::commands::repl_command::{EditorKeys, LogLevel};
use crate::commands::{Cli, Context, Globals, Invocation, Live, ReplArgs, definition, usage, with_help};
use crate::error::{Error, Kind};
use crate::model::report::NullText;
use crate::settings::{ColorWhen, Format, Settings};

/// Runs the program: completes a command line, or parses and runs one.
pub fn main() -> ExitCode {
    CompleteEnv::with_factory(definition::<Cli>).complete();
    let cli = match parsed() {
        Ok(cli) => cli,
        Err(cause) => return misused(&cause),
    };
    let settings = match Settings::load(&cli.globals.settings()) {
        Ok(settings) => settings,
        Err(error) => return early(&error, &cli.globals),
    };
    let log_file = settings.log_file.as_ref().map(|sourced| sourced.value.as_path());
    if let Err(error) = logging::start(log_file) {
        return early(&error, &cli.globals);
    }
    let options = SessionOptions {
        format: settings.format.value,
        header: !cli.globals.no_header,
        expanded: cli.globals.expanded,
        quiet: cli.globals.quiet,
        timing: false,
        color: settings.color.value,
        log: logging::level_of(cli.globals.verbose).unwrap_or(LogLevel::Off),
        pager: true,
        null: NullText::from("-").unwrap_or_default(),
        keys: EditorKeys::Emacs,
        read_replica: settings.read_replica.value,
    };
    logging::set_level(options.log);
    wait_notes::start();
    let console = Terminal::new(cli.globals.yes, cli.globals.no_input, cli.globals.quiet);
    let context = Context::new(cli.globals.settings(), settings, &console);
    let active_sessions = Arc::clone(context.active_sessions());
    let shell = Shell::new(&console, context, options, repl::run);
    if !is_interactive(&cli) {
        let when = if cli.command.is_some() { Watch::OnceConnected } else { Watch::Now };
        console.cancel_on_signal(active_sessions, when);
    }
    let end = match (&cli.command, &cli.script) {
        (Some(_), _) if !cli.commands.is_empty() || cli.script.is_some() => {
            let error = Error::new(Kind::Usage, "a command cannot be combined with -c or -f");
            shell.fail(&error.hint("leave out the command, or -c and -f"), shell.here())
        }
        (Some(Invocation::Live(Live::Repl(args))), _) => {
            begin(&shell, args, cli.keep_going || args.keep_going)
        }
        (Some(invocation), _) => shell.run_invocation(invocation, shell.here()),
        (None, Some(path)) => shell.run_script(path, cli.keep_going),
        (None, None) if !cli.commands.is_empty() => shell.run_commands(&cli.commands, cli.keep_going),
        (None, None) if has_lines_to_read() => begin(&shell, &ReplArgs::default(), cli.keep_going),
        (None, None) => {
            let error = Error::new(Kind::Usage, "a command is missing");
            shell.fail(&error.hint("ringshard --help lists the commands"), shell.here())
        }
    };
    let end = match shell.context.abandon_transaction() {
        Err(error) if end == End::Done => shell.fail(&error, shell.here()),
        Err(error) => {
            errors::warn(&error, options.style().is_json(), Screen::stderr(options.color));
            end
        }
        Ok(()) => end,
    };
    console.wait_if_ending();
    ExitCode::from(end.code())
}

/// As [`clap::Parser::try_parse`], without freeing the definition of all commands, which takes longer than to parse one.
fn parsed() -> clap::error::Result<Cli> {
    let mut lazy = ManuallyDrop::new(Cli::command());
    let matches = lazy.try_get_matches_from_mut(std::env::args_os());
    let mut matches = matches.map_err(|cause| with_help::<Cli>(cause, std::env::args_os()))?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|cause| cause.format(&mut lazy))
}

/// Whether the prompt or a screen runs, which have their own way with signals.
fn is_interactive(cli: &Cli) -> bool {
    let may_be = match &cli.command {
        Some(Invocation::Live(_)) => true,
        Some(_) => false,
        None => cli.script.is_none() && cli.commands.is_empty(),
    };
    may_be && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Reads commands from a terminal, or a script from standard input.
fn begin(shell: &Shell<'_>, args: &ReplArgs, keep_going: bool) -> End {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return repl::run(shell, args);
    }
    shell.run_batched(Script::stdin(), keep_going)
}

/// Whether standard input can hold commands: a terminal, a pipe or a file, but not `/dev/null`.
fn has_lines_to_read() -> bool {
    let kind = std::fs::metadata(Path::new("/dev/stdin")).map(|metadata| metadata.file_type());
    io::stdin().is_terminal() || kind.is_ok_and(|kind| kind.is_fifo() || kind.is_file() || kind.is_socket())
}

/// Handles arguments that clap rejects or answers itself.
fn misused(cause: &clap::Error) -> ExitCode {
    if matches!(cause.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let written = cause.print().and_then(|()| io::stdout().flush());
        return match written {
            Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
                let error = output::unwritable(&cause);
                errors::show(&error, None, environment_requests_json(), Screen::stderr(ColorWhen::Auto));
                ExitCode::from(error.kind().exit_code())
            }
            _ => ExitCode::SUCCESS,
        };
    }
    // The arguments were not parsed, so the format is searched for in their text.
    let arguments: Vec<String> =
        std::env::args_os().map(|text| text.to_string_lossy().into_owned()).collect();
    let as_json = requests_json(&arguments);
    let words = arguments.get(1..).unwrap_or_default();
    errors::show(&usage::error_of(cause, words), None, as_json, Screen::stderr(ColorWhen::Auto));
    ExitCode::from(Kind::Usage.exit_code())
}

/// Whether arguments that cannot be parsed request JSON.
fn requests_json(arguments: &[String]) -> bool {
    let is_json = |text: &str| text == "json" || text == "jsonl";
    let separate = |pair: &[String]| ["-o", "--format"].contains(&pair[0].as_str()) && is_json(&pair[1]);
    let joined = |argument: &String| {
        let value = ["--format=", "-o=", "-o"].iter().find_map(|flag| argument.strip_prefix(flag));
        value.is_some_and(is_json)
    };
    arguments.windows(2).any(separate) || arguments.iter().any(joined) || environment_requests_json()
}

fn environment_requests_json() -> bool {
    std::env::var("RINGSHARD_FORMAT").is_ok_and(|format| format == "json" || format == "jsonl")
}

/// An error before the settings are known.
fn early(error: &Error, globals: &Globals) -> ExitCode {
    let as_json = globals.report_format().map_or_else(environment_requests_json, Format::is_json);
    errors::show(error, None, as_json, Screen::stderr(globals.color.unwrap_or(ColorWhen::Auto)));
    ExitCode::from(error.kind().exit_code())
}
