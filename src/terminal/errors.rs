//! Errors on stderr: two lines for people, one object for scripts.

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::output::{Screen, write_stderr};
use super::render::json;
use crate::commands::Cli;
use crate::error::{Error, Kind};
use crate::model::text::{redacted, visible_lines};

/// Shows an error. `place` is `FILE:LINE` of a script.
pub(super) fn show(error: &Error, place: Option<&str>, as_json: bool, screen: Screen) {
    write_stderr(&if as_json {
        to_json("error", error, place)
    } else {
        to_text("error", "1;31", error, place, screen)
    });
}

/// Shows a problem that did not stop the command.
pub(super) fn warn(error: &Error, as_json: bool, screen: Screen) {
    write_stderr(&if as_json {
        to_json("warning", error, None)
    } else {
        to_text("warning", "1;33", error, None, screen)
    });
}

fn to_text(label: &str, color: &str, error: &Error, place: Option<&str>, screen: Screen) -> String {
    let place = place.map_or_else(String::new, |place| format!("{}: ", visible_lines(place)));
    let label = screen.paint(color, &format!("{label}:"));
    let mut text = format!("{place}{label} {}\n", indented(error.message()));
    if let Some(hint) = error.hint_text() {
        text = format!("{text}{} {}\n", screen.paint("1;36", "hint:"), indented(hint));
    }
    text
}

/// Safe to show. What goes on in a second line is set in, so that no value can pose as a line of ours.
fn indented(text: &str) -> String {
    visible_lines(&redacted(text)).replace('\n', "\n  ").replace("\n    ", "\n  ")
}

fn to_json(label: &str, error: &Error, place: Option<&str>) -> String {
    let message =
        place.map_or_else(|| error.message().into(), |place| format!("{place}: {}", error.message()));
    let or_null = |text: Option<&str>| text.map_or_else(|| "null".into(), json::string);
    format!(
        "{{\"{label}\": {{\"code\": {}, \"kind\": {}, \"message\": {}, \"hint\": {}, \"shard\": {}}}}}\n",
        error.kind().exit_code(),
        json::string(error.kind().name()),
        json::string(&redacted(&message)),
        or_null(error.hint_text().map(redacted).as_deref()),
        or_null(error.shard())
    )
}

/// What clap says about words that do not fit, as an error of ours. `words` is the whole command line.
pub(super) fn of_usage(cause: &clap::Error, words: &[String]) -> Error {
    let text = cause.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let mut blocks = text.split("\n\n").map(str::trim).filter(|block| !block.is_empty());
    let message = match cause.kind() {
        // clap shows the whole help then; for an error its line of usage is enough.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing",
        _ => blocks.next().unwrap_or("the words do not fit"),
    };
    let mut hints = Vec::new();
    for block in blocks {
        if let Some(tip) = block.strip_prefix("tip: ") {
            hints.push(
                tip.split('\n')
                    .map(|line| line.trim().trim_start_matches("tip: "))
                    .collect::<Vec<_>>()
                    .join("; "),
            );
        } else if let Some(usage) = block.strip_prefix("Usage: ") {
            hints.push(usage.lines().next().unwrap_or_default().to_owned());
        }
    }
    let error = Error::new(Kind::Usage, message.to_owned());
    if hints.is_empty() {
        hints.push(format!("{} --help", command_path(words)));
    }
    error.hint(hints.join("; "))
}

/// The command that these words name, as far as they name one: `ringshard ring locate`.
fn command_path(words: &[String]) -> String {
    let mut command = Cli::command();
    let mut path = String::from("ringshard");
    for word in words {
        if let Some(inner) = command.find_subcommand(word).cloned() {
            path = format!("{path} {word}");
            command = inner;
        }
    }
    path
}
