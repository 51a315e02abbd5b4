//! Errors on stderr: two lines of text, or one JSON object.

use super::output::{Screen, write_stderr};
use crate::error::Error;
use crate::model::json;
use crate::model::text::{redacted, visible_lines};

/// Shows an error. `place` is `FILE:LINE` of a script.
pub(super) fn show(error: &Error, place: Option<&str>, as_json: bool, screen: Screen) {
    write_stderr(&if as_json {
        to_json("error", error, place)
    } else {
        to_text("error", "1;31", error, place, screen)
    });
}

/// Shows a warning.
pub(super) fn warn(error: &Error, as_json: bool, screen: Screen) {
    write_stderr(&if as_json {
        to_json("warning", error, None)
    } else {
        to_text("warning", "1;33", error, None, screen)
    });
}

/// Before further lines, so that no value looks like a message of its own.
const INDENT: &str = "  ";

fn to_text(label: &str, color: &str, error: &Error, place: Option<&str>, screen: Screen) -> String {
    let place = place.map_or_else(String::new, |place| format!("{}: ", visible_lines(place)));
    let label = screen.paint(color, &format!("{label}:"));
    let mut text = screen.wrap(&format!("{place}{label} {}", indented(error.message())), INDENT) + "\n";
    if let Some(hint) = error.hint_text() {
        let hint = format!("{} {}", screen.paint("1;36", "hint:"), indented(hint));
        text = text + &screen.wrap(&hint, INDENT) + "\n";
    }
    text
}

/// Redacted and escaped. Further lines are indented.
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
